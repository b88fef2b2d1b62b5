/*
 * db_pg - PostgreSQL: statements, their arguments and results. With db_pg_open.c and db_pg_commit.c
 * the only room that includes libpq.
 *
 * The connection is always in pipeline mode (PostgreSQL manual, 34.5): a statement whose result
 * nobody takes is sent without waiting when the transaction is `lazy`, so that a group of writes
 * costs few round trips. Every wait has an end, the server's (statement_timeout) first.
 */
#include "db_pg.h"

#include "sys.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS_MAX = 32, NUMBER_SIZE = 24 };

/* Types of columns and arguments (pg_type.oid; they never change). */
enum {
	OID_NONE = 0,
	OID_BOOL = 16,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_NUMERIC = 1700, /* a sum of integers */
};

static const char *library(void)
{
	static _Thread_local char name[24];
	int v = PQlibVersion();
	snprintf(name, sizeof name, "%d.%d", v / 10000, v % 10000);
	return name;
}

/* ---- Waiting ---- */

/* Moves bytes both ways until a result can be taken without waiting. */
static bool await_result(struct db_pg *db, int64_t end, struct err *e)
{
	for (;;) {
		int left = PQflush(db->link);
		if (left < 0)
			return pg_lost(db, "sending", e);
		if (!left && !PQisBusy(db->link))
			return true;
		struct pollfd p = {.fd = PQsocket(db->link),
				   .events = (short)(POLLIN | (left ? POLLOUT : 0))};
		int64_t ms = end - sys_mono_ms();
		int n = ms > 0 ? poll(&p, 1, (int)ms) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			pg_drop(db);
			db->base.transient = true;
			return fail(e, pg_away(db), "database: no answer in time");
		}
		if (!PQconsumeInput(db->link))
			return pg_lost(db, "receiving", e);
	}
}

/* ---- Results ---- */

/* Text is collected by offset, kept in `i`, until all rows are there and `text` moves no more. */
static void add_text(struct db_rows *r, struct db_value *v, const char *s, size_t n)
{
	if (r->text_len + n + 1 > r->text_cap) {
		r->text_cap = (r->text_len + n + 1) * 2;
		r->text = xrealloc(r->text, r->text_cap);
	}
	memcpy(r->text + r->text_len, s, n);
	r->text[r->text_len + n] = '\0';
	*v = (struct db_value){.kind = DB_TEXT, .i = (int64_t)r->text_len, .len = n};
	r->text_len += n + 1;
}

static void add_cell(struct db_rows *r, const PGresult *from, int row, int col)
{
	struct db_value *v = &r->cells[(size_t)row * r->cols + (size_t)col];
	*v = (struct db_value){.kind = DB_NULL};
	if (PQgetisnull(from, row, col))
		return;
	const char *s = PQgetvalue(from, row, col);
	switch (PQftype(from, col)) {
	case OID_BOOL:
		*v = (struct db_value){.kind = DB_INT, .i = *s == 't'};
		break;
	case OID_INT8:
	case OID_INT4:
	case OID_INT2:
	case OID_NUMERIC:
		*v = (struct db_value){.kind = DB_INT, .i = strtoll(s, NULL, 10)};
		break;
	default:
		add_text(r, v, s, (size_t)PQgetlength(from, row, col));
	}
}

static void copy_rows(struct db_rows *r, const PGresult *from)
{
	r->rows = (size_t)PQntuples(from);
	r->cols = (size_t)PQnfields(from);
	r->cap = r->rows * r->cols;
	r->cells = xcalloc(r->cap, sizeof *r->cells);
	for (int row = 0; row < (int)r->rows; row++)
		for (int col = 0; col < (int)r->cols; col++)
			add_cell(r, from, row, col);
	for (size_t i = 0; i < r->cap; i++)
		if (r->cells[i].kind == DB_TEXT) {
			r->cells[i].s = r->text + r->cells[i].i;
			r->cells[i].i = 0;
		}
	r->changed = strtoll(PQcmdTuples((PGresult *)(uintptr_t)from), NULL, 10);
}

