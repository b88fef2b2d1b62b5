/*
 * lane - how many requests may run to one peer at once, and when.
 *
 * Additive increase, multiplicative decrease: each good answer adds a little, overload halves, once
 * for the answers of one moment. A hold pauses everything. A pure state machine: the caller brings
 * the clock (sys_mono_ms) and the jitter. One thread.
 */
#ifndef AUTOS_LANE_H
#define AUTOS_LANE_H

#include <stdbool.h>
#include <stdint.h>

enum { LANE_WAIT_MAX_MS = 3600000 }; /* whatever time a peer names */

struct lane_options {
	int min, start, max;  /* requests at once */
	int64_t pace_ms;      /* between the starts of two list calls */
	int64_t pause_ms;     /* first pause that we choose ourselves */
	int64_t pause_max_ms; /* longest one */
};

struct lane {
	struct lane_options o;
	double limit; /* o.min <= limit <= o.max; as a share of a lane, 0 and more */
	int active;   /* may be above a limit that fell */
	int64_t paused_until;
	int64_t next_list;
	int64_t halved_at;
	int holds; /* pauses since the last good answer */
};

void lane_init(struct lane *l, const struct lane_options *o);

/* How many more requests may start now. */
int lane_room(const struct lane *l, int64_t now);
bool lane_may_list(const struct lane *l, int64_t now); /* the pace only; ask lane_room as well */

/* The next moment after now at which time alone opens the lane, INT64_MAX if none. */
int64_t lane_opens_at(const struct lane *l, int64_t now);

void lane_start(struct lane *l, int64_t now, bool list);

/* A request ended, with whatever answer. */
void lane_end(struct lane *l);

/* What the answer said about load. */
void lane_good(struct lane *l);
void lane_halve(struct lane *l, int64_t now);

/*
 * Pauses everything: for wait_ms if the peer named a time (>= 0), else for a pause of our own that
 * doubles with each hold in a row. Gives the pause. True when this hold opened a new pause, false
 * when it only confirmed one that was running.
 */
bool lane_hold(struct lane *l, int64_t now, int64_t wait_ms, int64_t *pause_ms);

/* Wait before try number `attempt` (1 = first retry): delay * 2^(attempt-1), times 0.75 to 1.25;
 * the doubling ends at an hour. */
int64_t lane_backoff(int64_t delay_ms, int attempt, uint64_t random);

#endif
