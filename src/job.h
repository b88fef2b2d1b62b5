/*
 * job - all SQL that changes the state of cases, jobs and documents.
 *
 * Every function runs inside the caller's transaction (see ledger). Whatever a worker writes names
 * the lease it holds; when somebody else has it by now, nothing is changed and the error is
 * ERR_ABSENT: the result is to be dropped.
 */
#ifndef AUTOS_JOB_H
#define AUTOS_JOB_H

#include "db.h"
#include "err.h"
#include "portal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a job ended; NONE while it has not. */
enum outcome {
	OUTCOME_NONE,
	OUTCOME_COMPLETE,
	OUTCOME_PARTIAL,
	OUTCOME_EMPTY, /* the case holds no documents */
	OUTCOME_NOT_FOUND,
	OUTCOME_ACCESS_DENIED,
	OUTCOME_UPSTREAM_ERROR,
	OUTCOME_STORAGE_ERROR,
	OUTCOME_LIMITED, /* all that was asked for was done, which is not the whole case */
};

const char *outcome_name(enum outcome o); /* "" for NONE */
enum outcome outcome_parse(const char *name);

/* ---- Asking ---- */

/* How much of a case a job is to fetch. */
enum job_scope {
	SCOPE_DOCUMENTS, /* the list and every document */
	SCOPE_LIST,      /* the list only: documents are known, none is fetched */
	SCOPE_CHOSEN,    /* those that were chosen (job_choose); the list if it is asked for */
};

enum { JOB_ANY_AGE = -1, JOB_PRIORITY_MIN = -9, JOB_PRIORITY_MAX = 9 };

struct job_ask {
	const char *number; /* 20 digits */
	bool relist;        /* ask the portal for the list even if one is stored */
	int64_t now_ms;
	enum job_scope scope;
	int priority;            /* higher goes first */
	const char *webhook_url; /* checked by the caller; NULL for none */
	bool webhook_thin;       /* it is to get ids and counts only */
	int64_t user_id;         /* whose secret signs what it gets; 0 = nobody's */
	const char *request_id;  /* NULL for none */
	const char *trace;       /* traceparent; NULL for none */
};

struct job_ticket {
	int64_t job_id, process_id;
	bool adopted; /* an active job was there already */
	bool idle;    /* nothing is to be done: job_id is the last, final job (job_ensure only) */
	bool first;   /* the case was not known before */
};

/*
 * Makes the one active job of a case, or adopts it: its webhook is added, a higher priority taken
 * over, a smaller scope widened (list, chosen, documents). An adopted job that waits, or that is of
 * chosen documents, is to ask for the list again when `relist` is wanted and its list is older than
 * a quarter of an hour. A case without a list is always asked for it. ERR_BUSY while the case is
 * being erased.
 */
[[nodiscard]] bool job_request(struct db *db, const struct job_ask *ask, struct job_ticket *out,
			       struct err *e);

/*
 * As job_request, unless the case is whole (its last job ended complete or empty, nothing failed or
 * waits) and its list is at most max_age_ms old (JOB_ANY_AGE: however old it is): then the ticket
 * is `idle`, and a webhook is told of the end of that last job at once. With SCOPE_LIST a list of
 * that age is enough. `relist` of the ask is not looked at: the list is asked for when there is
 * none or it is older than max_age_ms; with JOB_ANY_AGE, when it is older than a quarter of an
 * hour.
 */
[[nodiscard]] bool job_ensure(struct db *db, const struct job_ask *ask, int64_t max_age_ms,
			      struct job_ticket *out, struct err *e);

/*
 * Chooses one document of a listed case, by its id or an alias, and makes or adopts a job that
 * fetches it. ERR_ABSENT: no such case or document. The ticket is `idle` when it is available.
 */
[[nodiscard]] bool job_choose(struct db *db, const struct job_ask *ask, const char *doc_id,
			      struct job_ticket *out, struct err *e);

/*
 * Sets the latest job of a case going again, for what failed only. ERR_ABSENT: the case is not
 * known or has no failed or cancelled job. An active job is adopted.
 */
[[nodiscard]] bool job_retry(struct db *db, const char *number, int64_t now_ms,
			     struct job_ticket *out, struct err *e);

/* The same by job. ERR_ABSENT: no such job. ERR_BUSY: it did not fail, or is not the latest of its
 * case. */
[[nodiscard]] bool job_retry_id(struct db *db, int64_t job_id, int64_t now_ms,
				struct job_ticket *out, struct err *e);

/* Ends an active job; what is stored stays. ERR_ABSENT: no such job. ERR_BUSY: it is final. */
[[nodiscard]] bool job_cancel(struct db *db, int64_t job_id, int64_t now_ms, struct err *e);

/*
 * Erases a case: its rows now, its objects by whoever calls (see erase.h), who then says
 * job_erased. Until then the number cannot be asked for. `now_ms` (see fleet_now) is the first
 * mark. ERR_ABSENT: not known. ERR_BUSY: a job is active, a worker still has bytes of it in flight,
 * or it is being erased.
 */
[[nodiscard]] bool job_erase(struct db *db, const char *number, int64_t now_ms, struct err *e);

/*
 * Objects of this case may have been stored after it was erased: unless it is known (again), it is
 * erased once more, by whoever looks for marks that nobody renews. Whoever erases it at this moment
 * loses his mark, since he may be past them.
 */
