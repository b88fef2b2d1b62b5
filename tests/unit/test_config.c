/*
 * Settings: every kind of value at and beyond its ends, files, the order of sources, secrets.
 */
#include "config_table.h"

#include "scratch.h"

#include <inttypes.h>

enum { LONG = 9000 };

/* config_load with a file of this text, so that no file of the machine is read. */
static bool load_with(const char *text, char **env, const char *const *set, size_t nset,
		      struct config *c, struct err *e)
{
	char *dir = scratch_make(), *file = xasprintf("%s/autos.conf", dir);
	scratch_write(file, text, strlen(text));
	bool ok = config_load(
		c,
		&(struct config_input){.file = file, .environment = env, .set = set, .nset = nset},
		e);
	xfree(file);
	scratch_remove(dir);
	return ok;
}

static char *var(const char *s)
{
	return (char *)(uintptr_t)s;
}

#define ENV(...) ((char *[]){var("HOME=/home/ana"), __VA_ARGS__, NULL})

static size_t row_of(const char *key)
{
	for (size_t i = 0; i < config_count(); i++)
		if (strcmp(config_key(i), key) == 0)
			return i;
	print_error("no row %s\n", key);
	abort();
}

static const char *shown(const struct config *c, const char *key)
{
	static char out[LONG];
	config_show(c, row_of(key), out, sizeof out);
	return out;
}

static void refused(const char *key, const char *value, const char *allowed)
{
	struct config c;
	struct err e = {0};
	config_init(&c);
	if (config_set(&c, key, value, CONFIG_FILE, &e))
		print_error("%s = '%s' was taken\n", key, value);
	assert_error(&e, ERR_INPUT);
	assert_says(&e, key);
	assert_says(&e, value);
	assert_says(&e, allowed);
	config_release(&c);
}

static void taken(const char *key, const char *value, const char *shown_as)
{
	struct config c;
	struct err e = {0};
	config_init(&c);
	if (!config_set(&c, key, value, CONFIG_FILE, &e))
		print_error("%s = '%s': %s\n", key, value, e.text);
	assert_string_equal(shown(&c, key), shown_as);
	config_release(&c);
}

/* ---- The table ---- */

static void test_table(void **state)
{
	(void)state;
	struct config c;
	struct err e;
	config_init(&c);
	for (size_t i = 0; i < config_count(); i++) {
		char preset[300], range[100], before[300], after[300];
		assert_true(*config_key(i) && *config_section(i) && *config_help(i));
		assert_int_equal(config_help(i)[strlen(config_help(i)) - 1], '.');
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(config_key(i), config_key(k));
			assert_int_not_equal(config_table[i].offset, config_table[k].offset);
			if (config_alias(i) && config_alias(k))
				assert_string_not_equal(config_alias(i), config_alias(k));
		}
		config_range(i, range, sizeof range);
		assert_true(*range);
		config_default(i, preset, sizeof preset);
		config_show(&c, i, before, sizeof before);
		assert_true(config_set(&c, config_key(i), preset, CONFIG_FILE, &e));
		config_show(&c, i, after, sizeof after);
		assert_string_equal(before, after);
		assert_int_equal(c.source[i], CONFIG_FILE);
	}
	config_release(&c);
}

/* A _file row stands right behind the secret that it gives. */
static void test_table_secret_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < config_count(); i++) {
		if (config_table[i].kind != SECRET_FILE)
			continue;
		char want[80];
		assert_true(i > 0);
		assert_int_equal(config_table[i - 1].kind, SECRET);
		snprintf(want, sizeof want, "%s_file", config_key(i - 1));
		assert_string_equal(config_key(i), want);
	}
}

