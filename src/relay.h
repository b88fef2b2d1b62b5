/*
 * relay - carries news between the processes on one database: what others committed is told to this
 * process's watchers, and others are told that this one committed.
 *
 * Reading the rows of `change` is the truth, some times a second and never at the same moment as
 * everybody else; a NOTIFY, at most every 50 ms, only says that it is worth while now. After a lost
 * connection everything counts as changed. It owns one thread and one connection.
 */
#ifndef AUTOS_RELAY_H
#define AUTOS_RELAY_H

#include "ledger.h"

struct relay;

/* Registers itself with the ledger; whoever listens to that is told that anything may have changed.
 * Gives NULL and no error where one process has the database for itself. */
[[nodiscard]] bool relay_new(const char *url, struct ledger *l, struct relay **out, struct err *e);

/* Accepts NULL. Before whoever is told of news is freed, and the ledger closed; nobody may submit
 * any more. */
void relay_free(struct relay *r);

#endif
