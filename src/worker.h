/*
 * worker - the loop: move bytes, settle answers, one transaction, start what is now held, sleep.
 *
 * Works on the jobs it is given until each is final, or until something ends the work early: a
 * stop, a token that is refused, a portal that does not answer, storage that fails. Whatever is not
 * final then is handed back and goes on at the next start. One thread calls it; worker_stop and
 * worker_wake may be called from signal handlers.
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
};

struct worker;

/* NULL on failure: ERR_DENIED when there is no usable token. */
struct worker *worker_new(const struct worker_options *o, struct err *e);
void worker_free(struct worker *w); /* accepts NULL */

/* Works on these jobs. *e says why when the result is not WORKER_DONE. Call it once. */
enum worker_end worker_run(struct worker *w, const int64_t *jobs, size_t n, struct err *e);

/* One line about a token that will not live long; false when all is well. */
bool worker_token_warning(const struct worker *w, char *out, size_t cap);

void worker_stop(struct worker *w);

#endif
