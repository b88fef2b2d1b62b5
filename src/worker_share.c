/*
 * worker_share - the worker's part of a quota that several processes share: asks for it when that
 * is due, and turns what it gets into the lane that the flow looks at.
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
	MARGIN_MS = 250,      /* a share ends here before it ends in the database */
};

struct sharing {
	struct quota_ask ask;
	struct quota_share share;
};

static bool sync_share(struct db *db, void *arg, struct err *e)
{
	struct sharing *s = arg;
	return quota_sync(db, &s->ask, &s->share, e);
}

static bool is_due(struct worker *w, int64_t now)
{
	const struct account_share *s = &w->account.share;
	int64_t since = now - w->shared_at;
	if (atomic_exchange(&w->quota_news, false))
		return true;
	bool first = w->runs && w->account.lane.limit < 1;
	if (s->held || s->overload || s->wants_list)
		return since >= URGENT_EVERY_MS;
	if (first)
		return since >= FIRST_EVERY_MS;
	return since >= (w->runs || w->account.lane.active ? BUSY_EVERY_MS : IDLE_EVERY_MS);
}

/* What the database says holds from before it was asked, so that no share outlives its row. */
static void take_share(struct worker *w, const struct sharing *s, int64_t asked)
{
	struct account *a = &w->account;
	int64_t now = sys_mono_ms();
	a->lane.limit = s->share.granted;
	a->share.until = asked + s->ask.lease_ms - MARGIN_MS;
	if (s->share.pause_ms && now + s->share.pause_ms > a->lane.paused_until)
		a->lane.paused_until = now + s->share.pause_ms;
	if (s->share.list_in_ms >= 0 && s->ask.wants_list) {
		a->share.list_from = now + s->share.list_in_ms;
		a->share.list_until = asked + s->share.list_in_ms + QUOTA_WINDOW_MS;
	}
	w->whole = s->share.whole;
	w->sharers = s->share.sharers;
	metric_set(METRIC_portal_parallel, s->share.granted);
	metric_set(METRIC_portal_parallel_fleet, s->share.whole);
}

/* What is left of the longest time that the portal named, -1 = it named none. */
static int64_t hold_left(const struct account *a, int64_t now)
{
	int64_t left = a->share.held_until - now;
	return a->share.held_until == 0 ? -1 : left > 0 ? left : 0;
}

bool worker_share(struct worker *w, int64_t now, struct err *e)
{
	struct account *a = &w->account;
	if (!a->share.on || !is_due(w, now))
		return true;
	struct sharing s = {.ask = {.account = a->name,
				    .owner = w->owner,
				    .options = a->lane.o,
				    .active = a->lane.active,
				    .wants = w->runs != NULL,
				    .wants_list = a->share.wants_list,
				    .good = a->share.good,
				    .overload = a->share.overload,
				    .held = a->share.held,
				    .wait_ms = hold_left(a, now),
				    .untimed = a->share.untimed,
				    .lease_ms = w->o.config->lease_time}};
	int64_t asked = sys_mono_ms();
	if (!ledger_write(w->o.ledger, sync_share, &s, e))
		return false;
	w->shared_at = now;
	a->share.good = 0;
	a->share.wants_list = a->share.overload = a->share.held = a->share.untimed = false;
	a->share.held_until = 0;
	take_share(w, &s, asked);
	return true;
}

/* A process without a case leaves the next one to those who have a share, when there is not enough
 * for one more. */
bool worker_may_claim(const struct worker *w)
{
	return !w->account.share.on || w->runs || w->sharers < w->whole || w->sharers == 0;
}
