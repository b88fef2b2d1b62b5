/*
 * The portal's quota that processes on one PostgreSQL share: together never more than the whole,
 * whoever comes, freezes or dies; one pause and one pace for all; and no wait for the row. Runs
 * where AUTOS_TEST_POSTGRES names a server.
 */
#include "quota.h"

#include "pair.h"

#include <poll.h>

static struct quota_share ask_share(struct db *db, const char *owner, struct quota_ask q)
{
	struct quota_share s;
	struct err e = {0};
	q.account = "default";
	q.owner = owner;
	q.options = (struct lane_options){.min = 1,
					  .start = 4,
					  .max = 6,
					  .pace_ms = 1000,
					  .pause_ms = 100,
					  .pause_max_ms = 400};
	q.lease_ms = q.lease_ms ? q.lease_ms : 60000;
	assert_true(db_begin(db, &e));
	if (!quota_sync(db, &q, &s, &e))
		fail_msg("%s", e.text);
	assert_false(s.busy);
	assert_true(db_commit(db, &e));
	return s;
}

#define WORK(...) ((struct quota_ask){.wants = true, ##__VA_ARGS__})

/* What is kept for this process, in use or not. */
static int64_t reserved(struct db *db, const char *owner)
{
	struct db_rows r;
	struct err e;
	assert_true(db_exec(db, &r, &e, "SELECT granted FROM quota_share WHERE owner = $1",
			    db_s(owner)));
	int64_t n = r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return n;
}

/* ---- Shares ---- */

/* All together never have more than the whole, whoever comes and goes, and all get a part. */
static void test_shares(void **state)
{
	struct pair *p = *state;
	struct db *db = p->b;
	assert_int_equal(ask_share(db, "a", WORK()).granted, 4);
	/* A second one gets what the first gives back at its next turn. */
	assert_int_equal(ask_share(db, "b", WORK()).granted, 0);
	assert_int_equal(ask_share(db, "a", WORK(.active = 4)).granted, 2);
	assert_int_equal(reserved(db, "a"), 4); /* in flight */
	assert_int_equal(ask_share(db, "b", WORK()).granted, 0);
	assert_int_equal(ask_share(db, "a", WORK(.active = 3)).granted, 2);
	assert_int_equal(ask_share(db, "b", WORK()).granted, 1); /* as each of them ends */
	assert_int_equal(ask_share(db, "a", WORK(.active = 1)).granted, 2);
	assert_int_equal(ask_share(db, "b", WORK()).granted, 2);
	/* Without work a part goes to the other. */
	assert_int_equal(ask_share(db, "a", (struct quota_ask){0}).granted, 0);
	struct quota_share s = ask_share(db, "b", WORK());
	assert_int_equal(s.granted, 4);
	assert_int_equal(s.sharers, 1);
	assert_int_equal(s.whole, 4);
	assert_true(database_int(db, "SELECT SUM(granted) FROM quota_share") <= 4);
}

static void test_share_of_the_dead(void **state)
{
	struct pair *p = *state;
	assert_int_equal(ask_share(p->b, "dead", WORK(.lease_ms = 200)).granted, 4);
	assert_int_equal(ask_share(p->b, "b", WORK()).granted, 0);
	int granted = 0;
	for (int i = 0; i < 600 && granted < 4; i++) {
		poll(NULL, 0, 20);
		granted = ask_share(p->b, "b", WORK()).granted;
	}
	assert_int_equal(granted, 4);
}

/* A process that was frozen finds requests of its own still in flight, and everything given to
 * another: it starts none until that one has given some back. */
static void test_share_after_a_freeze(void **state)
{
	struct pair *p = *state;
	assert_int_equal(ask_share(p->b, "b", WORK()).granted, 4);
	assert_int_equal(ask_share(p->b, "frozen", WORK(.active = 3)).granted, 0);
	assert_int_equal(ask_share(p->b, "frozen", WORK(.active = 2)).granted, 0);
	assert_int_equal(reserved(p->b, "frozen"), 2);
	assert_int_equal(ask_share(p->b, "b", WORK(.active = 4)).granted, 2);
	assert_int_equal(ask_share(p->b, "frozen", WORK(.active = 1)).granted, 0);
	assert_int_equal(ask_share(p->b, "b", WORK(.active = 1)).granted, 2);
	assert_int_equal(ask_share(p->b, "frozen", WORK(.active = 1)).granted, 2);
}

/* Halving takes effect at once, not as slowly as the process is asked. */
static void test_share_after_halving(void **state)
{
	struct pair *p = *state;
	assert_int_equal(ask_share(p->b, "a", WORK()).granted, 4);
	assert_int_equal(ask_share(p->b, "a", WORK(.active = 4, .overload = true)).granted, 2);
	assert_int_equal(reserved(p->b, "a"), 4);
}

