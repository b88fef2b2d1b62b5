/*
 * schema - brings a database to this program's version. The tables are in schema_tables.c.
 */
#include "schema.h"

#include "schema_tables.h"
#include "sys.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { PATIENCE_MS = 600000, AGAIN_MS = 200 };

int schema_version(void)
{
	return SCHEMA_VERSION;
}

/* 0 for an empty database. */
static bool read_version(struct db *db, int *version, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT MAX(version) FROM schema_version");
	if (ok)
		*version = (int)db_int(&r, 0, 0);
	db_rows_release(&r);
	return ok;
}

/* The table of versions, and one migration at a time: both until the transaction's end. */
static bool begin_step(struct db *db, int *found, struct err *e)
{
	struct db_rows r = {0};
	if (!db_begin(db, e))
		return false;
	bool ok = !db->ops->schema_lock || db_run(db, db->ops->schema_lock, NULL, 0, &r, e);
	db_rows_release(&r);
	return ok &&
	       db_exec(db, NULL, e,
		       "CREATE TABLE IF NOT EXISTS schema_version ("
		       "version BIGINT PRIMARY KEY, applied_ms BIGINT NOT NULL)") &&
	       read_version(db, found, e);
}

/* Takes the next step, if there is one. *was becomes the version before it. */
static bool step(struct db *db, int *was, struct err *e)
{
	if (!begin_step(db, was, e))
		goto undo;
	if (*was < SCHEMA_VERSION) {
		for (const char *const *sql = schema_tables[*was]; *sql; sql++)
			if (!db_run_once(db, *sql, e))
				goto undo;
		if (!db_exec(db, NULL, e,
			     "INSERT INTO schema_version (version, applied_ms) VALUES ($1, $2)",
			     db_i(*was + 1), db_i(sys_wall_ms())))
			goto undo;
	}
	return db_commit(db, e);
undo:
	db_rollback(db);
	return err_prefix(e, "migration %d: ", *was + 1);
}

static bool too_new(int found, struct err *e)
{
	return fail(e, ERR_INPUT,
		    "the database is of version %d, this program knows versions up to %d: use the "
		    "newer "
		    "program that wrote it",
		    found, SCHEMA_VERSION);
}

bool schema_migrate(struct db *db, int *from, struct err *e)
{
	int64_t end = sys_mono_ms() + PATIENCE_MS;
	int was = 0;
	for (bool first = true;; first = false) {
		/* Another process may be at it: its step is awaited, or ours is tried again. */
		while (!step(db, &was, e))
			if (!db->transient || sys_mono_ms() >= end)
				return false;
			else
				poll(NULL, 0, AGAIN_MS);
		if (first && from)
			*from = was;
		if (was > SCHEMA_VERSION)
			return too_new(was, e);
		if (was + 1 >= SCHEMA_VERSION)
			return true;
	}
}

/* ERR_INPUT when the tables are older than this program. */
static bool find_version(struct db *db, int *found, struct err *e)
{
	struct db_rows r = {0};
	bool ok = !db->ops->tables || db_run(db, db->ops->tables, NULL, 0, &r, e);
	if (ok && db->ops->tables && r.rows == 0)
		ok = fail(e, ERR_ABSENT, "no database yet: it has no tables");
	db_rows_release(&r);
	if (!ok || !read_version(db, found, e))
		return false;
	return *found >= SCHEMA_VERSION ||
	       fail(e, ERR_INPUT,
		    "the database is of version %d, this program needs %d: run "
		    "`autos migrate`",
		    *found, SCHEMA_VERSION);
}

bool schema_serves(struct db *db, struct err *e)
{
	int found = 0;
	return find_version(db, &found, e);
}

bool schema_check(struct db *db, struct err *e)
{
	int found = 0;
	return find_version(db, &found, e) && (found == SCHEMA_VERSION || too_new(found, e));
}
