/*
 * An installation that moves from one database to another. From and to PostgreSQL where
 * AUTOS_TEST_POSTGRES names a server; from SQLite to SQLite everywhere.
 */
#include "copy.h"
#include "fleet.h"

#include "jobs.h"

/* A life of cases, keys and answers, so that every table has rows. */
static void live(struct db *db)
{
	static const char *const more[] = {
		"INSERT INTO batch (user_id, created_ms) VALUES (1, 5)",
		"INSERT INTO batch_item (batch_id, position, number, job_id) VALUES (1, 1, 'x', 1)",
		"INSERT INTO erasure (number, at_ms) VALUES ('y', 5)",
		"INSERT INTO app_user (username, role, created_ms, updated_ms)"
		" VALUES ('jo\xc3\xa3o', 'admin', 1, 2)",
		"INSERT INTO api_key (user_id, hash, hint, created_ms) VALUES (1, 'h', 'i', 3)",
		"INSERT INTO secret (name, value) VALUES ('link', 'v')",
		"INSERT INTO idempotency (user_id, idem_key, fingerprint, created_ms, location)"
		" VALUES (1, 'k', 'f', 4, NULL), (1, 'l', '', 4, '/x')",
		"INSERT INTO job_webhook (job_id, url, user_id, thin, created_ms, delivered_ms)"
		" VALUES (1, 'https://x/', 1, 0, 1, 0), (1, 'https://x/', 2, 1, 1, 9)",
		"INSERT INTO webhook_target (origin, due_ms, created_ms) VALUES ('https://x:443', 7, 1)",
		"INSERT INTO delivery (event_id, job_id, process_id, target_id, user_id, url, thin, seq,"
		" job_state, outcome, job_error, total, available, failed, finished_ms, state, round_ms,"
		" next_ms, created_ms) VALUES ('msg_1', 1, 1, 1, 1, 'https://x/', 0, 3, 'failed',"
		" 'partial', '1 of 2', 2, 1, 1, 8, 'pending', 8, 9, 8)",
		"INSERT INTO delivery_attempt (delivery_id, n, manual, at_ms, duration_ms, address, status,"
		" class, error, answer, why, next_ms) VALUES (1, 1, 0, 8, 2, '192.0.2.1:443', 500, 'http',"
		" '', 'no', 'HTTP 500', 9)",
		"INSERT INTO webhook_secret (user_id, kind, value, created_ms)"
		" VALUES (1, 'hmac', 'whsec_x', 1)",
	};
	struct err e;
	struct job_lease l = listed(db);
	struct doc_result results[] = {got(db, "a"), lost(db, "b", DOC_REASON_DENIED)};
	assert_true(record(db, &l, results, 2));
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		assert_true(db_run_once(db, more[i], &e));
	for (int i = 0; i < 1200; i++) { /* some pages */
		char digits[21];
		snprintf(digits, sizeof digits, "%020d", i + 1);
		struct job_ticket t;
		assert_true(db_begin(db, &e));
		assert_true(
			job_request(db, &(struct job_ask){.number = digits, .now_ms = i}, &t, &e));
		assert_true(db_commit(db, &e));
	}
}

static bool interrupt(void *arg, const struct copy_progress *p)
{
	int *left = arg;
	(void)p;
	return --*left > 0;
}

/* Two fresh databases. */
struct way {
	char *urls[2];
	struct db *from, *to;
};

/* Nobody copies twice by the same connections. */
static void open_way(struct way *w)
{
	struct err e;
	db_close(w->from);
	db_close(w->to);
	w->from = db_open(w->urls[0], DB_WRITE, &e);
	w->to = db_open(w->urls[1], DB_WRITE, &e);
	assert_non_null(w->from);
	assert_non_null(w->to);
	assert_true(schema_migrate(w->from, NULL, &e) && schema_migrate(w->to, NULL, &e));
}

typedef void move_fn(struct way *w);

