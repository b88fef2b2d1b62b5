/*
 * cmd_place - where a command that changes the database does its work: through the running service
 * when there is one, else in the database itself.
 */
#ifndef AUTOS_CMD_PLACE_H
#define AUTOS_CMD_PLACE_H

#include "access.h"
#include "config.h"
#include "control.h"
#include "ledger.h"

/* One of the two is there. */
struct place {
	struct control *control;
	struct ledger *ledger;
};

[[nodiscard]] bool place_open(struct place *p, const struct config *c, struct err *e);
void place_close(struct place *p);

/* The exit status that an error is. */
int place_status(const struct err *e);

/* ERR_ABSENT names the user. */
[[nodiscard]] bool place_read_user(struct db *db, const char *name, struct user_list *l,
				   struct err *e);
[[nodiscard]] bool place_find_user(struct place *p, const char *name, int64_t *id, struct err *e);

#endif
