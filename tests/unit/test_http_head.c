/*
 * Header values: the examples of the RFCs, and what clients send in their place.
 */
#include "http_head.h"

#include "scratch.h"

#define EACH(row, rows)                                                                            \
	for (typeof(*(rows)) *row = rows; row < rows + sizeof rows / sizeof *rows; row++)

static const struct {
	const char *value;
	bool async;
	int64_t wait;
} prefers[] = {
	{NULL, false, -1},
	{"", false, -1},
	/* RFC 7240, 4.1 and 4.3 and the examples of section 2 */
	{"respond-async", true, -1},
	{"respond-async, wait=10", true, 10},
	{"wait=10", false, 10},
	{"foo; bar", false, -1},
	{"foo; bar=\"\"", false, -1},
	{"foo=\"\"; bar", false, -1},
	{"return=minimal; foo=\"some parameter\"", false, -1},
	{"respond-async, wait=100, handling=lenient", true, 100},
	{"Respond-Async,WAIT=5", true, 5},
	{" ,, respond-async , , wait = 7 ,", true, 7},
	{"wait=\"8\"", false, 8},
	{"wait=0", false, 0},
	{"wait=1, wait=2", false, 1},
	{"wait=x, wait=2", false, -1},
	{"wait", false, -1},
	{"wait=", false, -1},
	{"wait=-1", false, -1},
	{"wait=1.5", false, -1},
	{"wait=1s", false, -1},
	{"wait=\"8", false, -1},
	{"wait=\"\"", false, -1},
	{"wait=99999999999999999999999", false, INT64_MAX},
	{"wait 5", false, -1},
	{"wait=5 respond-async", false, -1},
	{"await=5, respond-asynchronously", false, -1},
	{"a=\"x, wait=5, respond-async\"", false, -1},
	{"a=\"x\\\", wait=5\", wait=6", false, 6},
	{"a=\"x, wait=5", false, -1},
	{"a; b=\",respond-async\", wait=3", false, 3},
	{"respond-async=\"\"", true, -1},
	{"respond-async=no", false, -1},
	{"respond-async;x=y", true, -1},
	{"@, respond-async", true, -1},
	{"=5, wait=2", false, 2},
};

static void test_prefer(void **state)
{
	(void)state;
	EACH(r, prefers)
	{
		struct prefer p = head_prefer(r->value);
		if (p.respond_async != r->async || p.wait_s != r->wait)
			fail_msg("%s gives %d, %lld", r->value, p.respond_async,
				 (long long)p.wait_s);
	}
}

static const struct {
	const char *value, *token;
} bearers[] = {
	{NULL, NULL},
	{"", NULL},
	/* RFC 6750, 2.1 */
	{"Bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM"},
	{"bearer a", "a"},
	{"BEARER  a", "a"},
	{"Bearer autos_AZaz09-_", "autos_AZaz09-_"},
	{"Bearer a+b/c~d==", "a+b/c~d=="},
	{"Bearer", NULL},
	{"Bearer ", NULL},
	{"Bearer ==", NULL},
	{"Bearer a=b", NULL},
	{"Bearer a b", NULL},
	{"Bearer a,b", NULL},
	{"Bearer \"a\"", NULL},
	{"Bearer a\xc3\xa7", NULL},
	{"Bearera", NULL},
	{"Bearer\ta", NULL},
	{" Bearer a", NULL},
	{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL},
};

static void test_bearer(void **state)
{
	(void)state;
	EACH(r, bearers)
	{
		const char *t = head_bearer(r->value);
		if (!t != !r->token || (t && strcmp(t, r->token) != 0))
			fail_msg("%s gives %s", r->value, t);
	}
}

static const struct {
	const char *value, *etag;
	bool matches;
} etags[] = {
	{NULL, "\"xyzzy\"", false},
	{"", "\"xyzzy\"", false},
	/* RFC 9110, 13.1.2 */
	{"\"xyzzy\"", "\"xyzzy\"", true},
	{"W/\"xyzzy\"", "\"xyzzy\"", true},
	{"\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"", "\"r2d2xxxx\"", true},
	{"W/\"xyzzy\", W/\"r2d2xxxx\", W/\"c3piozzzz\"", "\"c3piozzzz\"", true},
	{"*", "\"xyzzy\"", true},
	{" * ", "\"xyzzy\"", true},
	/* RFC 9110, 8.8.3.2: weak comparison */
	{"W/\"1\"", "W/\"1\"", true},
	{"W/\"1\"", "W/\"2\"", false},
	{"\"1\"", "W/\"1\"", true},
	{"\"1\"", "\"1\"", true},
	{"\"xyzz\"", "\"xyzzy\"", false},
	{"\"xyzzyy\"", "\"xyzzy\"", false},
	{"\"XYZZY\"", "\"xyzzy\"", false},
	{"xyzzy", "\"xyzzy\"", false},
	{"\"xyzzy", "\"xyzzy\"", false},
	{"\"a,b\"", "\"a,b\"", true},
	{"\"a,\"b\"\"", "\"b\"", false},
	{"\"\"", "\"\"", true},
	{",, \"a\" ,\t\"b\",", "\"b\"", true},
	{"\"a\" \"b\"", "\"b\"", false},
	{"w/\"a\"", "\"a\"", false},
	{"W/ \"a\"", "\"a\"", false},
	{"*, \"a\"", "\"a\"", false},
	{"**", "\"a\"", false},
	{"\"a b\", \"c\"", "\"c\"", false},
	{"\"\xc3\xa7\"", "\"\xc3\xa7\"", true},
};

