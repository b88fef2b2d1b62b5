/*
 * idem - all SQL about Idempotency-Key: which answer was given to a key, kept for a day.
 *
 * Source: draft-ietf-httpapi-idempotency-key-header-07. Runs inside the caller's transaction, the
 * beginning in the same one as the first change that it protects.
 */
#ifndef AUTOS_IDEM_H
#define AUTOS_IDEM_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	IDEM_KEPT_MS = 24 * 3600 * 1000,
	IDEM_RUNS_MS = 10 * 60 * 1000, /* longer than any request waits: its answer was lost */
};

enum idem_found {
	IDEM_NEW,     /* written down now: go on, and end it */
	IDEM_RUNNING, /* the first request is still being answered */
	IDEM_DONE,    /* the answer is given */
	IDEM_OTHER,   /* the key was used for something else */
};

struct idem_answer {
	int status;
	char *location; /* owned; NULL when there is none */
	char *body;     /* owned */
};

/* `fingerprint` is the SHA-256 of method, path and body. An older answer than IDEM_KEPT_MS counts
 * as none, and so does a request that began before IDEM_RUNS_MS and has no answer yet. *answer is
 * filled for IDEM_DONE only. */
[[nodiscard]] bool idem_begin(struct db *db, int64_t user_id, const char *key,
			      const char fingerprint[static 65], int64_t now_ms,
			      enum idem_found *found, struct idem_answer *answer, struct err *e);
[[nodiscard]] bool idem_end(struct db *db, int64_t user_id, const char *key, int status,
			    const char *location, const char *body, struct err *e);
/* The request failed by our fault: the key may be used again. */
[[nodiscard]] bool idem_drop(struct db *db, int64_t user_id, const char *key, struct err *e);

/* At start, on a database of one process: what ran then is dead. */
[[nodiscard]] bool idem_drop_running(struct db *db, struct err *e);
[[nodiscard]] bool idem_sweep(struct db *db, int64_t now_ms, struct err *e);
void idem_answer_release(struct idem_answer *a);

#endif
