/*
 * Download links: what is made is taken, and nothing else is. An address is read back by the room
 * that reads them for the server.
 */
#include "link.h"

#include "target.h"

#include "scratch.h"

static const unsigned char secret[LINK_SECRET] = "0123456789abcdef0123456789abcdef";
static const struct link plain = {.key = "cases/0f/a1.pdf",
				  .name = "0001-Sentenca.pdf",
				  .mime = "application/pdf",
				  .expires_s = 1000};

static const char *signature_of(const char *url)
{
	const char *s = strstr(url, "&signature=");
	assert_non_null(s);
	return s + strlen("&signature=");
}

static void test_address(void **state)
{
	(void)state;
	char *url = link_make("https://autos.example/x/", secret, &plain);
	const char *start = "https://autos.example/x/files/cases/0f/a1.pdf?name=0001-Sentenca.pdf"
			    "&type=application/pdf&expires=1000&signature=";
	assert_memory_equal(url, start, strlen(start));
	assert_int_equal(strlen(signature_of(url)), 64);
	assert_int_equal(strspn(signature_of(url), "0123456789abcdef"), 64);
	xfree(url);
	/* HMAC-SHA256 with that key over "a\0b\0c\0" "1", as Python's hmac gives it */
	struct link l = {.key = "a", .name = "b", .mime = "c", .expires_s = 1};
	url = link_make("", secret, &l);
	assert_string_equal(
		url,
		"/files/a?name=b&type=c&expires=1&signature=d724132607b95ea495e2346c0402995091a1cfadfa10a27623bd19a878e2ef1f");
	xfree(url);
}

static void test_round_trip(void **state)
{
	(void)state;
	static const struct link links[] = {
		{"k", "n", "m", 1},
		{"a/b/c", "Petição inicial & anexos.pdf", "text/html; charset=utf-8", 9000000000},
		{"a b/%41?c#d&e=f", "100% \"x\" + y.pdf", "a+b/c", INT64_MAX},
		{"ação", "", "", 5},
	};
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		struct err e = {0};
		struct target t;
		char *url = link_make("http://127.0.0.1:8080", secret, &links[i]);
		for (const char *s = url; *s; s++)
			assert_true(*s > 0x20 && *s < 0x7f && *s != '"' && *s != '#');
		assert_true(target_parse(url, &t, &e));
		assert_string_equal(t.segments[0], "files");
		char *key = xstrdup(t.segments[1]);
		for (size_t k = 2; k < t.nsegments; k++) {
			char *longer = xasprintf("%s/%s", key, t.segments[k]);
			xfree(key);
			key = longer;
		}
		struct link read = {.key = key,
				    .name = target_get(&t, "name"),
				    .mime = target_get(&t, "type"),
				    .expires_s = strtoll(target_get(&t, "expires"), NULL, 10)};
		assert_string_equal(read.key, links[i].key);
		assert_string_equal(read.name, links[i].name);
		assert_string_equal(read.mime, links[i].mime);
		assert_int_equal(read.expires_s, links[i].expires_s);
		assert_true(link_check(secret, &read, target_get(&t, "signature"), 0, &e));
		xfree(key);
		target_release(&t);
		xfree(url);
	}
}

static void denied(const struct link *l, const char *signature, int64_t now_s, const char *says)
{
	struct err e = {0};
	assert_false(link_check(secret, l, signature, now_s, &e));
	assert_error(&e, ERR_DENIED);
	assert_says(&e, says);
}

static void test_time(void **state)
{
	(void)state;
	struct err e = {0};
	char *url = link_make("", secret, &plain);
	const char *s = signature_of(url);
	assert_true(link_check(secret, &plain, s, 0, &e));
	assert_true(link_check(secret, &plain, s, 999, &e));
	denied(&plain, s, 1000, "expired");
	denied(&plain, s, INT64_MAX, "expired");
	/* whoever has no signature is not told about times */
	denied(&plain, "x", 1000, "signature");
	xfree(url);
}

static void test_forged(void **state)
{
	(void)state;
	char *url = link_make("", secret, &plain);
	char *s = xstrdup(signature_of(url));
	const struct link others[] = {
		{"cases/0f/a2.pdf", plain.name, plain.mime, 1000},
		{plain.key, "0001-Sentenca.html", plain.mime, 1000},
		{plain.key, plain.name, "text/html", 1000},
		{plain.key, plain.name, plain.mime, 1001},
		{plain.key, plain.name, plain.mime, -1000},
		/* moved from one part to the next */
		{"cases/0f/a1.pd", "f0001-Sentenca.pdf", plain.mime, 1000},
		{"cases/0f/a1.pdf0001-Sentenca.pdf", "", plain.mime, 1000},
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		denied(&others[i], s, 0, "signature");
	for (size_t i = 0; i < 64; i++) {
		s[i] ^= 1;
		denied(&plain, s, 0, "signature");
		s[i] ^= 1;
	}
	char *longer = xasprintf("%s0", s);
	denied(&plain, longer, 0, "signature");
	denied(&plain, "", 0, "signature");
	denied(&plain, NULL, 0, "signature");
	for (char *c = s; *c; c++)
		if (*c >= 'a' && *c <= 'f')
			*c = (char)(*c - 'a' + 'A');
	denied(&plain, s, 0, "signature");
	xfree(longer);
	xfree(s);

	unsigned char other[LINK_SECRET] = {0};
	struct err e = {0};
	assert_false(link_check(other, &plain, signature_of(url), 0, &e));
	xfree(url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_forged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
