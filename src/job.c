/*
 * job - the life of a job: leased, held, handed back, finished. How it is asked for is in
 * job_ask.c, what a worker finds on the way in job_record.c. Decides nothing about the portal; it
 * only writes down.
 */
#include "job.h"

#include "delivery.h"
#include "job_event.h"
#include "sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names ---- */

static const char *const outcome_names[] = {
	[OUTCOME_NONE] = "",
	[OUTCOME_COMPLETE] = "complete",
	[OUTCOME_PARTIAL] = "partial",
	[OUTCOME_EMPTY] = "empty",
	[OUTCOME_NOT_FOUND] = "not_found",
	[OUTCOME_ACCESS_DENIED] = "access_denied",
	[OUTCOME_UPSTREAM_ERROR] = "upstream_error",
	[OUTCOME_STORAGE_ERROR] = "storage_error",
	[OUTCOME_LIMITED] = "limited",
};

static const char *const scope_names[] = {
	[SCOPE_DOCUMENTS] = "documents",
	[SCOPE_LIST] = "list",
	[SCOPE_CHOSEN] = "chosen",
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

const char *job_scope_name(enum job_scope scope)
{
	return scope_names[scope];
}

enum job_scope job_scope_parse(const char *name)
{
	for (size_t i = 0; i < sizeof scope_names / sizeof *scope_names; i++)
		if (strcmp(scope_names[i], name) == 0)
			return (enum job_scope)i;
	return SCOPE_DOCUMENTS;
}

/* ---- Events and counters ---- */

bool job_event(struct db *db, int64_t job_id, const char *kind, const char *subject,
	       const char *state, int64_t now_ms, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE job SET last_event = last_event + 1 WHERE id = $1"
			  " RETURNING last_event, process_id",
			  db_i(job_id));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_ABSENT, "there is no job %lld", (long long)job_id);
	if (ok)
		ok = job_event_at(db, db_int(&r, 0, 1), job_id, db_int(&r, 0, 0), kind, subject,
				  state, now_ms, e);
	db_rows_release(&r);
	return ok;
}

bool job_event_at(struct db *db, int64_t process_id, int64_t job_id, int64_t seq, const char *kind,
		  const char *subject, const char *state, int64_t now_ms, struct err *e)
{
	if (!db_exec(db, NULL, e,
		     "INSERT INTO event (job_id, seq, kind, subject, state, at_ms)"
		     " VALUES ($1, $2, $3, $4, $5, $6)",
		     db_i(job_id), db_i(seq), db_s(kind), db_s(subject), db_s(state), db_i(now_ms)))
		return false;
	bool ready = strcmp(kind, "job") == 0 && strcmp(state, "pending") == 0;
	db_note(db, (struct db_note){.kind = ready ? NOTE_READY : NOTE_CHANGED,
				     .process_id = process_id,
				     .job_id = job_id});
	return true;
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

/* ---- Leases ---- */

bool job_release_all(struct db *db, int64_t now_ms, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE job SET state = 'pending', owner = '', lease_until_ms = 0,"
			  " last_event = last_event + 1 WHERE state = 'processing'"
			  " RETURNING id, last_event, process_id");
	for (size_t i = 0; ok && i < r.rows; i++)
		ok = job_event_at(db, db_int(&r, i, 2), db_int(&r, i, 0), db_int(&r, i, 1), "job",
				  "", "pending", now_ms, e);
	db_rows_release(&r);
	return ok &&
	       db_exec(db, NULL, e,
		       "UPDATE job SET owner = '' WHERE owner <> '' AND state <> 'processing'");
}

/* What a claim changes, and what it gives: see fill_lease. */
#define LEASE_SET(owner, until, now)                                                               \
	"UPDATE job SET state = 'processing', owner = " owner ", epoch = epoch + 1,"               \
	" lease_until_ms = " until ", started_ms = COALESCE(started_ms, " now "), again = 0,"      \
	" last_event = last_event + 1"
#define LEASE_GIVES                                                                                \
	" RETURNING id, process_id, epoch, relist,"                                                \
	" (SELECT number FROM process p WHERE p.id = job.process_id),"                             \
	" last_event, scope, ready_ms, trace, priority, run_at_ms"

