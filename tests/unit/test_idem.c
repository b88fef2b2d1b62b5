/*
 * Idempotency keys: one request runs, its repetitions get its answer, for a day.
 */
#include "idem.h"

#include "schema.h"
#include "database.h"

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

struct room {
	char *dir, *url;
	struct db *db;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
	assert_true(schema_migrate(r->db, NULL, &e));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	scratch_remove(r->dir);
	database_drop(r->url);
	xfree(r);
	return 0;
}

static enum idem_found begin(struct db *db, int64_t user, const char *key, const char *print,
			     int64_t now)
{
	enum idem_found found;
	struct idem_answer a;
	struct err e;
	assert_true(idem_begin(db, user, key, print, now, &found, &a, &e));
	if (found != IDEM_DONE) {
		assert_null(a.location);
		assert_null(a.body);
	}
	idem_answer_release(&a);
	idem_answer_release(&a);
	return found;
}

static void test_once(void **state)
{
	struct db *db = ((struct room *)*state)->db;
	struct err e;
	enum idem_found found;
	struct idem_answer a;
	assert_int_equal(begin(db, 1, "k", ONE, 1000), IDEM_NEW);
	assert_int_equal(begin(db, 1, "k", ONE, 1001), IDEM_RUNNING);
	assert_int_equal(begin(db, 1, "k", TWO, 1001), IDEM_OTHER);
	assert_int_equal(begin(db, 2, "k", TWO, 1001), IDEM_NEW); /* another's key */
	assert_int_equal(begin(db, 1, "K", TWO, 1001), IDEM_NEW);
	assert_true(idem_end(db, 1, "k", 202, "/x/1", "{\"a\":1}", &e));
	assert_true(idem_begin(db, 1, "k", ONE, 2000, &found, &a, &e));
	assert_int_equal(found, IDEM_DONE);
	assert_int_equal(a.status, 202);
	assert_string_equal(a.location, "/x/1");
	assert_string_equal(a.body, "{\"a\":1}");
	idem_answer_release(&a);
	assert_int_equal(begin(db, 1, "k", TWO, 2000), IDEM_OTHER);
	assert_int_equal(begin(db, 2, "k", TWO, 2000), IDEM_RUNNING);
	/* Without a place and a body. */
	assert_true(idem_end(db, 2, "k", 204, NULL, NULL, &e));
	assert_true(idem_begin(db, 2, "k", TWO, 2000, &found, &a, &e));
	assert_int_equal(found, IDEM_DONE);
	assert_int_equal(a.status, 204);
	assert_null(a.location);
	assert_string_equal(a.body, "");
	idem_answer_release(&a);
}

static void test_age(void **state)
{
	struct db *db = ((struct room *)*state)->db;
	struct err e;
	assert_int_equal(begin(db, 1, "k", ONE, 1000), IDEM_NEW);
	assert_true(idem_end(db, 1, "k", 200, NULL, "x", &e));
	assert_int_equal(begin(db, 1, "k", ONE, 1000 + IDEM_KEPT_MS - 1), IDEM_DONE);
	assert_int_equal(begin(db, 1, "k", TWO, 1000 + IDEM_KEPT_MS), IDEM_NEW);
	assert_int_equal(begin(db, 1, "k", TWO, 1000 + IDEM_KEPT_MS), IDEM_RUNNING);
}

static int64_t rows(struct db *db)
{
	struct err e;
	struct db_rows r;
	assert_true(db_exec(db, &r, &e, "SELECT COUNT(*) FROM idempotency"));
	int64_t n = db_int(&r, 0, 0);
	db_rows_release(&r);
	return n;
}

/* An answer that was never written down does not hold its key for a day. */
static void test_lost_answer(void **state)
{
	struct db *db = ((struct room *)*state)->db;
	assert_int_equal(begin(db, 1, "k", ONE, 1000), IDEM_NEW);
	assert_int_equal(begin(db, 1, "k", ONE, 999 + IDEM_RUNS_MS), IDEM_RUNNING);
	assert_int_equal(begin(db, 1, "k", ONE, 1000 + IDEM_RUNS_MS), IDEM_NEW);
	assert_int_equal(begin(db, 1, "k", ONE, 1001 + IDEM_RUNS_MS), IDEM_RUNNING);
}

static void test_drop_and_sweep(void **state)
{
	struct db *db = ((struct room *)*state)->db;
	struct err e;
	begin(db, 1, "a", ONE, 1000);
	begin(db, 1, "b", ONE, 1000);
	assert_true(idem_end(db, 1, "b", 200, NULL, "x", &e));
	assert_true(idem_drop(db, 1, "a", &e));
	assert_true(idem_drop(db, 1, "b", &e)); /* an answer that was given stays */
	assert_int_equal(begin(db, 1, "a", TWO, 1500), IDEM_NEW);
	assert_int_equal(begin(db, 1, "b", ONE, 1500), IDEM_DONE);
	begin(db, 1, "c", ONE, 1600);
	assert_true(idem_drop_running(db, &e));
	assert_int_equal(rows(db), 1);
	begin(db, 1, "c", ONE, 2000);
	assert_true(idem_sweep(db, 1000 + IDEM_KEPT_MS - 1, &e));
	assert_int_equal(rows(db), 2);
	assert_true(idem_sweep(db, 1000 + IDEM_KEPT_MS, &e));
	assert_int_equal(rows(db), 1);
	assert_int_equal(begin(db, 1, "c", ONE, 2000), IDEM_RUNNING);
}

/* Undone with the change that it protects. */
static void test_undone(void **state)
{
	struct db *db = ((struct room *)*state)->db;
	struct err e;
	assert_true(db_begin(db, &e));
	assert_int_equal(begin(db, 1, "k", ONE, 1000), IDEM_NEW);
	db_rollback(db);
	assert_int_equal(begin(db, 1, "k", TWO, 1000), IDEM_NEW);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_once),           TEST(test_age),    TEST(test_lost_answer),
		TEST(test_drop_and_sweep), TEST(test_undone),
	};
	return database_run(tests);
}
