/*
 * The outbox: what is written with the end of a job, leases and their fence, targets that pause,
 * and sending again.
 */
#include "deliveries.h"
#include "delivery_read.h"

#define URL "https://hooks.example.org/a"

/* A job with webhooks that ends. */
static struct job_ticket ended(struct db *db, const char *number, const char *const urls[],
			       int64_t user_id)
{
	struct err e = {0};
	struct job_ticket t;
	bool over;
	for (size_t i = 0; urls[i]; i++)
		assert_true(STEP(db, job_request(db,
						 &(struct job_ask){.number = number,
								   .relist = true,
								   .now_ms = 1000,
								   .webhook_url = urls[i],
								   .user_id = user_id},
						 &t, &e)));
	struct job_lease l = claim(db, t.job_id, 1000);
	assert_true(
		STEP(db, job_finish(db, &l, OUTCOME_NOT_FOUND, "no such case", 2000, &over, &e)));
	assert_true(over);
	return t;
}

#define COUNT(db, what) database_int((db), "SELECT COUNT(*) FROM delivery WHERE " what)

static void test_written_with_the_end(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	struct job_lease l;
	bool over;
	struct job_ask ask = {.number = NUMBER, .now_ms = 1000, .webhook_url = URL, .user_id = 7};
	assert_true(STEP(r->db, job_request(r->db, &ask, &t, &e)));
	ask.user_id = 8; /* the same address of another user */
	ask.webhook_thin = true;
	assert_true(STEP(r->db, job_request(r->db, &ask, &t, &e)));
	assert_int_equal(COUNT(r->db, "1 = 1"), 0);
	l = claim(r->db, t.job_id, 1000);
	assert_true(STEP(r->db, job_hand_back(r->db, &l, 1500, &e)));
	assert_int_equal(COUNT(r->db, "1 = 1"), 0);
	l = claim(r->db, t.job_id, 1600);
	/* An end that is undone leaves nothing. */
	assert_true(db_begin(r->db, &e));
	assert_true(job_finish(r->db, &l, OUTCOME_NOT_FOUND, "why", 2000, &over, &e));
	assert_int_equal(COUNT(r->db, "1 = 1"), 2);
	db_rollback(r->db);
	assert_int_equal(COUNT(r->db, "1 = 1"), 0);
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_NOT_FOUND, "why", 2000, &over, &e)));
	assert_int_equal(COUNT(r->db,
			       "state = 'pending' AND job_state = 'failed'"
			       " AND outcome = 'not_found' AND job_error = 'why'"
			       " AND finished_ms = 2000 AND seq = (SELECT last_event FROM job)"),
			 2);
	assert_int_equal(COUNT(r->db, "user_id = 8 AND thin = 1"), 1);
	assert_int_equal(database_int(r->db, "SELECT COUNT(DISTINCT event_id) FROM delivery"), 2);
	/* A stale end writes nothing. */
	STALE(r->db, job_finish(r->db, &l, OUTCOME_COMPLETE, "", 3000, &over, &e));
	assert_int_equal(COUNT(r->db, "1 = 1"), 2);
	/* A retry ends again, as another message. */
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 4000, &t, &e)));
	l = claim(r->db, t.job_id, 4000);
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_EMPTY, "", 5000, &over, &e)));
	assert_int_equal(COUNT(r->db, "1 = 1"), 4);
	assert_int_equal(COUNT(r->db, "job_state = 'completed' AND finished_ms = 5000"), 2);
	/* Erasing the case takes all with it. */
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 6000, &e)));
	assert_int_equal(COUNT(r->db, "1 = 1"), 0);
}

