/*
 * db_pg_open - connections to PostgreSQL, and what their failures mean. Runs no statement of
 * anybody's.
 *
 * The URL goes to libpq as it is: several hosts, TLS (sslmode, sslrootcert), pgpass files and the
 * PG* variables work as everywhere. No line ever holds the URL: it may hold a password.
 */
#include "db_pg.h"

#include "sys.h"

#include <stdio.h>
#include <string.h>

enum { SERVER_MIN = 130000 };

/* ---- Failures ---- */

/* SQLSTATEs (PostgreSQL, appendix A) after which the same may be tried again. */
static bool is_transient(const char *state)
{
	static const char *const all[] = {
		"40001", /* serialization_failure */
		"40P01", /* deadlock_detected */
		"55P03", /* lock_not_available */
		"57014", /* query_canceled: out of time */
		"57P01", /* admin_shutdown */
		"57P02", /* crash_shutdown */
		"57P03", /* cannot_connect_now */
		"53300", /* too_many_connections */
		"25006", /* read_only_sql_transaction: this was the primary */
		"25P03", /* idle_in_transaction_session_timeout */
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i], state) == 0)
			return true;
	return strncmp(state, "08", 2) == 0;
}

/* Whoever only reads is told of a failure of ours: "busy" is what others say of a case. */
enum err_kind pg_away(const struct db_pg *db)
{
	return db->mode == DB_READ ? ERR_FAIL : ERR_BUSY;
}

/* After these the connection is of no use any more. */
static bool ends_connection(const struct db_pg *db, const char *state)
{
	bool demoted = db->mode == DB_WRITE && strcmp(state, "25006") == 0;
	return demoted || strncmp(state, "57P0", 4) == 0 || strncmp(state, "08", 2) == 0 ||
	       strcmp(state, "25P03") == 0;
}

/* One line: libpq's end with a line break and may have several. */
static void one_line(const char *text, char *out, size_t cap)
{
	size_t n = 0;
	for (; *text && n + 1 < cap; text++)
		if ((unsigned char)*text >= 0x20 && *text != 0x7f)
			out[n++] = *text;
		else if (n && out[n - 1] != ' ')
			out[n++] = ' ';
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

/* The server's own sentence only: its details hold values. */
bool pg_refused(struct db_pg *db, const PGresult *r, struct err *e)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	char text[300];
	if (!state) /* made by libpq: the connection */
		return pg_lost(db, "statement", e);
	one_line(message ? message : "refused", text, sizeof text);
	/* What a reader may not write it may never. */
	bool readonly = db->mode == DB_READ && strcmp(state, "25006") == 0;
	db->base.transient = is_transient(state) && !readonly;
	db->base.out_of_time = strcmp(state, "57014") == 0;
	if (strcmp(state, "53100") == 0)
		fail(e, ERR_FAIL, "database: the disk is full (%s)", text);
	else
		fail(e, db->base.transient ? pg_away(db) : ERR_FAIL, "database: %s (%s)", text,
		     state);
	if (ends_connection(db, state))
		pg_drop(db);
	return false;
}

bool pg_lost(struct db_pg *db, const char *what, struct err *e)
{
	char text[300] = "";
	if (db->link)
		one_line(PQerrorMessage(db->link), text, sizeof text);
	pg_drop(db);
	db->base.transient = true;
	return fail(e, pg_away(db), "database: %s: %s", what,
		    *text ? text : "the connection is lost");
}

/* ---- Connections ---- */

void pg_drop(struct db_pg *db)
{
	PQfinish(db->link);
	db->link = NULL;
	db->nsent = 0;
	memset(db->statements, 0, sizeof db->statements);
}

/*
 * Settings of the session. Readers see one moment in each transaction. What writes
 * finds its rows by an index, and a queue's in the order of that index, whatever the statistics of
 * a table say that was empty a minute ago.
 */
