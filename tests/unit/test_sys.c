/*
 * The machine: memory, clocks, randomness, hashes, small files.
 */
#include "sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void test_memory(void **state)
{
	(void)state;
	assert_null(xstrdup(NULL));
	char *s = xstrndup("abcdef", 3);
	assert_string_equal(s, "abc");
	xfree(s);
	s = xasprintf("%d-%s", 7, "x");
	assert_string_equal(s, "7-x");
	xfree(s);
	xfree(xmalloc(0));
	xfree(xcalloc(0, 0));
	xfree(NULL);
	int *a = NULL;
	size_t cap = 0;
	for (size_t n = 0; n < 100; n++) {
		a = xgrow(a, n, &cap, sizeof *a);
		assert_true(cap > n);
		a[n] = (int)n;
	}
	assert_int_equal(a[99], 99);
	xfree(a);
}

static const struct {
	int64_t ms;
	const char *text;
} moments[] = {
	{0, "1970-01-01T00:00:00.000Z"},
	{1767323045678, "2026-01-02T03:04:05.678Z"},
	{951782400001, "2000-02-29T00:00:00.001Z"},
	{-1, "1969-12-31T23:59:59.999Z"},
	{253402300799999, "9999-12-31T23:59:59.999Z"},
};

static void test_utc(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
		char out[25];
		sys_format_utc(moments[i].ms, out);
		assert_string_equal(out, moments[i].text);
	}
	assert_true(sys_wall_ms() > 1700000000000);
	int64_t before = sys_mono_ms();
	assert_true(sys_mono_ms() >= before);
}

static void test_random(void **state)
{
	(void)state;
	char a[33], b[33];
	sys_random_hex(a, 32);
	sys_random_hex(b, 32);
	assert_int_equal(strlen(a), 32);
	assert_int_equal(strspn(a, "0123456789abcdef"), 32);
	assert_string_not_equal(a, b);
	bool seen[5] = {false};
	for (int i = 0; i < 1000; i++) {
		uint64_t x = sys_random_below(5);
		assert_true(x < 5);
		seen[x] = true;
	}
	for (int i = 0; i < 5; i++)
		assert_true(seen[i]);
	assert_int_equal(sys_random_below(1), 0);
}

/* FIPS 180-4 examples. */
static const struct {
	const char *text, *hex;
} hashes[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_sha256(void **state)
{
	(void)state;
	char hex[65];
	for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
		sha256_hex(hashes[i].text, strlen(hashes[i].text), hex);
		assert_string_equal(hex, hashes[i].hex);
	}
	struct sha256 *h = sha256_new();
	char block[1000];
	memset(block, 'a', sizeof block);
	for (int i = 0; i < 1000; i++)
		sha256_add(h, block, sizeof block);
	sha256_end(h, hex);
	sha256_free(h);
	sha256_free(NULL);
	assert_string_equal(hex,
			    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static const struct {
	const char *text;
	ssize_t len;
	const char *bytes;
} codes[] = {
	{"", 0, ""},
	{"Zg", 1, "f"},
	{"Zm8", 2, "fo"},
	{"Zm9v", 3, "foo"},
	{"Zm9vYmFy", 6, "foobar"},
	{"_-8", 2, "\xff\xef"},
	{"Z", -1, ""},
	{"Zm9vY", -1, ""},
	{"Zg==", -1, ""},
	{"Zm+v", -1, ""},
	{"Zm/v", -1, ""},
	{"Zm 9", -1, ""},
};

static void test_base64url(void **state)
{
	(void)state;
	char out[16];
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		ssize_t n = base64url_decode(codes[i].text, strlen(codes[i].text), out, sizeof out);
		assert_int_equal(n, codes[i].len);
		if (n > 0)
			assert_memory_equal(out, codes[i].bytes, (size_t)n);
		if (n < 0)
			continue;
		char text[BASE64URL_SIZE(6)];
		assert_int_equal(strlen(codes[i].text) + 1, BASE64URL_SIZE((size_t)n));
		base64url_encode(codes[i].bytes, (size_t)n, text);
		assert_string_equal(text, codes[i].text);
	}
	assert_int_equal(base64url_decode("Zm9v", 4, out, 2), -1);
	assert_int_equal(base64url_decode("Zm9v", 4, out, 3), 3);
}

static void test_base64url_encode(void **state)
{
	(void)state;
	char out[16];
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		if (codes[i].len < 0)
			continue;
		memset(out, '!', sizeof out);
		base64url_encode(codes[i].bytes, (size_t)codes[i].len, out);
		assert_string_equal(out, codes[i].text);
		assert_int_equal(out[strlen(out) + 1], '!');
	}
	unsigned char all[256], back[256];
	char text[343];
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (unsigned char)i;
	for (size_t n = 0; n <= sizeof all; n++) {
		base64url_encode(all, n, text);
		assert_int_equal(strlen(text), (n * 4 + 2) / 3);
		assert_int_equal(base64url_decode(text, strlen(text), back, sizeof back), n);
		assert_memory_equal(back, all, n);
	}
}

