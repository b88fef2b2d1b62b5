/*
 * Group commit: nobody hears "done" before the commit, a failing write is undone alone, and
 * whatever statement fails, a write is in the database as a whole or not at all. And the schema's
 * versions.
 */
#include "ledger.h"

#include "metrics.h"
#include "schema.h"
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

static bool faulty_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
		       struct db_rows *out, struct err *e)
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

static void make_faulty(struct ledger *l)
{
	static struct db_ops ops;
	ops = db_sqlite;
	ops.run = faulty_run;
	ledger_db(l)->ops = &ops;
	memset(&fault, 0, sizeof fault);
}

/* ---- Writes ---- */

static bool create_table(struct db *db, void *arg, struct err *e)
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
static bool insert_pair(struct db *db, void *arg, struct err *e)
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

static void write_item(struct ledger *l, struct item *w)
{
	w->err = (struct err){0};
	w->ok = ledger_write(l, insert_pair, w, &w->err);
}

static int64_t rows_of(struct db *db, const struct item *w)
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
static void check_fate(struct db *db, const struct item *w)
{
	assert_int_equal(rows_of(db, w), w->ok ? 2 : 0);
	if (!w->ok)
		assert_error(&w->err, w->err.kind == ERR_ABSENT ? ERR_ABSENT : ERR_FAIL);
}

static void open_ledger(struct room *r)
{
	struct err e = {0};
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->ledger = ledger_open(r->url, &e);
	assert_non_null(r->ledger);
	assert_true(ledger_write(r->ledger, create_table, NULL, &e));
}

static void close_ledger(struct room *r)
{
	ledger_close(r->ledger);
	scratch_remove(r->dir);
	database_drop(r->url);
}

static int setup(void **state)
{
	*state = xcalloc(1, sizeof(struct room));
	open_ledger(*state);
	return 0;
}

static int teardown(void **state)
{
	close_ledger(*state);
	xfree(*state);
	return 0;
}

/* ---- Alone ---- */

static void test_one_write(void **state)
{
	struct room *r = *state;
	struct item w = {.thread = 1, .n = 1};
	int64_t groups = metric_get(METRIC_ledger_groups);
	int64_t writes = metric_get(METRIC_ledger_writes);
	write_item(r->ledger, &w);
	assert_true(w.ok);
	check_fate(ledger_db(r->ledger), &w);
	assert_int_equal(metric_get(METRIC_ledger_groups), groups + 1);
	assert_int_equal(metric_get(METRIC_ledger_writes), writes + 1);
}

static void test_failing_write(void **state)
{
	struct room *r = *state;
	struct item bad = {.thread = 1, .n = 1, .fails = true}, good = {.thread = 1, .n = 2};
	write_item(r->ledger, &bad);
	assert_false(bad.ok);
	assert_error(&bad.err, ERR_ABSENT);
	assert_says(&bad.err, "member 1 gives up");
	check_fate(ledger_db(r->ledger), &bad);
	assert_false(ledger_write(r->ledger, insert_pair, &bad, NULL));
	write_item(r->ledger, &good);
	assert_true(good.ok);
	check_fate(ledger_db(r->ledger), &good);
}

static void test_refused_commit(void **state)
{
	struct room *r = *state;
	struct item bad = {.thread = 1, .n = 1, .orphan = true}, good = {.thread = 1, .n = 2};
	write_item(r->ledger, &bad);
	assert_false(bad.ok);
	assert_error(&bad.err, ERR_FAIL);
	assert_says(&bad.err, database_server ? "foreign key" : "FOREIGN KEY");
	check_fate(ledger_db(r->ledger), &bad);
	write_item(r->ledger, &good);
	assert_true(good.ok);
	check_fate(ledger_db(r->ledger), &good);
}

static void test_what_was_told_survives(void **state)
{
	struct room *r = *state;
	struct err e;
	struct item w = {.thread = 1, .n = 1};
	write_item(r->ledger, &w);
	ledger_close(r->ledger);
	r->ledger = ledger_open(r->url, &e);
	assert_non_null(r->ledger);
	check_fate(ledger_db(r->ledger), &w);
	if (!database_server) {
		assert_null(ledger_open(r->url, &e));
		assert_error(&e, ERR_BUSY);
	}
	ledger_close(NULL);
}

