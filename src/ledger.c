/*
 * ledger - a queue of writes and the threads that commit them in groups, each on a connection of
 * its own. Knows no table.
 */
#include "ledger.h"

#include "change.h"
#include "metrics.h"
#include "schema.h"
#include "sys.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>

enum {
	GROUP_MAX = 512,
	WATCHERS_MAX = 6,
	LINKS_MAX = 2,       /* to a database that many may write to */
	AGAIN_MS = 50,       /* before a group that could not be helped is run again */
	DOUBT_MS = 500,      /* between questions what became of a group */
	PATIENCE_MS = 10000, /* so long a database may be away before writes fail */
};

/* A connection that writes, and its thread. */
struct link {
	struct ledger *ledger;
	struct db *db;
	pthread_t thread;
	int64_t away_since; /* monotonic; 0 = it is there */
};

struct ledger {
	struct link links[LINKS_MAX];
	size_t nlinks;
	char owner[LEDGER_OWNER];
	pthread_mutex_t lock;
	pthread_cond_t work, quiet;
	struct write *head, **tail; /* submitted */
	size_t running;             /* groups */
	bool stop;
	pthread_mutex_t telling; /* watchers hear one commit after the other */
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
	w->err = (struct err){0};
	w->ok = w->fn(db, w->arg, &w->err);
	if (!w->ok) {
		db->nnotes = notes;
		if (db->out_of_time && !db->lazy) {
			db->transient = false; /* it is to blame, and no other */
			w->err.kind = ERR_FAIL;
		}
		if (db->transient || db->lazy)
			*e = w->err;
		if (db->transient || (db->lazy && w->err.kind == ERR_FAIL))
			return false; /* it, or a statement sent before, was refused */
	}
	if ((w->ok || db_exec(db, NULL, e, "ROLLBACK TO SAVEPOINT member")) &&
	    db_exec(db, NULL, e, "RELEASE SAVEPOINT member"))
		return true;
	if (!w->ok && w->err.kind == ERR_FAIL)
		*e = w->err; /* a full disk says more than the undoing that it broke */
	return false;
}

/* One transaction for the whole group. After it each member knows its fate. */
static bool attempt(struct db *db, const char *owner, struct write *group, struct err *e)
{
	for (struct write *w = group; w; w = w->next) {
		w->ok = false;
		w->err = (struct err){0};
	}
	if (!db_begin(db, e)) {
		fail_group(group, e);
		return false;
	}
	for (struct write *w = group; w; w = w->next) {
		if (run_one(db, w, e))
			continue;
		db_rollback(db); /* nobody's write survives */
		fail_group(group, e);
		return false;
	}
	bool ok = db->ops->exclusive || !db->nnotes || change_write(db, owner, e);
	if (!ok) {
		db_rollback(db);
		fail_group(group, e);
		return false;
	}
	if (db_commit(db, e))
		return true;
	for (struct write *w = group; w; w = w->next) {
		if (w->ok)
			w->err = *e;
		w->ok = false;
	}
	return false;
}

/* Whether a group whose transaction broke is to be run again, for the n-th time. */
static bool goes_on(struct link *l, int n)
{
	struct db *db = l->db;
	int64_t now = sys_mono_ms();
	if (db->doubt)
		return false; /* it may have been committed */
	if (db->lazy && (!db->transient || db->out_of_time)) {
		db->lazy = false; /* now one by one: who is to blame is seen */
		return true;
	}
	if (!db->transient)
		return false;
	if (!l->away_since)
		l->away_since = now;
	if (now - l->away_since >= PATIENCE_MS)
		return false;
	poll(NULL, 0, (int)sys_random_below(AGAIN_MS << (n < 3 ? n : 3)) + 1);
	return true;
}

/* True: a transaction of it was committed, whatever became of each member. */
static bool settle_group(struct link *l, struct write *group)
{
	struct err e = {0};
	l->db->lazy = !l->db->ops->exclusive;
	for (int n = 0; !attempt(l->db, l->ledger->owner, group, &e); n++)
		if (!goes_on(l, n)) {
			/* Whoever waits is to hear of our trouble, not that others are busy. */
			for (struct write *w = group; l->db->transient && w; w = w->next)
				w->err.kind = ERR_FAIL;
			return false;
		}
	l->away_since = 0;
	return true;
}

