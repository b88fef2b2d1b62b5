/*
 * job_ask - asking for a case: a new job, or the one that is there, with as much more to do as was
 * asked for. Trying again and giving up are in job_again.c.
 */
#include "job.h"

#include "delivery.h"
#include "job_event.h"
#include "webhook_secret.h"

#include <string.h>

enum { LIST_YOUNG_MS = 15 * 60 * 1000 };

/* ---- What is known ---- */

/*
 * Where others write too: from here on nobody else asks for the case, erases it or ends its active
 * job, until this transaction is over. Always in this order, the case first.
 */
static bool lock_case(struct db *db, const char *number, struct err *e)
{
	if (db->ops->exclusive)
		return true;
	return db_exec(db, NULL, e, "SELECT 1 FROM process WHERE number = $1 %LOCK%",
		       db_s(number)) &&
	       db_exec(db, NULL, e,
		       "SELECT 1 FROM job WHERE state IN ('pending', 'processing') AND process_id ="
		       " (SELECT id FROM process WHERE number = $1) %LOCK%",
		       db_s(number));
}

bool job_case_read(struct db *db, const char *number, struct job_case *out, struct err *e)
{
	struct db_rows r;
	*out = (struct job_case){0};
	if (!lock_case(db, number, e))
		return false;
	bool ok =
		db_exec(db, &r, e,
			"SELECT p.id, p.consulted_ms, j.id, j.state, j.outcome, j.scope, j.relist,"
			" j.again, j.priority, j.total - j.available"
			" FROM process p LEFT JOIN job j ON j.id ="
			" (SELECT MAX(id) FROM job WHERE process_id = p.id) WHERE p.number = $1",
			db_s(number));
	if (ok && r.rows) {
		const char *state = db_text(&r, 0, 3);
		*out = (struct job_case){
			.process_id = db_int(&r, 0, 0),
			.listed = !db_is_null(&r, 0, 1),
			.consulted_ms = db_int(&r, 0, 1),
			.job_id = db_int(&r, 0, 2),
			.processing = strcmp(state, "processing") == 0,
			.failed = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0,
			.outcome = outcome_parse(db_text(&r, 0, 4)),
			.scope = job_scope_parse(db_text(&r, 0, 5)),
			.relist = db_int(&r, 0, 6) != 0,
			.again = db_int(&r, 0, 7) != 0,
			.priority = db_int(&r, 0, 8),
			.missing = db_int(&r, 0, 9) != 0,
		};
		out->active = out->processing || strcmp(state, "pending") == 0;
	}
	db_rows_release(&r);
	return ok;
}

/* ---- Documents ---- */

bool job_reopen(struct db *db, int64_t process_id, int64_t job_id, struct err *e)
{
	return db_exec(db, NULL, e,
		       "DELETE FROM result WHERE document_id IN (SELECT id FROM document"
		       " WHERE process_id = $1 AND state = 'failed' AND listed = 1 AND wanted = 1)",
		       db_i(process_id)) &&
	       db_exec(db, NULL, e,
		       "UPDATE document SET state = CASE WHEN EXISTS"
		       " (SELECT 1 FROM job_webhook WHERE job_id = $1) THEN 'pending'"
		       " ELSE 'processing' END WHERE process_id = $2 AND wanted = 1"
		       " AND (state IN ('pending', 'processing') OR (state = 'failed' AND listed = 1))",
		       db_i(job_id), db_i(process_id)) &&
	       job_count(db, job_id, e);
}

/* All documents are wanted. */
static bool want_all(struct db *db, int64_t process_id, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE document SET wanted = 1 WHERE process_id = $1 AND wanted = 0",
		       db_i(process_id));
}

/* What an earlier job wanted and did not get is not wanted any more. */
static bool want_none(struct db *db, int64_t process_id, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE document SET wanted = 0,"
		       " state = CASE WHEN state = 'processing' THEN 'pending' ELSE state END"
		       " WHERE process_id = $1 AND wanted = 1 AND state <> 'available'",
		       db_i(process_id));
}

