/*
 * What only a database server has: connections that are lost, commits whose end nobody heard, locks
 * of others, news, addresses with passwords. Runs where AUTOS_TEST_POSTGRES names a server.
 */
#include "ledger.h"

#include "database.h"

#include <poll.h>
#include <pthread.h>

struct room {
	char *dir, *url;
	struct db *db, *other;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->db = db_open(r->url, DB_WRITE, &e);
	r->other = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
	assert_non_null(r->other);
	assert_true(db_exec(r->db, NULL, &e, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)"));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	db_close(r->other);
	scratch_remove(r->dir);
	database_drop(r->url);
	xfree(r);
	return 0;
}

static bool add(struct db *db, int64_t a, struct err *e)
{
	return db_exec(db, NULL, e, "INSERT INTO t (a) VALUES ($1)", db_i(a));
}

/* Ends the backend of a connection, as an administrator would. */
static void cut(struct room *r, struct db *victim)
{
	struct err e;
	struct db_rows rows;
	int64_t pid = database_int(victim, "SELECT pg_backend_pid()");
	assert_true(db_exec(r->other, &rows, &e, "SELECT pg_terminate_backend(CAST($1 AS INT))",
			    db_i(pid)));
	db_rows_release(&rows);
	struct db_rows gone = {.rows = 1};
	while (gone.rows) {
		db_rows_release(&gone);
		assert_true(db_exec(r->other, &gone, &e,
				    "SELECT 1 FROM pg_stat_activity WHERE pid = $1", db_i(pid)));
	}
	db_rows_release(&gone);
}

/* ---- Connections ---- */

static void test_lost_outside(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	cut(r, r->db);
	assert_false(add(r->db, 1, &e));
	assert_error(&e, ERR_BUSY);
	assert_true(r->db->transient);
	assert_true(add(r->db, 1, &e)); /* on a new one */
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t"), 1);
	assert_false(r->db->transient);
}

static void test_lost_inside(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	assert_true(db_begin(r->db, &e));
	assert_true(add(r->db, 1, &e));
	cut(r, r->db);
	assert_false(add(r->db, 2, &e));
	assert_error(&e, ERR_BUSY);
	/* Not on a new connection either: the transaction is gone. */
	assert_false(add(r->db, 3, &e));
	assert_error(&e, ERR_BUSY);
	assert_false(db_commit(r->db, &e));
	assert_false(r->db->in_transaction);
	assert_true(r->db->transient);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t"), 0);
}

/* Whoever only reads does not notice. */
static void test_lost_reader(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct db *reader = db_open(r->url, DB_READ, &e);
	assert_non_null(reader);
	assert_int_equal(database_int(reader, "SELECT COUNT(*) FROM t"), 0);
	cut(r, reader);
	assert_int_equal(database_int(reader, "SELECT COUNT(*) FROM t"), 0);
	assert_true(db_begin(reader, &e));
	cut(r, reader);
	assert_false(db_exec(reader, NULL, &e, "SELECT 1"));
	assert_error(&e, ERR_FAIL);
	assert_true(reader->transient);
	db_rollback(reader);
	assert_int_equal(database_int(reader, "SELECT COUNT(*) FROM t"), 0);
	db_close(reader);
}

/* Nobody listens, a password in the address, an address that is none: one line, no secret. */
static void test_addresses(void **state)
{
	static const struct {
		const char *url;
		enum err_kind kind;
		const char *says;
	} all[] = {
		{"postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=2", ERR_BUSY, "connect"},
		{"postgres://u:hunter2@[::1/db", ERR_INPUT, "database_url"},
		{"postgresql://u:hunter2@127.0.0.1/db?hunter2=1", ERR_INPUT, "database_url"},
		{"postgres://u:hunter2@127.0.0.1:99999/db", ERR_BUSY, "port"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct err e = {0};
		assert_null(db_open(all[i].url, DB_WRITE, &e));
		assert_error(&e, all[i].kind);
		assert_says(&e, all[i].says);
		assert_null(strstr(e.text, "hunter2"));
	}
}

/* The first host that takes writes is taken. */
static void test_several_hosts(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	const char *host = strstr(r->url, "host=") + 5, *port = strstr(r->url, "port=") + 5;
	char *url = xasprintf("%.*shost=127.0.0.1,%.*s&port=1,%s", (int)(host - 5 - r->url), r->url,
			      (int)strcspn(host, "&"), host, port);
	struct db *db = db_open(url, DB_WRITE, &e);
	if (!db)
		fail_msg("%s", e.text);
	assert_true(add(db, 5, &e));
	db_close(db);
	xfree(url);
}

/* ---- Refusals ---- */

/* A refusal does not repeat the values that were refused. */
static void test_no_values_in_errors(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	static const char insert[] = "INSERT INTO t (a, b) VALUES ($1, $2)";
	assert_true(db_exec(r->db, NULL, &e, insert, db_i(7654321), db_s("Fulano")));
	assert_false(db_exec(r->db, NULL, &e, insert, db_i(7654321), db_s("Fulano")));
	assert_error(&e, ERR_FAIL);
	assert_null(strstr(e.text, "7654321"));
	assert_null(strstr(e.text, "Fulano"));
}

/* Bytes that are no UTF-8 are mended, not refused. */
static void test_mended_text(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct db_rows rows;
	assert_true(db_exec(r->db, &rows, &e, "SELECT $1", db_s("a\xc3\xa7\xff\xc3")));
	assert_string_equal(db_text(&rows, 0, 0), "a\xc3\xa7??");
	db_rows_release(&rows);
}

static const char touch[] = "UPDATE t SET b = $1 WHERE a = $2";

struct behind {
	struct db *db;
	pthread_t thread;
	bool ok;
	struct err e;
};

static void *touch_first(void *arg)
{
	struct behind *b = arg;
	b->ok = db_exec(b->db, NULL, &b->e, touch, db_s("y"), db_i(1));
	return NULL;
}

/* Waits until somebody waits for a lock. */
static void await_waiter(struct room *r)
{
	struct err e;
	struct db *db = db_open(r->url, DB_READ, &e);
	assert_non_null(db);
	while (!database_int(db,
			     "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
			     " AND datname = current_database()"))
		;
	db_close(db);
}

static void test_deadlock(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct behind other = {.db = r->other};
	assert_true(add(r->db, 1, &e) && add(r->db, 2, &e));
	assert_true(db_begin(r->db, &e) && db_begin(r->other, &e));
	assert_true(db_exec(r->other, NULL, &e, "SET LOCAL deadlock_timeout = '1min'"));
	assert_true(db_exec(r->db, NULL, &e, touch, db_s("x"), db_i(1)));
	assert_true(db_exec(r->other, NULL, &e, touch, db_s("x"), db_i(2)));
	assert_int_equal(pthread_create(&other.thread, NULL, touch_first, &other), 0);
	await_waiter(r);
	assert_false(db_exec(r->db, NULL, &e, touch, db_s("y"), db_i(2)));
	assert_error(&e, ERR_BUSY);
	assert_says(&e, "deadlock");
	assert_true(r->db->transient);
	db_rollback(r->db);
	pthread_join(other.thread, NULL);
	assert_true(other.ok);
	assert_true(db_commit(r->other, &e));
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t WHERE b = 'y'"), 1);
}

/* One that takes too long is told from one that was refused. */
static void test_out_of_time(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	assert_true(db_exec(r->db, NULL, &e, "SET statement_timeout = 50"));
	assert_false(db_exec(r->db, NULL, &e, "SELECT pg_sleep(60)"));
	assert_error(&e, ERR_BUSY);
	assert_true(r->db->transient && r->db->out_of_time);
	assert_false(db_exec(r->db, NULL, &e, "SELEKT"));
	assert_false(r->db->transient || r->db->out_of_time);
}

/* ---- Statements that are not awaited ---- */

static void test_lazy(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	r->db->lazy = true;
	assert_true(db_begin(r->db, &e));
	for (int i = 0; i < 500; i++)
		assert_true(add(r->db, i, &e));
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t"), 500);
	assert_true(db_commit(r->db, &e));
	assert_int_equal(database_int(r->other, "SELECT COUNT(*) FROM t"), 500);
	/* A refusal is told by a later statement, by the commit at the latest. */
	for (int later = 0; later < 2; later++) {
		assert_true(db_begin(r->db, &e));
		assert_true(add(r->db, 1000, &e));
		assert_true(add(r->db, 1, &e)); /* is there already */
		e = (struct err){0};
		if (later)
			assert_false(db_exec(r->db, &(struct db_rows){0}, &e, "SELECT 1"));
		else
			assert_false(db_commit(r->db, &e));
		assert_error(&e, ERR_FAIL);
		assert_says(&e, "unique");
		assert_false(r->db->transient);
		db_rollback(r->db);
		assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t"), 500);
	}
	/* Undone without having been heard of. */
	assert_true(db_begin(r->db, &e));
	assert_true(add(r->db, 2000, &e));
	assert_true(db_exec(r->db, NULL, &e, "SELEKT"));
	db_rollback(r->db);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t"), 500);
	assert_true(add(r->db, 3000, &e));
}

/* ---- Commits ---- */

/* Sleeps in the commit of whoever writes a row of number `a` or more. */
static void make_slow_commits(struct room *r)
{
	static const char *const all[] = {
		"CREATE TABLE commit_mark (id BIGINT PRIMARY KEY, at_ms BIGINT, asked BIGINT NOT NULL"
		" DEFAULT 0)",
		"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
		" PERFORM pg_sleep(60); RETURN NULL; END $$",
		"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
		" FOR EACH ROW WHEN (NEW.a >= 1000) EXECUTE FUNCTION slow()",
	};
	struct err e;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		assert_true(db_run_once(r->db, all[i], &e));
	r->db->marks = true;
}

struct commit {
	struct db *db;
	pthread_t thread;
	bool ok;
	struct err e;
};

static void *commit(void *arg)
{
	struct commit *c = arg;
	c->ok = db_commit(c->db, &c->e);
	return NULL;
}

/* The connection breaks while the server works on the commit, which it then gives up. */
static void test_lost_commit(void **state)
{
	struct room *r = *state;
	struct commit c = {.db = r->db};
	struct db_rows rows = {0};
	make_slow_commits(r);
	assert_true(db_begin(r->db, &c.e) && add(r->db, 1, &c.e) && db_commit(r->db, &c.e));
	assert_true(db_begin(r->db, &c.e) && add(r->db, 1000, &c.e));
	assert_int_equal(pthread_create(&c.thread, NULL, commit, &c), 0);
	while (!rows.rows) {
		db_rows_release(&rows);
		assert_true(db_exec(r->other, &rows, &c.e,
				    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
				    " WHERE query = 'COMMIT' AND wait_event = 'PgSleep'"
				    " AND datname = current_database()"));
	}
	db_rows_release(&rows);
	pthread_join(c.thread, NULL);
	assert_false(c.ok);
	assert_error(&c.e, ERR_BUSY);
	assert_true(r->db->transient);
	assert_true(r->db->doubt == 0);
	assert_int_equal(database_int(r->other, "SELECT COUNT(*) FROM t"), 1);
	/* It goes on, and leaves no more marks than it needs: the last one, and one of the loss. */
	for (int i = 2; i < 6; i++)
		assert_true(db_begin(r->db, &c.e) && add(r->db, i, &c.e) && db_commit(r->db, &c.e));
	assert_int_equal(database_int(r->other, "SELECT COUNT(*) FROM commit_mark"), 2);
	/* Who changed nothing leaves none. */
	int64_t mark = database_int(r->other, "SELECT MAX(id) FROM commit_mark");
	assert_true(db_begin(r->db, &c.e));
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t"), 5);
	assert_true(db_commit(r->db, &c.e));
	assert_true(database_int(r->other, "SELECT MAX(id) FROM commit_mark") == mark);
}

/* A question about a commit that was not there makes sure that it never will be. */
static void test_doubt(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	static const char mark[] = "INSERT INTO commit_mark (id, at_ms) VALUES ($1, 1)";
	make_slow_commits(r);
	for (int i = 0; i < 2; i++) { /* again: the answer was lost */
		r->db->doubt = 77;
		assert_true(r->db->ops->settle(r->db, &e));
		assert_true(r->db->doubt == 0);
		assert_int_equal(database_int(r->db, "SELECT asked FROM commit_mark WHERE id = 77"),
				 1);
	}
	assert_true(db_begin(r->other, &e));
	assert_false(db_exec(r->other, NULL, &e, mark, db_i(77)));
	db_rollback(r->other);
	assert_true(db_exec(r->other, NULL, &e, mark, db_i(78)));
	r->db->doubt = 78;
	assert_true(r->db->ops->settle(r->db, &e));
	assert_int_equal(database_int(r->db, "SELECT asked FROM commit_mark WHERE id = 78"), 0);
}

/* ---- News ---- */

static void test_await(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	bool told = true;
	assert_true(r->db->ops->listen(r->db, "autos_test", &e));
	assert_true(r->db->ops->await(r->db, -1, 0, &told, &e));
	assert_false(told);
	assert_true(db_exec(r->other, NULL, &e, "NOTIFY autos_test"));
	assert_true(r->db->ops->await(r->db, -1, 60000, &told, &e));
	assert_true(told);
	/* It listens again after its connection was lost. */
	cut(r, r->db);
	while (r->db->ops->await(r->db, -1, 60000, &told, &e))
		;
	assert_error(&e, ERR_BUSY);
	assert_true(r->db->ops->await(r->db, -1, 0, &told, &e));
	assert_true(db_exec(r->other, NULL, &e, "NOTIFY autos_test"));
	assert_true(r->db->ops->await(r->db, -1, 60000, &told, &e));
	assert_true(told);
}

/* ---- The ledger on it ---- */

enum { THREADS = 8, WRITES = 60 };

struct storm {
	struct ledger *ledger;
	pthread_t thread;
	int64_t number, failed;
};

/* Two rows of everybody's, in an order that makes deadlocks, and one of its own. */
static bool write_rows(struct db *db, void *arg, struct err *e)
{
	struct storm *s = arg;
	int64_t first = s->number % 2;
	struct db_rows r = {0};
	bool ok = db_exec(db, &r, e, touch, db_s("x"), db_i(first));
	db_rows_release(&r);
	ok = ok && db_exec(db, &r, e, touch, db_s("x"), db_i(1 - first));
	db_rows_release(&r);
	return ok && db_exec(db, NULL, e, "INSERT INTO t (a) VALUES ($1)", db_i(s->number));
}

static void *write_many(void *arg)
{
	struct storm *s = arg;
	struct err e;
	int64_t base = s->number;
	for (int i = 0; i < WRITES; i++) {
		s->number = base + i;
		if (!ledger_write(s->ledger, write_rows, s, &e)) {
			print_error("%s\n", e.text);
			s->failed++;
		}
	}
	return NULL;
}

/* Deadlocks between the two connections, and connections that are cut: everything that was told to
 * be written is there, once. */
static void test_storm(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct storm s[THREADS];
	/* A name of its own: other programs use the server too. */
	char *url = xasprintf("%s&application_name=storm%d", r->url, (int)getpid());
	char *cuts = xasprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
			       " application_name = 'storm%d' AND (query LIKE 'UPDATE t SET%%' OR"
			       " query = 'COMMIT')",
			       (int)getpid());
	struct ledger *l = ledger_open(url, &e);
	assert_non_null(l);
	assert_true(add(r->db, 0, &e) && add(r->db, 1, &e));
	for (int i = 0; i < THREADS; i++) {
		s[i] = (struct storm){.ledger = l, .number = 1000 * (i + 1)};
		assert_int_equal(pthread_create(&s[i].thread, NULL, write_many, &s[i]), 0);
	}
	for (int i = 0; i < 20; i++) {
		poll(NULL, 0, 20);
		assert_true(db_run_once(r->other, cuts, &e));
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(s[i].thread, NULL), 0);
		assert_int_equal(s[i].failed, 0);
	}
	ledger_close(l);
	xfree(url);
	xfree(cuts);
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) FROM t"), 2 + THREADS * WRITES);
}

