/*
 * api_input - what a client said, checked: path, parameters, body. Every refusal says which part is
 * wrong and what would be right.
 */
#include "api_call.h"

#include "sys.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Path ---- */

bool api_case_number(struct api_call *c)
{
	struct err e;
	if (cnj_parse(c->args[0], strlen(c->args[0]), &c->number, &e))
		return true;
	api_problem(c, "invalid-case-number", "%s", e.text);
	return false;
}

static bool whole_number(const char *s, int64_t *out)
{
	bool minus = *s == '-';
	const char *digits = s + minus;
	size_t n = strlen(digits);
	if (n == 0 || n > 18 || strspn(digits, "0123456789") != n)
		return false;
	*out = strtoll(s, NULL, 10);
	return true;
}

bool api_id_argument(struct api_call *c, size_t arg, int64_t *out)
{
	if (whole_number(c->args[arg], out) && *out > 0)
		return true;
	api_problem(c, "not-found", "there is nothing with this id");
	return false;
}

/* ---- Parameters ---- */

static bool bad_parameter(struct api_call *c, const char *name, const char *allowed)
{
	json_t *one = json_object(), *all = json_array();
	json_object_set_new(one, "parameter", json_string(name));
	json_object_set_new(one, "detail",
			    json_sprintf("the parameter %s must be %s", name, allowed));
	json_array_append_new(all, one);
	api_invalid(c, "invalid-parameter", all);
	return false;
}

bool api_flag_parameter(struct api_call *c, const char *name, bool preset, bool *out)
{
	static const char *const words[] = {"false", "true", "0",  "1",     "no",
					    "yes",   "off",  "on", "False", "True"};
	const char *value = target_get(&c->target, name);
	*out = preset;
	if (!value)
		return true;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(value, words[i]) == 0) {
			*out = i % 2;
			return true;
		}
	return bad_parameter(c, name, "true or false");
}

bool api_int_parameter(struct api_call *c, const char *name, int64_t preset, int64_t min,
		       int64_t max, int64_t *out)
{
	const char *value = target_get(&c->target, name);
	char allowed[64];
	*out = preset;
	if (!value)
		return true;
	if (whole_number(value, out) && *out >= min && *out <= max)
		return true;
	snprintf(allowed, sizeof allowed, "a number from %" PRId64 " to %" PRId64, min, max);
	return bad_parameter(c, name, allowed);
}

bool api_choice_parameter(struct api_call *c, const char *name, const char *const *words,
			  size_t preset, size_t *out)
{
	const char *value = target_get(&c->target, name);
	char allowed[200] = "one of ";
	size_t len = strlen(allowed);
	*out = preset;
	if (!value)
		return true;
	for (size_t i = 0; words[i]; i++) {
		if (strcmp(value, words[i]) == 0) {
			*out = i;
			return true;
		}
		int n = snprintf(allowed + len, sizeof allowed - len, "%s%s", i ? ", " : "",
				 words[i]);
		if (n > 0 && (size_t)n < sizeof allowed - len)
			len += (size_t)n;
	}
	return bad_parameter(c, name, allowed);
}

/* ---- Cursors ---- */

char *api_cursor_make(const char *fmt, ...)
{
	char text[256];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
	char *out = xmalloc(len * 2 + 8);
	base64url_encode(text, len, out);
	return out;
}

bool api_cursor_parameter(struct api_call *c, char out[static 256])
{
	const char *value = target_get(&c->target, "cursor");
	*out = '\0';
	if (!value || !*value)
		return true;
	ssize_t n = base64url_decode(value, strlen(value), out, 255);
	if (n > 0 && !memchr(out, '\0', (size_t)n)) {
		out[n] = '\0';
		return true;
	}
	*out = '\0';
	return api_bad_cursor(c);
}

bool api_bad_cursor(struct api_call *c)
{
	return bad_parameter(c, "cursor", "what an earlier answer gave as the next one");
}

bool api_cursor_number(struct api_call *c, const char *cursor, int64_t *out)
{
	return (whole_number(cursor, out) && *out > 0) || api_bad_cursor(c);
}

/* The address of the same list behind the cursor: RFC 8288. */
void api_next_link(struct api_call *c, const char *cursor)
{
	struct buf b;
	buf_init(&b, 4096);
	const char *raw = target_path(c->request->target);
	buf_add(&b, raw, strcspn(raw, "?"));
	buf_addf(&b, "?cursor=%s", cursor);
	const char *query = strchr(raw, '?');
	for (const char *p = query ? query + 1 : ""; *p;) {
		size_t n = strcspn(p, "&");
		bool ours = strncmp(p, "cursor=", 7) == 0 || strncmp(p, "skip=", 5) == 0;
		bool plain = !memchr(p, '<', n) && !memchr(p, '>', n) && !memchr(p, '"', n);
		if (n && !ours && plain)
			buf_addf(&b, "&%.*s", (int)n, p);
		p += n + (p[n] == '&');
	}
	if (!b.overflow)
		api_header(c, "Link", "<%s%s>; rel=\"next\"", c->api->base, buf_str(&b));
	buf_release(&b);
}

