/*
 * delivery_read - all SQL that reads deliveries, for whoever looks at them.
 */
#ifndef AUTOS_DELIVERY_READ_H
#define AUTOS_DELIVERY_READ_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delivery_row {
	int64_t id;
	const char *event_id, *number, *url, *state, *class, *error;
	int64_t job_id, user_id, attempts;
	bool thin;
	int64_t created_ms, next_ms, ended_ms; /* next_ms 0 = no more; ended_ms 0 = not yet */
};

struct delivery_list {
	struct delivery_row *rows;
	size_t n;
	struct db_rows cells; /* private: what the strings point into */
};

struct delivery_filter {
	int64_t user_id;   /* -1 = anybody's */
	const char *state; /* NULL = any */
	int64_t job_id;    /* 0 = any */
	int64_t below_id;  /* cursor; 0 = from the newest */
	int64_t limit;
};

/* Newest first. Release in any case. */
[[nodiscard]] bool delivery_list(struct db *db, const struct delivery_filter *f,
				 struct delivery_list *out, struct err *e);

/* One, by its event id; user_id as above. ERR_ABSENT. */
[[nodiscard]] bool delivery_one(struct db *db, const char *event_id, int64_t user_id,
				struct delivery_list *out, struct err *e);
void delivery_list_release(struct delivery_list *l);

struct attempt_row {
	int64_t n, at_ms, duration_ms, status, next_ms;
	bool manual;
	const char *address, *class, *error, *answer, *why;
};

struct attempt_list {
	struct attempt_row *rows;
	size_t n;
	struct db_rows cells;
};

/* In their order; the latest 100. */
[[nodiscard]] bool delivery_attempts(struct db *db, int64_t delivery_id, struct attempt_list *out,
				     struct err *e);
void attempt_list_release(struct attempt_list *l);

#endif
