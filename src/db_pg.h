/*
 * db_pg - what the files of the PostgreSQL driver share. Nobody else includes this.
 */
#ifndef AUTOS_DB_PG_H
#define AUTOS_DB_PG_H

#include "db.h"

#include <libpq-fe.h>

enum {
	PG_STATEMENTS = 1024,
	PG_CONNECT_S = 5,        /* for each host */
	PG_STATEMENT_MS = 15000, /* the server cancels a statement */
	PG_ANSWER_MS = 20000,    /* we give the connection up */
	PG_LONG_MS = 600000,     /* both, for statements of upkeep and migrations */
	PG_IDLE_MS =
		10000, /* the server undoes a transaction that does nothing: less than a lease */
	PG_AGAIN_MS = 200,    /* between attempts to connect */
	PG_FATE_MS = 40000,   /* what became of a commit is asked for so long */
	PG_UNSYNCED_MAX = 64, /* statements sent without waiting */
};

/* A statement of the server's: the same text with integers in other places is another one. */
struct pg_statement {
	const char *sql;
	uint64_t types; /* two bits for each argument */
	bool prepared;
};

/* What was sent and is not answered yet. */
struct pg_sent {
	enum { PG_SENT_PREPARE, PG_SENT_RUN, PG_SENT_SYNC } kind;
	struct pg_statement *statement;
};

struct db_pg {
	struct db base;
	char *url;
	enum db_mode mode;
	PGconn *link;                 /* NULL while there is none */
	int64_t try_at;               /* monotonic; not tried again before */
	char *listens;                /* channel, NULL = none */
	int64_t next_mark, last_mark; /* see db_pg_commit.c; 0 = none yet */
	struct pg_sent sent[2 * PG_UNSYNCED_MAX + 8];
	size_t nsent;
	struct pg_statement statements[PG_STATEMENTS]; /* open addressing */
};

/* ---- db_pg.c ---- */

/* Sends a statement; waits for its answer, and all before, when `out` is given or not `lazy`. */
bool pg_run(struct db_pg *db, const char *sql, const struct db_value *args, size_t nargs,
	    struct db_rows *out, struct err *e);
/* Commands outside the pipeline, all in one message; their rows are dropped. */
bool pg_plain(struct db_pg *db, const char *sql, int64_t limit_ms, struct err *e);

/* ---- db_pg_commit.c ---- */

bool pg_commit(struct db *db, struct err *e);
bool pg_settle(struct db *db, struct err *e);

/* ---- db_pg_open.c ---- */

struct db *pg_open(const char *url, enum db_mode mode, struct err *e);
void pg_close(struct db *db);
/* Makes a connection when there is none. False: ERR_BUSY, or ERR_FAIL when waiting does not help.
 */
bool pg_connect(struct db_pg *db, struct err *e);
/* Gives the connection up; whatever was sent is forgotten. */
void pg_drop(struct db_pg *db);
/* Gives it up and says so, with what libpq said. */
bool pg_lost(struct db_pg *db, const char *what, struct err *e);
/* What a failure is that waiting may end. */
enum err_kind pg_away(const struct db_pg *db);
/* The server refused a statement. */
bool pg_refused(struct db_pg *db, const PGresult *r, struct err *e);

#endif
