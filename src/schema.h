/*
 * schema - numbered migrations. A migration that was released is never edited: a new one follows.
 */
#ifndef AUTOS_SCHEMA_H
#define AUTOS_SCHEMA_H

#include "db.h"

/* The version this program needs. */
int schema_version(void);

/*
 * Brings the database to this program's version, each migration in its own transaction. ERR_INPUT
 * when it was written by a newer program. `from` (may be NULL) gets the version found.
 */
[[nodiscard]] bool schema_migrate(struct db *db, int *from, struct err *e);

/* The tables are there, as this program or a newer one made them: what a process that runs needs,
 * as newer tables serve it too. ERR_ABSENT when there are none yet, ERR_INPUT when they are older.
 */
[[nodiscard]] bool schema_serves(struct db *db, struct err *e);

/* For whoever starts: ERR_ABSENT when there are no tables yet, ERR_INPUT when the database is newer
 * or older than this program. */
[[nodiscard]] bool schema_check(struct db *db, struct err *e);

#endif
