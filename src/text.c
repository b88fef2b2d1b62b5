/*
 * text - see text.h. Keeps no state and allocates nothing of its own.
 */
#include "text.h"

#include <string.h>

uint32_t utf8_next(const unsigned char **s)
{
	const unsigned char *p = *s;
	int more = *p < 0x80             ? 0
		   : (*p & 0xe0) == 0xc0 ? 1
		   : (*p & 0xf0) == 0xe0 ? 2
		   : (*p & 0xf8) == 0xf0 ? 3
					 : -1;
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	*s = p + 1;
	if (more <= 0)
		return more == 0 ? *p : 0;
	uint32_t c = *p & (0x3fu >> more);
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*s = p + more + 1;
	return c;
}

bool utf8_valid(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;)
		if (utf8_next(&s) == 0)
			return false;
	return true;
}

int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int percent_value(const char *s)
{
	if (s[0] != '%')
		return -1;
	int high = hex_value(s[1]);
	int low = high < 0 ? -1 : hex_value(s[2]);
	return low < 0 ? -1 : high << 4 | low;
}

static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void percent_add(struct buf *b, const char *s, size_t len, const char *keep)
{
	static const char digit[] = "0123456789ABCDEF";
	for (const char *end = s + len; s < end; s++) {
		unsigned char c = (unsigned char)*s;
		if (is_unreserved(*s) || (c && strchr(keep, *s)))
			buf_add(b, s, 1);
		else
			buf_add(b, (char[]){'%', digit[c >> 4], digit[c & 15]}, 3);
	}
}

#define SCHEME_MORE "0123456789+-."

size_t text_scheme(const char *url)
{
	size_t n = strspn(url, SCHEME_MORE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	return n && !strspn(url, SCHEME_MORE) && strncmp(url + n, "://", 3) == 0 ? n : 0;
}

bool text_in_list(const char *list, const char *word, size_t n)
{
	for (const char *p = list; *p;) {
		p += strspn(p, ", ");
		size_t len = strcspn(p, ", ");
		if (len && len == n && memcmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, char *out)
{
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (n > 2 ? p[i + 2] : 0);
		*out++ = base64_digits[v >> 18];
		*out++ = base64_digits[v >> 12 & 63];
		*out++ = n > 1 ? base64_digits[v >> 6 & 63] : '=';
		*out++ = n > 2 ? base64_digits[v & 63] : '=';
	}
	*out = '\0';
}

ssize_t base64_decode(const char *s, size_t len, void *out, size_t cap)
{
	unsigned char *p = out;
	size_t n = 0;
	uint32_t acc = 0;
	int bits = 0;
	if (len % 4 == 0)
		for (int i = 0; i < 2 && len && s[len - 1] == '='; i++)
			len--;
	for (size_t i = 0; i < len; i++) {
		const char *d = s[i] ? strchr(base64_digits, s[i]) : NULL;
		if (!d)
			return -1;
		acc = (acc << 6 | (uint32_t)(d - base64_digits)) & 0xffffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == cap)
			return -1;
		p[n++] = (unsigned char)(acc >> bits);
	}
	return len % 4 == 1 || (acc & ((1u << bits) - 1)) ? -1 : (ssize_t)n;
}
