/*
 * Erasing the objects of a case while another process may come to do the same: whoever was
 * overtaken removes nothing of what was stored since.
 */
#include "erase.h"

#include "database.h"
#include "job.h"

#include <poll.h>

#define NUMBER "99000019720248260100"
#define KEY "processos/" NUMBER "/documentos/a.pdf"
#define OLDER "processos/" NUMBER "/documentos/b.pdf"

struct room {
	char *dir, *url, *root, *objects;
	struct ledger *ledger;
	struct store *store;
	int asked;
	int64_t mark;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->root = xasprintf("%s/objects", r->dir);
	r->objects = xasprintf("dir:%s", r->root);
	r->ledger = ledger_open(r->url, &e);
	r->store = store_open(NULL, r->objects, STORE_WRITE, &e);
	assert_non_null(r->ledger);
	assert_non_null(r->store);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	store_close(r->store);
	ledger_close(r->ledger);
	scratch_remove(r->dir);
	database_drop(r->url);
	xfree(r->root);
	xfree(r->objects);
	xfree(r);
	return 0;
}

static void put(struct room *r, const char *key)
{
	struct err e;
	struct spool s;
	spool_init(&s, r->dir, 4096);
	assert_true(spool_add(&s, "x", 1, &e) && spool_end(&s, &e));
	struct put p = {.key = (char *)(uintptr_t)key, .body = &s}, *one = &p;
	store_put(r->store, &one, 1);
	spool_release(&s);
	assert_true(p.ok);
}

static bool is_there(struct room *r, const char *key)
{
	char *path = xasprintf("%s/%s", r->root, key);
	bool there = access(path, F_OK) == 0;
	xfree(path);
	return there;
}

static bool write_mark(struct db *db, void *arg, struct err *e)
{
	struct room *r = arg;
	return db_exec(db, NULL, e, "INSERT INTO erasure (number, at_ms) VALUES ($1, $2)",
		       db_s(NUMBER), db_i(r->mark));
}

/* A case with two objects whose rows are gone. */
static void begin(struct room *r)
{
	struct err e;
	r->mark = 1000;
	put(r, KEY);
	put(r, OLDER);
	assert_true(ledger_write(r->ledger, write_mark, r, &e));
}

static bool write_take(struct db *db, void *arg, struct err *e)
{
	struct room *r = arg;
	struct db_rows rows;
	bool ok = job_erasures(db, &rows, e) && rows.rows == 1 &&
		  job_erasing(db, NUMBER, db_int(&rows, 0, 1), &r->mark, e);
	db_rows_release(&rows);
	return ok;
}

static int64_t marks(struct room *r)
{
	struct db_rows rows;
	struct err e;
	ledger_flush(r->ledger);
	assert_true(job_erasures(ledger_db(r->ledger), &rows, &e));
	int64_t n = (int64_t)rows.rows;
	db_rows_release(&rows);
	return n;
}

/* Until the eraser has to ask for its mark again. */
static void pass_a_second(void)
{
	for (int64_t end = sys_mono_ms() + 1000; sys_mono_ms() < end;)
		poll(NULL, 0, 20);
}

static void test_alone(void **state)
{
	struct room *r = *state;
	struct err e;
	begin(r);
	assert_true(erase_objects(&(struct erase_options){.ledger = r->ledger, .store = r->store},
				  NUMBER, 1000, &e));
	assert_false(is_there(r, KEY));
	assert_int_equal(marks(r), 0);
}

/* Held before it removes anything; meanwhile another one does all, and the case comes again. */
static bool overtaken(void *arg)
{
	struct room *r = arg;
	struct err e;
	if (r->asked++)
		return true;
	assert_true(ledger_write(r->ledger, write_take, r, &e));
	assert_true(erase_objects(&(struct erase_options){.ledger = r->ledger, .store = r->store},
				  NUMBER, r->mark, &e));
	put(r, KEY);
	pass_a_second();
	return true;
}

static void test_overtaken(void **state)
{
	struct room *r = *state;
	struct err e;
	begin(r);
	/* The folder is walked from below, and the walk has seen neither of the new objects. */
	assert_true(erase_objects(
		&(struct erase_options){
			.ledger = r->ledger, .store = r->store, .goes_on = overtaken, .arg = r},
		NUMBER, 1000, &e));
	assert_true(is_there(r, KEY));
	assert_int_equal(r->asked, 1);
}

/* The other one is still at it. */
static bool taken(void *arg)
{
	struct room *r = arg;
	struct err e;
	if (r->asked++)
		return true;
	assert_true(ledger_write(r->ledger, write_take, r, &e));
	pass_a_second();
	return true;
}

static void test_taken(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	const struct erase_options o = {.ledger = r->ledger, .store = r->store};
	begin(r);
	assert_false(erase_objects(
		&(struct erase_options){
			.ledger = r->ledger, .store = r->store, .goes_on = taken, .arg = r},
		NUMBER, 1000, &e));
	assert_error(&e, ERR_BUSY);
	assert_true(is_there(r, KEY) && is_there(r, OLDER));
	assert_false(erase_objects(&o, NUMBER, 1000, &e)); /* what was read before */
	assert_error(&e, ERR_BUSY);
	assert_true(erase_objects(&o, NUMBER, r->mark, &e));
	assert_int_equal(marks(r), 0);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void test_stopped(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	begin(r);
	assert_false(erase_objects(
		&(struct erase_options){.ledger = r->ledger, .store = r->store, .goes_on = never},
		NUMBER, 1000, &e));
	assert_error(&e, ERR_BUSY);
	assert_true(is_there(r, KEY));
	assert_int_equal(marks(r), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_alone),
		TEST(test_overtaken),
		TEST(test_taken),
		TEST(test_stopped),
	};
	return database_run(tests);
}
