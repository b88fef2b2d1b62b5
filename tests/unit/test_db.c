/*
 * The database: values, results, transactions, readers beside the writer, on both drivers; the lock
 * and the files of SQLite. What only a server has is in test_db_pg.
 */
#include "db.h"

#include "database.h"

struct room {
	char *dir, *path, *url;
	struct db *db;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->path = xasprintf("%s/autos.db", r->dir);
	r->url = database_make(r->dir);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
	assert_true(db_exec(r->db, NULL, &e, "CREATE TABLE t (a BIGINT, b TEXT)"));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	scratch_remove(r->dir);
	xfree(r->path);
	database_drop(r->url);
	xfree(r);
	return 0;
}

static int64_t count(struct db *db)
{
	struct db_rows r;
	struct err e;
	assert_true(db_exec(db, &r, &e, "SELECT COUNT(*) FROM t"));
	int64_t n = db_int(&r, 0, 0);
	db_rows_release(&r);
	return n;
}

static void add(struct db *db, int64_t a)
{
	struct err e;
	assert_true(db_exec(db, NULL, &e, "INSERT INTO t (a) VALUES ($1)", db_i(a)));
}

/* ---- Values and results ---- */

static void test_integers(void **state)
{
	static const int64_t values[] = {0, 1, -1, INT64_MAX, INT64_MIN, 4294967296};
	struct room *room = *state;
	struct err e;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct db_rows r;
		assert_true(db_exec(room->db, &r, &e, "SELECT $1, $1 IS NULL", db_i(values[i])));
		assert_int_equal(r.rows, 1);
		assert_int_equal(r.cols, 2);
		assert_true(db_int(&r, 0, 0) == values[i]);
		assert_false(db_is_null(&r, 0, 0));
		assert_int_equal(db_int(&r, 0, 1), 0);
		db_rows_release(&r);
	}
}

static void test_texts(void **state)
{
	static const char *const values[] = {"",
					     "plain",
					     "it's \"quoted\"; DROP TABLE t; --",
					     "Peti\xc3\xa7\xc3\xa3o \xf0\x9f\x93\x84",
					     "line\nbreak\ttab\x01",
					     "$1 ?1 :a @b %s"};
	struct room *room = *state;
	struct err e;
	struct db_rows r;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_true(db_exec(room->db, NULL, &e, "INSERT INTO t (a, b) VALUES ($1, $2)",
				    db_i((int64_t)i), db_s(values[i])));
	assert_true(db_exec(room->db, &r, &e, "SELECT b FROM t ORDER BY a"));
	assert_int_equal(r.rows, sizeof values / sizeof *values);
	for (size_t i = 0; i < r.rows; i++) {
		assert_string_equal(db_text(&r, i, 0), values[i]);
		assert_int_equal(r.cells[i].len, strlen(values[i]));
		assert_false(db_is_null(&r, i, 0));
	}
	db_rows_release(&r);
	db_rows_release(&r);
	assert_int_equal(count(room->db), sizeof values / sizeof *values);
}

static void test_null(void **state)
{
	struct room *room = *state;
	struct err e;
	struct db_rows r;
	assert_true(db_exec(room->db, &r, &e, "SELECT $1, $2, NULL, ''", db_s(NULL),
			    (struct db_value){.kind = DB_NULL}));
	for (size_t i = 0; i < 3; i++) {
		assert_true(db_is_null(&r, 0, i));
		assert_int_equal(db_int(&r, 0, i), 0);
		assert_string_equal(db_text(&r, 0, i), "");
	}
	assert_false(db_is_null(&r, 0, 3));
	db_rows_release(&r);
}

static void test_empty_result(void **state)
{
	struct room *room = *state;
	struct err e;
	struct db_rows r;
	assert_true(db_exec(room->db, &r, &e, "SELECT a, b FROM t"));
	assert_int_equal(r.rows, 0);
	assert_int_equal(r.cols, 2);
	db_rows_release(&r);
}

