/*
 * script_read - reads the rules of a script from lines of text.
 *
 * A line is a route and then words `key=value`; a table says who reads each key. It never looks at
 * a call.
 */
#include "script_rule.h"

#include "sys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_FILE_MAX = 16 * 1024 * 1024 };

/* What the readers of values may touch. */
struct reader {
	struct script *script;
	struct rule *rule;
	bool files;
};

/* Hands a string over to the script. */
static const char *keep(struct reader *r, char *s)
{
	struct script *sc = r->script;
	sc->strings = xgrow(sc->strings, sc->nstrings, &sc->strings_cap, sizeof(char *));
	sc->strings[sc->nstrings++] = s;
	return s;
}

/* A whole number from 0 on, up to `max`; *end is the first character behind it. */
static bool number(const char *v, char **end, int64_t max, int64_t *out)
{
	if (!isdigit((unsigned char)*v))
		return false;
	errno = 0;
	long long n = strtoll(v, end, 10);
	*out = n;
	return errno == 0 && n <= max;
}

static bool whole(const char *v, int64_t max, int64_t *out)
{
	char *end;
	return number(v, &end, max, out) && *end == '\0';
}

/* "3", "2-5" or "4-" (from 4 on: last is 0). */
static bool range(const char *v, int64_t *first, int64_t *last)
{
	char *end;
	if (!number(v, &end, INT32_MAX, first))
		return false;
	*last = *first;
	if (*end == '\0')
		return true;
	if (*end++ != '-')
		return false;
	*last = 0;
	return *end == '\0' || (whole(end, INT32_MAX, last) && *last >= *first);
}

static bool read_case(struct reader *r, const char *v)
{
	struct cnj n;
	if (!cnj_parse(v, strlen(v), &n, NULL))
		return false;
	memcpy(r->rule->digits, n.digits, sizeof r->rule->digits);
	return true;
}

static bool read_document(struct reader *r, const char *v)
{
	int64_t n;
	if (strlen(v) == 36) {
		memcpy(r->rule->uuid, v, 37);
		return true;
	}
	if (!whole(v, INT32_MAX, &n) || n == 0)
		return false;
	r->rule->index = (unsigned)n;
	return true;
}

static bool read_calls(struct reader *r, const char *v)
{
	int64_t first, last;
	if (!range(v, &first, &last) || first == 0)
		return false;
	r->rule->first = (uint64_t)first;
	r->rule->last = (uint64_t)last;
	return true;
}

static bool read_every(struct reader *r, const char *v)
{
	int64_t n;
	if (!whole(v, INT32_MAX, &n) || n == 0)
		return false;
	r->rule->every = (uint64_t)n;
	return true;
}

static bool read_probability(struct reader *r, const char *v)
{
	char *end;
	double p = strtod(v, &end);
	if (end == v || *end || !(p >= 0 && p <= 1))
		return false;
	r->rule->probability = p;
	return true;
}

static bool read_per(struct reader *r, const char *v)
{
	static const char *const names[] = {"rule", "case", "document"};
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(v, names[i]) == 0) {
			r->rule->per = (enum per)i;
			return true;
		}
	return false;
}

static bool read_name(struct reader *r, const char *v)
{
	snprintf(r->rule->name, sizeof r->rule->name, "%s", v);
	return v[0] != '\0';
}

/* Takes over how a named fault answers; when it does is the rule's matter. */
static bool read_answer(struct reader *r, const char *v)
{
	const struct fault *f = fault_find(v);
	if (f)
		r->rule->recipe = f->recipe;
	return f != NULL;
}

static bool read_status(struct reader *r, const char *v)
{
	int64_t n;
	if (!whole(v, 599, &n) || n < 200)
		return false;
	r->rule->recipe.status = (int)n;
	if (r->rule->recipe.content == CONTENT_OWN)
		r->rule->recipe.content = CONTENT_NONE;
	return true;
}

/* An answer of our own is a good one, unless a status says otherwise. */
static void content_text(struct reader *r, const char *text, size_t len)
{
	struct recipe *p = &r->rule->recipe;
	if (p->status == 0)
		p->status = 200;
	p->content = CONTENT_TEXT;
	p->text = text;
	p->text_len = len;
}

