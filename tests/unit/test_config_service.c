/*
 * Settings of the service: addresses, limits by route, and that everything that is wrong is said at
 * once.
 */
#include "config_service.h"

#include "scratch.h"

static void is_address(const char *text, const char *host, int port)
{
	char got[256] = "?";
	int number = -1;
	if (!config_address(text, got, &number))
		print_error("%s is none\n", text);
	assert_true(config_address(text, got, &number));
	assert_string_equal(got, host);
	assert_int_equal(number, port);
}

static void test_addresses(void **state)
{
	(void)state;
	is_address("127.0.0.1:8000", "127.0.0.1", 8000);
	is_address("0.0.0.0:65535", "0.0.0.0", 65535);
	is_address(":8000", "", 8000);
	is_address("localhost:0", "localhost", 0);
	is_address("[::1]:8000", "::1", 8000);
	is_address("[::]:1", "::", 1);
	is_address("[2001:db8::7:8]:443", "2001:db8::7:8", 443);
	char longest[300];
	memset(longest, 'h', 255);
	memcpy(longest + 255, ":1", 3);
	char host[256];
	int port;
	assert_true(config_address(longest, host, &port));
	assert_int_equal(strlen(host), 255);
}

static void test_no_addresses(void **state)
{
	static const char *const bad[] = {"",
					  ":",
					  "8000",
					  "localhost",
					  "localhost:",
					  "localhost:http",
					  "localhost:-1",
					  "localhost:+1",
					  "localhost: 1",
					  "localhost:65536",
					  "localhost:100000",
					  "localhost:080000",
					  "::1:8000",
					  "[::1]",
					  "[::1]8000",
					  "[::1:8000",
					  "::1]:8000",
					  "[]:8000",
					  "[:8000",
					  "]:8000",
					  "[localhost]:8000",
					  "[127.0.0.1]:8000",
					  "[::1]]:8000",
					  "http://localhost:8000",
					  "local host:8000",
					  " localhost:8000",
					  "local/host:8000"};
	(void)state;
	char host[256], longest[300];
	int port;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (config_address(bad[i], host, &port))
			print_error("'%s' is taken for an address\n", bad[i]);
		assert_false(config_address(bad[i], host, &port));
	}
	memset(longest, 'h', 256);
	memcpy(longest + 256, ":1", 3);
	assert_false(config_address(longest, host, &port));
}

/* ---- Limits by route ---- */

static void has_limit(const char *text, const char *route, int64_t limit, int64_t window_s)
{
	int64_t n = 0, s = 0;
	assert_int_equal(config_route_limit(text, route, &n, &s), limit > 0);
	if (limit > 0) {
		assert_int_equal(n, limit);
		assert_int_equal(s, window_s);
	}
}

static void test_route_limits(void **state)
{
	(void)state;
	const char *text = "search=10/60s, get_status=1000/1m,list_jobs=1/1d , get_job=7/2h";
	has_limit(text, "search", 10, 60);
	has_limit(text, "get_status", 1000, 60);
	has_limit(text, "list_jobs", 1, 86400);
	has_limit(text, "get_job", 7, 7200);
	has_limit(text, "searc", 0, 0);
	has_limit(text, "search=10", 0, 0);
	has_limit(text, "", 0, 0);
	has_limit("", "search", 0, 0);
	has_limit("search=10/60s,", "search", 10, 60);
	has_limit("search=1/1s,search=2/2s", "search", 1, 1); /* the first */
}

static void test_names_of_routes(void **state)
{
	(void)state;
	char name[64];
	const char *at = "search=10/60s, get_status=1000/1m";
	assert_true(config_route_limit_name(&at, name));
	assert_string_equal(name, "search");
	assert_true(config_route_limit_name(&at, name));
	assert_string_equal(name, "get_status");
	assert_false(config_route_limit_name(&at, name));
	assert_string_equal(at, "");
}

/* ---- Everything at once ---- */

static char *complaints(const char *const *settings)
{
	struct config c;
	struct err e;
	struct buf lines;
	config_init(&c);
	for (const char *const *s = settings; *s; s += 2)
		assert_true(config_set(&c, s[0], s[1], CONFIG_COMMAND_LINE, &e));
	buf_init(&lines, 1 << 16);
	config_check_service(&c, &lines);
	char *text = xstrdup(buf_str(&lines));
	buf_release(&lines);
	config_release(&c);
	return text;
}

#define COMPLAINTS(...) complaints((const char *const[]){__VA_ARGS__, NULL})

/* One line, which names the setting. */
static void complains(char *text, const char *word)
{
	if (!strstr(text, word) || strchr(text, '\n') != text + strlen(text) - 1)
		print_error("it says '%s', not one line with '%s'\n", text, word);
	assert_non_null(strstr(text, word));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	xfree(text);
}

static void fine(char *text)
{
	assert_string_equal(text, "");
	xfree(text);
}

static void test_nothing_is_wrong(void **state)
{
	(void)state;
	fine(complaints((const char *const[]){NULL}));
	fine(COMPLAINTS("environment", "production", "public_url", "https://autos.example"));
	fine(COMPLAINTS("tls_cert_file", "/c", "tls_key_file", "/k"));
	fine(COMPLAINTS("wait_default", "60s", "wait_max", "60s"));
	fine(COMPLAINTS("rate_limit_routes", "search=10/60s,get_job=1/1d"));
}

static void test_one_is_wrong(void **state)
{
	(void)state;
	complains(COMPLAINTS("listen", "nowhere"), "listen = nowhere");
	complains(COMPLAINTS("wait_default", "61s", "wait_max", "60s"), "wait_default = 61s");
	complains(COMPLAINTS("tls_cert_file", "/c"), "tls_key_file is not");
	complains(COMPLAINTS("tls_key_file", "/k"), "tls_cert_file is not");
	complains(COMPLAINTS("environment", "production"), "public_url is missing");
	complains(COMPLAINTS("environment", "production", "public_url", "http://autos.example"),
		  "https://");
}

static void test_wrong_route_limits(void **state)
{
	static const char *const bad[] = {
		"search",         "search=",          "search=10",
		"search=10/",     "search=0/60s",     "search=-1/60s",
		"search=x/60s",

		"=10/60s",        "search=10/0s",     "search=10/100ms",
		"search=10/2d",   "search=10/x",      "search=10 /60s",
		"search=1/60s,x", "search=1/60s,,y=", "search=9999999999/60s"};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		complains(COMPLAINTS("rate_limit_routes", bad[i]), "rate_limit_routes");
}

static void test_all_at_once(void **state)
{
	(void)state;
	char *text = COMPLAINTS("listen", "nowhere", "wait_default", "61s", "wait_max", "60s",
				"tls_cert_file", "/c", "environment", "production",
				"rate_limit_routes", "search");
	static const char *const all[] = {"listen", "wait_default", "tls_key_file", "public_url",
					  "rate_limit_routes"};
	size_t lines = 0;
	for (const char *s = text; *s; s++)
		lines += *s == '\n';
	assert_int_equal(lines, 5);
	for (size_t i = 0; i < 5; i++)
		assert_non_null(strstr(text, all[i]));
	xfree(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),          cmocka_unit_test(test_no_addresses),
		cmocka_unit_test(test_route_limits),       cmocka_unit_test(test_names_of_routes),
		cmocka_unit_test(test_nothing_is_wrong),   cmocka_unit_test(test_one_is_wrong),
		cmocka_unit_test(test_wrong_route_limits), cmocka_unit_test(test_all_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
