/*
 * HTTP messages as values: Retry-After in its forms, headers, names.
 */
#include "http_msg.h"

#include "sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define NOW INT64_C(784111770000) /* 1994-11-06 08:49:30 UTC */

static const struct {
	const char *value;
	int64_t ms;
} rows[] = {
	{"0", 0},
	{"7", 7000},
	{" \t120 ", 120000},
	{"99999999999", 31536000000},
	{"99999999999999999999999999", 31536000000},
	{"Sun, 06 Nov 1994 08:49:37 GMT", 7000},
	{"Sunday, 06-Nov-94 08:49:37 GMT", 7000},
	{"Sun Nov  6 08:49:37 1994", 7000},
	{"Sun, 06 Nov 1994 08:49:00 GMT", 0},
	{"", -1},
	{"  ", -1},
	{"-5", -1},
	{"1.5", -1},
	{"7 s", -1},
	{"soon", -1},
	{"Sun, 06 Nov 1994 08:49:37 GMTx", -1},
	{"Sun, 36 Nov 1994 08:49:37 GMT", -1},
};

static void test_retry_after(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (http_retry_after_ms(rows[i].value, NOW) != rows[i].ms)
			fail_msg("\"%s\" gives %lld", rows[i].value,
				 (long long)http_retry_after_ms(rows[i].value, NOW));
}

static void test_headers(void **state)
{
	(void)state;
	struct http_req q = {0};
	for (int i = 0; i < HTTP_HEADERS_MAX; i++)
		http_req_header(&q, "X-%d: %s", i, "value");
	assert_int_equal(q.nheaders, HTTP_HEADERS_MAX);
	assert_string_equal(q.headers[3], "X-3: value");
	q.url = xstrdup("https://a.example/");
	http_req_release(&q);
	assert_null(q.url);
	assert_int_equal(q.nheaders, 0);
	http_req_release(&q);
}

static void test_fault_names(void **state)
{
	(void)state;
	for (int i = HTTP_FAULT_NONE; i <= HTTP_FAULT_LOCAL; i++) {
		assert_string_not_equal(http_fault_name((enum http_fault)i), "?");
		for (int k = HTTP_FAULT_NONE; k < i; k++)
			assert_string_not_equal(http_fault_name((enum http_fault)i),
						http_fault_name((enum http_fault)k));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_fault_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
