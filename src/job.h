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
};

const char *outcome_name(enum outcome o); /* "" for NONE */
enum outcome outcome_parse(const char *name);

/* ---- Asking ---- */

struct job_ask {
	const char *number; /* 20 digits */
	bool relist;        /* ask the portal for the list even if one is stored */
	int64_t now_ms;
};

struct job_ticket {
	int64_t job_id;
	bool adopted; /* an active job was there already */
};

/*
 * Makes the one active job of a case, or adopts it. An adopted job that waits is to ask for the
 * list again when `relist` is wanted and its list is older than a quarter of an hour.
 */
[[nodiscard]] bool job_request(struct db *db, const struct job_ask *ask, struct job_ticket *out,
			       struct err *e);

/*
 * Sets the latest job of a case going again, for what failed only. ERR_ABSENT: the case is not
 * known or has no failed job. An active job is adopted.
 */
[[nodiscard]] bool job_retry(struct db *db, const char *number, int64_t now_ms,
			     struct job_ticket *out, struct err *e);

/* ---- Leases ---- */

struct job_lease {
	int64_t job_id, process_id;
	int64_t epoch;
	bool relist;
	char number[21];
};

/* On a database that only one process can open for writing: whoever held leases is dead. */
[[nodiscard]] bool job_release_all(struct db *db, int64_t now_ms, struct err *e);

/* Takes the lease of one job that is pending or whose lease ran out. ERR_BUSY when neither. */
[[nodiscard]] bool job_claim(struct db *db, int64_t job_id, const char *owner, int64_t now_ms,
			     int64_t lease_ms, struct job_lease *out, struct err *e);

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

/* Ends the job. Its state follows from the outcome. */
[[nodiscard]] bool job_finish(struct db *db, const struct job_lease *l, enum outcome outcome,
			      const char *error, int64_t now_ms, struct err *e);

#endif
