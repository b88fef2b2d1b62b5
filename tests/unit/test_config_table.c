/*
 * The table of settings: every row is whole, has a name and a place of its own, and its default is
 * a value that it takes.
 */
#include "config_table.h"

#include "scratch.h"

#include <inttypes.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),          cmocka_unit_test(test_table_secret_files),
		cmocka_unit_test(test_rows_are_apart), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_source_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