/* From either kind to either kind. */
static void each_way(move_fn *fn)
{
	const char *server = database_server;
	char *dirs[] = {scratch_make(), scratch_make()};
	for (int way = 0; way < (server ? 4 : 1); way++) {
		struct way w = {0};
		for (int i = 0; i < 2; i++) {
			database_server = way >> i & 1 ? server : NULL;
			w.urls[i] = database_server ? database_make(dirs[i])
						    : xasprintf("sqlite:%s/%d.db", dirs[i], way);
		}
		open_way(&w);
		fn(&w);
		db_close(w.from);
		db_close(w.to);
		for (int i = 0; i < 2; i++) {
			database_server = way >> i & 1 ? server : NULL;
			database_drop(w.urls[i]);
		}
	}
	database_server = server;
	scratch_remove(dirs[0]);
	scratch_remove(dirs[1]);
}

/* Looks at each page. */
struct watched {
	struct db *to;
	const char *table; /* whose pages are measured */
	int64_t before, largest, pages;
	const char *slip_in; /* SQL for the target, once while this is compared */
	bool slipped;
};

static bool watch_page(void *arg, const struct copy_progress *p)
{
	struct watched *w = arg;
	struct err e;
	if (strcmp(p->table, w->table) != 0)
		return true;
	if (p->comparing && w->slip_in && !w->slipped) {
		w->slipped = true;
		assert_true(db_run_once(w->to, w->slip_in, &e));
	}
	if (p->comparing)
		return true;
	int64_t rows = p->rows - w->before;
	w->before = p->rows;
	w->pages++;
	w->largest = rows > w->largest ? rows : w->largest;
	return true;
}

/* What is held of a table with large values is bounded by bytes. */
static void move_large(struct way *w)
{
	enum { ROWS = 21, SIZE = 3 << 20 };
	struct err e = {0};
	int64_t rows;
	struct watched seen = {.to = w->to, .table = "answer"};
	char *body = xmalloc(SIZE + 1);
	memset(body, 'x', SIZE);
	body[SIZE] = '\0';
	assert_true(db_run_once(w->from,
				"INSERT INTO process (number, created_ms, updated_ms)"
				" VALUES ('a', 1, 1)",
				&e));
	for (int i = 0; i < ROWS; i++) {
		char call[20];
		snprintf(call, sizeof call, "call %02d", i);
		assert_true(db_exec(w->from, NULL, &e,
				    "INSERT INTO answer (process_id, call, body, received_ms)"
				    " VALUES (1, $1, $2, 1)",
				    db_s(call), db_s(i == 7 ? "short" : body)));
	}
	xfree(body);
	if (!copy_run(
		    &(struct copy_options){
			    .from = w->from, .to = w->to, .on_progress = watch_page, .arg = &seen},
		    &rows, &e))
		fail_msg("%s", e.text);
	assert_int_equal(seen.before, ROWS);
	assert_in_range(seen.largest, 2, 3);
	assert_int_equal(database_int(w->to, "SELECT COUNT(*) FROM answer"), ROWS);
}

/* A row too many in the target is found, in a page that is there and behind the last one. */
static void move_beside(struct way *w)
{
	static const char *const extra[] = {
		"INSERT INTO secret (name, value) VALUES ('00000', 'x')",
		"INSERT INTO secret (name, value) VALUES ('zzzzz', 'x')",
	};
	struct err e = {0};
	int64_t rows;
	for (int i = 0; i < 1024; i++) { /* two pages, to the last row */
		char name[20];
		snprintf(name, sizeof name, "%05d", i + 1);
		assert_true(db_exec(w->from, NULL, &e,
				    "INSERT INTO secret (name, value) VALUES ($1, 'v')",
				    db_s(name)));
	}
	for (int i = 0; i < 2; i++) {
		struct watched seen = {.to = w->to, .table = "secret", .slip_in = extra[i]};
		assert_false(copy_run(&(struct copy_options){.from = w->from,
							     .to = w->to,
							     .on_progress = watch_page,
							     .arg = &seen},
				      &rows, &e));
		assert_true(seen.slipped);
		assert_int_equal(seen.pages, 2);
		assert_error(&e, ERR_FAIL);
		assert_says(&e, "table secret: 1024 rows here, more in the target");
		assert_int_equal(database_int(w->to, "SELECT COUNT(*) FROM secret"), 0);
		open_way(w);
	}
}

