/*
 * webhook_retry - what an attempt to deliver a message came to, and when the next one is. Pure.
 */
#ifndef AUTOS_WEBHOOK_RETRY_H
#define AUTOS_WEBHOOK_RETRY_H

#include "err.h"
#include "http_msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEBHOOK_WAITS_MAX = 20 };

/* The waits between tries: one more try than waits. */
struct webhook_schedule {
	int64_t waits_ms[WEBHOOK_WAITS_MAX];
	size_t n;
};

/* "2s,4s,1m". ERR_INPUT names what is wrong. */
[[nodiscard]] bool webhook_schedule_parse(const char *text, struct webhook_schedule *out,
					  struct err *e);

/* All waits together, with the most that jitter adds. */
int64_t webhook_schedule_length(const struct webhook_schedule *s);

/* What became of an attempt; the names are those of the API. */
enum webhook_class {
	WEBHOOK_OK,       /* 2xx */
	WEBHOOK_HTTP,     /* any other answer */
	WEBHOOK_GONE,     /* 410: the receiver wants no more */
	WEBHOOK_BLOCKED,  /* we may not call that address */
	WEBHOOK_DNS,      /* the name leads nowhere */
	WEBHOOK_CONNECT,  /* nobody answers at the address */
	WEBHOOK_TLS,      /* no TLS, or a bad certificate */
	WEBHOOK_TIMEOUT,  /* the answer did not come in time, or not whole */
	WEBHOOK_RESET,    /* the connection broke before the answer was whole */
	WEBHOOK_PROTOCOL, /* what came is no HTTP answer */
	WEBHOOK_LOCAL,    /* our own fault: not counted as a try */
};

const char *webhook_class_name(enum webhook_class c);

enum webhook_fate {
	WEBHOOK_DELIVERED,
	WEBHOOK_AGAIN,
	WEBHOOK_FAILED,    /* the schedule is at its end */
	WEBHOOK_CANCELLED, /* another try would be no use: gone, blocked, withdrawn */
};

struct webhook_verdict {
	enum webhook_class class;
	enum webhook_fate fate;
	bool target_failed; /* it says something about the target, not about this message */
	int64_t wait_ms;    /* with WEBHOOK_AGAIN */
	char error[160];    /* one sentence; "" when delivered */
	char why[160];      /* the reason for the next try, or for none */
};

/*
 * Judges the `try`th try (from 1) of a round. A Retry-After is honoured: never sooner, and at most
 * an hour or twice the schedule's own wait, whichever is more. 429 without one waits a minute at
 * least. `random` is for the jitter.
 */
void webhook_judge(const struct http_res *r, const struct webhook_schedule *s, int64_t try,
		   int64_t now_ms, uint64_t random, struct webhook_verdict *out);

/* The end of a message that cannot be made any more: WEBHOOK_LOCAL, never sent, not counted.
 * `error` says what is gone. */
void webhook_withdraw(const char *error, struct webhook_verdict *out);

#endif
