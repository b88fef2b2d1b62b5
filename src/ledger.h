/*
 * ledger - group commit: whoever wants to write joins the group that is forming, one leader runs
 * the group in one transaction, nobody is told "done" before the commit.
 *
 * It owns the one writing connection. A write that fails is undone alone (savepoint), the others of
 * its group are committed. Any thread may write.
 */
#ifndef AUTOS_LEDGER_H
#define AUTOS_LEDGER_H

#include "db.h"
#include "err.h"

/* Runs SQL on the connection it is given, inside a transaction. False undoes what it did. */
typedef bool ledger_fn(struct db *db, void *arg, struct err *e);

struct ledger;

/* Opens, locks and migrates the database. NULL on failure. */
struct ledger *ledger_open(const char *url, struct err *e);
void ledger_close(struct ledger *l); /* accepts NULL; nobody may be writing */

/* Returns after the commit. False: nothing of this write is in the database. */
[[nodiscard]] bool ledger_write(struct ledger *l, ledger_fn *fn, void *arg, struct err *e);

/* For reads by the only thread there is (commands); never while other threads write. */
struct db *ledger_db(struct ledger *l);

#endif
