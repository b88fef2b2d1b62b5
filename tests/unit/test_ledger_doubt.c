/*
 * A commit of which it is not known whether it was done: its group is not run again, and nothing
 * more is written on that connection before it is known. On a server only.
 */
#include "ledger.h"

#include "database.h"

#include <stdatomic.h>

static struct db_ops ops;
static const struct db_ops *real;
static atomic_int lost; /* commits that were done, and their answers lost */

/* What db_pg says when the server cannot be asked either for as long as it has patience. */
static bool lose(struct db *db, struct err *e)
{
	if (!real->commit(db, e))
		return false;
	if (atomic_fetch_add(&lost, 1) > 0)
		return true;
	db->doubt = 77;
	db->transient = false;
	return fail(e, ERR_FAIL, "whether it was done is not known");
}

static bool known_again(struct db *db, struct err *e)
{
	(void)e;
	db->doubt = 0;
	return true;
}

struct row {
	int ran;
};

static bool insert(struct db *db, void *arg, struct err *e)
{
	struct row *r = arg;
	r->ran++;
	return db_exec(db, NULL, e, "INSERT INTO t (n) VALUES (1)");
}

static void test_group_in_doubt(void **state)
{
	(void)state;
	struct err e = {0};
	char *dir = scratch_make(), *url = database_make(dir);
	struct ledger *l = ledger_open(url, &e);
	assert_non_null(l);
	struct db *db = ledger_db(l);
	assert_true(db_run_once(db, "CREATE TABLE t (n BIGINT)", &e));
	real = db->ops;
	ops = *real;
	ops.commit = lose;
	ops.settle = known_again;
	db->ops = &ops;
	int64_t told = 0;
	/* Either connection may take it. */
	while (atomic_load(&lost) == 0) {
		struct row r = {0};
		bool ok = ledger_write(l, insert, &r, &e);
		assert_int_equal(r.ran, 1);
		assert_int_equal(ok, atomic_load(&lost) == 0);
		told++;
	}
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "whether it was done is not known");
	ledger_flush(l);
	db->ops = real;
	assert_int_equal(database_int(db, "SELECT COUNT(*) FROM t"), told);
	ledger_close(l);
	database_drop(url);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_group_in_doubt)};
	database_server = getenv("AUTOS_TEST_POSTGRES");
	return database_server ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
