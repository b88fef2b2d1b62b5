/*
 * Jobs where several processes write: claims beside each other, the indexes that a claim walks, and
 * asking for a case whose job is just being ended. Runs where AUTOS_TEST_POSTGRES names a server.
 */
#include "pair.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_PAIR(test_claims_beside),
		TEST_PAIR(test_claim_from),
		TEST_PAIR(test_plan_of_a_claim),
		TEST_PAIR(test_ask_beside_end),
	};
	return pair_run(tests);
}
