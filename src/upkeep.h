/*
 * upkeep - says that this process runs, and does what one process of a fleet does for all: cleans
 * up after dead ones, finishes erasures, trims and vacuums tables.
 *
 * Only where many processes write (PostgreSQL). It owns two threads with a connection each: one
 * says every few seconds that this process lives, and never waits for the other, which may be busy
 * with a table or a store for minutes. Which process does the common part is a row with a lease;
 * when it dies another one has it 15 s later. All times are the server's.
 */
#ifndef AUTOS_UPKEEP_H
#define AUTOS_UPKEEP_H

#include "ledger.h"
#include "store.h"

struct upkeep;

struct upkeep_options {
	const char *database_url; /* everything is borrowed */
	struct ledger *ledger;
	struct store *store; /* of erased cases */
	const char *role;    /* all, api, worker, command */
};

/* Gives NULL and no error where one process has the database for itself. */
[[nodiscard]] bool upkeep_new(const struct upkeep_options *o, struct upkeep **out, struct err *e);

/* Says that this process ends. Cuts off what is under way in the database, and in the store if this
 * process was erasing: nobody else may use the store any more. Accepts NULL. */
void upkeep_free(struct upkeep *u);

#endif
