/*
 * vacuum - takes dead rows out of the tables that have many, table by table, and leaves alone those
 * where that is of no use: while somebody holds an old snapshot a vacuum reads a whole table and
 * removes nothing.
 *
 * Only where many processes write (PostgreSQL). It remembers what came of a table's last vacuum, in
 * memory and for one thread.
 */
#ifndef AUTOS_VACUUM_H
#define AUTOS_VACUUM_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

/* So long a table is left alone after a vacuum that removed little, unless its dead rows double. */
enum { VACUUM_AGAIN_MS = 3600000 };

struct vacuum;

struct vacuum *vacuum_new(void);
void vacuum_free(struct vacuum *v); /* accepts NULL */

struct vacuum_turn {
	int64_t now_ms;             /* monotonic */
	int64_t released_ms;        /* monotonic: when the oldest snapshot became another one */
	bool (*goes_on)(void *arg); /* asked before each table; NULL = always */
	void *arg;
};

/* One look at all tables. *done becomes the number of tables that were vacuumed, also on failure.
 */
[[nodiscard]] bool vacuum_run(struct vacuum *v, struct db *db, const struct vacuum_turn *turn,
			      int64_t *done, struct err *e);

#endif
