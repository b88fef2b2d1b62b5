/*
 * worker - owns the turn: who is moved, settled, committed and started, in this order, and how long
 * to sleep. No database transaction is open while bytes move; nothing calls back into it.
 */
#include "worker.h"

#include "account.h"
#include "flow.h"
#include "http.h"
#include "log.h"
#include "metrics.h"
#include "putter.h"
#include "sys.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
	COMMIT_EVERY_MS = 50, /* results wait at most so long for company */
	COMMIT_AT = 200,      /* or until there are so many */
	STORING_MAX = 128,    /* documents with the putter; above it nothing more is fetched */
	TURN_MAX_MS = 500,    /* a turn sleeps at most so long */
	SHOW_EVERY_MS = 100,  /* progress */
	PUT_THREADS = 4,
};

struct worker {
	struct worker_options o;
	const int64_t *jobs; /* borrowed for the time of worker_run */
	size_t njobs;
	struct account account;
	struct http *http;
	struct putter *putter;
	struct flow flow;
	struct run *runs; /* held */
	size_t nruns, next_job;
	char owner[33];
	char *spool_dir;
	int64_t news_since;          /* monotonic; 0 = nothing waits for a transaction */
	int64_t shown_at;            /* monotonic */
	bool shown_pause;            /* what was shown then */
	int64_t idle_since;          /* monotonic; when the token became unusable, 0 = usable */
	struct worker_progress over; /* sums of runs that are over */
	volatile sig_atomic_t stop;
};

/* ---- Life ---- */

static void wake(void *arg)
{
	http_wake(arg);
}

static bool open_parts(struct worker *w, struct err *e)
{
	const struct config *c = w->o.config;
	w->spool_dir = xasprintf("%s/spool", c->data_dir);
	if (!account_init(&w->account, "default", c, e) || !sys_mkdirs(w->spool_dir, 0700, e))
		return false;
	/* An expired token is said before anything is begun, unless a new one may be waited for. */
	if (!c->portal_token_wait && !account_ready(&w->account, false, e))
		return false;
	w->http =
		http_new(&(struct http_options){.proxy = c->portal_proxy,
						.ca_file = c->portal_ca_file,
						.connect_timeout_ms = c->portal_connect_timeout,
						.low_speed = c->portal_low_speed,
						.low_speed_time_s = c->portal_low_speed_time / 1000,
						.spool_dir = w->spool_dir,
						.spool_memory = (size_t)c->spool_memory,
						.connections = (int)c->portal_parallel_max},
			 e);
	if (!w->http)
		return false;
	w->putter = putter_new(w->o.store, PUT_THREADS, wake, w->http);
	flow_init(&w->flow, c, &w->account, w->putter);
	return true;
}

struct worker *worker_new(const struct worker_options *o, struct err *e)
{
	struct worker *w = xcalloc(1, sizeof *w);
	w->o = *o;
	sys_random_hex(w->owner, sizeof w->owner - 1);
	if (!open_parts(w, e)) {
		worker_free(w);
		return NULL;
	}
	return w;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	flow_release(&w->flow);
	while (w->runs) {
		struct run *r = w->runs;
		w->runs = r->next_run;
		run_free(r);
	}
	putter_free(w->putter);
	http_free(w->http);
	account_release(&w->account);
	xfree(w->spool_dir);
	xfree(w);
}

void worker_stop(struct worker *w)
{
	w->stop = 1;
	http_wake(w->http);
}

bool worker_token_warning(const struct worker *w, char *out, size_t cap)
{
	return account_warning(&w->account, out, cap);
}

/* ---- Runs ---- */

static void progress_add(struct worker_progress *p, const struct run *r)
{
	if (r->stage == RUN_DOCUMENTS || r->ndocs)
		p->listed++;
	p->total += r->ndocs;
	for (size_t i = 0; i < r->ndocs; i++) {
		const struct run_doc *d = &r->docs[i];
		if (d->place != DOC_SETTLED && d->place != DOC_DONE)
			continue;
		p->available += d->available;
		p->failed += !d->available;
	}
}

/* Takes a run out of the worker's hands. */
static void drop_run(struct worker *w, struct run **link)
{
	struct run *r = *link;
	flow_abandon(&w->flow, r);
	progress_add(&w->over, r);
	w->over.jobs_over++;
	*link = r->next_run;
	w->nruns--;
	run_free(r);
}

struct claim {
	struct worker *w;
	int64_t job_id;
	struct job_lease lease;
};

static bool claim_one(struct db *db, void *arg, struct err *e)
{
	struct claim *c = arg;
	return job_claim(db, c->job_id, c->w->owner, sys_wall_ms(), c->w->o.config->lease_time,
			 &c->lease, e);
}