/* ---- In company ---- */

enum { THREADS = 16, WRITES = 200 };

struct writer {
	pthread_t thread;
	struct room *room;
	int64_t number;
	int told_true, told_false, unreadable, wrong;
};

/* cmocka's assertions belong to the main thread: what is wrong is counted. */
static void *write_many(void *arg)
{
	struct writer *me = arg;
	struct err e;
	struct db *reader = db_open(me->room->url, DB_READ, &e);
	for (int64_t n = 0; reader && n < WRITES; n++) {
		struct item w = {.thread = me->number, .n = n, .fails = n % 7 == 0};
		struct db_rows r;
		write_item(me->room->ledger, &w);
		*(w.ok ? &me->told_true : &me->told_false) += 1;
		me->wrong += w.ok == w.fails;
		if (!db_exec(reader, &r, &e, "SELECT COUNT(*) FROM t WHERE thread = $1 AND n = $2",
			     db_i(w.thread), db_i(w.n)) ||
		    db_int(&r, 0, 0) != (w.ok ? 2 : 0))
			me->unreadable++;
		db_rows_release(&r);
	}
	db_close(reader);
	return NULL;
}

static void test_many_threads(void **state)
{
	struct room *room = *state;
	struct writer w[THREADS];
	struct err e;
	struct db_rows r;
	int64_t groups = metric_get(METRIC_ledger_groups);
	int64_t writes = metric_get(METRIC_ledger_writes);
	const int fail_each = (WRITES + 6) / 7;
	/* Their look-ups stay cheap. */
	struct db *db = ledger_db(room->ledger);
	assert_true(db_run_once(db, "CREATE INDEX t_n ON t (thread, n)", &e));
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct writer){.room = room, .number = i};
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_many, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(w[i].wrong, 0);
		assert_int_equal(w[i].unreadable, 0);
		assert_int_equal(w[i].told_false, fail_each);
		assert_int_equal(w[i].told_true, WRITES - fail_each);
	}
	assert_true(db_exec(db, &r, &e, "SELECT COUNT(*), SUM(half) FROM t"));
	assert_int_equal(db_int(&r, 0, 0), 2 * THREADS * (WRITES - fail_each));
	assert_int_equal(db_int(&r, 0, 1), THREADS * (WRITES - fail_each));
	db_rows_release(&r);
	groups = metric_get(METRIC_ledger_groups) - groups;
	writes = metric_get(METRIC_ledger_writes) - writes;
	assert_int_equal(writes, THREADS * WRITES);
	assert_true(groups < (database_server ? writes : writes / 2));
}

/* A write that waits inside its transaction until the others have come, and so makes a group. */
struct gate {
	struct ledger *ledger;
	atomic_int inside, arrived;
	int expected;
};

static bool wait_inside(struct db *db, void *arg, struct err *e)
{
	struct gate *g = arg;
	(void)db;
	(void)e;
	atomic_fetch_add(&g->inside, 1);
	while (atomic_load(&g->arrived) < g->expected)
		sched_yield();
	for (int i = 0; i < 20000; i++) /* from there to the queue is a short way */
		sched_yield();
	return true;
}

static void *hold_gate(void *arg)
{
	struct gate *g = arg;
	struct err e;
	return ledger_write(g->ledger, wait_inside, g, &e) ? arg : NULL;
}

struct follower {
	pthread_t thread;
	struct gate *gate;
	struct item *item;
};

static void *follow(void *arg)
{
	struct follower *f = arg;
	atomic_fetch_add(&f->gate->arrived, 1);
	write_item(f->gate->ledger, f->item);
	return NULL;
}

/*
 * Writes the items from as many threads, most likely in one transaction. The fault_at-th statement
 * from the moment on when they are let go fails; 0 for none.
 */
static void write_together(struct ledger *l, struct item *items, int n, int64_t fault_at)
{
	struct gate g = {.ledger = l, .expected = n};
	struct follower f[8];
	pthread_t holder;
	assert_true(n <= 8);
	assert_int_equal(pthread_create(&holder, NULL, hold_gate, &g), 0);
	while (!atomic_load(&g.inside))
		sched_yield();
	fault.at = fault_at ? fault.runs + fault_at : 0;
	for (int i = 0; i < n; i++) {
		f[i] = (struct follower){.gate = &g, .item = &items[i]};
		assert_int_equal(pthread_create(&f[i].thread, NULL, follow, &f[i]), 0);
	}
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_join(f[i].thread, NULL), 0);
	assert_int_equal(pthread_join(holder, NULL), 0);
}

