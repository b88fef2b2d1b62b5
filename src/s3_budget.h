/*
 * s3_budget - how many retries may be spent, as the AWS SDKs count them.
 *
 * A bucket of tokens: a retry costs, success gives back. While a server fails for everybody the
 * bucket runs dry, and requests fail at once in place of storming it. Pure. Source: the standard
 * retry mode of the AWS SDKs ("retry quota": 500 tokens, 5 a retry, 10 after a time-out, 1 back for
 * a first try that succeeds).
 */
#ifndef AUTOS_S3_BUDGET_H
#define AUTOS_S3_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum { S3_BUDGET_FULL = 500, S3_BUDGET_RETRY = 5, S3_BUDGET_TIMEOUT = 10 };

struct s3_budget {
	int tokens;
};

void s3_budget_init(struct s3_budget *b);

/* Takes the price of one retry; false when there is not enough, and nothing is taken. */
bool s3_budget_spend(struct s3_budget *b, bool timeout, int *cost);

/* A request succeeded: gives back what its last retry cost, 0 for none. */
void s3_budget_refund(struct s3_budget *b, int cost);

/* The wait before try number `attempt` (1 = first retry): a random part of delay_ms * 2^attempt,
 * which never grows beyond 20 s. `random` is uniform over all 64 bits. */
int64_t s3_budget_wait(int64_t delay_ms, int attempt, uint64_t random);

#endif
