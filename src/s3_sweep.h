/*
 * s3_sweep - takes away uploads in parts that nobody went on with: they cost like objects and are
 * seen by nobody.
 */
#ifndef AUTOS_S3_SWEEP_H
#define AUTOS_S3_SWEEP_H

#include "s3_engine.h"
#include "store.h"

#include <stdatomic.h>

struct s3_swept {
	size_t uploads; /* aborted */
	bool unlisted;  /* the error: the server knows no lists of uploads */
};

/* Aborts unfinished uploads below the place's prefix + folder that began before `before_ms` (wall),
 * INT64_MAX = all, whether they say when or not.
 * `guard`: NULL = none. Waits for the server. */
[[nodiscard]] bool s3_sweep(struct s3_engine *x, const struct s3_place *p, const char *folder,
			    int64_t before_ms, const struct store_guard *guard,
			    struct s3_swept *out, struct err *e);

/* A thread that sweeps the documents of a place now and once a day. */
struct s3_sweeper;

/* Borrows all. Nothing is asked until *ready is set. Uploads older than age_ms are aborted. */
struct s3_sweeper *s3_sweeper_start(struct s3_engine *x, const struct s3_place *p, int64_t age_ms,
				    _Atomic bool *ready);
/* Ends it, cutting what the engine has under way. Accepts NULL. */
void s3_sweeper_stop(struct s3_sweeper *s);

#endif