static void test_callers_of_what_is_over(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	bool over;
	struct job_ask ask = {.number = NUMBER, .now_ms = 1000};
	assert_true(STEP(r->db, job_request(r->db, &ask, &t, &e)));
	struct job_lease l = claim(r->db, t.job_id, 1000);
	struct portal_ref refs[3];
	struct portal_doc docs[] = {doc(refs, "a", "a", NULL, NULL)};
	assert_true(STEP(r->db, list(r->db, &l, docs, 0, &e)));
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_EMPTY, "", 2000, &over, &e)));
	ask.webhook_url = URL;
	for (int i = 0; i < 2; i++) {
		assert_true(STEP(r->db, job_ensure(r->db, &ask, JOB_ANY_AGE, &t, &e)));
		assert_true(t.idle);
		assert_int_equal(COUNT(r->db, "state = 'pending'"), 1); /* one answers both */
	}
	struct turn x;
	turn(r->db, &x, "me", 3000, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	struct delivery_result done = result(&x.leases[0], WEBHOOK_OK, WEBHOOK_DELIVERED, false);
	struct turn y;
	turn(r->db, &y, "me", 3100, &done, 1);
	assert_int_equal(COUNT(r->db, "state = 'delivered'"), 1);
	assert_int_equal(database_int(r->db, "SELECT delivered_ms FROM job_webhook"), 3100);
	assert_true(STEP(r->db, job_ensure(r->db, &ask, JOB_ANY_AGE, &t, &e)));
	assert_int_equal(COUNT(r->db, "state = 'pending'"), 1); /* who asks again is told again */
	assert_int_equal(database_int(r->db, "SELECT delivered_ms FROM job_webhook"), 0);
	release(&x);
	release(&y);
}

static void test_the_fence(void **state)
{
	struct room *r = *state;
	struct turn a, b, c;
	ended(r->db, NUMBER, (const char *const[]){URL, NULL}, 0);
	turn(r->db, &a, "one", 3000, NULL, 0);
	assert_int_equal(a.t.nleases, 1);
	assert_string_equal(a.leases[0].number, NUMBER);
	assert_string_equal(a.leases[0].url, URL);
	turn(r->db, &b, "two", 3500, NULL, 0);
	assert_int_equal(b.t.nleases, 0);
	/* The lease ran out: another one takes it, and what the first says is dropped. */
	b.t.rescue = true;
	struct err e = {0};
	b.t.now_ms = 4001;
	assert_true(STEP(r->db, delivery_turn(r->db, &b.t, &e)));
	assert_int_equal(b.t.nleases, 1);
	assert_int_equal(b.leases[0].epoch, a.leases[0].epoch + 1);
	assert_string_equal(b.leases[0].event_id, a.leases[0].event_id);
	struct delivery_result late = result(&a.leases[0], WEBHOOK_OK, WEBHOOK_DELIVERED, false);
	turn(r->db, &c, "one", 4100, &late, 1);
	assert_true(late.stale);
	assert_int_equal(COUNT(r->db, "state = 'delivering' AND owner = 'two' AND attempts = 0"),
			 1);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM delivery_attempt"), 0);
	/* Renewed in time, it stays. */
	struct turn d;
	memset(&d, 0, sizeof d);
	d.t = b.t;
	d.t.results = NULL;
	d.t.held = (struct delivery_held[]){{.lease = &b.leases[0]}};
	d.t.nheld = 1;
	d.t.rescue = false;
	d.t.leases = d.leases;
	d.t.now_ms = 4900;
	assert_true(STEP(r->db, delivery_turn(r->db, &d.t, &e)));
	turn(r->db, &c, "one", 5500, NULL, 0);
	c.t.rescue = true;
	assert_true(STEP(r->db, delivery_turn(r->db, &c.t, &e)));
	assert_int_equal(c.t.nleases, 0);
	/* Handed back, it is there at once and no try is spent. */
	struct delivery_result back = {.lease = &b.leases[0], .unsent = true};
	turn(r->db, &c, "one", 5600, &back, 1);
	assert_int_equal(c.t.nleases, 1);
	assert_int_equal(c.leases[0].tries, 0);
	/* Our own fault is no attempt. */
	struct delivery_result ours = result(&c.leases[0], WEBHOOK_LOCAL, WEBHOOK_AGAIN, false);
	turn(r->db, &d, "one", 5700, &ours, 1);
	assert_false(ours.stale);
	assert_int_equal(d.t.nleases, 0);
	assert_int_equal(COUNT(r->db, "state = 'pending' AND attempts + tries = 0"
				      " AND class = 'local' AND next_ms = 5800"),
			 1);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM delivery_attempt"), 0);
	turn(r->db, &d, "one", 5800, NULL, 0);
	assert_int_equal(d.t.nleases, 1);
	release(&d);
	/* A new process alone on the database. */
	assert_true(STEP(r->db, delivery_release_all(r->db, 6000, &e)));
	assert_int_equal(COUNT(r->db, "state = 'pending' AND owner = ''"), 1);
	release(&a);
	release(&b);
	release(&c);
}