static int64_t renew_time(const struct worker *w)
{
	return sys_mono_ms() + w->o.config->lease_time / 3;
}

/* Leases jobs while there is room for more. */
static bool claim(struct worker *w, struct err *e)
{
	while (w->nruns < (size_t)w->o.config->cases_parallel && w->next_job < w->njobs) {
		struct claim c = {.w = w, .job_id = w->jobs[w->next_job]};
		struct err why = {0};
		w->next_job++;
		if (ledger_write(w->o.ledger, claim_one, &c, &why)) {
			struct run *r = run_new(&c.lease), **end = &w->runs;
			while (*end)
				end = &(*end)->next_run;
			*end = r;
			w->nruns++;
			r->renew_at = renew_time(w);
		} else if (why.kind == ERR_BUSY) {
			log_warn("job not leased", "job=%" PRId64 " why=\"%s\"", c.job_id,
				 why.text);
			w->over.jobs_over++;
		} else {
			*e = why;
			return false;
		}
	}
	return true;
}

static bool load_runs(struct worker *w, struct err *e)
{
	for (struct run *r = w->runs; r; r = r->next_run)
		if (r->stage == RUN_LOAD && !run_load(r, ledger_db(w->o.ledger), e))
			return false;
	return true;
}

/* ---- The transaction of a turn ---- */

static bool write_turn(struct db *db, void *arg, struct err *e)
{
	struct worker *w = arg;
	int64_t now = sys_mono_ms(), lease = w->o.config->lease_time;
	for (struct run *r = w->runs; r; r = r->next_run) {
		struct err why = {0};
		bool ok = run_has_news(r) ? run_write(r, db, lease, &why)
			  : now >= r->renew_at
				  ? job_renew(db, &r->lease, sys_wall_ms() + lease, &why)
				  : true;
		if (ok)
			continue;
		if (why.kind != ERR_ABSENT) {
			*e = why;
			return false;
		}
		r->lost = true; /* the fence is the first statement: nothing was changed */
	}
	return true;
}

static bool commit_due(struct worker *w, int64_t now)
{
	size_t news = 0;
	bool urgent = w->flow.flying == 0 && w->flow.storing == 0;
	for (const struct run *r = w->runs; r; r = r->next_run) {
		if (now >= r->renew_at)
			return true;
		if (!run_has_news(r))
			continue;
		urgent = urgent || r->settled == 0 || r->open == 0;
		news += r->settled + 1;
	}
	if (news == 0) {
		w->news_since = 0;
		return false;
	}
	if (!w->news_since)
		w->news_since = now;
	return urgent || news >= COMMIT_AT || now - w->news_since >= COMMIT_EVERY_MS;
}

/* News of a run whose write came through moves on; runs that are over or lost leave. */
static void settle_runs(struct worker *w, const bool *wrote)
{
	struct run **link = &w->runs;
	for (size_t i = 0; *link; i++) {
		struct run *r = *link;
		if (r->lost) {
			log_warn("lease lost", "job=%" PRId64 " epoch=%" PRId64, r->lease.job_id,
				 r->lease.epoch);
			metric_add(METRIC_stale_writes, 1);
			drop_run(w, link);
		} else if (wrote[i] && run_written(r)) {
			drop_run(w, link);
		} else {
			if (wrote[i] || sys_mono_ms() >= r->renew_at)
				r->renew_at = renew_time(w);
			link = &r->next_run;
		}
	}
}

static bool commit(struct worker *w, struct err *e)
{
	bool *wrote = xcalloc(w->nruns, sizeof *wrote);
	size_t i = 0;
	for (const struct run *r = w->runs; r; r = r->next_run)
		wrote[i++] = run_has_news(r);
	bool ok = ledger_write(w->o.ledger, write_turn, w, e);
	if (ok)
		settle_runs(w, wrote);
	w->news_since = 0;
	xfree(wrote);
	return ok;
}

static bool hand_back_all(struct db *db, void *arg, struct err *e)
{
	struct worker *w = arg;
	for (struct run *r = w->runs; r; r = r->next_run) {
		struct err why = {0};
		if (!job_hand_back(db, &r->lease, sys_wall_ms(), &why) && why.kind != ERR_ABSENT) {
			*e = why;
			return false;
		}
	}
	return true;
}

/* ---- The turn ---- */

static void settle(struct worker *w)
{
	struct http_exchange *x;
	struct put *p;
	while ((x = http_done(w->http)))
		flow_answer(&w->flow, x->owner);
	while ((p = putter_done(w->putter, false)))
		flow_stored(&w->flow, p);
}