static bool read_body(struct reader *r, const char *v)
{
	content_text(r, keep(r, xstrdup(v)), 0);
	return true;
}

static bool read_body_file(struct reader *r, const char *v)
{
	char *text;
	size_t len;
	if (!r->files || !sys_read_file(v, BODY_FILE_MAX, &text, &len, NULL))
		return false;
	content_text(r, keep(r, text), len);
	return true;
}

static bool read_type(struct reader *r, const char *v)
{
	r->rule->recipe.type = keep(r, xstrdup(v));
	return true;
}

static bool read_header(struct reader *r, const char *v)
{
	if (!strchr(v, ':') || strpbrk(v, "\r\n"))
		return false;
	for (size_t i = 0; i < RECIPE_HEADERS; i++)
		if (!r->rule->recipe.headers[i]) {
			r->rule->recipe.headers[i] = keep(r, xstrdup(v));
			return true;
		}
	return false;
}

static bool read_retry_after(struct reader *r, const char *v)
{
	bool date = strncmp(v, "date:", 5) == 0;
	int64_t n;
	if (!whole(date ? v + 5 : v, 86400, &n))
		return false;
	r->rule->recipe.retry_form = date ? RETRY_DATE : RETRY_SECONDS;
	r->rule->recipe.retry_s = (int)n;
	return true;
}

static bool read_redirect(struct reader *r, const char *v)
{
	if (r->rule->recipe.status == 0)
		r->rule->recipe.status = 302;
	if (r->rule->recipe.content == CONTENT_OWN)
		r->rule->recipe.content = CONTENT_NONE;
	r->rule->recipe.location = keep(r, xstrdup(v));
	return v[0] != '\0' && !strpbrk(v, "\r\n");
}

static bool read_delay(struct reader *r, const char *v)
{
	int64_t from, to;
	if (!range(v, &from, &to) || (to == 0 && from != 0))
		return false;
	r->rule->recipe.delay_ms = from;
	r->rule->recipe.delay_more_ms = to - from;
	return true;
}

static bool read_drip(struct reader *r, const char *v)
{
	char *end;
	int64_t bytes, ms;
	if (!number(v, &end, INT32_MAX, &bytes) || bytes == 0 || *end != '/' ||
	    !whole(end + 1, INT32_MAX, &ms) || ms == 0)
		return false;
	r->rule->recipe.drip_bytes = bytes;
	r->rule->recipe.drip_ms = ms;
	return true;
}

static bool read_place(struct reader *r, const char *v, enum ending ending)
{
	char *end;
	struct recipe *p = &r->rule->recipe;
	p->ending = ending;
	p->place = PLACE_RANDOM;
	if (strcmp(v, "random") == 0)
		return true;
	if (!number(v, &end, INT64_MAX, &p->at))
		return false;
	p->place = *end == '%' ? PLACE_PERCENT : PLACE_BYTE;
	if (*end == '%')
		end++;
	return *end == '\0' && (p->place == PLACE_BYTE || p->at <= 100);
}

static bool read_short(struct reader *r, const char *v)
{
	return read_place(r, v, ENDING_SHORT);
}

static bool read_cut(struct reader *r, const char *v)
{
	return read_place(r, v, ENDING_CUT);
}

static bool read_stall(struct reader *r, const char *v)
{
	if (strcmp(v, "header") == 0)
		return r->rule->recipe.mute = true;
	return read_place(r, v, ENDING_STALL);
}

static bool read_reset(struct reader *r, const char *v)
{
	if (strcmp(v, "start") == 0)
		return r->rule->recipe.drop = true;
	return read_place(r, v, ENDING_RESET);
}

static bool read_length(struct reader *r, const char *v)
{
	char *end;
	int64_t n;
	if (!number(v, &end, INT64_MAX, &n) || n == 0)
		return false;
	if (*end == '%' && end[1] == '\0' && n <= 1000) {
		r->rule->recipe.length_percent = (int)n;
		return true;
	}
	r->rule->recipe.length = n;
	return *end == '\0';
}

static bool read_chunked(struct reader *r, const char *v)
{
	return r->rule->recipe.chunked = v[0] == '\0';
}

