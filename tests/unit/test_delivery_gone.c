/*
 * Messages for users who are gone or not active, with the thread that sends: whatever set them
 * going, they are not sent, and they end.
 */
#include "access.h"
#include "delivery.h"
#include "hook.h"
#include "sender.h"

/* ---- What happened before ---- */

static int64_t user(struct db *db, const char *name)
{
	struct user_facts u = {.username = name, .email = "", .role = ROLE_USER, .active = true};
	struct err e;
	int64_t id;
	assert_true(STEP(db, access_create_user(db, &u, 1000, &id, &e)));
	return id;
}

/* A webhook of one user at /what. */
static void name_hook(struct db *db, int port, const char *what, int64_t user_id)
{
	struct job_ticket t;
	struct err e;
	char *url = xasprintf("http://127.0.0.1:%d/%s", port, what);
	struct job_ask ask = {.number = NUMBER,
			      .relist = true,
			      .now_ms = 1000,
			      .webhook_url = url,
			      .user_id = user_id};
	assert_true(STEP(db, job_request(db, &ask, &t, &e)));
	xfree(url);
}

static void end_job(struct db *db)
{
	struct err e;
	bool over;
	struct job_lease l = claim(db, database_int(db, "SELECT id FROM job"), 1000);
	assert_true(STEP(db, job_finish(db, &l, OUTCOME_NOT_FOUND, "", 2000, &over, &e)));
}

/* By hand, as an admin does. */
static void send_again(struct db *db, const char *what)
{
	struct db_rows r;
	struct err e;
	char *tail = xasprintf("%%/%s", what);
	assert_true(
		db_exec(db, &r, &e, "SELECT event_id FROM delivery WHERE url LIKE $1", db_s(tail)));
	assert_int_equal(r.rows, 1);
	assert_true(STEP(db, delivery_again(db, db_text(&r, 0, 0), -1, 3000, &e)));
	db_rows_release(&r);
	xfree(tail);
}

/* ---- What became of it ---- */

static void assert_fate(struct db *db, const char *what, const char *state, const char *error,
			int64_t attempts)
{
	struct db_rows r;
	struct err e;
	char *tail = xasprintf("%%/%s", what);
	assert_true(db_exec(db, &r, &e,
			    "SELECT state, error, (SELECT COUNT(*) FROM delivery_attempt a"
			    "  WHERE a.delivery_id = d.id), ended_ms > 0"
			    " FROM delivery d WHERE url LIKE $1",
			    db_s(tail)));
	assert_int_equal(r.rows, 1);
	if (strcmp(db_text(&r, 0, 0), state) != 0 || strcmp(db_text(&r, 0, 1), error) != 0)
		fail_msg("/%s is %s: '%s'", what, db_text(&r, 0, 0), db_text(&r, 0, 1));
	assert_int_equal(db_int(&r, 0, 2), attempts);
	assert_true(db_int(&r, 0, 3) != 0);
	db_rows_release(&r);
	xfree(tail);
}

#define NOBODY "the user is gone or not active"

static void test_gone(void **state)
{
	struct room *r = *state;
	struct err e;
	struct hook h;
	struct sender s;
	hook_open(&h, (const int[]){200, 0}, "");
	int64_t stays = user(r->db, "stays"), goes = user(r->db, "goes"),
		rests = user(r->db, "rests");
	name_hook(r->db, h.port, "stays", stays);
	name_hook(r->db, h.port, "goes", goes);
	name_hook(r->db, h.port, "rests", rests);
	name_hook(r->db, h.port, "nobody", 0); /* of the installation itself */
	/* Named, and ended, by processes that did not see yet that the user is gone. */
	name_hook(r->db, h.port, "late", 4711);
	end_job(r->db);
	assert_true(STEP(r->db, access_delete_user(r->db, goes, &e)));
	struct user_change c = {.rate_limit = -1, .rate_window_s = -1, .active = 0};
	assert_true(STEP(r->db, access_change_user(r->db, rests, &c, 2500, &e)));
	send_again(r->db, "goes");
	send_again(r->db, "rests");
	sender_start(&s, r, (const char *const[]){"environment", "development", NULL});
	sender_until_none(&s,
			  "SELECT COUNT(*) FROM delivery WHERE class = ''"); /* put off, or over */
	sender_stop(&s, r);
	assert_fate(r->db, "stays", "delivered", "", 1);
	assert_fate(r->db, "nobody", "delivered", "", 1);
	assert_fate(r->db, "goes", "cancelled", NOBODY, 0);
	assert_fate(r->db, "rests", "cancelled", NOBODY, 0);
	assert_fate(r->db, "late", "cancelled", NOBODY, 0);
	hook_close(&h);
	assert_int_equal(h.asked, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown)};
	return database_run(tests);
}
