/*
 * Case numbers: check digits, courts, what is accepted and how a refusal reads.
 */
#include "cnj.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static const struct {
	const char *text, *masked, *court;
} good[] = {
	{"0000001-39.2024.8.26.0100", "0000001-39.2024.8.26.0100", "TJSP"},
	{"00000013920248260100", "0000001-39.2024.8.26.0100", "TJSP"},
	{" 0000001-39.2024.8.26.0100\r\n", "0000001-39.2024.8.26.0100", "TJSP"},
	{"0000001 39 2024 8 26 0100", "0000001-39.2024.8.26.0100", "TJSP"},
	{"0000001.39.2024.8.26.0100", "0000001-39.2024.8.26.0100", "TJSP"},
	{"13920248260100", "0000001-39.2024.8.26.0100", "TJSP"},
	{"1-39.2024.8.26.0100", "0000001-39.2024.8.26.0100", "TJSP"},
	{"00001-39.2024.8.26.0100", "0000001-39.2024.8.26.0100", "TJSP"},
	{"1234567-64.2023.4.03.6100", "1234567-64.2023.4.03.6100", "TRF3"},
	{"0000123-18.2020.5.02.0001", "0000123-18.2020.5.02.0001", "TRT2"},
	{"7654321-38.2019.8.13.0024", "7654321-38.2019.8.13.0024", "TJMG"},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct cnj n;
		struct err e = {0};
		if (!cnj_parse(good[i].text, strlen(good[i].text), &n, &e))
			fail_msg("%s: %s", good[i].text, e.text);
		assert_string_equal(n.masked, good[i].masked);
		assert_string_equal(n.court, good[i].court);
		assert_int_equal(strlen(n.digits), 20);
	}
}

static const struct {
	const char *text, *says;
} bad[] = {
	{"0000001-40.2024.8.26.0100",
	 "wrong check digits 40 in 0000001-40.2024.8.26.0100: 39 would be right (TJSP)"},
	{"0000001-00.2024.8.30.0100", "wrong check digits 00 in 0000001-00.2024.8.30.0100: "},
	{"", "the case number is empty"},
	{" \t\n", "the case number is empty"},
	{"123", "3 digits found in case number \"123\": 20 are needed"},
	{"000000139202482601001", "21 digits found"},
	{"0000001392024826010",
	 "19 digits found in case number \"0000001392024826010\": 20 are needed"},
	{"0000001-39.2024.8.26.010x", "unexpected 'x' at position 25"},
	{"n\xc2\xba 0000001-39.2024.8.26.0100", "unexpected 'n' at position 1"},
	{"0000001\xe2\x80\x93"
	 "39.2024.8.26.0100x",
	 "unexpected character (byte 0xe2) at position 8 of case number \"0000001???39"},
	{"-00000013920248260100", "misplaced '-' at position 1"},
	{"0000001--39.2024.8.26.0100", "misplaced '-' at position 9"},
	{"000000-139.2024.8.26.0100", "misplaced '-' at position 7"},
	{"0000001-39.2024.8.26.0100.", "misplaced '.' at position 26"},
	{"00000000000000000000",
	 "wrong check digits 00 in 0000000-00.0000.0.00.0000: 98 would be right"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct cnj n;
		struct err e = {0};
		assert_false(cnj_parse(bad[i].text, strlen(bad[i].text), &n, &e));
		assert_int_equal(e.kind, ERR_INPUT);
		if (strncmp(e.text, bad[i].says, strlen(bad[i].says)) != 0)
			fail_msg("%s\nexpected: %s", e.text, bad[i].says);
		assert_string_equal(n.digits, "");
	}
}

