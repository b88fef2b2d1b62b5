/*
 * Where settings come from: files and what is wrong in them, the order of sources, the environment
 * with its other names, and secrets in files of their own.
 */
#include "settings.h"

/* ---- Files ---- */

static bool parse(struct config *c, const char *text, size_t len, struct err *e)
{
	config_init(c);
	return config_parse(c, text, len, "some.conf", e);
}

static void test_file_syntax(void **state)
{
	(void)state;
	static const char text[] = "# a comment = with an equal sign\r\n"
				   "\r\n"
				   "   \t \n"
				   "portal_parallel=4\r\n"
				   "  portal_pace \t = \t 2s  \r\n"
				   "portal_token_file = /a b/c=d # no comment\n"
				   "\t# indented comment\n"
				   "portal_ca_file =\n"
				   "retry_max = 1\n"
				   "retry_max = 2\n"
				   "log_level = info";
	struct config c;
	struct err e = {0};
	assert_true(parse(&c, text, sizeof text - 1, &e));
	assert_int_equal(c.portal_parallel, 4);
	assert_int_equal(c.portal_pace, 2000);
	assert_string_equal(c.portal_token_file, "/a b/c=d # no comment");
	assert_string_equal(c.portal_ca_file, "");
	assert_int_equal(c.source[row_of("portal_ca_file")], CONFIG_FILE);
	assert_int_equal(c.retry_max, 2);
	assert_string_equal(c.log_level, "info");
	config_release(&c);
	assert_true(parse(&c, "", 0, &e));
	config_release(&c);
}

static void test_file_errors(void **state)
{
	(void)state;
#define TEXT_OF(s) s, sizeof s - 1
	static const struct {
		const char *text;
		size_t len;
		const char *says[3];
	} t[] = {
		{TEXT_OF("\n\nportal_parallel\n"), {"some.conf line 3", "key = value", ""}},
		{TEXT_OF("# x\nportal_parallel = 65\n"), {"line 2", "portal_parallel", "1 to 64"}},
		{TEXT_OF("colour = red"), {"line 1", "colour", "unknown"}},
		{TEXT_OF("= 3"), {"line 1", "unknown", ""}},
		{TEXT_OF("\n\n\n\nlog_level = loud"), {"line 5", "loud", "debug"}},
		{TEXT_OF("portal_ca_file = a\0b\n"), {"line 1", "portal_ca_file", "zero byte"}},
		{TEXT_OF("log_level\0x = info\n"), {"line 1", "log_level", "zero byte"}},
		{TEXT_OF("\0"), {"line 1", "key = value", ""}},
		{TEXT_OF("retry_max = 1\rretry_max = 2\n"), {"line 1", "retry_max", "0 to 100"}},
	};
#undef TEXT_OF
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct config c;
		struct err e = {0};
		if (parse(&c, t[i].text, t[i].len, &e))
			print_error("text %zu was taken\n", i);
		assert_error(&e, ERR_INPUT);
		for (size_t k = 0; k < 3; k++)
			assert_says(&e, t[i].says[k]);
		config_release(&c);
	}
}

/* Somebody gave the token file for the settings file, or wrote ':' for '='. */
static void test_file_error_shows_no_secret(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl\n",
		"portal_token: eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0\n",
		"portal_proxy http://user:hunter2@host:3128\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct config c;
		struct err e;
		assert_false(parse(&c, texts[i], strlen(texts[i]), &e));
		assert_says(&e, "line 1");
		assert_null(strstr(e.text, "bGci"));
		assert_null(strstr(e.text, "hunter2"));
		config_release(&c);
	}
}

