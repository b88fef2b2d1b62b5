/*
 * rate - how many requests somebody may make in a window of time.
 *
 * A window begins with somebody's first request and lasts its length; a table of bounded size holds
 * one window for each id, and forgets windows that are over first. A table of 16,384 slots and more
 * is divided by id into 16 parts with a lock each, and each part makes room for itself. The caller
 * brings the clock (sys_mono_ms). Any thread may take.
 */
#ifndef AUTOS_RATE_H
#define AUTOS_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_table;

struct rate_table *rate_new(size_t slots); /* 16 <= slots < 2^30 */
void rate_free(struct rate_table *t);      /* accepts NULL */

struct rate_state {
	bool allowed;
	int64_t limit, remaining;
	int64_t reset_ms; /* until the window is over */
};

/* Spends one request of `id` (any hash of who and what). limit >= 1, window_ms >= 1; a running
 * window keeps its end, a refused request spends nothing. When every slot is in use by running
 * windows, the one that ends first makes room. */
struct rate_state rate_take(struct rate_table *t, uint64_t id, int64_t limit, int64_t window_ms,
			    int64_t now_ms);

/* A 64-bit hash of two strings that a client cannot steer (keyed per process). */
uint64_t rate_id(const char *who, const char *what);

/* The same under a key of one's own: SipHash-2-4 over who, a zero byte, what. */
uint64_t rate_hash(const uint64_t key[static 2], const char *who, const char *what);

#endif