/* One answer. The first refusal is the error; what was skipped for it says nothing. */
static void take_result(struct db_pg *db, const struct pg_sent *s, const PGresult *r,
			struct db_rows *out, bool *ok, struct err *e)
{
	ExecStatusType status = PQresultStatus(r);
	if (s->kind == PG_SENT_SYNC)
		return;
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
		if (out && s->kind == PG_SENT_RUN)
			copy_rows(out, r);
		return;
	}
	if (s->kind == PG_SENT_PREPARE)
		s->statement->prepared = false;
	if (*ok && status != PGRES_PIPELINE_ABORTED)
		*ok = pg_refused(db, r, e);
}

/* Takes the answers to all that was sent; `out` gets the last statement's. */
static bool take_all(struct db_pg *db, struct db_rows *out, int64_t limit_ms, struct err *e)
{
	bool ok = true;
	int64_t end = sys_mono_ms() + limit_ms;
	for (size_t i = 0; i < db->nsent && db->link;) {
		const struct pg_sent s = db->sent[i];
		bool last = i + 2 == db->nsent;
		if (!await_result(db, end, e))
			return false;
		PGresult *r = PQgetResult(db->link);
		if (r)
			take_result(db, &s, r, last ? out : NULL, &ok, e);
		if (!r || PQresultStatus(r) == PGRES_PIPELINE_SYNC)
			i++; /* each statement's answers end with a NULL, a sync is alone */
		PQclear(r);
	}
	db->nsent = 0;
	if (db->link && PQstatus(db->link) != CONNECTION_OK)
		return ok ? pg_lost(db, "statement", e) : (pg_drop(db), false);
	return ok;
}

/* ---- Sending ---- */

static struct pg_statement *find(struct db_pg *db, const char *sql, uint64_t types)
{
	size_t at = (size_t)((((uintptr_t)sql >> 3) ^ types) % PG_STATEMENTS);
	for (size_t i = 0; i < PG_STATEMENTS; i++, at = (at + 1) % PG_STATEMENTS) {
		struct pg_statement *s = &db->statements[at];
		if (s->sql == sql && s->types == types)
			return s;
		if (!s->sql) {
			s->sql = sql;
			s->types = types;
			return s;
		}
	}
	die("db_pg: more than %d different statements", PG_STATEMENTS);
}

static void note_sent(struct db_pg *db, int kind, struct pg_statement *s)
{
	assert(db->nsent < sizeof db->sent / sizeof *db->sent);
	db->sent[db->nsent++] = (struct pg_sent){.kind = kind, .statement = s};
}

static bool send_prepare(struct db_pg *db, struct pg_statement *s, const char *name,
			 const struct db_value *args, size_t nargs)
{
	Oid types[ARGS_MAX];
	for (size_t i = 0; i < nargs; i++)
		types[i] = args[i].kind == DB_INT    ? OID_INT8
			   : args[i].kind == DB_TEXT ? OID_TEXT
						     : OID_NONE; /* the server finds out */
	char *words = db_words(db->base.ops, s->sql);
	bool ok = PQsendPrepare(db->link, name, words ? words : s->sql, (int)nargs, types) == 1;
	xfree(words);
	s->prepared = ok;
	note_sent(db, PG_SENT_PREPARE, s);
	return ok;
}

/* PostgreSQL refuses text that is no UTF-8; what is wrong becomes '?'. NULL: all is well. */
static char *mended(const struct db_value *v)
{
	if (utf8_valid(v->s))
		return NULL;
	char *copy = xstrndup(v->s, v->len);
	for (const unsigned char *s = (const unsigned char *)copy, *at = s; *s; at = s)
		if (utf8_next(&s) == 0)
			*(unsigned char *)(uintptr_t)at = '?';
	return copy;
}

