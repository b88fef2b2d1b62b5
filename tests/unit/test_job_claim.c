/*
 * The order of leases: the most urgent first, then the oldest, what waits beside leases that ran
 * out. Nobody waits for a clock that was ahead when his job was asked for.
 */
#include "asks.h"

static void number_of(int i, char out[static 21])
{
	snprintf(out, 21, "%020d", i);
}

static void test_claim_ready(void **state)
{
	static const struct {
		int priority;
		int64_t at;
	} jobs[] = {{0, 1000}, {5, 3000}, {0, 900}, {5, 2000}, {-9, 1}, {9, 9000}};
	static const size_t order[] = {5, 3, 1, 2, 0, 4}; /* the sixth: a clock was put back */
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l[10];
	int64_t ids[6];
	char number[21];
	for (size_t i = 0; i < 6; i++) {
		number_of((int)i + 1, number);
		ids[i] = ask(r->db, ASK(.number = number, .priority = jobs[i].priority,
					.now_ms = jobs[i].at))
				 .job_id;
	}
	size_t n = 2;
	assert_true(STEP(r->db, job_claim_ready(r->db, "me", 5000, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 2);
	size_t rest = 8;
	assert_true(STEP(r->db, job_claim_ready(r->db, "me", 5000, LEASE, NULL, l + 2, &rest, &e)));
	assert_int_equal(rest, 4);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(l[i].job_id, ids[order[i]]);
		assert_int_equal(l[i].epoch, 1);
		assert_true(l[i].relist);
		int64_t waited = 5000 - jobs[order[i]].at;
		assert_int_equal(l[i].waited_ms, waited < 0 ? 0 : waited);
		number_of((int)order[i] + 1, number);
		assert_string_equal(l[i].number, number);
	}
	n = 6;
	assert_true(STEP(r->db, job_claim_ready(r->db, "me", 5000, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 0);
	/* Leases that ran out are as ready as what waits, and in the same order. */
	n = 3;
	assert_true(
		STEP(r->db, job_claim_ready(r->db, "you", 5000 + LEASE, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 3);
	assert_int_equal(l[0].job_id, ids[5]);
	assert_int_equal(l[1].job_id, ids[3]);
	assert_int_equal(l[1].epoch, 2);
	assert_int_equal(l[2].job_id, ids[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_claim_ready),
	};
	return database_run(tests);
}
