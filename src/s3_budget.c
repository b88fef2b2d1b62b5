/*
 * s3_budget - see s3_budget.h. Knows no clock and draws no random number itself.
 */
#include "s3_budget.h"

enum { WAIT_MAX_MS = 20000 };

void s3_budget_init(struct s3_budget *b)
{
	b->tokens = S3_BUDGET_FULL;
}

bool s3_budget_spend(struct s3_budget *b, bool timeout, int *cost)
{
	int price = timeout ? S3_BUDGET_TIMEOUT : S3_BUDGET_RETRY;
	if (b->tokens < price)
		return false;
	b->tokens -= price;
	*cost = price;
	return true;
}

void s3_budget_refund(struct s3_budget *b, int cost)
{
	b->tokens += cost ? cost : 1;
	if (b->tokens > S3_BUDGET_FULL)
		b->tokens = S3_BUDGET_FULL;
}

int64_t s3_budget_wait(int64_t delay_ms, int attempt, uint64_t random)
{
	int64_t most = delay_ms;
	for (int i = 0; i < attempt && most < WAIT_MAX_MS; i++)
		most *= 2;
	if (most > WAIT_MAX_MS)
		most = WAIT_MAX_MS;
	return most ? (int64_t)(random % (uint64_t)(most + 1)) : 0;
}
