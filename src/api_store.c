/*
 * api_store - the two threads, and what they are told and tell under one lock. At the end the store
 * is cut until both have seen that they must end, since one may begin to ask just after a cut.
 */
#include "api_store.h"

#include "erase.h"
#include "job.h"
#include "log.h"
#include "sys.h"
#include "sys_wait.h"

#include <pthread.h>

enum {
	CHECK_EVERY_MS = 5000,
	CHECK_AWAIT_MS = 1000, /* whoever finds that it is time waits so long for the answer */
	SILENT_AFTER_MS = 30000,
	AGAIN_FIRST_MS = 5000, /* after an erasure failed; doubled each time */
	LOOK_EVERY_MS = 60000,
	CUT_EVERY_MS = 100,
};

struct api_store {
	struct ledger *ledger;
	struct store *store;
	pthread_t eraser, checker;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work, asked, answered, ended;
	bool draining, stop; /* nothing more is erased; nor asked */
	int running;         /* threads */
	bool joined;

	struct api_erasure *head, **tail;
	bool alone;       /* nobody else looks for erasures that are left */
	int64_t look_at;  /* monotonic */
	int64_t again_ms; /* 0: none failed last time */

	bool asking, known, good;
	int64_t asked_at; /* monotonic; when the last check began, 0 = never */
};

/* ---- Erasing ---- */

static bool goes_on(void *arg)
{
	struct api_store *s = arg;
	pthread_mutex_lock(&s->lock);
	bool yes = !s->draining;
	pthread_mutex_unlock(&s->lock);
	return yes;
}

static struct erase_options options(struct api_store *s)
{
	return (struct erase_options){
		.ledger = s->ledger, .store = s->store, .goes_on = goes_on, .arg = s};
}

static bool read_marks(struct db *db, void *arg, struct err *e)
{
	struct db_rows *r = arg;
	db_rows_release(r); /* of a run that was undone */
	return job_erasures(db, r, e);
}

/* Those that were begun before the start, and those that failed. True: none is left. */
static bool finish_others(struct api_store *s)
{
	struct db_rows r = {0};
	struct err e;
	bool all = ledger_write(s->ledger, read_marks, &r, &e);
	if (!all)
		log_error("erasures not read", "why=\"%s\"", e.text);
	const struct erase_options o = options(s);
	all = all && erase_all(&o, &r);
	db_rows_release(&r);
	return all;
}

/* When to look next; under the lock. */
static void look_again(struct api_store *s, bool all)
{
	int64_t wait = s->again_ms ? 2 * s->again_ms : AGAIN_FIRST_MS;
	if (!s->alone)
		return;
	if (all || wait > LOOK_EVERY_MS)
		wait = LOOK_EVERY_MS;
	s->again_ms = all ? 0 : wait;
	s->look_at = sys_mono_ms() + wait;
}

/* Under the lock, which it lets go for the time. */
static void erase_next(struct api_store *s)
{
	struct api_erasure *x = s->head;
	s->head = x->next;
	if (!s->head)
		s->tail = &s->head;
	bool draining = s->draining;
	pthread_mutex_unlock(&s->lock);
	const struct erase_options o = options(s);
	x->ok = draining ? fail(&x->err, ERR_BUSY, "stopped")
			 : erase_objects(&o, x->number, x->mark, &x->err);
	bool erased = x->ok;
	x->done(x->owner); /* who may free it at once */
	pthread_mutex_lock(&s->lock);
	if (!erased && !s->again_ms)
		look_again(s, false);
}

static void *erase_main(void *arg)
{
	struct api_store *s = arg;
	pthread_mutex_lock(&s->lock);
	while (!s->draining || s->head) {
		if (s->head) {
			erase_next(s);
		} else if (sys_mono_ms() >= s->look_at) {
			pthread_mutex_unlock(&s->lock);
			bool all = finish_others(s);
			pthread_mutex_lock(&s->lock);
			look_again(s, all);
		} else {
			sys_cond_wait(&s->work, &s->lock, s->look_at);
		}
	}
	s->running--;
	pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void api_store_erase(struct api_store *s, struct api_erasure *x)
{
	x->next = NULL;
	pthread_mutex_lock(&s->lock);
	bool draining = s->draining;
	if (!draining) {
		*s->tail = x;
		s->tail = &x->next;
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);
	if (!draining)
		return;
	x->ok = fail(&x->err, ERR_BUSY, "stopped");
	x->done(x->owner);
}

/* ---- Checking ---- */

static void *check_main(void *arg)
{
	struct api_store *s = arg;
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->asking && !s->stop)
			sys_cond_wait(&s->asked, &s->lock, INT64_MAX);
		if (s->stop)
			break;
		pthread_mutex_unlock(&s->lock);
		struct err e;
		bool good = store_check(s->store, &e);
		if (!good)
			log_warn("store check failed", "why=\"%s\"", e.text);
		pthread_mutex_lock(&s->lock);
		s->asking = false;
		s->known = true;
		s->good = good;
		pthread_cond_broadcast(&s->answered);
	}
	s->running--;
	pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

enum api_store_state api_store_state(struct api_store *s)
{
	pthread_mutex_lock(&s->lock);
	int64_t now = sys_mono_ms();
	if (!s->asking && !s->stop && (!s->asked_at || now - s->asked_at >= CHECK_EVERY_MS)) {
		s->asking = true;
		s->asked_at = now;
		pthread_cond_signal(&s->asked);
		while (s->asking && !s->stop &&
		       sys_cond_wait(&s->answered, &s->lock, now + CHECK_AWAIT_MS))
			;
	}
	enum api_store_state is = s->good ? API_STORE_GOOD : API_STORE_BAD;
	if (s->asking && sys_mono_ms() - s->asked_at > SILENT_AFTER_MS)
		is = API_STORE_SILENT;
	else if (!s->known)
		is = API_STORE_UNKNOWN;
	pthread_mutex_unlock(&s->lock);
	return is;
}

/* ---- Life ---- */

struct api_store *api_store_new(struct ledger *ledger, struct store *store)
{
	struct api_store *s = xcalloc(1, sizeof *s);
	s->ledger = ledger;
	s->store = store;
	s->tail = &s->head;
	s->alone = ledger_db(ledger)->ops->exclusive;
	s->look_at = s->alone ? 0 : INT64_MAX;
	s->running = 2;
	pthread_mutex_init(&s->lock, NULL);
	sys_cond_init(&s->work);
	sys_cond_init(&s->asked);
	sys_cond_init(&s->answered);
	sys_cond_init(&s->ended);
	if (pthread_create(&s->eraser, NULL, erase_main, s) != 0 ||
	    pthread_create(&s->checker, NULL, check_main, s) != 0)
		die("cannot start a thread");
	return s;
}

void api_store_drain(struct api_store *s)
{
	pthread_mutex_lock(&s->lock);
	s->draining = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
}

void api_store_stop(struct api_store *s)
{
	api_store_drain(s);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->asked);
	pthread_cond_broadcast(&s->answered);
	if (s->joined) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	s->joined = true;
	while (s->running) {
		if (s->store->ops->cut)
			s->store->ops->cut(s->store);
		sys_cond_wait(&s->ended, &s->lock, sys_mono_ms() + CUT_EVERY_MS);
	}
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->eraser, NULL);
	pthread_join(s->checker, NULL);
}

void api_store_free(struct api_store *s)
{
	if (!s)
		return;
	api_store_stop(s);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->asked);
	pthread_cond_destroy(&s->answered);
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	xfree(s);
}
