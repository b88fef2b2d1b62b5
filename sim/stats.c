/*
 * stats - counters behind one lock. Never decides an answer.
 */
#include "stats.h"

#include "sys.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { FAULTS_MAX = 256, STATUS_MAX = 600, NAME_MAX_LEN = 64, GRACE_MS = 100 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	uint64_t calls[ROUTE_COUNT];
	uint64_t status[STATUS_MAX];
	int64_t max_parallel[ROUTE_COUNT + 1]; /* the last: all */
	int64_t last_list_ms, min_list_gap_ms; /* -1: not yet */
	uint64_t bytes_sent, bearer_elsewhere, foreign_calls;
	uint64_t calls_during_pause, pauses;
	int64_t pause_from_ms, pause_until_ms; /* wall clock */
	struct {
		char name[NAME_MAX_LEN];
		uint64_t n;
	} faults[FAULTS_MAX];
	size_t nfaults;
} s = {.last_list_ms = -1, .min_list_gap_ms = -1};

/* Who is in flight now; survives a reset. */
static struct {
	struct flight **list; /* owned array, borrowed elements */
	size_t n, cap;
	int64_t parallel[ROUTE_COUNT + 1];
} now;

const char *route_name(enum route route)
{
	static const char *const names[] = {"list", "detail", "binario", "texto", "other", "_sim"};
	return names[route];
}

void stats_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(&s, 0, sizeof s);
	memcpy(s.max_parallel, now.parallel, sizeof s.max_parallel);
	s.last_list_ms = s.min_list_gap_ms = -1;
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void leave(struct flight *f)
{
	if (!f->active)
		return;
	f->active = false;
	now.list[f->place] = now.list[--now.n];
	now.list[f->place]->place = f->place;
	now.parallel[f->route]--;
	now.parallel[ROUTE_COUNT]--;
}

/* A client that gave up an answer and asks again has closed the old connection first: look. */
static void leave_hung_up(void)
{
	for (size_t i = now.n; i-- > 0;) {
		struct pollfd p = {.fd = now.list[i]->fd, .events = POLLRDHUP};
		if (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
			leave(now.list[i]);
	}
}

static void enter(struct flight *f)
{
	if (now.parallel[f->route] + 1 > s.max_parallel[f->route] ||
	    now.parallel[ROUTE_COUNT] + 1 > s.max_parallel[ROUTE_COUNT])
		leave_hung_up();
	now.list = xgrow(now.list, now.n, &now.cap, sizeof(struct flight *));
	f->place = now.n;
	f->active = true;
	now.list[now.n++] = f;
	size_t both[] = {f->route, ROUTE_COUNT};
	for (size_t i = 0; i < 2; i++)
		if (++now.parallel[both[i]] > s.max_parallel[both[i]])
			s.max_parallel[both[i]] = now.parallel[both[i]];
}

void stats_begin(struct flight *f, enum route route, int fd, bool api, bool bearer, bool foreign)
{
	if (route == ROUTE_ADMIN)
		return;
	pthread_mutex_lock(&lock);
	int64_t mono = sys_mono_ms(), wall = sys_wall_ms();
	f->route = route;
	f->fd = fd;
	s.calls[route]++;
	enter(f);
	if (route == ROUTE_LIST) {
		if (s.last_list_ms >= 0 &&
		    (s.min_list_gap_ms < 0 || mono - s.last_list_ms < s.min_list_gap_ms))
			s.min_list_gap_ms = mono - s.last_list_ms;
		s.last_list_ms = mono;
	}
	s.bearer_elsewhere += bearer && (!api || foreign);
	s.foreign_calls += foreign;
	s.calls_during_pause += wall > s.pause_from_ms + GRACE_MS && wall < s.pause_until_ms;
	pthread_mutex_unlock(&lock);
}

void stats_end(struct flight *f)
{
	pthread_mutex_lock(&lock);
	leave(f);
	pthread_mutex_unlock(&lock);
}

void stats_bytes(uint64_t n)
{
	pthread_mutex_lock(&lock);
	s.bytes_sent += n;
	pthread_mutex_unlock(&lock);
}

void stats_status(int status)
{
	pthread_mutex_lock(&lock);
	s.status[status > 0 && status < STATUS_MAX ? status : 0]++;
	pthread_mutex_unlock(&lock);
}

void stats_fault(const char *name)
{
	pthread_mutex_lock(&lock);
	size_t i = 0;
	while (i < s.nfaults && strcmp(s.faults[i].name, name) != 0)
		i++;
	if (i == s.nfaults && i < FAULTS_MAX) {
		snprintf(s.faults[i].name, sizeof s.faults[i].name, "%s", name);
		s.nfaults++;
	}
	if (i < FAULTS_MAX)
		s.faults[i].n++;
	pthread_mutex_unlock(&lock);
}

void stats_pause(int64_t until_ms)
{
	pthread_mutex_lock(&lock);
	int64_t wall = sys_wall_ms();
	if (wall >= s.pause_until_ms) /* not while an older pause runs: that one began earlier */
		s.pause_from_ms = wall;
	if (until_ms > s.pause_until_ms)
		s.pause_until_ms = until_ms;
	s.pauses++;
	pthread_mutex_unlock(&lock);
}

static json_t *integer(uint64_t v)
{
	return json_integer((json_int_t)v);
}

json_t *stats_value(void)
{
	json_t *calls = json_object(), *status = json_object(), *faults = json_object();
	pthread_mutex_lock(&lock);
	for (int i = 0; i < ROUTE_COUNT; i++)
		json_object_set_new(calls, route_name((enum route)i), integer(s.calls[i]));
	for (int i = 0; i < STATUS_MAX; i++) {
		char key[16] = "none";
		if (i)
			snprintf(key, sizeof key, "%d", i);
		if (s.status[i])
			json_object_set_new(status, key, integer(s.status[i]));
	}
	for (size_t i = 0; i < s.nfaults; i++)
		json_object_set_new(faults, s.faults[i].name, integer(s.faults[i].n));
	json_t *o = json_pack("{s:o,s:o,s:o,s:{s:I,s:I},s:{s:I,s:I},s:I,s:o,s:o,s:o,s:o,s:o}",
			      "calls", calls, "status", status, "faults", faults, "max_parallel",
			      "total", (json_int_t)s.max_parallel[ROUTE_COUNT], "binario",
			      (json_int_t)s.max_parallel[ROUTE_BINARIO], "parallel", "total",
			      (json_int_t)now.parallel[ROUTE_COUNT], "binario",
			      (json_int_t)now.parallel[ROUTE_BINARIO], "min_list_gap_ms",
			      (json_int_t)s.min_list_gap_ms, "bytes_sent", integer(s.bytes_sent),
			      "bearer_elsewhere", integer(s.bearer_elsewhere), "foreign_calls",
			      integer(s.foreign_calls), "pauses", integer(s.pauses),
			      "calls_during_pause", integer(s.calls_during_pause));
	pthread_mutex_unlock(&lock);
	return o;
}
