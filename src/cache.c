/*
 * cache - a hash table with a list by use, in shards so that threads seldom meet. Makes nothing
 * itself.
 */
#include "cache.h"

#include "metrics.h"
#include "sys.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { SHARDS = 8, SLOTS = 1 << 12, OVERHEAD = 256 };

struct entry {
	char key[CACHE_KEY];
	char tag[CACHE_TAG];
	struct body *body;
	int64_t process_id, until_ms;
	uint64_t since;
	size_t weight;
	struct entry *next;          /* in its slot */
	struct entry *newer, *older; /* by use */
};

struct shard {
	pthread_mutex_t lock;
	struct entry *slots[SLOTS];
	struct entry *newest, *oldest;
	size_t bytes;
};

struct cache {
	struct hub *hub;
	size_t shard_max;
	struct shard shards[SHARDS];
};

static uint64_t hash(const char *key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	return h ^ (h >> 29);
}

struct cache *cache_new(struct hub *hub, size_t max_bytes)
{
	struct cache *c = xcalloc(1, sizeof *c);
	c->hub = hub;
	c->shard_max = max_bytes / SHARDS;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	return c;
}

/* ---- One shard; under its lock ---- */

static void unlink_use(struct shard *s, struct entry *e)
{
	*(e->newer ? &e->newer->older : &s->newest) = e->older;
	*(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

static void link_newest(struct shard *s, struct entry *e)
{
	e->newer = NULL;
	e->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = e;
	s->newest = e;
}

static struct entry **find(struct shard *s, uint64_t h, const char *key)
{
	struct entry **at = &s->slots[h / SHARDS % SLOTS];
	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

static void drop(struct shard *s, struct entry **at)
{
	struct entry *e = *at;
	*at = e->next;
	unlink_use(s, e);
	s->bytes -= e->weight;
	body_drop(e->body);
	xfree(e);
}

static bool is_true(const struct cache *c, const struct entry *e)
{
	return !hub_changed(c->hub, e->process_id, e->since) && e->until_ms > sys_wall_ms();
}

/* ---- For everybody ---- */

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		while (s->oldest)
			drop(s, find(s, hash(s->oldest->key), s->oldest->key));
		pthread_mutex_destroy(&s->lock);
	}
	xfree(c);
}

bool cache_get(struct cache *c, const char *key, struct cached *out)
{
	uint64_t h = hash(key);
	struct shard *s = &c->shards[h % SHARDS];
	pthread_mutex_lock(&s->lock);
	struct entry **at = find(s, h, key), *e = *at;
	if (e && !is_true(c, e)) {
		drop(s, at);
		e = NULL;
	}
	if (e) {
		unlink_use(s, e);
		link_newest(s, e);
		memcpy(out->tag, e->tag, sizeof out->tag);
		out->body = body_hold(e->body);
	}
	pthread_mutex_unlock(&s->lock);
	metric_add(e ? METRIC_cache_hits : METRIC_cache_misses, 1);
	return e != NULL;
}

void cache_put(struct cache *c, const char *key, int64_t process_id, uint64_t since,
	       int64_t until_ms, const struct cached *answer)
{
	/* A compressed form may join it later and is about a third of it. */
	size_t weight = body_len(answer->body) + body_len(answer->body) / 3 + OVERHEAD;
	if (strlen(key) >= CACHE_KEY || weight > c->shard_max / 2)
		return;
	uint64_t h = hash(key);
	struct shard *s = &c->shards[h % SHARDS];
	struct entry *e = xcalloc(1, sizeof *e);
	snprintf(e->key, sizeof e->key, "%s", key);
	memcpy(e->tag, answer->tag, sizeof e->tag);
	e->body = body_hold(answer->body);
	e->process_id = process_id;
	e->since = since;
	e->until_ms = until_ms;
	e->weight = weight;
	pthread_mutex_lock(&s->lock);
	struct entry **at = find(s, h, key);
	if (*at)
		drop(s, at);
	e->next = s->slots[h / SHARDS % SLOTS];
	s->slots[h / SHARDS % SLOTS] = e;
	link_newest(s, e);
	s->bytes += weight;
	while (s->bytes > c->shard_max)
		drop(s, find(s, hash(s->oldest->key), s->oldest->key));
	pthread_mutex_unlock(&s->lock);
}
