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
	int64_t sent_ms, sent_mono_ms;
	bool in_air;

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
	_Atomic bool woken, draining;

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
};

/* Makes the message and sends it; if it cannot be made, or may not be sent, the flight is over. */
void dispatch_send(struct dispatch *d, struct flight *f);

/* Reads what came back: the flight is over. */
void dispatch_settle(struct dispatch *d, struct flight *f);

/* What came of it is written down: says so in the log and the metrics. */
void dispatch_tell(const struct flight *f, const struct delivery_result *r, int64_t now_ms);

/* It is not sent, and goes back to the queue of the database. */
void dispatch_hand_back(struct dispatch *d, struct flight *f);

/* Moves a flight to those that are over. */
void dispatch_over(struct dispatch *d, struct flight *f);

#endif
