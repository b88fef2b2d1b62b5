/*
 * Keys of idempotency: the same again, while it runs, for something else, many at once; and writes
 * that fail, which spend no key and leave nothing.
 */
#include "calls.h"

#include <stdatomic.h>

#define KEYS "/api/v1/users/1/keys"
#define LABEL "{\"label\":\"x\"}"

/* ---- A database that fails when it is told to ---- */

static struct {
	_Atomic(const char *) text; /* statements that begin so fail */
	struct db_ops ops;
} fault;

static bool faulty_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
		       struct db_rows *out, struct err *e)
{
	const char *text = atomic_load(&fault.text);
	if (text && strncmp(sql, text, strlen(text)) == 0)
		return fail(e, ERR_FAIL, "the disk says hunter2");
	return db_sqlite.run(db, sql, args, nargs, out, e);
}

static int begin_faulty(void **state)
{
	begin(state);
	fault.ops = db_sqlite;
	fault.ops.run = faulty_run;
	atomic_store(&fault.text, NULL);
	ledger_db(rig.ledger)->ops = &fault.ops;
	return 0;
}

static int64_t count(const char *sql)
{
	struct db_rows r;
	struct err e;
	struct db *db = db_open(rig.config.database_url, DB_READ, &e);
	assert_non_null(db);
	assert_true(db_run(db, sql, NULL, 0, &r, &e));
	int64_t n = db_int(&r, 0, 0);
	db_rows_release(&r);
	db_close(db);
	return n;
}

/* ---- Idempotency-Key ---- */

static struct rig_answer with_key(const char *target, const char *key, const char *body,
				  const char *idem)
{
	return rig_ask_with(&rig, "POST", target, key, body, "Idempotency-Key", idem);
}

static void test_the_same_again(void **state)
{
	(void)state;
	int64_t keys = count("SELECT COUNT(*) FROM api_key");
	struct rig_answer a = with_key(KEYS, admin, LABEL, "one");
	struct rig_answer b = with_key(KEYS, admin, LABEL, "\"one\"");
	assert_int_equal(a.status, 200);
	assert_int_equal(b.status, 200);
	assert_null(rig_header(&a, "Idempotency-Replayed"));
	assert_string_equal(rig_header(&b, "Idempotency-Replayed"), "true");
	assert_int_equal(rig_int(&b, "key/id"), rig_int(&a, "key/id"));
	assert_true(rig_int(&a, "key/id") > 0);
	/* What is shown once is not kept. */
	assert_true(*rig_text(&a, "api_key"));
	assert_true(json_is_null(rig_get(&b, "api_key")));
	assert_null(strstr(b.text, rig_text(&a, "api_key")));
	char *kept = xasprintf("SELECT COUNT(*) FROM idempotency WHERE instr(body, '%s')",
			       rig_text(&a, "api_key"));
	assert_int_equal(count(kept), 0);
	xfree(kept);
	assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys + 1);
	rig_drop(&a);
	rig_drop(&b);
}

static void test_for_something_else(void **state)
{
	(void)state;
	struct rig_answer a = with_key(KEYS, admin, LABEL, "two");
	int64_t keys = count("SELECT COUNT(*) FROM api_key");
	struct rig_answer b = with_key(KEYS, admin, "{\"label\":\"y\"}", "two");
	struct rig_answer c = with_key("/api/v1/users/2/keys", admin, LABEL, "two");
	struct rig_answer d = with_key(KEYS "?x=1", admin, LABEL, "two");
	assert_int_equal(a.status, 200);
	is_problem(&b, 422, "key-reused");
	is_problem(&c, 422, "key-reused");
	is_problem(&d, 422, "key-reused");
	assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys);
	/* Another user's keys are that user's. */
	struct rig_answer e = with_key(KEYS, other, LABEL, "two");
	assert_int_equal(e.status, 200);
	assert_null(rig_header(&e, "Idempotency-Replayed"));
	rig_drop(&a);
	rig_drop(&b);
	rig_drop(&c);
	rig_drop(&d);
	rig_drop(&e);
}

static void test_while_it_runs(void **state)
{
	(void)state;
	struct slow s;
	assert_int_equal(slow_begin(&s, "POST", KEYS, LABEL, "Idempotency-Key", "three"),
			 API_SLEEP);
	api_launch(s.call); /* the key is made; the answer is not */
	rig_await(&s.bell);
	struct rig_answer b = with_key(KEYS, admin, LABEL, "three");
	is_problem(&b, 409, "request-running");
	assert_non_null(rig_header(&b, "Retry-After"));
	struct rig_answer o = with_key(KEYS, admin, "{}", "three");
	is_problem(&o, 422, "key-reused");
	assert_int_equal(api_resume(s.call), API_SLEEP); /* now the answer is written down */
	assert_int_equal(slow_step(&s), API_DONE);
	assert_int_equal(slow_end(&s), 200);
	struct rig_answer c = with_key(KEYS, admin, LABEL, "three");
	assert_int_equal(c.status, 200);
	assert_string_equal(rig_header(&c, "Idempotency-Replayed"), "true");
	rig_drop(&b);
	rig_drop(&o);
	rig_drop(&c);
}

