/*
 * Objects that were stored after their case was erased: the case is marked to be erased once more,
 * unless it is known again, and nobody who asks for it meanwhile slips in between.
 */
#include "pair.h"

static int64_t marks(struct db *db)
{
	return database_int(db, "SELECT COUNT(*) FROM erasure");
}

static struct job_lease worked_on(struct db *db)
{
	struct job_ticket t = request(db, NUMBER);
	return claim(db, t.job_id, 1000);
}

static void erased(struct db *db, int64_t mark)
{
	struct err e;
	assert_true(STEP(db, job_erase(db, NUMBER, mark, &e)));
}

static void test_case_is_there(void **state)
{
	struct room *r = *state;
	struct err e;
	worked_on(r->db);
	assert_true(STEP(r->db, job_erase_late(r->db, NUMBER, &e)));
	assert_int_equal(marks(r->db), 0);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM process"), 1);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM job"), 1);
}

static void test_case_is_gone(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	int64_t mark;
	struct job_ask again = {.number = NUMBER, .now_ms = 9000};
	assert_true(STEP(r->db, job_erase_late(r->db, NUMBER, &e)));
	assert_int_equal(marks(r->db), 1);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM process"), 0);
	/* As after any erasing: not to be asked for until its objects are gone. */
	assert_false(STEP(r->db, job_request(r->db, &again, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_erasing(r->db, NUMBER, 0, &mark, &e)));
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, mark, &e)));
	assert_true(STEP(r->db, job_request(r->db, &again, &t, &e)));
	assert_true(t.first);
}

/* Whoever erases may be past what was stored late: he does not get to say that it is gone. */
static void test_while_it_is_erased(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int64_t mark, next;
	struct job_lease l = worked_on(r->db);
	assert_true(finish(r->db, &l, OUTCOME_EMPTY, "", 2000, &e));
	erased(r->db, 3000);
	assert_true(STEP(r->db, job_erasing(r->db, NUMBER, 3000, &mark, &e)));
	assert_true(STEP(r->db, job_erase_late(r->db, NUMBER, &e)));
	assert_int_equal(marks(r->db), 1);
	assert_false(STEP(r->db, job_erased(r->db, NUMBER, mark, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_erasing(r->db, NUMBER, mark + 1, &next, &e)));
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, next, &e)));
	assert_int_equal(marks(r->db), 0);
}

/* Begins, and gives up soon when it has to wait for another process. */
static void begin_briefly(struct db *db)
{
	struct err e;
	assert_true(db_begin(db, &e));
	assert_true(db_exec(db, NULL, &e, "SET LOCAL lock_timeout = '200ms'"));
}

static void test_asked_for_meanwhile(void **state)
{
	struct pair *p = *state;
	struct db *late = p->a->db, *client = p->b;
	struct job_ask again = {.number = NUMBER, .now_ms = 9000};
	struct job_ticket t;
	struct err e = {0};
	assert_true(db_begin(late, &e));
	assert_true(job_erase_late(late, NUMBER, &e));
	begin_briefly(client);
	assert_false(job_request(client, &again, &t, &e));
	assert_true(client->transient); /* it waited for the mark */
	db_rollback(client);
	assert_true(db_commit(late, &e));
	assert_false(STEP(client, job_request(client, &again, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_int_equal(marks(client), 1);
}

static void test_asked_for_just_before(void **state)
{
	struct pair *p = *state;
	struct db *late = p->a->db, *client = p->b;
	struct job_ask again = {.number = NUMBER, .now_ms = 9000};
	struct job_ticket t;
	struct err e = {0};
	assert_true(db_begin(client, &e));
	assert_true(job_request(client, &again, &t, &e));
	begin_briefly(late);
	assert_false(job_erase_late(late, NUMBER, &e));
	assert_true(late->transient); /* it waited for the case */
	db_rollback(late);
	assert_true(db_commit(client, &e));
	assert_true(STEP(late, job_erase_late(late, NUMBER, &e)));
	assert_int_equal(marks(late), 0); /* what was stored late is the new job's own */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_case_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_case_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_while_it_is_erased, setup, teardown),
	};
	const struct CMUnitTest pairs[] = {
		cmocka_unit_test_setup_teardown(test_asked_for_meanwhile, setup_pair,
						teardown_pair),
		cmocka_unit_test_setup_teardown(test_asked_for_just_before, setup_pair,
						teardown_pair),
	};
	int failed = database_run(tests);
	database_server = getenv("AUTOS_TEST_POSTGRES");
	return failed + (database_server ? cmocka_run_group_tests(pairs, NULL, NULL) : 0);
}
