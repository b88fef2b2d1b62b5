/*
 * Facts as JSON values, and times as clients write them.
 */
#include "json_value.h"

#include "scratch.h"

static void test_values(void **state)
{
	(void)state;
	json_t *o = json_pack("[o, o, o, o, o, o, o]", json_value_text(NULL), json_value_text(""),
			      json_value_text("\xff"), json_value_text("a"), json_value_time(0),
			      json_value_time(1772452809501), json_value_count(-1));
	char *text = json_dumps(o, JSON_COMPACT);
	assert_string_equal(text, "[null,null,null,\"a\",null,\"2026-03-02T12:00:09.501Z\",null]");
	free(text);
	json_decref(o);
}

static void test_times(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"2026-03-02T12:00:09.501Z", 1772452809501},
		{"2026-03-02T12:00:09Z", 1772452809000},
		{"2026-03-02T12:00:09z", 1772452809000},
		{"2026-03-02T09:00:09-03:00", 1772452809000},
		{"2026-03-02T13:30:09+01:30", 1772452809000},
		{"2026-03-02T12:00:09.5Z", 1772452809500},
		{"2026-03-02T12:00:09.501999999Z", 1772452809501},
		{"1970-01-01T00:00:00Z", 0},
		{"2024-02-29T00:00:00Z", 1709164800000},
	};
	static const char *const bad[] = {"",
					  "yesterday",
					  "2026-03-02",
					  "2026-03-02T12:00:09",
					  "2026-03-02 12:00:09Z",
					  "2026-02-29T00:00:00Z",
					  "2026-13-01T00:00:00Z",
					  "2026-00-01T00:00:00Z",
					  "2026-03-32T00:00:00Z",
					  "2026-03-02T24:00:00Z",
					  "2026-03-02T12:60:00Z",
					  "2026-03-02T12:00:60Z",
					  "2026-03-02T12:00:09.Z",
					  "2026-03-02T12:00:09.1234567890Z",
					  "2026-03-02T12:00:09+3:00",
					  "2026-03-02T12:00:09+24:00",
					  "2026-03-02T12:00:09+00:60",
					  "2026-03-02T12:00:09Zx",
					  "2026-03-02T12:00:09+00:00x",
					  " 2026-03-02T12:00:09Z",
					  "+026-03-02T12:00:09Z"};
	int64_t ms;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (!json_value_parse_time(good[i].text, &ms) || ms != good[i].ms)
			fail_msg("%s: %lld", good[i].text, (long long)ms);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (json_value_parse_time(bad[i], &ms))
			fail_msg("%s was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
