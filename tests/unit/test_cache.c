/*
 * Kept answers: never one from before a change of its case, never more bytes than allowed, and what
 * is asked for stays longer than what is not.
 */
#include "cache.h"

#include "metrics.h"
#include "scratch.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CASE = 7, OTHER_CASE = 8, ROOM = 1 << 20 };

struct room {
	struct hub *hub;
	struct cache *cache;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	r->hub = hub_new();
	r->cache = cache_new(r->hub, ROOM);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	cache_free(r->cache);
	hub_free(r->hub);
	xfree(r);
	return 0;
}

static void tell(struct hub *h, int64_t process_id)
{
	hub_notes(h, &(struct db_note){.kind = NOTE_CHANGED, .process_id = process_id}, 1);
}

static int64_t later(void)
{
	return sys_wall_ms() + 60000;
}

static void keep_for(struct room *r, const char *key, int64_t process_id, uint64_t since,
		     int64_t until_ms, const char *text)
{
	struct cached one = {.body = body_from(text, strlen(text))};
	snprintf(one.tag, sizeof one.tag, "\"%.20s\"", text);
	cache_put(r->cache, key, process_id, since, until_ms, &one);
	body_drop(one.body);
}

static void keep(struct room *r, const char *key, const char *text)
{
	keep_for(r, key, CASE, hub_now(r->hub), later(), text);
}

/* NULL: there is none. */
static void gives(struct room *r, const char *key, const char *text)
{
	struct cached got = {0};
	char tag[CACHE_TAG];
	bool found = cache_get(r->cache, key, &got);
	assert_int_equal(found, text != NULL);
	if (!found)
		return;
	assert_int_equal(body_len(got.body), strlen(text));
	assert_memory_equal(body_data(got.body), text, strlen(text));
	snprintf(tag, sizeof tag, "\"%.20s\"", text);
	assert_string_equal(got.tag, tag);
	body_drop(got.body);
}

/* ---- What is true ---- */

static void test_keep_and_give(void **state)
{
	struct room *r = *state;
	int64_t hits = metric_get(METRIC_cache_hits), misses = metric_get(METRIC_cache_misses);
	gives(r, "status 1", NULL);
	keep(r, "status 1", "one");
	keep(r, "status 2", "two");
	gives(r, "status 1", "one");
	gives(r, "status 1", "one");
	gives(r, "status 2", "two");
	gives(r, "status", NULL);
	keep(r, "status 1", "another");
	gives(r, "status 1", "another");
	assert_int_equal(metric_get(METRIC_cache_hits), hits + 4);
	assert_int_equal(metric_get(METRIC_cache_misses), misses + 2);
}

static void test_body_outlives_its_place(void **state)
{
	struct room *r = *state;
	struct cached got;
	keep(r, "k", "text");
	assert_true(cache_get(r->cache, "k", &got));
	tell(r->hub, CASE);
	gives(r, "k", NULL);
	assert_memory_equal(body_data(got.body), "text", 4);
	body_drop(got.body);
}

static void test_change_after_keeping(void **state)
{
	struct room *r = *state;
	keep(r, "k", "old");
	tell(r->hub, OTHER_CASE);
	hub_notes(r->hub, &(struct db_note){.kind = NOTE_ACCESS}, 1);
	gives(r, "k", "old");
	tell(r->hub, CASE);
	gives(r, "k", NULL);
	gives(r, "k", NULL);
	keep(r, "k", "new");
	gives(r, "k", "new");
}

/* Between the reading and the keeping. */
static void test_change_before_keeping(void **state)
{
	struct room *r = *state;
	uint64_t since = hub_now(r->hub);
	tell(r->hub, CASE);
	keep_for(r, "k", CASE, since, later(), "old");
	gives(r, "k", NULL);
}

static void test_time(void **state)
{
	struct room *r = *state;
	keep_for(r, "k", CASE, hub_now(r->hub), sys_wall_ms(), "over");
	gives(r, "k", NULL);
	keep_for(r, "k", CASE, hub_now(r->hub), later(), "good");
	gives(r, "k", "good");
}

/* ---- Bounds ---- */

static void test_long_key(void **state)
{
	struct room *r = *state;
	char key[CACHE_KEY + 1];
	memset(key, 'k', sizeof key);
	key[CACHE_KEY] = '\0';
	keep(r, key, "x");
	gives(r, key, NULL);
	key[CACHE_KEY - 1] = '\0';
	keep(r, key, "x");
	gives(r, key, "x");
}

static char *text_of(size_t size)
{
	char *s = xmalloc(size + 1);
	memset(s, 'x', size);
	s[size] = '\0';
	return s;
}

