/*
 * quota - the portal's quota of one account, kept in the database and shared by all processes.
 *
 * One row holds the state of the lane (how many requests at once, the pause, the next list call),
 * on the server's clock; a row for each process holds what is reserved for it and until when: what
 * it may use, or what it has in flight when that is more. A share only grows by what nobody else
 * has reserved, so that all of them together never exceed the whole, and shrinks as requests end; a
 * process that says nothing loses its share when its time is over. Nobody waits for a row: while
 * another process writes, the old share holds. Only where many processes write (PostgreSQL).
 */
#ifndef AUTOS_QUOTA_H
#define AUTOS_QUOTA_H

#include "db.h"
#include "err.h"
#include "lane.h"

#include <stdbool.h>
#include <stdint.h>

/* What a process saw since it last asked, and what it would like. */
struct quota_ask {
	const char *account, *owner;
	struct lane_options options;
	int active;       /* requests in flight */
	bool wants;       /* there is work */
	bool wants_list;  /* a list call waits for its turn */
	int good;         /* good answers */
	bool overload;    /* the portal was overloaded */
	bool held;        /* the portal made us wait: */
	int64_t wait_ms;  /* so long at most; -1 = it named no time */
	bool untimed;     /* ... and once it named none */
	int64_t lease_ms; /* of the share; the same in all processes */
	int64_t trip_ms;  /* so long it takes until an answer is there */
};

struct quota_share {
	bool busy;   /* another process writes at this moment: nothing was told, nothing else is set
		      */
	int granted; /* requests at once; there may be more in flight, then none may start */
	int whole;   /* of all processes together */
	int sharers; /* processes with work */
	int64_t lease_ms;      /* the share is ours so long */
	int64_t pause_ms;      /* left of a pause; 0 = none */
	int64_t list_in_ms;    /* a list call may start then; -1 = ask again */
	int64_t list_for_ms;   /* ... within so long: QUOTA_WINDOW_MS and the way of the answer */
	int64_t list_again_ms; /* it is no use to ask again before */
	bool paused_anew;      /* our own hold opened the pause */
};

enum { QUOTA_WINDOW_MS = 100, QUOTA_TRIP_MAX_MS = 5000 };

/* Inside a transaction, whose other statements must not take long then. False: the database
 * failed. */
[[nodiscard]] bool quota_sync(struct db *db, const struct quota_ask *ask, struct quota_share *out,
			      struct err *e);

#endif