/* ---- A new job ---- */

bool job_webhook_add(struct db *db, int64_t job_id, const struct job_ask *ask, struct err *e)
{
	return !ask->webhook_url ||
	       (webhook_secret_ensure(db, ask->user_id, ask->now_ms, e) &&
		db_exec(db, NULL, e,
			"INSERT INTO job_webhook (job_id, url, user_id, thin, created_ms,"
			" delivered_ms) VALUES ($1, $2, $3, $4, $5, 0)"
			" ON CONFLICT (job_id, url, user_id) DO UPDATE SET thin = excluded.thin",
			db_i(job_id), db_s(ask->webhook_url), db_i(ask->user_id),
			db_i(ask->webhook_thin), db_i(ask->now_ms)));
}

/* The job is over already: its webhook is told at once. */
static bool tell_now(struct db *db, int64_t job_id, const struct job_ask *ask, struct err *e)
{
	return !ask->webhook_url ||
	       (job_webhook_add(db, job_id, ask, e) &&
		delivery_job_is_over(db, job_id, ask->webhook_url, ask->user_id, ask->now_ms, e));
}

/* The job's row, its first event and its webhook. */
static bool insert_row(struct db *db, const struct job_ask *ask, int64_t process_id, bool relist,
		       int64_t *id, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "INSERT INTO job (process_id, state, relist, run_at_ms, created_ms,"
			  " ready_ms, scope, priority, request_id, trace, last_event)"
			  " VALUES ($1, 'pending', $2, $3, $4, $5, $6, $7, $8, $9, 1) RETURNING id",
			  db_i(process_id), db_i(relist), db_i(ask->now_ms), db_i(ask->now_ms),
			  db_i(ask->now_ms), db_s(job_scope_name(ask->scope)), db_i(ask->priority),
			  db_s(ask->request_id ? ask->request_id : ""),
			  db_s(ask->trace ? ask->trace : ""));
	*id = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok && job_webhook_add(db, *id, ask, e) &&
	       job_event_at(db, process_id, *id, 1, "job", "", "pending", ask->now_ms, e);
}

bool job_insert(struct db *db, const struct job_ask *ask, const struct job_case *c, bool relist,
		int64_t *job_id, struct err *e)
{
	bool all = ask->scope == SCOPE_DOCUMENTS;
	return insert_row(db, ask, c->process_id, relist || !c->listed, job_id, e) &&
	       (all ? want_all(db, c->process_id, e) : want_none(db, c->process_id, e)) &&
	       job_reopen(db, c->process_id, *job_id, e);
}

/* Where others write too: the row went in after another's erasing was awaited, which the statement
 * that wrote it did not see. */
static bool not_erased_meanwhile(struct db *db, const char *number, struct err *e)
{
	struct db_rows r = {0};
	if (db->ops->exclusive)
		return true;
	bool ok = db_exec(db, &r, e, "SELECT 1 FROM erasure WHERE number = $1", db_s(number));
	if (ok && r.rows)
		ok = fail(e, ERR_BUSY, "this case is being erased");
	db_rows_release(&r);
	return ok;
}

/* The commonest case, a number never seen: three rows. out->job_id stays 0 when it was seen. */
static bool request_first(struct db *db, const struct job_ask *ask, struct job_ticket *out,
			  struct err *e)
{
	struct db_rows r;
	*out = (struct job_ticket){0};
	bool ok =
		db_exec(db, &r, e,
			"INSERT INTO process (number, created_ms, updated_ms) SELECT $1, $2, $3"
			" WHERE NOT EXISTS (SELECT 1 FROM erasure WHERE number = $4)"
			" ON CONFLICT (number) DO NOTHING RETURNING id",
			db_s(ask->number), db_i(ask->now_ms), db_i(ask->now_ms), db_s(ask->number));
	if (ok && r.rows) {
		out->process_id = db_int(&r, 0, 0);
		out->first = true;
	}
	db_rows_release(&r);
	return ok && (!out->first || (not_erased_meanwhile(db, ask->number, e) &&
				      insert_row(db, ask, out->process_id, true, &out->job_id, e)));
}

