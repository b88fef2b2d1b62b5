/*
 * db_sqlite - the embedded database. The only room that includes SQLite.
 *
 * One connection writes and checkpoints: WAL mode up to SQLite 3.51.2 can corrupt the file when two
 * connections write or checkpoint at the same moment. So a writer holds a lock on PATH.lock for its
 * whole life, and readers are opened read-only, which keeps them from checkpointing on close.
 * synchronous=FULL: what was committed survives a power cut.
 */
#include "db.h"

#include "sys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATEMENTS = 512, BUSY_MS = 5000 };

struct statement {
	const char *sql;
	sqlite3_stmt *stmt;
};

struct db_sqlite {
	struct db base;
	sqlite3 *handle;
	int lock;                                /* descriptor of PATH.lock, -1 for readers */
	struct statement statements[STATEMENTS]; /* open addressing by address of the text */
};

static const char *library(void)
{
	return sqlite3_libversion();
}

static bool sqlite_fail(struct db_sqlite *db, int code, const char *what, struct err *e)
{
	enum err_kind kind = ERR_FAIL;
	const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		kind = ERR_BUSY;
		break;
	case SQLITE_FULL:
		text = "the disk is full";
		break;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN: {
		int why = db->handle ? sqlite3_system_errno(db->handle) : 0;
		return fail(e, kind, "database: %s: %s%s%s", what, text, why ? ": " : "",
			    why ? strerror(why) : "");
	}
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return fail(e, ERR_FAIL, "database: %s: the file is damaged or no database (%s)",
			    what, text);
	default:
		break;
	}
	return fail(e, kind, "database: %s: %s", what, text);
}

static bool exec_plain(struct db_sqlite *db, const char *sql, const char *what, struct err *e)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
	return code == SQLITE_OK || sqlite_fail(db, code, what, e);
}

/* ---- Opening ---- */

static bool take_lock(struct db_sqlite *db, const char *path, struct err *e)
{
	char *name = xasprintf("%s.lock", path);
	bool ok = false;
	db->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (db->lock < 0)
		fail_errno(e, "cannot open %s", name);
	else if (flock(db->lock, LOCK_EX | LOCK_NB) != 0)
		fail(e, ERR_BUSY, "%s is in use by another autos process", path);
	else
		ok = true;
	xfree(name);
	return ok;
}

static void close_sqlite(struct db *base)
{
	struct db_sqlite *db = (struct db_sqlite *)base;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(db->statements[i].stmt);
	sqlite3_close(db->handle);
	if (db->lock >= 0)
		close(db->lock);
	xfree(db);
}

/* Case files are nobody else's business: SQLite gives its files the mode of the first. */
static bool create_private(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(e, "cannot open %s", path);
	close(fd);
	return true;
}

static bool open_handle(struct db_sqlite *db, const char *path, enum db_mode mode, struct err *e)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		    (mode == DB_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
				      : SQLITE_OPEN_READONLY);
	int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
	if (code != SQLITE_OK)
		return sqlite_fail(db, code, path, e);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	if (mode == DB_READ)
		return exec_plain(db, "PRAGMA query_only=1", "opening", e);
	return exec_plain(db, "PRAGMA journal_mode=WAL", path, e) &&
	       exec_plain(db, "PRAGMA synchronous=FULL", path, e) &&
	       /* Savepoints keep the pages they may have to bring back: in memory, not in a file.
		*/
	       exec_plain(db, "PRAGMA temp_store=MEMORY", path, e) &&
	       exec_plain(db, "PRAGMA foreign_keys=1", path, e);
}

static struct db *open_sqlite(const char *url, enum db_mode mode, struct err *e)
{
	const char *path = url + strlen("sqlite:");
	struct stat st;
	if (mode == DB_READ && stat(path, &st) != 0) {
		fail(e, ERR_ABSENT, "%s: no database yet", path);
		return NULL;
	}
	struct db_sqlite *db = xcalloc(1, sizeof *db);
	db->base.ops = &db_sqlite;
	db->lock = -1;
	if ((mode == DB_WRITE && (!take_lock(db, path, e) || !create_private(path, e))) ||
	    !open_handle(db, path, mode, e)) {
		close_sqlite(&db->base);
		return NULL;
	}
	return &db->base;
}

/* ---- Running ---- */

/* SQLite takes "$2" for a name and counts by first appearance, so statements must mention $1 first.
 */
static void check_order(sqlite3_stmt *stmt)
{
	for (int i = 1; i <= sqlite3_bind_parameter_count(stmt); i++) {
		char want[16];
		snprintf(want, sizeof want, "$%d", i);
		assert(strcmp(sqlite3_bind_parameter_name(stmt, i), want) == 0);
	}
}

