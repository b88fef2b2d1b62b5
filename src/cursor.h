/*
 * cursor - where a look for ready jobs begins. Pure: gets the time, asks nobody.
 *
 * A server that many use keeps rows that were taken long ago in the queue's index, as long as
 * somebody holds an old snapshot. So most looks begin just behind the last job that was taken; some
 * a little before, for commits that came late; and a few see all, for what was handed back or put
 * off. The more rows there are to walk over, the rarer are those that walk over all of them: they
 * take a fixed part of the time at most.
 */
#ifndef AUTOS_CURSOR_H
#define AUTOS_CURSOR_H

#include "job.h"

struct cursor {
	struct job_place last;   /* the last job that was taken */
	struct job_place begin;  /* of the look that is under way */
	int64_t near_at, all_at; /* monotonic; when the next look from before, of all, is due */
	int64_t leases_at;       /* monotonic; when leases that ran out were last looked for */
	bool all, began;
};

/* Begins a look; at `now` (monotonic) and `wall`, in ms. What it gives is borrowed until the next
 * one; NULL: the beginning, of waiting jobs and of leases. */
const struct job_place *cursor_begin(struct cursor *c, int64_t now, int64_t wall);

/* Ends it, with the jobs that it took, most urgent first. */
void cursor_end(struct cursor *c, int64_t now, const struct job_lease *taken, size_t n);

/* The next look sees all: others left more than was taken. */
void cursor_rewind(struct cursor *c);

#endif