static void test_few_of_a_target(void **state)
{
	struct room *r = *state;
	const char *urls[] = {URL "1", URL "2", URL "3", "https://other.example.org/",
			      URL "4", URL "5", URL "6", NULL};
	struct turn a, b;
	ended(r->db, NUMBER, urls, 0);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM webhook_target"), 2);
	turn(r->db, &a, "me", 3000, NULL, 0);
	assert_int_equal(a.t.nleases, 3); /* two of the one, one of the other */
	assert_true(a.t.due_ms == DELIVERY_NEVER);
	/* It answered: more of it are at hand. */
	struct delivery_result done[ROOM];
	size_t n = 0;
	for (size_t i = 0; i < a.t.nleases; i++)
		if (strncmp(a.leases[i].url, URL, strlen(URL)) == 0)
			done[n++] = result(&a.leases[i], WEBHOOK_OK, WEBHOOK_DELIVERED, false);
	assert_int_equal(n, 2);
	turn(r->db, &b, "me", 3100, done, n);
	assert_int_equal(b.t.nleases, 4);
	for (size_t i = 0; i < b.t.nleases; i++)
		assert_true(b.leases[i].proven);
	release(&a);
	release(&b);
}

static void test_room_is_kept_for_those_who_answer(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct turn a, b;
	ended(r->db, NUMBER,
	      (const char *const[]){"https://dead1.example/", "https://dead2.example/", NULL}, 0);
	ended(r->db, OTHER, (const char *const[]){"https://good.example/", NULL}, 0);
	assert_true(db_exec(
		r->db, NULL, &e,
		"UPDATE webhook_target SET proven = 1 WHERE origin = 'https://good.example:443'"));
	turn(r->db, &a, "me", 1, NULL, 0); /* nothing is due before its time */
	assert_int_equal(a.t.nleases, 0);
	assert_int_equal(a.t.due_ms, 2000);
	b.t = a.t;
	b.t.leases = b.leases;
	b.t.now_ms = 2000;
	b.t.room = 2;
	b.t.room_proven = 1;
	b.t.room_unproven = 1;
	assert_true(STEP(r->db, delivery_turn(r->db, &b.t, &e)));
	assert_int_equal(b.t.nleases, 2);
	assert_string_equal(b.leases[0].url, "https://good.example/");
	release(&b);
}

