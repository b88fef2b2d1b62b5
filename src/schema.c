/*
 * schema - brings a database to this program's version. The tables are in schema_tables.c.
 */
#include "schema.h"

#include "schema_tables.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

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

static bool run_one(struct db *db, const char *sql, struct err *e)
{
	static const char mark[] = "%SERIAL%";
	const char *at = strstr(sql, mark);
	if (!at)
		return db_exec(db, NULL, e, sql);
	char *text = xasprintf("%.*s%s%s", (int)(at - sql), sql, db->ops->serial_key,
			       at + sizeof mark - 1);
	bool ok = db_run_once(db, text, e);
	xfree(text);
	return ok;
}

static bool apply(struct db *db, int version, struct err *e)
{
	if (!db_begin(db, e))
		return false;
	for (const char *const *sql = schema_tables[version - 1]; *sql; sql++)
		if (!run_one(db, *sql, e))
			goto undo;
	if (!db_exec(db, NULL, e,
		     "INSERT INTO schema_version (version, applied_ms) VALUES ($1, $2)",
		     db_i(version), db_i(sys_wall_ms())))
		goto undo;
	return db_commit(db, e);
undo:
	db_rollback(db);
	return err_prefix(e, "migration %d: ", version);
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
	int found = 0;
	if (!db_exec(db, NULL, e,
		     "CREATE TABLE IF NOT EXISTS schema_version ("
		     "version BIGINT PRIMARY KEY, applied_ms BIGINT NOT NULL)") ||
	    !read_version(db, &found, e))
		return false;
	if (from)
		*from = found;
	if (found > SCHEMA_VERSION)
		return too_new(found, e);
	for (int v = found + 1; v <= SCHEMA_VERSION; v++)
		if (!apply(db, v, e))
			return false;
	return true;
}

bool schema_check(struct db *db, struct err *e)
{
	int found = 0;
	if (!read_version(db, &found, e))
		return false;
	if (found > SCHEMA_VERSION)
		return too_new(found, e);
	if (found < SCHEMA_VERSION)
		return fail(e, ERR_INPUT,
			    "the database is of version %d, this program needs %d: run "
			    "`autos migrate`",
			    found, SCHEMA_VERSION);
	return true;
}
