/*
 * api_store - asks the store for the api, on two threads of its own: whether it takes objects, and
 * to remove those of erased cases. A store may hang for minutes; nobody who answers clients waits
 * for it.
 */
#ifndef AUTOS_API_STORE_H
#define AUTOS_API_STORE_H

#include "ledger.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

struct api_store;

/* Both are borrowed. Where one process alone has the database, erasures that are left are finished
 * as well: those of before the start at once, those that failed after 5 s to a minute. */
struct api_store *api_store_new(struct ledger *ledger, struct store *store);

/* Nothing more is erased, and what waits for it fails. Any thread. */
void api_store_drain(struct api_store *s);

/* Ends what is under way, too, and the threads: the store is told to give up whatever it is asked,
 * by anybody. A folder that hangs cannot be told: then this waits. What is asked afterwards fails.
 */
void api_store_stop(struct api_store *s);
void api_store_free(struct api_store *s); /* stopped; accepts NULL */

/* ---- Erasing ---- */

/* The caller's, until `done` is called. */
struct api_erasure {
	const char *number;        /* borrowed */
	int64_t mark;              /* see erase_objects */
	void (*done)(void *owner); /* called once, from another thread or at once */
	void *owner;
	bool ok; /* filled; the errors are those of erase_objects */
	struct err err;
	struct api_erasure *next;
};

/* One after the other. Any thread. */
void api_store_erase(struct api_store *s, struct api_erasure *x);

/* ---- Whether it takes objects ---- */

enum api_store_state {
	API_STORE_UNKNOWN, /* being asked for the first time */
	API_STORE_GOOD,
	API_STORE_BAD,
	API_STORE_SILENT, /* asked half a minute ago, and no answer */
};

/* At most 5 s old when the store answers. Waits a moment for the answer when it is time to ask; one
 * call of many. Any thread. */
enum api_store_state api_store_state(struct api_store *s);

#endif
