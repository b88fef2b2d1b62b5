/*
 * mover - copies every stored document from one store to another, proven on the way. May be stopped
 * and run again: what is there is not copied again. Changes neither the source nor the database.
 */
#ifndef AUTOS_MOVER_H
#define AUTOS_MOVER_H

#include "config.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct mover_progress {
	int64_t copied, there, failed;
};

struct mover_options {
	const struct config *config;
	const char *from, *to; /* addresses of stores */
	/* After each batch of cases, and for each document that could not be copied; on the
	 * caller's thread. May be NULL. */
	void (*on_progress)(void *arg, const struct mover_progress *p);
	void (*on_failure)(void *arg, const char *key, const struct err *e);
	void *arg;
};

/* False when the work could not be done at all, or was cut short: *e says why. */
[[nodiscard]] bool mover_run(const struct mover_options *o, struct mover_progress *out,
			     struct err *e);

#endif
