/*
 * putter - puts objects while the worker's thread moves bytes.
 *
 * A store that blocks is given threads: what waits when one is free goes to the store as one group,
 * so that syncs are shared the more the disk lags behind. One that does not block (store_ops.start)
 * needs none. Used by one thread, which owns it.
 */
#ifndef AUTOS_PUTTER_H
#define AUTOS_PUTTER_H

#include "store.h"

struct putter;

/* `wake` is called, from another thread, after each group. */
struct putter *putter_new(struct store *store, int threads, void (*wake)(void *), void *wake_arg);

/* Lets running puts end, drops nothing: all that was added comes back from putter_done first. */
void putter_free(struct putter *p);

void putter_add(struct putter *p, struct put *put);

/* A put that is over, or NULL. Sleeps up to wait_ms (-1 = for ever) while there are unfinished
 * ones.
 */
struct put *putter_done(struct putter *p, int64_t wait_ms);

#endif
