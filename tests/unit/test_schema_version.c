/*
 * The version of a database: a fresh one and a torn migration become whole, the same again changes
 * nothing, and an older or newer one is refused with both versions named.
 */
#include "schema.h"

#include "ledgers.h"

static void test_migrate_twice(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int from = -1;
	struct db *db = ledger_db(r->ledger);
	assert_true(schema_version() >= 1);
	assert_true(schema_migrate(db, &from, &e));
	assert_int_equal(from, schema_version());
	assert_true(schema_migrate(db, NULL, &e));
	assert_true(schema_check(db, &e));
	struct db_rows rows;
	assert_true(db_exec(db, &rows, &e, "SELECT COUNT(*), MAX(version) FROM schema_version"));
	assert_int_equal(db_int(&rows, 0, 0), schema_version());
	assert_int_equal(db_int(&rows, 0, 1), schema_version());
	db_rows_release(&rows);
}

static void test_migrate_fresh(void **state)
{
	(void)state;
	char *dir = scratch_make(), *url = database_make(dir);
	struct err e = {0};
	int from = -1;
	struct db *db = db_open(url, DB_WRITE, &e);
	assert_non_null(db);
	assert_false(schema_check(db, &e)); /* no schema at all */
	assert_true(schema_migrate(db, &from, &e));
	assert_int_equal(from, 0);
	assert_true(schema_check(db, &e));
	static const char *const tables[] = {"SELECT id FROM process",
					     "SELECT call FROM answer",
					     "SELECT id FROM job",
					     "SELECT id FROM document",
					     "SELECT rank FROM document_ref",
					     "SELECT seq FROM event"};
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		assert_true(db_exec(db, NULL, &e, tables[i]));
	db_close(db);
	database_drop(url);
	scratch_remove(dir);
}

static void test_newer_version(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char own[20];
	snprintf(own, sizeof own, "%d", schema_version());
	assert_true(db_exec(ledger_db(r->ledger), NULL, &e,
			    "INSERT INTO schema_version (version, applied_ms) VALUES (777, 0)"));
	struct db *reader = db_open(r->url, DB_READ, &e);
	assert_non_null(reader);
	assert_false(schema_check(reader, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "777");
	assert_says(&e, own);
	db_close(reader);
	ledger_close(r->ledger);
	e = (struct err){0};
	r->ledger = ledger_open(r->url, &e);
	assert_null(r->ledger);
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "777");
	assert_says(&e, own);
	assert_says(&e, "newer");
}

static void test_older_version(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char own[20];
	snprintf(own, sizeof own, "%d", schema_version());
	assert_true(db_exec(ledger_db(r->ledger), NULL, &e, "DELETE FROM schema_version"));
	struct db *reader = db_open(r->url, DB_READ, &e);
	assert_non_null(reader);
	assert_false(schema_check(reader, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "version 0");
	assert_says(&e, own);
	assert_says(&e, "migrate");
	db_close(reader);
}

/* Wherever a migration fails, the next start makes it whole. */
static void test_migration_torture(void **state)
{
	(void)state;
	char *dir = scratch_make();
	struct db_ops ops = db_sqlite;
	bool ok = false;
	ops.run = faulty_run;
	for (int64_t at = 1; !ok; at++) {
		char *url = xasprintf("sqlite:%s/%d.db", dir, (int)at);
		struct err e = {0};
		struct db *db = db_open(url, DB_WRITE, &e);
		assert_non_null(db);
		db->ops = &ops;
		memset(&fault, 0, sizeof fault);
		fault.at = at;
		ok = schema_migrate(db, NULL, &e);
		assert_int_equal(ok, !fault.hit);
		if (!ok)
			assert_error(&e, ERR_FAIL);
		assert_false(db->in_transaction);
		memset(&fault, 0, sizeof fault);
		assert_true(schema_migrate(db, NULL, &e));
		assert_true(schema_check(db, &e));
		db_close(db);
		xfree(url);
	}
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_migrate_twice),
		cmocka_unit_test(test_migrate_fresh),
		TEST(test_newer_version),
		TEST(test_older_version),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(test_migration_torture),
	};
	int failed = cmocka_run_group_tests_name("faults", faults, NULL, NULL);
	return failed + database_run(tests);
}
