/*
 * delivery - all SQL that changes deliveries: one message about the end of a job, to one address.
 *
 * The outbox: rows are written in the transaction that ends the job, so that none is lost and none
 * is sent too early. A delivery is leased like a job, by (id, epoch), and whatever is written about
 * an attempt names its lease. A target is scheme, host and port; it is due when its earliest
 * delivery is, unless it is paused or has as many under way as it may have, so that neither a long
 * queue nor a dead target is walked over to find work for others. All run inside the caller's
 * transaction.
 *
 * Where many processes write: whoever adds a delivery, or sends one again, does not touch its
 * target, but marks the delivery as new; a turn finds the new ones, and changes targets only while
 * it has their rows locked, in order of their ids. A target that another one has locked is passed
 * over.
 */
#ifndef AUTOS_DELIVERY_H
#define AUTOS_DELIVERY_H

#include "db.h"
#include "err.h"
#include "webhook_retry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELIVERY_NEVER INT64_MAX

enum { DELIVERY_EVENT_SIZE = 40 }; /* "msg_" and 32 digits */

/* ---- The outbox ---- */

/* The job is over: a delivery for each of its webhooks. */
[[nodiscard]] bool delivery_job_ended(struct db *db, int64_t job_id, int64_t now_ms, struct err *e);

/* Somebody named a webhook for a job that is over: a delivery at once, unless one to the same
 * address of the same user is still on its way. */
[[nodiscard]] bool delivery_job_is_over(struct db *db, int64_t job_id, const char *url,
					int64_t user_id, int64_t now_ms, struct err *e);

/* The user is gone or not active any more: nothing is sent for them. */
[[nodiscard]] bool delivery_forget_user(struct db *db, int64_t user_id, int64_t now_ms,
					struct err *e);

/* ---- Leases and results: one call a transaction ---- */

struct delivery_limits {
	int64_t target_parallel;        /* leases of one target */
	int64_t target_ahead;           /* ... that answered last time, when there is room to spare:
					 * the next ones are at hand */
	int64_t pause_after;            /* failures in a row */
	int64_t pause_ms, pause_max_ms; /* first pause, longest pause */
};

/* What a sender needs to know. Strings are owned; see delivery_lease_release. */
struct delivery_lease {
	int64_t id, epoch;
	int64_t job_id, process_id, target_id, user_id;
	int64_t attempts, tries; /* before this one */
	int64_t round_ms, created_ms;
	bool manual, thin, proven;
	char event_id[DELIVERY_EVENT_SIZE];
	char number[21];
	char trace[64];
	char *url;
	/* the end of the job */
	int64_t seq, total, available, failed, finished_ms;
	char job_state[16], outcome[24];
	char *job_error;
};

void delivery_lease_release(struct delivery_lease *l);

/* What became of an attempt. Strings are borrowed. */
struct delivery_result {
	const struct delivery_lease *lease;
	bool unsent; /* it is handed back: nothing below counts */
	struct webhook_verdict verdict;
	int64_t at_ms, duration_ms, status;
	const char *address, *answer;
	int64_t next_ms; /* filled: when it is tried again, 0 = it is not */
	bool stale;      /* filled: somebody else has the lease; nothing was written */
	bool paused;     /* filled: its target is paused now */
	bool pauses;     /* ... by this failure */
};

/* A lease that is to be renewed. */
struct delivery_held {
	const struct delivery_lease *lease;
	bool lost; /* filled: it is somebody else's, or nobody's any more */
};

struct delivery_turn {
	const struct delivery_limits *limits;
	const char *owner;
	int64_t now_ms, lease_ms;
	struct delivery_result *results;
	size_t nresults;
	struct delivery_held *held; /* leases that are renewed */
	size_t nheld;
	bool rescue;          /* leases that ran out */
	size_t room;          /* deliveries that may be leased */
	size_t room_proven;   /* of them, to targets that answered last time */
	size_t room_kept;     /* of these, not for leases beyond target_parallel */
	size_t room_unproven; /* of them, to others */

	struct delivery_lease *leases; /* the caller's array of `room`: filled */
	size_t nleases;                /* filled; 0 before the first call */
	int64_t due_ms; /* when the next target is due that there is room for; DELIVERY_NEVER */
};

/* Records results, renews and rescues leases, and takes new ones, in this order. Run again after
 * its transaction was undone, it releases what it had leased. */
[[nodiscard]] bool delivery_turn(struct db *db, struct delivery_turn *t, struct err *e);

/* On a database that only one process can open for writing: whoever held leases is dead. */
[[nodiscard]] bool delivery_release_all(struct db *db, int64_t now_ms, struct err *e);

/*
 * Gives up what waits for a paused target since before given_up_ms, deletes what was over before
 * kept_ms, and brings forward what waits for its first try since a time that is still to come; some
 * hundred rows a call, `n` is their number. Makes targets due whose leases are gone without a
 * result. Several processes may do so at once: each takes what no other one has.
 */
[[nodiscard]] bool delivery_sweep(struct db *db, int64_t given_up_ms, int64_t kept_ms,
				  int64_t now_ms, size_t *n, struct err *e);

/* ---- Sending again ---- */

/* By its event id; of one user, or of anybody when user_id is -1. A new round begins, and the turn
 * that finds it ends a pause of the target. ERR_ABSENT: no such delivery; ERR_BUSY: it is under way
 * at this moment. */
[[nodiscard]] bool delivery_again(struct db *db, const char *event_id, int64_t user_id,
				  int64_t now_ms, struct err *e);

/* Every delivery that failed since then, oldest first, at most `limit`; *n is their number. */
[[nodiscard]] bool delivery_failed_again(struct db *db, int64_t since_ms, int64_t user_id,
					 int64_t limit, int64_t now_ms, size_t *n, struct err *e);

#endif
