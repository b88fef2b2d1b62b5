/*
 * File names from any bytes: two numbers, a name, a zero byte, a fallback. The result is one
 * harmless component of valid UTF-8 that begins with the rank and ends with the ending.
 */
#include "replay.h"

#include "filename.h"

#include "sys.h"

#include <string.h>

/* The code point at *s, in its shortest form (RFC 3629); advances *s. */
static uint32_t decode(const unsigned char **s)
{
	const unsigned char *p = *s;
	uint32_t c = p[0], least = 0;
	size_t more = 0;
	if (c >= 0xf0 && c <= 0xf4) {
		more = 3, least = 0x10000, c &= 7;
	} else if (c >= 0xe0 && c <= 0xef) {
		more = 2, least = 0x800, c &= 15;
	} else if (c >= 0xc2 && c <= 0xdf) {
		more = 1, least = 0x80, c &= 31;
	} else {
		CHECK(c < 0x80);
	}
	for (size_t i = 1; i <= more; i++) {
		CHECK((p[i] & 0xc0) == 0x80);
		c = c << 6 | (p[i] & 0x3f);
	}
	CHECK(c >= least && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff));
	*s = p + 1 + more;
	return c;
}

static void check(const char *out, const char *start, const char *end)
{
	size_t n = strlen(out);
	CHECK(n <= 240 && n > strlen(start) + strlen(end));
	CHECK(strncmp(out, start, strlen(start)) == 0);
	CHECK(strcmp(out + n - strlen(end), end) == 0);
	for (const unsigned char *s = (const unsigned char *)out; *s;) {
		uint32_t c = decode(&s);
		CHECK(c >= 0x20 && (c < 0x7f || c >= 0xa0));
		CHECK(c != '/' && c != '\\' && c != ':');
		CHECK(c < 0x200b || c > 0x200f);
		CHECK(c < 0x2028 || c > 0x202e);
		CHECK(c < 0x2060 || c > 0x206f);
	}
	CHECK(filename_is_plain(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const exts[] = {"pdf", "html", "rtf", "txt", "bin", "p7s", "jpg", "mp4"};
	if (size < 2)
		return 0;
	size_t rank = (size_t)data[0] * 257 + 1;
	int width = 1 + data[1] % 8;
	const char *ext = exts[data[1] / 8 % 8];
	char *name = xstrndup((const char *)data + 2, size - 2), start[32], end[16];
	size_t len = strlen(name);
	char *fallback = xstrdup(len + 2 < size ? name + len + 1 : "");
	snprintf(start, sizeof start, "%0*zu-", width, rank);
	snprintf(end, sizeof end, ".%s", ext);
	char *out = filename_make(rank, width, name, fallback, ext);
	check(out, start, end);
	xfree(out);
	xfree(fallback);
	xfree(name);
	return 0;
}
