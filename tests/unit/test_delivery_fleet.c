/*
 * Deliveries where several processes write: nothing is missed, nothing is leased twice, nobody
 * waits for another one's leases, and whatever is written may be written again. Runs where
 * AUTOS_TEST_POSTGRES names a server; what may be run again is shown on both.
 */
#include "deliveries.h"
#include "pair.h"

#include <pthread.h>

#define URL "https://hooks.example.org/"

/* A turn that also looks for leases that ran out. */
static void prepare_rescue(struct turn *x, const char *owner, int64_t now)
{
	prepare(x, owner, now);
	x->t.rescue = true;
}

/* Inside the transaction that is open. */
static void go(struct db *db, struct turn *x)
{
	struct err e = {0};
	if (!delivery_turn(db, &x->t, &e))
		fail_msg("%s", e.text);
}

static void begin(struct db *db)
{
	struct err e;
	assert_true(db_begin(db, &e));
}

static void commit(struct db *db)
{
	struct err e = {0};
	if (!db_commit(db, &e))
		fail_msg("%s", e.text);
}

/* A job with n webhooks, claimed. */
static struct job_lease started(struct db *db, const char *number, size_t n)
{
	struct err e = {0};
	struct job_ticket t;
	for (size_t i = 0; i < n; i++) {
		char url[64];
		snprintf(url, sizeof url, URL "%zu", i);
		assert_true(STEP(db, job_request(db,
						 &(struct job_ask){.number = number,
								   .relist = true,
								   .now_ms = 1000,
								   .webhook_url = url,
								   .user_id = 7},
						 &t, &e)));
	}
	return claim(db, t.job_id, 1000);
}

static void ended(struct db *db, const struct job_lease *l)
{
	struct err e = {0};
	bool over;
	if (!job_finish(db, l, OUTCOME_NOT_FOUND, "no such case", 2000, &over, &e))
		fail_msg("%s", e.text);
}

/* ---- Two processes ---- */

/* A job ends while another process finds that its target has nothing to do. */
static void test_no_end_is_missed(void **state)
{
	struct pair *p = *state;
	struct turn x;
	struct job_lease l = started(p->a->db, NUMBER, 1), other = started(p->a->db, OTHER, 1);
	begin(p->a->db);
	ended(p->a->db, &l);
	commit(p->a->db);
	begin(p->b);
	ended(p->b, &other);
	prepare_rescue(&x, "me", 3000);
	begin(p->a->db); /* does not wait for the end that is not committed */
	go(p->a->db, &x);
	commit(p->a->db);
	assert_int_equal(x.t.nleases, 1);
	struct delivery_result done = {.lease = &x.leases[0],
				       .verdict = {.class = WEBHOOK_OK, .fate = WEBHOOK_DELIVERED},
				       .address = "",
				       .answer = ""};
	struct turn y;
	prepare_rescue(&y, "me", 3100);
	y.t.results = &done;
	y.t.nresults = 1;
	begin(p->a->db);
	go(p->a->db, &y);
	commit(p->a->db);
	assert_int_equal(y.t.nleases, 0);
	assert_true(y.t.due_ms == DELIVERY_NEVER);
	commit(p->b);
	struct turn z;
	prepare_rescue(&z, "me", 3200);
	begin(p->a->db);
	go(p->a->db, &z);
	commit(p->a->db);
	assert_int_equal(z.t.nleases, 1);
	assert_int_equal(z.leases[0].job_id, other.job_id);
	release(&x);
	release(&z);
}

/* Two turns at the same time: the second passes over what the first has, and the limit of a target
 * is one for both. */
