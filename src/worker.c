/*
 * worker - owns the turn: who is moved, settled, committed and started, in this order, and how long
 * to sleep. No database transaction is open while bytes move; nothing calls back into it.
 */
#include "worker_turn.h"

#include "log.h"
#include "query_list.h"
#include "sys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOW_EVERY_MS = 100, PUT_THREADS = 4, LAST_PUTS_MS = 3000, ELSEWHERE_EVERY_MS = 300 };

/* ---- Life ---- */

static void wake(void *arg)
{
	http_wake(arg);
}

static bool open_parts(struct worker *w, struct err *e)
{
	const struct config *c = w->o.config;
	w->spool_dir = xasprintf("%s/spool", c->data_dir);
	if (!account_init(&w->account, "default", c, e)) {
		if (!w->o.service || e->kind != ERR_DENIED)
			return false;
		log_warn("no token yet", "why=\"%s\"", e->text);
	}
	if (!sys_mkdirs(w->spool_dir, 0700, e))
		return false;
	w->db = db_open(c->database_url, DB_READ, e);
	if (!w->db)
		return false;
	w->account.share.on = !w->db->ops->exclusive;
	if (w->account.share.on)
		w->account.lane.limit = 0; /* until the database grants a share */
	/* An expired token is said before anything is begun, unless a new one may be waited for. */
	if (!w->o.service && !c->portal_token_wait && !account_ready(&w->account, false, e))
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
	snprintf(w->owner, sizeof w->owner, "%s", ledger_owner(o->ledger));
	pthread_mutex_init(&w->health_lock, NULL);
	w->look = true;
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
	worker_drop_all(w);
	putter_free(w->putter);
	http_free(w->http);
	account_release(&w->account);
	db_close(w->db);
	pthread_mutex_destroy(&w->health_lock);
	xfree(w->spool_dir);
	xfree(w->elsewhere);
	xfree(w);
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, true);
	http_wake(w->http);
}

bool worker_token_warning(const struct worker *w, char *out, size_t cap)
{
	return account_warning(&w->account, out, cap);
}

/* ---- The jobs of worker_run ---- */

struct claim {
	struct worker *w;
	int64_t job_id, now_ms;
	struct job_lease lease;
};

static bool claim_one(struct db *db, void *arg, struct err *e)
{
	struct claim *c = arg;
	c->now_ms = sys_wall_ms();
	return job_claim(db, c->job_id, c->w->owner, c->now_ms, c->w->o.config->lease_time,
			 &c->lease, e);
}

/* Whether another process has this job, so that it may be ours when that one dies or hands it back.
 */
static bool is_elsewhere(struct worker *w, int64_t job_id)
{
	struct job_list jobs = {0};
	struct err e;
	bool yes = !w->db->ops->exclusive && query_job(w->db, job_id, &jobs, &e) &&
		   (strcmp(jobs.jobs[0].state, "pending") == 0 ||
		    strcmp(jobs.jobs[0].state, "processing") == 0);
	job_list_release(&jobs);
	return yes;
}

static bool claim_job(struct worker *w, size_t i, struct err *e)
{
	struct claim c = {.w = w, .job_id = w->jobs[i]};
	struct err why = {0};
	bool waited = w->elsewhere[i];
	w->elsewhere[i] = false;
	if (ledger_write(w->o.ledger, claim_one, &c, &why)) {
		worker_hold(w, &c.lease, c.now_ms);
	} else if (why.kind != ERR_BUSY) {
		*e = why;
		return false;
	} else if (is_elsewhere(w, c.job_id)) {
		w->elsewhere[i] = true;
	} else {
		if (!waited)
			log_warn("job not leased", "job=%" PRId64 " why=\"%s\"", c.job_id,
				 why.text);
		w->over.jobs_over++;
	}
	return true;
}

static bool has_elsewhere(const struct worker *w)
{
	for (size_t i = 0; i < w->next_job; i++)
		if (w->elsewhere[i])
			return true;
	return false;
}

