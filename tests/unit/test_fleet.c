/*
 * Who else runs on one PostgreSQL: an office has one holder, what the dead held is set free, and
 * the time is the server's. Runs where AUTOS_TEST_POSTGRES names a server.
 */
#include "fleet.h"

#include "pair.h"

static void test_office(void **state)
{
	struct pair *p = *state;
	struct err e;
	bool led;
	assert_true(fleet_lead(p->a->db, "upkeep", "a", 1000, 2000, &led, &e) && led);
	assert_true(fleet_lead(p->b, "upkeep", "b", 1500, 2500, &led, &e));
	assert_false(led);
	assert_true(fleet_lead(p->a->db, "upkeep", "a", 1900, 2900, &led, &e) && led);
	assert_true(fleet_lead(p->b, "upkeep", "b", 2899, 3500, &led, &e));
	assert_false(led);
	assert_true(fleet_lead(p->b, "upkeep", "b", 2900, 3900, &led, &e) && led);
	assert_true(fleet_lead(p->a->db, "upkeep", "a", 3000, 4000, &led, &e));
	assert_false(led);
	assert_true(fleet_leave(p->b, "b", &e));
	assert_true(fleet_lead(p->a->db, "upkeep", "a", 3000, 4000, &led, &e) && led);
}

/* A cancelled job of a dead worker lets its case go; that of a living one does not. */
static void test_sweep(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct job_lease l = claim(p->a->db, request(p->a->db, NUMBER).job_id, 1000);
	assert_true(fleet_beat(p->b, "me", "worker", 1000, 5000, &e));
	assert_true(STEP(p->a->db, job_cancel(p->a->db, l.job_id, 2000, &e)));
	assert_true(fleet_sweep(p->b, 4000, &e));
	assert_false(STEP(p->a->db, job_erase(p->a->db, NUMBER, 4000, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(fleet_sweep(p->b, 5000, &e));
	assert_true(STEP(p->a->db, job_erase(p->a->db, NUMBER, 5000, &e)));
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM node"), 1);
	assert_true(fleet_sweep(p->b, 70000, &e));
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM node"), 0);
	struct db_rows r;
	assert_true(fleet_erasures(p->b, 5000, &r, &e));
	assert_int_equal(r.rows, 0);
	db_rows_release(&r);
	assert_true(fleet_erasures(p->b, 5001, &r, &e));
	assert_int_equal(r.rows, 1);
	assert_string_equal(db_text(&r, 0, 0), NUMBER);
	assert_int_equal(db_int(&r, 0, 1), 5000);
	db_rows_release(&r);
}

/* Whatever this machine's clock says, the fleet goes by the server's. */
static void test_now(void **state)
{
	struct pair *p = *state;
	struct err e;
	int64_t before, now, after;
	const char *sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 - 1 AS BIGINT)";
	before = database_int(p->b, sql);
	assert_true(fleet_now(p->a->db, &now, &e));
	after = database_int(p->b, sql);
	assert_in_range(now, before, after + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_PAIR(test_office),
		TEST_PAIR(test_sweep),
		TEST_PAIR(test_now),
	};
	return pair_run(tests);
}