/* ---- The whole, pauses, turns ---- */

static void test_whole_moves(void **state)
{
	struct pair *p = *state;
	assert_int_equal(ask_share(p->b, "a", WORK(.good = 50)).whole, 6);
	assert_int_equal(ask_share(p->b, "b", WORK(.overload = true)).whole, 3);
	assert_int_equal(ask_share(p->b, "a", WORK(.overload = true)).whole, 3); /* one moment */
	/* A 429 seen by one pauses all; a second one of the same moment does not lengthen it. */
	struct quota_share s = ask_share(p->b, "a", WORK(.held = true, .wait_ms = 5000));
	assert_true(s.paused_anew);
	assert_in_range(s.pause_ms, 4900, 5000);
	s = ask_share(p->b, "b", WORK(.held = true, .wait_ms = 1000));
	assert_false(s.paused_anew);
	assert_in_range(s.pause_ms, 3000, 5000);
}

/* Of a hold that named a time and one that named none, the longer one counts. */
static void test_longest_pause(void **state)
{
	struct pair *p = *state;
	struct quota_share s =
		ask_share(p->b, "a", WORK(.held = true, .wait_ms = 1, .untimed = true));
	assert_in_range(s.pause_ms, 50, 100);
	s = ask_share(p->b, "a", WORK(.held = true, .wait_ms = 5000, .untimed = true));
	assert_in_range(s.pause_ms, 4900, 5000);
	s = ask_share(p->b, "a", WORK(.held = true, .wait_ms = -1));
	assert_in_range(s.pause_ms, 200, 5000);
}

/* Turns for list calls are a pace and a window apart, whoever gets them. */
static void test_turns(void **state)
{
	struct pair *p = *state;
	struct quota_share s = ask_share(p->b, "a", WORK(.wants_list = true));
	assert_int_equal(s.list_in_ms, 0);
	s = ask_share(p->b, "b", WORK(.wants_list = true));
	assert_in_range(s.list_in_ms, 500, 1000 + QUOTA_WINDOW_MS);
	/* Not far ahead: whoever has a turn may die before it. */
	assert_int_equal(ask_share(p->b, "d", WORK(.wants_list = true)).list_in_ms, -1);
	assert_int_equal(ask_share(p->b, "e", WORK()).list_in_ms, -1);
}

/* Where answers are long on their way a turn lasts longer by that, and the next one comes later. */
static void test_slow_turns(void **state)
{
	struct pair *p = *state;
	struct quota_share s = ask_share(p->b, "a", WORK(.wants_list = true, .trip_ms = 700));
	assert_int_equal(s.list_in_ms, 0);
	assert_int_equal(s.list_for_ms, QUOTA_WINDOW_MS + 700);
	int64_t next = database_int(p->b, "SELECT next_list_ms - (until_ms - 60000)"
					  " FROM quota, quota_share");
	assert_int_equal(next, 1000 + QUOTA_WINDOW_MS + 700);
	assert_true(db_run_once(p->b, "UPDATE quota SET next_list_ms = 0", &(struct err){0}));
	s = ask_share(p->b, "b", WORK(.wants_list = true, .trip_ms = 90000));
	assert_int_equal(s.list_for_ms, QUOTA_WINDOW_MS + QUOTA_TRIP_MAX_MS);
	s = ask_share(p->b, "a", WORK(.wants_list = true));
	assert_int_equal(s.list_in_ms, -1);
	assert_in_range(s.list_again_ms, 1, QUOTA_TRIP_MAX_MS);
}

/* The server's clock was put back by a day: what was ahead is no farther ahead than it can be. */
static void test_clock_put_back(void **state)
{
	struct pair *p = *state;
	struct err e;
	ask_share(p->b, "dead", WORK(.lease_ms = 200));
	ask_share(p->b, "a", WORK(.wants_list = true, .lease_ms = 200));
	assert_true(db_run_once(p->b, "UPDATE quota_share SET until_ms = until_ms + 86400000", &e));
	assert_true(db_run_once(p->b,
				"UPDATE quota SET paused_until_ms = next_list_ms + 86400000,"
				" next_list_ms = next_list_ms + 86400000,"
				" halved_ms = next_list_ms + 86400000",
				&e));
	struct quota_share s =
		ask_share(p->b, "a", WORK(.wants_list = true, .overload = true, .lease_ms = 200));
	assert_int_equal(s.pause_ms, LANE_WAIT_MAX_MS);
	assert_int_equal(s.whole, 4); /* halved a moment ago, as far as is known */
	assert_in_range(s.list_again_ms, 1, 1000 + QUOTA_WINDOW_MS + QUOTA_TRIP_MAX_MS);
	int granted = 0;
	for (int i = 0; i < 600 && granted < 4; i++) {
		poll(NULL, 0, 20);
		granted = ask_share(p->b, "a", WORK(.lease_ms = 200)).granted;
	}
	assert_int_equal(granted, 4);
	int whole = 4;
	for (int i = 0; i < 600 && whole == 4; i++) {
		poll(NULL, 0, 20);
		whole = ask_share(p->b, "a", WORK(.overload = true)).whole;
	}
	assert_int_equal(whole, 2);
}

