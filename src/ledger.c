/*
 * ledger - leader and followers around one connection. Knows no table.
 */
#include "ledger.h"

#include "metrics.h"
#include "schema.h"
#include "sys.h"

#include <pthread.h>

struct write {
	ledger_fn *fn;
	void *arg;
	struct err err;
	bool ok, done;
	struct write *next;
};

struct ledger {
	struct db *db;
	pthread_mutex_t lock;
	pthread_cond_t settled;     /* a group was committed, or the leader's place is free */
	struct write *head, **tail; /* the group that is forming */
	bool leading;
};

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
	pthread_cond_init(&l->settled, NULL);
	return l;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	db_close(l->db);
	pthread_cond_destroy(&l->settled);
	pthread_mutex_destroy(&l->lock);
	xfree(l);
}

struct db *ledger_db(struct ledger *l)
{
	return l->db;
}

static void fail_all(struct write *group, const struct err *e)
{
	for (struct write *w = group; w; w = w->next) {
		if (w->ok)
			w->err = *e;
		w->ok = false;
	}
}

/* False, with *e, when the transaction itself is broken: by the database, not by the member. */
static bool run_one(struct db *db, struct write *w, struct err *e)
{
	if (!db_exec(db, NULL, e, "SAVEPOINT member"))
		return false;
	w->ok = w->fn(db, w->arg, &w->err);
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
	int64_t members = 0;
	if (!db_begin(l->db, &e)) {
		for (struct write *w = group; w; w = w->next)
			w->err = e;
		return;
	}
	for (struct write *w = group; w; w = w->next, members++) {
		if (run_one(l->db, w, &e))
			continue;
		db_rollback(l->db); /* nobody's write survives */
		for (struct write *all = group; all; all = all->next) {
			if (all->ok || all->err.kind == ERR_NONE)
				all->err = e;
			all->ok = false;
		}
		return;
	}
	if (!db_commit(l->db, &e)) {
		fail_all(group, &e);
		return;
	}
	metric_add(METRIC_ledger_groups, 1);
	metric_add(METRIC_ledger_writes, members);
}

bool ledger_write(struct ledger *l, ledger_fn *fn, void *arg, struct err *e)
{
	struct write me = {.fn = fn, .arg = arg};
	pthread_mutex_lock(&l->lock);
	*l->tail = &me;
	l->tail = &me.next;
	while (!me.done) {
		if (l->leading) {
			pthread_cond_wait(&l->settled, &l->lock);
			continue;
		}
		struct write *group = l->head;
		l->head = NULL;
		l->tail = &l->head;
		l->leading = true;
		pthread_mutex_unlock(&l->lock);
		run_group(l, group);
		pthread_mutex_lock(&l->lock);
		l->leading = false;
		for (struct write *w = group, *next; w; w = next) {
			next = w->next; /* w is gone as soon as its owner sees `done` */
			w->done = true;
		}
		pthread_cond_broadcast(&l->settled);
	}
	pthread_mutex_unlock(&l->lock);
	if (!me.ok && e)
		*e = me.err;
	return me.ok;
}