static sqlite3_stmt *prepare(struct db_sqlite *db, const char *sql, struct err *e)
{
	size_t at = ((uintptr_t)sql >> 3) % STATEMENTS;
	for (size_t i = 0; i < STATEMENTS; i++, at = (at + 1) % STATEMENTS) {
		struct statement *s = &db->statements[at];
		if (s->sql == sql)
			return s->stmt;
		if (s->sql)
			continue;
		char *words = db_words(db->base.ops, sql);
		int code = sqlite3_prepare_v3(db->handle, words ? words : sql, -1,
					      SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);
		xfree(words);
		if (code != SQLITE_OK) {
			sqlite_fail(db, code, "statement", e);
			return NULL;
		}
		s->sql = sql;
		check_order(s->stmt);
		return s->stmt;
	}
	die("db_sqlite: more than %d different statements", STATEMENTS);
}

static bool bind(struct db_sqlite *db, sqlite3_stmt *stmt, const struct db_value *args,
		 size_t nargs, struct err *e)
{
	assert((size_t)sqlite3_bind_parameter_count(stmt) == nargs);
	for (size_t i = 0; i < nargs; i++) {
		int code = SQLITE_OK, at = (int)i + 1;
		switch (args[i].kind) {
		case DB_NULL:
			code = sqlite3_bind_null(stmt, at);
			break;
		case DB_INT:
			code = sqlite3_bind_int64(stmt, at, args[i].i);
			break;
		case DB_TEXT:
			code = sqlite3_bind_text64(stmt, at, args[i].s, args[i].len, SQLITE_STATIC,
						   SQLITE_UTF8);
			break;
		}
		if (code != SQLITE_OK)
			return sqlite_fail(db, code, "argument", e);
	}
	return true;
}

/* Text is collected by offset, kept in `i`, until all rows are there and `text` moves no more. */
static void add_cell(struct db_rows *r, sqlite3_stmt *stmt, int col)
{
	r->cells = xgrow(r->cells, r->rows * r->cols + (size_t)col, &r->cap, sizeof *r->cells);
	struct db_value *v = &r->cells[r->rows * r->cols + (size_t)col];
	*v = (struct db_value){.kind = DB_NULL};
	int type = sqlite3_column_type(stmt, col);
	if (type == SQLITE_INTEGER) {
		v->kind = DB_INT;
		v->i = sqlite3_column_int64(stmt, col);
	} else if (type != SQLITE_NULL) {
		const unsigned char *s = sqlite3_column_text(stmt, col);
		size_t n = (size_t)sqlite3_column_bytes(stmt, col);
		if (r->text_len + n + 1 > r->text_cap) {
			r->text_cap = (r->text_len + n + 1) * 2;
			r->text = xrealloc(r->text, r->text_cap);
		}
		if (n)
			memcpy(r->text + r->text_len, s, n);
		r->text[r->text_len + n] = '\0';
		v->kind = DB_TEXT;
		v->i = (int64_t)r->text_len;
		v->len = n;
		r->text_len += n + 1;
	}
}

static bool run_sqlite(struct db *base, const char *sql, const struct db_value *args, size_t nargs,
		       struct db_rows *out, struct err *e)
{
	struct db_sqlite *db = (struct db_sqlite *)base;
	sqlite3_stmt *stmt = prepare(db, sql, e);
	if (!stmt || !bind(db, stmt, args, nargs, e))
		return false;
	int code;
	struct db_rows none = {0}, *r = out ? out : &none;
	r->cols = (size_t)sqlite3_column_count(stmt);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (int i = 0; i < (int)r->cols; i++)
			add_cell(r, stmt, i);
		r->rows++;
	}
	bool ok = code == SQLITE_DONE || sqlite_fail(db, code, "statement", e);
	for (size_t i = 0; i < r->rows * r->cols; i++)
		if (r->cells[i].kind == DB_TEXT) {
			r->cells[i].s = r->text + r->cells[i].i;
			r->cells[i].i = 0;
		}
	r->changed = sqlite3_changes64(db->handle);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	db_rows_release(&none);
	return ok;
}

static bool run_once(struct db *base, const char *sql, struct err *e)
{
	char *words = db_words(base->ops, sql);
	bool ok = exec_plain((struct db_sqlite *)base, words ? words : sql, "statement", e);
	xfree(words);
	return ok;
}

const struct db_ops db_sqlite = {
	.schemes = (const char *const[]){"sqlite", NULL},
	.library = library,
	.open = open_sqlite,
	.run = run_sqlite,
	.run_once = run_once,
	.close = close_sqlite,
	.serial_key = "INTEGER PRIMARY KEY AUTOINCREMENT",
	.unlogged = "",
	.skip_locked = "", /* whoever writes is alone */
	.lock = "",
	.columns = "SELECT name FROM pragma_table_info($1) ORDER BY cid",
	.exclusive = true,
};
