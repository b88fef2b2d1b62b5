/*
 * filename - see filename.h. Does no I/O: whether a name is free is the exporter's business.
 */
#include "filename.h"

#include "buf.h"
#include "sys.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { STEM_MAX = 200 };

static const char *const endings[] = {"pdf", "html", "htm",  "rtf",  "txt", "doc", "docx",
				      "odt", "jpg",  "jpeg", "png",  "gif", "tif", "tiff",
				      "mp4", "mp3",  "wmv",  "wma",  "zip", "rar", "p7s",
				      "xml", "xls",  "xlsx", "webm", "avi", "mov", "bin"};

/* Characters that change how the others are shown, or are not shown at all. */
static bool is_invisible(uint32_t c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xad || c == 0x61c;
}

static bool is_space(uint32_t c)
{
	return c == ' ' || (c >= 0x09 && c <= 0x0d) || c == 0xa0 || c == 0x2028 || c == 0x2029 ||
	       c == 0x3000;
}

static bool is_forbidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c < 0x80 && strchr("/\\:*?\"<>|", (int)c));
}

static void clean(const char *name, struct buf *out)
{
	bool gap = false;
	for (const unsigned char *s = (const unsigned char *)name; *s;) {
		const unsigned char *start = s;
		uint32_t c = utf8_next(&s);
		if (is_invisible(c))
			continue;
		if (is_space(c)) {
			gap = out->len > 0;
			continue;
		}
		size_t len = (size_t)(s - start);
		bool bad = c == 0 || is_forbidden(c);
		if (out->len + (bad ? 1 : len) + gap > STEM_MAX)
			break;
		if (out->len == 0 && c == '.')
			continue; /* no hidden files, no "..": leading dots go */
		if (gap)
			buf_adds(out, " ");
		gap = false;
		if (bad)
			buf_adds(out, "_");
		else
			buf_add(out, start, len);
	}
	while (out->len && (out->data[out->len - 1] == '.' || out->data[out->len - 1] == ' '))
		out->data[--out->len] = '\0';
}

static void strip_ending(struct buf *b)
{
	const char *dot = b->len ? strrchr(b->data, '.') : NULL;
	if (!dot || dot == b->data)
		return;
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		if (strcasecmp(dot + 1, endings[i]) == 0) {
			b->len = (size_t)(dot - b->data);
			while (b->len && (b->data[b->len - 1] == ' ' || b->data[b->len - 1] == '.'))
				b->len--;
			b->data[b->len] = '\0';
			return;
		}
}

char *filename_make(size_t rank, int width, const char *name, const char *fallback, const char *ext)
{
	struct buf stem;
	buf_init(&stem, STEM_MAX + 1);
	clean(name, &stem);
	strip_ending(&stem);
	if (stem.len == 0) {
		clean(fallback, &stem);
		strip_ending(&stem);
	}
	char *out =
		xasprintf("%0*zu-%s.%s", width, rank, stem.len ? buf_str(&stem) : "documento", ext);
	buf_release(&stem);
	return out;
}

int filename_is_plain(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= 255;
}
