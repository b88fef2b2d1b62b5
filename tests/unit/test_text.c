/*
 * UTF-8, hexadecimal digits and percent-encoding.
 */
#include "text.h"

#include "scratch.h"

static const struct {
	const char *text;
	uint32_t code; /* of its first character; 0 = not UTF-8 */
	size_t len;
} codes[] = {
	{"", 0, 1},
	{"a", 'a', 1},
	{"\x7f", 0x7f, 1},
	{"\xc2\x80", 0x80, 2},
	{"\xdf\xbf", 0x7ff, 2},
	{"\xe0\xa0\x80", 0x800, 3},
	{"\xed\x9f\xbf", 0xd7ff, 3},
	{"\xee\x80\x80", 0xe000, 3},
	{"\xef\xbf\xbf", 0xffff, 3},
	{"\xf0\x90\x80\x80", 0x10000, 4},
	{"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
	/* RFC 3629: overlong forms, surrogates, beyond the end, cut off, alone, never */
	{"\xc0\x80", 0, 1},
	{"\xc1\xbf", 0, 1},
	{"\xe0\x9f\xbf", 0, 1},
	{"\xf0\x8f\xbf\xbf", 0, 1},
	{"\xed\xa0\x80", 0, 1},
	{"\xed\xbf\xbf", 0, 1},
	{"\xf4\x90\x80\x80", 0, 1},
	{"\xf5\x80\x80\x80", 0, 1},
	{"\xc3", 0, 1},
	{"\xe2\x82", 0, 1},
	{"\xf0\x9f\x98", 0, 1},
	{"\xc3\xc3", 0, 1},
	{"\x80", 0, 1},
	{"\xbf", 0, 1},
	{"\xfe", 0, 1},
	{"\xff", 0, 1},
};

static void test_utf8(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		/* an exact copy, so that the sanitizer sees a read of one byte too many */
		char *copy = xstrdup(codes[i].text);
		const unsigned char *s = (const unsigned char *)copy;
		assert_int_equal(utf8_next(&s), codes[i].code);
		assert_ptr_equal(s, (const unsigned char *)copy + codes[i].len);
		assert_int_equal(utf8_valid(copy), codes[i].code || !*codes[i].text);
		xfree(copy);
	}
	assert_true(utf8_valid("peti\xc3\xa7\xc3\xa3o \xf0\x9f\x98\x80"));
	assert_false(utf8_valid("peti\xe7\xe3o"));
}

static void test_hex(void **state)
{
	(void)state;
	for (int c = -128; c < 128; c++) {
		const char *digits = "0123456789abcdefABCDEF", *at = c ? strchr(digits, c) : NULL;
		int value = at ? (int)(at - digits) : -1;
		assert_int_equal(hex_value((char)c), value > 15 ? value - 6 : value);
	}
	assert_int_equal(percent_value("%00"), 0);
	assert_int_equal(percent_value("%fF0"), 255);
	assert_int_equal(percent_value("%"), -1);
	assert_int_equal(percent_value("%a"), -1);
	assert_int_equal(percent_value("%ag"), -1);
	assert_int_equal(percent_value("%+1"), -1);
	assert_int_equal(percent_value("aa"), -1);
	assert_int_equal(percent_value(""), -1);
}

static void test_percent(void **state)
{
	(void)state;
	struct buf b;
	char all[256];
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	buf_init(&b, 1000);
	percent_add(&b, "AZaz09-._~", 10, "");
	percent_add(&b, "a/b c\xc3\xa7%", 8, "/");
	assert_string_equal(buf_str(&b), "AZaz09-._~a/b%20c%C3%A7%25");
	buf_clear(&b);
	percent_add(&b, "a\0/b", 3, "/");
	assert_string_equal(buf_str(&b), "a%00/");
	buf_clear(&b);
	percent_add(&b, all, 255, "");
	size_t n = 0;
	for (const char *s = buf_str(&b); *s; n++) {
		int c = percent_value(s);
		assert_int_equal((char)(c < 0 ? *s : c), all[n]);
		s += c < 0 ? 1 : 3;
	}
	assert_int_equal(n, 255);
	assert_int_equal(b.len, 66 + 3 * (255 - 66));
	buf_release(&b);
}

static void test_scheme(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		size_t len;
	} t[] = {
		{"mysql://u:p@h", 5},
		{"s3://", 2},
		{"svn+ssh2.x-y://h", 12},
		{"", 0},
		{"://h", 0},
		{"2a://h", 0},
		{"mysql:h", 0},
		{"mysql:/h", 0},
		{"mysql", 0},
		{"a=b://h", 0},
		{"user=x a://h", 0},
		{"p\xc3\xa7://h", 0},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		assert_int_equal(text_scheme(t[i].url), t[i].len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_scheme),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