/* ---- The row ---- */

/* Whoever finds the row of the quota with another does not wait, and changes nothing; whoever only
 * looks needs no row. */
static void test_row_is_with_another(void **state)
{
	struct pair *p = *state;
	struct err e;
	ask_share(p->a->db, "a", WORK());
	assert_true(db_begin(p->b, &e));
	assert_int_equal(database_int(p->b, "SELECT 1 FROM quota FOR NO KEY UPDATE"), 1);
	struct quota_ask q = WORK(.account = "default", .owner = "a", .lease_ms = 60000,
				  .options = {.min = 1, .start = 4, .max = 6, .pace_ms = 1000});
	struct quota_share s;
	assert_int_equal(ask_share(p->a->db, "a", q).granted, 4);
	q.overload = true;
	assert_true(STEP(p->a->db, quota_sync(p->a->db, &q, &s, &e)));
	assert_true(s.busy);
	db_rollback(p->b);
	assert_true(STEP(p->a->db, quota_sync(p->a->db, &q, &s, &e)));
	assert_false(s.busy);
	assert_int_equal(s.whole, 2);
}

/* A process that freezes with the row loses its transaction, long before a share of a usual lease
 * would end. */
static void test_frozen_with_the_row(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct quota_ask q = WORK(.account = "default", .owner = "b", .lease_ms = 400,
				  .options = {.min = 1, .start = 4, .max = 6});
	struct quota_share s;
	assert_true(db_begin(p->a->db, &e));
	assert_true(quota_sync(p->a->db, &q, &s, &e) && s.granted == 4);
	q.owner = "a";
	for (int i = 0; i < 600; i++) {
		assert_true(STEP(p->b, quota_sync(p->b, &q, &s, &e)));
		if (!s.busy)
			break;
		poll(NULL, 0, 20);
	}
	assert_int_equal(s.granted, 4);
	assert_false(db_commit(p->a->db, &e));
	assert_true(p->a->db->transient);
}

/* The version of a row: it moves when the row is written. */
static int64_t version(struct db *db, const char *sql)
{
	struct db_rows r;
	struct err e;
	assert_true(db_run(db, sql, NULL, 0, &r, &e));
	int64_t n = strtoll(db_text(&r, 0, 0), NULL, 10);
	db_rows_release(&r);
	return n;
}

/* An ask that changes nothing writes nothing, until a third of the share's time is over. */
static void test_nothing_is_written(void **state)
{
	static const char quota[] = "SELECT CAST(xmin AS TEXT) FROM quota",
			  share[] = "SELECT CAST(xmin AS TEXT) FROM quota_share";
	struct pair *p = *state;
	struct err e;
	struct quota_share s = ask_share(p->b, "a", WORK(.good = 50));
	assert_int_equal(s.lease_ms, 60000);
	int64_t before = version(p->b, quota), ours = version(p->b, share);
	for (int i = 0; i < 3; i++) {
		s = ask_share(p->b, "a", WORK(.good = 1, .active = 6 - i));
		assert_in_range(s.lease_ms, 40000, 60000);
		assert_int_equal(s.granted, 6);
	}
	assert_int_equal(version(p->b, quota), before);
	assert_int_equal(version(p->b, share), ours);
	assert_true(db_run_once(p->b, "UPDATE quota_share SET until_ms = until_ms - 21000", &e));
	s = ask_share(p->b, "a", WORK(.active = 2));
	assert_int_equal(s.lease_ms, 60000);
	assert_int_equal(version(p->b, quota), before);
	/* Whoever has nothing to do has no row. */
	ask_share(p->b, "idle", (struct quota_ask){0});
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM quota_share"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_PAIR(test_shares),
		TEST_PAIR(test_share_of_the_dead),
		TEST_PAIR(test_share_after_a_freeze),
		TEST_PAIR(test_share_after_halving),
		TEST_PAIR(test_whole_moves),
		TEST_PAIR(test_longest_pause),
		TEST_PAIR(test_turns),
		TEST_PAIR(test_slow_turns),
		TEST_PAIR(test_clock_put_back),
		TEST_PAIR(test_row_is_with_another),
		TEST_PAIR(test_frozen_with_the_row),
		TEST_PAIR(test_nothing_is_written),
	};
	return pair_run(tests);
}
