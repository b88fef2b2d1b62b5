/*
 * run - the life of a held case: from its lease through the database and back. Asks the portal
 * nothing.
 */
#include "flow.h"

#include "log.h"
#include "metrics.h"
#include "sys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct run *run_new(const struct job_lease *l)
{
	struct run *r = xcalloc(1, sizeof *r);
	struct err e;
	r->lease = *l;
	r->held_at = sys_mono_ms();
	r->stage = l->relist ? RUN_LIST : RUN_LOAD;
	if (!cnj_parse(l->number, strlen(l->number), &r->number, &e))
		die("database: case number: %s", e.text);
	return r;
}

static void free_documents(struct run *r)
{
	for (size_t i = 0; i < r->ndocs; i++) {
		xfree(r->docs[i].dead);
		xfree(r->docs[i].error);
		xfree(r->docs[i].key);
		xfree(r->docs[i].note);
	}
	xfree(r->docs);
	r->docs = NULL;
	r->ndocs = 0;
	case_view_release(&r->view);
}

void run_free(struct run *r)
{
	if (!r)
		return;
	assert(r->tasks == 0);
	free_documents(r);
	portal_case_release(&r->found);
	xfree(r->cursor);
	xfree(r->list_json);
	xfree(r->detail_json);
	xfree(r);
}

static void load_document(struct run *r, struct run_doc *d, const struct doc_view *v)
{
	*d = (struct run_doc){
		.view = v, .place = DOC_WAITING, .dead = xcalloc(v->nrefs, sizeof(bool))};
	if (strcmp(v->state, "available") == 0) {
		d->place = DOC_DONE;
		d->available = true;
		d->size = v->size;
		snprintf(d->sha256, sizeof d->sha256, "%s", v->sha256);
		d->key = xstrdup(v->object_key);
	} else if (!v->wanted) {
		d->place = DOC_DONE;
		d->unwanted = true;
	} else if (strcmp(v->state, "failed") == 0) {
		d->place = DOC_DONE;
		if (strcmp(v->reason, doc_reason_name(DOC_REASON_DENIED)) == 0)
			d->reason = DOC_REASON_DENIED;
		else
			d->reason = DOC_REASON_UNAVAILABLE_UPSTREAM;
	} else {
		r->open++;
	}
}

bool run_load(struct run *r, struct db *db, struct err *e)
{
	assert(r->stage == RUN_LOAD);
	free_documents(r);
	r->open = 0;
	if (!query_case(db, r->lease.number, &r->view, e))
		return false;
	r->docs = xcalloc(r->view.ndocs, sizeof *r->docs);
	r->ndocs = r->view.ndocs;
	for (size_t i = 0; i < r->ndocs; i++)
		load_document(r, &r->docs[i], &r->view.docs[i]);
	r->stage = RUN_DOCUMENTS;
	return true;
}

/* ---- Writing ---- */

static bool all_done(const struct run *r)
{
	return r->stage == RUN_DOCUMENTS && r->open == 0;
}

bool run_has_news(const struct run *r)
{
	return !r->lost &&
	       (r->stage == RUN_LISTED || r->stage == RUN_OVER || r->settled > 0 || all_done(r));
}

static bool write_listing(struct run *r, struct db *db, struct err *e)
{
	return job_record_listing(db, &r->lease,
				  &(struct job_listing){.found = &r->found,
							.list_json = r->list_json,
							.detail_json = r->detail_json,
							.now_ms = sys_wall_ms()},
				  e);
}

static bool write_results(struct run *r, struct db *db, int64_t lease_ms, struct err *e)
{
	struct doc_result *results = xcalloc(r->settled, sizeof *results);
	size_t n = 0;
	for (size_t i = 0; i < r->ndocs; i++) {
		const struct run_doc *d = &r->docs[i];
		if (d->place != DOC_SETTLED)
			continue;
		results[n++] = (struct doc_result){
			.row = d->view->row,
			.doc_id = d->view->doc_id,
			.available = d->available,
			.reason = d->reason,
			.error = d->error,
			.tries = d->question.asked,
			.source_id = d->available ? d->view->refs[d->ref].id : "",
			.size = d->size,
			.sha256 = d->sha256,
			.mime = d->kind.mime,
			.ext = d->kind.ext,
			.object_key = d->key,
			.note = d->note,
			.started_ms = d->started_ms,
			.finished_ms = d->finished_ms,
		};
	}
	assert(n == r->settled);
	int64_t until = sys_wall_ms() + lease_ms;
	bool ok = job_record_results(db, &r->lease, results, n, until, e);
	if (ok)
		r->written.until_ms = until;
	xfree(results);
	return ok;
}

/* What the documents say of the whole. */
static enum outcome outcome_of(const struct run *r, char *error, size_t cap)
{
	size_t available = 0, denied = 0, unwanted = 0;
	for (size_t i = 0; i < r->ndocs; i++) {
		available += r->docs[i].available;
		unwanted += r->docs[i].unwanted;
		denied += !r->docs[i].available && !r->docs[i].unwanted &&
			  r->docs[i].reason == DOC_REASON_DENIED;
	}
	error[0] = '\0';
	if (r->ndocs == 0)
		return OUTCOME_EMPTY;
	if (available == r->ndocs)
		return OUTCOME_COMPLETE;
	if (available + unwanted == r->ndocs)
		return OUTCOME_LIMITED;
	snprintf(error, cap, "%zu of %zu documents could not be had",
		 r->ndocs - available - unwanted, r->ndocs);
	if (available > 0)
		return OUTCOME_PARTIAL;
	return denied == r->ndocs - unwanted ? OUTCOME_ACCESS_DENIED : OUTCOME_UPSTREAM_ERROR;
}

bool run_write(struct run *r, struct db *db, int64_t lease_ms, struct err *e)
{
	if (r->stage == RUN_LISTED)
		return write_listing(r, db, e);
	if (r->settled && !write_results(r, db, lease_ms, e))
		return false;
	if (all_done(r))
		r->outcome = outcome_of(r, r->error, sizeof r->error);
	if (r->outcome == OUTCOME_NONE)
		return true;
	bool over, ok = job_finish(db, &r->lease, r->outcome, r->error, sys_wall_ms(), &over, e);
	r->reopened = ok && !over;
	return ok;
}

bool run_written(struct run *r)
{
	if (r->stage == RUN_LISTED) {
		portal_case_release(&r->found);
		r->found = (struct portal_case){0};
		r->stage = RUN_LOAD;
		return false;
	}
	for (size_t i = 0; i < r->ndocs && r->settled; i++)
		if (r->docs[i].place == DOC_SETTLED) {
			r->docs[i].place = DOC_DONE;
			r->settled--;
		}
	if (r->outcome == OUTCOME_NONE)
		return false;
	if (r->reopened)
		return true;
	metric_add(METRIC_jobs_finished, 1);
	metric_count(FAMILY_jobs_ended, outcome_name(r->outcome));
	metric_observe(HISTOGRAM_job_run, NULL, (double)(sys_mono_ms() - r->held_at) / 1000);
	log_info("job finished", "job=%" PRId64 " case=%s outcome=%s documents=%zu",
		 r->lease.job_id, r->lease.number, outcome_name(r->outcome), r->ndocs);
	return true;
}
