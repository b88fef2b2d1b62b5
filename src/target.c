/*
 * target - see target.h. One allocation: everything is decoded in place, in a copy of the address.
 */
#include "target.h"

#include "sys.h"
#include "text.h"

#include <string.h>
#include <strings.h>

/* Where a piece ends: a path segment, a name or a value. */
static bool is_end(char c, const char *ends)
{
	for (; *ends; ends++)
		if (c == *ends)
			return true;
	return c == '\0';
}

/* C0, DEL, and C1 (U+0080 to U+009F) as UTF-8. */
static bool has_control(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			return true;
	return false;
}

/* Decodes from *in up to one of `ends` and writes the bytes and a NUL to *out, which never passes
 * *in. Leaves *in at the end that was found, and tells which one it was. */
static bool decode(const char **in, char **out, const char *ends, bool is_query, char *found,
		   struct err *e)
{
	const char *s = *in;
	char *to = *out, *start = to;
	unsigned char all = 0;
	for (; !is_end(*s, ends); s++) {
		char c = *s;
		if (c == '%') {
			int byte = percent_value(s);
			if (byte < 0)
				return fail(e, ERR_INPUT,
					    "the address has a %% without two hexadecimal digits");
			if (byte == 0)
				return fail(e, ERR_INPUT, "the address holds a zero byte");
			c = (char)byte;
			s += 2;
		} else if (c == '+' && is_query) {
			c = ' ';
		} else if (c == ' ' || c == '#') {
			return fail(e, ERR_INPUT,
				    "the address holds a character that must be encoded");
		}
		all |= (unsigned char)c;
		*to++ = c;
	}
	*found = *s; /* the NUL may go where it stands */
	*to++ = '\0';
	if (has_control(start))
		return fail(e, ERR_INPUT, "the address holds a control character");
	if (all >= 0x80 && !utf8_valid(start))
		return fail(e, ERR_INPUT, "the address is not UTF-8");
	*in = s;
	*out = to;
	return true;
}

static bool add_segment(struct target *t, const char *segment, struct err *e)
{
	if (!*segment)
		return fail(e, ERR_INPUT, "the path has an empty segment");
	if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
		return fail(e, ERR_INPUT, "the path has a segment of dots");
	if (t->nsegments == TARGET_SEGMENTS)
		return fail(e, ERR_INPUT, "the path has more than %d segments", TARGET_SEGMENTS);
	t->segments[t->nsegments++] = segment;
	return true;
}

/* The path begins at `in` with its slash; gives what is behind its "?", or NULL in *query. */
static bool parse_path(struct target *t, const char *in, char **out, const char **query,
		       struct err *e)
{
	char found = '/';
	while (found == '/') {
		const char *segment = *out;
		in++;
		if (!decode(&in, out, "/?", false, &found, e))
			return false;
		if (!*segment && found != '/') {
			t->trailing_slash = t->nsegments > 0;
			break;
		}
		if (!add_segment(t, segment, e))
			return false;
	}
	*query = found == '?' ? in + 1 : NULL;
	return true;
}

static bool parse_query(struct target *t, const char *in, char **out, struct err *e)
{
	for (char found = '&'; found == '&'; in++) {
		const char *name = *out, *value = "";
		if (!decode(&in, out, "&=", true, &found, e))
			return false;
		if (found == '=') {
			value = *out;
			in++;
			if (!decode(&in, out, "&", true, &found, e))
				return false;
		} else if (!*name) {
			continue; /* "a=1&&b=2", "a=1&" */
		}
		if (t->nparameters == TARGET_PARAMETERS)
			return fail(e, ERR_INPUT, "the address has more than %d parameters",
				    TARGET_PARAMETERS);
		t->parameters[t->nparameters].name = name;
		t->parameters[t->nparameters++].value = value;
	}
	return true;
}

/* The absolute form: a server must take it (RFC 9112, 3.2.2). */
const char *target_path(const char *raw)
{
	size_t scheme = strncasecmp(raw, "http://", 7) == 0    ? 7
			: strncasecmp(raw, "https://", 8) == 0 ? 8
							       : 0;
	return scheme ? raw + scheme + strcspn(raw + scheme, "/?#") : raw;
}

bool target_parse(const char *raw, struct target *t, struct err *e)
{
	*t = (struct target){0};
	size_t len = strlen(raw);
	if (len > TARGET_MAX)
		return fail(e, ERR_INPUT, "the address is longer than %d bytes", TARGET_MAX);
	const char *path = target_path(raw), *query = NULL;
	if (path != raw && *path != '/')
		return fail(e, ERR_INPUT, "the address has no path");
	if (*path != '/')
		return fail(e, ERR_INPUT, "the address must begin with a slash");
	t->text = xmalloc(len + 1);
	char *out = t->text;
	return parse_path(t, path, &out, &query, e) && (!query || parse_query(t, query, &out, e));
}

void target_release(struct target *t)
{
	xfree(t->text);
	*t = (struct target){0};
}

const char *target_get(const struct target *t, const char *name)
{
	for (size_t i = t->nparameters; i-- > 0;)
		if (strcmp(t->parameters[i].name, name) == 0)
			return t->parameters[i].value;
	return NULL;
}
