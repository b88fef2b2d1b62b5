/*
 * Batches: many cases asked for in one transaction, all or nothing, and what is told of them.
 */
#include "asks.h"
#include "query_list.h"

static void test_batch(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct batch_list b;
	int64_t id;
	done(r->db, SCOPE_DOCUMENTS, OUTCOME_COMPLETE);
	struct batch_entry entries[] = {{.number = OTHER}, {.number = NUMBER}, {.number = OTHER}};
	assert_true(
		STEP(r->db, job_request_batch(r->db, ASK(), JOB_ANY_AGE, 7, entries, 0, &id, &e)));
	assert_int_equal(id, 0);
	assert_true(
		STEP(r->db, job_request_batch(r->db, ASK(), JOB_ANY_AGE, 7, entries, 3, &id, &e)));
	assert_true(id > 0);
	assert_true(entries[0].ticket.first);
	assert_true(entries[1].ticket.idle);
	assert_true(entries[2].ticket.adopted);
	assert_int_equal(entries[0].ticket.job_id, entries[2].ticket.job_id);
	assert_true(query_batch(r->db, id, &b, &e));
	assert_int_equal(b.id, id);
	assert_int_equal(b.created_ms, 1000);
	assert_int_equal(b.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(b.items[i].position, i + 1);
	assert_string_equal(b.items[0].number, OTHER);
	assert_int_equal(b.items[0].job_id, entries[0].ticket.job_id);
	assert_string_equal(b.items[0].job_state, "pending");
	assert_false(b.items[0].consulted);
	assert_string_equal(b.items[1].number, NUMBER);
	assert_int_equal(b.items[1].job_id, 0); /* none was needed */
	assert_string_equal(b.items[1].job_state, "");
	assert_true(b.items[1].consulted);
	assert_int_equal(b.items[1].documents, 3);
	assert_int_equal(b.items[1].available, 3);
	assert_int_equal(b.items[1].failed, 0);
	batch_list_release(&b);
	batch_list_release(&b);

	assert_true(STEP(r->db, job_cancel(r->db, entries[0].ticket.job_id, 2000, &e)));
	assert_true(STEP(r->db, job_erase(r->db, OTHER, 2000, &e)));
	assert_true(query_batch(r->db, id, &b, &e));
	assert_int_equal(b.n, 3);
	assert_string_equal(b.items[2].number, OTHER);
	assert_int_equal(b.items[2].job_id, 0);
	batch_list_release(&b);
	/* All or nothing: a number that is being erased refuses the whole. */
	assert_false(
		STEP(r->db, job_request_batch(r->db, ASK(), JOB_ANY_AGE, 7, entries, 3, &id, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(query_batch(r->db, 4711, &b, &e));
	assert_error(&e, ERR_ABSENT);
	batch_list_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_batch),
	};
	return database_run(tests);
}
