/*
 * query_list - all SQL that reads more than one case: lists, batches, events, sums.
 *
 * Works on any connection, inside or outside a transaction. Strings belong to the list.
 */
#ifndef AUTOS_QUERY_LIST_H
#define AUTOS_QUERY_LIST_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Cases ---- */

enum case_sort { SORT_UPDATED, SORT_CREATED, SORT_CONSULTED, SORT_NUMBER, SORT_COURT };

struct case_filter {
	enum case_sort sort;
	bool ascending;
	const char *court;   /* NULL = any; exact, case does not count */
	int has_documents;   /* -1 any, 0, 1; the walk passes by those that do not match */
	int64_t skip, limit; /* limit 1 to 1000 */
	/* Cursor: the sort key and id of the last row seen; after_id 0 = from the start. */
	int64_t after_id, after_ms;
	const char *after_text; /* SORT_NUMBER and SORT_COURT */
};

struct case_row {
	int64_t id;
	const char *number, *court, *subject, *class_name;
	int64_t created_ms, updated_ms, consulted_ms;
	int64_t documents, available; /* of the case, as its latest job counted */
	int64_t job_id;
	const char *job_state, *outcome;
};

struct case_list {
	struct case_row *cases;
	size_t n;
	struct db_rows rows;
};

[[nodiscard]] bool query_cases(struct db *db, const struct case_filter *f, struct case_list *out,
			       struct err *e);
/* One case as a row. ERR_ABSENT. */
[[nodiscard]] bool query_case_row(struct db *db, const char *number, struct case_list *out,
				  struct err *e);
void case_list_release(struct case_list *l);

/* The portal's last answer for a case, as it came: call is "list" or "detail". Rows: body,
 * received_ms; none when there is none. */
[[nodiscard]] bool query_answer(struct db *db, int64_t process_id, const char *call,
				struct db_rows *out, struct err *e);

/* ---- Jobs ---- */

struct job_row {
	int64_t id, process_id;
	const char *number, *state, *outcome, *error, *scope;
	int64_t priority, epoch, last_event;
	int64_t total, available, failed;
	int64_t created_ms, started_ms, finished_ms; /* 0 = not yet */
	const char *webhook_url;                     /* the first one, "" for none */
	const char *request_id;
};

struct job_filter {
	const char *state;  /* NULL = any */
	const char *number; /* NULL = any */
	int64_t below_id;   /* cursor: ids below this one; 0 = from the newest */
	int64_t skip, limit;
};

struct job_list {
	struct job_row *jobs;
	size_t n;
	struct db_rows rows;
};

/* Newest first. */
[[nodiscard]] bool query_jobs(struct db *db, const struct job_filter *f, struct job_list *out,
			      struct err *e);
[[nodiscard]] bool query_job(struct db *db, int64_t id, struct job_list *out,
			     struct err *e); /* ERR_ABSENT */
void job_list_release(struct job_list *l);

/* ---- Events of a job ---- */

struct event_row {
	int64_t seq, at_ms;
	const char *kind, *subject, *state;
};

struct event_list {
	struct event_row *events;
	size_t n;
	struct db_rows rows;
};

/* Those after `after`, in order. */
[[nodiscard]] bool query_events(struct db *db, int64_t job_id, int64_t after, int64_t limit,
				struct event_list *out, struct err *e);
void event_list_release(struct event_list *l);

/* ---- Batches ---- */

struct batch_row {
	int64_t position;
	const char *number;
	int64_t job_id; /* 0 when none was needed */
	const char *job_state, *outcome, *error;
	bool consulted; /* the portal's list is known */
	int64_t documents, available, failed;
};

struct batch_list {
	int64_t id, created_ms;
	struct batch_row *items;
	size_t n;
	struct db_rows rows[2];
};

/* ERR_ABSENT. A case that was erased since stays as a number with job_id 0. */
[[nodiscard]] bool query_batch(struct db *db, int64_t id, struct batch_list *out, struct err *e);
void batch_list_release(struct batch_list *l);

/* ---- Sums, for monitoring ---- */

struct queue_sums {
	int64_t pending, processing; /* jobs */
	int64_t oldest_ready_ms;     /* when the oldest waiting job could have begun; 0 = none */
	int64_t cases;               /* ever known: the last row number, erased ones included */
	int64_t users;
	int64_t deliveries;         /* waiting to be sent */
	int64_t oldest_delivery_ms; /* when the first of them was made or set going; 0 = none */
	int64_t paused_targets;     /* of webhooks */
};

[[nodiscard]] bool query_sums(struct db *db, struct queue_sums *out, struct err *e);

#endif
