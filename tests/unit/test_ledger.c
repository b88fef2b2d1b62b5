/*
 * Group commit: nobody hears "done" before the commit, what was told survives, a write that fails
 * leaves nothing, and writes of many threads share transactions.
 */
#include "ledgers.h"

#include "metrics.h"

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

/* ---- Many at once ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_write),      TEST(test_failing_write),
		TEST(test_refused_commit), TEST(test_what_was_told_survives),
		TEST(test_many_threads),
	};
	return database_run(tests);
}