static uint64_t types_of(const struct db_value *args, size_t nargs)
{
	uint64_t types = 0;
	for (size_t i = 0; i < nargs; i++)
		types = types << 2 | (args[i].kind == DB_NULL ? 1 : args[i].kind == DB_INT ? 2 : 3);
	return types;
}

static bool send_run(struct db_pg *db, const char *sql, const struct db_value *args, size_t nargs)
{
	char numbers[ARGS_MAX][NUMBER_SIZE], name[32], *mends[ARGS_MAX] = {NULL};
	const char *values[ARGS_MAX];
	assert(nargs <= ARGS_MAX);
	struct pg_statement *s = find(db, sql, types_of(args, nargs));
	snprintf(name, sizeof name, "s%td", s - db->statements);
	bool ok = s->prepared || send_prepare(db, s, name, args, nargs);
	for (size_t i = 0; i < nargs; i++) {
		values[i] = NULL;
		if (args[i].kind == DB_INT) {
			snprintf(numbers[i], NUMBER_SIZE, "%" PRId64, args[i].i);
			values[i] = numbers[i];
		} else if (args[i].kind == DB_TEXT) {
			mends[i] = mended(&args[i]);
			values[i] = mends[i] ? mends[i] : args[i].s;
		}
	}
	ok = ok && PQsendQueryPrepared(db->link, name, (int)nargs, values, NULL, NULL, 0) == 1;
	for (size_t i = 0; i < nargs; i++)
		xfree(mends[i]);
	if (ok)
		note_sent(db, PG_SENT_RUN, s);
	return ok;
}

static bool sync_up(struct db_pg *db, struct db_rows *out, int64_t limit_ms, struct err *e)
{
	if (PQpipelineSync(db->link) != 1)
		return pg_lost(db, "sending", e);
	note_sent(db, PG_SENT_SYNC, NULL);
	return take_all(db, out, limit_ms, e);
}

/* A connection, and one that this transaction began on. */
static bool have_link(struct db_pg *db, struct err *e)
{
	if (!db->base.in_transaction)
		return pg_connect(db, e);
	if (db->link)
		return true;
	db->base.transient = true;
	return fail(e, pg_away(db), "database: the connection was lost");
}

bool pg_run(struct db_pg *db, const char *sql, const struct db_value *args, size_t nargs,
	    struct db_rows *out, struct err *e)
{
	if (!have_link(db, e))
		return false;
	bool waits =
		out || !db->base.in_transaction || !db->base.lazy || db->nsent >= PG_UNSYNCED_MAX;
	if (!send_run(db, sql, args, nargs))
		return pg_lost(db, "sending", e);
	return !waits || sync_up(db, out, PG_ANSWER_MS, e);
}

/* Forgets what was sent and not awaited: the transaction is undone anyway. */
static bool roll_back(struct db_pg *db, struct err *e)
{
	struct err ignored;
	if (db->link && db->nsent && !sync_up(db, NULL, PG_ANSWER_MS, &ignored) && !db->link)
		return true; /* gone with the connection */
	return !db->link || (send_run(db, "ROLLBACK", NULL, 0) ? sync_up(db, NULL, PG_ANSWER_MS, e)
							       : pg_lost(db, "sending", e));
}

static bool run_pg(struct db *base, const char *sql, const struct db_value *args, size_t nargs,
		   struct db_rows *out, struct err *e)
{
	struct db_pg *db = (struct db_pg *)base;
	if (strcmp(sql, "ROLLBACK") == 0)
		return roll_back(db, e);
	bool had = db->link != NULL;
	if (pg_run(db, sql, args, nargs, out, e))
		return true;
	/* A reader whose kept connection had died meanwhile reads again. */
	if (!had || db->link || db->mode != DB_READ || base->in_transaction)
		return false;
	if (out)
		db_rows_release(out);
	return pg_run(db, sql, args, nargs, out, e);
}