/* Setting one key changes that row and no other. */
static void test_rows_are_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < config_count(); i++) {
		struct config c, plain;
		struct err e;
		char value[64];
		const struct config_row *r = &config_table[i];
		config_init(&plain);
		config_init(&c);
		snprintf(value, sizeof value, "%" PRId64 "%s", r->max,
			 r->kind == DURATION ? "ms" : "");
		assert_true(config_set(&c, r->key,
				       r->kind == URL           ? "http://other"
				       : r->kind == LEVEL       ? "debug"
				       : r->kind == ENVIRONMENT ? "staging"
				       : config_is_text(r)      ? "some text"
								: value,
				       CONFIG_COMMAND_LINE, &e));
		for (size_t k = 0; k < config_count(); k++) {
			char a[300], b[300];
			config_show(&c, k, a, sizeof a);
			config_show(&plain, k, b, sizeof b);
			assert_int_equal(strcmp(a, b) != 0, k == i);
			assert_int_equal(c.source[k],
					 k == i ? CONFIG_COMMAND_LINE : CONFIG_DEFAULT);
		}
		config_release(&c);
		config_release(&plain);
	}
}

static void test_defaults(void **state)
{
	(void)state;
	struct config c;
	config_init(&c);
	assert_int_equal(c.portal_parallel, 3);
	assert_int_equal(c.portal_parallel_min, 1);
	assert_int_equal(c.portal_parallel_max, 10);
	assert_int_equal(c.portal_pace, 1000);
	assert_int_equal(c.portal_pause, 5000);
	assert_int_equal(c.portal_patience, 30 * 60000);
	assert_int_equal(c.retry_max, 3);
	assert_int_equal(c.document_max_size, INT64_C(4) << 30);
	assert_int_equal(c.spool_memory, 256 << 10);
	assert_int_equal(c.lease_time, 12000);
	assert_int_equal(c.max_age, 0);
	assert_string_equal(c.portal_url, "https://portaldeservicos.pdpj.jus.br/api/v2");
	assert_string_equal(c.portal_token, "");
	for (size_t i = 0; i < config_count(); i++)
		assert_int_equal(c.source[i], CONFIG_DEFAULT);
	config_release(&c);
	config_release(&c);
}

static void test_source_names(void **state)
{
	(void)state;
	assert_string_equal(config_source_name(CONFIG_DEFAULT), "default");
	assert_string_equal(config_source_name(CONFIG_FILE), "file");
	assert_string_equal(config_source_name(CONFIG_ENVIRONMENT), "environment");
	assert_string_equal(config_source_name(CONFIG_COMMAND_LINE), "command line");
}

/* ---- Kinds ---- */

static void test_duration(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"500ms", 500},  {"90", 90000},
		{"90s", 90000},  {"5m", 300000},
		{"2h", 7200000}, {"7d", 604800000},
		{"0", 0},        {"0ms", 0},
		{"007s", 7000},  {"9223372036854775", INT64_C(9223372036854775000)},
	};
	static const char *const bad[] = {"",
					  " 5s",
					  "5 s",
					  "5s ",
					  "-1",
					  "+1",
					  "1.5s",
					  "ms",
					  "5M",
					  "5mm",
					  "5S",
					  "0x10",
					  "1e3",
					  "s",
					  "5,",
					  "9223372036854775807",
					  "9223372036854776",
					  "99999999999999999999",
					  "106751991168d"};
	int64_t ms;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(config_duration(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (config_duration(bad[i], &ms)) {
			print_error("'%s' was taken\n", bad[i]);
			assert_true(false);
		}
}

static void test_number_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < config_count(); i++) {
		const struct config_row *r = &config_table[i];
		char value[40], range[100];
		const char *unit = r->kind == DURATION ? "ms" : "";
		if (config_is_text(r))
			continue;
		config_range(i, range, sizeof range);
		for (int end = 0; end < 2; end++) {
			struct config c;
			struct err e;
			int64_t v = end ? r->max : r->min;
			config_init(&c);
			snprintf(value, sizeof value, "%" PRId64 "%s", v, unit);
			assert_true(config_set(&c, r->key, value, CONFIG_FILE, &e));
			assert_int_equal(*config_number(&c, r), v);
			/* The way it is shown is a way to write it. */
			assert_true(config_set(&c, r->key, shown(&c, r->key), CONFIG_FILE, &e));
			assert_int_equal(*config_number(&c, r), v);
			config_release(&c);
		}
		snprintf(value, sizeof value, "%" PRId64 "%s", r->max + 1, unit);
		refused(r->key, value, range);
		if (r->min > 0) {
			snprintf(value, sizeof value, "%" PRId64 "%s", r->min - 1, unit);
			refused(r->key, value, range);
		}
		static const char *const never[] = {
			"-1", "many", "", "1 ", " 1", "1.5", "1x", "0x1", "99999999999999999999"};
		for (size_t k = 0; k < sizeof never / sizeof *never; k++)
			refused(r->key, never[k], range);
	}
}

