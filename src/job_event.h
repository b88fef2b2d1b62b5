/*
 * job_event - what the files of `job` share. Nobody else includes this.
 */
#ifndef AUTOS_JOB_EVENT_H
#define AUTOS_JOB_EVENT_H

#include "job.h"

/* Appends an event with the job's next number, and leaves a note: NOTE_READY when the job became
 * pending. */
[[nodiscard]] bool job_event(struct db *db, int64_t job_id, const char *kind, const char *subject,
			     const char *state, int64_t now_ms, struct err *e);

/* The same for a number that the caller took from job.last_event in this transaction. */
[[nodiscard]] bool job_event_at(struct db *db, int64_t process_id, int64_t job_id, int64_t seq,
				const char *kind, const char *subject, const char *state,
				int64_t now_ms, struct err *e);

/* Sets total, available and failed from the documents of the case. */
[[nodiscard]] bool job_count(struct db *db, int64_t job_id, struct err *e);

const char *job_scope_name(enum job_scope scope);
enum job_scope job_scope_parse(const char *name); /* documents when unknown */

/* What is known of a case when it is asked for: its latest job is the active one, if any is. */
struct job_case {
	int64_t process_id; /* 0 = not known here */
	bool listed;
	int64_t consulted_ms;
	int64_t job_id; /* 0 = there is none */
	bool active, processing, failed;
	enum outcome outcome;
	enum job_scope scope;
	bool relist, again;
	int64_t priority;
	bool missing; /* the case has documents that are not available */
};

/* Where others write too it takes the case and its active job to the transaction's end. */
[[nodiscard]] bool job_case_read(struct db *db, const char *number, struct job_case *out,
				 struct err *e);

/* Notes who is to be told of the job's end, if anybody is. */
[[nodiscard]] bool job_webhook_add(struct db *db, int64_t job_id, const struct job_ask *ask,
				   struct err *e);

/*
 * Asking, in words that job_request, job_ensure and job_choose share. A list received before
 * `list_since` is to be asked for again (0 = none is).
 */
[[nodiscard]] bool job_insert(struct db *db, const struct job_ask *ask, const struct job_case *c,
			      bool relist, int64_t *job_id, struct err *e);
[[nodiscard]] bool job_adopt(struct db *db, const struct job_ask *ask, const struct job_case *c,
			     int64_t list_since, struct err *e);

/* The wanted documents of a case that failed, or were left open, are to be fetched by this job. */
[[nodiscard]] bool job_reopen(struct db *db, int64_t process_id, int64_t job_id, struct err *e);

#endif
