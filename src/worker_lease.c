/*
 * worker_lease - the cases a worker holds: taken on, written down, renewed, lost, handed back.
 */
#include "worker_turn.h"

#include "log.h"
#include "metrics.h"
#include "query_list.h"
#include "sys.h"

#include <inttypes.h>
#include <string.h>

/* ---- Runs ---- */

static void progress_add(struct worker_progress *p, const struct run *r)
{
	if (r->stage == RUN_DOCUMENTS || r->ndocs)
		p->listed++;
	p->total += r->ndocs;
	for (size_t i = 0; i < r->ndocs; i++) {
		const struct run_doc *d = &r->docs[i];
		if ((d->place != DOC_SETTLED && d->place != DOC_DONE) || d->unwanted)
			continue;
		p->available += d->available;
		p->failed += !d->available;
	}
}

void worker_progress_of(const struct worker *w, struct worker_progress *p)
{
	for (const struct run *r = w->runs; r; r = r->next_run)
		progress_add(p, r);
}

/* Takes a run out of the worker's hands; nothing of it is in flight. */
static void drop_run(struct worker *w, struct run **link)
{
	struct run *r = *link;
	progress_add(&w->over, r);
	w->over.jobs_over++;
	*link = r->next_run;
	w->nruns--;
	w->look = true;
	run_free(r);
}

void worker_drop_all(struct worker *w)
{
	while (w->runs)
		drop_run(w, &w->runs);
}

void worker_hold(struct worker *w, const struct job_lease *l, int64_t leased_ms)
{
	struct run *r = run_new(l), **end = &w->runs;
	int64_t lease = w->o.config->lease_time;
	while (*end)
		end = &(*end)->next_run;
	*end = r;
	w->nruns++;
	r->until_ms = leased_ms + lease;
	r->renew_at = sys_mono_ms() + lease / 3;
	metric_observe(HISTOGRAM_job_wait, NULL, (double)l->waited_ms / 1000);
}

bool worker_load(struct worker *w, struct err *e)
{
	for (struct run *r = w->runs; r; r = r->next_run)
		if (r->stage == RUN_LOAD && !run_load(r, w->db, e))
			return false;
	return true;
}

/* ---- The transaction of a turn ---- */

/* A lease that is lost is no failure: the fence is the first statement, nothing was changed. */
static bool unless_lost(struct run *r, bool ok, const struct err *why, struct err *e)
{
	if (!ok && why->kind != ERR_ABSENT) {
		*e = *why;
		return false;
	}
	r->written.lost = !ok;
	return true;
}

void worker_leases_begin(struct worker *w)
{
	for (struct run *r = w->runs; r; r = r->next_run) {
		r->written.until_ms = r->until_ms;
		r->written.lost = r->lost;
	}
}

void worker_leases_committed(struct worker *w)
{
	for (struct run *r = w->runs; r; r = r->next_run) {
		r->until_ms = r->written.until_ms;
		r->lost = r->written.lost;
	}
}

bool worker_renew(struct worker *w, struct run *r, struct db *db, struct err *e)
{
	struct err why = {0};
	int64_t until = sys_wall_ms() + w->o.config->lease_time;
	bool ok = job_renew(db, &r->lease, until, &why);
	if (ok)
		r->written.until_ms = until;
	return unless_lost(r, ok, &why, e);
}

static bool write_turn(struct db *db, void *arg, struct err *e)
{
	struct worker *w = arg;
	w->wrote_at = sys_mono_ms();
	worker_leases_begin(w);
	for (struct run *r = w->runs; r; r = r->next_run) {
		struct err why = {0};
		bool ok = true;
		if (r->lost)
			continue;
		if (run_has_news(r))
			ok = unless_lost(r, run_write(r, db, w->o.config->lease_time, &why), &why,
					 e);
		else if (w->wrote_at >= r->renew_at)
			ok = worker_renew(w, r, db, e);
		if (!ok)
			return false;
	}
	return true;
}

