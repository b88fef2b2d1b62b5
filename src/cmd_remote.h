/*
 * cmd_remote - `autos get` and `autos retry` while a service owns the database: the service does
 * the work, the command asks for it, watches it and shows it.
 */
#ifndef AUTOS_CMD_REMOTE_H
#define AUTOS_CMD_REMOTE_H

#include "cnj.h"
#include "config.h"
#include "control.h"
#include "db.h"
#include "progress.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct remote {
	struct control *control;
	struct db *db; /* for reading */
	const struct config *config;
	struct progress *progress;
	const volatile sig_atomic_t *caught; /* a signal came: stop watching */
};

/* Asks for the job of one case. ERR_ABSENT: nothing to try again. */
[[nodiscard]] bool remote_ask(struct remote *r, const struct cnj *n, bool retry, struct err *e);

/*
 * Watches until the last job of each case is final. ERR_BUSY: a signal came, or the service waits
 * for a token (ERR_DENIED); it goes on by itself then.
 */
[[nodiscard]] bool remote_watch(struct remote *r, const struct cnj *const *cases, size_t n,
				struct err *e);

#endif
