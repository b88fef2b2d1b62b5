/*
 * What becomes of a case by hand: tried again, cancelled while it waits or is worked on, and
 * erased, by whoever holds the last mark.
 */
#include "asks.h"

static void test_retry_id(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_ticket t;
	assert_false(STEP(r->db, job_retry_id(r->db, 4711, 1, &t, &e)));
	assert_error(&e, ERR_ABSENT);
	int64_t first = done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	assert_true(STEP(r->db, job_retry_id(r->db, first, 7000, &t, &e)));
	assert_int_equal(t.job_id, first);
	assert_true(t.process_id > 0);
	documents_are(r->db, "a:available+ b:available+ c:processing+");
	assert_false(STEP(r->db, job_retry_id(r->db, first, 7000, &t, &e)));
	assert_error(&e, ERR_BUSY); /* it is active */
	struct job_lease l = claim(r->db, first, 7700);
	assert_int_equal(l.waited_ms, 700);
	struct doc_result res[] = {lost(r->db, "c", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 1));
	assert_true(round_ends(r->db, &l, OUTCOME_PARTIAL, 8000));
	int64_t second = ask(r->db, ASK()).job_id;
	assert_false(STEP(r->db, job_retry_id(r->db, first, 9000, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_says(&e, "later");
	l = claim(r->db, second, 9000);
	assert_true(round_ends(r->db, &l, OUTCOME_COMPLETE, 9000));
	assert_false(STEP(r->db, job_retry_id(r->db, second, 9000, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_says(&e, "did not fail");
}

static void test_cancel(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	assert_false(STEP(r->db, job_cancel(r->db, 4711, 1, &e)));
	assert_error(&e, ERR_ABSENT);
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a")};
	assert_true(record(r->db, &l, res, 1));
	assert_true(STEP(r->db, job_cancel(r->db, l.job_id, 4000, &e)));
	job_is(r->db, "cancelled  3/1/0");
	documents_are(r->db, "a:available+ b:pending+ c:pending+");
	struct doc_result late[] = {got(r->db, "b")};
	bool over;
	STALE(r->db, job_record_results(r->db, &l, late, 1, 99999, &e));
	STALE(r->db, job_finish(r->db, &l, OUTCOME_COMPLETE, "", 5000, &over, &e));
	STALE(r->db, job_hand_back(r->db, &l, 5000, &e));
	assert_false(STEP(r->db, job_cancel(r->db, l.job_id, 4000, &e)));
	assert_error(&e, ERR_BUSY);

	/* Nothing is erased under a worker that may have bytes in flight. */
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_let_go(r->db, l.job_id, "you", &e)));
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));

	/* Tried again before the worker knew: what it lets go of then is not the new lease. */
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 6000, &t, &e)));
	assert_int_equal(t.job_id, l.job_id);
	documents_are(r->db, "a:available+ b:processing+ c:processing+");
	struct job_lease next = claim(r->db, l.job_id, 6000);
	assert_false(next.relist);
	assert_int_equal(next.epoch, l.epoch + 2);
	assert_true(STEP(r->db, job_let_go(r->db, l.job_id, "me", &e)));
	assert_true(STEP(r->db, job_cancel(r->db, l.job_id, 7000, &e)));
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));
	assert_true(STEP(r->db, job_let_go(r->db, l.job_id, "me", &e)));
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));
}

/* Cancelled while it waits: nobody has bytes in flight. After a start nobody has either. */
static void test_cancel_waiting(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int64_t waiting = ask(r->db, ASK()).job_id;
	assert_true(STEP(r->db, job_cancel(r->db, waiting, 2000, &e)));
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 2000, &e)));
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, 2000, &e)));
	struct job_lease l = listed(r->db);
	assert_true(STEP(r->db, job_cancel(r->db, l.job_id, 4000, &e)));
	assert_true(STEP(r->db, job_release_all(r->db, 5000, &e)));
	job_is(r->db, "cancelled  3/0/0");
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 6000, &e)));
}

static void test_erase(void **state)
{
	static const char *const empty[] = {
		"SELECT * FROM process",      "SELECT * FROM answer",     "SELECT * FROM job",
		"SELECT * FROM document",     "SELECT * FROM result",     "SELECT * FROM event",
		"SELECT * FROM document_ref", "SELECT * FROM job_webhook"};
	struct room *r = *state;
	struct err e = {0};
	struct db_rows rows;
	struct job_ticket t;
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 1, &e)));
	assert_error(&e, ERR_ABSENT);
	ask(r->db, ASK(.webhook_url = "https://x/"));
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 1, &e)));
	assert_error(&e, ERR_BUSY); /* a job waits */
	int64_t job = done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 9000, &e)));
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		assert_true(db_exec(r->db, &rows, &e, empty[i]));
		assert_int_equal(rows.rows, 0);
		db_rows_release(&rows);
	}
	/* Until its objects are gone the number cannot be asked for, nor is it unknown. */
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 9001, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(job_erasures(r->db, &rows, &e));
	assert_int_equal(rows.rows, 1);
	assert_string_equal(db_text(&rows, 0, 0), NUMBER);
	db_rows_release(&rows);
	assert_false(STEP(r->db, job_request(r->db, ASK(), &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(STEP(r->db, job_ensure(r->db, ASK(), JOB_ANY_AGE, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(ask(r->db, ASK(.number = OTHER)).first);
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, 9000, &e)));
	assert_true(job_erasures(r->db, &rows, &e));
	assert_int_equal(rows.rows, 0);
	db_rows_release(&rows);
	t = ask(r->db, ASK());
	assert_true(t.first);
	assert_true(t.job_id > job); /* numbers of jobs are never given twice */
}

/* Whoever knows the last mark erases; it is never older than the one before. */
static void test_erasing(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int64_t first, second, next;
	done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, INT64_C(1) << 60, &e)));
	assert_true(STEP(r->db, job_erasing(r->db, NUMBER, INT64_C(1) << 60, &first, &e)));
	assert_int_equal(first, (INT64_C(1) << 60) + 1);
	assert_true(db_run_once(r->db, "UPDATE erasure SET at_ms = 7", &e));
	assert_true(STEP(r->db, job_erasing(r->db, NUMBER, 7, &second, &e)));
	assert_true(second > 1000000);
	assert_false(STEP(r->db, job_erasing(r->db, NUMBER, 7, &next, &e)));
	assert_error(&e, ERR_BUSY);
	assert_int_equal(next, 7);
	assert_false(STEP(r->db, job_erased(r->db, NUMBER, 7, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, second, &e)));
	assert_false(STEP(r->db, job_erasing(r->db, NUMBER, second, &next, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_false(STEP(r->db, job_erased(r->db, NUMBER, second, &e)));
	assert_error(&e, ERR_ABSENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_retry_id), TEST(test_cancel),  TEST(test_cancel_waiting),
		TEST(test_erase),    TEST(test_erasing),
	};
	return database_run(tests);
}
