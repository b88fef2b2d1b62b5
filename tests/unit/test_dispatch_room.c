/*
 * The places of the thread that sends: a target with a long queue that holds what it was sent has
 * some of them, and a message to another one goes out meanwhile.
 */
#include "hook.h"
#include "sender.h"

enum { QUEUE = 40 };

/* Addresses of a host, named for one job that ends. */
static void queue(struct db *db, const char *number, int port, size_t n)
{
	struct err e;
	struct job_ticket t;
	bool over;
	for (size_t i = 0; i < n; i++) {
		char url[64];
		snprintf(url, sizeof url, "http://127.0.0.1:%d/%zu", port, i);
		struct job_ask ask = {
			.number = number, .relist = true, .now_ms = 1000, .webhook_url = url};
		assert_true(STEP(db, job_request(db, &ask, &t, &e)));
	}
	struct job_lease l = claim(db, t.job_id, 1000);
	assert_true(STEP(db, job_finish(db, &l, OUTCOME_NOT_FOUND, "", 2000, &over, &e)));
}

static void test_slow_beside_quick(void **state)
{
	struct room *r = *state;
	struct err e;
	struct hook slow, quick;
	struct sender s;
	hook_open(&slow, (const int[]){HOOK_SILENT, 0}, "");
	hook_open(&quick, (const int[]){200, 0}, "");
	queue(r->db, NUMBER, slow.port, QUEUE);
	queue(r->db, OTHER, quick.port, 1);
	/* Both answered last time; what is due longest comes first. */
	assert_true(db_exec(r->db, NULL, &e, "UPDATE webhook_target SET proven = 1"));
	assert_true(db_exec(r->db, NULL, &e, "UPDATE delivery SET next_ms = 3000 WHERE url LIKE $1",
			    db_s("%/0")));
	sender_start(&s, r,
		     (const char *const[]){"environment", "development", "webhook_parallel", "16",
					   "webhook_target_parallel", "2", "drain_time", "0s",
					   NULL});
	sender_until_none(&s, "SELECT 1 - COUNT(*) FROM delivery WHERE state = 'delivered'");
	assert_int_equal(database_int(s.look, "SELECT COUNT(*) FROM delivery_attempt"), 1);
	assert_int_equal(database_int(s.look, "SELECT COUNT(*) FROM delivery"
					      " WHERE state = 'delivering'"),
			 6); /* half of three quarters of 16 */
	sender_stop(&s, r);
	hook_close(&slow);
	hook_close(&quick);
	assert_int_equal(quick.asked, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_slow_beside_quick, setup, teardown)};
	return database_run(tests);
}
