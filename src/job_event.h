/*
 * job_event - what the files of `job` share: events and counters. Nobody else includes this.
 */
#ifndef AUTOS_JOB_EVENT_H
#define AUTOS_JOB_EVENT_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends an event with the job's next number. */
[[nodiscard]] bool job_event(struct db *db, int64_t job_id, const char *kind, const char *subject,
			     const char *state, int64_t now_ms, struct err *e);

/* Appends an event whose number the caller took from job.last_event in this transaction. */
[[nodiscard]] bool job_event_at(struct db *db, int64_t job_id, int64_t seq, const char *kind,
				const char *subject, const char *state, int64_t now_ms,
				struct err *e);

/* Sets total, available and failed from the documents of the case. */
[[nodiscard]] bool job_count(struct db *db, int64_t job_id, struct err *e);

#endif