static void test_size_units(void **state)
{
	(void)state;
	taken("document_max_size", "1", "1");
	taken("document_max_size", "1023", "1023");
	taken("document_max_size", "4K", "4K");
	taken("document_max_size", "4096", "4K");
	taken("document_max_size", "2M", "2M");
	taken("document_max_size", "3G", "3G");
	taken("document_max_size", "3072M", "3G");
	refused("document_max_size", "4k", "1 to 1024G");
	refused("document_max_size", "4KB", "1 to 1024G");
	refused("document_max_size", "8589934592G", "1 to 1024G");
	refused("portal_parallel", "1K", "1 to 64");
}

static void test_duration_units(void **state)
{
	(void)state;
	taken("portal_pause", "1500ms", "1500ms");
	taken("portal_pause", "60", "1m");
	taken("portal_pause", "3600s", "1h");
	taken("portal_patience", "48h", "2d");
	taken("max_age", "0", "0");
	taken("portal_low_speed_time", "1", "1s");
	refused("portal_low_speed_time", "999ms", "1s to 1h");
}

static void test_url(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
					  "portal",
					  "ftp://host",
					  "https://",
					  "http:///path",
					  "https://:80",
					  "HTTPS://host",
					  "https://a b",
					  "https://u@h/",
					  "https://h/?q=1",
					  "https://h#f",
					  "https://h\\x",
					  "https://h\xc3\xa9",
					  "//host"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused("portal_url", bad[i], "https://host/path");
	taken("portal_url", "http://127.0.0.1:8080", "http://127.0.0.1:8080");
	taken("portal_url", "http://[::1]:8080/x", "http://[::1]:8080/x");
	taken("portal_url", "https://h/api/v2///", "https://h/api/v2");
	/* A long value does not push what is allowed out of the line. */
	char value[LONG];
	memset(value, 'a', sizeof value);
	value[2000] = '\0';
	struct config c;
	struct err e;
	config_init(&c);
	assert_false(config_set(&c, "portal_url", value, CONFIG_FILE, &e));
	assert_says(&e, "portal_url");
	assert_says(&e, "https://host/path");
	assert_false(config_set(&c, "log_level", value, CONFIG_FILE, &e));
	assert_says(&e, "log_level");
	assert_says(&e, "info or debug");
	config_release(&c);
}

static void test_level(void **state)
{
	(void)state;
	taken("log_level", "error", "error");
	taken("log_level", "warn", "warn");
	taken("log_level", "info", "info");
	taken("log_level", "debug", "debug");
	refused("log_level", "WARN", "error, warn, info or debug");
	refused("log_level", "", "error, warn, info or debug");
	refused("log_level", "trace", "error, warn, info or debug");
}