static void test_a_limit_for_all(void **state)
{
	struct pair *p = *state;
	struct turn x, y, z;
	struct job_lease l = started(p->a->db, NUMBER, 5);
	begin(p->a->db);
	ended(p->a->db, &l);
	commit(p->a->db);
	prepare_rescue(&x, "one", 1500); /* they are heard of, and nothing is due */
	begin(p->a->db);
	go(p->a->db, &x);
	commit(p->a->db);
	assert_int_equal(x.t.nleases, 0);
	prepare_rescue(&x, "one", 3000);
	prepare_rescue(&y, "two", 3000);
	begin(p->a->db);
	begin(p->b);
	go(p->a->db, &x);
	go(p->b, &y);
	assert_int_equal(x.t.nleases, 2);
	assert_int_equal(y.t.nleases, 0);
	assert_int_equal(y.t.due_ms, 2000); /* it looks again */
	commit(p->a->db);
	commit(p->b);
	prepare_rescue(&z, "two", 3001);
	begin(p->b);
	go(p->b, &z);
	commit(p->b);
	assert_int_equal(z.t.nleases, 0);
	assert_true(z.t.due_ms == DELIVERY_NEVER);
	/* The first is gone: its leases end, and the second has them, with the same ids. */
	prepare_rescue(&z, "two", 4001);
	begin(p->b);
	go(p->b, &z);
	commit(p->b);
	assert_int_equal(z.t.nleases, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(z.leases[i].event_id, x.leases[i].event_id);
		assert_int_equal(z.leases[i].epoch, x.leases[i].epoch + 1);
	}
	release(&x);
	release(&z);
}

static void *ends(void *arg)
{
	void **a = arg;
	ended(a[0], a[1]);
	commit(a[0]);
	return NULL;
}

/* Two processes need a secret of the same user for the first time. */
static void test_one_secret_of_a_kind(void **state)
{
	struct pair *p = *state;
	pthread_t thread;
	struct job_lease l = started(p->a->db, NUMBER, 1), other = started(p->a->db, OTHER, 1);
	begin(p->a->db);
	begin(p->b);
	ended(p->a->db, &l);
	void *args[] = {p->b, &other};
	assert_int_equal(pthread_create(&thread, NULL, ends, args), 0); /* waits for the commit */
	commit(p->a->db);
	pthread_join(thread, NULL);
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM webhook_secret"), 2);
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM webhook_target"), 1);
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM delivery"), 2);
}

/* Paused targets, one for each of n deliveries that failed. */
static void pause_all(struct db *db)
{
	struct err e = {0};
	assert_true(db_exec(db, NULL, &e,
			    "UPDATE delivery SET state = 'failed', ended_ms = 9 - id,"
			    " lease_until_ms = 0"));
	assert_true(db_exec(db, NULL, &e,
			    "UPDATE webhook_target SET failures = 3, paused_until_ms = 90000"));
}

/* Whoever sends by hand holds no target: a turn that has some, in its own order, waits for nobody;
 * it is the next one that ends the pauses. */
static void test_again_touches_no_target(void **state)
{
	struct pair *p = *state;
	struct err e = {0};
	struct turn x, y;
	size_t n;
	struct job_lease l = started(p->a->db, NUMBER, 1), other = started(p->a->db, OTHER, 1);
	assert_true(db_exec(p->a->db, NULL, &e,
			    "UPDATE job_webhook SET url = 'https://b.example.org/'"
			    " WHERE job_id = $1",
			    db_i(other.job_id)));
	begin(p->a->db);
	ended(p->a->db, &l);
	ended(p->a->db, &other);
	commit(p->a->db);
	pause_all(p->a->db);
	begin(p->b);
	assert_true(delivery_failed_again(p->b, 0, -1, 10, 3000, &n, &e));
	assert_int_equal(n, 2);
	begin(p->a->db); /* what turns do */
	assert_true(db_exec(p->a->db, NULL, &e,
			    "UPDATE webhook_target SET due_ms = due_ms WHERE due_ms >= 0"));
	prepare_rescue(&x, "me", 3000);
	go(p->a->db, &x);
	assert_int_equal(x.t.nleases, 0);
	commit(p->a->db);
	commit(p->b);
	prepare_rescue(&y, "me", 3001);
	begin(p->a->db);
	go(p->a->db, &y);
	commit(p->a->db);
	assert_int_equal(y.t.nleases, 2);
	assert_true(y.leases[0].manual && y.leases[1].manual);
	assert_int_equal(database_int(p->a->db, "SELECT SUM(paused_until_ms) FROM webhook_target"),
			 0);
	release(&y);
}

