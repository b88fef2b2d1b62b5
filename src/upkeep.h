/*
 * upkeep - says that this process runs, and does what one process of a fleet does for all: cleans
 * up after dead ones, finishes erasures, trims and vacuums tables.
 *
 * Only where many processes write (PostgreSQL). It owns one thread and one connection. Which
 * process does the common part is a row with a lease; when it dies another one has it 15 s later.
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

/* Says that this process ends. Accepts NULL. */
void upkeep_free(struct upkeep *u);

#endif