static void test_none_match(void **state)
{
	(void)state;
	EACH(r, etags)
	if (head_none_match(r->value, r->etag) != r->matches)
		fail_msg("%s against %s", r->value, r->etag);
}

static const struct {
	const char *value;
	bool yes;
} gzips[] = {
	{NULL, false},
	/* RFC 9110, 12.5.3 */
	{"compress, gzip", true},
	{"", false},
	{"*", true},
	{"compress;q=0.5, gzip;q=1.0", true},
	{"gzip;q=1.0, identity; q=0.5, *;q=0", true},
	{"gzip, deflate, br, zstd", true},
	{"GZip", true},
	{"x-gzip", true},
	{"br", false},
	{"gzipped", false},
	{"gzip;q=0", false},
	{"gzip;q=0.000", false},
	{"gzip;q=0.", false},
	{"gzip;q=0.001", true},
	{"gzip;Q=1", true},
	{"gzip ; q=0.5", true},
	{"gzip;q=1.000", true},
	{"gzip;q=1.001", false},
	{"gzip;q=0.0001", false},
	{"gzip;q=2", false},
	{"gzip;q=", false},
	{"gzip;q", false},
	{"gzip;q=0.5;x", false},
	{"gzip;x=1", false},
	{"gzip q=1", false},
	{"gzip;q=0, *", false},
	{"*, gzip;q=0", false},
	{"*;q=0", false},
	{"*;q=0, gzip", true},
	{"identity;q=1, *;q=0", false},
	{",,gzip,,", true},
	{"a=\"gzip, gzip\"", false},
	{"a=\"gzip", false},
};

static void test_gzip(void **state)
{
	(void)state;
	EACH(r, gzips)
	if (head_accepts_gzip(r->value) != r->yes)
		fail_msg("%s", r->value);
}

static const struct {
	const char *value;
	bool yes;
} types[] = {
	{NULL, false},
	{"", false},
	{"application/json", true},
	{"Application/JSON", true},
	{" application/json", true},
	{"application/json; charset=utf-8", true},
	{"application/json ;charset=\"utf-8\"", true},
	{"application/json;", true},
	{"application/problem+json", true},
	{"application/vnd.api+JSON; version=1", true},
	{"application/+json", false},
	{"application/json5", false},
	{"application/jsonp", false},
	{"application/xjson", false},
	{"application/json, text/html", false},
	{"application/json text", false},
	{"application/", false},
	{"application/x-www-form-urlencoded", false},
	{"text/json", false},
	{"json", false},
};

static void test_json(void **state)
{
	(void)state;
	EACH(r, types)
	if (head_is_json(r->value) != r->yes)
		fail_msg("%s", r->value);
}