static void test_text_lengths(void **state)
{
	(void)state;
	struct config c;
	struct err e;
	char value[LONG];
	memset(value, 'q', sizeof value);
	config_init(&c);
	value[8192] = '\0';
	assert_true(config_set(&c, "data_dir", value, CONFIG_FILE, &e));
	value[8192] = 'q';
	value[8193] = '\0';
	assert_false(config_set(&c, "data_dir", value, CONFIG_FILE, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "data_dir");
	assert_says(&e, "8192");
	value[8000] = '\0';
	assert_true(config_set(&c, "portal_token", value, CONFIG_FILE, &e));
	value[8000] = 'q';
	value[8001] = '\0';
	assert_false(config_set(&c, "portal_token", value, CONFIG_FILE, &e));
	assert_says(&e, "portal_token");
	assert_says(&e, "8000");
	assert_null(strstr(e.text, "qqq"));
	config_release(&c);
}

static void test_control_characters(void **state)
{
	(void)state;
	static const char *const keys[] = {"data_dir", "portal_token", "portal_headers",
					   "portal_url", "portal_token_file"};
	static const char *const values[] = {"sec\nret", "sec\tret", "sec\x7fret", "sec\x1bret"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
			struct config c;
			struct err e;
			config_init(&c);
			assert_false(config_set(&c, keys[i], values[k], CONFIG_FILE, &e));
			assert_error(&e, ERR_INPUT);
			assert_says(&e, keys[i]);
			assert_says(&e, "control character");
			assert_null(strstr(e.text, "sec"));
			config_release(&c);
		}
}

static void test_unknown_key(void **state)
{
	(void)state;
	static const char *const keys[] = {"portal_paralel", "", "PORTAL_URL", "portal_url "};
	struct config c;
	struct err e;
	config_init(&c);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_false(config_set(&c, keys[i], "1", CONFIG_FILE, &e));
		assert_error(&e, ERR_INPUT);
		assert_says(&e, "unknown setting");
		assert_says(&e, keys[i]);
		assert_says(&e, "autos config");
	}
	config_release(&c);
}

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

/* ---- Values together ---- */

static void test_contradictions(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says[3];
	} t[] = {
		{"portal_parallel_min = 9\nportal_parallel_max = 8\n",
		 {"portal_parallel_min = 9", "portal_parallel_max = 8", "exceed"}},
		{"portal_parallel = 11\n",
		 {"portal_parallel = 11", "portal_parallel_min = 1", "portal_parallel_max = 10"}},
		{"portal_parallel_min = 4\n",
		 {"portal_parallel = 3", "portal_parallel_min = 4", "between"}},
		{"portal_token = secret\nportal_token_file = /x\n",
		 {"portal_token", "portal_token_file", "one is enough"}},
		{"database_url = /x/y.db\n", {"database_url", "sqlite:PATH", "must be"}},
		{"database_url = sqlite:\n", {"database_url", "sqlite:PATH", "must be"}},
		{"store_url = s3:bucket\n", {"store_url", "s3", "dir:PATH"}},
		{"store_url = dir:\n", {"store_url", "dir:PATH", "must be"}},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct config c;
		struct err e = {0};
		assert_false(load_with(t[i].text, ENV(NULL), NULL, 0, &c, &e));
		assert_error(&e, ERR_INPUT);
		assert_null(strstr(e.text, "secret"));
		for (size_t k = 0; k < 3; k++)
			assert_says(&e, t[i].says[k]);
		config_release(&c);
	}
	struct config c;
	struct err e = {0};
	assert_true(load_with("portal_parallel_min=7\nportal_parallel=7\nportal_parallel_max=7\n",
			      ENV(NULL), NULL, 0, &c, &e));
	config_release(&c);
}

/* DATABASE_URL is a name that other programs use, with a password in it. */
static void test_refused_address_keeps_its_password(void **state)
{
	(void)state;
	struct config c;
	struct err e = {0};
	assert_false(
		load_with("", ENV(var("DATABASE_URL=mysql://u:hunter2@db/x")), NULL, 0, &c, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "database_url");
	assert_says(&e, "mysql:");
	assert_null(strstr(e.text, "hunter2"));
	config_release(&c);
	/* libpq takes these too; we do not, and they name no scheme. */
	static const char *const keywords[] = {
		"DATABASE_URL=host=db password=hunter2", "DATABASE_URL=password=hunter2",
		"DATABASE_URL=password=hunter2 options=a://b", "DATABASE_URL=hunter2:x"};
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
		assert_false(load_with("", ENV(var(keywords[i])), NULL, 0, &c, &e));
		assert_error(&e, ERR_INPUT);
		assert_string_equal(e.text, "database_url: must be sqlite:PATH or "
					    "postgres://USER@HOST:PORT/DATABASE");
		config_release(&c);
	}
	assert_false(load_with("store_url = key hunter2\n", ENV(NULL), NULL, 0, &c, &e));
	assert_string_equal(e.text, "store_url: must be dir:PATH or s3://BUCKET/PREFIX");
	config_release(&c);
	assert_false(load_with("store_url = s3://k:hunter2@h/b\n", ENV(NULL), NULL, 0, &c, &e));
	assert_says(&e, "store_url");
	assert_null(strstr(e.text, "hunter2"));
	config_release(&c);
}