/* The text of a result moves while it grows; the cells must follow. */
static void test_big_result(void **state)
{
	enum { N = 5000 };
	struct room *room = *state;
	struct err e;
	struct db_rows r;
	assert_true(
		db_exec(room->db, &r, &e,
			"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE "
			"i < 4999) SELECT i, 'row ' || i, NULL,"
			" SUBSTR('0123456789012345678901234567890123456789012345678901234567890123"
			"456789012345678901234567890123456789', 1, i % 50 * 2) FROM n"));
	assert_int_equal(r.rows, N);
	for (size_t i = 0; i < N; i++) {
		char want[20];
		snprintf(want, sizeof want, "row %zu", i);
		assert_int_equal(db_int(&r, i, 0), i);
		assert_string_equal(db_text(&r, i, 1), want);
		assert_true(db_is_null(&r, i, 2));
		assert_int_equal(strlen(db_text(&r, i, 3)), i % 50 * 2);
	}
	db_rows_release(&r);
	/* One value of some megabytes, as a stored answer is. */
	char *body = xmalloc(3000001);
	memset(body, 'x', 3000000);
	body[3000000] = '\0';
	assert_true(db_exec(room->db, NULL, &e, "INSERT INTO t (b) VALUES ($1)", db_s(body)));
	assert_true(db_exec(room->db, &r, &e, "SELECT b FROM t"));
	assert_string_equal(db_text(&r, 0, 0), body);
	db_rows_release(&r);
	xfree(body);
}

static void test_changed(void **state)
{
	struct room *room = *state;
	struct err e;
	struct db_rows r;
	for (int i = 0; i < 10; i++)
		add(room->db, i);
	assert_true(db_exec(room->db, &r, &e, "UPDATE t SET b = 'x' WHERE a >= $1", db_i(7)));
	assert_int_equal(r.changed, 3);
	assert_int_equal(r.rows, 0);
	db_rows_release(&r);
	assert_true(db_exec(room->db, &r, &e, "UPDATE t SET b = 'x' WHERE a >= $1", db_i(70)));
	assert_int_equal(r.changed, 0);
	db_rows_release(&r);
	assert_true(db_exec(room->db, &r, &e, "DELETE FROM t WHERE a < $1 RETURNING a", db_i(2)));
	assert_int_equal(r.changed, 2);
	assert_int_equal(r.rows, 2);
	db_rows_release(&r);
	assert_true(
		db_exec(room->db, &r, &e, "INSERT INTO t (a) VALUES ($1), ($2)", db_i(1), db_i(2)));
	assert_int_equal(r.changed, 2);
	db_rows_release(&r);
}

/* A kept statement forgets the arguments of the run before. */
static void test_statement_again(void **state)
{
	struct room *room = *state;
	static const char sql[] = "SELECT $1";
	struct err e;
	struct db_rows r;
	for (int i = 0; i < 300; i++) {
		struct db_value v = i % 3 == 0 ? db_i(i) : i % 3 == 1 ? db_s("text") : db_s(NULL);
		assert_true(db_run(room->db, sql, &v, 1, &r, &e));
		assert_int_equal(r.cells[0].kind, v.kind);
		db_rows_release(&r);
	}
}

/* ---- Errors ---- */

static void test_wrong_sql(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	struct db_rows r;
	assert_false(db_exec(room->db, NULL, &e, "SELEKT 1"));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "SELEKT");
	assert_false(db_exec(room->db, &r, &e, "SELECT nothing FROM t"));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "nothing");
	db_rows_release(&r);
	assert_false(db_exec(room->db, NULL, &e, "INSERT INTO none VALUES (1)"));
	assert_says(&e, "none");
	assert_false(db_run_once(room->db, "CREATE TABLE t (x BIGINT)", &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "already exists");
	assert_int_equal(count(room->db), 0); /* and the connection is as good as before */
}

