/*
 * http_head - see http_head.h. Whatever is malformed counts as not sent; nothing here is an error.
 */
#include "http_head.h"

#include "buf.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* tchar (RFC 9110, 5.6.2) */
static bool is_token_char(char c)
{
	return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

static const char *skip_token(const char *s)
{
	while (is_token_char(*s))
		s++;
	return s;
}

/* Behind a quoted string (RFC 9110, 5.6.4) that begins at s; at the end when it is not closed. */
static const char *skip_quoted(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && s[1])
			s++;
	return *s ? s + 1 : s;
}

/* The next "," of a list, or its end. Commas in quoted strings are text. */
static const char *skip_element(const char *s)
{
	while (*s && *s != ',')
		s = *s == '"' ? skip_quoted(s) : s + 1;
	return s;
}

/* The first element of a list at or behind s, NULL when there is none; empty ones are allowed and
 * ignored (RFC 9110, 5.6.1.2). */
static const char *next_element(const char *s)
{
	while (*s == ' ' || *s == '\t' || *s == ',')
		s++;
	return *s ? s : NULL;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(s, word, len) == 0;
}

/* Digits up to a character that is none; too large a number is INT64_MAX. False without digits. */
static bool read_number(const char **s, int64_t *out)
{
	const char *p = *s;
	int64_t n = 0;
	for (; is_digit(*p); p++) {
		int d = *p - '0';
		n = n > (INT64_MAX - d) / 10 ? INT64_MAX : n * 10 + d;
	}
	if (p == *s)
		return false;
	*s = p;
	*out = n;
	return true;
}

/* ---- Prefer ---- */

/* A number, bare or quoted, that fills the value of [s, end). */
static int64_t read_wait(const char *s, const char *end)
{
	int64_t n;
	bool quoted = s < end && *s == '"';
	s += quoted;
	if (!read_number(&s, &n) || (quoted && *s != '"') || s + quoted != end)
		return -1;
	return n;
}

struct prefer head_prefer(const char *value)
{
	struct prefer p = {.wait_s = -1};
	bool waits = false; /* the first of equal preferences counts (RFC 7240, section 2) */
	for (const char *s = value; s && (s = next_element(s)); s = skip_element(s)) {
		const char *name = s, *end = skip_token(s);
		size_t len = (size_t)(end - name);
		const char *word = skip_blanks(end), *word_end = word;
		if (*word == '=') {
			word = skip_blanks(word + 1);
			word_end = *word == '"' ? skip_quoted(word) : skip_token(word);
		}
		const char *rest = skip_blanks(word_end);
		if (*rest && *rest != ',' && *rest != ';')
			continue;
		bool no_word = word_end == word || (word_end == word + 2 && *word == '"');
		if (is_word(name, len, "respond-async") && no_word)
			p.respond_async = true;
		if (is_word(name, len, "wait") && !waits) {
			p.wait_s = read_wait(word, word_end);
			waits = true;
		}
	}
	return p;
}

/* ---- Authorization ---- */

const char *head_bearer(const char *value)
{
	if (!value || strncasecmp(value, "Bearer ", 7) != 0)
		return NULL;
	const char *token = value + 7, *s;
	while (*token == ' ')
		token++;
	for (s = token; is_alnum(*s) || (*s && strchr("-._~+/", *s));)
		s++;
	if (s == token)
		return NULL;
	while (*s == '=')
		s++;
	return *s ? NULL : token;
}

/* ---- If-None-Match ---- */

/* Behind an entity tag's opaque text with its quotes (RFC 9110, 8.8.3), NULL when s is none. */
static const char *skip_opaque(const char *s)
{
	if (*s != '"')
		return NULL;
	for (s++; *s != '"'; s++)
		if ((unsigned char)*s < 0x21 || *s == 0x7f)
			return NULL;
	return s + 1;
}