/* RFC 1321, appendix A.5. */
static const struct {
	const char *text, *hex;
} digests[] = {
	{"", "d41d8cd98f00b204e9800998ecf8427e"},
	{"a", "0cc175b9c0f1b6a831c399e269772661"},
	{"abc", "900150983cd24fb0d6963f7d28e17f72"},
	{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
	{"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
	 "d174ab98d277d9f5a5611c2c9f419d9f"},
	{"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
	 "57edf4a22be3c955ac49da2e2107b67a"},
};

static void digest(const char *text, size_t len, size_t step, char hex[33])
{
	unsigned char raw[16];
	struct md5 *h = md5_new();
	for (size_t at = 0; at < len; at += step)
		md5_add(h, text + at, len - at < step ? len - at : step);
	md5_end(h, raw);
	md5_free(h);
	sys_hex(raw, sizeof raw, hex);
}

static void test_md5(void **state)
{
	(void)state;
	char hex[33];
	for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
		for (size_t step = 1; step <= 100; step += 9) {
			digest(digests[i].text, strlen(digests[i].text), step, hex);
			assert_string_equal(hex, digests[i].hex);
		}
	md5_free(NULL);
}

/* RFC 4648, section 10, and the two characters in which it differs from the other alphabet. */
static const struct {
	const char *bytes, *text;
} padded[] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xff\xef\xbe", "/+++"},
	{"\xfb", "+w=="},
};

static void test_base64(void **state)
{
	(void)state;
	char out[16];
	for (size_t i = 0; i < sizeof padded / sizeof *padded; i++) {
		size_t len = strlen(padded[i].bytes);
		memset(out, '!', sizeof out);
		base64_encode(padded[i].bytes, len, out);
		assert_string_equal(out, padded[i].text);
		assert_int_equal(strlen(out) + 1, BASE64_SIZE(len));
		assert_int_equal(out[BASE64_SIZE(len)], '!');
	}
}

static void test_hmac(void **state)
{
	(void)state;
	unsigned char mac[32], key[131];
	char hex[65];
	/* RFC 4231, cases 2 and 6 */
	sys_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
	sys_hex(mac, sizeof mac, hex);
	assert_string_equal(hex,
			    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	sys_hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First",
			54, mac);
	sys_hex(mac, sizeof mac, hex);
	assert_string_equal(hex,
			    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	sys_hex("", 0, hex);
	assert_string_equal(hex, "");
	assert_true(sys_equal("abc", "abd", 2));
	assert_false(sys_equal("abc", "abd", 3));
	assert_true(sys_equal("a", "b", 0));
}

static void test_files(void **state)
{
	(void)state;
	char dir[] = "/tmp/test_sys.XXXXXX";
	assert_non_null(mkdtemp(dir));
	char *deep = xasprintf("%s/a//b/c", dir);
	char *file = xasprintf("%s/a/b/c/f", dir);
	char *text = NULL;
	size_t len = 0;
	struct err e;

	assert_true(sys_mkdirs(deep, 0700, &e));
	assert_true(sys_mkdirs(deep, 0700, &e));
	assert_false(sys_mkdirs("", 0700, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_true(sys_fsync_dir(deep, &e));
	assert_false(sys_fsync_dir(file, &e));

	assert_false(sys_read_file(file, 10, &text, &len, &e));
	assert_int_equal(e.kind, ERR_ABSENT);
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_true(sys_write_all(fd,
				  "0123456\0"
				  "89",
				  10, "f", &e));
	close(fd);
	assert_false(sys_write_all(-1, "x", 1, "f", &e));
	assert_non_null(strstr(e.text, "cannot write f"));

	assert_true(sys_read_file(file, 10, &text, &len, &e));
	assert_int_equal(len, 10);
	assert_memory_equal(text,
			    "0123456\0"
			    "89",
			    11);
	xfree(text);
	assert_false(sys_read_file(file, 9, &text, &len, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_null(text);
	assert_false(sys_mkdirs(file, 0700, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_false(sys_read_file(deep, 9, &text, NULL, &e));
	assert_int_equal(e.kind, ERR_FAIL);

	unlink(file);
	for (char *s = deep + strlen(deep); strlen(deep) > strlen(dir); s = strrchr(deep, '/')) {
		*s = '\0';
		rmdir(deep);
	}
	rmdir(dir);
	xfree(deep);
	xfree(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),           cmocka_unit_test(test_utc),
		cmocka_unit_test(test_random),           cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_base64url),        cmocka_unit_test(test_files),
		cmocka_unit_test(test_base64url_encode), cmocka_unit_test(test_md5),
		cmocka_unit_test(test_base64),           cmocka_unit_test(test_hmac),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
