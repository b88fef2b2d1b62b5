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