/* Several sweep at once: none waits, none takes what another one has. */
static void test_sweeps_beside(void **state)
{
	struct pair *p = *state;
	struct err e = {0};
	size_t n = 9;
	struct job_lease l = started(p->a->db, NUMBER, 3);
	begin(p->a->db);
	ended(p->a->db, &l);
	commit(p->a->db);
	assert_true(
		db_exec(p->a->db, NULL, &e, "UPDATE webhook_target SET paused_until_ms = 9001"));
	begin(p->a->db);
	begin(p->b);
	assert_true(delivery_sweep(p->a->db, 5000, 0, 9000, &n, &e));
	assert_int_equal(n, 3);
	assert_true(delivery_sweep(p->b, 5000, 0, 9000, &n, &e));
	assert_int_equal(n, 0);
	commit(p->b);
	commit(p->a->db);
	begin(p->a->db);
	begin(p->b);
	assert_true(delivery_sweep(p->a->db, 0, 9001, 9500, &n, &e));
	assert_int_equal(n, 3);
	assert_true(delivery_sweep(p->b, 0, 9001, 9500, &n, &e));
	assert_int_equal(n, 0);
	commit(p->b);
	commit(p->a->db);
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM delivery"), 0);
}

/* ---- Again ---- */

/* A turn whose transaction was undone is run again with what it got, and gives the same. */
static void test_a_turn_again(void **state)
{
	struct room *r = *state;
	struct turn x, y;
	struct job_lease l = started(r->db, NUMBER, 3);
	begin(r->db);
	ended(r->db, &l);
	commit(r->db);
	prepare_rescue(&x, "me", 3000);
	for (int i = 0; i < 3; i++) {
		begin(r->db);
		go(r->db, &x);
		assert_int_equal(x.t.nleases, 2);
		assert_int_equal(x.leases[0].epoch, 1);
		if (i < 2)
			db_rollback(r->db);
		else
			commit(r->db);
	}
	struct delivery_result bad = {
		.lease = &x.leases[0],
		.verdict = {.class = WEBHOOK_HTTP, .fate = WEBHOOK_AGAIN, .wait_ms = 50},
		.address = "",
		.answer = "",
		.stale = true,
		.paused = true};
	prepare_rescue(&y, "me", 3100);
	y.t.results = &bad;
	y.t.nresults = 1;
	for (int i = 0; i < 3; i++) {
		begin(r->db);
		go(r->db, &y);
		assert_false(bad.stale || bad.paused);
		assert_int_equal(bad.next_ms, 3150);
		assert_int_equal(y.t.nleases, 1);
		if (i < 2)
			db_rollback(r->db);
		else
			commit(r->db);
	}
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM delivery_attempt"), 1);
	assert_int_equal(database_int(r->db, "SELECT SUM(attempts) FROM delivery"), 1);
	release(&x);
	release(&y);
}

/* A commit that was taken for failed, and was none: the lease is not renewed with those that are
 * held, and ends. */
static void test_a_lease_that_nobody_knows_of(void **state)
{
	struct room *r = *state;
	struct turn x, y, z;
	struct job_lease l = started(r->db, NUMBER, 2);
	begin(r->db);
	ended(r->db, &l);
	commit(r->db);
	prepare_rescue(&x, "me", 3000);
	begin(r->db);
	go(r->db, &x);
	commit(r->db);
	assert_int_equal(x.t.nleases, 2);
	prepare_rescue(&y, "me", 3900);
	struct delivery_held held = {.lease = &x.leases[0], .lost = true};
	y.t.held = &held;
	y.t.nheld = 1;
	begin(r->db);
	go(r->db, &y);
	commit(r->db);
	assert_int_equal(y.t.nleases, 0);
	assert_false(held.lost);
	prepare_rescue(&z, "me", 4001);
	begin(r->db);
	go(r->db, &z);
	commit(r->db);
	assert_int_equal(z.t.nleases, 1);
	assert_int_equal(z.leases[0].id, x.leases[1].id);
	release(&x);
	release(&z);
}