static const struct {
	const char *value;
	int64_t size;
	enum range range;
	int64_t from, len;
} ranges[] = {
	/* RFC 9110, 14.1.2, of a representation of 10000 bytes */
	{"bytes=0-499", 10000, RANGE_PART, 0, 500},
	{"bytes=500-999", 10000, RANGE_PART, 500, 500},
	{"bytes=-500", 10000, RANGE_PART, 9500, 500},
	{"bytes=9500-", 10000, RANGE_PART, 9500, 500},
	{"bytes=0-0,-1", 10000, RANGE_ALL, 0, 10000},
	{"bytes= 0-999, 4500-5499, -1000", 10000, RANGE_ALL, 0, 10000},
	{"bytes=500-600,601-999", 10000, RANGE_ALL, 0, 10000},
	{NULL, 5, RANGE_ALL, 0, 5},
	{"", 5, RANGE_ALL, 0, 5},
	{"BYTES=1-3", 5, RANGE_PART, 1, 3},
	{" bytes=1-3 ", 5, RANGE_PART, 1, 3},
	{"bytes=,1-3,,", 5, RANGE_PART, 1, 3},
	{"bytes=0-", 5, RANGE_PART, 0, 5},
	{"bytes=0-4", 5, RANGE_PART, 0, 5},
	{"bytes=0-5", 5, RANGE_PART, 0, 5},
	{"bytes=4-4", 5, RANGE_PART, 4, 1},
	{"bytes=4-99999999999999999999999", 5, RANGE_PART, 4, 1},
	{"bytes=-1", 5, RANGE_PART, 4, 1},
	{"bytes=-5", 5, RANGE_PART, 0, 5},
	{"bytes=-99999999999999999999999", 5, RANGE_PART, 0, 5},
	{"bytes=5-", 5, RANGE_NONE, 0, 0},
	{"bytes=5-6", 5, RANGE_NONE, 0, 0},
	{"bytes=99999999999999999999999-", 5, RANGE_NONE, 0, 0},
	{"bytes=9223372036854775807-9223372036854775807", 5, RANGE_NONE, 0, 0},
	{"bytes=-0", 5, RANGE_NONE, 0, 0},
	{"bytes=0-", 0, RANGE_NONE, 0, 0},
	{"bytes=-0", 0, RANGE_NONE, 0, 0},
	{"bytes=-5", 0, RANGE_ALL, 0, 0},
	{"bytes=0-9223372036854775807", INT64_MAX, RANGE_PART, 0, INT64_MAX},
	{"bytes=-9223372036854775807", INT64_MAX, RANGE_PART, 0, INT64_MAX},
	/* an invalid header is as if it was not sent (RFC 9110, 14.2) */
	{"bytes=3-1", 5, RANGE_ALL, 0, 5},
	{"bytes=-", 5, RANGE_ALL, 0, 5},
	{"bytes=", 5, RANGE_ALL, 0, 5},
	{"bytes=,", 5, RANGE_ALL, 0, 5},
	{"bytes=1", 5, RANGE_ALL, 0, 5},
	{"bytes=a-b", 5, RANGE_ALL, 0, 5},
	{"bytes=1-b", 5, RANGE_ALL, 0, 5},
	{"bytes=1-2x", 5, RANGE_ALL, 0, 5},
	{"bytes=1 - 2", 5, RANGE_ALL, 0, 5},
	{"bytes=--1", 5, RANGE_ALL, 0, 5},
	{"bytes=+1-2", 5, RANGE_ALL, 0, 5},
	{"bytes =1-2", 5, RANGE_ALL, 0, 5},
	{"bytes:1-2", 5, RANGE_ALL, 0, 5},
	{"seconds=1-2", 5, RANGE_ALL, 0, 5},
	{"1-2", 5, RANGE_ALL, 0, 5},
};

static void test_range(void **state)
{
	(void)state;
	EACH(r, ranges)
	{
		int64_t from = -7, len = -7;
		enum range got = head_range(r->value, r->size, &from, &len);
		if (got != r->range || from != r->from || len != r->len)
			fail_msg("%s of %lld gives %d, %lld, %lld", r->value, (long long)r->size,
				 got, (long long)from, (long long)len);
	}
}

static void test_request_id(void **state)
{
	(void)state;
	char id[130];
	memset(id, 'x', sizeof id);
	id[128] = '\0';
	assert_true(head_request_id(id));
	assert_true(head_request_id("a"));
	assert_true(head_request_id("0123-AZaz._:+/="));
	id[128] = 'x';
	id[129] = '\0';
	assert_false(head_request_id(id));
	assert_false(head_request_id(NULL));
	assert_false(head_request_id(""));
	assert_false(head_request_id("a b"));
	assert_false(head_request_id("a\"b"));
	assert_false(head_request_id("a\nb"));
	assert_false(head_request_id("a,b"));
	assert_false(head_request_id("\xc3\xa7"));
	assert_false(head_request_id("<script>"));
}