/* ---- The job that is there ---- */

/* List, chosen (which may list too), documents: each does what those before it do. */
static enum job_scope wider(enum job_scope a, enum job_scope b)
{
	if (a == SCOPE_DOCUMENTS || b == SCOPE_DOCUMENTS)
		return SCOPE_DOCUMENTS;
	return a == SCOPE_CHOSEN || b == SCOPE_CHOSEN ? SCOPE_CHOSEN : SCOPE_LIST;
}

bool job_adopt(struct db *db, const struct job_ask *ask, const struct job_case *c,
	       int64_t list_since, struct err *e)
{
	enum job_scope scope = wider(c->scope, ask->scope);
	bool widened = scope != c->scope;
	/* A job that is worked on had its list, unless it did not look at it. */
	bool relist = !c->relist && list_since && c->consulted_ms < list_since &&
		      (!c->processing || c->scope == SCOPE_CHOSEN);
	bool again = c->processing && (widened || relist);
	if ((widened || relist || ask->priority > c->priority) &&
	    !db_exec(db, NULL, e,
		     "UPDATE job SET scope = $1, relist = $2, again = $3, priority = $4"
		     " WHERE id = $5",
		     db_s(job_scope_name(scope)), db_i(c->relist || relist),
		     db_i(c->again || again),
		     db_i(ask->priority > c->priority ? ask->priority : c->priority),
		     db_i(c->job_id)))
		return false;
	if (!job_webhook_add(db, c->job_id, ask, e))
		return false;
	if (!widened)
		return true;
	db_note(db, (struct db_note){NOTE_CHANGED, c->process_id, c->job_id});
	return scope != SCOPE_DOCUMENTS ||
	       (want_all(db, c->process_id, e) && job_reopen(db, c->process_id, c->job_id, e));
}

/* A known case: its active job, or a new one. */
static bool request_known(struct db *db, const struct job_ask *ask, const struct job_case *c,
			  int64_t list_since, bool relist, struct job_ticket *out, struct err *e)
{
	*out = (struct job_ticket){
		.process_id = c->process_id, .job_id = c->job_id, .adopted = c->active};
	return c->active ? job_adopt(db, ask, c, list_since, e)
			 : job_insert(db, ask, c, relist, &out->job_id, e);
}

/* Reads a case that ought to be there; it is not while it is being erased. */
static bool read_known(struct db *db, const char *number, struct job_case *c, struct err *e)
{
	return job_case_read(db, number, c, e) &&
	       (c->process_id || fail(e, ERR_BUSY, "this case is being erased"));
}

bool job_request(struct db *db, const struct job_ask *ask, struct job_ticket *out, struct err *e)
{
	struct job_case c;
	if (!request_first(db, ask, out, e))
		return false;
	if (out->first)
		return true;
	int64_t since = ask->relist ? ask->now_ms - LIST_YOUNG_MS : 0;
	return read_known(db, ask->number, &c, e) &&
	       request_known(db, ask, &c, since, ask->relist, out, e);
}

/* ---- Ensuring ---- */

/* Whether nothing is to be done for what is asked, given a list that is young enough. */
static bool is_had(const struct job_case *c, enum job_scope scope)
{
	if (scope == SCOPE_LIST)
		return true;
	return !c->missing && (c->outcome == OUTCOME_COMPLETE || c->outcome == OUTCOME_EMPTY);
}

