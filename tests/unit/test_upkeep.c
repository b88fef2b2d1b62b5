/*
 * What a process does for all beside saying that it lives: it says so while a table is vacuumed for
 * hours, does not wait for that when it ends, and goes by the server's clock. Runs where
 * AUTOS_TEST_POSTGRES names a server.
 */
#include "upkeep.h"

#include "database.h"

#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

static _Atomic int64_t ahead_s; /* this machine's clock */

/* In place of libc's. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);
	if (id == CLOCK_REALTIME)
		t->tv_sec += ahead_s;
	return r;
}

struct room {
	char *dir, *url, *objects;
	struct ledger *ledger;
	struct store *store;
	struct db *db;
	struct upkeep *upkeep;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->objects = xasprintf("dir:%s/objects", r->dir);
	r->ledger = ledger_open(r->url, &e);
	r->store = store_open(NULL, r->objects, STORE_WRITE, &e);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->ledger);
	assert_non_null(r->store);
	assert_non_null(r->db);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	ahead_s = 0;
	upkeep_free(r->upkeep);
	store_close(r->store);
	db_close(r->db);
	ledger_close(r->ledger);
	database_drop(r->url);
	scratch_remove(r->dir);
	xfree(r->objects);
	xfree(r);
	return 0;
}

static void start(struct room *r, const char *url)
{
	struct err e;
	if (!upkeep_new(&(struct upkeep_options){.database_url = url,
						 .ledger = r->ledger,
						 .store = r->store,
						 .role = "worker"},
			&r->upkeep, &e))
		fail_msg("%s", e.text);
	assert_non_null(r->upkeep);
}

static void run(struct room *r, const char *sql)
{
	struct err e;
	if (!db_run_once(r->db, sql, &e))
		fail_msg("%s: %s", sql, e.text);
}

static int64_t number(struct room *r, const char *sql)
{
	struct db_rows rows;
	struct err e;
	if (!db_run(r->db, sql, NULL, 0, &rows, &e))
		fail_msg("%s: %s", sql, e.text);
	int64_t n = rows.rows ? db_int(&rows, 0, 0) : -1;
	db_rows_release(&rows);
	return n;
}

static void until_positive(struct room *r, const char *sql)
{
	for (int64_t end = sys_mono_ms() + 120000; number(r, sql) <= 0; poll(NULL, 0, 50))
		if (sys_mono_ms() > end)
			fail_msg("in vain: %s", sql);
}

#define VACUUMS                                                                                    \
	"SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND application_name ="      \
	" 'slow_upkeep' AND query LIKE 'VACUUM %'"

static void test_slow_vacuum(void **state)
{
	struct room *r = *state;
	/* One page in a tenth of a second and more, for thousands of pages. */
	char *url = xasprintf("%s%%20-cvacuum_cost_delay%%3D100%%20-cvacuum_cost_limit%%3D1"
			      "&application_name=slow_upkeep",
			      r->url);
	run(r, "ALTER TABLE secret SET (autovacuum_enabled = off)");
	run(r, "INSERT INTO secret (name, value) SELECT CAST(n AS TEXT), repeat('x', 1000)"
	       " FROM generate_series(1, 20000) AS n");
	run(r, "UPDATE secret SET value = 'y'");
	run(r, "SELECT pg_stat_force_next_flush()");
	start(r, url);
	until_positive(r, VACUUMS);
	/* It lives and leads all the while. */
	int64_t until = number(r, "SELECT until_ms FROM node"), leads;
	leads = number(r, "SELECT until_ms FROM leader");
	char *sql = xasprintf("SELECT COUNT(*) FROM node, leader WHERE node.until_ms > %lld"
			      " AND leader.until_ms > %lld",
			      (long long)until + 4000, (long long)leads + 4000);
	until_positive(r, sql);
	assert_int_equal(number(r, VACUUMS), 1);
	/* Its end waits for no table. */
	upkeep_free(r->upkeep);
	r->upkeep = NULL;
	assert_int_equal(number(r, VACUUMS), 0);
	assert_int_equal(number(r, "SELECT vacuum_count FROM pg_stat_user_tables WHERE schemaname ="
				   " current_schema() AND relname = 'secret'"),
			 0);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM node"), 0);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM leader"), 0);
	xfree(sql);
	xfree(url);
}

#define NOW "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"

/* A leader whose clock is a day ahead takes nothing away that is still of use, and is dead for
 * nobody. */
static void test_clock_ahead(void **state)
{
	struct room *r = *state;
	ahead_s = 86400;
	run(r, "INSERT INTO quota_share (account, owner, granted, wants, until_ms) VALUES"
	       " ('a', 'alive', 1, 1, " NOW " + 10000), ('a', 'gone', 1, 1, 5)");
	run(r, "INSERT INTO change (xid, at_ms, owner, kind, process_id, job_id) VALUES"
	       " (1, " NOW ", 'x', 0, 1, 1), (2, " NOW " - 330000, 'x', 0, 2, 2)");
	run(r, "INSERT INTO node (owner, role, started_ms, until_ms) VALUES"
	       " ('alive', 'worker', 1, " NOW " + 10000)");
	run(r, "INSERT INTO erasure (number, at_ms) VALUES ('99000019720248260100', " NOW "),"
	       " ('99000027920248260100', 5)");
	start(r, r->url);
	until_positive(r, "SELECT 2 - COUNT(*) FROM erasure");
	assert_int_equal(number(r, "SELECT COUNT(*) FROM quota_share WHERE owner = 'gone'"), 0);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM quota_share WHERE owner = 'alive'"), 1);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM change WHERE xid = 2"), 0);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM change WHERE xid = 1"), 1);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM node WHERE owner = 'alive'"), 1);
	assert_int_equal(number(r, "SELECT COUNT(*) FROM erasure"), 1);
	assert_in_range(number(r, "SELECT MAX(until_ms) - " NOW " FROM leader"), 0, 15000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_slow_vacuum),
		TEST(test_clock_ahead),
	};
	database_server = getenv("AUTOS_TEST_POSTGRES");
	return database_server ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