static bool fill_lease(struct db *db, const struct db_rows *r, size_t i, int64_t now_ms,
		       struct job_lease *out, struct err *e)
{
	int64_t waited = now_ms - db_int(r, i, 7);
	*out = (struct job_lease){.job_id = db_int(r, i, 0),
				  .process_id = db_int(r, i, 1),
				  .epoch = db_int(r, i, 2),
				  .relist = db_int(r, i, 3) != 0,
				  .scope = job_scope_parse(db_text(r, i, 6)),
				  .waited_ms = waited > 0 ? waited : 0,
				  .priority = db_int(r, i, 9),
				  .run_at_ms = db_int(r, i, 10)};
	snprintf(out->number, sizeof out->number, "%s", db_text(r, i, 4));
	snprintf(out->trace, sizeof out->trace, "%s", db_text(r, i, 8));
	return job_event_at(db, out->process_id, out->job_id, db_int(r, i, 5), "job", "",
			    "processing", now_ms, e);
}

bool job_claim(struct db *db, int64_t job_id, const char *owner, int64_t now_ms, int64_t lease_ms,
	       struct job_lease *out, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  LEASE_SET("$1", "$2", "$3") " WHERE id = $4 AND (state = 'pending' OR"
						      " (state = 'processing' AND"
						      " lease_until_ms <= $5))" LEASE_GIVES,
			  db_s(owner), db_i(now_ms + lease_ms), db_i(now_ms), db_i(job_id),
			  db_i(now_ms));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_BUSY, "job %lld is final or somebody else works on it",
			  (long long)job_id);
	ok = ok && fill_lease(db, &r, 0, now_ms, out, e);
	db_rows_release(&r);
	return ok;
}

/* The most urgent first, older first. */
static int by_urgency(const void *a, const void *b)
{
	const struct job_lease *x = a, *y = b;
	if (x->priority != y->priority)
		return x->priority < y->priority ? 1 : -1;
	if (x->run_at_ms != y->run_at_ms)
		return x->run_at_ms < y->run_at_ms ? -1 : 1;
	return x->job_id < y->job_id ? -1 : x->job_id > y->job_id;
}

#define READY(condition)                                                                           \
	" AS MATERIALIZED (SELECT id, priority, run_at_ms FROM job WHERE state = 'pending'"        \
	" AND " condition " ORDER BY priority DESC, run_at_ms, id LIMIT $2 %SKIP_LOCKED%)"

/* The formatter takes the macros in between for calls. */
/* clang-format off */
#define CLAIM_READY                                                                                \
	"WITH urgent" READY("priority > $1")                                                       \
	", level" READY("priority = $1 AND run_at_ms >= $3")                                       \
	", expired AS MATERIALIZED (SELECT id, priority, run_at_ms FROM job"                       \
	"  WHERE state = 'processing' AND lease_until_ms >= $4 AND lease_until_ms <= $5"           \
	"  ORDER BY lease_until_ms LIMIT 256 %SKIP_LOCKED%)"                                       \
	", lower" READY("priority < $1 AND"                                                        \
			" (SELECT COUNT(*) FROM urgent) + (SELECT COUNT(*) FROM level) < $2")      \
	", found AS MATERIALIZED (SELECT id FROM (SELECT * FROM urgent UNION ALL"                  \
	"  SELECT * FROM level UNION ALL SELECT * FROM lower UNION ALL SELECT * FROM expired)"     \
	"  AS ready ORDER BY priority DESC, run_at_ms, id LIMIT $2) "                              \
	LEASE_SET("$6", "$7", "$5") " WHERE id IN (SELECT id FROM found LIMIT 64)" LEASE_GIVES
/* clang-format on */

/* Each part walks an index and stops after n; leases that ran out are few, and all are looked at.
 * What is less urgent is looked at last, and only when there is room. The last limit, a number,
 * tells the planner that they are few. */
bool job_claim_ready(struct db *db, const char *owner, int64_t now_ms, int64_t lease_ms,
		     const struct job_place *from, struct job_lease *out, size_t *n, struct err *e)
{
	static const struct job_place beginning = {.priority = JOB_PRIORITY_MAX + 1};
	struct db_rows r;
	size_t most = *n < JOB_CLAIM_MAX ? *n : JOB_CLAIM_MAX;
	if (!from)
		from = &beginning;
	bool ok = db_exec(db, &r, e, CLAIM_READY, db_i(from->priority), db_i((int64_t)most),
			  db_i(from->run_at_ms), db_i(from->expired_ms), db_i(now_ms), db_s(owner),
			  db_i(now_ms + lease_ms));
	*n = ok ? r.rows : 0;
	for (size_t i = 0; ok && i < r.rows; i++)
		ok = fill_lease(db, &r, i, now_ms, &out[i], e);
	db_rows_release(&r);
	if (ok)
		qsort(out, *n, sizeof *out, by_urgency);
	else
		*n = 0;
	return ok;
}

