/*
 * ledgers - what the unit tests of group commit share: a ledger on a database of its own, writes of
 * two rows that are there both or not at all, a driver that fails where it is told to, and a write
 * that holds the ledger up, so that others wait together.
 */
#ifndef AUTOS_LEDGERS_H
#define AUTOS_LEDGERS_H

#include "ledger.h"

#include "database.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct room {
	char *dir, *url;
	struct ledger *ledger;
};

/* ---- A driver that fails where it is told to ---- */

static struct {
	int64_t at;        /* the n-th statement from now fails, 0 = none */
	bool from_then_on; /* and all after it */
	const char *text;  /* or: each statement of this text fails */
	int64_t runs;
	int64_t groups; /* transactions begun */
	bool hit;
} fault;

static inline bool faulty_run(struct db *db, const char *sql, const struct db_value *args,
			      size_t nargs, struct db_rows *out, struct err *e)
{
	fault.runs++;
	if (strcmp(sql, "BEGIN") == 0)
		fault.groups++;
	bool now = fault.text ? strcmp(sql, fault.text) == 0
			      : fault.at && (fault.runs == fault.at ||
					     (fault.from_then_on && fault.runs > fault.at));
	if (now) {
		fault.hit = true;
		return fail(e, ERR_FAIL, "injected");
	}
	return db_sqlite.run(db, sql, args, nargs, out, e);
}

static inline void make_faulty(struct ledger *l)
{
	static struct db_ops ops;
	ops = db_sqlite;
	ops.run = faulty_run;
	ledger_db(l)->ops = &ops;
	memset(&fault, 0, sizeof fault);
}

/* ---- Writes ---- */

static inline bool create_table(struct db *db, void *arg, struct err *e)
{
	(void)arg;
	return db_exec(db, NULL, e,
		       "CREATE TABLE t (thread BIGINT NOT NULL, n BIGINT NOT NULL, half BIGINT NOT "
		       "NULL)") &&
	       db_exec(db, NULL, e, "CREATE TABLE parent (id BIGINT PRIMARY KEY)") &&
	       db_exec(db, NULL, e,
		       "CREATE TABLE child (p BIGINT REFERENCES parent(id) DEFERRABLE INITIALLY "
		       "DEFERRED)");
}

struct item {
	int64_t thread, n;
	bool fails, orphan; /* orphan: the commit will be refused */
	int64_t group;      /* out: the transaction it ran in */
	bool ok;            /* out */
	struct err err;     /* out */
};

/* Two rows, or none. */
static inline bool insert_pair(struct db *db, void *arg, struct err *e)
{
	struct item *w = arg;
	w->group = fault.groups;
	for (int64_t half = 0; half < 2; half++) {
		if (!db_exec(db, NULL, e, "INSERT INTO t (thread, n, half) VALUES ($1, $2, $3)",
			     db_i(w->thread), db_i(w->n), db_i(half)))
			return false;
		if (w->fails)
			return fail(e, ERR_ABSENT, "member %lld gives up", (long long)w->n);
	}
	return !w->orphan || db_exec(db, NULL, e, "INSERT INTO child VALUES (99)");
}

static inline void write_item(struct ledger *l, struct item *w)
{
	w->err = (struct err){0};
	w->ok = ledger_write(l, insert_pair, w, &w->err);
}

static inline int64_t rows_of(struct db *db, const struct item *w)
{
	struct db_rows r;
	struct err e;
	assert_true(db_exec(db, &r, &e, "SELECT COUNT(*) FROM t WHERE thread = $1 AND n = $2",
			    db_i(w->thread), db_i(w->n)));
	int64_t n = db_int(&r, 0, 0);
	db_rows_release(&r);
	return n;
}

/* Ok means both rows, not ok means none and an error. */
static inline void check_fate(struct db *db, const struct item *w)
{
	assert_int_equal(rows_of(db, w), w->ok ? 2 : 0);
	if (!w->ok)
		assert_error(&w->err, w->err.kind == ERR_ABSENT ? ERR_ABSENT : ERR_FAIL);
}

static inline void open_ledger(struct room *r)
{
	struct err e = {0};
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->ledger = ledger_open(r->url, &e);
	assert_non_null(r->ledger);
	assert_true(ledger_write(r->ledger, create_table, NULL, &e));
}

static inline void close_ledger(struct room *r)
{
	ledger_close(r->ledger);
	scratch_remove(r->dir);
	database_drop(r->url);
}

static inline int setup(void **state)
{
	*state = xcalloc(1, sizeof(struct room));
	open_ledger(*state);
	return 0;
}

static inline int teardown(void **state)
{
	close_ledger(*state);
	xfree(*state);
	return 0;
}

/* ---- Company ---- */

enum { LINKS = 2 }; /* connections that write to a server */

/*
 * Keeps the ledger busy, on each of its connections, until it is opened, so that what is submitted
 * meanwhile waits together: what fits goes into one transaction, in this order.
 */
struct gate {
	struct ledger *ledger;
	atomic_int inside;
	atomic_bool open;
	pthread_t holders[LINKS];
	int n;
};

static inline bool wait_inside(struct db *db, void *arg, struct err *e)
{
	struct gate *g = arg;
	(void)db;
	(void)e;
	atomic_fetch_add(&g->inside, 1);
	while (!atomic_load(&g->open))
		sched_yield();
	return true;
}

static inline void *hold_gate(void *arg)
{
	struct gate *g = arg;
	struct err e;
	return ledger_write(g->ledger, wait_inside, g, &e) ? arg : NULL;
}

static inline void shut_gate(struct gate *g, struct ledger *l)
{
	*g = (struct gate){.ledger = l, .n = ledger_db(l)->ops->exclusive ? 1 : LINKS};
	for (int i = 0; i < g->n; i++) {
		/* One after the other: two that come together may go into one transaction. */
		assert_int_equal(pthread_create(&g->holders[i], NULL, hold_gate, g), 0);
		while (atomic_load(&g->inside) <= i)
			sched_yield();
	}
}

static inline void open_gate(struct gate *g)
{
	atomic_store(&g->open, true);
	for (int i = 0; i < g->n; i++)
		assert_int_equal(pthread_join(g->holders[i], NULL), 0);
}

static inline void wait_for(const atomic_int *left)
{
	while (atomic_load(left) > 0)
		sched_yield();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
