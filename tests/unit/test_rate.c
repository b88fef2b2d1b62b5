/*
 * Rate limits: windows, a full table, many threads, and the hash that names them.
 */
#include "rate.h"

#include <pthread.h>

#include "scratch.h"

static void took(struct rate_table *t, uint64_t id, int64_t now, bool allowed, int64_t remaining,
		 int64_t reset)
{
	struct rate_state s = rate_take(t, id, 3, 1000, now);
	if (s.allowed != allowed || s.remaining != remaining || s.reset_ms != reset || s.limit != 3)
		fail_msg("id %llu at %lld: %d, %lld left of %lld, %lld ms", (unsigned long long)id,
			 (long long)now, s.allowed, (long long)s.remaining, (long long)s.limit,
			 (long long)s.reset_ms);
}

static void test_window(void **state)
{
	(void)state;
	struct rate_table *t = rate_new(16);
	took(t, 7, 5000, true, 2, 1000);
	took(t, 7, 5001, true, 1, 999);
	took(t, 8, 5001, true, 2, 1000);
	took(t, 7, 5500, true, 0, 500);
	took(t, 7, 5600, false, 0, 400);
	took(t, 7, 5999, false, 0, 1);
	/* a refused request prolongs nothing and costs nothing */
	took(t, 7, 6000, true, 2, 1000);
	took(t, 8, 6000, true, 1, 1);
	took(t, 8, 6001, true, 2, 1000);
	/* long after */
	took(t, 7, 900000, true, 2, 1000);
	rate_free(t);
	rate_free(NULL);
}

static void test_changed_limits(void **state)
{
	(void)state;
	struct rate_table *t = rate_new(16);
	for (int i = 0; i < 5; i++)
		assert_true(rate_take(t, 1, 5, 1000, 0).allowed);
	assert_false(rate_take(t, 1, 5, 1000, 0).allowed);
	struct rate_state s = rate_take(t, 1, 2, 1000, 0);
	assert_false(s.allowed);
	assert_int_equal(s.limit, 2);
	assert_int_equal(s.remaining, 0);
	s = rate_take(t, 1, 7, 50, 0);
	assert_true(s.allowed);
	assert_int_equal(s.remaining, 1);
	assert_int_equal(s.reset_ms, 1000);
	s = rate_take(t, 2, INT64_MAX, INT64_MAX, 1000);
	assert_true(s.allowed);
	assert_int_equal(s.remaining, INT64_MAX - 1);
	assert_int_equal(s.reset_ms, INT64_MAX - 1000);
	rate_free(t);
}

/* Ids 0 and all ones are ids like others. */
static void test_odd_ids(void **state)
{
	(void)state;
	struct rate_table *t = rate_new(16);
	took(t, 0, 0, true, 2, 1000);
	took(t, UINT64_MAX, 0, true, 2, 1000);
	took(t, 0, 0, true, 1, 1000);
	took(t, UINT64_MAX, 0, true, 1, 1000);
	rate_free(t);
}

static void test_full(void **state)
{
	(void)state;
	struct rate_table *t = rate_new(16);
	for (uint64_t id = 0; id < 16; id++)
		took(t, id, (int64_t)id, true, 2, 1000);
	for (uint64_t id = 0; id < 16; id++) /* all of them fit */
		took(t, id, 100, true, 1, 900 + (int64_t)id);
	took(t, 99, 100, true, 2, 1000); /* 0, which ends first, makes room */
	for (uint64_t id = 1; id < 16; id++)
		took(t, id, 100, true, 0, 900 + (int64_t)id);
	took(t, 99, 100, true, 1, 1000);
	took(t, 0, 100, true, 2, 1000); /* forgotten; now 1 makes room */
	took(t, 2, 100, false, 0, 902);
	took(t, 1, 100, true, 2, 1000);
	rate_free(t);
}

/* One that is over makes room before one that runs, whatever their order was. */
static void test_over_first(void **state)
{
	(void)state;
	struct rate_table *t = rate_new(16);
	for (uint64_t id = 0; id < 16; id++)
		rate_take(t, id, 1, id == 11 ? 10 : 1000, 0);
	rate_take(t, 50, 1, 1000, 20);
	for (uint64_t id = 0; id < 16; id++)
		if (id != 11)
			assert_false(rate_take(t, id, 1, 1000, 20).allowed);
	rate_free(t);
}

/* The table beside a plain list that does the same. */
enum { SLOTS = 40 };

struct plain {
	uint64_t id;
	int64_t end, spent;
};

