/*
 * rate - see rate.h. A table of shards: each has a lock, a hash table of its windows and a heap of
 * them by their end, so that the one that ends first is at hand. All memory is taken at the start.
 */
#include "rate.h"

#include "sys.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum { SHARDS = 16, SHARD_MIN = 1024 };

static const uint32_t NONE = UINT32_MAX;

struct window {
	uint64_t id;
	int64_t end_ms;
	int64_t spent;
	uint32_t next; /* of the same bucket */
	uint32_t at;   /* place in the heap */
};

struct shard {
	pthread_mutex_t lock;
	struct window *windows;
	uint32_t *buckets; /* first window of each */
	uint32_t *heap;    /* windows; a parent ends no later than its children */
	uint32_t n, cap;   /* windows in use, and room */
	uint32_t mask;     /* buckets - 1 */
} __attribute__((aligned(64)));

struct rate_table {
	struct shard *shards;
	uint32_t nshards;
};

static uint64_t mix(uint64_t id)
{
	id *= UINT64_C(0x9e3779b97f4a7c15);
	return id ^ id >> 32;
}

static void shard_init(struct shard *s, uint32_t cap)
{
	uint32_t buckets = 16;
	while (buckets < cap)
		buckets *= 2;
	pthread_mutex_init(&s->lock, NULL);
	s->cap = cap;
	s->mask = buckets - 1;
	s->windows = xcalloc(cap, sizeof *s->windows);
	s->heap = xcalloc(cap, sizeof *s->heap);
	s->buckets = xmalloc(buckets * sizeof *s->buckets);
	memset(s->buckets, 0xff, buckets * sizeof *s->buckets); /* NONE */
}

struct rate_table *rate_new(size_t slots)
{
	assert(slots >= 16 && slots < (size_t)1 << 30);
	struct rate_table *t = xcalloc(1, sizeof *t);
	t->nshards = slots >= (size_t)SHARDS * SHARD_MIN ? SHARDS : 1;
	t->shards = xcalloc(t->nshards, sizeof *t->shards);
	for (uint32_t i = 0; i < t->nshards; i++)
		shard_init(&t->shards[i], (uint32_t)((slots + t->nshards - 1) / t->nshards));
	return t;
}

void rate_free(struct rate_table *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->nshards; i++) {
		pthread_mutex_destroy(&t->shards[i].lock);
		xfree(t->shards[i].windows);
		xfree(t->shards[i].heap);
		xfree(t->shards[i].buckets);
	}
	xfree(t->shards);
	xfree(t);
}

/* ---- The heap ---- */

static void heap_put(struct shard *s, uint32_t at, uint32_t window)
{
	s->heap[at] = window;
	s->windows[window].at = at;
}

/* Moves a window whose end has changed, or that was put at the last place, to where it belongs. */
static void heap_settle(struct shard *s, uint32_t window)
{
	int64_t end = s->windows[window].end_ms;
	uint32_t at = s->windows[window].at;
	for (uint32_t up; at > 0; at = up) {
		up = (at - 1) / 2;
		if (s->windows[s->heap[up]].end_ms <= end)
			break;
		heap_put(s, at, s->heap[up]);
	}
	for (uint32_t down; (down = 2 * at + 1) < s->n; at = down) {
		if (down + 1 < s->n &&
		    s->windows[s->heap[down + 1]].end_ms < s->windows[s->heap[down]].end_ms)
			down++;
		if (s->windows[s->heap[down]].end_ms >= end)
			break;
		heap_put(s, at, s->heap[down]);
	}
	heap_put(s, at, window);
}

/* ---- Windows ---- */

static uint32_t *bucket_of(struct shard *s, uint64_t id)
{
	return &s->buckets[mix(id) & s->mask];
}

static uint32_t find(struct shard *s, uint64_t id)
{
	uint32_t i = *bucket_of(s, id);
	while (i != NONE && s->windows[i].id != id)
		i = s->windows[i].next;
	return i;
}

/* The window that ends first leaves its bucket; its memory is free to use. */
static uint32_t evict(struct shard *s)
{
	uint32_t first = s->heap[0], *link = bucket_of(s, s->windows[first].id);
	while (*link != first)
		link = &s->windows[*link].next;
	*link = s->windows[first].next;
	return first;
}

static uint32_t add(struct shard *s, uint64_t id)
{
	uint32_t i, *bucket = bucket_of(s, id);
	if (s->n < s->cap) {
		i = s->n++;
		heap_put(s, i, i);
	} else {
		i = evict(s);
	}
	s->windows[i].id = id;
	s->windows[i].next = *bucket;
	*bucket = i;
	return i;
}

struct rate_state rate_take(struct rate_table *t, uint64_t id, int64_t limit, int64_t window_ms,
			    int64_t now_ms)
{
	struct shard *s = &t->shards[mix(id) >> 33 & (t->nshards - 1)];
	assert(limit >= 1 && window_ms >= 1);
	pthread_mutex_lock(&s->lock);
	uint32_t i = find(s, id);
	if (i == NONE || s->windows[i].end_ms <= now_ms) {
		if (i == NONE)
			i = add(s, id);
		s->windows[i].spent = 0;
		s->windows[i].end_ms =
			window_ms < INT64_MAX - now_ms ? now_ms + window_ms : INT64_MAX;
		heap_settle(s, i);
	}
	struct window *w = &s->windows[i];
	struct rate_state r = {.allowed = w->spent < limit, .limit = limit};
	w->spent += r.allowed;
	r.remaining = w->spent < limit ? limit - w->spent : 0;
	r.reset_ms = w->end_ms - now_ms;
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* ---- Ids: SipHash-2-4 (Aumasson and Bernstein, 2012) ---- */

struct sip {
	uint64_t v[4];
	uint64_t word; /* bytes that are not hashed yet, little-endian */
	uint64_t len;
};

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_rounds(uint64_t v[4], int n)
{
	for (int i = 0; i < n; i++) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32) + v[3];
		v[2] += v[1];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static void sip_add(struct sip *h, unsigned char c)
{
	h->word |= (uint64_t)c << (h->len++ % 8 * 8);
	if (h->len % 8)
		return;
	h->v[3] ^= h->word;
	sip_rounds(h->v, 2);
	h->v[0] ^= h->word;
	h->word = 0;
}

static uint64_t key[2];

static void make_key(void)
{
	sys_random(key, sizeof key);
}

uint64_t rate_hash(const uint64_t k[static 2], const char *who, const char *what)
{
	struct sip h = {
		.v = {k[0] ^ UINT64_C(0x736f6d6570736575), k[1] ^ UINT64_C(0x646f72616e646f6d),
		      k[0] ^ UINT64_C(0x6c7967656e657261), k[1] ^ UINT64_C(0x7465646279746573)}};
	do /* the NUL between them is hashed too: no two pairs are one text */
		sip_add(&h, (unsigned char)*who);
	while (*who++);
	for (; *what; what++)
		sip_add(&h, (unsigned char)*what);
	h.word |= h.len << 56;
	h.v[3] ^= h.word;
	sip_rounds(h.v, 2);
	h.v[0] ^= h.word;
	h.v[2] ^= 0xff;
	sip_rounds(h.v, 4);
	return h.v[0] ^ h.v[1] ^ h.v[2] ^ h.v[3];
}

uint64_t rate_id(const char *who, const char *what)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_key);
	return rate_hash(key, who, what);
}
