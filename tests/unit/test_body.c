/*
 * Bodies: their owners, and their gzip. Leaks and double frees are the sanitizer's to find.
 */
#include "body.h"

#include <pthread.h>
#include <zlib.h>

#include "scratch.h"

static void test_owners(void **state)
{
	(void)state;
	char text[] = "abc";
	struct body *b = body_from(text, 3);
	text[0] = 'X';
	assert_int_equal(body_len(b), 3);
	assert_memory_equal(body_data(b), "abc", 3);
	assert_ptr_equal(body_hold(b), b);
	body_hold(b);
	body_drop(b);
	body_drop(b);
	assert_memory_equal(body_data(b), "abc", 3);
	body_drop(b);
	body_drop(NULL);
}

static void test_sources(void **state)
{
	(void)state;
	static const char constant[] = "constant\0text";
	struct body *b = body_static(constant, sizeof constant);
	assert_ptr_equal(body_data(b), constant);
	assert_int_equal(body_len(b), sizeof constant);
	body_drop(b);

	struct buf buf;
	buf_init(&buf, 100);
	buf_add(&buf, "a\0b", 3);
	b = body_take(&buf);
	assert_int_equal(body_len(b), 3);
	assert_memory_equal(body_data(b), "a\0b", 3);
	assert_int_equal(buf.len, 0);
	assert_true(buf_adds(&buf, "again"));
	assert_memory_equal(body_data(b), "a\0b", 3);
	body_drop(b);
	buf_release(&buf);

	buf_init(&buf, 1);
	b = body_take(&buf);
	assert_int_equal(body_len(b), 0);
	assert_null(body_gzip(b));
	body_drop(b);
	b = body_from("", 0);
	assert_int_equal(body_len(b), 0);
	assert_null(body_gzip(b));
	body_drop(b);
	b = body_from(NULL, 0);
	assert_int_equal(body_len(b), 0);
	body_drop(b);
}

/* Reads one gzip member that is all of the input (RFC 1952). */
static char *gunzip(const struct body *gz, size_t len)
{
	char *out = xmalloc(len + 1);
	z_stream z = {0};
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (z_const Bytef *)body_data(gz);
	z.avail_in = (uInt)body_len(gz);
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)len + 1;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	assert_int_equal(z.total_out, len);
	inflateEnd(&z);
	return out;
}

static void round_trip(const char *data, size_t len, bool smaller)
{
	struct body *b = body_from(data, len), *gz = body_gzip(b);
	if (!gz == smaller)
		fail_msg("%zu bytes: gzip %s", len, gz ? "made" : "not made");
	if (gz) {
		assert_true(body_len(gz) < len);
		assert_memory_equal(body_data(gz), "\x1f\x8b\x08", 3);
		char *back = gunzip(gz, len);
		assert_memory_equal(back, data, len);
		xfree(back);
		assert_null(body_gzip(gz));
	}
	assert_ptr_equal(body_gzip(b), gz);
	body_drop(b);
}

static void test_gzip(void **state)
{
	(void)state;
	enum { LARGE = 3000000 };
	char *data = xmalloc(LARGE);
	uint64_t seed = 99;
	memset(data, 'a', LARGE);
	round_trip(data, 1, false);
	round_trip(data, 20, false);
	round_trip(data, 100, true);
	round_trip(data, 65536, true);
	round_trip(data, LARGE, true);
	for (size_t i = 0; i < LARGE; i++)
		data[i] = "{\"id\":0,x}"[scratch_random(&seed) % 10];
	round_trip(data, 300, true);
	round_trip(data, LARGE, true);
	for (size_t i = 0; i < LARGE; i++)
		data[i] = (char)scratch_random(&seed);
	round_trip(data, 21, false);
	round_trip(data, 1000, false);
	round_trip(data, LARGE, false);
	/* around the size where it begins to pay */
	memset(data, 'b', 64);
	size_t first = 0;
	for (size_t len = 1; len <= 64; len++) {
		struct body *b = body_from(data, len);
		bool made = body_gzip(b) != NULL;
		assert_true(made || first == 0);
		if (made && first == 0)
			first = len;
		body_drop(b);
	}
	assert_in_range(first, 21, 40);
	xfree(data);
}

static void test_gzip_outlives(void **state)
{
	(void)state;
	char text[500];
	memset(text, 'x', sizeof text);
	struct body *b = body_from(text, sizeof text), *gz = body_hold(body_gzip(b));
	body_drop(b);
	char *back = gunzip(gz, sizeof text);
	assert_memory_equal(back, text, sizeof text);
	xfree(back);
	body_drop(gz);
}

static void test_weight(void **state)
{
	(void)state;
	static char text[100000];
	memset(text, 'x', sizeof text);
	struct body *b = body_static(text, sizeof text);
	assert_true(body_weight(b) < 1000);
	body_drop(b);
	b = body_from(text, sizeof text);
	size_t alone = body_weight(b);
	assert_in_range(alone, sizeof text, sizeof text + 1000);
	struct body *gz = body_gzip(b);
	assert_int_equal(body_weight(b), alone + body_weight(gz));
	assert_in_range(body_weight(gz), body_len(gz), body_len(gz) + 1000);
	body_drop(b);
	struct buf buf;
	buf_init(&buf, 1 << 20);
	buf_add(&buf, text, 70000); /* the buffer took 128 KiB */
	b = body_take(&buf);
	assert_in_range(body_weight(b), 70000, 71000);
	body_drop(b);
}

enum { THREADS = 4, ROUNDS = 50 };

static struct body *shared;
static pthread_barrier_t start;

static void *ask(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&start);
	struct body *gz = body_hold(body_gzip(shared));
	assert_true(body_weight(shared) > body_len(gz));
	body_drop(shared);
	return gz;
}

/* Threads that ask at once get one and the same gzip, and whoever is last frees it all. */
static void test_threads(void **state)
{
	(void)state;
	char text[2000];
	memset(text, 'y', sizeof text);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t threads[THREADS];
		void *got[THREADS];
		shared = body_from(text, sizeof text);
		pthread_barrier_init(&start, NULL, THREADS);
		for (int i = 0; i < THREADS; i++) {
			body_hold(shared);
			assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
		}
		body_drop(shared);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], &got[i]);
		for (int i = 0; i < THREADS; i++) {
			assert_non_null(got[i]);
			assert_ptr_equal(got[i], got[0]);
		}
		for (int i = 0; i < THREADS; i++)
			body_drop(got[i]);
		pthread_barrier_destroy(&start);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners), cmocka_unit_test(test_sources),
		cmocka_unit_test(test_gzip),   cmocka_unit_test(test_gzip_outlives),
		cmocka_unit_test(test_weight), cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
