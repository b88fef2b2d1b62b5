/*
 * timer - owns the thread that continues waiting requests. Knows nothing of what they wait for.
 */
#include "timer.h"

#include "sys.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>

enum { LOOK_MS = 100 }; /* how often clients of stalled answers are looked after */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	struct waiter **list; /* owned array, borrowed elements */
	size_t n, cap;
	int64_t wake_ms; /* when the thread wakes by itself */
	bool stopping;
} t = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool hung_up(const struct waiter *w)
{
	struct pollfd p = {.fd = w->fd, .events = POLLRDHUP};
	return w->fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* Continues what is due; returns when to look again. Under the lock. */
static int64_t resume_due(int64_t now)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < t.n;) {
		struct waiter *w = t.list[i];
		if (t.stopping || (w->due_ms > now && hung_up(w)))
			atomic_store(&w->gone, true);
		if (w->due_ms <= now || atomic_load(&w->gone)) {
			t.list[i] = t.list[--t.n];
			MHD_resume_connection(w->connection); /* *w may be gone from here on */
			continue;
		}
		int64_t due = w->due_ms < now + LOOK_MS ? w->due_ms : now + LOOK_MS;
		if (due < next)
			next = due;
		i++;
	}
	return next;
}

static void *run(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&t.lock);
	while (!t.stopping || t.n > 0) {
		t.wake_ms = resume_due(sys_mono_ms());
		if (t.stopping)
			continue;
		if (t.wake_ms == INT64_MAX) {
			pthread_cond_wait(&t.changed, &t.lock);
			continue;
		}
		struct timespec at = {.tv_sec = t.wake_ms / 1000,
				      .tv_nsec = t.wake_ms % 1000 * 1000000};
		pthread_cond_timedwait(&t.changed, &t.lock, &at);
	}
	pthread_mutex_unlock(&t.lock);
	return NULL;
}

void timer_start(void)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t.changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&t.thread, NULL, run, NULL) != 0)
		die("cannot start a thread");
}

void timer_stop(void)
{
	pthread_mutex_lock(&t.lock);
	t.stopping = true;
	pthread_cond_signal(&t.changed);
	pthread_mutex_unlock(&t.lock);
	pthread_join(t.thread, NULL);
	pthread_cond_destroy(&t.changed);
	xfree(t.list);
	t.list = NULL;
}

static int socket_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	return info ? info->connect_fd : -1;
}

bool timer_wait(struct waiter *w, struct MHD_Connection *connection, int64_t ms)
{
	pthread_mutex_lock(&t.lock);
	bool ok = !t.stopping;
	if (ok) {
		w->connection = connection;
		w->fd = socket_of(connection);
		/* The clock was cut down to a millisecond: never earlier than was asked. */
		w->due_ms = ms < 0 ? INT64_MAX : sys_mono_ms() + ms + (ms > 0);
		MHD_suspend_connection(connection);
		t.list = xgrow(t.list, t.n, &t.cap, sizeof(struct waiter *));
		t.list[t.n++] = w;
		if (w->due_ms < t.wake_ms || t.wake_ms == INT64_MAX)
			pthread_cond_signal(&t.changed);
	}
	pthread_mutex_unlock(&t.lock);
	return ok;
}