[[nodiscard]] bool job_erase_late(struct db *db, const char *number, struct err *e);

/*
 * A mark says who erases the objects: whoever knows the last one. Takes it over, or renews it:
 * *next becomes a later one, and the time of the fleet if that is later. ERR_BUSY: `mark` is not
 * the last one. ERR_ABSENT: the objects are gone.
 */
[[nodiscard]] bool job_erasing(struct db *db, const char *number, int64_t mark, int64_t *next,
			       struct err *e);

/* The objects are gone: the number may be asked for. Errors as job_erasing's. */
[[nodiscard]] bool job_erased(struct db *db, const char *number, int64_t mark, struct err *e);

/* Numbers (column 0) whose objects are still to be erased, and their marks (1). */
[[nodiscard]] bool job_erasures(struct db *db, struct db_rows *out, struct err *e);

/* ---- Batches: many numbers asked for at once ---- */

struct batch_entry {
	char number[21];
	struct job_ticket ticket; /* filled */
};

/* Ensures a job for each number (see job_ensure; `ask->number` is not looked at) and writes the
 * batch down; id 0 when n is 0. All or nothing: ERR_BUSY while one of the cases is being erased. */
[[nodiscard]] bool job_request_batch(struct db *db, const struct job_ask *ask, int64_t max_age_ms,
				     int64_t user_id, struct batch_entry *entries, size_t n,
				     int64_t *batch_id, struct err *e);

/* ---- Leases ---- */

struct job_lease {
	int64_t job_id, process_id;
	int64_t epoch;
	bool relist;
	enum job_scope scope;
	int64_t waited_ms; /* from the request, or the retry, to this lease */
	int64_t priority, run_at_ms;
	char number[21];
	char trace[64]; /* traceparent; "" for none */
};

/* On a database that only one process can open for writing: whoever held leases is dead. */
[[nodiscard]] bool job_release_all(struct db *db, int64_t now_ms, struct err *e);

/* Takes the lease of one job that is pending or whose lease ran out. ERR_BUSY when neither. */
[[nodiscard]] bool job_claim(struct db *db, int64_t job_id, const char *owner, int64_t now_ms,
			     int64_t lease_ms, struct job_lease *out, struct err *e);

enum { JOB_CLAIM_MAX = 64 };

/*
 * Where a look for ready jobs begins. Rows that were taken long ago may still stand at the head of
 * the queue's index, as long as somebody holds an old snapshot (PostgreSQL): a look that begins
 * behind them costs what it finds. It misses what is older, and is therefore to be followed, every
 * second or so, by one from the beginning (NULL).
 */
struct job_place {
	int64_t priority;   /* more urgent ones are looked at from their beginning */
	int64_t run_at_ms;  /* of this priority: those from here on */
	int64_t expired_ms; /* leases that ran out from here on */
};

/* Takes the leases of at most *n jobs (JOB_CLAIM_MAX at most) that may run now, the most urgent
 * first, older first; jobs that others are taking at this moment are left to them. *n becomes the
 * number taken. */
[[nodiscard]] bool job_claim_ready(struct db *db, const char *owner, int64_t now_ms,
				   int64_t lease_ms, const struct job_place *from,
				   struct job_lease *out, size_t *n, struct err *e);

/* The worker that lost this job has no byte of it in flight any more. Changes nothing while the job
 * is leased again: then its end says so. */
[[nodiscard]] bool job_let_go(struct db *db, int64_t job_id, const char *owner, struct err *e);

[[nodiscard]] bool job_renew(struct db *db, const struct job_lease *l, int64_t until_ms,
			     struct err *e);

/* Gives the job back, to be leased by anybody at once. */
[[nodiscard]] bool job_hand_back(struct db *db, const struct job_lease *l, int64_t now_ms,
				 struct err *e);

/* ---- Facts found by a worker ---- */

/* The portal's answers for a case: documents known before keep their state, failed ones are to be
 * tried again, unlisted ones stay as they are. */
struct job_listing {
	const struct portal_case *found;
	const char *list_json; /* NULL when there is none */
	const char *detail_json;
	int64_t now_ms;
};

[[nodiscard]] bool job_record_listing(struct db *db, const struct job_lease *l,
				      const struct job_listing *listing, struct err *e);

/* What became of one document. Strings are borrowed. */
struct doc_result {
	int64_t row; /* document.id */
	const char *doc_id;
	bool available;
	enum doc_reason reason; /* when not available */
	const char *error;
	int tries;
	const char *source_id; /* the ref that gave the bytes */
	int64_t size;
	const char *sha256, *mime, *ext, *object_key;
	const char *note;
	int64_t started_ms, finished_ms;
};

[[nodiscard]] bool job_record_results(struct db *db, const struct job_lease *l,
				      const struct doc_result *results, size_t n,
				      int64_t lease_until_ms, struct err *e);

/*
 * Ends the job. Its state follows from the outcome: complete, empty and limited make `completed`.
 * When more was asked for while it was worked on (a wider request adopted the job, a document was
 * chosen, a new list is wanted), the job goes back to `pending` instead and *over is false; not
 * when this lease was to ask for the list and did not get it. With the end of a job (a cancelled
 * one too) a delivery is written down for each of its webhooks.
 */
[[nodiscard]] bool job_finish(struct db *db, const struct job_lease *l, enum outcome outcome,
			      const char *error, int64_t now_ms, bool *over, struct err *e);

#endif
