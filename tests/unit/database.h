/*
 * database - the unit tests that use a database run on both: a file of SQLite's, and a schema of
 * their own on the server named by AUTOS_TEST_POSTGRES (tests/run.py starts one).
 */
#ifndef AUTOS_DATABASE_H
#define AUTOS_DATABASE_H

#include "db.h"
#include "scratch.h"

static const char *database_server; /* NULL: SQLite */

/* Runs SQL as the owner of the server. */
static inline void database_admin(const char *sql)
{
	struct err e;
	struct db *db = db_open(database_server, DB_WRITE, &e);
	if (!db || !db_run_once(db, sql, &e)) {
		print_error("%s: %s\n", sql, e.text);
		assert_true(false);
	}
	db_close(db);
}

/* A new, empty database: its URL, to be given to database_drop. */
static inline char *database_make(const char *dir)
{
	static int count;
	if (!database_server)
		return xasprintf("sqlite:%s/autos.db", dir);
	char *sql = xasprintf("CREATE SCHEMA t%d_%d", (int)getpid(), ++count);
	database_admin(sql);
	xfree(sql);
	return xasprintf("%s&options=-csearch_path%%3Dt%d_%d", database_server, (int)getpid(),
			 count);
}

static inline void database_drop(char *url)
{
	const char *name = url && database_server ? strstr(url, "%3D") : NULL;
	if (name) {
		char *sql = xasprintf("DROP SCHEMA IF EXISTS %s CASCADE", name + 3);
		database_admin(sql);
		xfree(sql);
	}
	xfree(url);
}

/* The first cell of what a statement gives, -1 when it gives none; a failure ends the test. */
static inline int64_t database_int(struct db *db, const char *sql)
{
	struct db_rows r;
	struct err e = {0};
	if (!db_run(db, sql, NULL, 0, &r, &e))
		fail_msg("%s: %s", sql, e.text);
	int64_t n = r.rows ? db_int(&r, 0, 0) : -1;
	db_rows_release(&r);
	return n;
}

/* Both, one after the other; the server's part only where there is one. */
#define database_run(tests)                                                                        \
	({                                                                                         \
		int failed_ = cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);            \
		database_server = getenv("AUTOS_TEST_POSTGRES");                                   \
		if (database_server)                                                               \
			failed_ += cmocka_run_group_tests_name("postgres", tests, NULL, NULL);     \
		failed_;                                                                           \
	})

#endif