bool head_none_match(const char *value, const char *etag)
{
	if (!value)
		return false;
	value = skip_blanks(value);
	if (*value == '*')
		return *skip_blanks(value + 1) == '\0';
	if (strncmp(etag, "W/", 2) == 0)
		etag += 2;
	size_t len = strlen(etag);
	for (const char *s = value; (s = next_element(s));) {
		if (strncmp(s, "W/", 2) == 0)
			s += 2;
		const char *end = skip_opaque(s), *rest = end ? skip_blanks(end) : NULL;
		if (!rest || (*rest && *rest != ','))
			return false;
		if ((size_t)(end - s) == len && memcmp(s, etag, len) == 0)
			return true;
		s = rest;
	}
	return false;
}

/* ---- Accept-Encoding ---- */

/* Whether [OWS ";" OWS "q=" qvalue] up to the end of the element is a weight above 0. */
static bool weighs(const char *s)
{
	s = skip_blanks(s);
	if (!*s || *s == ',')
		return true;
	if (*s != ';')
		return false;
	s = skip_blanks(s + 1);
	if ((*s != 'q' && *s != 'Q') || s[1] != '=' || (s[2] != '0' && s[2] != '1'))
		return false;
	bool one = s[2] == '1', more = false;
	s += 3;
	if (*s == '.') {
		s++;
		for (int i = 0; i < 3 && is_digit(*s); i++, s++)
			more = more || *s != '0';
	}
	s = skip_blanks(s);
	return (!*s || *s == ',') && one != more;
}

bool head_accepts_gzip(const char *value)
{
	bool any = false;
	for (const char *s = value; s && (s = next_element(s)); s = skip_element(s)) {
		const char *end = skip_token(s);
		size_t len = (size_t)(end - s);
		if (is_word(s, len, "gzip") || is_word(s, len, "x-gzip"))
			return weighs(end);
		if (is_word(s, len, "*"))
			any = weighs(end);
	}
	return any;
}

/* ---- Content-Type ---- */

bool head_is_json(const char *value)
{
	static const char start[] = "application/";
	if (!value)
		return false;
	value = skip_blanks(value);
	if (strncasecmp(value, start, sizeof start - 1) != 0)
		return false;
	const char *s = value + sizeof start - 1, *end = skip_token(s), *rest = skip_blanks(end);
	size_t len = (size_t)(end - s);
	if (*rest && *rest != ';')
		return false;
	return is_word(s, len, "json") || (len > 5 && is_word(end - 5, 5, "+json"));
}

/* ---- Range ---- */

/* One range-spec at *s: first-last, first- or -length (first is then -1); last -1 = not said. */
static bool read_range(const char **s, int64_t *first, int64_t *last)
{
	*first = *last = -1;
	bool has_first = read_number(s, first);
	if (**s != '-')
		return false;
	(*s)++;
	bool has_last = read_number(s, last);
	return (has_first || has_last) && (!has_first || !has_last || *first <= *last);
}

enum range head_range(const char *value, int64_t size, int64_t *from, int64_t *len)
{
	int64_t first, last;
	*from = 0;
	*len = size;
	if (!value)
		return RANGE_ALL;
	value = skip_blanks(value);
	if (strncasecmp(value, "bytes=", 6) != 0)
		return RANGE_ALL;
	const char *s = next_element(value + 6);
	if (!s || !read_range(&s, &first, &last))
		return RANGE_ALL;
	s = skip_blanks(s);
	if ((*s && *s != ',') || next_element(s))
		return RANGE_ALL;
	bool is_suffix = first < 0;
	if (is_suffix && last > 0 && size == 0)
		return RANGE_ALL; /* satisfiable, but no Content-Range can say so */
	if (is_suffix ? last == 0 : first >= size) {
		*len = 0;
		return RANGE_NONE;
	}
	if (is_suffix)
		*from = last < size ? size - last : 0;
	else
		*from = first;
	*len = size - *from;
	if (!is_suffix && last >= 0 && last < size)
		*len = last - first + 1;
	return RANGE_PART;
}

/* ---- Identifiers ---- */

