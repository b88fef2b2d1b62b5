/*
 * worker_share - the worker's part of a quota that several processes share: asks for it when that
 * is due, and turns what it gets into the lane that the flow looks at. Keeps what it has while
 * somebody else has the quota's row, at most until it ends.
 */
#include "worker_turn.h"

#include "log.h"
#include "metrics.h"
#include "quota.h"
#include "sys.h"

#include <inttypes.h>

enum {
	FIRST_EVERY_MS = 100, /* with work and without a share */
	BUSY_EVERY_MS = 300,  /* with work */
	URGENT_EVERY_MS = 20, /* after a 429, or for a turn */
	IDLE_EVERY_MS = 2000, /* without */
	AGAIN_MS = 20,        /* when somebody else has the row, and up to ... */
	AGAIN_SPREAD_MS = 60, /* ... so much more */
	MARGIN_MS = 250,      /* a share ends here before it ends in the database */
};

struct sharing {
	struct quota_ask ask;
	struct quota_share share;
	int64_t asked; /* monotonic */
};

static bool sync_share(struct db *db, void *arg, struct err *e)
{
	struct sharing *s = arg;
	s->asked = sys_mono_ms(); /* not before it waited for its group */
	return quota_sync(db, &s->ask, &s->share, e);
}

int64_t worker_share_at(const struct worker *w)
{
	const struct account_share *s = &w->account.share;
	const struct lane *l = &w->account.lane;
	int64_t every = IDLE_EVERY_MS;
	if (s->held || s->overload)
		every = URGENT_EVERY_MS;
	else if (w->runs && l->limit < 1)
		every = FIRST_EVERY_MS;
	else if (w->runs || l->active)
		every = BUSY_EVERY_MS;
	int64_t at = w->shared_at + every;
	int64_t turn = w->shared_at + URGENT_EVERY_MS;
	if (turn < w->list_again_at)
		turn = w->list_again_at;
	if (s->wants_list && turn < at)
		at = turn;
	return at > w->share_again_at ? at : w->share_again_at;
}

/* What the database says holds from before it was asked, so that no share outlives its row. */
static void take_share(struct worker *w, const struct sharing *s, int64_t now)
{
	struct account *a = &w->account;
	a->lane.limit = s->share.granted;
	a->share.until = s->asked + s->share.lease_ms - MARGIN_MS;
	if (s->share.pause_ms && now + s->share.pause_ms > a->lane.paused_until)
		a->lane.paused_until = now + s->share.pause_ms;
	if (s->ask.wants_list && s->share.list_in_ms >= 0)
		account_list_turn(a, s->asked, now, s->share.list_in_ms, s->share.list_for_ms);
	else if (s->ask.wants_list)
		w->list_again_at =
			now + s->share.list_again_ms + (int64_t)sys_random_below(URGENT_EVERY_MS);
	w->whole = s->share.whole;
	w->sharers = s->share.sharers;
	metric_set(METRIC_portal_parallel, s->share.granted);
	metric_set(METRIC_portal_parallel_fleet, s->share.whole);
}

/* The way of an answer, and after a slow one that for a while. */
static void measure_trip(struct worker *w, int64_t took)
{
	w->trip_ms -= w->trip_ms / 8;
	if (took > w->trip_ms)
		w->trip_ms = took;
}

/* What is left of the longest time that the portal named, -1 = it named none. */
static int64_t hold_left(const struct account *a, int64_t now)
{
	int64_t left = a->share.held_until - now;
	return a->share.held_until == 0 ? -1 : left > 0 ? left : 0;
}

static void ask_for(struct worker *w, struct quota_ask *q)
{
	const struct account *a = &w->account;
	*q = (struct quota_ask){.account = a->name,
				.owner = w->owner,
				.options = a->lane.o,
				.active = a->lane.active,
				.wants = w->runs != NULL,
				.wants_list = a->share.wants_list,
				.good = a->share.good,
				.overload = a->share.overload,
				.held = a->share.held,
				.wait_ms = hold_left(a, sys_mono_ms()),
				.untimed = a->share.untimed,
				.lease_ms = w->o.config->lease_time,
				.trip_ms = w->trip_ms};
}

bool worker_share(struct worker *w, int64_t now, struct err *e)
{
	struct account *a = &w->account;
	struct sharing s = {0};
	if (!a->share.on)
		return true;
	if (atomic_exchange(&w->quota_news, false))
		w->shared_at = 0;
	if (now < worker_share_at(w))
		return true;
	ask_for(w, &s.ask);
	if (!ledger_write(w->o.ledger, sync_share, &s, e)) {
		a->share.until = 0; /* whether it was changed is not known */
		return false;
	}
	now = sys_mono_ms();
	if (s.share.busy) {
		w->share_again_at = now + AGAIN_MS + (int64_t)sys_random_below(AGAIN_SPREAD_MS);
		return true;
	}
	w->shared_at = now;
	a->share.good = 0;
	a->share.wants_list = a->share.overload = a->share.held = a->share.untimed = false;
	a->share.held_until = 0;
	measure_trip(w, now - s.asked);
	take_share(w, &s, now);
	return true;
}

/* A process without a case leaves the next one to those who have a share, when there is not enough
 * for one more. */
bool worker_may_claim(const struct worker *w)
{
	return !w->account.share.on || w->runs || w->sharers < w->whole || w->sharers == 0;
}
