/*
 * change - what commits changed, as rows for the other processes on the same database.
 *
 * Only where many processes write (PostgreSQL). Rows carry their transaction's number, and a reader
 * keeps the snapshot that it read with last: what it has not seen is from transactions that were
 * running then or began since. So it hears of each commit once, however late it comes, and a look
 * costs what is new, however long others have been running.
 */
#ifndef AUTOS_CHANGE_H
#define AUTOS_CHANGE_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the notes of the running transaction down, by the server's clock. */
[[nodiscard]] bool change_write(struct db *db, const char *owner, struct err *e);

enum { CHANGE_KEPT_MS = 300000 }; /* a row is kept so long at least */

/* Where a reader stands, on one connection. Zeroed: at the end of what there is. */
struct change_place {
	char *snapshot;  /* what it saw last, as the server writes it; owned */
	int64_t backend; /* who gave it */
	int64_t read_ms; /* the server's clock then */
};

void change_place_release(struct change_place *at); /* zeroed again */

/* Notes of others since the last call, each once. Free them with xfree. False also when the
 * connection is not the one of the last call, or that call was so long ago (a process was frozen)
 * that rows may have been removed: then anything may have been missed, and the place is to be
 * released. */
[[nodiscard]] bool change_read(struct db *db, struct change_place *at, const char *owner,
			       struct db_note **notes, size_t *n, struct err *e);

/* Tells other processes that there is something to read: a hint, sent outside of transactions. */
[[nodiscard]] bool change_hint(struct db *db, struct err *e);
[[nodiscard]] bool change_listen(struct db *db, struct err *e);

/* Removes what everybody has read: what is older, and was there when this was called before. To be
 * called some times a minute. */
[[nodiscard]] bool change_trim(struct db *db, int64_t before_ms, struct err *e);

#endif
