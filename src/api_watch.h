/*
 * api_watch - what the service knows of its own condition: checks, sums of the queue, and counts
 * over the last minutes. Any thread.
 */
#ifndef AUTOS_API_WATCH_H
#define AUTOS_API_WATCH_H

#include "api_call.h"

struct api_watch;

struct api_watch *api_watch_new(void);
void api_watch_free(struct api_watch *w); /* accepts NULL */

/* ---- Checks ---- */

enum {
	CHECK_DATABASE,
	CHECK_STORE,
	CHECK_SPOOL,
	CHECK_WORKER,
	CHECK_TOKEN,
	CHECK_DRAINING,
	CHECKS
};

/* `detail` is for everybody: it names no path and no server. */
struct api_check {
	const char *name;
	bool ok;
	bool required; /* without it requests should go elsewhere */
	char detail[240];
};

void api_checks(struct api *a, struct api_check out[static CHECKS]);

/* "healthy": all hold; "degraded": one that is not required does not; "unhealthy". */
const char *api_health_word(const struct api_check checks[static CHECKS]);
bool api_is_ready(const struct api_check checks[static CHECKS]);

/* ---- The queue ---- */

/* At most 10 s old. False when the database cannot be read. */
bool api_sums(struct api *a, struct queue_sums *out);

/* How the worker stands. */
void api_work_now(struct api *a, struct api_work *out);

/* ---- The last minutes ---- */

struct api_counts {
	int64_t answers, failed; /* to clients; by our fault (5xx) */
	int64_t limited;         /* refused by a rate limit */
	int64_t hits, misses;    /* answers at hand in memory, or not */
	int64_t calls, timeouts; /* of the portal */
	int64_t jobs, broken;    /* that ended; because the portal or our storage failed */
	int64_t cpu_us;
};

/* Takes a sample when the last one is a minute old. */
void api_watch_tick(struct api *a);

/* What happened in the last five to six minutes, or since the start; gives their length in ms. */
int64_t api_window(struct api *a, struct api_counts *out);

/* "3 h 12 min", "40 s". */
void api_duration_words(int64_t ms, char out[static 32]);

#endif