static bool prepare_session(struct db_pg *db, struct err *e)
{
	static const char writer[] = "SET default_transaction_isolation = 'read committed';"
				     "SET enable_sort = off; SET enable_seqscan = off;"
				     "SET enable_bitmapscan = off";
	static const char reader[] = "SET default_transaction_isolation = 'repeatable read';"
				     "SET default_transaction_read_only = on";
	char *sql = xasprintf("SET client_min_messages = error; SET statement_timeout = %d;"
			      "SET idle_in_transaction_session_timeout = %d;"
			      "SET plan_cache_mode = force_generic_plan; SET jit = off; %s",
			      PG_STATEMENT_MS, PG_IDLE_MS, db->mode == DB_WRITE ? writer : reader);
	bool ok = pg_plain(db, sql, PG_ANSWER_MS, e);
	xfree(sql);
	return ok && (!db->listens || pg_plain(db, db->listens, PG_ANSWER_MS, e));
}

/* What the server only remarks is nobody's news. */
static void drop_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/* Defaults come before the URL, which may say otherwise. A standby would show what was true. */
static PGconn *dial(const char *url)
{
	char connect[12], answer[12];
	snprintf(connect, sizeof connect, "%d", PG_CONNECT_S);
	snprintf(answer, sizeof answer, "%d", PG_STATEMENT_MS);
	const char *const names[] = {"target_session_attrs",
				     "connect_timeout",
				     "tcp_user_timeout",
				     "keepalives_idle",
				     "keepalives_interval",
				     "application_name",
				     "dbname",
				     "client_encoding",
				     NULL};
	const char *const values[] = {"read-write", connect, answer, "10", "5",
				      "autos",      url,     "UTF8", NULL};
	return PQconnectdbParams(names, values, 1);
}

static bool greet(struct db_pg *db, struct err *e)
{
	char text[300];
	if (PQstatus(db->link) != CONNECTION_OK) {
		one_line(PQerrorMessage(db->link), text, sizeof text);
		pg_drop(db);
		db->base.transient = true;
		return fail(e, pg_away(db), "database: cannot connect: %s", text);
	}
	if (PQserverVersion(db->link) < SERVER_MIN) {
		int version = PQserverVersion(db->link);
		pg_drop(db);
		return fail(e, ERR_FAIL, "database: PostgreSQL %d is too old: use 13 or newer",
			    version / 10000);
	}
	if (PQsetnonblocking(db->link, 1) != 0)
		return pg_lost(db, "connecting", e);
	if (!prepare_session(db, e)) {
		pg_drop(db);
		return false;
	}
	if (!PQenterPipelineMode(db->link))
		return pg_lost(db, "connecting", e);
	return true;
}

bool pg_connect(struct db_pg *db, struct err *e)
{
	if (db->link && PQstatus(db->link) == CONNECTION_OK)
		return true;
	pg_drop(db);
	int64_t now = sys_mono_ms();
	if (now < db->try_at) {
		db->base.transient = true;
		return fail(e, pg_away(db), "database: not connected; it is tried again shortly");
	}
	db->link = dial(db->url);
	if (!db->link)
		die("out of memory");
	PQsetNoticeProcessor(db->link, drop_notice, NULL);
	bool ok = greet(db, e);
	db->try_at = ok ? 0 : sys_mono_ms() + PG_AGAIN_MS;
	return ok;
}

void pg_close(struct db *base)
{
	struct db_pg *db = (struct db_pg *)base;
	pg_drop(db);
	xfree(db->url);
	xfree(db->listens);
	xfree(db);
}

/* Read here once, so that no line of libpq's about it, which would repeat it, is ever made. */
static bool is_readable(const char *url, struct err *e)
{
	char *ignored = NULL;
	PQconninfoOption *o = PQconninfoParse(url, &ignored);
	PQfreemem(ignored);
	if (!o)
		return fail(
			e, ERR_INPUT,
			"database_url: PostgreSQL's library cannot read it: must be "
			"postgres://USER@HOST:PORT/DATABASE?OPTION=VALUE, with other characters "
			"than letters and digits percent-encoded");
	PQconninfoFree(o);
	return true;
}

struct db *pg_open(const char *url, enum db_mode mode, struct err *e)
{
	if (!is_readable(url, e))
		return NULL;
	struct db_pg *db = xcalloc(1, sizeof *db);
	db->base.ops = &db_pg;
	db->url = xstrdup(url);
	db->mode = mode;
	if (!pg_connect(db, e)) {
		pg_close(&db->base);
		return NULL;
	}
	return &db->base;
}
