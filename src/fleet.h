/*
 * fleet - the processes on one database: who runs, who does what only one may do, and the care of
 * tables. All but fleet_now only where many processes write (PostgreSQL); each function is a
 * statement of its own, outside of transactions.
 */
#ifndef AUTOS_FLEET_H
#define AUTOS_FLEET_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SQL: the server's clock in ms (PostgreSQL), rounded down. */
#define FLEET_CLOCK "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"

/* The time that all processes go by: the server's, or our own where one process has the database
 * for itself. Also inside of a transaction. */
[[nodiscard]] bool fleet_now(struct db *db, int64_t *now_ms, struct err *e);

/* This process runs, at least until then. */
[[nodiscard]] bool fleet_beat(struct db *db, const char *owner, const char *role, int64_t now_ms,
			      int64_t until_ms, struct err *e);

/* It ends: others may take at once what it had. */
[[nodiscard]] bool fleet_leave(struct db *db, const char *owner, struct err *e);

/* How many processes run at this moment. */
[[nodiscard]] bool fleet_living(struct db *db, int64_t *n, struct err *e);

/* Takes or keeps an office; *led says whether it is ours until then. */
[[nodiscard]] bool fleet_lead(struct db *db, const char *office, const char *owner, int64_t now_ms,
			      int64_t until_ms, bool *led, struct err *e);

/* Cleans up after processes that are dead at this moment of the fleet's time. */
[[nodiscard]] bool fleet_sweep(struct db *db, int64_t now_ms, struct err *e);

/* Cases (column 0) whose objects nobody has erased since this moment, and their marks (1; see
 * job_erasing). */
[[nodiscard]] bool fleet_erasures(struct db *db, int64_t before_ms, struct db_rows *out,
				  struct err *e);

/* The server's number of this connection's session. */
[[nodiscard]] bool fleet_session(struct db *db, int64_t *pid, struct err *e);

/* Ends the VACUUM that this other session of ours runs, if it runs one. */
[[nodiscard]] bool fleet_cancel_vacuum(struct db *db, int64_t pid, struct err *e);

/* What keeps dead rows of our tables from being removed. */
struct fleet_health {
	int64_t dead_rows;
	int64_t oldest_xmin; /* age of the oldest snapshot, in transactions */
	int64_t oldest_s;    /* and in seconds, as far as the server knows; else 0 */
	char kind[12];       /* whose it is: session, prepared, slot, standby; "" = nobody's */
	char who[100];       /* the same as long as it is the same one's */
	char holder[100];    /* in words: "session NAME (STATE, pid N)", ... */
};
[[nodiscard]] bool fleet_health(struct db *db, struct fleet_health *out, struct err *e);

/* Since when the oldest snapshot is the same one's. Zeroed at first. */
struct fleet_holder {
	char who[100];
	int64_t since_ms; /* monotonic; also of nobody */
};

/* Looks at *h again: h->oldest_s becomes at least the time since it was first seen. The server does
 * not tell how old the snapshot of a slot or a standby is. */
void fleet_watch(struct fleet_holder *at, struct fleet_health *h, int64_t now_ms);

#endif
