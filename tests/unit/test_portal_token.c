/*
 * Bearer tokens: when they end, who made them, and what is no token. None of them is real.
 */
#include "portal.h"

#include "buf.h"
#include "sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define REALM "\"iss\":\"https://sso.example/auth/realms/pje\""

/* header.payload.signature around these claims; owned. */
static char *token_of(const char *claims, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "eyJhIjoxfQ.");
	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)(unsigned char)claims[i] << 16;
		size_t n = len - i < 3 ? len - i : 3;
		if (n > 1)
			v |= (unsigned)(unsigned char)claims[i + 1] << 8;
		if (n > 2)
			v |= (unsigned char)claims[i + 2];
		for (size_t k = 0; k <= n; k++)
			buf_add(&b, &digits[v >> (18 - 6 * k) & 63], 1);
	}
	buf_adds(&b, ".c2ln");
	return buf_detach(&b);
}

static const struct {
	const char *claims;
	int64_t expires_ms;
	bool foreign;
} rows[] = {
	{"{\"exp\":1767225600," REALM "}", 1767225600000, false},
	{"{\"exp\":1767225600.5," REALM "}", 1767225600500, false},
	{"{" REALM "}", -1, false},
	{"{\"exp\":\"1767225600\"," REALM "}", -1, false},
	{"{\"exp\":-5," REALM "}", -1, false},
	{"{\"exp\":1e300," REALM "}", -1, false},
	{"{\"exp\":9223372036854775807}", -1, true},
	{"{\"exp\":1,\"iss\":\"https://sso.example/auth/realms/other\"}", 1000, true},
	{"{\"exp\":1,\"iss\":\"/auth/realms/pje\"}", 1000, true},
	{"{\"exp\":1,\"iss\":\"https://sso.example/auth/realms/pje/x\"}", 1000, true},
	{"{\"exp\":1,\"iss\":7}", 1000, true},
	{"{}", -1, true},
};

static void test_claims(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *t = token_of(rows[i].claims, strlen(rows[i].claims));
		struct portal_token out;
		struct err e;
		if (!portal_token_read(t, strlen(t), &out, &e))
			fail_msg("%s: %s", rows[i].claims, e.text);
		assert_int_equal(out.expires_ms, rows[i].expires_ms);
		assert_int_equal(out.foreign, rows[i].foreign);
		xfree(t);
	}
}

static void test_space_around(void **state)
{
	(void)state;
	char *t = token_of("{\"exp\":7}", 9);
	char *spaced = xasprintf(" \t%s\r\n", t);
	struct portal_token out;
	struct err e;
	assert_true(portal_token_read(spaced, strlen(spaced), &out, &e));
	assert_int_equal(out.expires_ms, 7000);
	xfree(spaced);
	xfree(t);
}

static const char *const no_tokens[] = {
	"",
	" \n",
	"secret",
	"secret.x",
	"a.b.c.d",
	"..",
	"secret..x",
	"a.b c.d",
	"Bearer a.e30.b",
	"a.e30=.b",
	"a.e30.",
	"\x01.e30.b",
	"a.e.b" /* not base64url */,
	"a.e30x.b" /* {} and more */,
	"a.W10.b" /* [] */,
	"a.bnVsbA.b" /* null */,
};

static void test_no_tokens(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_tokens / sizeof *no_tokens; i++) {
		struct portal_token out;
		struct err e = {0};
		if (portal_token_read(no_tokens[i], strlen(no_tokens[i]), &out, &e))
			fail_msg("taken as a token: %s", no_tokens[i]);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_null(strstr(e.text, "secret"));
		assert_int_equal(out.expires_ms, -1);
		assert_true(out.foreign);
	}
}

static void test_size(void **state)
{
	(void)state;
	struct portal_token out;
	struct err e;
	char *claims = xasprintf("{\"exp\":7,\"x\":\"%016362d\"}", 1);
	assert_int_equal(strlen(claims), 16378);
	char *t = token_of(claims, strlen(claims));
	assert_true(portal_token_read(t, strlen(t), &out, &e));
	xfree(t);
	xfree(claims);
	claims = xasprintf("{\"exp\":7,\"x\":\"%016400d\"}", 1);
	t = token_of(claims, strlen(claims));
	assert_false(portal_token_read(t, strlen(t), &out, &e));
	xfree(t);
	xfree(claims);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_space_around),
		cmocka_unit_test(test_no_tokens),
		cmocka_unit_test(test_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