static void test_line_is_clean(void **state)
{
	(void)state;
	char text[5000];
	struct cnj n;
	struct err e;
	memset(text, 0x07, sizeof text);
	assert_false(cnj_parse(text, sizeof text, &n, &e));
	assert_true(strlen(e.text) < 200);
	for (const char *s = e.text; *s; s++)
		assert_true(*s >= 0x20 && *s < 0x7f);
	memset(text, '7', sizeof text);
	assert_false(cnj_parse(text, sizeof text, &n, &e));
	assert_non_null(strstr(e.text, "5000 digits found"));
	assert_false(cnj_parse("0000001\0-39.2024.8.26.0100", 26, &n, &e));
	assert_non_null(strstr(e.text, "byte 0x00"));
	assert_false(cnj_parse("1", 1, &n, NULL));
}

/* Makes a valid number of that branch and court. */
static struct cnj number_of(char branch, int court)
{
	char digits[24];
	struct cnj n;
	struct err e = {0};
	snprintf(digits, sizeof digits, "0000123002024%c%02d0001", branch, court);
	int check = cnj_check_digits(digits);
	digits[7] = (char)('0' + check / 10);
	digits[8] = (char)('0' + check % 10);
	if (!cnj_parse(digits, 20, &n, &e))
		fail_msg("%s: %s", digits, e.text);
	return n;
}

static const struct {
	char branch;
	int court;
	const char *name;
} courts[] = {
	{'1', 0, "STF"},    {'1', 1, ""},      {'2', 0, "CNJ"},    {'3', 0, "STJ"},
	{'4', 1, "TRF1"},   {'4', 6, "TRF6"},  {'4', 7, ""},       {'4', 90, "CJF"},
	{'4', 0, ""},       {'5', 0, "TST"},   {'5', 24, "TRT24"}, {'5', 25, ""},
	{'5', 90, "CSJT"},  {'6', 0, "TSE"},   {'6', 7, "TRE-DF"}, {'6', 26, "TRE-SP"},
	{'6', 28, ""},      {'7', 0, "STM"},   {'7', 1, "1CJM"},   {'7', 12, "12CJM"},
	{'7', 13, ""},      {'8', 1, "TJAC"},  {'8', 2, "TJAL"},   {'8', 3, "TJAP"},
	{'8', 4, "TJAM"},   {'8', 5, "TJBA"},  {'8', 6, "TJCE"},   {'8', 7, "TJDFT"},
	{'8', 8, "TJES"},   {'8', 9, "TJGO"},  {'8', 10, "TJMA"},  {'8', 11, "TJMT"},
	{'8', 12, "TJMS"},  {'8', 13, "TJMG"}, {'8', 14, "TJPA"},  {'8', 15, "TJPB"},
	{'8', 16, "TJPR"},  {'8', 17, "TJPE"}, {'8', 18, "TJPI"},  {'8', 19, "TJRJ"},
	{'8', 20, "TJRN"},  {'8', 21, "TJRS"}, {'8', 22, "TJRO"},  {'8', 23, "TJRR"},
	{'8', 24, "TJSC"},  {'8', 25, "TJSE"}, {'8', 26, "TJSP"},  {'8', 27, "TJTO"},
	{'8', 0, ""},       {'8', 28, ""},     {'9', 13, "TJMMG"}, {'9', 21, "TJMRS"},
	{'9', 26, "TJMSP"}, {'9', 11, ""},     {'9', 25, ""},      {'0', 0, ""},
};

static void test_courts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof courts / sizeof *courts; i++)
		assert_string_equal(number_of(courts[i].branch, courts[i].court).court,
				    courts[i].name);
}

/* The check digits catch every wrong single digit. */
static void test_single_errors(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		for (char c = '0'; c <= '9'; c++) {
			char digits[] = "00000013920248260100";
			struct cnj n;
			struct err e;
			bool same = digits[i] == c;
			digits[i] = c;
			assert_int_equal(cnj_parse(digits, 20, &n, &e), same);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),          cmocka_unit_test(test_bad),
		cmocka_unit_test(test_line_is_clean), cmocka_unit_test(test_courts),
		cmocka_unit_test(test_single_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
