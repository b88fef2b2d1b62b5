/*
 * query - all SQL that reads: what is known of a case, as plain values.
 *
 * Works on any connection, inside or outside a transaction. Strings belong to the view.
 */
#ifndef AUTOS_QUERY_H
#define AUTOS_QUERY_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ref_view {
	const char *id, *href;
};

struct doc_view {
	int64_t row;
	int64_t position; /* filing order, oldest first */
	const char *doc_id, *origin_id, *name, *type, *type_code, *filed_at, *court, *degree;
	const char *declared_type;
	int64_t declared_size; /* -1 when the portal did not say */
	int64_t sequence;      /* -1 when absent */
	int secrecy;
	bool listed, wanted; /* wanted: a job was asked to fetch it */
	const char *state, *reason, *error;
	int64_t tries;
	const char *source_id, *sha256, *mime, *ext, *object_key, *note; /* "" until available */
	int64_t size;                                                    /* -1 until available */
	int64_t started_ms, finished_ms;                                 /* 0 = not yet */
	const struct ref_view *refs;                                     /* preferred first */
	size_t nrefs;
};

struct case_view {
	int64_t process_id;
	char number[21];
	const char *court, *subject, *class_name;
	int secrecy;
	int64_t proceedings;
	int64_t created_ms, updated_ms, consulted_ms; /* consulted_ms 0 = never listed */

	/* the latest job; job_id 0 when there is none */
	int64_t job_id;
	const char *job_state, *outcome, *error;
	int64_t lease_until_ms, epoch, last_event;
	int64_t job_created_ms, job_started_ms, job_finished_ms;
	const char *job_scope;
	const char *webhook_url; /* the first one of the latest job, "" for none */
	int64_t webhook_sent_ms; /* when it took the news of the job's end; 0 = not yet */

	struct doc_view *docs; /* by position */
	size_t ndocs;
	size_t available, failed, pending; /* pending counts pending and processing */

	struct db_rows rows[3]; /* private: what the strings point into */
	struct ref_view *refs;  /* private */
};

/* ERR_ABSENT when the case is not known. Release the view in any case. */
[[nodiscard]] bool query_case(struct db *db, const char *number, struct case_view *out,
			      struct err *e);

/* The same without documents: `docs` stays empty, the counts are right. */
[[nodiscard]] bool query_case_head(struct db *db, const char *number, struct case_view *out,
				   struct err *e);
void case_view_release(struct case_view *v);

/* All known case numbers (column 0), sorted. */
[[nodiscard]] bool query_numbers(struct db *db, struct db_rows *out, struct err *e);

#endif