bool head_request_id(const char *value)
{
	size_t n = 0;
	for (; value && value[n]; n++)
		if (n == 128 || !(is_alnum(value[n]) || strchr("._-:+/=", value[n])))
			return false;
	return n > 0;
}

/* n lower-case hexadecimal digits, not all of them 0 unless zero is allowed. */
static bool is_hex(const char *s, size_t n, bool zero)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
		zero = zero || s[i] != '0';
	}
	return zero;
}

bool head_traceparent(const char *value)
{
	return value && strlen(value) == 55 && memcmp(value, "00-", 3) == 0 &&
	       is_hex(value + 3, 32, false) && value[35] == '-' && is_hex(value + 36, 16, false) &&
	       value[52] == '-' && is_hex(value + 53, 2, true);
}

bool head_idempotency_key(const char *value, char out[static 256])
{
	size_t n = 0;
	out[0] = '\0';
	if (!value)
		return false;
	const char *s = skip_blanks(value);
	bool quoted = *s == '"';
	for (s += quoted; *s && *s != '"' && *s != ' ' && *s != '\t'; s++) {
		if (quoted && *s == '\\' && *++s != '"' && *s != '\\')
			return false;
		if (*s < 0x21 || *s > 0x7e || n == 255)
			return false;
		out[n++] = *s;
	}
	out[n] = '\0';
	if (quoted && *s++ != '"')
		return false;
	return n > 0 && *skip_blanks(s) == '\0';
}

/* ---- Answers ---- */

/* An ASCII letter in place of Latin letters with marks, '\0' for marks alone, else '_'. */
static char to_ascii(uint32_t c)
{
	static const char letters[] =
		"AAAAAA_CEEEEIIII_NOOOOO_OUUUUY_saaaaaa_ceeeeiiii_nooooo_ouuuuy_y";
	if (c < 0x80)
		return (char)c;
	if (c >= 0xc0 && c <= 0xff)
		return letters[c - 0xc0];
	return c >= 0x300 && c <= 0x36f ? '\0' : '_';
}

/* Control characters and the separators of folders are never part of a name. */
static bool is_forbidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == '/' || c == '\\' || c == 0x2028 ||
	       c == 0x2029;
}

char *head_disposition(const char *type, const char *name)
{
	size_t len = name ? strlen(name) : 0;
	bool loses = false;
	struct buf ascii, clean, out;
	buf_init(&ascii, len + 1);
	buf_init(&clean, len + 1);
	buf_init(&out, strlen(type) + 64 + 4 * len);
	for (const unsigned char *s = (const unsigned char *)name; s && *s;) {
		const unsigned char *start = s;
		uint32_t c = utf8_next(&s);
		bool bad = is_forbidden(c); /* bytes that are not UTF-8 are 0 */
		/* quotes and "%" are read differently by clients (RFC 6266, appendix D) */
		char a = bad || c == '"' || c == '%' ? '_' : to_ascii(c);
		if (a)
			buf_add(&ascii, &a, 1);
		buf_add(&clean, bad ? "_" : (const char *)start, bad ? 1 : (size_t)(s - start));
		loses = loses || (!bad && (c >= 0x80 || a != (char)c));
	}
	buf_adds(&out, type);
	if (ascii.len)
		buf_addf(&out, "; filename=\"%s\"", buf_str(&ascii));
	if (loses) {
		buf_adds(&out, "; filename*=UTF-8''");
		percent_add(&out, buf_str(&clean), clean.len, "");
	}
	assert(!out.overflow);
	buf_release(&ascii);
	buf_release(&clean);
	return buf_detach(&out);
}

void head_etag(char out[static 80], const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(out + 1, 78, fmt, ap);
	va_end(ap);
	assert(n >= 0 && n <= 77);
	out[0] = '"';
	for (char *s = out + 1; *s; s++)
		if (*s < 0x21 || *s > 0x7e || *s == '"')
			*s = '_';
	out[n + 1] = '"';
	out[n + 2] = '\0';
}
