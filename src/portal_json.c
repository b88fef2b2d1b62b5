/*
 * portal_json - tolerant access to the portal's JSON. Knows types, not meanings.
 */
#include "portal_json.h"

#include "buf.h"
#include "portal.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Parsing ---- */

static size_t digits_at(const char *s, size_t len)
{
	size_t n = 0;
	while (n < len && s[n] >= '0' && s[n] <= '9')
		n++;
	return n;
}

/*
 * Length of the JSON number at s, 0 when there is none. *exact tells whether jansson keeps every
 * digit of it: a whole number of at most 18 digits.
 */
static size_t number_at(const char *s, size_t len, bool *exact)
{
	size_t i = len && *s == '-';
	size_t whole = digits_at(s + i, len - i);
	if (!whole || (whole > 1 && s[i] == '0'))
		return 0;
	i += whole;
	*exact = whole <= 18;
	if (i < len && s[i] == '.') {
		size_t n = digits_at(s + i + 1, len - i - 1);
		if (!n)
			return 0;
		i += 1 + n;
		*exact = false;
	}
	if (i < len && (s[i] == 'e' || s[i] == 'E')) {
		size_t sign = i + 1 < len && (s[i + 1] == '+' || s[i + 1] == '-');
		size_t n = digits_at(s + i + 1 + sign, len - i - 1 - sign);
		if (!n)
			return 0;
		i += 1 + sign + n;
		*exact = false;
	}
	return i;
}

/* Length of the string at s (which is a quote), up to the end when it is not closed. */
static size_t string_at(const char *s, size_t len)
{
	for (size_t i = 1; i < len; i++) {
		if (s[i] == '\\')
			i++;
		else if (s[i] == '"')
			return i + 1;
	}
	return len;
}

static bool is_number_part(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Adds a number that would lose digits: as a string, or as a short one of the same length. */
static void add_inexact(struct buf *out, const char *s, size_t n, bool quoted)
{
	if (quoted) {
		buf_add(out, "\"", 1);
		buf_add(out, s, n);
		buf_add(out, "\"", 1);
	} else {
		buf_addf(out, "%-*d", (int)n, 0);
	}
}

/* Copies the text and puts the numbers that would lose digits in quotes, or makes them short. */
static void copy_numbers(const char *s, size_t len, bool quoted, struct buf *out)
{
	for (size_t i = 0; i < len;) {
		bool exact = true;
		size_t n = 1;
		if (s[i] == '"') {
			n = string_at(s + i, len - i);
		} else if (s[i] == '-' || (s[i] >= '0' && s[i] <= '9')) {
			n = number_at(s + i, len - i, &exact);
			if (!n || (i + n < len && is_number_part(s[i + n]))) {
				exact = true; /* not a number: the parser shall refuse it */
				n = n ? n : 1;
				while (i + n < len && is_number_part(s[i + n]))
					n++;
			}
		}
		if (exact)
			buf_add(out, s + i, n);
		else
			add_inexact(out, s + i, n, quoted);
		i += n;
	}
}

/* Our own words: the parser's quote what it read. */
static const char *why_refused(enum json_error_code code)
{
	if (code == json_error_invalid_utf8)
		return "not UTF-8";
	if (code == json_error_premature_end_of_input)
		return "cut off";
	if (code == json_error_stack_overflow)
		return "nested too deeply";
	if (code == json_error_end_of_input_expected)
		return "followed by something else";
	return "malformed";
}

json_t *portal_json_load(const char *json, size_t len, struct err *e)
{
	struct buf text;
	json_error_t at;
	if (len >= 3 && memcmp(json, "\xef\xbb\xbf", 3) == 0) {
		json += 3;
		len -= 3;
	}
	buf_init(&text, len * 3 + 1); /* every second byte a digit would be the worst */
	copy_numbers(json, len, true, &text);
	json_t *root = json_loadb(buf_str(&text), text.len, JSON_ALLOW_NUL, &at);
	if (!root) {
		/* Quotes have moved what follows: a copy of the same length knows the place. */
		buf_clear(&text);
		copy_numbers(json, len, false, &text);
		json_decref(json_loadb(buf_str(&text), text.len, JSON_ALLOW_NUL, &at));
		fail(e, ERR_FAIL, "the answer is not JSON: %s at line %d, byte %d",
		     why_refused(json_error_code(&at)), at.line, at.position);
	}
	buf_release(&text);
	return root;
}

/* ---- Members ---- */

char *portal_json_text(const json_t *value)
{
	if (json_is_integer(value))
		return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	if (!json_is_string(value))
		return NULL;
	size_t len = json_string_length(value);
	char *s = xstrndup(json_string_value(value), len);
	for (size_t i = 0; i < len; i++)
		if (!s[i])
			s[i] = ' ';
	return s;
}

char *portal_json_member(const json_t *object, const char *key)
{
	char *s = portal_json_text(json_object_get(object, key));
	return s ? s : xstrdup("");
}

int64_t portal_json_int(const json_t *value, int64_t absent)
{
	if (json_is_integer(value))
		return json_integer_value(value) < 0 ? absent : json_integer_value(value);
	const char *s = json_string_value(value);
	if (!s || *s < '0' || *s > '9' || strlen(s) > 18)
		return absent;
	char *end;
	int64_t n = strtoll(s, &end, 10);
	if (*end == '.')
		end += 1 + strspn(end + 1, "0"); /* 12.0 is a whole number */
	return *end ? absent : n;
}

int portal_json_secrecy(const json_t *object)
{
	const json_t *v = json_object_get(object, "nivelSigilo");
	if (!v || json_is_null(v))
		return 0;
	char *s = portal_json_text(v);
	int level = s ? portal_secrecy(s) : 5;
	xfree(s);
	return level;
}

size_t portal_json_count(const json_t *value)
{
	if (json_is_array(value))
		return json_array_size(value);
	return value && !json_is_null(value);
}

const json_t *portal_json_at(const json_t *value, size_t i)
{
	return json_is_array(value) ? json_array_get(value, i) : value;
}

static bool has(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	return v && !json_is_null(v);
}

bool portal_json_is_error(const json_t *value)
{
	if (!json_is_object(value) || has(value, "numeroProcesso") || has(value, "content") ||
	    has(value, "data"))
		return false;
	return portal_json_int(json_object_get(value, "status"), 0) >= 400 || has(value, "error") ||
	       has(value, "message") || has(value, "mensagem") ||
	       has(value, "externalUrlService") || (has(value, "timestamp") && has(value, "path"));
}