bool job_ensure(struct db *db, const struct job_ask *ask, int64_t max_age_ms,
		struct job_ticket *out, struct err *e)
{
	struct job_case c;
	if (!request_first(db, ask, out, e))
		return false;
	if (out->first)
		return true;
	if (!read_known(db, ask->number, &c, e))
		return false;
	bool any_age = max_age_ms == JOB_ANY_AGE;
	int64_t since = ask->now_ms - (any_age ? LIST_YOUNG_MS : max_age_ms);
	bool young = c.listed && c.consulted_ms >= since;
	if (c.active || !c.listed || !(any_age || young) || !is_had(&c, ask->scope))
		return request_known(db, ask, &c, since, !young, out, e);
	*out = (struct job_ticket){.process_id = c.process_id, .job_id = c.job_id, .idle = true};
	if (ask->webhook_url)
		db_note(db, (struct db_note){NOTE_CHANGED, c.process_id, c.job_id});
	return tell_now(db, c.job_id, ask, e);
}

/* ---- Choosing ---- */

struct choice {
	int64_t row;
	bool available, failed, wanted;
};

static bool read_choice(struct db *db, const char *sql, int64_t process_id, const char *id,
			struct choice *out, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, sql, db_i(process_id), db_s(id));
	if (ok && r.rows)
		*out = (struct choice){.row = db_int(&r, 0, 0),
				       .available = strcmp(db_text(&r, 0, 1), "available") == 0,
				       .failed = strcmp(db_text(&r, 0, 1), "failed") == 0,
				       .wanted = db_int(&r, 0, 2) != 0};
	db_rows_release(&r);
	return ok;
}

static bool find_choice(struct db *db, int64_t process_id, const char *id, struct choice *out,
			struct err *e)
{
	*out = (struct choice){0};
	return read_choice(db,
			   "SELECT id, state, wanted FROM document"
			   " WHERE process_id = $1 AND doc_id = $2",
			   process_id, id, out, e) &&
	       (out->row || read_choice(db,
					"SELECT d.id, d.state, d.wanted FROM document_ref f"
					" JOIN document d ON d.id = f.document_id"
					" WHERE f.process_id = $1 AND f.ref_id = $2",
					process_id, id, out, e)) &&
	       (out->row || fail(e, ERR_ABSENT, "this case has no such document"));
}

/* Whoever works on the job already has read what was wanted: it goes another round. */
static bool choose_row(struct db *db, int64_t job_id, int64_t row, struct err *e)
{
	return db_exec(db, NULL, e, "DELETE FROM result WHERE document_id = $1", db_i(row)) &&
	       db_exec(db, NULL, e,
		       "UPDATE document SET wanted = 1, state = CASE WHEN EXISTS"
		       " (SELECT 1 FROM job_webhook WHERE job_id = $1) THEN 'pending'"
		       " ELSE 'processing' END WHERE id = $2",
		       db_i(job_id), db_i(row)) &&
	       db_exec(db, NULL, e,
		       "UPDATE job SET again = 1 WHERE id = $1 AND state = 'processing'",
		       db_i(job_id)) &&
	       job_count(db, job_id, e);
}

bool job_choose(struct db *db, const struct job_ask *ask, const char *doc_id,
		struct job_ticket *out, struct err *e)
{
	struct job_case c;
	struct choice d;
	struct job_ask chosen = *ask;
	chosen.scope = SCOPE_CHOSEN;
	*out = (struct job_ticket){0};
	if (!job_case_read(db, ask->number, &c, e))
		return false;
	if (!c.process_id)
		return fail(e, ERR_ABSENT, "this case is not known here");
	if (!find_choice(db, c.process_id, doc_id, &d, e))
		return false;
	if (d.available) {
		*out = (struct job_ticket){
			.process_id = c.process_id, .job_id = c.job_id, .idle = true};
		return c.active ? job_webhook_add(db, c.job_id, ask, e)
				: tell_now(db, c.job_id, ask, e);
	}
	if (!request_known(db, &chosen, &c, 0, false, out, e))
		return false;
	if (out->adopted && d.wanted && !d.failed)
		return true; /* it is on its way */
	db_note(db, (struct db_note){NOTE_CHANGED, c.process_id, out->job_id});
	return choose_row(db, out->job_id, d.row, e);
}
