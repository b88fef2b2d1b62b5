/*
 * cursor - a look from just behind, from a little before, or from the beginning; and one for leases
 * that ran out since the last.
 */
#include "cursor.h"

enum {
	NEAR_MS = 20, /* jobs are seen at most so late after they were asked for, mostly */
	NEAR_EVERY_MS = 250,
	SLACK_MS = 500, /* ... or so late; or they are seen by the next look at all */
	LEASES_EVERY_MS = 2000,
	ALL_EVERY_MS = 2000,
	ALL_SHARE = 50, /* looks at all take one part in so many of the time */
};

const struct job_place *cursor_begin(struct cursor *c, int64_t now, int64_t wall)
{
	int64_t before = c->leases_at;
	c->all = !c->began || now >= c->all_at;
	c->began = true;
	if (c->all || now - before >= LEASES_EVERY_MS)
		c->leases_at = now;
	if (c->all) {
		c->all_at = now; /* until it is known how long it takes */
		return NULL;
	}
	/* The last job may have been asked for where the clock is ahead. */
	int64_t last = c->last.run_at_ms < wall ? c->last.run_at_ms : wall;
	c->begin = (struct job_place){
		.priority = c->last.priority, .run_at_ms = last - NEAR_MS, .expired_ms = wall};
	if (now >= c->near_at) {
		c->begin.run_at_ms = last - SLACK_MS;
		c->near_at = now + NEAR_EVERY_MS;
	}
	/* Those that ran out before the last time were seen by it. */
	if (c->leases_at == now)
		c->begin.expired_ms = wall - (now - before) - SLACK_MS;
	return &c->begin;
}

void cursor_end(struct cursor *c, int64_t now, const struct job_lease *taken, size_t n)
{
	if (n)
		c->last = (struct job_place){.priority = taken[n - 1].priority,
					     .run_at_ms = taken[n - 1].run_at_ms};
	if (c->all) {
		int64_t took = (now - c->all_at) * ALL_SHARE;
		c->all_at = now + (took > ALL_EVERY_MS ? took : ALL_EVERY_MS);
	}
}

void cursor_rewind(struct cursor *c)
{
	*c = (struct cursor){.last = c->last};
}