static struct rate_state plain_take(struct plain *p, size_t *n, uint64_t id, int64_t limit,
				    int64_t window, int64_t now)
{
	size_t at = 0, first = 0;
	while (at < *n && p[at].id != id)
		at++;
	for (size_t i = 0; i < *n; i++)
		if (p[i].end < p[first].end)
			first = i;
	if (at == *n && *n == SLOTS)
		at = first;
	else if (at == *n)
		p[(*n)++] = (struct plain){0};
	if (p[at].id != id || p[at].end <= now)
		p[at] = (struct plain){id, now + window, 0};
	struct rate_state s = {p[at].spent < limit, limit, 0, p[at].end - now};
	p[at].spent += s.allowed;
	s.remaining = p[at].spent < limit ? limit - p[at].spent : 0;
	return s;
}

static void test_storm(void **state)
{
	(void)state;
	uint64_t seed = 20240917;
	struct rate_table *t = rate_new(SLOTS);
	struct plain p[SLOTS];
	size_t n = 0;
	int64_t now = 1;
	for (int i = 0; i < 200000; i++) {
		uint64_t id = 1 + scratch_random(&seed) % (i < 100000 ? 60 : 45);
		int64_t limit = 1 + (int64_t)(scratch_random(&seed) % 4);
		/* no two windows end together: which one goes first then is nobody's business */
		int64_t window = 64 * (int64_t)(1 + scratch_random(&seed) % 50) + (int64_t)id;
		now += 64 * (int64_t)(scratch_random(&seed) % 3);
		struct rate_state a = rate_take(t, id, limit, window, now);
		struct rate_state b = plain_take(p, &n, id, limit, window, now);
		assert_int_equal(a.allowed, b.allowed);
		assert_int_equal(a.remaining, b.remaining);
		assert_int_equal(a.reset_ms, b.reset_ms);
	}
	rate_free(t);
}

/* A table in parts: no id is forgotten while there is room, and it never holds more than it may. */
static void test_large(void **state)
{
	(void)state;
	struct rate_table *t = rate_new(16384);
	for (uint64_t i = 0; i < 8192; i++)
		assert_true(rate_take(t, i, 1, 1000, 0).allowed);
	for (uint64_t i = 0; i < 8192; i++)
		assert_false(rate_take(t, i, 1, 1000, 0).allowed);
	size_t kept = 0;
	for (uint64_t i = 0; i < 100000; i++)
		rate_take(t, rate_id("x", "y") + i, 1, 1000, 1);
	for (uint64_t i = 100000; i-- > 0;)
		kept += !rate_take(t, rate_id("x", "y") + i, 1, 1000, 1).allowed;
	assert_true(kept <= 16384 && kept > 8192);
	rate_free(t);
}

enum { THREADS = 4, TAKES = 20000, LIMIT = 1000 };

static struct rate_table *shared;
static _Atomic int64_t allowed[8];

static void *take_many(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < TAKES; i++)
		allowed[i % 8] += rate_take(shared, i % 8, LIMIT, 1000, 5).allowed;
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	shared = rate_new(20000);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 8; i++)
		assert_int_equal(allowed[i], LIMIT);
	rate_free(shared);
}

/* Key 00 01 ... 0f and the vector of the paper's appendix A, which hashes 00 01 ... 0e; and texts
 * hashed by another implementation. */
static void test_hash(void **state)
{
	(void)state;
	static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	static const struct {
		const char *who, *what;
		uint64_t hash;
	} rows[] = {
		{"", "\1\2\3\4\5\6\7\10\11\12\13\14\15\16", UINT64_C(0xa129ca6149be45e5)},
		{"", "", UINT64_C(0x74f839c593dc67fd)},
		{"a", "", UINT64_C(0xbfe40170b993de01)},
		{"", "a", UINT64_C(0xbac208951bf3a20f)},
		{"abcdef", "g", UINT64_C(0x265d2dafed432fb0)},
		{"abcdefg", "", UINT64_C(0xf5ebe59dae2f047c)},
		{"abc", "defgh", UINT64_C(0x50e5b5f20d05dc51)},
		{"user 17", "POST /api/v1/processes", UINT64_C(0x2897c827b12c6756)},
		{"192.0.2.1", "login", UINT64_C(0xfad2b0e669582bc4)},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rate_hash(key, rows[i].who, rows[i].what) != rows[i].hash)
			fail_msg("%s, %s", rows[i].who, rows[i].what);
}

static void test_id(void **state)
{
	(void)state;
	assert_true(rate_id("a", "b") == rate_id("a", "b"));
	assert_true(rate_id("a", "b") != rate_id("b", "a"));
	assert_true(rate_id("ab", "c") != rate_id("a", "bc"));
	assert_true(rate_id("", "ab") != rate_id("ab", ""));
	assert_true(rate_id("", "") != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),     cmocka_unit_test(test_changed_limits),
		cmocka_unit_test(test_odd_ids),    cmocka_unit_test(test_full),
		cmocka_unit_test(test_over_first), cmocka_unit_test(test_storm),
		cmocka_unit_test(test_large),      cmocka_unit_test(test_threads),
		cmocka_unit_test(test_hash),       cmocka_unit_test(test_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
