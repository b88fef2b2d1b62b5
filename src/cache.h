/*
 * cache - answers that were made from the database, kept until something of their case changes.
 *
 * Bounded in bytes; the least recently used leave first. An entry is never given once its case has
 * changed after the moment at which the reading for it began (see hub). Any thread.
 */
#ifndef AUTOS_CACHE_H
#define AUTOS_CACHE_H

#include "body.h"
#include "hub.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;

struct cache *cache_new(struct hub *hub, size_t max_bytes);
void cache_free(struct cache *c); /* accepts NULL */

enum { CACHE_KEY = 96, CACHE_TAG = 80 };

/* What is given or kept. */
struct cached {
	char tag[CACHE_TAG]; /* the ETag */
	struct body *body;   /* one owner more for whoever got it */
};

/* False when there is none that is still true. */
bool cache_get(struct cache *c, const char *key, struct cached *out);

/* Keeps an answer: `since` is hub_now from before the reading; it leaves by itself at until_ms
 * (wall clock). Takes an owner of its own of the body. */
void cache_put(struct cache *c, const char *key, int64_t process_id, uint64_t since,
	       int64_t until_ms, const struct cached *answer);

#endif