bool pg_plain(struct db_pg *db, const char *sql, int64_t limit_ms, struct err *e)
{
	bool ok = true;
	int64_t end = sys_mono_ms() + limit_ms;
	if (PQsendQuery(db->link, sql) != 1)
		return pg_lost(db, "sending", e);
	while (await_result(db, end, e)) {
		PGresult *r = PQgetResult(db->link);
		if (!r)
			return ok;
		if (ok && PQresultStatus(r) != PGRES_COMMAND_OK &&
		    PQresultStatus(r) != PGRES_TUPLES_OK)
			ok = pg_refused(db, r, e);
		PQclear(r);
		if (!db->link)
			return false;
	}
	return false;
}

/* Outside the pipeline, where commands that want no transaction around them are at home, and with
 * more time than others have. */
static bool run_once(struct db *base, const char *sql, struct err *e)
{
	struct db_pg *db = (struct db_pg *)base;
	struct err ignored;
	char longer[48], back[48];
	snprintf(longer, sizeof longer, "SET statement_timeout = %d", PG_LONG_MS);
	snprintf(back, sizeof back, "SET statement_timeout = %d", PG_STATEMENT_MS);
	if (!have_link(db, e) || (db->nsent && !sync_up(db, NULL, PG_ANSWER_MS, e)))
		return false;
	if (PQexitPipelineMode(db->link) != 1)
		return pg_lost(db, "statement", e);
	char *words = db_words(base->ops, sql);
	bool ok = pg_plain(db, longer, PG_ANSWER_MS, e) &&
		  pg_plain(db, words ? words : sql, PG_LONG_MS, e);
	xfree(words);
	bool transient = base->transient;
	/* A transaction that failed takes its settings back itself. */
	if (db->link && (ok || !base->in_transaction))
		ok = pg_plain(db, back, PG_ANSWER_MS, ok ? e : &ignored) && ok;
	base->transient = transient;
	if (db->link && PQenterPipelineMode(db->link) != 1)
		return pg_lost(db, "statement", e);
	return ok;
}

/* ---- Other connections' news ---- */

static bool listen_pg(struct db *base, const char *channel, struct err *e)
{
	struct db_pg *db = (struct db_pg *)base;
	xfree(db->listens);
	db->listens = xasprintf("LISTEN %s", channel);
	return run_once(base, db->listens, e);
}

static bool await_pg(struct db *base, int fd, int64_t ms, bool *told, struct err *e)
{
	struct db_pg *db = (struct db_pg *)base;
	*told = false;
	if (!pg_connect(db, e))
		return false;
	struct pollfd p[] = {{.fd = PQsocket(db->link), .events = POLLIN},
			     {.fd = fd, .events = POLLIN}};
	PGnotify *n = PQnotifies(db->link);
	if (!n && poll(p, fd < 0 ? 1 : 2, (int)ms) > 0 && p[0].revents && !PQconsumeInput(db->link))
		return pg_lost(db, "listening", e);
	for (; n || (n = PQnotifies(db->link)); n = NULL) {
		*told = true;
		PQfreemem(n);
	}
	return true;
}

const struct db_ops db_pg = {
	.schemes = (const char *const[]){"postgres", "postgresql", NULL},
	.library = library,
	.open = pg_open,
	.run = run_pg,
	.run_once = run_once,
	.close = pg_close,
	.commit = pg_commit,
	.settle = pg_settle,
	.listen = listen_pg,
	.await = await_pg,
	.serial_key = "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
	.unlogged = "UNLOGGED",
	.skip_locked = "FOR NO KEY UPDATE SKIP LOCKED",
	.lock = "FOR NO KEY UPDATE",
	.columns = "SELECT CAST(column_name AS TEXT) FROM information_schema.columns WHERE"
		   " table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
	.tables = "SELECT 1 WHERE to_regclass('schema_version') IS NOT NULL",
	/* Behind whoever only reads a table for long (a dump), all that write to it would wait with
	 * the migration: it gives way, and tries again. */
	.schema_lock = "SELECT pg_advisory_xact_lock(7423199, hashtext(current_schema())),"
		       " set_config('lock_timeout', '3000', true)",
};