static void test_constraint(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	static const char insert[] = "INSERT INTO u (a) VALUES ($1)";
	struct db_value one = db_i(1), two = db_i(2);
	assert_true(db_run_once(room->db, "CREATE TABLE u (a BIGINT UNIQUE)", &e));
	assert_true(db_run(room->db, insert, &one, 1, NULL, &e));
	assert_false(db_run(room->db, insert, &one, 1, NULL, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, room->db->ops->exclusive ? "UNIQUE" : "unique");
	assert_true(db_run(room->db, insert, &two, 1, NULL, &e));
}

static void test_addresses(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	assert_null(db_open("oracle://u:hunter2@h/db", DB_WRITE, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "oracle");
	assert_null(strstr(e.text, "hunter2"));
	static const char *const keywords[] = {"host=db password=hunter2", "hunter2",
					       "password=hunter2 options=a://b"};
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
		assert_null(db_open(keywords[i], DB_WRITE, &e)); /* libpq's other form */
		assert_error(&e, ERR_INPUT);
		assert_string_equal(e.text, "database_url: must be sqlite:PATH or postgres://...");
	}
	assert_null(db_driver("sqlite"));
	assert_ptr_equal(db_driver("sqlite:x"), &db_sqlite);
	assert_ptr_equal(db_driver("postgres://h/x"), &db_pg);
	assert_ptr_equal(db_driver("postgresql://h/x"), &db_pg);
	assert_null(db_open("", DB_READ, &e));
	assert_error(&e, ERR_INPUT);
	char *url = xasprintf("sqlite:%s/none/autos.db", room->dir);
	assert_null(db_open(url, DB_WRITE, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "/none/autos.db");
	xfree(url);
	db_close(NULL);
	assert_true(strlen(db_sqlite.library()) > 0);
}

static void test_not_a_database(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	char *path = xasprintf("%s/other.db", room->dir), *url = xasprintf("sqlite:%s", path);
	char text[5000];
	memset(text, 'x', sizeof text);
	scratch_write(path, text, sizeof text);
	assert_null(db_open(url, DB_WRITE, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, path);
	assert_says(&e, "damaged or no database");
	struct db *db = db_open(url, DB_READ, &e);
	if (db) /* a reader may find out later */
		assert_false(db_exec(db, NULL, &e, "SELECT 1 FROM sqlite_master"));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "damaged or no database");
	db_close(db);
	/* It was not changed. */
	char *found = NULL;
	size_t len;
	assert_true(sys_read_file(path, sizeof text, &found, &len, &e));
	assert_int_equal(len, sizeof text);
	assert_memory_equal(found, text, len);
	xfree(found);
	xfree(url);
	xfree(path);
}

/* A mark becomes the driver's own word, however often it stands there. */
static void test_words(void **state)
{
	struct room *room = *state;
	struct err e;
	struct db_ops ops = *room->db->ops;
	ops.serial_key = "S";
	ops.skip_locked = "";
	ops.lock = "L";
	char *text = db_words(&ops, "%SERIAL% a %SKIP_LOCKED%, %SERIAL% %LOCK%");
	assert_string_equal(text, "S a , S L");
	xfree(text);
	assert_null(db_words(&ops, "SELECT 100 % 7"));
	assert_true(db_run_once(room->db, "CREATE TABLE s (id %SERIAL%, a BIGINT)", &e));
	assert_true(db_exec(room->db, NULL, &e, "INSERT INTO s (a) VALUES ($1)", db_i(5)));
	for (int i = 0; i < 2; i++) {
		struct db_rows r;
		assert_true(db_begin(room->db, &e));
		assert_true(db_exec(room->db, &r, &e, "SELECT id FROM s WHERE a = $1 %SKIP_LOCKED%",
				    db_i(5)));
		assert_int_equal(db_int(&r, 0, 0), 1);
		db_rows_release(&r);
		assert_true(db_commit(room->db, &e));
	}
}

/* ---- One writer, many readers ---- */

static void test_second_writer(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	assert_null(db_open(room->url, DB_WRITE, &e));
	assert_error(&e, ERR_BUSY);
	assert_says(&e, room->path);
	assert_says(&e, "another autos process");
	add(room->db, 1); /* the first one goes on */
	db_close(room->db);
	room->db = db_open(room->url, DB_WRITE, &e);
	assert_non_null(room->db);
	assert_int_equal(count(room->db), 1);
}

/* Whoever else has an account on the machine does not read case files, whatever the umask says. */
static void test_private_files(void **state)
{
	(void)state;
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char *dir = scratch_make(), *url = xasprintf("sqlite:%s/private.db", dir);
	struct err e;
	struct stat st;
	mode_t before = umask(022);
	struct db *db = db_open(url, DB_WRITE, &e);
	umask(before);
	assert_non_null(db);
	assert_true(db_exec(db, NULL, &e, "CREATE TABLE private_files (a BIGINT)"));
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		char *path = xasprintf("%s/private.db%s", dir, ends[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		xfree(path);
	}
	db_close(db);
	xfree(url);
	scratch_remove(dir);
}

static void test_reader_sees_committed_rows(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	struct db *reader = db_open(room->url, DB_READ, &e);
	assert_non_null(reader);
	assert_int_equal(count(reader), 0);
	assert_true(db_begin(room->db, &e));
	add(room->db, 1);
	assert_int_equal(count(room->db), 1);
	assert_int_equal(count(reader), 0);
	assert_true(db_commit(room->db, &e));
	assert_int_equal(count(reader), 1);
	/* Inside a transaction the reader stays at one moment. */
	assert_true(db_begin(reader, &e));
	assert_int_equal(count(reader), 1);
	add(room->db, 2);
	assert_int_equal(count(reader), 1);
	assert_true(db_commit(reader, &e));
	assert_int_equal(count(reader), 2);
	db_close(reader);
	add(room->db, 3);
	assert_int_equal(count(room->db), 3);
}

static void test_reader_cannot_write(void **state)
{
	static const char *const writes[] = {"INSERT INTO t (a) VALUES (1)", "DELETE FROM t",
					     "CREATE TABLE u (a BIGINT)", "DROP TABLE t",
					     "UPDATE t SET a = 2"};
	struct room *room = *state;
	struct err e = {0};
	add(room->db, 7);
	struct db *reader = db_open(room->url, DB_READ, &e);
	assert_non_null(reader);
	for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
		e = (struct err){0};
		assert_false(db_run_once(reader, writes[i], &e));
		assert_error(&e, ERR_FAIL);
	}
	db_close(reader);
	assert_int_equal(count(room->db), 1);
}

static void test_reader_without_file(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	char *url = xasprintf("sqlite:%s/none.db", room->dir);
	assert_null(db_open(url, DB_READ, &e));
	assert_error(&e, ERR_ABSENT);
	assert_says(&e, "none.db");
	assert_int_equal(access(url + 7, F_OK), -1);
	xfree(url);
}

/* A reader alone: the writer is gone, its last rows are there. */
static void test_reader_alone(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	add(room->db, 7);
	db_close(room->db);
	room->db = NULL;
	struct db *reader = db_open(room->url, DB_READ, &e);
	assert_non_null(reader);
	assert_int_equal(count(reader), 1);
	/* And it is in nobody's way. */
	struct db *writer = db_open(room->url, DB_WRITE, &e);
	assert_non_null(writer);
	add(writer, 8);
	assert_int_equal(count(reader), 2);
	db_close(writer);
	assert_int_equal(count(reader), 2);
	db_close(reader);
}

/* ---- Transactions ---- */

static void test_commit_and_rollback(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	assert_true(db_begin(room->db, &e));
	assert_true(room->db->in_transaction);
	add(room->db, 1);
	assert_true(db_commit(room->db, &e));
	assert_false(room->db->in_transaction);
	assert_true(db_begin(room->db, &e));
	add(room->db, 2);
	db_rollback(room->db);
	assert_false(room->db->in_transaction);
	assert_int_equal(count(room->db), 1);
	db_rollback(room->db); /* nothing to undo */
	/* What was not committed is gone with the connection. */
	assert_true(db_begin(room->db, &e));
	add(room->db, 3);
	db_close(room->db);
	room->db = db_open(room->url, DB_WRITE, &e);
	assert_non_null(room->db);
	assert_int_equal(count(room->db), 1);
}

static void test_refused_commit(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	assert_true(db_run_once(room->db, "CREATE TABLE parent (id BIGINT PRIMARY KEY)", &e));
	assert_true(db_run_once(room->db,
				"CREATE TABLE child (p BIGINT REFERENCES parent(id) DEFERRABLE "
				"INITIALLY DEFERRED)",
				&e));
	assert_true(db_begin(room->db, &e));
	add(room->db, 1);
	assert_true(db_exec(room->db, NULL, &e, "INSERT INTO child VALUES (99)"));
	assert_false(db_commit(room->db, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, database_server ? "foreign key" : "FOREIGN KEY");
	assert_false(room->db->in_transaction);
	assert_int_equal(count(room->db), 0);
	assert_true(db_begin(room->db, &e));
	add(room->db, 2);
	assert_true(db_commit(room->db, &e));
	assert_int_equal(count(room->db), 1);
}

/* ---- Notes ---- */

static void note(struct db *db, enum db_note_kind kind, int64_t process, int64_t job)
{
	db_note(db, (struct db_note){kind, process, job});
}

static void test_notes(void **state)
{
	struct room *r = *state;
	struct err e;
	note(r->db, NOTE_CHANGED, 1, 1);
	assert_int_equal(r->db->nnotes, 0); /* not in a transaction */
	assert_true(db_begin(r->db, &e));
	note(r->db, NOTE_CHANGED, 1, 1);
	note(r->db, NOTE_CHANGED, 1, 1);
	assert_int_equal(r->db->nnotes, 1);
	note(r->db, NOTE_READY, 1, 1);
	note(r->db, NOTE_READY, 2, 1);
	note(r->db, NOTE_READY, 2, 2);
	note(r->db, NOTE_CHANGED, 1, 1);
	assert_int_equal(r->db->nnotes, 5);
	assert_true(db_commit(r->db, &e));
	assert_int_equal(r->db->nnotes, 5); /* for whoever hands them out */
	assert_int_equal(r->db->notes[3].kind, NOTE_READY);
	assert_int_equal(r->db->notes[3].process_id, 2);
	assert_int_equal(r->db->notes[3].job_id, 2);
	assert_true(db_begin(r->db, &e));
	assert_int_equal(r->db->nnotes, 0);
	for (int i = 0; i < 100; i++)
		note(r->db, NOTE_CHANGED, i, i);
	assert_int_equal(r->db->nnotes, 100);
	db_rollback(r->db);
	assert_int_equal(r->db->nnotes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_integers),
		TEST(test_texts),
		TEST(test_null),
		TEST(test_empty_result),
		TEST(test_big_result),
		TEST(test_changed),
		TEST(test_statement_again),
		TEST(test_wrong_sql),
		TEST(test_constraint),
		TEST(test_words),
		TEST(test_reader_sees_committed_rows),
		TEST(test_reader_cannot_write),
		TEST(test_commit_and_rollback),
		TEST(test_refused_commit),
		TEST(test_notes),
	};
	const struct CMUnitTest files[] = {
		TEST(test_addresses),     TEST(test_not_a_database),      TEST(test_second_writer),
		TEST(test_private_files), TEST(test_reader_without_file), TEST(test_reader_alone),
	};
	int failed = cmocka_run_group_tests_name("files", files, NULL, NULL);
	return failed + database_run(tests);
}