/* Starts what may start; runs take turns. Gives the moment at which time alone brings more. */
static int64_t start(struct worker *w, int64_t now)
{
	int64_t at = lane_opens_at(&w->account.lane, now);
	for (bool more = true; more;) {
		more = false;
		for (struct run *r = w->runs; r && w->flow.storing < STORING_MAX; r = r->next_run) {
			struct task *t = flow_next(&w->flow, r, now, &at);
			if (!t)
				continue;
			http_start(w->http, &t->exchange);
			more = true;
		}
	}
	for (const struct run *r = w->runs; r; r = r->next_run) {
		if (r->renew_at < at)
			at = r->renew_at;
		if (run_has_news(r) && now + COMMIT_EVERY_MS < at)
			at = now + COMMIT_EVERY_MS;
	}
	return at;
}

static void show(struct worker *w, int64_t now, bool last)
{
	bool paused = w->account.lane.paused_until > now;
	bool soon = now - w->shown_at < SHOW_EVERY_MS && paused == w->shown_pause;
	if (!w->o.on_turn || (!last && soon))
		return;
	w->shown_at = now;
	w->shown_pause = paused;
	struct worker_progress p = w->over;
	p.jobs = w->njobs;
	p.bytes = http_received(w->http);
	p.parallel = w->account.lane.active;
	p.waiting_for_token = !last && w->idle_since != 0;
	if (!last && paused) {
		p.pause_ms = w->account.lane.paused_until - now;
		p.pause_text = w->flow.hold_text;
	}
	for (const struct run *r = w->runs; r; r = r->next_run)
		progress_add(&p, r);
	w->o.on_turn(w->o.arg, &p);
}

/* Whether the work must end although there is more to do. */
static bool must_end(struct worker *w, int64_t now, enum worker_end *end, struct err *e)
{
	const struct config *c = w->o.config;
	const struct account *a = &w->account;
	if (w->stop) {
		*end = WORKER_STOPPED;
		fail(e, ERR_BUSY, "stopped");
		return true;
	}
	if (w->flow.trouble.kind != ERR_NONE) {
		*end = WORKER_TROUBLE;
		*e = w->flow.trouble;
		return true;
	}
	if (a->troubles > c->retry_max ||
	    (a->held_since && now - a->held_since > c->portal_patience)) {
		*end = WORKER_PORTAL_DOWN;
		fail(e, ERR_BUSY, "the portal is unavailable: %s",
		     w->flow.hold_text ? w->flow.hold_text : "it does not answer");
		return true;
	}
	if (account_ready(&w->account, false, e)) {
		w->idle_since = 0;
		return false;
	}
	if (!w->idle_since)
		w->idle_since = now;
	*end = WORKER_TOKEN;
	return !*c->portal_token_file || now - w->idle_since >= c->portal_token_wait;
}

/*
 * What came in with the last bytes is kept; the rest is handed back. After trouble with our own
 * storage that fails too, and is no news.
 */
static void wind_up(struct worker *w, enum worker_end end)
{
	enum log_level level = end == WORKER_TROUBLE ? LOG_WARN : LOG_ERROR;
	struct err e;
	struct put *p;
	settle(w);
	flow_cut_transfers(&w->flow);
	while ((p = putter_done(w->putter, true)))
		flow_stored(&w->flow, p);
	if (w->runs && !commit(w, &e))
		log_line(level, "last commit failed", "why=\"%s\"", e.text);
	else if (w->runs && !ledger_write(w->o.ledger, hand_back_all, w, &e))
		log_line(level, "leases not handed back", "why=\"%s\"", e.text);
}

enum worker_end worker_run(struct worker *w, const int64_t *jobs, size_t n, struct err *e)
{
	w->jobs = jobs;
	w->njobs = n;
	enum worker_end end = WORKER_DONE;
	int64_t wait = 0;
	for (;;) {
		int64_t now = sys_mono_ms();
		show(w, now, false);
		if (must_end(w, now, &end, e))
			break;
		end = WORKER_TROUBLE;
		if (!http_turn(w->http, wait, e))
			break;
		settle(w);
		now = sys_mono_ms();
		if (commit_due(w, now) && !commit(w, e))
			break;
		if (!claim(w, e) || !load_runs(w, e))
			break;
		if (!w->runs && w->next_job == w->njobs) {
			end = WORKER_DONE;
			break;
		}
		int64_t at = w->idle_since ? INT64_MAX : start(w, now);
		wait = at - now < 0 ? 0 : at - now;
		if (wait > TURN_MAX_MS)
			wait = TURN_MAX_MS;
		if (commit_due(w, now))
			wait = 0;
	}
	wind_up(w, end);
	show(w, sys_mono_ms(), true);
	return end;
}
