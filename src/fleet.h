/*
 * fleet - the processes on one database: who runs, who does what only one may do, and the care of
 * tables. Only where many processes write (PostgreSQL); each function is a statement of its own,
 * outside of transactions.
 */
#ifndef AUTOS_FLEET_H
#define AUTOS_FLEET_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* This process runs, at least until then. */
[[nodiscard]] bool fleet_beat(struct db *db, const char *owner, const char *role, int64_t now_ms,
			      int64_t until_ms, struct err *e);

/* It ends: others may take at once what it had. */
[[nodiscard]] bool fleet_leave(struct db *db, const char *owner, struct err *e);

/* Takes or keeps an office; *led says whether it is ours until then. */
[[nodiscard]] bool fleet_lead(struct db *db, const char *office, const char *owner, int64_t now_ms,
			      int64_t until_ms, bool *led, struct err *e);

/* Cleans up after processes that are dead at this moment. */
[[nodiscard]] bool fleet_sweep(struct db *db, int64_t now_ms, struct err *e);

/* Cases (column 0) whose rows were erased before this moment, and whose objects still are there. */
[[nodiscard]] bool fleet_erasures(struct db *db, int64_t before_ms, struct db_rows *out,
				  struct err *e);

/* Tables (column 0, quoted) with so many dead rows that a vacuum is worth while. */
[[nodiscard]] bool fleet_stale_tables(struct db *db, struct db_rows *out, struct err *e);
[[nodiscard]] bool fleet_vacuum(struct db *db, const char *quoted, struct err *e);

/* What keeps dead rows from being removed. */
struct fleet_health {
	int64_t dead_rows;
	int64_t oldest_xmin; /* age of the oldest snapshot, in transactions */
	int64_t oldest_s;    /* and in seconds, as far as that is known */
	char holder[100];    /* who has it: "session NAME (STATE, pid N)", ...; "" = nobody */
};
[[nodiscard]] bool fleet_health(struct db *db, struct fleet_health *out, struct err *e);

#endif