/* Leases jobs while there is room for more; those that others have are tried again. */
static bool claim(struct worker *w, int64_t now, struct err *e)
{
	size_t room = (size_t)w->o.config->cases_parallel;
	bool again = now - w->looked_at >= ELSEWHERE_EVERY_MS;
	if (again)
		w->looked_at = now;
	for (size_t i = 0; again && i < w->next_job && w->nruns < room; i++)
		if (w->elsewhere[i] && !claim_job(w, i, e))
			return false;
	while (w->nruns < room && w->next_job < w->njobs)
		if (!claim_job(w, w->next_job++, e))
			return false;
	return true;
}

/* ---- The turn ---- */

void worker_settle(struct worker *w)
{
	struct http_exchange *x;
	struct put *p;
	while ((x = http_done(w->http)))
		flow_answer(&w->flow, x->owner);
	while ((p = putter_done(w->putter, 0)))
		flow_stored(&w->flow, p);
}

/* Starts what may start; runs take turns. Gives the moment at which time alone brings more. */
int64_t worker_start(struct worker *w, int64_t now)
{
	int64_t at = account_opens_at(&w->account, now);
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
	if (w->account.share.on && worker_share_at(w) < at)
		at = worker_share_at(w);
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
	worker_progress_of(w, &p);
	p.jobs = w->njobs;
	p.bytes = http_received(w->http);
	p.parallel = w->account.lane.active;
	p.waiting_for_token = !last && w->idle_since != 0;
	if (!last && paused) {
		p.pause_ms = w->account.lane.paused_until - now;
		p.pause_text = w->flow.hold_text;
	}
	w->o.on_turn(w->o.arg, &p);
}

/* Whether the work must end although there is more to do. */
static bool must_end(struct worker *w, int64_t now, enum worker_end *end, struct err *e)
{
	const struct config *c = w->o.config;
	const struct account *a = &w->account;
	if (atomic_load(&w->stop)) {
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
void worker_wind_up(struct worker *w, enum worker_end end)
{
	enum log_level level = end == WORKER_TROUBLE ? LOG_WARN : LOG_ERROR;
	struct err e;
	struct put *p;
	worker_settle(w);
	flow_cut_transfers(&w->flow);
	/* Neither a stop nor trouble waits for a store that hangs. */
	bool may_cut = (end == WORKER_STOPPED || end == WORKER_TROUBLE) && w->o.store->ops->cut;
	while ((p = putter_done(w->putter, may_cut ? LAST_PUTS_MS : -1)) || w->flow.storing) {
		if (p)
			flow_stored(&w->flow, p);
		else
			w->o.store->ops->cut(w->o.store);
	}
	if (w->runs && !worker_commit(w, &e))
		log_line(level, "last commit failed", "why=\"%s\"", e.text);
	else if (w->runs && !worker_hand_back(w, &e))
		log_line(level, "leases not handed back", "why=\"%s\"", e.text);
}

enum worker_end worker_run(struct worker *w, const int64_t *jobs, size_t n, struct err *e)
{
	w->jobs = jobs;
	w->njobs = n;
	w->elsewhere = xcalloc(n, sizeof *w->elsewhere);
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
		worker_settle(w);
		now = sys_mono_ms();
		if (worker_commit_due(w, now) && !worker_commit(w, e))
			break;
		if (!worker_let_go(w, e) || !claim(w, now, e) || !worker_load(w, e) ||
		    !worker_share(w, now, e))
			break;
		if (!w->runs && w->next_job == w->njobs && !has_elsewhere(w)) {
			end = WORKER_DONE;
			break;
		}
		now = sys_mono_ms(); /* the database may have taken long */
		int64_t at = w->idle_since ? INT64_MAX : worker_start(w, now);
		wait = at - now < 0 ? 0 : at - now;
		if (wait > TURN_MAX_MS)
			wait = TURN_MAX_MS;
		if (worker_commit_due(w, now))
			wait = 0;
	}
	worker_wind_up(w, end);
	show(w, sys_mono_ms(), true);
	return end;
}
