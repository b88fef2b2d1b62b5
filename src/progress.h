/*
 * progress - shows how work stands: a line drawn again and again on a terminal, now and then a
 * plain line elsewhere. Prints through term; one thread.
 */
#ifndef AUTOS_PROGRESS_H
#define AUTOS_PROGRESS_H

#include "worker.h"

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool quiet;
	int64_t started_at, printed_at; /* monotonic */
	int64_t seen_at, seen_bytes;    /* where the rate is measured from */
	double rate;                    /* bytes a second, smoothed */
	double pace;                    /* documents a second, over all */
	size_t shown;                   /* documents over when the last plain line was printed */
	bool paused;
};

void progress_init(struct progress *p, bool quiet);

/* Fits worker_options.on_turn. */
void progress_show(void *arg, const struct worker_progress *w);
void progress_end(struct progress *p);

#endif
