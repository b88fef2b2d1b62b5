/*
 * dispatch_flight - what the files of `dispatch` share. Nobody else includes this.
 */
#ifndef AUTOS_DISPATCH_FLIGHT_H
#define AUTOS_DISPATCH_FLIGHT_H

#include "dispatch.h"

#include "db.h"
#include "delivery.h"
#include "guard.h"
#include "http.h"
#include "link.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ANSWER_KEPT = 1024, TARGET_BUCKETS = 1024 };

/* One leased delivery: queued at its target, then in the air, then over until that is written. */
struct flight {
	struct delivery_lease lease;
	struct target *target;
	struct http_exchange x;
	char *body;
	size_t body_len;
	int64_t ends_ms, ends_mono_ms; /* of the lease, by both clocks */
	int64_t sent_ms, sent_mono_ms;
	bool in_air, over;
	bool lost; /* the lease is somebody else's, or nobody's; only while it is under way */

	/* over */
	bool unsent;
	struct webhook_verdict verdict;
	int64_t duration_ms;
	int status;
	char address[64];
	char answer[ANSWER_KEPT + 1];

	struct flight *next;             /* at its target, or among those that are over */
	struct flight *all_next, **link; /* among all */
};

/* A host that flights go to, as long as there are any. */
struct target {
	int64_t id;
	size_t flying, held;          /* in the air; all */
	struct flight *head, **tail;  /* queued */
	struct target *next, **place; /* in its bucket */
};

struct dispatch {
	struct dispatch_options o;
	struct webhook_schedule schedule;
	struct delivery_limits limits;
	struct guard guard;
	struct http *http;
	struct db *db; /* for reading */
	char owner[17];
	unsigned char link_secret[LINK_SECRET];
	pthread_t thread;
	bool joined;
	_Atomic bool woken, draining, doubted;

	/* the thread's */
	struct delivery_lease *leases; /* webhook_parallel of them: what a transaction took */
	struct target *targets[TARGET_BUCKETS];
	struct flight *all;
	struct flight *over, **over_tail;
	size_t nall, nqueued, nflying, nover, nproven;
	size_t bytes;          /* of messages in the air */
	int64_t over_since;    /* monotonic: when the first of those that are over ended */
	int64_t looked_at;     /* monotonic: last transaction */
	int64_t renewed_at;    /* monotonic */
	int64_t rescued_at;    /* monotonic */
	int64_t swept_at;      /* monotonic */
	int64_t due_at;        /* monotonic: when a target is due */
	int64_t trouble_until; /* monotonic: the database failed; 0 = it did not */
	int64_t drain_until;   /* monotonic; 0 = not draining */
	bool look;
	bool renew; /* a lease ended whose message waits */
	bool doubt; /* leases are renewed soon, to see which are lost */
};

/* ---- Flights ---- */

/* Takes over a lease, which ends then: it waits at its target. */
void dispatch_hold(struct dispatch *d, struct delivery_lease *l, int64_t ends_ms,
		   int64_t ends_mono_ms);

/* The first that waits at a target; NULL. */
struct flight *dispatch_unqueue(struct dispatch *d, struct target *t);

/* Moves a flight to those that are over. */
void dispatch_over(struct dispatch *d, struct flight *f);

/* It is not sent, and goes back to the queue of the database. */
void dispatch_hand_back(struct dispatch *d, struct flight *f);
void dispatch_hand_back_queue(struct dispatch *d, struct target *t);

/* Forgets a flight, and its target with the last one. */
void dispatch_drop(struct dispatch *d, struct flight *f);

/* Whether its lease is ours, as far as our clocks know. */
bool dispatch_may_send(const struct flight *f);

/* The leases to be renewed; xfree it. Then, once that is committed and before any flight comes or
 * goes: what is lost is dropped, unless it is under way. */
struct delivery_held *dispatch_held(const struct dispatch *d, size_t *n);
void dispatch_renewed(struct dispatch *d, const struct delivery_held *held, size_t n,
		      int64_t ends_ms, int64_t ends_mono_ms);

/* ---- Messages ---- */

/* Makes the message and sends it; if it cannot be made, or may not be sent, the flight is over. */
void dispatch_send(struct dispatch *d, struct flight *f);

/* Reads what came back: the flight is over. */
void dispatch_settle(struct dispatch *d, struct flight *f);

/* What came of it is written down: says so in the log and the metrics. */
void dispatch_tell(const struct flight *f, const struct delivery_result *r, int64_t now_ms);

#endif
