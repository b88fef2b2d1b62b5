/*
 * job - the life of a job: asked for, leased, finished, tried again. What a worker finds on the way
 * is in job_record.c. Decides nothing about the portal; it only writes down.
 */
#include "job.h"

#include "job_event.h"

#include <stdio.h>
#include <string.h>

enum { LIST_YOUNG_MS = 15 * 60 * 1000 };

static const char *const outcome_names[] = {
	[OUTCOME_NONE] = "",
	[OUTCOME_COMPLETE] = "complete",
	[OUTCOME_PARTIAL] = "partial",
	[OUTCOME_EMPTY] = "empty",
	[OUTCOME_NOT_FOUND] = "not_found",
	[OUTCOME_ACCESS_DENIED] = "access_denied",
	[OUTCOME_UPSTREAM_ERROR] = "upstream_error",
	[OUTCOME_STORAGE_ERROR] = "storage_error",
};

const char *outcome_name(enum outcome o)
{
	return outcome_names[o];
}

enum outcome outcome_parse(const char *name)
{
	for (size_t i = 0; i < sizeof outcome_names / sizeof *outcome_names; i++)
		if (strcmp(outcome_names[i], name) == 0)
			return (enum outcome)i;
	return OUTCOME_NONE;
}

bool job_event(struct db *db, int64_t job_id, const char *kind, const char *subject,
	       const char *state, int64_t now_ms, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"UPDATE job SET last_event = last_event + 1 WHERE id = $1 RETURNING last_event",
		db_i(job_id));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_ABSENT, "there is no job %lld", (long long)job_id);
	if (ok)
		ok = job_event_at(db, job_id, db_int(&r, 0, 0), kind, subject, state, now_ms, e);
	db_rows_release(&r);
	return ok;
}

bool job_event_at(struct db *db, int64_t job_id, int64_t seq, const char *kind, const char *subject,
		  const char *state, int64_t now_ms, struct err *e)
{
	return db_exec(db, NULL, e,
		       "INSERT INTO event (job_id, seq, kind, subject, state, at_ms)"
		       " VALUES ($1, $2, $3, $4, $5, $6)",
		       db_i(job_id), db_i(seq), db_s(kind), db_s(subject), db_s(state),
		       db_i(now_ms));
}

/* ---- Asking ---- */

static bool process_id_of(struct db *db, const char *number, int64_t *id, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT id FROM process WHERE number = $1", db_s(number));
	*id = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

/* The active job of a case; 0 when there is none. */
static bool active_job(struct db *db, int64_t process_id, int64_t *id, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"SELECT id FROM job WHERE process_id = $1 AND state IN ('pending', 'processing')",
		db_i(process_id));
	*id = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

/* Failed documents are to be fetched again, and the job's counters follow the documents. */
static bool reopen_documents(struct db *db, int64_t process_id, int64_t job_id, struct err *e)
{
	return db_exec(db, NULL, e,
		       "DELETE FROM result WHERE document_id IN (SELECT id FROM document"
		       " WHERE process_id = $1 AND state = 'failed' AND listed = 1)",
		       db_i(process_id)) &&
	       db_exec(db, NULL, e,
		       "UPDATE document SET state = 'processing'"
		       " WHERE process_id = $1 AND state = 'failed' AND listed = 1",
		       db_i(process_id)) &&
	       job_count(db, job_id, e);
}

bool job_count(struct db *db, int64_t job_id, struct err *e)
{
	return db_exec(
		db, NULL, e,
		"UPDATE job SET"
		" total = (SELECT COUNT(*) FROM document d WHERE d.process_id = job.process_id),"
		" available = (SELECT COUNT(*) FROM document d WHERE d.process_id = job.process_id"
		"   AND d.state = 'available'),"
		" failed = (SELECT COUNT(*) FROM document d WHERE d.process_id = job.process_id"
		"   AND d.state = 'failed')"
		" WHERE id = $1",
		db_i(job_id));
}

static bool job_insert(struct db *db, const struct job_ask *ask, int64_t process_id, int64_t *id,
		       struct err *e)
{
	struct db_rows r;
	bool ok =
		db_exec(db, &r, e,
			"INSERT INTO job (process_id, state, relist, run_at_ms, created_ms)"
			" VALUES ($1, 'pending', $2, $3, $4) RETURNING id",
			db_i(process_id), db_i(ask->relist), db_i(ask->now_ms), db_i(ask->now_ms));
	*id = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok && reopen_documents(db, process_id, *id, e) &&
	       job_event(db, *id, "job", "", "pending", ask->now_ms, e);
}

/* A job that goes on after an interruption keeps its list only while that is young. */
static bool refresh_list(struct db *db, int64_t job_id, int64_t now_ms, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE job SET relist = 1 WHERE id = $1 AND state = 'pending' AND COALESCE("
		       "(SELECT consulted_ms FROM process p WHERE p.id = job.process_id), 0) < $2",
		       db_i(job_id), db_i(now_ms - LIST_YOUNG_MS));
}

bool job_request(struct db *db, const struct job_ask *ask, struct job_ticket *out, struct err *e)
{
	int64_t process_id;
	*out = (struct job_ticket){0};
	if (!db_exec(db, NULL, e,
		     "INSERT INTO process (number, created_ms, updated_ms) VALUES ($1, $2, $3)"
		     " ON CONFLICT (number) DO NOTHING",
		     db_s(ask->number), db_i(ask->now_ms), db_i(ask->now_ms)) ||
	    !process_id_of(db, ask->number, &process_id, e) ||
	    !active_job(db, process_id, &out->job_id, e))
		return false;
	if (!out->job_id)
		return job_insert(db, ask, process_id, &out->job_id, e);
	out->adopted = true;
	return !ask->relist || refresh_list(db, out->job_id, ask->now_ms, e);
}

bool job_retry(struct db *db, const char *number, int64_t now_ms, struct job_ticket *out,
	       struct err *e)
{
	int64_t process_id;
	struct db_rows r = {0};
	*out = (struct job_ticket){0};
	if (!process_id_of(db, number, &process_id, e) ||
	    !active_job(db, process_id, &out->job_id, e))
		return false;
	if (out->job_id) {
		out->adopted = true;
		return true;
	}
	/* Nothing is asked again that was answered: the list only if this job never had it, or if
	 * there is none. */
	bool ok = db_exec(
		db, &r, e,
		"UPDATE job SET state = 'pending', outcome = '', error = '', finished_ms = NULL,"
		" run_at_ms = $1, relist = CASE WHEN total = 0 THEN 1 ELSE relist END"
		" WHERE id = (SELECT MAX(id) FROM job WHERE process_id = $2)"
		" AND state IN ('failed', 'cancelled') RETURNING id",
		db_i(now_ms), db_i(process_id));
	if (ok && r.rows == 0)
		ok = fail(e, ERR_ABSENT, "nothing to try again: %s",
			  process_id ? "the last job of this case did not fail"
				     : "this case is not known here");
	if (ok) {
		out->job_id = db_int(&r, 0, 0);
		ok = reopen_documents(db, process_id, out->job_id, e) &&
		     job_event(db, out->job_id, "job", "", "pending", now_ms, e);
	}
	db_rows_release(&r);
	return ok;
}

/* ---- Leases ---- */

bool job_release_all(struct db *db, int64_t now_ms, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"UPDATE job SET state = 'pending', owner = '', lease_until_ms = 0,"
		" last_event = last_event + 1 WHERE state = 'processing' RETURNING id, last_event");
	for (size_t i = 0; ok && i < r.rows; i++)
		ok = job_event_at(db, db_int(&r, i, 0), db_int(&r, i, 1), "job", "", "pending",
				  now_ms, e);
	db_rows_release(&r);
	return ok;
}

