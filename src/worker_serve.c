/*
 * worker_serve - the worker as a service: leases whatever is ready, waits out what is not a case's
 * fault, drains when it is told to.
 */
#include "worker_turn.h"

#include "log.h"
#include "metrics.h"
#include "sys.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
	LOOK_EVERY_MS = 1000,      /* for ready jobs, when nobody said that there are any */
	CHECK_EVERY_MS = 200,      /* held leases, when somebody said that something changed */
	TOKEN_PATIENCE_MS = 30000, /* without a token for so long, held cases go back */
	TROUBLE_FIRST_MS = 5000,   /* rest after trouble with our own storage; doubled */
	TROUBLE_MAX_MS = 60000,
	CALM_MS = 5000, /* so long without trouble, and it is over */
	LEASES_AT_ONCE = JOB_CLAIM_MAX,
};

/* ---- Called by others ---- */

void worker_wake(struct worker *w)
{
	atomic_store(&w->woken, true);
	http_wake(w->http);
}

void worker_quota_news(struct worker *w)
{
	atomic_store(&w->quota_news, true);
	http_wake(w->http);
}

void worker_drain(struct worker *w)
{
	atomic_store(&w->draining, true);
	http_wake(w->http);
}

void worker_health(struct worker *w, struct worker_health *out)
{
	pthread_mutex_lock(&w->health_lock);
	*out = w->health;
	pthread_mutex_unlock(&w->health_lock);
}

static bool must_stop(struct worker *w)
{
	return atomic_load(&w->stop) || atomic_load(&w->draining);
}

static void publish(struct worker *w, int64_t now)
{
	const struct account *a = &w->account;
	int64_t wall = sys_wall_ms(), pause = a->lane.paused_until - now;
	pthread_mutex_lock(&w->health_lock);
	struct worker_health *h = &w->health;
	h->cases = (int64_t)w->nruns;
	h->parallel = a->lane.active;
	h->limit = (int64_t)a->lane.limit;
	h->token_expires_ms = a->expires_ms;
	h->token_missing = a->token == NULL;
	h->token_refused = a->refused_at != 0;
	h->paused_until_ms = pause > 0 ? wall + pause : 0;
	h->pause_why = pause > 0 ? w->flow.hold_text : NULL;
	h->turned_ms = wall;
	pthread_mutex_unlock(&w->health_lock);
}

/* ---- Leasing ---- */

struct claims {
	struct worker *w;
	struct job_lease leases[LEASES_AT_ONCE];
	size_t most, n;
	const struct job_place *from; /* NULL = the beginning */
	int64_t now_ms;
};

/* A lease of our own that ran out meanwhile (the disk hung, the clock jumped) is renewed first, so
 * that it is not taken for one that somebody left behind. */
static bool claim_ready(struct db *db, void *arg, struct err *e)
{
	struct claims *c = arg;
	struct worker *w = c->w;
	c->now_ms = sys_wall_ms();
	c->n = c->most;
	worker_leases_begin(w);
	for (struct run *r = w->runs; r; r = r->next_run)
		if (!r->lost && r->until_ms <= c->now_ms && !worker_renew(w, r, db, e))
			return false;
	return job_claim_ready(db, w->owner, c->now_ms, w->o.config->lease_time, c->from, c->leases,
			       &c->n, e);
}

/* Whether all places were taken, and some by jobs that others left behind: there may be more of
 * those, with leases that ran out long ago. */
static bool may_leave_some(const struct claims *c)
{
	bool again = false;
	for (size_t i = 0; i < c->n; i++)
		again = again || c->leases[i].epoch > 1;
	return again && c->n == c->most;
}

/* As many ready jobs as there is room for. */
static bool claim(struct worker *w, int64_t now, struct err *e)
{
	size_t room = (size_t)w->o.config->cases_parallel - w->nruns;
	if (room == 0 || !worker_may_claim(w) || (!w->look && now - w->looked_at < LOOK_EVERY_MS))
		return true;
	struct claims c = {.w = w, .most = room < LEASES_AT_ONCE ? room : LEASES_AT_ONCE};
	if (!w->db->ops->exclusive)
		c.from = cursor_begin(&w->cursor, now, sys_wall_ms());
	w->look = false;
	w->looked_at = now;
	if (!ledger_write(w->o.ledger, claim_ready, &c, e))
		return false;
	worker_leases_committed(w);
	for (size_t i = 0; i < c.n; i++)
		worker_hold(w, &c.leases[i], c.now_ms);
	cursor_end(&w->cursor, sys_mono_ms(), c.leases, c.n);
	if (may_leave_some(&c))
		cursor_rewind(&w->cursor);
	w->look = c.n == room; /* there may be more, for the next free place */
	return true;
}

/* Somebody changed something: perhaps a job that we hold was cancelled. */
static bool check_leases(struct worker *w, int64_t now, struct err *e)
{
	if (!w->runs || now - w->checked_at < CHECK_EVERY_MS)
		return true;
	w->checked_at = now;
	w->check = false;
	return worker_check_leases(w, e);
}

/* ---- The token ---- */

/* Whether questions may be asked. Without a token for long, cases go back to the queue. */
static bool token_ready(struct worker *w, int64_t now, struct err *e)
{
	struct err why;
	if (account_ready(&w->account, false, &why)) {
		if (w->idle_since)
			log_info("token usable", "after_ms=%" PRId64, now - w->idle_since);
		w->idle_since = 0;
		return true;
	}
	if (!w->idle_since) {
		w->idle_since = now;
		log_warn("waiting for a token", "why=\"%s\"", why.text);
	}
	bool quiet = w->flow.flying == 0 && w->flow.storing == 0;
	if (w->runs && quiet && now - w->idle_since > TOKEN_PATIENCE_MS &&
	    !worker_commit_due(w, now)) {
		if (worker_hand_back(w, e))
			worker_drop_all(w);
	}
	return false;
}