bool worker_commit_due(struct worker *w, int64_t now)
{
	size_t news = 0;
	bool urgent = w->flow.flying == 0 && w->flow.storing == 0;
	for (const struct run *r = w->runs; r; r = r->next_run) {
		if (!r->lost && now >= r->renew_at)
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

static bool is_cancelled(struct worker *w, const struct run *r)
{
	struct job_list jobs = {0};
	struct err e;
	bool yes = query_job(w->db, r->lease.job_id, &jobs, &e) &&
		   strcmp(jobs.jobs[0].state, "cancelled") == 0;
	job_list_release(&jobs);
	return yes;
}

/* Somebody else decides about this job now: its transfers are cut, what is with the putter comes
 * back first. */
static void note_lost(struct worker *w, struct run *r)
{
	if (r->lost_said)
		return;
	r->lost_said = true;
	flow_cut_run(&w->flow, r);
	if (is_cancelled(w, r)) {
		log_info("job cancelled", "job=%" PRId64 " storing=%zu", r->lease.job_id, r->tasks);
		return;
	}
	log_warn("lease lost", "job=%" PRId64 " epoch=%" PRId64, r->lease.job_id, r->lease.epoch);
	metric_add(METRIC_stale_writes, 1);
}

/* News of a run whose write came through moves on; runs that are over leave. */
static void settle_runs(struct worker *w, const bool *wrote)
{
	struct run **link = &w->runs;
	for (size_t i = 0; *link; i++) {
		struct run *r = *link;
		if (r->lost) {
			note_lost(w, r);
			link = &r->next_run;
		} else if (wrote[i] && run_written(r)) {
			drop_run(w, link);
		} else {
			if (wrote[i] || w->wrote_at >= r->renew_at)
				r->renew_at = w->wrote_at + w->o.config->lease_time / 3;
			link = &r->next_run;
		}
	}
}

/* Nothing of a lost run is in flight any more. What it stored before it knew of the loss may belong
 * to a case that was erased meanwhile. */
static bool let_go_run(const struct worker *w, const struct run *r, struct db *db, struct err *e)
{
	return (!r->stores || job_erase_late(db, r->lease.number, e)) &&
	       job_let_go(db, r->lease.job_id, w->owner, e);
}

static bool let_go(struct db *db, void *arg, struct err *e)
{
	struct worker *w = arg;
	for (const struct run *r = w->runs; r; r = r->next_run)
		if (r->lost && r->tasks == 0 && !let_go_run(w, r, db, e))
			return false;
	return true;
}

/* Lost runs of which no byte is in flight any more leave, and the database says so. */
bool worker_let_go(struct worker *w, struct err *e)
{
	bool any = false;
	for (struct run *r = w->runs; r; r = r->next_run) {
		if (r->lost)
			note_lost(w, r);
		any = any || (r->lost && r->tasks == 0);
	}
	if (!any)
		return true;
	if (!ledger_write(w->o.ledger, let_go, w, e))
		return false;
	for (struct run **link = &w->runs; *link;)
		if ((*link)->lost && (*link)->tasks == 0)
			drop_run(w, link);
		else
			link = &(*link)->next_run;
	return true;
}

bool worker_check_leases(struct worker *w, struct err *e)
{
	for (struct run *r = w->runs; r; r = r->next_run) {
		struct job_list jobs = {0};
		struct err why = {0};
		bool known = query_job(w->db, r->lease.job_id, &jobs, &why);
		bool ours = known && jobs.jobs[0].epoch == r->lease.epoch &&
			    strcmp(jobs.jobs[0].state, "processing") == 0;
		job_list_release(&jobs);
		if (!known && why.kind != ERR_ABSENT) {
			*e = why;
			return false;
		}
		r->lost = r->lost || !ours;
	}
	return true;
}

bool worker_commit(struct worker *w, struct err *e)
{
	bool *wrote = xcalloc(w->nruns, sizeof *wrote);
	size_t i = 0;
	for (const struct run *r = w->runs; r; r = r->next_run)
		wrote[i++] = run_has_news(r);
	bool ok = ledger_write(w->o.ledger, write_turn, w, e);
	if (ok) {
		worker_leases_committed(w);
		settle_runs(w, wrote);
	}
	w->news_since = 0;
	xfree(wrote);
	return ok;
}

static bool hand_back_all(struct db *db, void *arg, struct err *e)
{
	struct worker *w = arg;
	for (struct run *r = w->runs; r; r = r->next_run) {
		struct err why = {0};
		if (!r->lost && job_hand_back(db, &r->lease, sys_wall_ms(), &why))
			continue;
		if (!r->lost && why.kind != ERR_ABSENT) {
			*e = why;
			return false;
		}
		if (!let_go_run(w, r, db, e))
			return false;
	}
	return true;
}

bool worker_hand_back(struct worker *w, struct err *e)
{
	return ledger_write(w->o.ledger, hand_back_all, w, e);
}
