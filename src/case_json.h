/*
 * case_json - documents of a case as JSON, with links that are made now: what the API and the
 * messages to webhooks say in the same words.
 */
#ifndef AUTOS_CASE_JSON_H
#define AUTOS_CASE_JSON_H

#include "link.h"
#include "query.h"
#include "store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* How links are made: by the store, if clients reach it themselves. All is borrowed. */
struct doc_links {
	struct store *store;
	const char *base;            /* public URL, without slash at the end */
	const unsigned char *secret; /* LINK_SECRET bytes */
	int64_t ttl_ms;
};

/* When links that are made now expire, and until when a text that holds them stays the same. */
int64_t doc_links_expire_s(const struct doc_links *l, int64_t now_ms);
int64_t doc_links_fresh_ms(const struct doc_links *l, int64_t now_ms);

char *doc_link(const struct doc_links *l, const struct doc_view *d, int64_t now_ms); /* xfree */

const char *doc_name(const struct doc_view *d);
/* The id that clients know a document by: its id of origin, or the portal's when it has none. */
const char *doc_id(const struct doc_view *d);

json_t *doc_json(const struct doc_links *l, const struct doc_view *d, int64_t now_ms);
/* {id, uuid, status}: nothing that tells what it is about. */
json_t *doc_json_thin(const struct doc_view *d);

/* 100 exactly when everything is settled, never rounded up to it. */
double case_progress(int64_t total, int64_t over, bool final);

#endif