json_t *api_next_number(struct api_call *c, int64_t number)
{
	char *cursor = api_cursor_make("%" PRId64, number);
	json_t *told = json_string(cursor);
	api_next_link(c, cursor);
	xfree(cursor);
	return told;
}

/* ---- Body ---- */

static void complain(json_t *errors, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void complain(json_t *errors, const char *name, const char *fmt, ...)
{
	char detail[300], pointer[160];
	va_list args;
	va_start(args, fmt);
	vsnprintf(detail, sizeof detail, fmt, args);
	va_end(args);
	/* JSON Pointer (RFC 6901): "~" and "/" are escaped. */
	size_t at = 0;
	pointer[at++] = '/';
	for (const char *p = name; *p && at + 3 < sizeof pointer; p++) {
		if (*p == '~' || *p == '/') {
			pointer[at++] = '~';
			pointer[at++] = *p == '~' ? '0' : '1';
		} else {
			pointer[at++] = *p;
		}
	}
	pointer[at] = '\0';
	json_t *p = json_stringn(pointer, at); /* NULL when the cut broke a character */
	json_t *one = json_object();
	json_object_set_new(one, "pointer", p ? p : json_string("/"));
	json_t *d = json_string(detail);
	json_object_set_new(one, "detail", d ? d : json_string("this member is not known"));
	json_array_append_new(errors, one);
}

static void read_text(const struct member *m, const json_t *v, json_t *errors)
{
	const char *s = json_string_value(v);
	if (!s)
		complain(errors, m->name, "%s must be a text", m->name);
	else if ((int64_t)strlen(s) < m->min || (int64_t)strlen(s) > m->max)
		complain(errors, m->name, "%s must have %" PRId64 " to %" PRId64 " bytes", m->name,
			 m->min, m->max);
	else
		*(const char **)m->out = s;
}

static void read_int(const struct member *m, const json_t *v, json_t *errors)
{
	if (!json_is_integer(v) || json_integer_value(v) < m->min || json_integer_value(v) > m->max)
		complain(errors, m->name, "%s must be a whole number from %" PRId64 " to %" PRId64,
			 m->name, m->min, m->max);
	else
		*(int64_t *)m->out = json_integer_value(v);
}

static void read_numbers(const struct member *m, json_t *v, json_t *errors)
{
	size_t i, n = json_array_size(v);
	json_t *one;
	if (!json_is_array(v) || (int64_t)n < m->min || (int64_t)n > m->max) {
		complain(errors, m->name,
			 "%s must be a list of %" PRId64 " to %" PRId64 " case numbers", m->name,
			 m->min, m->max);
		return;
	}
	json_array_foreach(v, i, one)
	{
		char name[80];
		snprintf(name, sizeof name, "%s/%zu", m->name, i);
		if (!json_is_string(one)) {
			complain(errors, m->name, "%s must be a text", name);
			return;
		}
	}
	*(json_t **)m->out = v;
}

static void read_member(const struct member *m, json_t *v, json_t *errors)
{
	switch (m->kind) {
	case MEMBER_TEXT:
		read_text(m, v, errors);
		break;
	case MEMBER_INT:
		read_int(m, v, errors);
		break;
	case MEMBER_FLAG:
		if (json_is_boolean(v))
			*(bool *)m->out = json_is_true(v);
		else
			complain(errors, m->name, "%s must be true or false", m->name);
		break;
	case MEMBER_NUMBERS:
		read_numbers(m, v, errors);
		break;
	case MEMBER_OBJECT:
		if (json_is_object(v))
			*(json_t **)m->out = v;
		else
			complain(errors, m->name, "%s must be an object", m->name);
		break;
	}
}

static const struct member *find_member(const struct member *m, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(m[i].name, name) == 0)
			return &m[i];
	return NULL;
}

bool api_members(struct api_call *c, const struct member *m, size_t n, bool strict)
{
	json_t *errors = json_array(), *v;
	const char *name;
	json_object_foreach(c->json, name, v)
	{
		const struct member *known = find_member(m, n, name);
		if (known && json_is_null(v) && !known->required)
			continue; /* as if it were absent */
		if (known)
			read_member(known, v, errors);
		else if (strict && json_array_size(errors) < 20)
			complain(errors, name, "the member %.60s is not known", name);
	}
	for (size_t i = 0; i < n; i++)
		if (m[i].required && !json_object_get(c->json, m[i].name))
			complain(errors, m[i].name, "%s is missing", m[i].name);
	if (json_array_size(errors)) {
		api_invalid(c, "invalid-body", errors);
		return false;
	}
	json_decref(errors);
	return true;
}
