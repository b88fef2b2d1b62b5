/*
 * Migrations: a released one is never edited, and a database of version 1 with a life behind it
 * goes on in this version.
 */
#include "schema.h"

#include "jobs.h"
#include "query_list.h"
#include "schema_tables.h"

/* SHA-256 of the statements of each version but the last, as they were released. */
static const char *const released[] = {
	"248d14a59daf8a77afbcaa3cccdd9ca624de2098fe3b7719c21bb5658d29c443",
	"14fcd50367a8bc9c585d5a9895351aa425d1d92d731ec416774a5203caa4faa3",
	"c7b2a76095a6d0dba0b0dc4cbb92cb9a6acb7e4768f560d988b076e423320a35",
};

static void test_released(void **state)
{
	(void)state;
	assert_int_equal(sizeof released / sizeof *released, SCHEMA_VERSION - 1);
	for (size_t i = 0; i < sizeof released / sizeof *released; i++) {
		char hex[65];
		struct sha256 *h = sha256_new();
		for (const char *const *sql = schema_tables[i]; *sql; sql++)
			sha256_add(h, *sql, strlen(*sql) + 1);
		sha256_end(h, hex);
		sha256_free(h);
		assert_string_equal(hex, released[i]);
	}
}

/* ---- A database of version 1 ---- */

static void run(struct db *db, const char *sql)
{
	struct err e;
	if (!db_run_once(db, sql, &e)) {
		print_error("%s: %s\n", sql, e.text);
		assert_true(false);
	}
}

/* A case of three documents whose job failed in part, one whose job is leased, one that waits. */
static const char *const life[] = {
	"CREATE TABLE schema_version (version BIGINT PRIMARY KEY, applied_ms BIGINT NOT NULL)",
	"INSERT INTO schema_version (version, applied_ms) VALUES (1, 0)",
	"INSERT INTO process (id, number, court, created_ms, updated_ms, consulted_ms)"
	" VALUES (1, '" NUMBER "', 'TJSP', 1000, 2000, 2000)",
	"INSERT INTO process (id, number, created_ms, updated_ms) VALUES (2, '" OTHER "', 1, 1)",
	"INSERT INTO process (id, number, created_ms, updated_ms)"
	" VALUES (3, '00000000000000000003', 1, 1)",
	"INSERT INTO job (id, process_id, state, outcome, relist, run_at_ms, created_ms, epoch,"
	" total, available, failed, last_event, finished_ms)"
	" VALUES (1, 1, 'failed', 'partial', 0, 900, 900, 1, 3, 1, 2, 2, 3000)",
	"INSERT INTO job (id, process_id, state, run_at_ms, created_ms, owner, epoch,"
	" lease_until_ms, last_event) VALUES (2, 2, 'processing', 800, 800, 'dead', 1, 9000, 1)",
	"INSERT INTO job (id, process_id, state, run_at_ms, created_ms, last_event)"
	" VALUES (3, 3, 'pending', 700, 700, 1)",
	"INSERT INTO event (job_id, seq, kind, state, at_ms) VALUES (1, 1, 'job', 'pending', 900)",
	"INSERT INTO event (job_id, seq, kind, state, at_ms) VALUES (1, 2, 'done', 'failed', 3000)",
	"INSERT INTO event (job_id, seq, kind, state, at_ms) VALUES (2, 1, 'job', 'pending', 800)",
	"INSERT INTO event (job_id, seq, kind, state, at_ms) VALUES (3, 1, 'job', 'pending', 700)",
	"INSERT INTO document (id, process_id, doc_id, position, name, type, filed_at, sequence,"
	" secrecy, court, degree, declared_size, state) VALUES"
	" (1, 1, 'a', 1, 'n', 't', 'f', 1, 0, 'TJSP', 'G1', -1, 'available'),"
	" (2, 1, 'b', 2, 'n', 't', 'f', 2, 0, 'TJSP', 'G1', -1, 'failed'),"
	" (3, 1, 'c', 3, 'n', 't', 'f', 3, 0, 'TJSP', 'G1', -1, 'failed')",
	"INSERT INTO result (document_id, reason, started_ms, finished_ms, size, sha256) VALUES"
	" (1, '', 1, 2, 5, 'abc'), (2, 'timeout', 1, 2, NULL, NULL), (3, 'denied', 1, 2, NULL, NULL)",
};

static void make_version_1(struct db *db)
{
	for (const char *const *sql = schema_tables[0]; *sql; sql++)
		run(db, *sql);
	for (size_t i = 0; i < sizeof life / sizeof *life; i++)
		run(db, life[i]);
}

static int setup_old(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
	make_version_1(r->db);
	*state = r;
	return 0;
}

static void test_from_1(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct case_list cases;
	struct job_list jobs;
	struct case_view v;
	struct job_lease l[3];
	struct job_ticket t;
	size_t n = 3;
	int from;
	assert_false(schema_check(r->db, &e));
	if (!schema_migrate(r->db, &from, &e))
		print_error("%s\n", e.text);
	assert_int_equal(from, 1);
	assert_true(schema_check(r->db, &e));
	check_events(r->db);
	check_counters(r->db, 1);

	assert_true(query_case(r->db, NUMBER, &v, &e));
	assert_string_equal(v.job_scope, "documents");
	assert_int_equal(v.ndocs, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(v.docs[i].wanted);
	assert_string_equal(v.docs[0].sha256, "abc");
	case_view_release(&v);
	assert_true(query_cases(
		r->db, &(struct case_filter){.court = "tjsp", .has_documents = 1, .limit = 10},
		&cases, &e));
	assert_int_equal(cases.n, 1);
	assert_int_equal(cases.cases[0].documents, 3);
	assert_int_equal(cases.cases[0].available, 1);
	case_list_release(&cases);
	assert_true(query_job(r->db, 1, &jobs, &e));
	assert_string_equal(jobs.jobs[0].outcome, "partial");
	job_list_release(&jobs);

	/* What was begun goes on. */
	assert_true(STEP(r->db, job_release_all(r->db, 5000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_int_equal(t.job_id, 1);
	assert_true(STEP(r->db, job_claim_ready(r->db, "me", 5000, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 3);
	assert_int_equal(l[0].job_id, 3);
	assert_int_equal(l[0].waited_ms, 4300);
	assert_int_equal(l[1].job_id, 2);
	assert_int_equal(l[1].epoch, 2);
	assert_int_equal(l[2].job_id, 1);
	assert_int_equal(l[2].scope, SCOPE_DOCUMENTS);
	assert_true(STEP(r->db, finish(r->db, &l[0], OUTCOME_EMPTY, "", 6000, &e)));
	assert_true(STEP(r->db, job_erase(r->db, l[0].number, 7000, &e)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_old, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_released),
		TEST(test_from_1),
	};
	return database_run(tests);
}
