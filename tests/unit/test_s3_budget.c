/*
 * Retries that may be spent, and the waits between them.
 */
#include "s3_budget.h"

#include "scratch.h"

static void test_spend(void **state)
{
	(void)state;
	struct s3_budget b;
	int cost = -1, n = 0;
	s3_budget_init(&b);
	assert_int_equal(b.tokens, 500);
	while (s3_budget_spend(&b, false, &cost)) {
		assert_int_equal(cost, 5);
		n++;
	}
	assert_int_equal(n, 100);
	assert_int_equal(b.tokens, 0);
	cost = -1;
	assert_false(s3_budget_spend(&b, true, &cost));
	assert_int_equal(cost, -1);

	s3_budget_init(&b);
	for (n = 0; s3_budget_spend(&b, true, &cost); n++)
		assert_int_equal(cost, 10);
	assert_int_equal(n, 50);
	b.tokens = 9; /* what is not enough is not taken */
	assert_false(s3_budget_spend(&b, true, &cost));
	assert_int_equal(b.tokens, 9);
	assert_true(s3_budget_spend(&b, false, &cost));
	assert_int_equal(b.tokens, 4);
	assert_false(s3_budget_spend(&b, false, &cost));
}

static void test_refund(void **state)
{
	(void)state;
	struct s3_budget b = {.tokens = 100};
	s3_budget_refund(&b, 0);
	assert_int_equal(b.tokens, 101);
	s3_budget_refund(&b, 5);
	assert_int_equal(b.tokens, 106);
	s3_budget_refund(&b, 10);
	assert_int_equal(b.tokens, 116);
	b.tokens = 495;
	s3_budget_refund(&b, 10);
	assert_int_equal(b.tokens, 500);
	s3_budget_refund(&b, 0);
	assert_int_equal(b.tokens, 500);
}

/* The longest wait before each retry: the largest remainder there is. */
static const struct {
	int64_t delay_ms;
	int attempt;
	int64_t most_ms;
} waits[] = {
	{100, 1, 200},
	{100, 2, 400},
	{100, 3, 800},
	{100, 7, 12800},
	{100, 8, 20000},
	{100, 100, 20000},
	{1, 1, 2},
	{20000, 1, 20000},
	{30000, 1, 20000},
	{30000, 0, 20000},
	{0, 1, 0},
	{0, 100, 0},
	{INT64_MAX / 2, 3, 20000},
};

static void test_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		uint64_t most = (uint64_t)waits[i].most_ms;
		assert_int_equal(s3_budget_wait(waits[i].delay_ms, waits[i].attempt, most), most);
		assert_int_equal(s3_budget_wait(waits[i].delay_ms, waits[i].attempt, 0), 0);
		assert_int_equal(s3_budget_wait(waits[i].delay_ms, waits[i].attempt, most + 1), 0);
		int64_t any = s3_budget_wait(waits[i].delay_ms, waits[i].attempt, UINT64_MAX);
		assert_in_range(any, 0, most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spend),
		cmocka_unit_test(test_refund),
		cmocka_unit_test(test_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
