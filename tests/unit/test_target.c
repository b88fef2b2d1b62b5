/*
 * Request targets: what is split where, what is decoded, and what makes the whole target bad.
 */
#include "target.h"

#include "scratch.h"

/* Segments joined by "|", a final "|" for a trailing slash, then "?name=value" for each parameter.
 */
static char *show(const struct target *t)
{
	char *s = xstrdup(""), *next;
	for (size_t i = 0; i < t->nsegments; i++) {
		next = xasprintf("%s%s%s", s, i ? "|" : "", t->segments[i]);
		xfree(s);
		s = next;
	}
	next = xasprintf("%s%s", s, t->trailing_slash ? "|" : "");
	xfree(s);
	s = next;
	for (size_t i = 0; i < t->nparameters; i++) {
		next = xasprintf("%s?%s=%s", s, t->parameters[i].name, t->parameters[i].value);
		xfree(s);
		s = next;
	}
	return s;
}

static const struct {
	const char *raw, *shown;
} good[] = {
	{"/", ""},
	{"/?", ""},
	{"/a", "a"},
	{"/a/", "a|"},
	{"/a/?", "a|"},
	{"/a/b/c", "a|b|c"},
	{"/a?b", "a?b="},
	{"/a?b=", "a?b="},
	{"/a?b=c", "a?b=c"},
	{"/a?=c", "a?=c"},
	{"/a?b=c=d", "a?b=c=d"},
	{"/a?b=1&b=2&&c&", "a?b=1?b=2?c="},
	{"/a?&&&", "a"},
	{"/a?b=/c/?d", "a?b=/c/?d"},
	{"/a?b=..&c=//", "a?b=..?c=//"},
	{"/a+b?c+d=e+f", "a+b?c d=e f"},
	{"/%41%62?%63=%2b%26%3D", "Ab?c=+&="},
	/* an encoded slash or question mark makes no new piece */
	{"/a%2Fb/c%3fd", "a/b|c?d"},
	{"/a%2f..", "a/.."},
	{"/a%26b?c%26d=e%3df", "a&b?c&d=e=f"},
	{"/...", "..."},
	{"/.a/..b/c.", ".a|..b|c."},
	{"/a%20b?c=%20d", "a b?c= d"},
	/* once, not twice */
	{"/%2541", "%41"},
	{"/%252e%252e", "%2e%2e"},
	/* UTF-8, encoded or not; RFC 3986, 2.5 and 3987, 3.1 */
	{"/%E3%82%A2", "ア"},
	{"/peti%C3%A7%C3%A3o/petição?q=a%C3%A7%C3%A3o", "petição|petição?q=ação"},
	{"/%F0%9F%98%80", "😀"},
	{"/%C2%A0", "\u00a0"},
	/* RFC 3986, 1.1.2 and 3.3: characters that are data in a path */
	{"/over/there:8042,x;y=1@z!$&'()*", "over|there:8042,x;y=1@z!$&'()*"},
	{"/x?a[]=1&{b}=|c|", "x?a[]=1?{b}=|c|"},
	/* RFC 9112, 3.2.2: the absolute form */
	{"http://www.example.org/pub/WWW/TheProject.html", "pub|WWW|TheProject.html"},
	{"HTTPS://[2001:db8::1]:8443/a/?b", "a|?b="},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct target t;
		struct err e = {0};
		if (!target_parse(good[i].raw, &t, &e))
			fail_msg("%s: %s", good[i].raw, e.text);
		char *s = show(&t);
		if (strcmp(s, good[i].shown) != 0)
			fail_msg("%s gives %s", good[i].raw, s);
		xfree(s);
		target_release(&t);
	}
}