/* Of those that are held: one that another has, one that a user took away, one that is ours. Run
 * again after its transaction was undone, it says the same. */
static void test_leases_lost(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct turn x, y, z;
	struct job_lease l = started(r->db, NUMBER, 4);
	begin(r->db);
	ended(r->db, &l);
	assert_true(db_exec(r->db, NULL, &e,
			    "UPDATE webhook_target SET proven = 1")); /* four at a time */
	commit(r->db);
	prepare_rescue(&x, "me", 3000);
	begin(r->db);
	go(r->db, &x);
	commit(r->db);
	assert_int_equal(x.t.nleases, 4);
	assert_true(db_exec(r->db, NULL, &e,
			    "UPDATE delivery SET lease_until_ms = 9000 WHERE id <> $1",
			    db_i(x.leases[0].id)));
	prepare_rescue(&y, "other", 4001);
	begin(r->db);
	go(r->db, &y);
	commit(r->db);
	assert_int_equal(y.t.nleases, 1);
	assert_int_equal(y.leases[0].id, x.leases[0].id);
	assert_true(db_exec(r->db, NULL, &e,
			    "UPDATE delivery SET state = 'cancelled', epoch = epoch + 1"
			    " WHERE id = $1",
			    db_i(x.leases[1].id)));
	struct delivery_held held[4];
	prepare_rescue(&z, "me", 4001); /* they end when the other's does */
	z.t.held = held;
	z.t.nheld = 4;
	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < 4; k++)
			held[k] = (struct delivery_held){.lease = &x.leases[k], .lost = k & i & 1};
		begin(r->db);
		go(r->db, &z);
		assert_true(held[0].lost && held[1].lost && !held[2].lost && !held[3].lost);
		if (i < 2)
			db_rollback(r->db);
		else
			commit(r->db);
	}
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM delivery WHERE owner = 'me' AND"
					     " lease_until_ms = 5001 AND state = 'delivering'"),
			 2);
	release(&x);
	release(&y);
	release(&z);
}

static void test_others_again(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char text[WEBHOOK_KEY_TEXT];
	int64_t id, until;
	size_t n;
	struct job_lease l = started(r->db, NUMBER, 2);
	begin(r->db);
	ended(r->db, &l);
	db_rollback(r->db);
	begin(r->db);
	ended(r->db, &l);
	assert_true(db_exec(r->db, NULL, &e, "UPDATE delivery SET state = 'failed', ended_ms = 5"));
	commit(r->db);
	for (int i = 0; i < 2; i++) {
		begin(r->db);
		assert_true(delivery_failed_again(r->db, 0, -1, 10, 6000, &n, &e));
		assert_int_equal(n, 2);
		assert_true(webhook_secret_rotate(r->db, 7, WEBHOOK_HMAC, 6000, 100, &id, text,
						  &until, &e));
		assert_true(id > 0 && *text && until == 0);
		if (i)
			commit(r->db);
		else
			db_rollback(r->db);
	}
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM webhook_secret"), 3);
	assert_int_equal(
		database_int(r->db, "SELECT COUNT(*) FROM delivery WHERE state = 'pending'"), 2);
}

int main(void)
{
	const struct CMUnitTest pairs[] = {
		TEST_PAIR(test_no_end_is_missed),     TEST_PAIR(test_a_limit_for_all),
		TEST_PAIR(test_one_secret_of_a_kind), TEST_PAIR(test_again_touches_no_target),
		TEST_PAIR(test_sweeps_beside),
	};
	const struct CMUnitTest again[] = {
		cmocka_unit_test_setup_teardown(test_a_turn_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leases_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_lease_that_nobody_knows_of, setup, teardown),
	};
	int failed = database_run(again);
	return failed + pair_run(pairs);
}