/* Many at once: one does it, the others hear so. */
struct racer {
	pthread_t thread;
	int status;
	bool replayed;
};

static void *race(void *arg)
{
	struct racer *me = arg;
	struct rig_answer a = with_key(KEYS, admin, LABEL, "race");
	me->status = a.status;
	me->replayed = rig_header(&a, "Idempotency-Replayed");
	rig_drop(&a);
	return NULL;
}

static void test_many_at_once(void **state)
{
	(void)state;
	struct racer r[8];
	int first = 0;
	int64_t keys = count("SELECT COUNT(*) FROM api_key");
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(r[i].thread, NULL), 0);
		assert_true(r[i].status == 200 || r[i].status == 409);
		first += r[i].status == 200 && !r[i].replayed;
	}
	assert_int_equal(first, 1);
	assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys + 1);
}

static void test_what_is_no_key(void **state)
{
	static const char *const bad[] = {"", "a b", "\"\"", "\"open", "\xc3\xa7"};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct rig_answer a = with_key(KEYS, admin, LABEL, bad[i]);
		is_problem(&a, 400, "malformed-request");
		rig_drop(&a);
	}
	/* Where nothing is made it is not looked at. */
	struct rig_answer a = rig_ask_with(&rig, "GET", "/api/v1/users/me", admin, NULL,
					   "Idempotency-Key", "a b");
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

/* ---- Writes that fail ---- */

static void test_refused_write_spends_no_key(void **state)
{
	(void)state;
	const char *body = "{\"username\":\"third\"}";
	struct rig_answer a = rig_ask(&rig, "POST", "/api/v1/users", admin, body);
	assert_int_equal(a.status, 200);
	char *target = xasprintf("/api/v1/users/%lld", (long long)rig_int(&a, "user/id"));
	struct rig_answer b = with_key("/api/v1/users", admin, body, "four");
	assert_true(b.status >= 400 && b.status < 500);
	assert_string_equal(strrchr(rig_text(&b, "type"), '/'), "/username-taken");
	struct rig_answer d = rig_ask(&rig, "DELETE", target, admin, NULL);
	assert_int_equal(d.status, 200);
	struct rig_answer c = with_key("/api/v1/users", admin, body, "four");
	assert_int_equal(c.status, 200);
	assert_null(rig_header(&c, "Idempotency-Replayed"));
	xfree(target);
	rig_drop(&a);
	rig_drop(&b);
	rig_drop(&c);
	rig_drop(&d);
}

static void is_unavailable(struct rig_answer *a)
{
	is_problem(a, 503, "database-unavailable");
	assert_non_null(rig_header(a, "Retry-After"));
	assert_null(strstr(a->text, "hunter2")); /* what broke is ours to know */
	rig_drop(a);
}

static void test_database_fails(void **state)
{
	static const char *const texts[] = {"INSERT INTO api_key", "BEGIN", "COMMIT", "SAVEPOINT",
					    "INSERT INTO idempotency"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		int64_t keys = count("SELECT COUNT(*) FROM api_key");
		char idem[20];
		snprintf(idem, sizeof idem, "fails-%zu", i);
		atomic_store(&fault.text, texts[i]);
		struct rig_answer a = with_key(KEYS, admin, LABEL, idem);
		is_unavailable(&a);
		atomic_store(&fault.text, NULL);
		assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys);
		struct rig_answer b = with_key(KEYS, admin, LABEL, idem);
		assert_int_equal(b.status, 200);
		assert_null(rig_header(&b, "Idempotency-Replayed"));
		rig_drop(&b);
		assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys + 1);
	}
}

/* What was done is answered, though the answer could not be kept. Until the next start nobody can
 * say what the key stands for. */
static void test_answer_is_not_kept(void **state)
{
	(void)state;
	atomic_store(&fault.text, "UPDATE idempotency");
	struct rig_answer a = with_key(KEYS, admin, LABEL, "lost");
	assert_int_equal(a.status, 200);
	atomic_store(&fault.text, NULL);
	struct rig_answer b = with_key(KEYS, admin, LABEL, "lost");
	is_problem(&b, 409, "request-running");
	rig_drop(&a);
	rig_drop(&b);
}

int main(void)
{
#define TEST_FAULTY(name) cmocka_unit_test_setup_teardown(name, begin_faulty, end)
	const struct CMUnitTest tests[] = {
		TEST_FAULTY(test_the_same_again), TEST_FAULTY(test_for_something_else),
		TEST_FAULTY(test_while_it_runs),  TEST_FAULTY(test_many_at_once),
		TEST_FAULTY(test_what_is_no_key), TEST_FAULTY(test_refused_write_spends_no_key),
		TEST_FAULTY(test_database_fails), TEST_FAULTY(test_answer_is_not_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
