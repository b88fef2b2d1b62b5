/*
 * What a target does to the messages of others, and to its own: failures that come together.
 */
#include "deliveries.h"

/* A job ends that n addresses of a host were named for. */
static void queue(struct db *db, const char *number, const char *host, size_t n, int64_t user_id)
{
	struct err e = {0};
	struct job_ticket t;
	bool over;
	for (size_t i = 0; i < n; i++) {
		char url[64];
		snprintf(url, sizeof url, "https://%s/%zu", host, i);
		struct job_ask ask = {.number = number,
				      .relist = true,
				      .now_ms = 1000,
				      .webhook_url = url,
				      .user_id = user_id};
		assert_true(STEP(db, job_request(db, &ask, &t, &e)));
	}
	struct job_lease l = claim(db, t.job_id, 1000);
	assert_true(STEP(db, job_finish(db, &l, OUTCOME_NOT_FOUND, "", 2000, &over, &e)));
}

/* The targets of all that was queued so far have answered before. */
static void prove(struct db *db)
{
	struct err e;
	assert_true(db_exec(db, NULL, &e, "UPDATE webhook_target SET proven = 1"));
}

#define TARGET(db, what) database_int((db), "SELECT " what " FROM webhook_target")

/* What was under way together when a target went away is one reason for a pause, not several. */
static void test_failures_together(void **state)
{
	struct room *r = *state;
	struct err e;
	struct turn x, y;
	struct delivery_result bad[4];
	queue(r->db, NUMBER, "hooks.example.org", 6, 7);
	prove(r->db);
	assert_true(db_exec(r->db, NULL, &e, "UPDATE webhook_target SET failures = 1"));
	turn(r->db, &x, "me", 3000, NULL, 0);
	assert_int_equal(x.t.nleases, 4);
	for (size_t i = 0; i < 4; i++)
		bad[i] = result(&x.leases[i], WEBHOOK_CONNECT, WEBHOOK_AGAIN, true);
	turn(r->db, &y, "me", 3100, bad, 3);
	assert_false(bad[0].paused);
	assert_true(bad[1].paused && bad[2].paused); /* the queue of each is handed back */
	assert_int_equal(TARGET(r->db, "failures"), 3);
	assert_int_equal(TARGET(r->db, "paused_until_ms"), 3100 + 1000);
	turn(r->db, &y, "me", 3500, &bad[3], 1);
	assert_true(bad[3].paused);
	assert_int_equal(TARGET(r->db, "failures"), 3);
	assert_int_equal(TARGET(r->db, "paused_until_ms"), 3100 + 1000);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM delivery_attempt"), 4);
	release(&x);

	/* Who tries after the pause makes the next one longer. */
	turn(r->db, &x, "me", 4100, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	bad[0] = result(&x.leases[0], WEBHOOK_TIMEOUT, WEBHOOK_AGAIN, true);
	turn(r->db, &y, "me", 4200, bad, 1);
	assert_int_equal(TARGET(r->db, "failures"), 4);
	assert_int_equal(TARGET(r->db, "paused_until_ms"), 4200 + 2000);
	release(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failures_together, setup, teardown),
	};
	return database_run(tests);
}