static bool read_gzip(struct reader *r, const char *v)
{
	return r->rule->recipe.gzip = v[0] == '\0';
}

static bool read_slow_headers(struct reader *r, const char *v)
{
	return r->rule->recipe.slow_headers = v[0] == '\0';
}

static const struct {
	const char *key;
	bool (*read)(struct reader *, const char *value);
} keys[] = {
	{"case", read_case},
	{"document", read_document},
	{"calls", read_calls},
	{"every", read_every},
	{"probability", read_probability},
	{"per", read_per},
	{"name", read_name},
	{"answer", read_answer},
	{"status", read_status},
	{"header", read_header},
	{"retry-after", read_retry_after},
	{"type", read_type},
	{"body", read_body},
	{"body-file", read_body_file},
	{"redirect", read_redirect},
	{"delay", read_delay},
	{"drip", read_drip},
	{"short", read_short},
	{"cut", read_cut},
	{"stall", read_stall},
	{"reset", read_reset},
	{"length", read_length},
	{"chunked", read_chunked},
	{"gzip", read_gzip},
	{"slow-headers", read_slow_headers},
};

/* Takes the next word, quotes and escapes undone, in place; NULL at the end of the line. */
static char *next_word(char **at)
{
	char *p = *at;
	while (*p == ' ' || *p == '\t')
		p++;
	if (*p == '\0' || *p == '#')
		return NULL;
	char *word = p, *out = p;
	bool quoted = false;
	for (; *p && (quoted || (*p != ' ' && *p != '\t')); p++) {
		if (*p == '"') {
			quoted = !quoted;
			continue;
		}
		if (quoted && *p == '\\' && p[1]) {
			p++;
			*out++ = *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p == 't' ? '\t' : *p;
			continue;
		}
		*out++ = *p;
	}
	*at = *p ? p + 1 : p;
	*out = '\0';
	return word;
}

static bool read_route(struct rule *rule, const char *word)
{
	rule->any_route = strcmp(word, "*") == 0;
	if (rule->any_route)
		return true;
	for (int i = ROUTE_LIST; i < ROUTE_OTHER; i++)
		if (strcmp(word, route_name((enum route)i)) == 0) {
			rule->route = (enum route)i;
			return true;
		}
	return false;
}

static bool read_word(struct reader *r, char *word, unsigned line, struct err *e)
{
	char *value = strchr(word, '=');
	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (strcmp(word, keys[i].key) != 0)
			continue;
		if (keys[i].read(r, value ? value : ""))
			return true;
		return fail(e, ERR_INPUT, "script line %u: %s cannot be \"%s\"", line, word,
			    value ? value : "");
	}
	return fail(e, ERR_INPUT, "script line %u: there is no \"%s\"", line, word);
}

static bool read_line(struct script *s, char *line, unsigned number_of_line, bool files,
		      struct err *e)
{
	char *word = next_word(&line);
	if (!word)
		return true;
	s->rules = xgrow(s->rules, s->nrules, &s->rules_cap, sizeof *s->rules);
	struct rule *rule = &s->rules[s->nrules];
	*rule = (struct rule){.first = 1, .probability = 1.0};
	snprintf(rule->name, sizeof rule->name, "rule-%zu", ++s->nrules);
	if (!read_route(rule, word))
		return fail(e, ERR_INPUT, "script line %u: \"%s\" is no route", number_of_line,
			    word);
	struct reader r = {.script = s, .rule = rule, .files = files};
	while ((word = next_word(&line)))
		if (!read_word(&r, word, number_of_line, e))
			return false;
	return true;
}

struct script *script_new(const char *text, uint64_t seed, bool files, struct err *e)
{
	struct script *s = xcalloc(1, sizeof *s);
	char *copy = xstrdup(text), *line = copy;
	pthread_mutex_init(&s->lock, NULL);
	s->seed = seed;
	bool ok = true;
	for (unsigned n = 1; ok && line; n++) {
		char *end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		size_t len = strlen(line);
		if (len && line[len - 1] == '\r')
			line[len - 1] = '\0';
		ok = read_line(s, line, n, files, e);
		line = end;
	}
	xfree(copy);
	if (ok)
		return s;
	script_free(s);
	return NULL;
}
