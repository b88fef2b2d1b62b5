/*
 * ledger - group commit: whoever wants to write joins the group that is forming, a thread of the
 * ledger's own runs the group in one transaction, nobody is told "done" before the commit.
 *
 * It owns the writing connections: one where one process writes (SQLite), two where many do, so
 * that one group is run while the other's commit is under way. A write that fails is undone alone
 * (savepoint), the others of its group are committed. A group that failed by a deadlock or a lost
 * connection, so that nothing of it is in the database, is run again for up to ten seconds; a
 * statement that takes too long fails its own write when it does so twice. Where it cannot be known
 * whether a commit took place, its writes fail, and everything counts as changed. Any thread may
 * write. After each commit the watchers hear what changed, before the writers do: who
 * was told that a write is done never reads what was before it.
 */
#ifndef AUTOS_LEDGER_H
#define AUTOS_LEDGER_H

#include "db.h"
#include "err.h"

/* Runs SQL on the connection it is given, inside a transaction. False undoes what it did. It must
 * not block on anything else, and bears to be run again after its transaction was undone. */
typedef bool ledger_fn(struct db *db, void *arg, struct err *e);

/* One write on its way. The caller fills fn, arg, done and owner and keeps it until `done`, from
 * where it may be submitted again. */
struct write {
	ledger_fn *fn;
	void *arg;
	void (*done)(
		struct write *w); /* called once, from a thread of the ledger's; must not block */
	void *owner;              /* the caller's */
	bool ok;                  /* committed; else nothing of it is in the database, or that is */
	struct err err;           /* not known: this says so */
	struct write *next;       /* the ledger's */
};

/* Hears what a commit changed. Called from a thread of the ledger's, one at a time; must not block
 * or write. */
typedef void ledger_watcher(void *arg, const struct db_note *notes, size_t n);

struct ledger;

/* Opens, locks (SQLite) and migrates the database. NULL on failure. */
struct ledger *ledger_open(const char *url, struct err *e);

/* Runs what was submitted, then closes. Accepts NULL; nobody may submit any more. */
void ledger_close(struct ledger *l);

/* Waits until everything that was submitted is over. */
void ledger_flush(struct ledger *l);

/* At most 6. */
void ledger_watch(struct ledger *l, ledger_watcher *fn, void *arg);

/* Tells the watchers what another process committed. From any thread but a watcher's. */
void ledger_tell(struct ledger *l, const struct db_note *notes, size_t n);

/* What this process is called in the database: random, made at the start. */
enum { LEDGER_OWNER = 33 };
const char *ledger_owner(const struct ledger *l);

void ledger_submit(struct ledger *l, struct write *w);

/* Submits and waits. False: nothing of this write is in the database. Never from `done` or from a
 * watcher. */
[[nodiscard]] bool ledger_write(struct ledger *l, ledger_fn *fn, void *arg, struct err *e);

/* For reads by commands of one thread: only while no write is under way. Everybody else reads
 * through a connection of their own (DB_READ). */
struct db *ledger_db(struct ledger *l);

#endif
