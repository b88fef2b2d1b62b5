/*
 * hub - who waits for news of a case, and what changed when.
 *
 * It hears the ledger's notes. A reader asks hub_now before it reads the database; whatever is
 * committed later is a change since then, so news between reading and waiting is never missed. Any
 * thread. It owns one thread, for waits that end by time.
 */
#ifndef AUTOS_HUB_H
#define AUTOS_HUB_H

#include "db.h"

#include <stdbool.h>
#include <stdint.h>

struct hub;

struct hub *hub_new(void);
void hub_free(struct hub *h); /* accepts NULL; nobody may be waiting */

/* A ledger_watcher; arg is the hub. */
void hub_notes(void *arg, const struct db_note *notes, size_t n);

/* A moment in the sequence of changes. */
uint64_t hub_now(const struct hub *h);

/* Whether something of this case may have changed after that moment. Never misses a change; may
 * name one that was of another case. */
bool hub_changed(const struct hub *h, int64_t process_id, uint64_t since);

/* A wait. The caller fills the first members and keeps it until `wake` or a hub_cancel that gave
 * true. */
struct hub_wait {
	int64_t process_id;
	uint64_t since;
	int64_t until_ms; /* monotonic */
	/* Called once, by any thread, perhaps before hub_sleep returns: something changed, the time
	 * is over, or all are called (hub_wake_all). Must not block. */
	void (*wake)(struct hub_wait *w);
	void *owner;

	/* the hub's */
	struct hub_wait *next, **link;         /* in the bucket of its case */
	struct hub_wait *all_next, **all_link; /* among all */
	bool waiting;
};

void hub_sleep(struct hub *h, struct hub_wait *w);

/* True: it will not be woken any more. False: it was, or is being woken now. */
bool hub_cancel(struct hub *h, struct hub_wait *w);

/* Wakes everybody, and from now on everybody at once: the program ends. */
void hub_wake_all(struct hub *h);

#endif