static bool one_group(const struct item *items, int n)
{
	for (int i = 1; i < n; i++)
		if (items[i].group != items[0].group)
			return false;
	return true;
}

/* Tries until the scheduler was kind; every try must be right. */
static void write_in_one_group(struct ledger *l, struct item *items, int n)
{
	for (int tries = 0; tries < 200; tries++) {
		for (int i = 0; i < n; i++)
			items[i].n += 100;
		write_together(l, items, n, 0);
		for (int i = 0; i < n; i++)
			check_fate(ledger_db(l), &items[i]);
		if (one_group(items, n))
			return;
	}
	print_error("no group of %d came together\n", n);
	assert_true(false);
}

static void test_failing_member_is_alone(void **state)
{
	struct room *r = *state;
	struct item items[5] = {{.thread = 1},
				{.thread = 2, .fails = true},
				{.thread = 3},
				{.thread = 4, .fails = true},
				{.thread = 5}};
	make_faulty(r->ledger);
	write_in_one_group(r->ledger, items, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(items[i].ok, !items[i].fails);
}

/* Nothing of a transaction that was not committed is told as done, to nobody. */
static void test_refused_commit_is_told_to_all(void **state)
{
	struct room *r = *state;
	struct item items[4] = {{.thread = 1},
				{.thread = 2, .orphan = true},
				{.thread = 3},
				{.thread = 4, .fails = true}};
	make_faulty(r->ledger);
	write_in_one_group(r->ledger, items, 4);
	for (int i = 0; i < 4; i++)
		assert_false(items[i].ok);
	for (int i = 0; i < 3; i++) {
		assert_error(&items[i].err, ERR_FAIL);
		assert_says(&items[i].err, database_server ? "foreign key" : "FOREIGN KEY");
	}
	assert_error(&items[3].err, ERR_ABSENT); /* its own error */
}

/*
 * A member gives up for its own reason (its lease is lost) and then the undoing breaks the
 * transaction. The others must hear that the database failed, not that their leases are lost.
 */
static void test_broken_undo(void **state)
{
	struct room *r = *state;
	struct item items[3] = {{.thread = 1}, {.thread = 2, .fails = true}, {.thread = 3}};
	make_faulty(r->ledger);
	fault.text = "ROLLBACK TO SAVEPOINT member";
	write_in_one_group(r->ledger, items, 3);
	for (int i = 0; i < 3; i++)
		assert_false(items[i].ok);
	assert_error(&items[0].err, ERR_FAIL);
	assert_error(&items[2].err, ERR_FAIL);
	assert_error(&items[1].err, ERR_ABSENT);
	fault.text = NULL;
	struct item w = {.thread = 9};
	write_item(r->ledger, &w);
	assert_true(w.ok);
	check_fate(ledger_db(r->ledger), &w);
}

/* ---- Torture: the first, the second, the third ... statement fails ---- */

static void torture_alone(bool from_then_on)
{
	for (int64_t at = 1;; at++) {
		struct room r;
		struct item items[3] = {{.n = 1}, {.n = 2, .fails = true}, {.n = 3}};
		open_ledger(&r);
		make_faulty(r.ledger);
		fault.at = at;
		fault.from_then_on = from_then_on;
		for (int i = 0; i < 3; i++)
			write_item(r.ledger, &items[i]);
		bool hit = fault.hit;
		/* What is in the file counts, not what this connection believes. */
		memset(&fault, 0, sizeof fault);
		ledger_close(r.ledger);
		struct err e;
		r.ledger = ledger_open(r.url, &e);
		assert_non_null(r.ledger);
		for (int i = 0; i < 3; i++)
			check_fate(ledger_db(r.ledger), &items[i]);
		assert_false(items[1].ok);
		assert_true(hit || (items[0].ok && items[2].ok));
		struct item later = {.n = 4};
		write_item(r.ledger, &later);
		assert_true(later.ok);
		close_ledger(&r);
		if (!hit)
			break;
	}
}

static void test_torture_once(void **state)
{
	(void)state;
	torture_alone(false);
}

static void test_torture_from_then_on(void **state)
{
	(void)state;
	torture_alone(true);
}

/* One failed statement costs at most its own group: the ledger goes on by itself. */
static void test_torture_goes_on(void **state)
{
	struct room *r = *state;
	bool hit = true;
	make_faulty(r->ledger);
	for (int64_t at = 1; hit; at++) {
		struct item items[2] = {{.thread = at, .n = 1}, {.thread = at, .n = 2}};
		memset(&fault, 0, sizeof fault);
		fault.at = at;
		write_item(r->ledger, &items[0]);
		hit = fault.hit;
		memset(&fault, 0, sizeof fault);
		write_item(r->ledger, &items[1]);
		assert_true(items[0].ok || hit);
		assert_true(items[1].ok);
		check_fate(ledger_db(r->ledger), &items[0]);
		check_fate(ledger_db(r->ledger), &items[1]);
	}
}

static void test_torture_together(void **state)
{
	struct room *r = *state;
	for (int64_t at = 1; at <= 40; at++) {
		struct item items[4] = {{.thread = 1, .n = at},
					{.thread = 2, .n = at, .fails = true},
					{.thread = 3, .n = at},
					{.thread = 4, .n = at}};
		make_faulty(r->ledger);
		write_together(r->ledger, items, 4, at);
		memset(&fault, 0, sizeof fault);
		for (int i = 0; i < 4; i++)
			check_fate(ledger_db(r->ledger), &items[i]);
		assert_false(items[1].ok);
	}
}

/* ---- Submitted, and told later ---- */

enum { GROUP = 512, MANY = 3 * GROUP + 7 };

struct async {
	struct write write;
	struct item item;
	struct db_note note; /* written down with the item; kind NOTE_ACCESS: none */
	atomic_int *left;
	atomic_int *clock;
	int told_at;
};

static bool insert_noted(struct db *db, void *arg, struct err *e)
{
	struct async *a = arg;
	if (a->note.kind != NOTE_ACCESS) {
		db_note(db, a->note);
		db_note(db, a->note);
	}
	return insert_pair(db, &a->item, e);
}

static void told(struct write *w)
{
	struct async *a = w->owner;
	a->item.ok = w->ok;
	a->item.err = w->err;
	a->told_at = a->clock ? atomic_fetch_add(a->clock, 1) : 0;
	atomic_fetch_sub(a->left, 1);
}

static void submit(struct ledger *l, struct async *a)
{
	a->write.fn = insert_noted;
	a->write.arg = a;
	a->write.done = told;
	a->write.owner = a;
	ledger_submit(l, &a->write);
}

static void wait_for(const atomic_int *left)
{
	while (atomic_load(left) > 0)
		sched_yield();
}

enum { LINKS = 2 }; /* connections that write to a server */

/*
 * Keeps the ledger busy, on each of its connections, until it is opened, so that what is submitted
 * meanwhile waits together.
 */
struct shut {
	struct gate gate;
	pthread_t holders[LINKS];
	int n;
};

static void shut_gate(struct shut *s, struct ledger *l)
{
	*s = (struct shut){.gate = {.ledger = l, .expected = 1},
			   .n = ledger_db(l)->ops->exclusive ? 1 : LINKS};
	for (int i = 0; i < s->n; i++) {
		/* One after the other: two that come together may go into one transaction. */
		assert_int_equal(pthread_create(&s->holders[i], NULL, hold_gate, &s->gate), 0);
		while (atomic_load(&s->gate.inside) <= i)
			sched_yield();
	}
}

static void open_gate(struct shut *s)
{
	atomic_store(&s->gate.arrived, 1);
	for (int i = 0; i < s->n; i++)
		assert_int_equal(pthread_join(s->holders[i], NULL), 0);
}

static int64_t pairs_in(struct db *db)
{
	struct db_rows r;
	struct err e;
	int64_t n = db_exec(db, &r, &e, "SELECT COUNT(*) FROM t") ? db_int(&r, 0, 0) / 2 : -1;
	db_rows_release(&r);
	return n;
}

static void test_submit(void **state)
{
	struct room *r = *state;
	struct shut gate;
	atomic_int left = MANY;
	struct async *a = xcalloc(MANY, sizeof *a);
	shut_gate(&gate, r->ledger);
	int64_t groups = metric_get(METRIC_ledger_groups);
	int64_t seen = metric_observations(HISTOGRAM_ledger_commit, NULL);
	for (int i = 0; i < MANY; i++) {
		a[i] = (struct async){.item = {.thread = i, .n = i, .fails = i % 5 == 0},
				      .note = {.kind = NOTE_ACCESS},
				      .left = &left};
		submit(r->ledger, &a[i]);
	}
	int untold = atomic_load(&left);
	open_gate(&gate); /* before anything fails: a ledger that is held cannot be closed */
	wait_for(&left);
	assert_int_equal(untold, MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(a[i].item.ok, !a[i].item.fails);
	assert_int_equal(pairs_in(ledger_db(r->ledger)), MANY - (MANY + 4) / 5);
	/* All that waited shares transactions of at most 512; the gate has one a connection. */
	struct err e;
	assert_true(ledger_write(r->ledger, insert_pair, &(struct item){.thread = -1}, &e));
	int64_t made = metric_get(METRIC_ledger_groups) - groups;
	assert_int_equal(made, gate.n + MANY / GROUP + 1 + 1);
	assert_int_equal(metric_observations(HISTOGRAM_ledger_commit, NULL) - seen, made);
	xfree(a);
}

/* A write may be submitted from where the one before it is told. */
struct chain {
	struct write write;
	struct ledger *ledger;
	struct item item;
	atomic_int left;
};

static void next_link(struct write *w)
{
	struct chain *c = w->owner;
	c->item.ok = w->ok;
	c->item.n++;
	if (atomic_fetch_sub(&c->left, 1) > 1)
		ledger_submit(c->ledger, w);
}

static void test_submit_when_told(void **state)
{
	struct room *r = *state;
	struct chain c = {.ledger = r->ledger, .left = 20, .item = {.thread = 1}};
	c.write = (struct write){.fn = insert_pair, .arg = &c.item, .done = next_link, .owner = &c};
	ledger_submit(r->ledger, &c.write);
	wait_for(&c.left);
	assert_true(c.item.ok);
	struct err e; /* the ledger has let go of the last one too */
	assert_true(ledger_write(r->ledger, insert_pair, &(struct item){.thread = 2}, &e));
	assert_int_equal(pairs_in(ledger_db(r->ledger)), 21);
}

static void test_close_runs_what_was_submitted(void **state)
{
	struct room *r = *state;
	struct err e;
	atomic_int left = MANY;
	struct async *a = xcalloc(MANY, sizeof *a);
	for (int i = 0; i < MANY; i++) {
		a[i] = (struct async){.item = {.thread = i, .n = i},
				      .note = {.kind = NOTE_ACCESS},
				      .left = &left};
		submit(r->ledger, &a[i]);
	}
	ledger_close(r->ledger);
	assert_int_equal(atomic_load(&left), 0);
	r->ledger = ledger_open(r->url, &e);
	assert_non_null(r->ledger);
	for (int i = 0; i < MANY; i++)
		assert_true(a[i].item.ok);
	assert_int_equal(pairs_in(ledger_db(r->ledger)), MANY);
	xfree(a);
}

/* ---- Watchers ---- */

struct watcher {
	struct db *reader; /* what others see at that moment */
	atomic_int *clock;
	struct db_note notes[64];
	size_t n;
	int calls, heard_at;
	int64_t pairs;
};

static void hear(void *arg, const struct db_note *notes, size_t n)
{
	struct watcher *w = arg;
	w->calls++;
	w->heard_at = atomic_fetch_add(w->clock, 1);
	w->pairs = pairs_in(w->reader);
	for (size_t i = 0; i < n && w->n < 64; i++)
		w->notes[w->n++] = notes[i];
}

static void watch(struct room *r, struct watcher *w, atomic_int *clock)
{
	struct err e;
	*w = (struct watcher){.reader = db_open(r->url, DB_READ, &e), .clock = clock};
	assert_non_null(w->reader);
	ledger_watch(r->ledger, hear, w);
}

/* Writes that wait together; an item with number n leaves the note (n, 10 n). */
static void submit_together(struct ledger *l, struct async *a, int n, atomic_int *clock)
{
	struct shut gate;
	atomic_int left = n;
	shut_gate(&gate, l);
	for (int i = 0; i < n; i++) {
		a[i].left = &left;
		a[i].clock = clock;
		a[i].note = (struct db_note){.kind = NOTE_CHANGED,
					     .process_id = a[i].item.n,
					     .job_id = 10 * a[i].item.n};
		submit(l, &a[i]);
	}
	open_gate(&gate);
	wait_for(&left);
}

static void test_watchers_hear_first(void **state)
{
	struct room *r = *state;
	atomic_int clock = 0;
	struct watcher w[2];
	struct async a[5] = {{.item = {.n = 1}},
			     {.item = {.n = 2, .fails = true}},
			     {.item = {.n = 2, .thread = 1}},
			     {.item = {.n = 3, .fails = true}},
			     {.item = {.n = 4}}};
	const int64_t kept[] = {1, 2, 4};
	for (int i = 0; i < 2; i++)
		watch(r, &w[i], &clock);
	submit_together(r->ledger, a, 5, &clock);
	for (int i = 0; i < 2; i++) {
		const struct db_note *heard = w[i].notes;
		assert_int_equal(w[i].calls, 1);
		assert_int_equal(w[i].heard_at, i); /* before anybody was told */
		assert_int_equal(w[i].pairs, 3);    /* and after the commit */
		/* What was undone left no note. */
		assert_int_equal(w[i].n, 3);
		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(heard[k].kind, NOTE_CHANGED);
			assert_int_equal(heard[k].process_id, kept[k]);
			assert_int_equal(heard[k].job_id, 10 * heard[k].process_id);
		}
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(a[i].told_at, 2 + i); /* in the order of asking */
	for (int i = 0; i < 2; i++)
		db_close(w[i].reader);
}

static void test_no_news_no_call(void **state)
{
	struct room *r = *state;
	atomic_int clock = 0;
	struct watcher w;
	struct async bad = {.item = {.n = 1, .fails = true}};
	struct item quiet = {.n = 2};
	watch(r, &w, &clock);
	submit_together(r->ledger, &bad, 1, &clock);
	write_item(r->ledger, &quiet);
	assert_true(quiet.ok);
	assert_int_equal(w.calls, 0);
	db_close(w.reader);
}

/* A transaction that came to nothing is no news, and its notes do not turn up later. */
static void test_no_news_of_a_failure(void **state)
{
	struct room *r = *state;
	atomic_int clock = 0;
	struct watcher w;
	struct async a[3] = {{.item = {.n = 1}}, {.item = {.n = 2, .orphan = true}}};
	watch(r, &w, &clock);
	submit_together(r->ledger, a, 2, &clock);
	for (int i = 0; i < 2; i++) {
		assert_false(a[i].item.ok);
		assert_says(&a[i].item.err, database_server ? "foreign key" : "FOREIGN KEY");
	}
	assert_int_equal(w.calls, 0);
	make_faulty(r->ledger);
	fault.text = "RELEASE SAVEPOINT member";
	a[0].item.n = 3;
	write_item(r->ledger, &a[0].item);
	assert_false(a[0].item.ok);
	memset(&fault, 0, sizeof fault);
	a[2].item.n = 4;
	submit_together(r->ledger, &a[2], 1, &clock);
	assert_int_equal(w.calls, 1);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.notes[0].process_id, 4);
	db_close(w.reader);
}

/* ---- The schema ---- */

static void test_migrate_twice(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int from = -1;
	struct db *db = ledger_db(r->ledger);
	assert_true(schema_version() >= 1);
	assert_true(schema_migrate(db, &from, &e));
	assert_int_equal(from, schema_version());
	assert_true(schema_migrate(db, NULL, &e));
	assert_true(schema_check(db, &e));
	struct db_rows rows;
	assert_true(db_exec(db, &rows, &e, "SELECT COUNT(*), MAX(version) FROM schema_version"));
	assert_int_equal(db_int(&rows, 0, 0), schema_version());
	assert_int_equal(db_int(&rows, 0, 1), schema_version());
	db_rows_release(&rows);
}

static void test_migrate_fresh(void **state)
{
	(void)state;
	char *dir = scratch_make(), *url = database_make(dir);
	struct err e = {0};
	int from = -1;
	struct db *db = db_open(url, DB_WRITE, &e);
	assert_non_null(db);
	assert_false(schema_check(db, &e)); /* no schema at all */
	assert_true(schema_migrate(db, &from, &e));
	assert_int_equal(from, 0);
	assert_true(schema_check(db, &e));
	static const char *const tables[] = {"SELECT id FROM process",
					     "SELECT call FROM answer",
					     "SELECT id FROM job",
					     "SELECT id FROM document",
					     "SELECT rank FROM document_ref",
					     "SELECT seq FROM event"};
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		assert_true(db_exec(db, NULL, &e, tables[i]));
	db_close(db);
	database_drop(url);
	scratch_remove(dir);
}

static void test_newer_version(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char own[20];
	snprintf(own, sizeof own, "%d", schema_version());
	assert_true(db_exec(ledger_db(r->ledger), NULL, &e,
			    "INSERT INTO schema_version (version, applied_ms) VALUES (777, 0)"));
	struct db *reader = db_open(r->url, DB_READ, &e);
	assert_non_null(reader);
	assert_false(schema_check(reader, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "777");
	assert_says(&e, own);
	db_close(reader);
	ledger_close(r->ledger);
	e = (struct err){0};
	r->ledger = ledger_open(r->url, &e);
	assert_null(r->ledger);
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "777");
	assert_says(&e, own);
	assert_says(&e, "newer");
}

static void test_older_version(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char own[20];
	snprintf(own, sizeof own, "%d", schema_version());
	assert_true(db_exec(ledger_db(r->ledger), NULL, &e, "DELETE FROM schema_version"));
	struct db *reader = db_open(r->url, DB_READ, &e);
	assert_non_null(reader);
	assert_false(schema_check(reader, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "version 0");
	assert_says(&e, own);
	assert_says(&e, "migrate");
	db_close(reader);
}

/* Wherever a migration fails, the next start makes it whole. */
static void test_migration_torture(void **state)
{
	(void)state;
	char *dir = scratch_make();
	struct db_ops ops = db_sqlite;
	bool ok = false;
	ops.run = faulty_run;
	for (int64_t at = 1; !ok; at++) {
		char *url = xasprintf("sqlite:%s/%d.db", dir, (int)at);
		struct err e = {0};
		struct db *db = db_open(url, DB_WRITE, &e);
		assert_non_null(db);
		db->ops = &ops;
		memset(&fault, 0, sizeof fault);
		fault.at = at;
		ok = schema_migrate(db, NULL, &e);
		assert_int_equal(ok, !fault.hit);
		if (!ok)
			assert_error(&e, ERR_FAIL);
		assert_false(db->in_transaction);
		memset(&fault, 0, sizeof fault);
		assert_true(schema_migrate(db, NULL, &e));
		assert_true(schema_check(db, &e));
		db_close(db);
		xfree(url);
	}
	scratch_remove(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_one_write),
		TEST(test_failing_write),
		TEST(test_refused_commit),
		TEST(test_what_was_told_survives),
		TEST(test_many_threads),
		TEST(test_submit),
		TEST(test_submit_when_told),
		TEST(test_close_runs_what_was_submitted),
		TEST(test_no_news_no_call),
		TEST(test_migrate_twice),
		cmocka_unit_test(test_migrate_fresh),
		TEST(test_newer_version),
		TEST(test_older_version),
	};
	/* These are about the one connection; what breaks a server's is in test_db_pg. */
	const struct CMUnitTest faults[] = {
		TEST(test_watchers_hear_first),
		TEST(test_failing_member_is_alone),
		TEST(test_no_news_of_a_failure),
		TEST(test_refused_commit_is_told_to_all),
		TEST(test_broken_undo),
		cmocka_unit_test(test_torture_once),
		cmocka_unit_test(test_torture_from_then_on),
		TEST(test_torture_goes_on),
		TEST(test_torture_together),
		cmocka_unit_test(test_migration_torture),
	};
	int failed = cmocka_run_group_tests_name("faults", faults, NULL, NULL);
	return failed + database_run(tests);
}