static void test_a_target_pauses(void **state)
{
	struct room *r = *state;
	struct turn x;
	const char *urls[] = {URL "1", URL "2", URL "3", NULL};
	ended(r->db, NUMBER, urls, 0);
	int64_t now = 3000;
	/* Three failures in a row, of whatever message. */
	for (int i = 0; i < 3;) {
		turn(r->db, &x, "me", now, NULL, 0);
		for (size_t k = 0; k < x.t.nleases; k++, i++) {
			struct turn y;
			struct delivery_result bad =
				result(&x.leases[k], WEBHOOK_CONNECT, WEBHOOK_AGAIN, true);
			if (i >= 3)
				bad = (struct delivery_result){.lease = &x.leases[k],
							       .unsent = true};
			turn(r->db, &y, "me", now, &bad, 1);
			assert_int_equal(bad.paused, i == 2);
			for (size_t m = 0; m < y.t.nleases;
			     m++) { /* taken too early for this test */
				struct delivery_result back = {.lease = &y.leases[m],
							       .unsent = true};
				struct turn z;
				turn(r->db, &z, "me", 1, &back, 1);
			}
			release(&y);
		}
		release(&x);
		now += 100;
	}
	int64_t paused = database_int(r->db, "SELECT paused_until_ms FROM webhook_target");
	assert_true(paused > now && paused <= now + 1000);
	turn(r->db, &x, "me", paused - 1, NULL, 0);
	assert_int_equal(x.t.nleases, 0);
	assert_int_equal(x.t.due_ms, paused);
	turn(r->db, &x, "me", paused, NULL, 0);
	assert_int_equal(x.t.nleases, 1); /* one tries whether it is back */
	struct turn y;
	struct delivery_result bad = result(&x.leases[0], WEBHOOK_TIMEOUT, WEBHOOK_AGAIN, true);
	turn(r->db, &y, "me", paused, &bad, 1);
	assert_int_equal(database_int(r->db, "SELECT paused_until_ms FROM webhook_target"),
			 paused + 2000);
	release(&x);
	/* The pauses have an end in length, and a success ends them. */
	turn(r->db, &x, "me", paused + 2000, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	bad = result(&x.leases[0], WEBHOOK_TIMEOUT, WEBHOOK_AGAIN, true);
	turn(r->db, &y, "me", paused + 2000, &bad, 1);
	assert_int_equal(database_int(r->db, "SELECT paused_until_ms FROM webhook_target"),
			 paused + 5000);
	release(&x);
	turn(r->db, &x, "me", paused + 5000, NULL, 0);
	struct delivery_result good = result(&x.leases[0], WEBHOOK_OK, WEBHOOK_DELIVERED, false);
	turn(r->db, &y, "me", paused + 5000, &good, 1);
	assert_int_equal(
		database_int(r->db, "SELECT failures + paused_until_ms FROM webhook_target"), 0);
	assert_int_equal(y.t.nleases, 2);
	release(&x);
	release(&y);
}

static void test_sending_again(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct turn x, y;
	size_t n;
	ended(r->db, NUMBER, (const char *const[]){URL, NULL}, 7);
	turn(r->db, &x, "me", 3000, NULL, 0);
	assert_int_equal(x.t.nleases, 1);
	const char *id = x.leases[0].event_id;
	assert_false(STEP(r->db, delivery_again(r->db, id, 7, 3100, &e)));
	assert_error(&e, ERR_BUSY);
	struct delivery_result bad = result(&x.leases[0], WEBHOOK_HTTP, WEBHOOK_FAILED, false);
	turn(r->db, &y, "me", 3200, &bad, 1);
	assert_int_equal(COUNT(r->db, "state = 'failed' AND ended_ms = 3200 AND attempts = 1"), 1);
	assert_false(STEP(r->db, delivery_again(r->db, id, 8, 3300, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_false(STEP(r->db, delivery_again(r->db, "msg_0", -1, 3300, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_true(STEP(r->db, delivery_failed_again(r->db, 3201, -1, 100, 3300, &n, &e)));
	assert_int_equal(n, 0);
	assert_true(STEP(r->db, delivery_failed_again(r->db, 3200, 8, 100, 3300, &n, &e)));
	assert_int_equal(n, 0);
	assert_true(STEP(r->db, delivery_failed_again(r->db, 3200, 7, 100, 3300, &n, &e)));
	assert_int_equal(n, 1);
	turn(r->db, &y, "me", 3300, NULL, 0);
	assert_int_equal(y.t.nleases, 1);
	assert_true(y.leases[0].manual);
	assert_int_equal(y.leases[0].tries, 0);
	assert_int_equal(y.leases[0].attempts, 1);
	assert_string_equal(y.leases[0].event_id, id);
	struct delivery_result good = result(&y.leases[0], WEBHOOK_OK, WEBHOOK_DELIVERED, false);
	struct turn z;
	turn(r->db, &z, "me", 3400, &good, 1);
	struct delivery_list l;
	struct attempt_list a;
	assert_true(delivery_one(r->db, id, 7, &l, &e));
	assert_true(delivery_attempts(r->db, l.rows[0].id, &a, &e));
	assert_int_equal(a.n, 2);
	assert_false(a.rows[0].manual);
	assert_true(a.rows[1].manual);
	attempt_list_release(&a);
	delivery_list_release(&l);
	/* One that was delivered may be sent again as well. */
	assert_true(STEP(r->db, delivery_again(r->db, id, -1, 3500, &e)));
	assert_int_equal(COUNT(r->db, "state = 'pending'"), 1);
	/* Until its user is gone. */
	assert_true(STEP(r->db, delivery_forget_user(r->db, 7, 3600, &e)));
	assert_int_equal(COUNT(r->db, "state = 'cancelled' AND ended_ms = 3600"), 1);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM job_webhook"), 0);
	release(&x);
	release(&y);
}

static void test_sweeping(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	size_t n;
	ended(r->db, NUMBER, (const char *const[]){URL, "https://other.example.org/", NULL}, 0);
	/* What waits is given up for a paused target alone. */
	assert_true(STEP(r->db, delivery_sweep(r->db, 5000, 0, 9000, &n, &e)));
	assert_int_equal(n, 0);
	assert_true(db_exec(r->db, NULL, &e,
			    "UPDATE webhook_target SET paused_until_ms = 9001"
			    " WHERE origin = 'https://hooks.example.org:443'"));
	assert_true(STEP(r->db, delivery_sweep(r->db, 2000, 0, 9000, &n, &e)));
	assert_int_equal(n, 0);
	assert_true(STEP(r->db, delivery_sweep(r->db, 2001, 0, 9000, &n, &e)));
	assert_int_equal(n, 1);
	assert_int_equal(COUNT(r->db, "state = 'failed' AND url = '" URL "' AND ended_ms = 9000"),
			 1);
	/* What is over is kept for a while. */
	assert_true(STEP(r->db, delivery_sweep(r->db, 0, 9000, 9500, &n, &e)));
	assert_int_equal(n, 0);
	assert_true(STEP(r->db, delivery_sweep(r->db, 0, 9001, 9500, &n, &e)));
	assert_int_equal(n, 1);
	assert_int_equal(COUNT(r->db, "1 = 1"), 1);
}

static void test_secrets(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct webhook_secret_view all[WEBHOOK_SECRETS_MAX];
	char text[WEBHOOK_KEY_TEXT], next[WEBHOOK_KEY_TEXT];
	int64_t id, old, until;
	size_t n;
	assert_true(STEP(r->db, webhook_secret_ensure(r->db, 7, 1000, &e)));
	assert_true(STEP(r->db, webhook_secret_ensure(r->db, 7, 1001, &e)));
	assert_true(webhook_secrets(r->db, 7, 1001, all, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(all[0].kind, WEBHOOK_HMAC);
	assert_int_equal(all[1].kind, WEBHOOK_ED25519);
	old = all[0].id;
	assert_true(STEP(r->db, webhook_secret_rotate(r->db, 7, WEBHOOK_HMAC, 2000, 500, &id, text,
						      &until, &e)));
	assert_true(webhook_secrets(r->db, 7, 2499, all, &n, &e));
	assert_int_equal(n, 3);
	assert_int_equal(all[0].id, id);
	assert_int_equal(all[1].id, old);
	assert_int_equal(all[1].expires_ms, 2500);
	assert_false(STEP(r->db, webhook_secret_rotate(r->db, 7, WEBHOOK_HMAC, 2499, 500, &id, next,
						       &until, &e)));
	assert_error(&e, ERR_BUSY);
	assert_int_equal(until, 2500);
	assert_true(webhook_secrets(r->db, 7, 2500, all, &n, &e));
	assert_int_equal(n, 2);
	assert_true(STEP(r->db, webhook_secret_rotate(r->db, 7, WEBHOOK_HMAC, 2500, 500, &id, next,
						      &until, &e)));
	assert_string_not_equal(text, next);
	assert_true(webhook_secrets(r->db, 7, 2600, all, &n, &e));
	assert_int_equal(n, 3);
	/* The older one may be ended, by its own user; the newest stays. */
	assert_false(STEP(r->db, webhook_secret_retire(r->db, 8, all[1].id, 2600, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_true(STEP(r->db, webhook_secret_retire(r->db, 7, all[1].id, 2600, &e)));
	assert_false(STEP(r->db, webhook_secret_retire(r->db, 7, id, 2600, &e)));
	assert_error(&e, ERR_BUSY);
	/* Without an overlap the old one ends in the next millisecond. */
	assert_true(STEP(r->db, webhook_secret_rotate(r->db, 7, WEBHOOK_ED25519, 3000, 0, &id, text,
						      &until, &e)));
	assert_true(webhook_secrets(r->db, 7, 3001, all, &n, &e));
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T_(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T_(test_written_with_the_end),
		T_(test_callers_of_what_is_over),
		T_(test_the_fence),
		T_(test_few_of_a_target),
		T_(test_room_is_kept_for_those_who_answer),
		T_(test_a_target_pauses),
		T_(test_sending_again),
		T_(test_sweeping),
		T_(test_secrets),
#undef T_
	};
	return database_run(tests);
}
