/*
 * What every answer has, whatever was asked: its headers, addresses of this service alone, who may
 * ask, methods, origins, compression, and refusals of what is too large.
 */
#include "calls.h"

static void has(const struct rig_answer *a, const char *name, const char *value)
{
	const char *is = rig_header(a, name);
	if (!is || strcmp(is, value) != 0)
		print_error("%s is %s\n", name, is ? is : "absent");
	assert_non_null(is);
	assert_string_equal(is, value);
}

static void test_common_headers(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask_with(&rig, "GET", "/api/v1/users/me", admin, NULL,
					   "X-Request-ID", "mine-1.2:3/4+5=_");
	has(&a, "X-Request-ID", "mine-1.2:3/4+5=_");
	has(&a, "X-Content-Type-Options", "nosniff");
	has(&a, "Referrer-Policy", "no-referrer");
	has(&a, "Cache-Control", "private, no-cache");
	has(&a, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
	has(&a, "X-RateLimit-Limit", "1000");
	assert_null(rig_header(&a, "Strict-Transport-Security"));
	rig_drop(&a);
	a = rig_ask_with(&rig, "GET", "/nothing", NULL, NULL, "X-Request-ID", "not mine\r\nX: y");
	assert_int_equal(strlen(rig_header(&a, "X-Request-ID")), 32);
	is_problem(&a, 404, "not-found");
	assert_string_equal(rig_text(&a, "instance"), "/nothing");
	rig_drop(&a);
	struct api_request q = {
		.method = "GET", .target = "/livez", .secure = true, .peer = "", .body = ""};
	a = rig_run(&rig, &q);
	has(&a, "Strict-Transport-Security", "max-age=31536000");
	assert_null(rig_header(&a, "X-RateLimit-Limit"));
	rig_drop(&a);
}

/* Whatever the address is, `instance` is a path, and a link leads to this service. */
static void test_addresses_of_other_forms(void **state)
{
	static const char *const targets[] = {"nothing", "*", "", "ftp://elsewhere.example/x"};
	static const char *const list = "http://elsewhere.example/api/v1/users?limit=1";
	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		struct rig_answer a = rig_ask(&rig, "GET", targets[i], NULL, NULL);
		is_problem(&a, 400, "malformed-request");
		assert_string_equal(rig_text(&a, "instance"), "/");
		rig_drop(&a);
	}
	struct rig_answer a = rig_ask(&rig, "GET", "http://elsewhere.example/x?y", NULL, NULL);
	is_problem(&a, 404, "not-found");
	assert_string_equal(rig_text(&a, "instance"), "/x");
	rig_drop(&a);
	a = rig_ask(&rig, "GET", list, admin, NULL);
	char *next = next_page(&a);
	assert_non_null(next);
	assert_int_equal(strncmp(next, "/api/v1/users?cursor=", 21), 0);
	xfree(next);
	rig_drop(&a);
}

static void test_who_asks(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "GET", "/api/v1/users/me", NULL, NULL);
	is_problem(&a, 401, "authentication-required");
	assert_non_null(rig_header(&a, "WWW-Authenticate"));
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/api/v1/users/me", "autos_unknown", NULL);
	is_problem(&a, 401, "invalid-key");
	assert_non_null(rig_header(&a, "WWW-Authenticate"));
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/api/v1/users", reader, NULL);
	is_problem(&a, 403, "role-required");
	rig_drop(&a);
	a = rig_ask_with(&rig, "GET", "/api/v1/users/me", NULL, NULL, "X-API-Key", reader);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/api/v1/users", "control", NULL);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

static void test_methods(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "PATCH", "/api/v1/users/me", admin, NULL);
	is_problem(&a, 405, "method-not-allowed");
	has(&a, "Allow", "GET, HEAD, PUT");
	rig_drop(&a);
	a = rig_ask(&rig, "OPTIONS", "/api/v1/users/me", NULL, NULL);
	assert_int_equal(a.status, 204);
	has(&a, "Allow", "GET, HEAD, PUT");
	assert_null(rig_header(&a, "Access-Control-Allow-Methods"));
	rig_drop(&a);
	a = rig_ask_with(&rig, "OPTIONS", "/api/v1/users/me", NULL, NULL,
			 "Access-Control-Request-Method", "PUT");
	assert_non_null(rig_header(&a, "Access-Control-Allow-Methods"));
	rig_drop(&a);
	a = rig_ask(&rig, "HEAD", "/api/v1/users/me", admin, NULL);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

static void test_origins(void **state)
{
	static const char *const good[] = {"https://a.example", "https://b.example"};
	static const char *const bad[] = {"https://a.exampl", "https://a.example.evil", "null",
					  "https://a.example, https://b.example", ""};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig_answer a =
			rig_ask_with(&rig, "GET", "/livez", NULL, NULL, "Origin", good[i]);
		has(&a, "Access-Control-Allow-Origin", good[i]);
		has(&a, "Vary", "Origin");
		rig_drop(&a);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct rig_answer a =
			rig_ask_with(&rig, "GET", "/livez", NULL, NULL, "Origin", bad[i]);
		assert_null(rig_header(&a, "Access-Control-Allow-Origin"));
		has(&a, "Vary", "Origin");
		rig_drop(&a);
	}
}

static void test_compression(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "GET", "/openapi.json", NULL, NULL);
	assert_null(rig_header(&a, "Content-Encoding"));
	struct rig_answer b =
		rig_ask_with(&rig, "GET", "/openapi.json", NULL, NULL, "Accept-Encoding", "gzip");
	has(&b, "Content-Encoding", "gzip");
	assert_memory_equal(b.text, "\x1f\x8b", 2);
	assert_true(b.len < a.len);
	rig_drop(&a);
	rig_drop(&b);
	a = rig_ask_with(&rig, "GET", "/livez", NULL, NULL, "Accept-Encoding", "gzip");
	assert_null(rig_header(&a, "Content-Encoding")); /* too small to be worth it */
	rig_drop(&a);
}

static void test_too_large(void **state)
{
	(void)state;
	struct api_request q = {.method = "GET",
				.target = "/livez",
				.head_too_large = true,
				.peer = "192.0.2.1",
				.body = ""};
	struct rig_answer a = rig_run(&rig, &q);
	is_problem(&a, 431, "headers-too-large");
	rig_drop(&a);
	q.head_too_large = false;
	q.body_too_large = true;
	a = rig_run(&rig, &q);
	is_problem(&a, 413, "body-too-large");
	rig_drop(&a);
}

/* Links begin with the public address, however it was written. */
static void test_slash_of_the_base(void **state)
{
	static const char *const settings[] = {"public_url", "https://autos.example/court//", NULL};
	(void)state;
	rig_close(&rig);
	open_with(settings);
	struct rig_answer a = rig_ask(&rig, "GET", "/nothing", NULL, NULL);
	assert_string_equal(rig_text(&a, "type"), "https://autos.example/court/problems/not-found");
	rig_drop(&a);
	api_set_base(rig.api, "http://127.0.0.1:1/");
	a = rig_ask(&rig, "GET", "/nothing", NULL, NULL);
	assert_string_equal(rig_text(&a, "type"), "http://127.0.0.1:1/problems/not-found");
	rig_drop(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_common_headers), TEST(test_addresses_of_other_forms),
		TEST(test_who_asks),       TEST(test_methods),
		TEST(test_origins),        TEST(test_compression),
		TEST(test_too_large),      TEST(test_slash_of_the_base),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
