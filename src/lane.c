/*
 * lane - the adaptive limiter. Knows no clock, no network and no portal.
 */
#include "lane.h"

#include <assert.h>

enum { HALVE_EVERY_MS = 1000 };

void lane_init(struct lane *l, const struct lane_options *o)
{
	assert(o->min >= 1 && o->min <= o->start && o->start <= o->max);
	*l = (struct lane){.o = *o, .limit = o->start, .halved_at = INT64_MIN / 2};
}

int lane_room(const struct lane *l, int64_t now)
{
	if (now < l->paused_until)
		return 0;
	int room = (int)l->limit - l->active;
	return room > 0 ? room : 0;
}

bool lane_may_list(const struct lane *l, int64_t now)
{
	return now >= l->next_list;
}

int64_t lane_opens_at(const struct lane *l, int64_t now)
{
	int64_t at = INT64_MAX;
	if (l->paused_until > now)
		at = l->paused_until;
	else if (l->next_list > now)
		at = l->next_list;
	return at;
}

void lane_start(struct lane *l, int64_t now, bool list)
{
	l->active++;
	if (list)
		l->next_list = now + l->o.pace_ms;
}

void lane_end(struct lane *l)
{
	assert(l->active > 0);
	l->active--;
}

void lane_good(struct lane *l)
{
	l->holds = 0;
	l->limit += 1 / l->limit; /* one more after a whole round of good answers */
	if (l->limit > l->o.max)
		l->limit = l->o.max;
}

void lane_halve(struct lane *l, int64_t now)
{
	if (now - l->halved_at < HALVE_EVERY_MS)
		return;
	l->halved_at = now;
	l->limit /= 2;
	if (l->limit < l->o.min)
		l->limit = l->o.min;
}

bool lane_hold(struct lane *l, int64_t now, int64_t wait_ms, int64_t *pause_ms)
{
	bool fresh = now >= l->paused_until;
	if (fresh)
		l->holds++;
	int64_t pause = wait_ms;
	if (pause < 0) {
		pause = l->o.pause_ms;
		for (int i = 1; i < l->holds && pause < l->o.pause_max_ms; i++)
			pause *= 2;
		if (pause > l->o.pause_max_ms)
			pause = l->o.pause_max_ms;
	}
	if (now + pause > l->paused_until)
		l->paused_until = now + pause;
	*pause_ms = l->paused_until - now;
	return fresh;
}

int64_t lane_backoff(int64_t delay_ms, int attempt, uint64_t random)
{
	int64_t wait = delay_ms;
	for (int i = 1; i < attempt && wait < INT64_C(3600000); i++)
		wait *= 2;
	return wait * 3 / 4 + (wait > 1 ? (int64_t)(random % (uint64_t)(wait / 2 + 1)) : 0);
}
