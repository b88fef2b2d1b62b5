/*
 * deliveries - what the unit tests of the outbox share: limits with small numbers, and turns with
 * room for all that they lease. A lease of a turn belongs to it until `release`.
 */
#ifndef AUTOS_DELIVERIES_H
#define AUTOS_DELIVERIES_H

#include "delivery.h"

#include "jobs.h"
#include "webhook_secret.h"

static const struct delivery_limits limits = {.target_parallel = 2,
					      .target_ahead = 4,
					      .pause_after = 3,
					      .pause_ms = 1000,
					      .pause_max_ms = 3000};

enum { ROOM = 64 };

struct turn {
	struct delivery_turn t;
	struct delivery_lease leases[ROOM];
};

/* A turn of one owner, ready to run. */
static inline void prepare(struct turn *x, const char *owner, int64_t now)
{
	x->t = (struct delivery_turn){.limits = &limits,
				      .owner = owner,
				      .now_ms = now,
				      .lease_ms = 1000,
				      .room = ROOM,
				      .room_proven = ROOM,
				      .room_unproven = ROOM,
				      .leases = x->leases};
}

static inline void release(struct turn *x)
{
	for (size_t i = 0; i < x->t.nleases; i++)
		delivery_lease_release(&x->leases[i]);
	x->t.nleases = 0;
}

#endif
