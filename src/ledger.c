/*
 * ledger - a queue of writes and the thread that commits them in groups. Knows no table.
 */
#include "ledger.h"

#include "metrics.h"
#include "schema.h"
#include "sys.h"

#include <assert.h>
#include <pthread.h>

enum { GROUP_MAX = 512, WATCHERS_MAX = 4 };

struct ledger {
	struct db *db;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct write *head, **tail; /* submitted */
	bool stop;
	pthread_t thread;
	struct {
		ledger_watcher *fn;
		void *arg;
	} watchers[WATCHERS_MAX];
	size_t nwatchers;
};

/* ---- One group ---- */

static void fail_group(struct write *group, const struct err *e)
{
	for (struct write *w = group; w; w = w->next) {
		if (w->ok || w->err.kind == ERR_NONE)
			w->err = *e;
		w->ok = false;
	}
}

/* False, with *e, when the transaction itself is broken: by the database, not by the member. */
static bool run_one(struct db *db, struct write *w, struct err *e)
{
	size_t notes = db->nnotes;
	if (!db_exec(db, NULL, e, "SAVEPOINT member"))
		return false;
	w->ok = w->fn(db, w->arg, &w->err);
	if (!w->ok)
		db->nnotes = notes;
	if ((w->ok || db_exec(db, NULL, e, "ROLLBACK TO SAVEPOINT member")) &&
	    db_exec(db, NULL, e, "RELEASE SAVEPOINT member"))
		return true;
	if (!w->ok && w->err.kind == ERR_FAIL)
		*e = w->err; /* a full disk says more than the undoing that it broke */
	return false;
}

/* One transaction for the whole group. After it each member knows its fate. */
static void run_group(struct ledger *l, struct write *group)
{
	struct err e = {0};
	int64_t members = 0, started = sys_mono_us();
	if (!db_begin(l->db, &e)) {
		fail_group(group, &e);
		return;
	}
	for (struct write *w = group; w; w = w->next, members++) {
		if (run_one(l->db, w, &e))
			continue;
		db_rollback(l->db); /* nobody's write survives */
		fail_group(group, &e);
		return;
	}
	if (!db_commit(l->db, &e)) {
		for (struct write *w = group; w; w = w->next) {
			if (w->ok)
				w->err = e;
			w->ok = false;
		}
		return;
	}
	metric_add(METRIC_ledger_groups, 1);
	metric_add(METRIC_ledger_writes, members);
	metric_observe(HISTOGRAM_ledger_commit, NULL, (double)(sys_mono_us() - started) / 1e6);
	for (size_t i = 0; i < l->nwatchers && l->db->nnotes; i++)
		l->watchers[i].fn(l->watchers[i].arg, l->db->notes, l->db->nnotes);
}

/* ---- The thread ---- */

/* The first GROUP_MAX of the queue, as a list of their own; under the lock. */
static struct write *take_group(struct ledger *l)
{
	struct write *group = l->head, **end = &group;
	for (size_t n = 0; n < GROUP_MAX && *end; n++)
		end = &(*end)->next;
	l->head = *end;
	if (!l->head)
		l->tail = &l->head;
	*end = NULL;
	return group;
}

static void *ledger_main(void *arg)
{
	struct ledger *l = arg;
	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (!l->head && !l->stop)
			pthread_cond_wait(&l->work, &l->lock);
		if (!l->head)
			break;
		struct write *group = take_group(l);
		pthread_mutex_unlock(&l->lock);
		run_group(l, group);
		for (struct write *next; group; group = next) {
			next = group->next; /* its owner may free it at once */
			group->done(group);
		}
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* ---- For everybody ---- */

struct ledger *ledger_open(const char *url, struct err *e)
{
	struct db *db = db_open(url, DB_WRITE, e);
	if (!db)
		return NULL;
	if (!schema_migrate(db, NULL, e)) {
		db_close(db);
		return NULL;
	}
	struct ledger *l = xcalloc(1, sizeof *l);
	l->db = db;
	l->tail = &l->head;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->work, NULL);
	if (pthread_create(&l->thread, NULL, ledger_main, l) != 0)
		die("cannot start a thread");
	return l;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	db_close(l->db);
	pthread_cond_destroy(&l->work);
	pthread_mutex_destroy(&l->lock);
	xfree(l);
}

void ledger_watch(struct ledger *l, ledger_watcher *fn, void *arg)
{
	pthread_mutex_lock(&l->lock);
	assert(l->nwatchers < WATCHERS_MAX);
	l->watchers[l->nwatchers].fn = fn;
	l->watchers[l->nwatchers++].arg = arg;
	pthread_mutex_unlock(&l->lock);
}

struct db *ledger_db(struct ledger *l)
{
	return l->db;
}

void ledger_submit(struct ledger *l, struct write *w)
{
	w->ok = false;
	w->err = (struct err){0};
	w->next = NULL;
	pthread_mutex_lock(&l->lock);
	bool idle = !l->head;
	*l->tail = w;
	l->tail = &w->next;
	if (idle)
		pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
}

/* ---- Waiting for one's own ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t settled;
	bool done;
};

static void settle(struct write *w)
{
	struct waiter *me = w->owner;
	pthread_mutex_lock(&me->lock);
	me->done = true;
	pthread_cond_signal(&me->settled); /* under the lock: the waiter destroys both */
	pthread_mutex_unlock(&me->lock);
}

bool ledger_write(struct ledger *l, ledger_fn *fn, void *arg, struct err *e)
{
	struct waiter me = {.lock = PTHREAD_MUTEX_INITIALIZER, .settled = PTHREAD_COND_INITIALIZER};
	struct write w = {.fn = fn, .arg = arg, .done = settle, .owner = &me};
	ledger_submit(l, &w);
	pthread_mutex_lock(&me.lock);
	while (!me.done)
		pthread_cond_wait(&me.settled, &me.lock);
	pthread_mutex_unlock(&me.lock);
	pthread_cond_destroy(&me.settled);
	pthread_mutex_destroy(&me.lock);
	if (!w.ok && e)
		*e = w.err;
	return w.ok;
}
