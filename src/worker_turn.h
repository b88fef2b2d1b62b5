/*
 * worker_turn - what the files of `worker` share: the parts of a turn. Nobody else includes this.
 */
#ifndef AUTOS_WORKER_TURN_H
#define AUTOS_WORKER_TURN_H

#include "worker.h"

#include "account.h"
#include "cursor.h"
#include "flow.h"
#include "http.h"
#include "putter.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	COMMIT_EVERY_MS = 50, /* results wait at most so long for company */
	COMMIT_AT = 200,      /* or until there are so many */
	STORING_MAX = 128,    /* documents with the putter; above it nothing more is fetched */
	TURN_MAX_MS = 500,    /* a turn sleeps at most so long */
};

struct worker {
	struct worker_options o;
	struct db *db;       /* for reading */
	const int64_t *jobs; /* worker_run: borrowed for its time */
	size_t njobs, next_job;
	bool *elsewhere; /* by job: another process has it now */
	struct account account;
	struct http *http;
	struct putter *putter;
	struct flow flow;
	struct run *runs; /* held */
	size_t nruns;
	char owner[33];
	char *spool_dir;
	int64_t news_since;          /* monotonic; 0 = nothing waits for a transaction */
	int64_t wrote_at;            /* monotonic; when the last transaction ran */
	int64_t shown_at;            /* monotonic */
	bool shown_pause;            /* what was shown then */
	int64_t shared_at;           /* monotonic; when the share was last asked for */
	int64_t share_again_at;      /* monotonic; not before, somebody else had the quota's row */
	int64_t list_again_at;       /* monotonic; no turn for a list call is to be had before */
	int64_t trip_ms;             /* an answer about the share takes so long */
	int whole, sharers;          /* of the quota: see quota_share */
	int64_t idle_since;          /* monotonic; when the token became unusable, 0 = usable */
	struct worker_progress over; /* sums of runs that are over */
	_Atomic bool stop, draining, woken,
		quota_news; /* said by others, also by signal handlers */

	/* as a service */
	struct cursor cursor;
	bool look;           /* there may be ready jobs */
	bool check;          /* held leases may be lost */
	int64_t looked_at;   /* monotonic */
	int64_t checked_at;  /* monotonic; held leases were compared with the database */
	int64_t resumed_at;  /* monotonic; work goes on after trouble, 0 = there is no trouble */
	int64_t pause_ms;    /* the last rest after trouble, 0 = there is no trouble */
	int64_t drain_until; /* monotonic; 0 = not draining yet */
	pthread_mutex_t health_lock;
	struct worker_health health;
};

/* ---- worker.c ---- */

void worker_settle(struct worker *w);
/* Starts what may start; gives the moment at which time alone brings more. */
int64_t worker_start(struct worker *w, int64_t now);
/* What came in with the last bytes is kept; the rest is handed back. */
void worker_wind_up(struct worker *w, enum worker_end end);

/* ---- worker_share.c ---- */

/* With other processes on the database: tells it what was seen of the portal's quota, and takes the
 * share it grants, when that is due. */
bool worker_share(struct worker *w, int64_t now, struct err *e);
/* When it is due next (monotonic). */
int64_t worker_share_at(const struct worker *w);
/* Whether there is quota left for another case. */
bool worker_may_claim(const struct worker *w);

/* ---- worker_lease.c ---- */

/* Takes a run on that was leased at this moment (wall). */
void worker_hold(struct worker *w, const struct job_lease *l, int64_t leased_ms);
/* Renews the lease inside a transaction; one that is not ours any more is marked. */
bool worker_renew(struct worker *w, struct run *r, struct db *db, struct err *e);
/* Around a transaction that renews: what it learns of leases counts once it is committed, since it
 * may be undone and run again. Begin is called inside it, committed after it. */
void worker_leases_begin(struct worker *w);
void worker_leases_committed(struct worker *w);
bool worker_load(struct worker *w, struct err *e);
bool worker_commit_due(struct worker *w, int64_t now);
bool worker_commit(struct worker *w, struct err *e);
/* Marks runs whose lease is not ours any more, by what the database says. */
bool worker_check_leases(struct worker *w, struct err *e);
bool worker_let_go(struct worker *w, struct err *e);
bool worker_hand_back(struct worker *w, struct err *e);
void worker_drop_all(struct worker *w); /* nothing of them may be in flight */
void worker_progress_of(const struct worker *w, struct worker_progress *p);

#endif
