/*
 * What processes on one PostgreSQL share: news, offices, dead ones' belongings, dead rows, the
 * portal's quota. Runs where AUTOS_TEST_POSTGRES names a server.
 */
#include "change.h"
#include "fleet.h"
#include "quota.h"
#include "vacuum.h"

#include "pair.h"

#include <poll.h>

/* ---- News ---- */

static void write_note(struct db *db, const char *owner, int64_t process, bool commit)
{
	struct err e;
	assert_true(db->in_transaction || db_begin(db, &e));
	db_note(db, (struct db_note){NOTE_CHANGED, process, 7});
	assert_true(change_write(db, owner, &e));
	if (commit)
		assert_true(db_commit(db, &e));
}

/* Reads once: exactly these cases are told of, each once, in any order. */
static void reads(struct db *db, struct change_place *at, size_t nwant, const int64_t *want)
{
	struct db_note *notes;
	struct err e = {0};
	size_t n, told = 0;
	if (!change_read(db, at, "reader", &notes, &n, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < nwant; i++)
		for (size_t k = 0; k < n; k++)
			told += notes[k].process_id == want[i] && notes[k].kind == NOTE_CHANGED &&
				notes[k].job_id == 7;
	xfree(notes);
	assert_int_equal(n, nwant);
	assert_int_equal(told, nwant);
}

#define READS(at, ...)                                                                             \
	reads(p->b, (at), sizeof((int64_t[]){0, ##__VA_ARGS__}) / sizeof(int64_t) - 1,             \
	      (const int64_t[]){0, ##__VA_ARGS__} + 1)

static void test_changes(void **state)
{
	struct pair *p = *state;
	struct change_place at = {0};
	write_note(p->a->db, "writer", 98, true); /* before the first look */
	READS(&at);
	write_note(p->a->db, "reader", 99, true); /* our own is no news */
	READS(&at);
	write_note(p->a->db, "writer", 2, true);
	write_note(p->a->db, "reader", 99, true);
	write_note(p->a->db, "writer", 3, true);
	READS(&at, 2, 3);
	READS(&at);
	write_note(p->a->db, "writer", 1, true);
	write_note(p->a->db, "writer", 4, false);
	db_rollback(p->a->db);
	READS(&at, 1);
	READS(&at);
	change_place_release(&at);
	READS(&at); /* forgotten: at the end again */
	change_place_release(&at);
}

/* A transaction that began first and is committed last is not missed, and makes nobody hear again
 * what others wrote meanwhile. */
static void test_late_commit(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	struct db *late = db_open(p->a->url, DB_WRITE, &e),
		  *later = db_open(p->a->url, DB_WRITE, &e);
	READS(&at);
	write_note(late, "writer", 1, false);
	for (int64_t i = 10; i < 20; i++) {
		write_note(p->a->db, "writer", i, true);
		READS(&at, i);
		READS(&at);
	}
	write_note(later, "writer", 2, false);
	READS(&at);
	write_note(p->a->db, "writer", 3, true);
	assert_true(db_commit(late, &e));
	READS(&at, 1, 3);
	READS(&at);
	assert_true(db_commit(later, &e));
	READS(&at, 2);
	READS(&at);
	change_place_release(&at);
	db_close(later);
	db_close(late);
}

/* Rows of savepoints carry the number of the whole. */
static void test_a_part_of_a_transaction(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	READS(&at);
	assert_true(db_begin(p->a->db, &e));
	assert_true(db_exec(p->a->db, NULL, &e, "SAVEPOINT one"));
	write_note(p->a->db, "writer", 1, false);
	assert_true(db_exec(p->a->db, NULL, &e, "RELEASE SAVEPOINT one"));
	READS(&at);
	assert_true(db_commit(p->a->db, &e));
	READS(&at, 1);
	READS(&at);
	change_place_release(&at);
}

/* Numbers of transactions mean something to the server that gave them alone. */
static void test_a_place_of_another_connection(void **state)
{
	struct pair *p = *state;
	struct err e = {0};
	struct change_place at = {0};
	struct db_note *notes;
	size_t n = 7;
	READS(&at);
	assert_false(change_read(p->a->db, &at, "reader", &notes, &n, &e));
	assert_says(&e, "another connection");
	assert_null(notes);
	assert_int_equal(n, 0);
	READS(&at);
	change_place_release(&at);
}

static struct db_ops explaining;
static char *explained[4];
static size_t nexplained;

/* The plan in place of the rows. */
static bool explain_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
			struct db_rows *out, struct err *e)
{
	struct db_rows r = {0};
	char *text = explained[nexplained++] = xasprintf("EXPLAIN %s", sql), *all = xstrdup("");
	if (!db_pg.run(db, text, args, nargs, &r, e))
		fail_msg("%s", e->text);
	for (size_t i = 0; i < r.rows; i++) {
		char *more = xasprintf("%s%s\n", all, db_text(&r, i, 0));
		xfree(all);
		all = more;
	}
	db_rows_release(&r);
	if (strstr(all, "Seq Scan") || strstr(all, "Sort") || strstr(all, "Filter: (xid") ||
	    !strstr(all, "Index Cond: (xid >= ") || !strstr(all, "Index Cond: (xid = ANY"))
		fail_msg("%s", all);
	xfree(all);
	return db_pg.run(db, sql, args, nargs, out, e);
}

/* However long a transaction has been running, a look costs what is new. */
static void test_plan_of_a_look(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	struct db *late = db_open(p->a->url, DB_WRITE, &e);
	write_note(late, "writer", 1, false);
	READS(&at);
	explaining = db_pg;
	explaining.run = explain_run;
	p->b->ops = &explaining;
	READS(&at);
	assert_int_equal(nexplained, 1);
	p->b->ops = &db_pg;
	db_close(p->b); /* it kept the statement */
	p->b = NULL;
	db_close(late);
	xfree(explained[0]);
	change_place_release(&at);
}

static void test_trim(void **state)
{
	struct pair *p = *state;
	struct err e;
	int64_t now = sys_wall_ms();
	write_note(p->a->db, "writer", 1, true);
	assert_true(change_trim(p->b, now - 60000, &e));
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM change"), 1);
	assert_true(change_trim(p->b, now + 60000, &e));
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM change"), 0);
}

/* What a commit brought that took longer than news are kept is there to be heard, for one more
 * time of waiting. */
static void test_trim_of_late_news(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	int64_t before = sys_wall_ms() - 60000;
	READS(&at);
	assert_true(db_begin(p->a->db, &e));
	db_note(p->a->db, (struct db_note){NOTE_CHANGED, 5, 7});
	assert_true(change_write(p->a->db, "writer", &e));
	assert_true(db_exec(p->a->db, NULL, &e, "UPDATE change SET at_ms = at_ms - 660000"));
	assert_true(change_trim(p->b, before, &e));
	assert_true(db_commit(p->a->db, &e));
	assert_true(change_trim(p->b, before, &e));
	READS(&at, 5);
	READS(&at);
	assert_true(change_trim(p->b, before + 5000, &e));
	READS(&at);
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM change"), 0);
	change_place_release(&at);
}

/* ---- Offices and the dead ---- */

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

/* ---- Dead rows ---- */

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

/* Dead rows are counted; who keeps them is named. */
static void test_health(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct fleet_health h;
	struct db *holder = hold(p->a->url);
	bloat(p, 3000);
	assert_true(fleet_health(p->b, &h, &e));
	assert_true(h.dead_rows >= 3000);
	assert_true(h.oldest_xmin >= 1);
	assert_string_equal(h.kind, "session");
	assert_non_null(strstr(h.holder, "session autos"));
	db_close(holder);
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
	/* Others of this server may hold older ones. */
	for (int i = 0; i < 600; i++) {
		assert_true(fleet_health(p->b, &h, &e));
		if (strcmp(h.kind, "prepared") == 0)
			break;
		poll(NULL, 0, 100);
	}
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

/* ---- Claims beside each other ---- */

/* Two that claim at the same moment get different jobs, and none waits for the other. */
static void test_claims_beside(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct job_lease one[4], two[4];
	char numbers[6][21];
	for (int i = 0; i < 6; i++) {
		snprintf(numbers[i], sizeof numbers[i], "%020d", i + 1);
		request(p->a->db, numbers[i]);
	}
	size_t n = 4, m = 4;
	assert_true(db_begin(p->a->db, &e) && db_begin(p->b, &e));
	assert_true(job_claim_ready(p->a->db, "a", 5000, LEASE, NULL, one, &n, &e));
	assert_true(job_claim_ready(p->b, "b", 5000, LEASE, NULL, two, &m, &e));
	assert_int_equal(n, 4);
	assert_int_equal(m, 2);
	assert_true(db_commit(p->b, &e) && db_commit(p->a->db, &e));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < m; k++)
			assert_int_not_equal(one[i].job_id, two[k].job_id);
	check_events(p->b);
}

/* A look that begins behind the head sees what is urgent and what is new; the others, a whole one.
 */
static void test_claim_from(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct job_lease l[8];
	static const struct {
		int priority;
		int64_t at;
	} jobs[] = {{0, 1000}, {0, 3000}, {5, 500}, {-5, 600}};
	int64_t ids[4];
	for (int i = 0; i < 4; i++) {
		char digits[21];
		struct job_ticket t;
		snprintf(digits, sizeof digits, "%020d", i + 1);
		assert_true(
			STEP(p->a->db, job_request(p->a->db,
						   &(struct job_ask){.number = digits,
								     .now_ms = jobs[i].at,
								     .priority = jobs[i].priority},
						   &t, &e)));
		ids[i] = t.job_id;
	}
	const struct job_place from = {.priority = 0, .run_at_ms = 2000, .expired_ms = 90000};
	size_t n = 2;
	assert_true(STEP(p->a->db, job_claim_ready(p->a->db, "a", 5000, LEASE, &from, l, &n, &e)));
	assert_int_equal(n, 2);
	assert_int_equal(l[0].job_id, ids[2]);
	assert_int_equal(l[1].job_id, ids[1]);
	n = 8; /* there is room: what is less urgent too */
	assert_true(STEP(p->a->db, job_claim_ready(p->a->db, "a", 5000, LEASE, &from, l, &n, &e)));
	assert_int_equal(n, 1);
	assert_int_equal(l[0].job_id, ids[3]);
	n = 8;
	assert_true(STEP(p->a->db, job_claim_ready(p->a->db, "a", 5000, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 1);
	assert_int_equal(l[0].job_id, ids[0]);
}

static char *claim_sql;

static bool catch_claim(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
			struct db_rows *out, struct err *e)
{
	if (strncmp(sql, "WITH urgent", 11) == 0 && !claim_sql) {
		char *words = db_words(&db_pg, sql);
		claim_sql = xasprintf("PREPARE claim(bigint, bigint, bigint, bigint, bigint, text,"
				      " bigint) AS %s",
				      words);
		xfree(words);
	}
	return db_pg.run(db, sql, args, nargs, out, e);
}

/* Each part of a claim walks the index that was made for it, although nobody has looked at the
 * tables' statistics yet: no other index, which would have to be read whole, and no sorting. */
static void test_plan_of_a_claim(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct job_lease l;
	struct db_rows r;
	size_t n = 1, ready = 0, leased = 0;
	struct db_ops watching = db_pg;
	watching.run = catch_claim;
	p->b->ops = &watching;
	assert_true(STEP(p->b, job_claim_ready(p->b, "a", 5000, LEASE, NULL, &l, &n, &e)));
	p->b->ops = &db_pg;
	assert_true(db_run_once(p->b, claim_sql, &e));
	assert_true(db_exec(p->b, &r, &e, "EXPLAIN EXECUTE claim(9, 0, 16, 5, 5, 'x', 9)"));
	for (size_t i = 0; i < r.rows; i++) {
		const char *line = db_text(&r, i, 0);
		ready += strstr(line, "using job_ready on job") != NULL;
		leased += strstr(line, "using job_leased on job") != NULL;
		assert_null(strstr(line, "Seq Scan on job"));
		assert_null(strstr(line, "using job_active"));
		assert_null(strstr(line, "using job_state"));
	}
	db_rows_release(&r);
	assert_int_equal(ready, 3);
	assert_int_equal(leased, 1);
	xfree(claim_sql);
	claim_sql = NULL;
}

/* ---- Asking beside an end ---- */

/* Whoever widens a job that is just being ended either reaches it or makes a new one. */
static void test_ask_beside_end(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct job_ticket t;
	struct job_lease l = listed(p->a->db);
	bool over;
	assert_true(db_begin(p->b, &e));
	assert_true(job_finish(p->b, &l, OUTCOME_PARTIAL, "x", 5000, &over, &e));
	assert_true(over);
	/* The asking waits for the end, in another process. */
	assert_true(db_begin(p->a->db, &e));
	assert_true(db_exec(p->a->db, NULL, &e, "SET LOCAL lock_timeout = '200ms'"));
	assert_false(
		job_request(p->a->db, &(struct job_ask){.number = NUMBER, .now_ms = 6000}, &t, &e));
	assert_true(p->a->db->transient);
	db_rollback(p->a->db);
	assert_true(db_commit(p->b, &e));
	assert_true(STEP(p->a->db,
			 job_request(p->a->db, &(struct job_ask){.number = NUMBER, .now_ms = 6000},
				     &t, &e)));
	assert_false(t.adopted);
}

/* ---- The quota ---- */

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

int main(void)
{
#define TEST_PAIR(name) cmocka_unit_test_setup_teardown(name, setup_pair, teardown_pair)
	const struct CMUnitTest pairs[] = {
		TEST_PAIR(test_changes),
		TEST_PAIR(test_late_commit),
		TEST_PAIR(test_a_part_of_a_transaction),
		TEST_PAIR(test_a_place_of_another_connection),
		TEST_PAIR(test_plan_of_a_look),
		TEST_PAIR(test_trim),
		TEST_PAIR(test_trim_of_late_news),
		TEST_PAIR(test_office),
		TEST_PAIR(test_sweep),
		TEST_PAIR(test_now),
		TEST_PAIR(test_health),
		TEST_PAIR(test_other_database),
		TEST_PAIR(test_prepared),
		cmocka_unit_test(test_watch),
		TEST_PAIR(test_vacuum_of_no_use),
		TEST_PAIR(test_vacuum_stops),
		TEST_PAIR(test_claims_beside),
		TEST_PAIR(test_claim_from),
		TEST_PAIR(test_plan_of_a_claim),
		TEST_PAIR(test_ask_beside_end),
		TEST_PAIR(test_shares),
		TEST_PAIR(test_share_of_the_dead),
		TEST_PAIR(test_share_after_a_freeze),
		TEST_PAIR(test_share_after_halving),
		TEST_PAIR(test_whole_moves),
		TEST_PAIR(test_longest_pause),
		TEST_PAIR(test_turns),
		TEST_PAIR(test_row_is_with_another),
		TEST_PAIR(test_frozen_with_the_row),
		TEST_PAIR(test_nothing_is_written),
		TEST_PAIR(test_clock_put_back),
		TEST_PAIR(test_slow_turns),
	};
	database_server = getenv("AUTOS_TEST_POSTGRES");
	return database_server ? cmocka_run_group_tests(pairs, NULL, NULL) : 0;
}
