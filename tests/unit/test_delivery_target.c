/*
 * What a target does to the messages of others, and to its own: failures that come together, leases
 * that vanish, a long queue that it is slow to take. And a clock that is put back.
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
	assert_true(bad[1].paused && bad[2].paused);  /* the queue of each is handed back */
	assert_true(bad[1].pauses && !bad[2].pauses); /* it is said once */
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

/* Two of user 7 are under way, which is all that an unproven target may have; one of 8 waits. */
static void fill_target(struct room *r, struct turn *x)
{
	queue(r->db, NUMBER, "hooks.example.org", 2, 7);
	queue(r->db, OTHER, "hooks.example.org", 1, 8);
	turn(r->db, x, "dies", 3000, NULL, 0);
	assert_int_equal(x->t.nleases, 2);
	assert_int_equal(x->leases[0].user_id + x->leases[1].user_id, 14);
	assert_true(TARGET(r->db, "due_ms") == DELIVERY_NEVER);
}

/* Once a minute; gives when the target is due then. */
static int64_t due_after_sweep(struct room *r, int64_t now)
{
	struct err e = {0};
	size_t n;
	if (!STEP(r->db, delivery_sweep(r->db, 1, 1, now, &n, &e)))
		fail_msg("%s", e.text);
	return TARGET(r->db, "due_ms");
}

/* Whoever held the leases has gone, and nobody tells what became of them. */
static void check_freed(struct room *r)
{
	struct turn x;
	turn(r->db, &x, "lives", 4000, NULL, 0);
	assert_int_equal(x.t.nleases, 0);
	assert_int_equal(due_after_sweep(r, 5000), 5000);
	turn(r->db, &x, "lives", 5000, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	assert_int_equal(x.leases[0].user_id, 8);
	release(&x);
	assert_true(due_after_sweep(r, 6000) == DELIVERY_NEVER); /* nothing waits */
}

static void test_user_goes(void **state)
{
	struct room *r = *state;
	struct err e;
	struct turn x;
	fill_target(r, &x);
	assert_true(due_after_sweep(r, 3050) == DELIVERY_NEVER); /* it has its leases */
	assert_true(STEP(r->db, delivery_forget_user(r->db, 7, 3100, &e)));
	release(&x);
	check_freed(r);
}

static void test_case_goes(void **state)
{
	struct room *r = *state;
	struct err e;
	struct turn x;
	fill_target(r, &x);
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 3100, &e)));
	release(&x);
	check_freed(r);
}

/* A turn of a process with 32 places for targets that answered, of which so many are left. */
static void turn_with(struct room *r, struct turn *x, size_t left, struct delivery_result *results,
		      size_t n)
{
	struct err e = {0};
	prepare(x, "me", 3000);
	x->t.room_proven = left;
	x->t.room_kept = 16;
	x->t.results = results;
	x->t.nresults = n;
	if (!STEP(r->db, delivery_turn(r->db, &x->t, &e)))
		fail_msg("%s", e.text);
}

/* Six that answer slowly have 60 messages: half of the places stays, but for the two of each that
 * are under way, and nobody looks at them all the time. */
static void test_slow_targets(void **state)
{
	struct room *r = *state;
	static const char *const numbers[] = {NUMBER,
					      OTHER,
					      "00000029120258260562",
					      "00000011920258260001",
					      "00000012020258260002",
					      "00000012120258260003"};
	struct turn x, y, z;
	for (size_t i = 0; i < 6; i++) {
		char host[32];
		snprintf(host, sizeof host, "slow-%zu.example.org", i);
		queue(r->db, numbers[i], host, 10, 7);
	}
	prove(r->db);
	turn_with(r, &x, 32, NULL, 0);
	assert_int_equal(x.t.nleases, 4 * 4 + 2 * 2);
	assert_true(x.t.due_ms == DELIVERY_NEVER);
	turn_with(r, &y, 12, NULL, 0);
	assert_int_equal(y.t.nleases, 0);
	assert_true(y.t.due_ms == DELIVERY_NEVER);

	/* Somebody else has a place at once. */
	queue(r->db, "00000012220258260004", "quick.example.org", 1, 8);
	prove(r->db);
	turn_with(r, &y, 12, NULL, 0);
	assert_int_equal(y.t.nleases, 1);
	assert_int_equal(y.leases[0].user_id, 8);
	release(&y);

	/* What comes back to a slow one that has more than is under way makes room, for others. */
	struct delivery_result done[3];
	for (size_t i = 0; i < 3; i++)
		done[i] = result(&x.leases[i], WEBHOOK_OK, WEBHOOK_DELIVERED, false);
	turn_with(r, &y, 13, done, 1);
	assert_int_equal(y.t.nleases, 0);
	assert_true(y.t.due_ms == DELIVERY_NEVER);
	turn_with(r, &y, 15, &done[1], 2);
	assert_int_equal(y.t.nleases, 1); /* two are under way again */
	assert_int_equal(y.leases[0].target_id, x.leases[0].target_id);

	/* With places to spare it has the next ones at hand again. */
	struct delivery_result last = result(&x.leases[3], WEBHOOK_OK, WEBHOOK_DELIVERED, false);
	turn_with(r, &z, 30, &last, 1);
	assert_int_equal(z.t.nleases, 3);
	release(&z);
	release(&y);
	release(&x);
}

/* What is due and has no place is no reason to look again. */
static void test_no_room_for_a_kind(void **state)
{
	struct room *r = *state;
	struct turn x;
	queue(r->db, NUMBER, "quick.example.org", 4, 7);
	prove(r->db);
	turn_with(r, &x, 0, NULL, 0);
	assert_int_equal(x.t.nleases, 0);
	assert_true(x.t.due_ms == DELIVERY_NEVER);
	queue(r->db, OTHER, "unproven.example.org", 4, 7);
	turn_with(r, &x, 0, NULL, 0);
	assert_int_equal(x.t.nleases, 2);
	assert_true(x.t.due_ms == DELIVERY_NEVER);
	release(&x);
	turn_with(r, &x, 1, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	release(&x);
}

/* What was made before the clock was put back does not wait until it is that time again; the wait
 * for another try is left as it is. */
static void test_clock_put_back(void **state)
{
	struct room *r = *state;
	struct turn x, y;
	queue(r->db, NUMBER, "hooks.example.org", 1, 7);
	turn(r->db, &x, "me", 2500, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	struct delivery_result bad = result(&x.leases[0], WEBHOOK_HTTP, WEBHOOK_AGAIN, false);
	turn(r->db, &y, "me", 2600, &bad, 1); /* again at 2700 */
	release(&x);
	queue(r->db, OTHER, "others.example.org", 1, 8);
	turn(r->db, &x, "me", 1400, NULL, 0);
	assert_int_equal(x.t.nleases, 0);
	due_after_sweep(r, 1500);
	turn(r->db, &x, "me", 1500, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	assert_int_equal(x.leases[0].user_id, 8);
	assert_int_equal(x.leases[0].round_ms, 1500);
	assert_int_equal(x.t.due_ms, 2700);
	release(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failures_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_case_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_for_a_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock_put_back, setup, teardown),
	};
	return database_run(tests);
}
