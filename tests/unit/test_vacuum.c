/*
 * Dead rows on PostgreSQL: they are counted, who keeps them is named and timed, and a table is
 * vacuumed while that is of use. Runs where AUTOS_TEST_POSTGRES names a server.
 */
#include "vacuum.h"

#include "fleet.h"
#include "pair.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

/* So many dead rows in the table `secret`, told to the statistics. */
static void bloat(struct pair *p, int rows)
{
	struct err e;
	char *sql = xasprintf("INSERT INTO secret (name, value) SELECT CAST(n AS TEXT), 'x' FROM"
			      " generate_series(1, %d) AS n",
			      rows);
	assert_true(db_run_once(p->a->db, sql, &e));
	assert_true(db_run_once(p->a->db, "DELETE FROM secret", &e));
	assert_true(db_run_once(p->a->db, "SELECT pg_stat_force_next_flush()", &e));
	xfree(sql);
}

#define OF_SECRET                                                                                  \
	" FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname = 'secret'"

/* Somebody who sees what there is now, until db_rollback. */
static struct db *hold(const char *url)
{
	struct err e;
	struct db *holder = db_open(url, DB_READ, &e);
	assert_non_null(holder);
	assert_true(db_begin(holder, &e));
	assert_int_equal(
		database_int(holder, "SELECT COUNT(*) FROM pg_class WHERE relname = 'secret'") >= 0,
		1);
	return holder;
}

/* ---- Who keeps them ---- */

/* Looks until this one is the oldest: others of this server may hold older snapshots for a while.
 */
static void look_for(struct pair *p, struct fleet_health *h, const char *holder)
{
	struct err e;
	for (int i = 0; i < 600; i++) {
		assert_true(fleet_health(p->b, h, &e));
		if (strstr(h->holder, holder))
			break;
		poll(NULL, 0, 100);
	}
}

/* Dead rows are counted; who keeps them is named. */
static void test_health(void **state)
{
	struct pair *p = *state;
	struct fleet_health h;
	struct db *holder = hold(p->a->url);
	bloat(p, 3000);
	look_for(p, &h, "session autos");
	assert_true(h.dead_rows >= 3000);
	assert_true(h.oldest_xmin >= 1);
	assert_string_equal(h.kind, "session");
	assert_non_null(strstr(h.holder, "session autos"));
	db_close(holder);
}

static void *vacuum_slowly(void *arg)
{
	struct db *db = arg;
	struct err e;
	bool ok = db_run_once(db, "SET vacuum_cost_delay = 100", &e) &&
		  db_run_once(db, "SET vacuum_cost_limit = 1", &e);
	assert_true(ok && !db_run_once(db, "VACUUM secret", &e)); /* it is cancelled */
	return NULL;
}

/* The server does not count what a vacuum sees: it keeps no dead row (PostgreSQL, procarray.c,
 * PROC_IN_VACUUM). */
static void test_vacuum_keeps_nothing(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct fleet_health h;
	pthread_t thread;
	struct db *slow = db_open(p->a->url, DB_WRITE, &e);
	assert_non_null(slow);
	int64_t pid = database_int(slow, "SELECT pg_backend_pid()");
	char running[200], cancel[60], name[40];
	snprintf(running, sizeof running,
		 "SELECT COUNT(*) FROM pg_stat_activity a JOIN pg_stat_progress_vacuum v"
		 " USING (pid) WHERE pid = %lld AND a.backend_xmin IS NOT NULL",
		 (long long)pid);
	snprintf(cancel, sizeof cancel, "SELECT pg_cancel_backend(%lld)", (long long)pid);
	snprintf(name, sizeof name, "pid %lld)", (long long)pid);
	bloat(p, 3000);
	assert_int_equal(pthread_create(&thread, NULL, vacuum_slowly, slow), 0);
	while (database_int(p->b, running) == 0)
		sched_yield();
	bool named = false, ok = true;
	for (int i = 0; i < 20; i++) {
		ok = ok && fleet_health(p->b, &h, &e);
		named = named || strstr(h.holder, name);
	}
	int64_t still = database_int(p->b, running);
	assert_true(db_run_once(p->b, cancel, &e));
	pthread_join(thread, NULL);
	assert_int_equal(still, 1);
	assert_true(ok);
	assert_false(named);
	db_close(slow);
}

/* A session of another database holds up none of our rows. */
static void test_other_database(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct fleet_health h;
	const char *options = strstr(database_server, "/postgres?");
	assert_non_null(options);
	char *url = xasprintf("%.*s/template1?%s&application_name=elsewhere",
			      (int)(options - database_server), database_server,
			      options + strlen("/postgres?"));
	struct db *elsewhere = hold(url);
	bloat(p, 10);
	assert_true(fleet_health(p->b, &h, &e));
	assert_null(strstr(h.holder, "elsewhere"));
	db_close(elsewhere);
	xfree(url);
}