static void test_traceparent(void **state)
{
	(void)state;
	/* the example of W3C Trace Context, 3.2.4 */
	assert_true(head_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
	assert_true(head_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
	static const char *const bad[] = {
		NULL,
		"",
		"00",
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
		"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
		"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
	};
	EACH(r, bad)
	assert_false(head_traceparent(*r));
}

static const struct {
	const char *value, *key;
} keys[] = {
	{NULL, NULL},
	/* draft-ietf-httpapi-idempotency-key-header, 2.1 */
	{"\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"},
	{"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"},
	{" \"a\"\t", "a"},
	{" a ", "a"},
	{"\"a\\\"b\\\\c\"", "a\"b\\c"},
	{"a\\b", "a\\b"},
	{"a,b;c", "a,b;c"},
	{"", NULL},
	{" ", NULL},
	{"\"\"", NULL},
	{"\"", NULL},
	{"\"a", NULL},
	{"a\"", NULL},
	{"a\"b", NULL},
	{"\"a\\\"", NULL},
	{"\"a\\", NULL},
	{"\"a\\b\"", NULL},
	{"\"a\"b", NULL},
	{"\"a\"; x=1", NULL},
	{"\"a b\"", NULL},
	{"a b", NULL},
	{"a\tb", NULL},
	{"a\x7f", NULL},
	{"a\x01", NULL},
	{"\"a\xc3\xa7\"", NULL},
};

static void test_idempotency(void **state)
{
	(void)state;
	char out[256], value[300];
	EACH(r, keys)
	{
		bool ok = head_idempotency_key(r->value, out);
		if (ok != (r->key != NULL) || (ok && strcmp(out, r->key) != 0))
			fail_msg("%s gives %s", r->value, ok ? out : "nothing");
	}
	memset(value, 'k', sizeof value);
	value[255] = '\0';
	assert_true(head_idempotency_key(value, out));
	assert_string_equal(out, value);
	value[255] = 'k';
	value[256] = '\0';
	assert_false(head_idempotency_key(value, out));
	value[0] = value[256] = '"';
	value[257] = '\0';
	assert_true(head_idempotency_key(value, out));
	assert_int_equal(strlen(out), 255);
}

static const struct {
	const char *name, *line;
} names[] = {
	{NULL, "attachment"},
	{"", "attachment"},
	{"0001-Sentenca.pdf", "attachment; filename=\"0001-Sentenca.pdf\""},
	{"a b;c='d'.pdf", "attachment; filename=\"a b;c='d'.pdf\""},
	/* RFC 6266, 5: the euro sign */
	{"\u20ac rates", "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"},
	{"Petição Nº 1.pdf", "attachment; filename=\"Peticao N_ 1.pdf\"; "
			     "filename*=UTF-8''Peti%C3%A7%C3%A3o%20N%C2%BA%201.pdf"},
	{"Petic\u0327a\u0303o", "attachment; filename=\"Peticao\"; "
				"filename*=UTF-8''Petic%CC%A7a%CC%83o"},
	{"a\"b.pdf", "attachment; filename=\"a_b.pdf\"; filename*=UTF-8''a%22b.pdf"},
	{"100%41.pdf", "attachment; filename=\"100_41.pdf\"; filename*=UTF-8''100%2541.pdf"},
	{"a\r\nSet-Cookie: b", "attachment; filename=\"a__Set-Cookie: b\""},
	{"../../etc/passwd", "attachment; filename=\".._.._etc_passwd\""},
	{"C:\\a\\b", "attachment; filename=\"C:_a_b\""},
	{"a\x7f\xc2\x85\xe2\x80\xa8z", "attachment; filename=\"a___z\""},
	{"\xff\xc3.pdf", "attachment; filename=\"__.pdf\""},
	{"\u00e7/\xff", "attachment; filename=\"c__\"; filename*=UTF-8''%C3%A7__"},
	{"\u0303", "attachment; filename*=UTF-8''%CC%83"},
	{"\U0001f600", "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%98%80"},
};

static void test_disposition(void **state)
{
	(void)state;
	EACH(r, names)
	{
		char *line = head_disposition("attachment", r->name);
		assert_string_equal(line, r->line);
		xfree(line);
	}
	char *line = head_disposition("inline", "a.pdf");
	assert_string_equal(line, "inline; filename=\"a.pdf\"");
	xfree(line);
}

static void test_etag(void **state)
{
	(void)state;
	char out[80], sha[78];
	head_etag(out, "%d-%s", 7, "x");
	assert_string_equal(out, "\"7-x\"");
	assert_true(head_none_match(out, out));
	head_etag(out, "%s", "");
	assert_string_equal(out, "\"\"");
	head_etag(out, "%s", "a\"b c\nd\xc3");
	assert_string_equal(out, "\"a_b_c_d_\"");
	memset(sha, 'f', sizeof sha);
	sha[77] = '\0';
	head_etag(out, "%s", sha);
	assert_int_equal(strlen(out), 79);
	assert_true(head_none_match(out, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefer),      cmocka_unit_test(test_bearer),
		cmocka_unit_test(test_none_match),  cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_json),        cmocka_unit_test(test_range),
		cmocka_unit_test(test_request_id),  cmocka_unit_test(test_traceparent),
		cmocka_unit_test(test_idempotency), cmocka_unit_test(test_disposition),
		cmocka_unit_test(test_etag),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