static void run_group(struct link *l, struct write *group)
{
	struct ledger *g = l->ledger;
	int64_t members = 0, started = sys_mono_us();
	if (!settle_group(l, group))
		return;
	for (struct write *w = group; w; w = w->next)
		members++;
	metric_add(METRIC_ledger_groups, 1);
	metric_add(METRIC_ledger_writes, members);
	metric_observe(HISTOGRAM_ledger_commit, NULL, (double)(sys_mono_us() - started) / 1e6);
	if (l->db->nnotes)
		ledger_tell(g, l->db->notes, l->db->nnotes);
}

/*
 * It is not known whether the last group was committed, and its members were told so. Nothing more
 * is written before it is known; then everything counts as changed.
 */
static void settle_doubt(struct link *l)
{
	const struct db_note any = {.kind = NOTE_ANY};
	struct err ignored;
	bool stop = false;
	if (!l->db->doubt)
		return;
	ledger_tell(l->ledger, &any, 1);
	while (!stop && !l->db->ops->settle(l->db, &ignored)) {
		poll(NULL, 0, DOUBT_MS);
		pthread_mutex_lock(&l->ledger->lock);
		stop = l->ledger->stop;
		pthread_mutex_unlock(&l->ledger->lock);
	}
	ledger_tell(l->ledger, &any, 1);
}

/* ---- The threads ---- */

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

static void *link_main(void *arg)
{
	struct link *me = arg;
	struct ledger *l = me->ledger;
	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (!l->head && !l->stop)
			pthread_cond_wait(&l->work, &l->lock);
		if (!l->head)
			break;
		struct write *group = take_group(l);
		l->running++;
		pthread_mutex_unlock(&l->lock);
		run_group(me, group);
		for (struct write *next; group; group = next) {
			next = group->next; /* its owner may free it at once */
			group->done(group);
		}
		settle_doubt(me);
		pthread_mutex_lock(&l->lock);
		if (--l->running == 0 && !l->head)
			pthread_cond_broadcast(&l->quiet);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* ---- For everybody ---- */

/* As many connections as the database bears writers; the first one migrates. */
static bool open_links(struct ledger *l, const char *url, struct err *e)
{
	size_t most = 1;
	for (; l->nlinks < most; l->nlinks++) {
		struct link *k = &l->links[l->nlinks];
		k->ledger = l;
		k->db = db_open(url, DB_WRITE, e);
		if (!k->db)
			return false;
		if (l->nlinks == 0 && !schema_migrate(k->db, NULL, e)) {
			db_close(k->db);
			return false;
		}
		k->db->marks = !k->db->ops->exclusive;
		if (k->db->marks)
			most = LINKS_MAX;
	}
	return true;
}

struct ledger *ledger_open(const char *url, struct err *e)
{
	struct ledger *l = xcalloc(1, sizeof *l);
	sys_random_hex(l->owner, sizeof l->owner - 1);
	if (!open_links(l, url, e)) {
		for (size_t i = 0; i < l->nlinks; i++)
			db_close(l->links[i].db);
		xfree(l);
		return NULL;
	}
	l->tail = &l->head;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->telling, NULL);
	pthread_cond_init(&l->work, NULL);
	pthread_cond_init(&l->quiet, NULL);
	for (size_t i = 0; i < l->nlinks; i++)
		if (pthread_create(&l->links[i].thread, NULL, link_main, &l->links[i]) != 0)
			die("cannot start a thread");
	return l;
}

void ledger_flush(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->head || l->running)
		pthread_cond_wait(&l->quiet, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < l->nlinks; i++)
		pthread_join(l->links[i].thread, NULL);
	for (size_t i = 0; i < l->nlinks; i++)
		db_close(l->links[i].db);
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->quiet);
	pthread_mutex_destroy(&l->telling);
	pthread_mutex_destroy(&l->lock);
	xfree(l);
}

void ledger_watch(struct ledger *l, ledger_watcher *fn, void *arg)
{
	pthread_mutex_lock(&l->telling);
	assert(l->nwatchers < WATCHERS_MAX);
	l->watchers[l->nwatchers].fn = fn;
	l->watchers[l->nwatchers++].arg = arg;
	pthread_mutex_unlock(&l->telling);
}

void ledger_tell(struct ledger *l, const struct db_note *notes, size_t n)
{
	pthread_mutex_lock(&l->telling);
	for (size_t i = 0; i < l->nwatchers; i++)
		l->watchers[i].fn(l->watchers[i].arg, notes, n);
	pthread_mutex_unlock(&l->telling);
}

const char *ledger_owner(const struct ledger *l)
{
	return l->owner;
}

struct db *ledger_db(struct ledger *l)
{
	return l->links[0].db;
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
