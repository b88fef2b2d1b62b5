/*
 * One setting: every kind of value at and beyond its ends, and what a refusal says.
 */
#include "settings.h"

#include <inttypes.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),     cmocka_unit_test(test_number_ends),
		cmocka_unit_test(test_size_units),   cmocka_unit_test(test_duration_units),
		cmocka_unit_test(test_url),          cmocka_unit_test(test_level),
		cmocka_unit_test(test_text_lengths), cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_unknown_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