static const struct {
	const char *raw, *says;
} bad[] = {
	{"", "begin with a slash"},
	{"a", "begin with a slash"},
	{"*", "begin with a slash"},
	{"?a", "begin with a slash"},
	{"example.org:443", "begin with a slash"},
	{"ftp://example.org/a", "begin with a slash"},
	{"http://example.org", "no path"},
	{"http://example.org?/a", "no path"},
	{"http://", "no path"},
	{"//", "empty segment"},
	{"//a", "empty segment"},
	{"/a//b", "empty segment"},
	{"/a//", "empty segment"},
	{"http://example.org//a", "empty segment"},
	{"/.", "segment of dots"},
	{"/..", "segment of dots"},
	{"/a/../b", "segment of dots"},
	{"/a/./b", "segment of dots"},
	{"/a/%2e%2E/b", "segment of dots"},
	{"/a/.%2e?x", "segment of dots"},
	{"/%2e", "segment of dots"},
	{"/%", "without two hexadecimal digits"},
	{"/%4", "without two hexadecimal digits"},
	{"/%4/1", "without two hexadecimal digits"},
	{"/%zz", "without two hexadecimal digits"},
	{"/%+1", "without two hexadecimal digits"},
	{"/a?b=%", "without two hexadecimal digits"},
	{"/a?%b=c", "without two hexadecimal digits"},
	{"/a?b=%u0041", "without two hexadecimal digits"},
	{"/%00", "zero byte"},
	{"/a?b=c%00d", "zero byte"},
	{"/a?%00", "zero byte"},
	{"/a\tb", "control character"},
	{"/%0a", "control character"},
	{"/a?b=%0D%0AX: y", "must be encoded"},
	{"/a?b=%0D%0AX:y", "control character"},
	{"/%7f", "control character"},
	{"/%C2%85", "control character"},
	{"/a b", "must be encoded"},
	{"/a?b c", "must be encoded"},
	{"/a#b", "must be encoded"},
	{"/a?b#c", "must be encoded"},
	/* RFC 3629, 3 and 10: overlong forms, surrogates, too large, cut off, alone */
	{"/%C0%AF", "not UTF-8"},
	{"/%C0%80", "not UTF-8"},
	{"/%E0%80%AF", "not UTF-8"},
	{"/%F0%80%80%AF", "not UTF-8"},
	{"/%ED%A0%80", "not UTF-8"},
	{"/%F4%90%80%80", "not UTF-8"},
	{"/%F8%88%80%80%80", "not UTF-8"},
	{"/%E3%82", "not UTF-8"},
	{"/%E3%82/%A2", "not UTF-8"},
	{"/%80", "not UTF-8"},
	{"/\xff", "not UTF-8"},
	{"/%E7", "not UTF-8"},
	{"/a?b=%E7", "not UTF-8"},
	{"/a?%C3=%A7", "not UTF-8"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct target t;
		struct err e = {0};
		if (target_parse(bad[i].raw, &t, &e))
			fail_msg("%s was taken", bad[i].raw);
		assert_error(&e, ERR_INPUT);
		if (!strstr(e.text, bad[i].says))
			fail_msg("%s says: %s", bad[i].raw, e.text);
		target_release(&t);
		target_release(&t);
		assert_null(t.text);
	}
}

static void test_get(void **state)
{
	(void)state;
	struct target t;
	struct err e;
	assert_true(target_parse("/x?a=1&b&a=2&A=3&c=%20", &t, &e));
	assert_string_equal(target_get(&t, "a"), "2");
	assert_string_equal(target_get(&t, "b"), "");
	assert_string_equal(target_get(&t, "A"), "3");
	assert_string_equal(target_get(&t, "c"), " ");
	assert_null(target_get(&t, "d"));
	assert_null(target_get(&t, ""));
	target_release(&t);
	assert_null(target_get(&t, "a"));
	assert_true(target_parse("/x?a=1", &t, &e));
	assert_string_equal(target_get(&t, "a"), "1");
	target_release(&t);
}

/* n times a piece behind a start. */
static char *repeat(const char *start, const char *piece, size_t n)
{
	size_t head = strlen(start), each = strlen(piece);
	char *s = xmalloc(head + n * each + 1);
	memcpy(s, start, head);
	for (size_t i = 0; i < n; i++)
		memcpy(s + head + i * each, piece, each);
	s[head + n * each] = '\0';
	return s;
}

static void limit(const char *start, const char *piece, size_t n, const char *says)
{
	struct target t;
	struct err e = {0};
	char *raw = repeat(start, piece, n);
	if (!target_parse(raw, &t, &e))
		fail_msg("%zu of %s: %s", n, piece, e.text);
	target_release(&t);
	xfree(raw);
	raw = repeat(start, piece, n + 1);
	assert_false(target_parse(raw, &t, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, says);
	target_release(&t);
	xfree(raw);
}

static void test_limits(void **state)
{
	(void)state;
	limit("", "/a", TARGET_SEGMENTS, "more than 24 segments");
	limit("/?", "a=&", TARGET_PARAMETERS, "more than 32 parameters");
	limit("/", "a", TARGET_MAX - 1, "longer than 8192 bytes");
	limit("/?b=", "c", TARGET_MAX - 4, "longer than 8192 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