/* An address is shown without its passwords. */
static void test_shown_address(void **state)
{
	(void)state;
	static const struct {
		const char *env, *shown;
	} t[] = {
		{"DATABASE_URL=postgres://u:hunter2@db:5432/x", "postgres://u:***@db:5432/x"},
		{"DATABASE_URL=postgresql://u@db/x?a=b", "postgresql://u@db/x?a=b"},
		{"DATABASE_URL=postgres:///x?password=hunter2&sslpassword=hunter2&a=b",
		 "postgres:///x?password=***&sslpassword=***&a=b"},
		{"DATABASE_URL=postgres://u:hunter2@a,b:1/x?password=hunter2",
		 "postgres://u:***@a,b:1/x?password=***"},
		{"DATABASE_URL=sqlite:/x/a:b@c", "sqlite:/x/a:b@c"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct config c;
		struct err e = {0};
		char out[200] = "";
		assert_true(load_with("", ENV(var(t[i].env)), NULL, 0, &c, &e));
		for (size_t k = 0; k < config_count(); k++)
			if (strcmp(config_key(k), "database_url") == 0)
				config_show(&c, k, out, sizeof out);
		assert_string_equal(out, t[i].shown);
		config_release(&c);
	}
}

static void test_data_dir(void **state)
{
	(void)state;
	static const struct {
		const char *env[3], *dir;
	} t[] = {
		{{"STATE_DIRECTORY=/var/lib/autos", "XDG_DATA_HOME=/x", "HOME=/h"},
		 "/var/lib/autos"},
		{{"STATE_DIRECTORY=", "XDG_DATA_HOME=/x", "HOME=/h"}, "/x/autos"},
		{{"XDG_DATA_HOME=", "HOME=/h", "PATH=/bin"}, "/h/.local/share/autos"},
		{{"HOME=/h", "HOMER=/y", "XHOME=/z"}, "/h/.local/share/autos"},
	};
	struct config c;
	struct err e = {0};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char *env[] = {var(t[i].env[0]), var(t[i].env[1]), var(t[i].env[2]), NULL};
		char want[100];
		assert_true(load_with("", env, NULL, 0, &c, &e));
		assert_string_equal(c.data_dir, t[i].dir);
		snprintf(want, sizeof want, "sqlite:%s/autos.db", t[i].dir);
		assert_string_equal(c.database_url, want);
		snprintf(want, sizeof want, "dir:%s/objects", t[i].dir);
		assert_string_equal(c.store_url, want);
		config_release(&c);
	}
	assert_true(load_with("data_dir = /d\nstore_url = dir:/s\n", ENV(NULL), NULL, 0, &c, &e));
	assert_string_equal(c.data_dir, "/d");
	assert_string_equal(c.database_url, "sqlite:/d/autos.db");
	assert_string_equal(c.store_url, "dir:/s");
	config_release(&c);
	char *none[] = {var("HOME="), NULL};
	assert_false(load_with("", none, NULL, 0, &c, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "data_dir");
	assert_says(&e, "HOME");
	config_release(&c);
	assert_false(load_with("", NULL, NULL, 0, &c, &e));
	assert_says(&e, "data_dir");
	config_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_secret_files),
		cmocka_unit_test(test_rows_are_apart),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_source_names),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_number_ends),
		cmocka_unit_test(test_size_units),
		cmocka_unit_test(test_duration_units),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_text_lengths),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_unknown_key),
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
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_refused_address_keeps_its_password),
		cmocka_unit_test(test_shown_address),
		cmocka_unit_test(test_data_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