/* ---- Trouble with our own storage ---- */

/* Said once, and again when it is another trouble. */
static void begin_trouble(struct worker *w, const struct err *why)
{
	char text[sizeof w->health.trouble] = "";
	snprintf(text, sizeof text, "%.190s", why->text);
	pthread_mutex_lock(&w->health_lock);
	bool known = w->health.trouble_since_ms && strcmp(w->health.trouble, text) == 0;
	if (!w->health.trouble_since_ms)
		w->health.trouble_since_ms = sys_wall_ms();
	memcpy(w->health.trouble, text, sizeof text);
	pthread_mutex_unlock(&w->health_lock);
	if (!known)
		log_error("storage trouble", "why=\"%s\"", text);
}

/* It went well for a while. */
static void end_trouble(struct worker *w)
{
	w->resumed_at = w->pause_ms = 0;
	pthread_mutex_lock(&w->health_lock);
	w->health.trouble_since_ms = 0;
	w->health.trouble[0] = '\0';
	pthread_mutex_unlock(&w->health_lock);
	log_info("storage works again", "cases=%zu", w->nruns);
}

/* ---- The loop ---- */

/* Drained: nothing is in flight and nothing waits to be written, or the time is over. */
static bool is_drained(struct worker *w, int64_t now)
{
	if (!w->drain_until) {
		w->drain_until = now + w->o.config->drain_time;
		log_info("worker drains", "cases=%zu in_flight=%zu", w->nruns,
			 w->flow.flying + w->flow.storing);
	}
	bool quiet = w->flow.flying == 0 && w->flow.storing == 0;
	for (const struct run *r = w->runs; quiet && r; r = r->next_run)
		quiet = !run_has_news(r);
	return quiet || now >= w->drain_until;
}

/* How long the next turn may sleep. */
static int64_t sleep_time(struct worker *w, bool may_ask)
{
	int64_t now = sys_mono_ms();
	int64_t at = may_ask ? worker_start(w, now) : INT64_MAX;
	int64_t wait = at - now < 0 ? 0 : at - now;
	if (worker_commit_due(w, now))
		return 0;
	if (!may_ask && w->runs)
		return wait < COMMIT_EVERY_MS ? wait : COMMIT_EVERY_MS;
	int64_t most = w->check ? CHECK_EVERY_MS : TURN_MAX_MS;
	return wait < most ? wait : most;
}

/* Works until it is to stop or our own storage fails. */
static enum worker_end serve(struct worker *w, struct err *e)
{
	for (int64_t wait = 0;;) {
		if (!http_turn(w->http, wait, e))
			return WORKER_TROUBLE;
		worker_settle(w);
		int64_t now = sys_mono_ms();
		bool draining = atomic_load(&w->draining);
		publish(w, now);
		if (atomic_load(&w->stop) || (draining && is_drained(w, now)))
			return WORKER_STOPPED;
		if (w->flow.trouble.kind != ERR_NONE) {
			*e = w->flow.trouble;
			return WORKER_TROUBLE;
		}
		if (atomic_exchange(&w->woken, false))
			w->look = w->check = true;
		struct err why = {0};
		bool may_ask = token_ready(w, now, &why) && !draining;
		bool ok = why.kind == ERR_NONE;
		if (ok && worker_commit_due(w, now))
			ok = worker_commit(w, &why);
		ok = ok && (!w->check || check_leases(w, now, &why)) && worker_let_go(w, &why) &&
		     (!may_ask || claim(w, now, &why)) && worker_load(w, &why) &&
		     worker_share(w, now, &why);
		if (!ok) {
			*e = why;
			return WORKER_TROUBLE;
		}
		if (w->resumed_at && w->flow.storing == 0 && now - w->resumed_at > CALM_MS)
			end_trouble(w);
		wait = sleep_time(w, may_ask);
	}
}

/* Waits without work, but not when it is to stop. */
static void rest(struct worker *w, int64_t ms)
{
	struct err ignored;
	for (int64_t end = sys_mono_ms() + ms, now; (now = sys_mono_ms()) < end;) {
		int64_t left = end - now < TURN_MAX_MS ? end - now : TURN_MAX_MS;
		if (must_stop(w))
			return;
		publish(w, now);
		if (!http_turn(w->http, left, &ignored))
			poll(NULL, 0, (int)left);
	}
}

/* Rests, longer each time, until the store says that an object could be stored. Nothing is held
 * meanwhile, so that whoever else there is may go on. */
static void sit_out(struct worker *w, struct err *why)
{
	do {
		begin_trouble(w, why);
		w->pause_ms *= 2;
		if (!w->pause_ms)
			w->pause_ms = TROUBLE_FIRST_MS;
		if (w->pause_ms > TROUBLE_MAX_MS)
			w->pause_ms = TROUBLE_MAX_MS;
		rest(w, w->pause_ms);
	} while (!must_stop(w) && !store_check(w->o.store, why));
	w->flow.trouble = (struct err){0};
	w->resumed_at = sys_mono_ms();
	w->look = true;
}

enum worker_end worker_serve(struct worker *w, struct err *e)
{
	publish(w, sys_mono_ms());
	for (;;) {
		enum worker_end end = serve(w, e);
		worker_wind_up(w, end);
		worker_drop_all(w);
		if (end == WORKER_STOPPED)
			break;
		sit_out(w, e);
	}
	publish(w, sys_mono_ms());
	fail(e, ERR_BUSY, "stopped");
	return WORKER_STOPPED;
}
