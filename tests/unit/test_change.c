/*
 * News between processes on one PostgreSQL: each commit is heard once by all others, however late
 * it comes and however long others run, and no longer kept than it is of use. Runs where
 * AUTOS_TEST_POSTGRES names a server.
 */
#include "change.h"

#include "pair.h"

static void write_note(struct db *db, const char *owner, int64_t process, bool commit)
{
	struct err e;
	assert_true(db->in_transaction || db_begin(db, &e));
	db_note(db, (struct db_note){NOTE_CHANGED, process, 7});
	assert_true(change_write(db, owner, &e));
	if (commit)
		assert_true(db_commit(db, &e));
}

/* Reads once: exactly these cases are told of, each once, in any order. */
static void reads(struct db *db, struct change_place *at, size_t nwant, const int64_t *want)
{
	struct db_note *notes;
	struct err e = {0};
	size_t n, told = 0;
	if (!change_read(db, at, "reader", &notes, &n, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < nwant; i++)
		for (size_t k = 0; k < n; k++)
			told += notes[k].process_id == want[i] && notes[k].kind == NOTE_CHANGED &&
				notes[k].job_id == 7;
	xfree(notes);
	assert_int_equal(n, nwant);
	assert_int_equal(told, nwant);
}

#define READS(at, ...)                                                                             \
	reads(p->b, (at), sizeof((int64_t[]){0, ##__VA_ARGS__}) / sizeof(int64_t) - 1,             \
	      (const int64_t[]){0, ##__VA_ARGS__} + 1)

static void test_changes(void **state)
{
	struct pair *p = *state;
	struct change_place at = {0};
	write_note(p->a->db, "writer", 98, true); /* before the first look */
	READS(&at);
	write_note(p->a->db, "reader", 99, true); /* our own is no news */
	READS(&at);
	write_note(p->a->db, "writer", 2, true);
	write_note(p->a->db, "reader", 99, true);
	write_note(p->a->db, "writer", 3, true);
	READS(&at, 2, 3);
	READS(&at);
	write_note(p->a->db, "writer", 1, true);
	write_note(p->a->db, "writer", 4, false);
	db_rollback(p->a->db);
	READS(&at, 1);
	READS(&at);
	change_place_release(&at);
	READS(&at); /* forgotten: at the end again */
	change_place_release(&at);
}

/* Whoever did not look for longer than news are kept (a process was frozen) is not told that there
 * is nothing new. */
static void test_looked_long_ago(void **state)
{
	struct pair *p = *state;
	struct change_place at = {0};
	struct db_note *notes;
	struct err e = {0};
	size_t n;
	READS(&at);
	at.read_ms -= CHANGE_KEPT_MS / 3 - 30000;
	READS(&at);
	write_note(p->a->db, "writer", 1, true);
	assert_true(db_run_once(p->a->db, "DELETE FROM change", &e));
	at.read_ms -= CHANGE_KEPT_MS / 3 + 1;
	assert_false(change_read(p->b, &at, "reader", &notes, &n, &e));
	assert_null(notes);
	assert_int_equal(n, 0);
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "nothing was read for 100 s");
	change_place_release(&at);
	READS(&at);
	change_place_release(&at);
}

/* A transaction that began first and is committed last is not missed, and makes nobody hear again
 * what others wrote meanwhile. */
static void test_late_commit(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	struct db *late = db_open(p->a->url, DB_WRITE, &e),
		  *later = db_open(p->a->url, DB_WRITE, &e);
	READS(&at);
	write_note(late, "writer", 1, false);
	for (int64_t i = 10; i < 20; i++) {
		write_note(p->a->db, "writer", i, true);
		READS(&at, i);
		READS(&at);
	}
	write_note(later, "writer", 2, false);
	READS(&at);
	write_note(p->a->db, "writer", 3, true);
	assert_true(db_commit(late, &e));
	READS(&at, 1, 3);
	READS(&at);
	assert_true(db_commit(later, &e));
	READS(&at, 2);
	READS(&at);
	change_place_release(&at);
	db_close(later);
	db_close(late);
}

/* Rows of savepoints carry the number of the whole. */
static void test_a_part_of_a_transaction(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	READS(&at);
	assert_true(db_begin(p->a->db, &e));
	assert_true(db_exec(p->a->db, NULL, &e, "SAVEPOINT one"));
	write_note(p->a->db, "writer", 1, false);
	assert_true(db_exec(p->a->db, NULL, &e, "RELEASE SAVEPOINT one"));
	READS(&at);
	assert_true(db_commit(p->a->db, &e));
	READS(&at, 1);
	READS(&at);
	change_place_release(&at);
}

/* Numbers of transactions mean something to the server that gave them alone. */
static void test_a_place_of_another_connection(void **state)
{
	struct pair *p = *state;
	struct err e = {0};
	struct change_place at = {0};
	struct db_note *notes;
	size_t n = 7;
	READS(&at);
	assert_false(change_read(p->a->db, &at, "reader", &notes, &n, &e));
	assert_says(&e, "another connection");
	assert_null(notes);
	assert_int_equal(n, 0);
	READS(&at);
	change_place_release(&at);
}

static struct db_ops explaining;
static char *explained[4];
static size_t nexplained;

/* The plan in place of the rows. */
static bool explain_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
			struct db_rows *out, struct err *e)
{
	struct db_rows r = {0};
	char *text = explained[nexplained++] = xasprintf("EXPLAIN %s", sql), *all = xstrdup("");
	if (!db_pg.run(db, text, args, nargs, &r, e))
		fail_msg("%s", e->text);
	for (size_t i = 0; i < r.rows; i++) {
		char *more = xasprintf("%s%s\n", all, db_text(&r, i, 0));
		xfree(all);
		all = more;
	}
	db_rows_release(&r);
	if (strstr(all, "Seq Scan") || strstr(all, "Sort") || strstr(all, "Filter: (xid") ||
	    !strstr(all, "Index Cond: (xid >= ") || !strstr(all, "Index Cond: (xid = ANY"))
		fail_msg("%s", all);
	xfree(all);
	return db_pg.run(db, sql, args, nargs, out, e);
}

/* However long a transaction has been running, a look costs what is new. */
static void test_plan_of_a_look(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	struct db *late = db_open(p->a->url, DB_WRITE, &e);
	write_note(late, "writer", 1, false);
	READS(&at);
	explaining = db_pg;
	explaining.run = explain_run;
	p->b->ops = &explaining;
	READS(&at);
	assert_int_equal(nexplained, 1);
	p->b->ops = &db_pg;
	db_close(p->b); /* it kept the statement */
	p->b = NULL;
	db_close(late);
	xfree(explained[0]);
	change_place_release(&at);
}

static void test_trim(void **state)
{
	struct pair *p = *state;
	struct err e;
	int64_t now = sys_wall_ms();
	write_note(p->a->db, "writer", 1, true);
	assert_true(change_trim(p->b, now - 60000, &e));
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM change"), 1);
	assert_true(change_trim(p->b, now + 60000, &e));
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM change"), 0);
}

/* What a commit brought that took longer than news are kept is there to be heard, for one more
 * time of waiting. */
static void test_trim_of_late_news(void **state)
{
	struct pair *p = *state;
	struct err e;
	struct change_place at = {0};
	int64_t before = sys_wall_ms() - 60000;
	READS(&at);
	assert_true(db_begin(p->a->db, &e));
	db_note(p->a->db, (struct db_note){NOTE_CHANGED, 5, 7});
	assert_true(change_write(p->a->db, "writer", &e));
	assert_true(db_exec(p->a->db, NULL, &e, "UPDATE change SET at_ms = at_ms - 660000"));
	assert_true(change_trim(p->b, before, &e));
	assert_true(db_commit(p->a->db, &e));
	assert_true(change_trim(p->b, before, &e));
	READS(&at, 5);
	READS(&at);
	assert_true(change_trim(p->b, before + 5000, &e));
	READS(&at);
	assert_int_equal(database_int(p->b, "SELECT COUNT(*) FROM change"), 0);
	change_place_release(&at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_PAIR(test_changes),
		TEST_PAIR(test_looked_long_ago),
		TEST_PAIR(test_late_commit),
		TEST_PAIR(test_a_part_of_a_transaction),
		TEST_PAIR(test_a_place_of_another_connection),
		TEST_PAIR(test_plan_of_a_look),
		TEST_PAIR(test_trim),
		TEST_PAIR(test_trim_of_late_news),
	};
	return pair_run(tests);
}
