/*
 * One body on its way: in memory, at the limit, in a nameless file.
 */
#include "spool.h"

#include "http_msg.h"
#include "scratch.h"

enum { MEMORY = 8192 };

static int setup(void **state)
{
	*state = scratch_make();
	return 0;
}

static int teardown(void **state)
{
	scratch_remove(*state);
	return 0;
}

/* Bytes that differ from place to place. */
static char *made(size_t n)
{
	char *data = xmalloc(n);
	uint64_t seed = 3 + n;
	for (size_t i = 0; i < n; i++)
		data[i] = (char)scratch_random(&seed);
	return data;
}

/* Reads the spool back from `at` in pieces of `step`, and compares. */
static void read_back(const struct spool *s, const char *data, size_t n, size_t at, size_t step)
{
	char *out = xmalloc(step);
	while (at < n) {
		ssize_t got = spool_read(s, (int64_t)at, out, step);
		assert_true(got > 0 && (size_t)got <= step);
		assert_memory_equal(out, data + at, (size_t)got);
		at += (size_t)got;
	}
	assert_int_equal(spool_read(s, (int64_t)n, out, step), 0);
	assert_int_equal(spool_read(s, (int64_t)n + 1000, out, step), 0);
	xfree(out);
}

/* Fills a spool in pieces and checks everything about it. */
static void round_trip(const char *dir, size_t n, size_t piece, bool spilt)
{
	struct spool s;
	struct err e = {0};
	char want[65], *data = made(n);
	spool_init(&s, dir, MEMORY);
	for (size_t at = 0; at < n; at += piece)
		assert_true(spool_add(&s, data + at, n - at < piece ? n - at : piece, &e));
	assert_true(spool_end(&s, &e));
	sha256_hex(data, n, want);
	assert_string_equal(s.sha256, want);
	assert_int_equal(s.size, n);
	assert_int_equal(s.fd >= 0, spilt);
	assert_int_equal(scratch_count(dir), 0); /* whatever it keeps has no name */
	/* The first bytes stay in memory: answers are named by them. */
	if (spilt)
		assert_memory_equal(s.head, data, HTTP_EDGE);
	else if (n)
		assert_memory_equal(s.mem, data, n);
	if (spilt) {
		struct stat st;
		assert_int_equal(fstat(s.fd, &st), 0);
		assert_int_equal(st.st_nlink, 0);
		assert_int_equal(st.st_size, n);
		assert_null(s.mem);
	} else {
		assert_int_equal(s.mem_len, n);
	}
	read_back(&s, data, n, 0, 4096);
	read_back(&s, data, n, n / 2, 1000);
	read_back(&s, data, n, n ? n - 1 : 0, 10);
	spool_release(&s);
	spool_release(&s);
	xfree(data);
}

static void test_empty(void **state)
{
	struct spool s;
	struct err e;
	char out[4], want[65];
	spool_init(&s, *state, MEMORY);
	assert_true(spool_add(&s, NULL, 0, &e));
	assert_true(spool_end(&s, &e));
	sha256_hex("", 0, want);
	assert_string_equal(s.sha256, want);
	assert_int_equal(s.size, 0);
	assert_int_equal(spool_read(&s, 0, out, sizeof out), 0);
	spool_release(&s);
	spool_release(&s);
}

static void test_memory_only(void **state)
{
	static const size_t sizes[] = {1, 2, 4095, 4096, 4097, MEMORY - 1};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		round_trip(*state, sizes[i], sizes[i], false);
		round_trip(*state, sizes[i], 1000, false);
	}
	round_trip(*state, 300, 1, false);
}

static void test_exact_limit(void **state)
{
	round_trip(*state, MEMORY, MEMORY, false);
	round_trip(*state, MEMORY, MEMORY - 1, false);
	round_trip(*state, MEMORY, 1, false);
}

static void test_spills_beyond_the_limit(void **state)
{
	round_trip(*state, MEMORY + 1, MEMORY, true);
	round_trip(*state, MEMORY + 1, 1, true);
	round_trip(*state, 3 * MEMORY, 4096, true);
	round_trip(*state, 200000, 16384, true);
}

/* The piece that goes over the limit comes while little or nothing is kept. */
static void test_first_bytes_stay(void **state)
{
	round_trip(*state, MEMORY + 1, MEMORY + 1, true);
	round_trip(*state, 100000, 100000, true);
	struct spool s;
	struct err e;
	char *data = made(20000), want[65];
	spool_init(&s, *state, HTTP_EDGE);
	assert_true(spool_add(&s, data, 100, &e));
	assert_true(spool_add(&s, data + 100, 16384, &e));
	assert_true(spool_add(&s, data + 16484, 20000 - 16484, &e));
	assert_true(spool_end(&s, &e));
	assert_memory_equal(s.head, data, HTTP_EDGE);
	sha256_hex(data, 20000, want);
	assert_string_equal(s.sha256, want);
	read_back(&s, data, 20000, 0, 3000);
	spool_release(&s);
	xfree(data);
}

/* Larger than the steps in which write-back is asked for. */
static void test_large(void **state)
{
	size_t n = (17 << 20) + 5;
	struct spool s;
	struct err e;
	char want[65], *data = made(n);
	spool_init(&s, *state, MEMORY);
	for (size_t at = 0; at < n; at += 65536)
		assert_true(spool_add(&s, data + at, n - at < 65536 ? n - at : 65536, &e));
	assert_true(spool_end(&s, &e));
	sha256_hex(data, n, want);
	assert_string_equal(s.sha256, want);
	assert_int_equal(s.size, n);
	assert_true(s.flushed > 0);
	read_back(&s, data, n, 0, 1 << 20);
	spool_release(&s);
	xfree(data);
}

/* Memory needs no directory; the file does, and says so in one line. */
static void test_directory_missing(void **state)
{
	char *dir = xasprintf("%s/none", (char *)*state), *data = made(MEMORY + 1);
	struct spool s;
	struct err e = {0};
	spool_init(&s, dir, MEMORY);
	assert_true(spool_add(&s, data, MEMORY, &e));
	assert_false(spool_add(&s, data, 1, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, dir);
	assert_says(&e, strerror(ENOENT));
	spool_release(&s);
	spool_release(&s);
	xfree(data);
	xfree(dir);
}

static void test_release_of_zeroed_memory(void **state)
{
	(void)state;
	struct spool s = {0};
	spool_release(&s);
	spool_release(&s);
	assert_int_equal(s.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exact_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spills_beyond_the_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_bytes_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_missing, setup, teardown),
		cmocka_unit_test(test_release_of_zeroed_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