struct slow {
	struct write write;
	bool slow;
	_Atomic int runs, done;
};

static bool write_slowly(struct db *db, void *arg, struct err *e)
{
	struct slow *s = arg;
	s->runs++;
	return !s->slow || (db_exec(db, NULL, e, "SET LOCAL statement_timeout = 100") &&
			    db_exec(db, NULL, e, "SELECT pg_sleep(60)"));
}

static void note_done(struct write *w)
{
	struct slow *s = w->owner;
	s->done++;
}

/* Whoever takes too long fails alone, whatever group he is in. */
static void test_slow_member(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct slow s[20] = {0};
	struct ledger *l = ledger_open(r->url, &e);
	assert_non_null(l);
	for (size_t i = 0; i < 20; i++) {
		s[i].slow = i == 7;
		s[i].write = (struct write){
			.fn = write_slowly, .arg = &s[i], .done = note_done, .owner = &s[i]};
		ledger_submit(l, &s[i].write);
	}
	ledger_close(l);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(s[i].done, 1);
		assert_true(s[i].write.ok == (i != 7));
	}
	assert_error(&s[7].write.err, ERR_FAIL);
	assert_int_equal(s[7].runs, 2);
}

/* Many processes migrate one new database at the same moment. */
static void *migrate(void *arg)
{
	struct err e = {0};
	struct ledger *l = ledger_open(arg, &e);
	if (!l)
		print_error("%s\n", e.text);
	ledger_close(l);
	return l;
}

static void test_migrate_together(void **state)
{
	struct room *r = *state;
	pthread_t t[6];
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&t[i], NULL, migrate, r->url), 0);
	for (size_t i = 0; i < 6; i++) {
		void *ok;
		assert_int_equal(pthread_join(t[i], &ok), 0);
		assert_non_null(ok);
	}
	assert_int_equal(database_int(r->db, "SELECT COUNT(*) - MAX(version) FROM schema_version"),
			 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lost_outside),  TEST(test_lost_inside),
		TEST(test_lost_reader),   TEST(test_addresses),
		TEST(test_several_hosts), TEST(test_no_values_in_errors),
		TEST(test_mended_text),   TEST(test_deadlock),
		TEST(test_out_of_time),   TEST(test_lazy),
		TEST(test_lost_commit),   TEST(test_doubt),
		TEST(test_await),         TEST(test_storm),
		TEST(test_slow_member),   TEST(test_migrate_together),
	};
	const struct CMUnitTest nothing[] = {cmocka_unit_test(test_addresses)};
	database_server = getenv("AUTOS_TEST_POSTGRES");
	return database_server ? cmocka_run_group_tests(tests, NULL, NULL)
			       : cmocka_run_group_tests(nothing, NULL, NULL);
}
