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

/* A turn of one owner, in a transaction of its own. */
static inline void turn(struct db *db, struct turn *x, const char *owner, int64_t now,
			struct delivery_result *results, size_t n)
{
	struct err e = {0};
	prepare(x, owner, now);
	x->t.results = results;
	x->t.nresults = n;
	if (!STEP(db, delivery_turn(db, &x->t, &e)))
		fail_msg("%s", e.text);
}

/* What became of a lease of the turn before. */
static inline struct delivery_result result(const struct delivery_lease *l,
					    enum webhook_class class, enum webhook_fate fate,
					    bool target_failed)
{
	return (struct delivery_result){.lease = l,
					.verdict = {.class = class,
						    .fate = fate,
						    .target_failed = target_failed,
						    .wait_ms = fate == WEBHOOK_AGAIN ? 100 : 0},
					.at_ms = 1,
					.address = "192.0.2.1 443",
					.answer = ""};
}

#endif
