/*
 * db - SQL, behind a struct of functions: SQLite and PostgreSQL.
 *
 * SQL is written once, with $1 placeholders. A `struct db` is one connection and belongs to one
 * thread at a time. Rows are copied out, so no result outlives or blocks its statement. The few
 * words that differ stand in a statement as marks, %SERIAL%, %UNLOGGED%, %SKIP_LOCKED% and
 * %LOCK%, and each driver has its own for them.
 *
 * Every call ends: a connection that is lost or does not answer in time is an error (`transient`;
 * ERR_BUSY for whoever writes, ERR_FAIL for whoever reads), and the next call outside a transaction
 * makes a new one.
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

/* A driver. */
struct db_ops {
	const char *const *schemes; /* of its URLs; NULL at the end */
	const char *(*library)(void);
	/* Gets the whole URL. */
	struct db *(*open)(const char *url, enum db_mode mode, struct err *e);
	bool (*run)(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
		    struct db_rows *out, struct err *e);
	bool (*run_once)(struct db *db, const char *sql, struct err *e);
	void (*close)(struct db *db);
	/* Ends the transaction; NULL: the statement COMMIT does. */
	bool (*commit)(struct db *db, struct err *e);
	/* Asks again what became of the commit in doubt, once; true: it is known, and `doubt` is 0.
	 */
	bool (*settle)(struct db *db, struct err *e);
	/* Listens to a channel, now and after each new connection; then waits up to ms, or until fd
	 * is readable, for a NOTIFY. NULL where there are no other processes. */
	bool (*listen)(struct db *db, const char *channel, struct err *e);
	bool (*await)(struct db *db, int fd, int64_t ms, bool *told, struct err *e);
	const char *serial_key;  /* column definition of a row number that the database gives */
	const char *unlogged;    /* of a table that may be empty after a crash */
	const char *skip_locked; /* behind a SELECT: takes its rows, except those others have */
	const char *lock;        /* behind a SELECT: takes its rows, waiting for others */
	const char *columns;     /* statement: names of the columns of table $1, in order */
	const char *tables;      /* statement: a row when there is any table; NULL: open() knows */
	const char *schema_lock; /* statement: one migration at a time, to the transaction's end */
	bool exclusive; /* whoever opened it for writing is alone: leases of others are dead */
};

/* What a write changed, told to those who wait for news once it is committed. */
enum db_note_kind {
	NOTE_CHANGED,  /* something about this case */
	NOTE_READY,    /* ... and its job may be leased now */
	NOTE_ACCESS,   /* users or keys; no case */
	NOTE_DELIVERY, /* a message to a webhook of this case is to be sent */
	NOTE_SENT,     /* one was sent, or given up */
	NOTE_ANY,      /* whatever there is: what others committed was missed */
	NOTE_QUOTA,    /* the portal's quota; no case */
};

struct db_note {
	enum db_note_kind kind;
	int64_t process_id, job_id;
};

/* First member of every driver's own struct. */
struct db {
	const struct db_ops *ops;
	bool in_transaction;
	/* The last failure is nobody's fault and nothing of its transaction is in the database (a
	 * deadlock, a lost connection): the same may be tried again. */
	bool transient;
	bool out_of_time; /* ... or a statement took too long, by itself or behind others */
	/* Set by whoever runs a transaction: statements whose result nobody takes may be sent
	 * without waiting. Their failure is then told by a later one, at the latest by the commit,
	 * and leaves nothing of the whole transaction. A database without a network ignores it. */
	bool lazy;
	/* Set by whoever runs transactions of which he must know whether they were committed, even
	 * when the connection breaks meanwhile: each leaves a row in commit_mark. */
	bool marks;
	int64_t doubt;         /* not 0: it is not known whether the last one was committed */
	struct db_note *notes; /* of the running transaction, owned */
	size_t nnotes, notes_cap;
};

/* Adds a note to the running transaction; a note equal to the last one is not repeated, and outside
 * a transaction it is dropped. The ledger hands the notes out after the commit and forgets them
 * when the write is undone; beginning and rolling back forget all. */
void db_note(struct db *db, struct db_note note);

extern const struct db_ops db_sqlite, db_pg;

/* The driver of a URL; NULL when there is none. */
const struct db_ops *db_driver(const char *url);

/* "sqlite:PATH", "postgres://..." as libpq reads it. NULL on failure: ERR_BUSY when another process
 * holds it, ERR_ABSENT when DB_READ finds no database. */
struct db *db_open(const char *url, enum db_mode mode, struct err *e);
void db_close(struct db *db); /* accepts NULL */

/* The statement in this driver's words. Give it to xfree; NULL when it has no mark. */
char *db_words(const struct db_ops *ops, const char *sql);

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
