/*
 * change - what commits changed, as rows for the other processes on the same database.
 *
 * Only where many processes write (PostgreSQL). Rows carry their transaction's number: a reader who
 * begins again at the oldest transaction that was still running sees each row at least once,
 * however late its commit came, and some twice.
 */
#ifndef AUTOS_CHANGE_H
#define AUTOS_CHANGE_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the notes of the running transaction down. */
[[nodiscard]] bool change_write(struct db *db, const char *owner, int64_t now_ms, struct err *e);

/* Where a reader stands. Zeroed: at the end of what there is. */
struct change_place {
	int64_t from;              /* number of the transaction where it begins */
	int64_t floor, floor_next; /* older ones are over, whatever else is running */
	int64_t floor_at;          /* monotonic */
};

/* Notes of others since the last call. Free them with xfree. */
[[nodiscard]] bool change_read(struct db *db, struct change_place *at, const char *owner,
			       struct db_note **notes, size_t *n, struct err *e);

/* Tells other processes that there is something to read: a hint, sent outside of transactions. */
[[nodiscard]] bool change_hint(struct db *db, struct err *e);
[[nodiscard]] bool change_listen(struct db *db, struct err *e);

/* Removes what everybody has read. */
[[nodiscard]] bool change_trim(struct db *db, int64_t before_ms, struct err *e);

#endif
