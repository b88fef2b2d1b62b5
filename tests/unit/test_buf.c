/*
 * Buffers that know their maximum.
 */
#include "buf.h"

#include "sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void test_growth(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100000);
	assert_null(b.data);
	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 10000; i++)
		assert_true(buf_addf(&b, "%d,", i % 10));
	assert_int_equal(b.len, 20000);
	assert_int_equal(b.data[b.len], '\0');
	assert_memory_equal(b.data + 19990, "5,6,7,8,9,", 10);
	buf_clear(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.max, 100000);
	buf_release(&b);
	buf_release(&b);
}

static void test_maximum(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 5);
	assert_true(buf_add(&b, "ab\0", 3));
	assert_true(buf_add(&b, NULL, 0));
	assert_true(buf_adds(&b, "de"));
	assert_int_equal(b.len, 5);
	assert_false(buf_adds(&b, "f"));
	assert_true(b.overflow);
	assert_int_equal(b.len, 5);
	assert_false(buf_add(&b, "", 0));
	assert_memory_equal(b.data, "ab\0de", 6);
	buf_clear(&b);
	assert_false(b.overflow);
	assert_false(buf_addf(&b, "%s", "123456"));
	assert_true(b.overflow);
	buf_clear(&b);
	assert_true(buf_addf(&b, "%s", "12345"));
	assert_string_equal(buf_str(&b), "12345");
	buf_release(&b);
}

/* A piece so large that adding it to the length would wrap around. */
static void test_huge(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	assert_true(buf_adds(&b, "x"));
	assert_false(buf_add(&b, "x", SIZE_MAX));
	assert_int_equal(b.len, 1);
	buf_release(&b);
}

static void test_detach(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	char *s = buf_detach(&b);
	assert_string_equal(s, "");
	xfree(s);
	buf_adds(&b, "abc");
	s = buf_detach(&b);
	assert_string_equal(s, "abc");
	xfree(s);
	assert_int_equal(b.len, 0);
	assert_true(buf_adds(&b, "0123456789"));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_detach),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