bool job_claim(struct db *db, int64_t job_id, const char *owner, int64_t now_ms, int64_t lease_ms,
	       struct job_lease *out, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE job SET state = 'processing', owner = $1, epoch = epoch + 1,"
			  " lease_until_ms = $2, started_ms = COALESCE(started_ms, $3)"
			  " WHERE id = $4 AND (state = 'pending' OR (state = 'processing'"
			  " AND lease_until_ms <= $5)) RETURNING process_id, epoch, relist,"
			  " (SELECT number FROM process p WHERE p.id = job.process_id)",
			  db_s(owner), db_i(now_ms + lease_ms), db_i(now_ms), db_i(job_id),
			  db_i(now_ms));
	if (ok && r.rows == 0)
		ok = fail(e, ERR_BUSY, "job %lld is final or somebody else works on it",
			  (long long)job_id);
	if (ok) {
		*out = (struct job_lease){.job_id = job_id,
					  .process_id = db_int(&r, 0, 0),
					  .epoch = db_int(&r, 0, 1),
					  .relist = db_int(&r, 0, 2) != 0};
		snprintf(out->number, sizeof out->number, "%s", db_text(&r, 0, 3));
		ok = job_event(db, job_id, "job", "", "processing", now_ms, e);
	}
	db_rows_release(&r);
	return ok;
}

/* One row must have changed: the fence. */
static bool fenced(bool ok, const struct db_rows *r, const struct job_lease *l, struct err *e)
{
	if (ok && r->changed != 1)
		return fail(e, ERR_ABSENT, "the lease on job %lld is lost", (long long)l->job_id);
	return ok;
}

bool job_renew(struct db *db, const struct job_lease *l, int64_t until_ms, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE job SET lease_until_ms = $1 WHERE id = $2 AND epoch = $3"
			  " AND state = 'processing'",
			  db_i(until_ms), db_i(l->job_id), db_i(l->epoch));
	ok = fenced(ok, &r, l, e);
	db_rows_release(&r);
	return ok;
}

bool job_hand_back(struct db *db, const struct job_lease *l, int64_t now_ms, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE job SET state = 'pending', owner = '', lease_until_ms = 0"
			  " WHERE id = $1 AND epoch = $2 AND state = 'processing'",
			  db_i(l->job_id), db_i(l->epoch));
	ok = fenced(ok, &r, l, e) && job_event(db, l->job_id, "job", "", "pending", now_ms, e);
	db_rows_release(&r);
	return ok;
}

bool job_finish(struct db *db, const struct job_lease *l, enum outcome outcome, const char *error,
		int64_t now_ms, struct err *e)
{
	const char *state =
		outcome == OUTCOME_COMPLETE || outcome == OUTCOME_EMPTY ? "completed" : "failed";
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"UPDATE job SET state = $1, outcome = $2, error = $3, finished_ms = $4, owner = '',"
		" lease_until_ms = 0 WHERE id = $5 AND epoch = $6 AND state = 'processing'",
		db_s(state), db_s(outcome_name(outcome)), db_s(error), db_i(now_ms),
		db_i(l->job_id), db_i(l->epoch));
	ok = fenced(ok, &r, l, e) && job_event(db, l->job_id, "done", "", state, now_ms, e);
	db_rows_release(&r);
	return ok;
}
