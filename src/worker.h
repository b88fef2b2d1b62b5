/*
 * worker - the loop: move bytes, settle answers, one transaction, start what is now held, sleep.
 *
 * Works on the jobs it is given until each is final, or until something ends the work early: a
 * stop, a token that is refused, a portal that does not answer, storage that fails. Whatever is not
 * final then is handed back and goes on at the next start. One thread calls it; worker_stop and
 * worker_wake may be called from signal handlers.
 *
 * As a service (worker_serve) it leases whatever is ready, for as long as it is not told to drain:
 * a missing token, a portal that does not answer and storage that fails are waited out, and nothing
 * becomes final by them.
 */
#ifndef AUTOS_WORKER_H
#define AUTOS_WORKER_H

#include "config.h"
#include "err.h"
#include "ledger.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum worker_end {
	WORKER_DONE,        /* every job is final */
	WORKER_STOPPED,     /* worker_stop was called */
	WORKER_TOKEN,       /* the portal token is missing, expired or refused */
	WORKER_PORTAL_DOWN, /* the portal as a whole does not answer */
	WORKER_TROUBLE,     /* our own storage or database failed */
};

/* How the work stands, for whoever shows it. */
struct worker_progress {
	size_t jobs, jobs_over;
	size_t listed; /* jobs whose documents are known */
	size_t total, available, failed;
	int64_t bytes;          /* received since the start, half documents too */
	int parallel;           /* requests in flight */
	int64_t pause_ms;       /* left of a pause that the portal made us take, 0 = none */
	const char *pause_text; /* why; static, may be NULL */
	bool waiting_for_token;
};

struct worker_options {
	const struct config *config;
	struct ledger *ledger;
	struct store *store;
	/* Called some times a second, from the worker's thread; may be NULL. */
	void (*on_turn)(void *arg, const struct worker_progress *p);
	void *arg;
	bool service; /* worker_serve will be called */
};

struct worker;

/* NULL on failure: ERR_DENIED when there is no usable token, unless `service` is set. */
struct worker *worker_new(const struct worker_options *o, struct err *e);
void worker_free(struct worker *w); /* accepts NULL */

/* Works on these jobs. *e says why when the result is not WORKER_DONE. Call it once. */
enum worker_end worker_run(struct worker *w, const int64_t *jobs, size_t n, struct err *e);

/*
 * Leases and works until worker_drain or worker_stop: WORKER_STOPPED. A missing token is no reason
 * to end. Call it once, in place of worker_run.
 */
enum worker_end worker_serve(struct worker *w, struct err *e);

/* No new work and no new questions; what is in flight may end within the setting drain_time, then
 * all leases are handed back. From any thread and from signal handlers. */
void worker_drain(struct worker *w);

/* There may be work now. From any thread. */
void worker_wake(struct worker *w);

/* Another process found that the portal wants us all to wait. From any thread. */
void worker_quota_news(struct worker *w);

/* How a service stands; from any thread. */
struct worker_health {
	int64_t cases;            /* held */
	int64_t parallel;         /* questions in flight */
	int64_t limit;            /* questions that may be in flight */
	int64_t token_expires_ms; /* wall clock; -1 = the token does not say */
	bool token_missing, token_refused;
	int64_t paused_until_ms;  /* wall clock; 0 = the portal is not held off */
	const char *pause_why;    /* static; NULL when not paused */
	int64_t trouble_since_ms; /* our own storage fails since (wall clock); 0 = it does not */
	char trouble[200];
	int64_t turned_ms; /* wall clock of the last turn: a loop that hangs shows here */
};
void worker_health(struct worker *w, struct worker_health *out);

/* One line about a token that will not live long; false when all is well. */
bool worker_token_warning(const struct worker *w, char *out, size_t cap);

void worker_stop(struct worker *w);

#endif