static void test_prepared(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct fleet_health h;
	assert_true(db_begin(p->a->db, &e));
	assert_true(
		db_exec(p->a->db, NULL, &e, "INSERT INTO secret (name, value) VALUES ('a', 'b')"));
	char *prepare = xasprintf("PREPARE TRANSACTION 'unit-%d'", (int)getpid());
	char *undo = xasprintf("ROLLBACK PREPARED 'unit-%d'", (int)getpid());
	assert_true(db_run_once(p->a->db, prepare, &e));
	db_rollback(p->a->db);
	look_for(p, &h, "prepared transaction unit-");
	bool ok = db_run_once(p->b, undo, &e);
	assert_string_equal(h.kind, "prepared");
	assert_non_null(strstr(h.holder, "prepared transaction unit-"));
	assert_true(ok);
	xfree(prepare);
	xfree(undo);
}

/* Who is the oldest is timed from when he was first seen, as far as the server tells less. */
static void test_watch(void **state)
{
	struct fleet_holder at = {0};
	(void)state;
	struct fleet_health nobody = {0}, slot = {.kind = "slot", .who = "slot a"},
			    session = {.kind = "session", .who = "session 7", .oldest_s = 500};
	fleet_watch(&at, &nobody, 1000);
	assert_int_equal(nobody.oldest_s, 0);
	assert_int_equal(at.since_ms, 1000);
	fleet_watch(&at, &nobody, 90000);
	assert_int_equal(nobody.oldest_s, 0);
	fleet_watch(&at, &slot, 100000);
	assert_int_equal(slot.oldest_s, 0);
	fleet_watch(&at, &slot, 175000);
	assert_int_equal(slot.oldest_s, 75);
	assert_int_equal(at.since_ms, 100000);
	fleet_watch(&at, &session, 176000);
	assert_int_equal(session.oldest_s, 500);
	session.oldest_s = 0;
	fleet_watch(&at, &session, 178000);
	assert_int_equal(session.oldest_s, 2);
	slot.oldest_s = 0;
	fleet_watch(&at, &slot, 180000);
	assert_int_equal(slot.oldest_s, 0);
}

/* ---- Vacuums ---- */

static int64_t vacuums(struct pair *p)
{
	return database_int(p->b, "SELECT vacuum_count" OF_SECRET);
}

static void run_vacuum(struct pair *p, struct vacuum *v, int64_t now, int64_t released,
		       int64_t tables)
{
	struct err e = {0};
	int64_t done;
	if (!vacuum_run(v, p->b, &(struct vacuum_turn){.now_ms = now, .released_ms = released},
			&done, &e))
		fail_msg("%s", e.text);
	assert_int_equal(done, tables);
}

/* While a snapshot is held a table is vacuumed once, then left alone. */
static void test_vacuum_of_no_use(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct vacuum *v = vacuum_new();
	struct db *holder = hold(p->a->url);
	assert_true(db_run_once(p->a->db, "ALTER TABLE secret SET (autovacuum_enabled = off)", &e));
	bloat(p, 3000);
	run_vacuum(p, v, 1000, 500, 1);
	assert_true(database_int(p->b, "SELECT n_dead_tup" OF_SECRET) >= 3000);
	for (int64_t now = 21000; now < VACUUM_AGAIN_MS; now += 400000)
		run_vacuum(p, v, now, 500, 0);
	bloat(p, 1000); /* more, but not twice as many */
	run_vacuum(p, v, 3500000, 500, 0);
	assert_int_equal(vacuums(p), 1);
	bloat(p, 3000); /* twice as many */
	run_vacuum(p, v, 3500000, 500, 1);
	run_vacuum(p, v, 3520000, 500, 0);
	run_vacuum(p, v, 3500000 + VACUUM_AGAIN_MS, 500, 1); /* an hour */
	run_vacuum(p, v, 3520000 + VACUUM_AGAIN_MS, 500, 0);
	assert_int_equal(vacuums(p), 3);
	/* The holder lets go: at once, and it is of use. */
	db_close(holder);
	for (int i = 0; i < 1200 && database_int(p->b, "SELECT n_dead_tup" OF_SECRET) > 1000; i++) {
		run_vacuum(p, v, 3540002 + VACUUM_AGAIN_MS + 2 * i,
			   3540001 + VACUUM_AGAIN_MS + 2 * i, 1);
		poll(NULL, 0, 50); /* tests beside this one hold snapshots for moments */
	}
	assert_in_range(database_int(p->b, "SELECT n_dead_tup" OF_SECRET), 0, 1000);
	vacuum_free(v);
}

static bool no(void *arg)
{
	(void)arg;
	return false;
}

static void test_vacuum_stops(void **state)
{
	struct pair *p = *state;
	struct err e;
	int64_t done;
	struct vacuum *v = vacuum_new();
	bloat(p, 3000);
	assert_true(
		vacuum_run(v, p->b, &(struct vacuum_turn){.now_ms = 1, .goes_on = no}, &done, &e));
	assert_int_equal(done, 0);
	vacuum_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_PAIR(test_vacuum_keeps_nothing), TEST_PAIR(test_health),
		TEST_PAIR(test_other_database),       TEST_PAIR(test_prepared),
		cmocka_unit_test(test_watch),         TEST_PAIR(test_vacuum_of_no_use),
		TEST_PAIR(test_vacuum_stops),
	};
	return pair_run(tests);
}