/* Where processes run nothing is moved. */
static void move_alive(struct way *w)
{
	static const char *const which[] = {"source", "target"};
	struct err e = {0};
	int64_t rows, now;
	for (int i = 0; i < 2; i++) {
		struct db *db = i ? w->to : w->from;
		if (db->ops->exclusive)
			continue;
		assert_true(fleet_now(db, &now, &e));
		assert_true(fleet_beat(db, "me", "worker", now, now + 60000, &e));
		assert_true(fleet_beat(db, "dead", "worker", now, now - 1, &e));
		assert_false(
			copy_run(&(struct copy_options){.from = w->from, .to = w->to}, &rows, &e));
		assert_error(&e, ERR_BUSY);
		assert_says(&e, "is in use by 1 autos processes: stop all of them first");
		assert_says(&e, which[i]);
		assert_true(fleet_leave(db, "me", &e));
		open_way(w);
	}
	if (!copy_run(&(struct copy_options){.from = w->from, .to = w->to}, &rows, &e))
		fail_msg("%s", e.text);
}

static void test_move_large(void **state)
{
	(void)state;
	each_way(move_large);
}

static void test_move_beside(void **state)
{
	(void)state;
	each_way(move_beside);
}

static void test_move_alive(void **state)
{
	(void)state;
	each_way(move_alive);
}

static void move_whole(struct way *w)
{
	struct err e = {0};
	int64_t rows;
	char before[65], after[65], there[65];
	live(w->from);
	fingerprint(w->from, before);
	/* Stopped at any page, it leaves nothing. */
	for (int at = 1; at < 12; at += 5) {
		int left = at;
		assert_false(copy_run(&(struct copy_options){.from = w->from,
							     .to = w->to,
							     .on_progress = interrupt,
							     .arg = &left},
				      &rows, &e));
		assert_error(&e, ERR_BUSY);
		assert_int_equal(database_int(w->to, "SELECT COUNT(*) FROM process"), 0);
		open_way(w);
	}
	if (!copy_run(&(struct copy_options){.from = w->from, .to = w->to}, &rows, &e))
		fail_msg("%s", e.text);
	assert_true(rows > 3600);
	fingerprint(w->from, after);
	fingerprint(w->to, there);
	assert_string_equal(before, after);
	assert_string_equal(before, there);
	/* New rows get new numbers. */
	struct job_ticket t;
	assert_true(STEP(w->to, job_request(w->to, &(struct job_ask){.number = OTHER, .now_ms = 9},
					    &t, &e)));
	assert_int_equal(t.job_id, database_int(w->to, "SELECT MAX(id) FROM job"));
	/* A second time there is no room for it. */
	open_way(w);
	assert_false(copy_run(&(struct copy_options){.from = w->from, .to = w->to}, &rows, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "process");
}

static void test_move(void **state)
{
	(void)state;
	each_way(move_whole);
}

/* No table is forgotten: each is copied, or is of no use elsewhere. */
static void test_all_tables(void **state)
{
	static const char *const left[] = {"schema_version",  "node",       "leader",
					   "change",          "quota",      "quota_share",
					   "sqlite_sequence", "commit_mark"};
	(void)state;
	char *dir = scratch_make(), *url = xasprintf("sqlite:%s/a.db", dir);
	struct err e;
	struct db_rows r;
	struct db *db = db_open(url, DB_WRITE, &e);
	assert_true(schema_migrate(db, NULL, &e));
	assert_true(db_exec(db, &r, &e, "SELECT name FROM sqlite_master WHERE type = 'table'"));
	for (size_t i = 0; i < r.rows; i++) {
		bool known = false;
		for (size_t k = 0; k < sizeof left / sizeof *left; k++)
			known = known || strcmp(left[k], db_text(&r, i, 0)) == 0;
		for (size_t k = 0; copy_tables[k]; k++)
			known = known || strcmp(copy_tables[k], db_text(&r, i, 0)) == 0;
		if (!known)
			fail_msg("copy.c does not know the table %s", db_text(&r, i, 0));
	}
	db_rows_release(&r);
	db_close(db);
	xfree(url);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_move),        cmocka_unit_test(test_move_large),
		cmocka_unit_test(test_move_beside), cmocka_unit_test(test_move_alive),
		cmocka_unit_test(test_all_tables),
	};
	database_server = getenv("AUTOS_TEST_POSTGRES");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
