/*
 * putter - a queue in, a queue out, a few threads between. Knows nothing of documents.
 */
#include "putter.h"

#include "sys.h"
#include "sys_wait.h"

#include <assert.h>
#include <pthread.h>

enum { THREADS_MAX = 16, GROUP_MAX = 32 };

struct queue {
	struct put *head, **tail;
};

struct putter {
	struct store *store;
	void (*wake)(void *);
	void *wake_arg;
	pthread_t threads[THREADS_MAX];
	int nthreads;
	pthread_mutex_t lock;
	pthread_cond_t work, settled;
	struct queue in, out;
	size_t waiting, unfinished; /* in the queue; in the queue or with a thread */
	bool closing;
};

static void queue_add(struct queue *q, struct put *p)
{
	p->next = NULL;
	*q->tail = p;
	q->tail = &p->next;
}

static struct put *queue_take(struct queue *q)
{
	struct put *p = q->head;
	if (!p)
		return NULL;
	q->head = p->next;
	if (!q->head)
		q->tail = &q->head;
	return p;
}

/* A fair share of what waits, so that the other threads have work too. */
static size_t take_group(struct putter *p, struct put **group)
{
	size_t share = (p->waiting + (size_t)p->nthreads - 1) / (size_t)p->nthreads, n = 0;
	while (n < share && n < GROUP_MAX && (group[n] = queue_take(&p->in)))
		n++;
	p->waiting -= n;
	return n;
}

static void *run(void *arg)
{
	struct putter *p = arg;
	struct put *group[GROUP_MAX];
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->in.head && !p->closing)
			pthread_cond_wait(&p->work, &p->lock);
		size_t n = take_group(p, group);
		if (n == 0)
			break;
		pthread_mutex_unlock(&p->lock);
		store_put(p->store, group, n);
		pthread_mutex_lock(&p->lock);
		for (size_t i = 0; i < n; i++)
			queue_add(&p->out, group[i]);
		p->unfinished -= n;
		pthread_cond_broadcast(&p->settled);
		p->wake(p->wake_arg);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* A put that the store began comes back from a thread of the store's. */
static void finished(struct put *put)
{
	struct putter *p = put->finished_arg;
	pthread_mutex_lock(&p->lock);
	queue_add(&p->out, put);
	p->unfinished--;
	pthread_cond_broadcast(&p->settled);
	p->wake(p->wake_arg);
	pthread_mutex_unlock(&p->lock);
}

struct putter *putter_new(struct store *store, int threads, void (*wake)(void *), void *wake_arg)
{
	assert(threads >= 1 && threads <= THREADS_MAX);
	struct putter *p = xcalloc(1, sizeof *p);
	p->store = store;
	p->wake = wake;
	p->wake_arg = wake_arg;
	p->in.tail = &p->in.head;
	p->out.tail = &p->out.head;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	sys_cond_init(&p->settled);
	if (store->ops->start)
		threads = 0;
	for (; p->nthreads < threads; p->nthreads++)
		if (pthread_create(&p->threads[p->nthreads], NULL, run, p) != 0)
			die("cannot start a thread");
	return p;
}

void putter_free(struct putter *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	assert(!p->unfinished && !p->out.head);
	p->closing = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->settled);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	xfree(p);
}

void putter_add(struct putter *p, struct put *put)
{
	bool start = p->store->ops->start != NULL;
	pthread_mutex_lock(&p->lock);
	p->unfinished++;
	if (!start) {
		queue_add(&p->in, put);
		p->waiting++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	if (start) {
		put->finished = finished;
		put->finished_arg = p;
		p->store->ops->start(p->store, put);
	}
}

struct put *putter_done(struct putter *p, int64_t wait_ms)
{
	int64_t until = wait_ms < 0 ? INT64_MAX : sys_mono_ms() + wait_ms;
	bool late = wait_ms == 0;
	pthread_mutex_lock(&p->lock);
	while (!late && !p->out.head && p->unfinished)
		late = !sys_cond_wait(&p->settled, &p->lock, until);
	struct put *put = queue_take(&p->out);
	pthread_mutex_unlock(&p->lock);
	return put;
}