bool job_let_go(struct db *db, int64_t job_id, const char *owner, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE job SET owner = '' WHERE id = $1 AND owner = $2"
		       " AND state <> 'processing'",
		       db_i(job_id), db_s(owner));
}

/*
 * The fence: the lease is (id, epoch), and a job is leased while lease_until_ms is not 0. It is not
 * asked for by its state: then a server that believes there to be few leased jobs may look for one
 * in the index of leased jobs, which holds all those that are over and not yet removed.
 */
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
			  " AND lease_until_ms <> 0",
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
			  " WHERE id = $1 AND epoch = $2 AND lease_until_ms <> 0",
			  db_i(l->job_id), db_i(l->epoch));
	ok = fenced(ok, &r, l, e) && job_event(db, l->job_id, "job", "", "pending", now_ms, e);
	db_rows_release(&r);
	return ok;
}

/* ---- Ends ---- */

static const char *state_of(enum outcome outcome)
{
	bool good = outcome == OUTCOME_COMPLETE || outcome == OUTCOME_EMPTY ||
		    outcome == OUTCOME_LIMITED;
	return good ? "completed" : "failed";
}

static bool is_failure_of_case(enum outcome outcome)
{
	return outcome == OUTCOME_NOT_FOUND || outcome == OUTCOME_ACCESS_DENIED ||
	       outcome == OUTCOME_UPSTREAM_ERROR || outcome == OUTCOME_STORAGE_ERROR;
}

/*
 * Whoever asks for more while a job is worked on marks it (`again`), and a marked job goes another
 * round; its claim takes the mark away and reads what is wanted by then. Not when the portal
 * refused the list: then nothing more can be had now.
 */
static bool another_round(struct db *db, const struct job_lease *l, enum outcome outcome,
			  bool *more, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"SELECT relist, again FROM job WHERE id = $1 AND epoch = $2 AND lease_until_ms <> 0"
		" %LOCK%",
		db_i(l->job_id), db_i(l->epoch));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_ABSENT, "the lease on job %lld is lost", (long long)l->job_id);
	if (ok) {
		bool unlisted = l->relist && db_int(&r, 0, 0) && is_failure_of_case(outcome);
		*more = !unlisted && db_int(&r, 0, 1);
	}
	db_rows_release(&r);
	return ok;
}

bool job_finish(struct db *db, const struct job_lease *l, enum outcome outcome, const char *error,
		int64_t now_ms, bool *over, struct err *e)
{
	bool more;
	struct db_rows r;
	if (!another_round(db, l, outcome, &more, e))
		return false;
	*over = !more;
	bool ok = more ? db_exec(db, &r, e,
				 "UPDATE job SET state = 'pending', owner = '', lease_until_ms = 0,"
				 " run_at_ms = $1, ready_ms = $2, last_event = last_event + 1"
				 " WHERE id = $3 AND epoch = $4 AND lease_until_ms <> 0"
				 " RETURNING last_event, process_id",
				 db_i(now_ms), db_i(now_ms), db_i(l->job_id), db_i(l->epoch))
		       : db_exec(db, &r, e,
				 "UPDATE job SET state = $1, outcome = $2, error = $3,"
				 " finished_ms = $4, owner = '', lease_until_ms = 0,"
				 " last_event = last_event + 1"
				 " WHERE id = $5 AND epoch = $6 AND lease_until_ms <> 0"
				 " RETURNING last_event, process_id",
				 db_s(state_of(outcome)), db_s(outcome_name(outcome)), db_s(error),
				 db_i(now_ms), db_i(l->job_id), db_i(l->epoch));
	ok = fenced(ok, &r, l, e) &&
	     job_event_at(db, db_int(&r, 0, 1), l->job_id, db_int(&r, 0, 0), more ? "job" : "done",
			  "", more ? "pending" : state_of(outcome), now_ms, e) &&
	     (more || delivery_job_ended(db, l->job_id, now_ms, e));
	db_rows_release(&r);
	return ok;
}
