/*
 * db - SQL, behind a struct of functions: SQLite today.
 *
 * SQL is written once, with $1 placeholders. A `struct db` is one connection and belongs to one
 * thread at a time. Rows are copied out, so no result outlives or blocks its statement.
 */
#ifndef AUTOS_DB_H
#define AUTOS_DB_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum db_kind { DB_NULL, DB_INT, DB_TEXT };

/* A value: an argument of a statement (text is borrowed) or a cell of a result. */
struct db_value {
	enum db_kind kind;
	int64_t i;
	const char *s; /* text, always followed by a NUL */
	size_t len;
};

struct db_value db_i(int64_t i);
struct db_value db_s(const char *s); /* NULL makes an SQL NULL */

/* A whole result. Cells point into `text`. */
struct db_rows {
	size_t rows, cols;
	struct db_value *cells;
	char *text;
	size_t cap; /* cells allocated */
	size_t text_len, text_cap;
	int64_t changed; /* rows that an INSERT, UPDATE or DELETE touched */
};

void db_rows_release(struct db_rows *r);
int64_t db_int(const struct db_rows *r, size_t row, size_t col);      /* NULL counts as 0 */
const char *db_text(const struct db_rows *r, size_t row, size_t col); /* "" for NULL */
bool db_is_null(const struct db_rows *r, size_t row, size_t col);

enum db_mode {
	DB_WRITE, /* the one connection that writes; refused while another process has it */
	DB_READ,  /* sees what is committed, never writes */
};

struct db;

/* A driver. `open` gets the part of the URL behind "sqlite:". */
struct db_ops {
	const char *scheme;
	const char *(*library)(void);
	struct db *(*open)(const char *where, enum db_mode mode, struct err *e);
	bool (*run)(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
		    struct db_rows *out, struct err *e);
	bool (*run_once)(struct db *db, const char *sql, struct err *e);
	void (*close)(struct db *db);
	const char *serial_key; /* column definition of a row number that the database gives */
	bool exclusive; /* whoever opened it for writing is alone: leases of others are dead */
};

/* What a write changed, told to those who wait for news once it is committed. */
enum db_note_kind {
	NOTE_CHANGED,  /* something about this case */
	NOTE_READY,    /* ... and its job may be leased now */
	NOTE_ACCESS,   /* users or keys; no case */
	NOTE_DELIVERY, /* a message to a webhook of this case is to be sent */
	NOTE_SENT,     /* one was sent, or given up */
};

struct db_note {
	enum db_note_kind kind;
	int64_t process_id, job_id;
};

/* First member of every driver's own struct. */
struct db {
	const struct db_ops *ops;
	bool in_transaction;
	struct db_note *notes; /* of the running transaction, owned */
	size_t nnotes, notes_cap;
};

/* Adds a note to the running transaction; a note equal to the last one is not repeated, and outside
 * a transaction it is dropped. The ledger hands the notes out after the commit and forgets them
 * when the write is undone; beginning and rolling back forget all. */
void db_note(struct db *db, struct db_note note);

extern const struct db_ops db_sqlite;

/* "sqlite:PATH". NULL on failure: ERR_BUSY when another process holds it, ERR_ABSENT when DB_READ
 * finds no database. */
struct db *db_open(const char *url, enum db_mode mode, struct err *e);
void db_close(struct db *db); /* accepts NULL */

/*
 * Runs one statement. `sql` must be a literal or live as long as the connection: prepared
 * statements are kept by it. `out` may be NULL; release it afterwards, even on failure.
 */
[[nodiscard]] bool db_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
			  struct db_rows *out, struct err *e);

/* One statement without arguments whose text is made up on the spot (migrations). */
[[nodiscard]] bool db_run_once(struct db *db, const char *sql, struct err *e);

/* db_exec(db, out, e, sql, args...): the arguments as db_value literals. */
#define db_exec(db, out, e, sql, ...)                                                              \
	db_run((db), (sql), (const struct db_value[]){{0}, ##__VA_ARGS__} + 1,                     \
	       sizeof((const struct db_value[]){{0}, ##__VA_ARGS__}) / sizeof(struct db_value) -   \
		       1,                                                                          \
	       (out), (e))

[[nodiscard]] bool db_begin(struct db *db, struct err *e);
[[nodiscard]] bool db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db); /* never fails: what cannot be rolled back was never committed */

#endif