static void test_file_missing(void **state)
{
	(void)state;
	char *dir = scratch_make(), *missing = xasprintf("%s/none.conf", dir);
	struct config c;
	struct err e;
	assert_false(config_load(&c, &(struct config_input){.file = missing}, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "settings file");
	assert_says(&e, missing);
	config_release(&c);
	assert_false(config_load(&c, &(struct config_input){.file = dir}, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, dir);
	config_release(&c);
	char *big = xcalloc(1, (1 << 20) + 1);
	memset(big, '\n', (1 << 20) + 1);
	scratch_write(missing, big, (1 << 20) + 1);
	assert_false(config_load(&c, &(struct config_input){.file = missing}, &e));
	assert_says(&e, "larger than");
	config_release(&c);
	xfree(big);
	xfree(missing);
	scratch_remove(dir);
}

/* ---- Sources ---- */

static void test_order_of_sources(void **state)
{
	(void)state;
	static const char file[] = "portal_parallel = 4\nretry_max = 4\nportal_pace = 4s\n";
	static const char *const set[] = {"portal_pace = 5s", "portal_pace=6s"};
	struct config c;
	struct err e = {0};
	assert_true(load_with(file, ENV(var("AUTOS_RETRY_MAX=5"), var("AUTOS_PORTAL_PACE=5s")), set,
			      2, &c, &e));
	assert_int_equal(c.cases_parallel, 4);
	assert_int_equal(c.source[row_of("cases_parallel")], CONFIG_DEFAULT);
	assert_int_equal(c.portal_parallel, 4);
	assert_int_equal(c.source[row_of("portal_parallel")], CONFIG_FILE);
	assert_int_equal(c.retry_max, 5);
	assert_int_equal(c.source[row_of("retry_max")], CONFIG_ENVIRONMENT);
	assert_int_equal(c.portal_pace, 6000);
	assert_int_equal(c.source[row_of("portal_pace")], CONFIG_COMMAND_LINE);
	config_release(&c);
}

static void test_environment_errors(void **state)
{
	(void)state;
	static const struct {
		const char *variable, *says[2];
	} t[] = {
		{"AUTOS_COLOUR=red", {"environment AUTOS_COLOUR", "unknown"}},
		{"AUTOS_=red", {"environment AUTOS_", "unknown"}},
		{"AUTOS_RETRY_MAX=101", {"environment AUTOS_RETRY_MAX", "0 to 100"}},
		{"AUTOS_RETRY_MAX=", {"environment AUTOS_RETRY_MAX", "0 to 100"}},
		{"PDPJ_API_BASE_URL=portal", {"environment PDPJ_API_BASE_URL", "portal_url"}},
		{"AUTOS_A_NAME_THAT_IS_MUCH_LONGER_THAN_ANY_KEY_OF_THE_TABLE_COULD_EVER_BE=1",
		 {"environment AUTOS_A_NAME", "unknown"}},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct config c;
		struct err e = {0};
		assert_false(load_with("", ENV(var(t[i].variable)), NULL, 0, &c, &e));
		assert_error(&e, ERR_INPUT);
		assert_says(&e, t[i].says[0]);
		assert_says(&e, t[i].says[1]);
		config_release(&c);
	}
	struct config c;
	struct err e;
	assert_true(load_with("", ENV(var("AUTOS_WITHOUT_VALUE"), var("AUTOSOMETHING=1")), NULL, 0,
			      &c, &e));
	config_release(&c);
}

static void test_set_errors(void **state)
{
	(void)state;
	static const char *const sets[] = {"retry_max", "retry_max=x", "colour=red", "", "="};
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		struct config c;
		struct err e = {0};
		assert_false(load_with("", ENV(NULL), &sets[i], 1, &c, &e));
		assert_error(&e, ERR_INPUT);
		assert_says(&e, "--set");
		config_release(&c);
	}
}

static void test_aliases(void **state)
{
	(void)state;
	struct config c;
	struct err e = {0};
	assert_true(load_with("portal_token = from-file\n",
			      ENV(var("PDPJ_API_TOKEN=abc"), var("DATABASE_URL=sqlite:/x/y.db"),
				  var("PDPJ_API_BASE_URL=http://sim:1/")),
			      NULL, 0, &c, &e));
	assert_string_equal(c.portal_token, "abc");
	assert_string_equal(c.database_url, "sqlite:/x/y.db");
	assert_string_equal(c.portal_url, "http://sim:1");
	assert_int_equal(c.source[row_of("portal_token")], CONFIG_ENVIRONMENT);
	config_release(&c);
	/* Our own name wins, wherever it stands; an empty alias says nothing. */
	assert_true(load_with(
		"",
		ENV(var("AUTOS_PORTAL_TOKEN=own"), var("PDPJ_API_TOKEN=abc"), var("DATABASE_URL=")),
		NULL, 0, &c, &e));
	assert_string_equal(c.portal_token, "own");
	assert_string_equal(c.database_url, "sqlite:/home/ana/.local/share/autos/autos.db");
	config_release(&c);
}

/* ---- Secrets ---- */

static void test_secrets_are_not_shown(void **state)
{
	(void)state;
	struct config c;
	struct err e;
	config_init(&c);
	for (size_t i = 0; i < config_count(); i++) {
		if (config_table[i].kind != SECRET)
			continue;
		assert_string_equal(shown(&c, config_key(i)), "");
		assert_true(config_set(&c, config_key(i), "hunter2", CONFIG_FILE, &e));
		assert_string_equal(shown(&c, config_key(i)), "***");
	}
	assert_string_equal(shown(&c, "portal_token"), "***");
	assert_string_equal(shown(&c, "portal_headers"), "***");
	assert_string_equal(shown(&c, "portal_proxy"), "***");
	config_release(&c);
}

static void test_secret_files(void **state)
{
	(void)state;
	char *dir = scratch_make(), *path = xasprintf("%s/headers", dir);
	char *set[2] = {xasprintf("portal_headers_file=%s", path),
			xasprintf("portal_token_file=%s/no-token-yet", dir)};
	const char *const *given = (const char *const *)set;
	struct config c;
	struct err e = {0};
	/* Blanks around it go; the token's file is not read here. */
	scratch_write(path, "\n X-A: 1|X-B: 2 \r\n", 18);
	assert_true(load_with("", ENV(NULL), given, 2, &c, &e));
	assert_string_equal(c.portal_headers, "X-A: 1|X-B: 2");
	assert_string_equal(c.portal_token, "");
	assert_int_equal(c.source[row_of("portal_headers")], CONFIG_COMMAND_LINE);
	config_release(&c);

	char big[8001];
	memset(big, 'h', sizeof big);
	scratch_write(path, big, 8000);
	assert_true(load_with("", ENV(NULL), given, 1, &c, &e));
	assert_int_equal(strlen(c.portal_headers), 8000);
	config_release(&c);
	scratch_write(path, big, 8001);
	assert_false(load_with("", ENV(NULL), given, 1, &c, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "portal_headers_file");
	assert_says(&e, "larger than 8000");
	config_release(&c);

	scratch_write(path, "sec\0ret", 7);
	assert_false(load_with("", ENV(NULL), given, 1, &c, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "portal_headers");
	assert_says(&e, "zero byte");
	config_release(&c);
	scratch_write(path, "sec\nret", 7);
	assert_false(load_with("", ENV(NULL), given, 1, &c, &e));
	assert_says(&e, "control character");
	assert_null(strstr(e.text, "ret"));
	config_release(&c);

	assert_int_equal(unlink(path), 0);
	assert_false(load_with("", ENV(NULL), given, 1, &c, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "portal_headers_file");
	assert_says(&e, path);
	config_release(&c);
	xfree(set[0]);
	xfree(set[1]);
	xfree(path);
	scratch_remove(dir);
}

/* A higher source wins over a lower one, also when the lower one names a file. */
static void test_secret_file_of_lower_source(void **state)
{
	(void)state;
	char *dir = scratch_make(), *path = xasprintf("%s/proxy", dir);
	char *file = xasprintf("portal_proxy_file = %s\n", path);
	static const char *const set[] = {"portal_proxy = http://given:1"};
	struct config c;
	struct err e = {0};
	scratch_write(path, "http://filed:1", 14);
	assert_true(load_with(file, ENV(NULL), NULL, 0, &c, &e));
	assert_string_equal(c.portal_proxy, "http://filed:1");
	config_release(&c);
	assert_true(load_with(file, ENV(NULL), set, 1, &c, &e));
	assert_string_equal(c.portal_proxy, "http://given:1");
	config_release(&c);
	xfree(file);
	xfree(path);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_syntax),
		cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_file_error_shows_no_secret),
		cmocka_unit_test(test_file_missing),
		cmocka_unit_test(test_order_of_sources),
		cmocka_unit_test(test_environment_errors),
		cmocka_unit_test(test_set_errors),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_secrets_are_not_shown),
		cmocka_unit_test(test_secret_files),
		cmocka_unit_test(test_secret_file_of_lower_source),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