static void test_heavy_body(void **state)
{
	struct room *r = *state;
	char *heavy = text_of(ROOM), *light = text_of(ROOM / 64);
	keep(r, "k", heavy);
	gives(r, "k", NULL);
	keep(r, "k", light);
	gives(r, "k", light);
	xfree(heavy);
	xfree(light);
}

static void test_no_memory(void **state)
{
	struct room *r = *state;
	cache_free(r->cache);
	r->cache = cache_new(r->hub, 0);
	keep(r, "k", "");
	gives(r, "k", NULL);
	cache_free(NULL);
}

/* Bytes that can be had, of keys 0 to n - 1. */
static size_t held(struct room *r, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++) {
		struct cached got;
		char key[20];
		snprintf(key, sizeof key, "k%d", i);
		if (!cache_get(r->cache, key, &got))
			continue;
		sum += body_len(got.body);
		body_drop(got.body);
	}
	return sum;
}

static void test_bound_in_bytes(void **state)
{
	enum { N = 2000, SIZE = 5000 };
	struct room *r = *state;
	char *text = text_of(SIZE), key[20];
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof key, "k%d", i);
		keep(r, key, text);
	}
	size_t sum = held(r, N);
	assert_true(sum <= ROOM);
	assert_true(sum >= ROOM / 2); /* and the room is used */
	/* Equal keys do not add up. */
	for (int i = 0; i < N; i++)
		keep(r, "k0", text);
	assert_true(held(r, N) >= ROOM / 2);
	xfree(text);
}

/* One entry is asked for after each that comes; it outlives those that are not. */
static void test_least_recently_used_leaves(void **state)
{
	enum { N = 2000, SIZE = 5000 };
	struct room *r = *state;
	char *text = text_of(SIZE), key[20];
	keep(r, "asked for", text);
	keep(r, "never asked for", text);
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof key, "k%d", i);
		keep(r, key, text);
		gives(r, "asked for", text);
		gives(r, key, text);
	}
	gives(r, "never asked for", NULL);
	gives(r, "k0", NULL);
	xfree(text);
}

/* ---- Threads ---- */

enum { CASES = 16, ROUNDS = 4000, THREADS = 4 };

struct storm {
	struct room *room;
	_Atomic int64_t committed[CASES]; /* what the database would hold */
	_Atomic int64_t told[CASES];      /* what was told to be done */
	_Atomic bool over;
};

struct reader {
	pthread_t thread;
	struct storm *storm;
	uint64_t seed;
	int64_t stale, hits;
};

/* As a request: from the cache, else from the database into the cache. */
static void *read_many(void *arg)
{
	struct reader *me = arg;
	struct storm *s = me->storm;
	struct cache *cache = s->room->cache;
	for (int i = 0; i < ROUNDS || !atomic_load(&s->over); i++) {
		int64_t n = (int64_t)(scratch_random(&me->seed) % CASES);
		char key[20], text[24];
		struct cached got;
		snprintf(key, sizeof key, "k%d", (int)n);
		int64_t least = atomic_load(&s->told[n]);
		if (cache_get(cache, key, &got)) {
			snprintf(text, sizeof text, "%.*s", (int)body_len(got.body),
				 body_data(got.body));
			me->stale += strtoll(text, NULL, 10) < least;
			me->hits++;
			body_drop(got.body);
			continue;
		}
		uint64_t since = hub_now(s->room->hub);
		snprintf(text, sizeof text, "%lld", (long long)atomic_load(&s->committed[n]));
		got = (struct cached){.body = body_from(text, strlen(text))};
		cache_put(cache, key, 1 + n, since, later(), &got);
		body_drop(got.body);
	}
	return NULL;
}

static void test_never_before_a_change(void **state)
{
	struct storm s = {.room = *state};
	struct reader readers[THREADS];
	uint64_t seed = 42;
	for (int i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.storm = &s, .seed = 1 + (uint64_t)i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_many, &readers[i]),
				 0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		int64_t n = (int64_t)(scratch_random(&seed) % CASES);
		int64_t value = atomic_fetch_add(&s.committed[n], 1) + 1;
		tell(s.room->hub, 1 + n);
		atomic_store(&s.told[n], value);
	}
	atomic_store(&s.over, true);
	int64_t hits = 0;
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		assert_int_equal(readers[i].stale, 0);
		hits += readers[i].hits;
	}
	assert_true(hits > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_keep_and_give),
		TEST(test_body_outlives_its_place),
		TEST(test_change_after_keeping),
		TEST(test_change_before_keeping),
		TEST(test_time),
		TEST(test_long_key),
		TEST(test_heavy_body),
		TEST(test_no_memory),
		TEST(test_bound_in_bytes),
		TEST(test_least_recently_used_leaves),
		TEST(test_never_before_a_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
