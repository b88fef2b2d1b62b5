/*
 * Signatures of any request: texts with a zero byte behind each; the first may be the path, those
 * with
 * ':' are headers, the others parameters. What is to be sent is made of legal characters only and
 * decodes to what was given; canonical forms are their own canonical forms, whatever the order; no
 * value forges a line of the canonical request; a presigned query signs itself; what does not fit
 * is marked.
 */
#include "replay.h"

#include "sigv4.h"

#include "sys.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

enum { FIELDS_MAX = 64, OUT_MAX = 8 << 20, HEX = 64 };

static const struct sigv4_key key = {"AKIDEXAMPLE", "secret", NULL, "us-east-1", "s3"};

/* A request of the input; everything points into `text`. */
struct sample {
	char *text;
	struct sigv4_field query[FIELDS_MAX], headers[FIELDS_MAX];
	struct sigv4_request q;
};

static struct buf make(void)
{
	struct buf b;
	buf_init(&b, OUT_MAX);
	return b;
}

/* Header names come from the program, never from a peer: letters, digits and '-'. */
static void add_line(struct sample *s, char *line)
{
	char *colon = strchr(line, ':'), *equal = strchr(line, '=');
	if (colon) {
		*colon = '\0';
		for (char *c = line; *c; c++)
			if (!isalnum((unsigned char)*c))
				*c = '-';
		if (s->q.nheaders < FIELDS_MAX)
			s->headers[s->q.nheaders++] = (struct sigv4_field){line, colon + 1};
	} else if (s->q.nquery < FIELDS_MAX) {
		if (equal)
			*equal = '\0';
		s->query[s->q.nquery++] = (struct sigv4_field){line, equal ? equal + 1 : ""};
	}
}

/* The first byte chooses time and normalization. */
static void read_sample(struct sample *s, const uint8_t *data, size_t size)
{
	*s = (struct sample){0};
	s->text = xstrndup((const char *)data + 1, size - 1);
	s->q.method = "GET";
	s->q.path = "/";
	s->q.query = s->query;
	s->q.headers = s->headers;
	s->q.payload = "UNSIGNED-PAYLOAD";
	s->q.time_s = data[0] * (int64_t)987654321;
	s->q.normalize = data[0] & 1;
	for (size_t at = 0; at < size; at += strlen(s->text + at) + 1) {
		char *line = s->text + at;
		if (at == 0 && line[0] == '/')
			s->q.path = line;
		else
			add_line(s, line);
	}
}

static void decode(char *s)
{
	char *to = s;
	for (; *s; s++) {
		int c = percent_value(s);
		CHECK(c != 0);
		*to++ = c < 0 ? *s : (char)c;
		s += c < 0 ? 0 : 2;
	}
	*to = '\0';
}

static void check_legal(const char *s, const char *keep)
{
	for (; *s; s++) {
		if (*s == '%') {
			CHECK(percent_value(s) > 0 && !islower(s[1]) && !islower(s[2]));
			s += 2;
		} else {
			CHECK(isalnum((unsigned char)*s) || strchr("-._~", *s) || strchr(keep, *s));
		}
	}
}

/* The parameters of a query, decoded, in `text`. */
static size_t split(char *text, struct sigv4_field *out, size_t max)
{
	size_t n = 0;
	for (char *next; text && *text; text = next) {
		next = strchr(text, '&');
		if (next)
			*next++ = '\0';
		char *value = strchr(text, '=');
		CHECK(value && n < max);
		*value++ = '\0';
		decode(text);
		decode(value);
		out[n++] = (struct sigv4_field){text, value};
	}
	return n;
}

static void check_path(const struct sample *s)
{
	struct buf b = make();
	sigv4_path(&b, s->q.path);
	check_legal(buf_str(&b), "/");
	decode(b.data);
	CHECK(strcmp(b.data, s->q.path) == 0);
	buf_release(&b);
}

static void check_query(const struct sample *s)
{
	struct buf b = make(), again = make();
	struct sigv4_field out[FIELDS_MAX], back[FIELDS_MAX];
	sigv4_query(&b, s->q.query, s->q.nquery);
	check_legal(buf_str(&b), "&=");
	char *text = xstrdup(buf_str(&b));
	size_t n = split(text, out, FIELDS_MAX);
	CHECK(n == s->q.nquery);
	for (size_t i = 0; i < n; i++)
		back[n - 1 - i] = out[i];
	sigv4_query(&again, back, n);
	CHECK(strcmp(buf_str(&again), buf_str(&b)) == 0);
	xfree(text);
	buf_release(&again);
	buf_release(&b);
}

/* The next line of a text, cut off; NULL behind the last. */
static char *line_of(char **text)
{
	char *line = *text, *end = line ? strchr(line, '\n') : NULL;
	if (end)
		*end = '\0';
	*text = end ? end + 1 : NULL;
	return line;
}

static void check_canonical_path(const struct sample *s, const char *line)
{
	CHECK(line && line[0] == '/');
	check_legal(line, "/");
	if (!s->q.normalize)
		return;
	const char *last = strrchr(line, '/');
	CHECK(!strstr(line, "//") && !strstr(line, "/./") && !strstr(line, "/../"));
	CHECK(strcmp(last, "/.") != 0 && strcmp(last, "/..") != 0);
}

static void check_canonical(const struct sample *s)
{
	struct buf b = make();
	sigv4_canonical(&b, &s->q);
	CHECK(!b.overflow);
	char *rest = b.data, *names = xstrdup("");
	CHECK(strcmp(line_of(&rest), "GET") == 0);
	check_canonical_path(s, line_of(&rest));
	CHECK(line_of(&rest));
	const char *before = NULL;
	for (char *line; (line = line_of(&rest)) && *line;) {
		char *value = strchr(line, ':');
		CHECK(value);
		*value++ = '\0';
		CHECK(!before || strcmp(before, line) < 0);
		CHECK(*value != ' ' && !strstr(value, "  ") && !strpbrk(value, "\t\r"));
		CHECK(!*value || value[strlen(value) - 1] != ' ');
		char *more = xasprintf("%s%s%s", names, before ? ";" : "", line);
		xfree(names);
		names = more;
		before = line;
	}
	CHECK(strcmp(line_of(&rest), names) == 0);
	CHECK(strcmp(line_of(&rest), s->q.payload) == 0 && !rest);
	xfree(names);
	buf_release(&b);
}

/* The 64 digits at the end of a text, behind `mark`. */
static const char *signature_of(const struct buf *b, const char *mark)
{
	const char *at = strstr(buf_str(b), mark);
	CHECK(!b->overflow && at);
	at += strlen(mark);
	CHECK(strlen(at) == HEX && strspn(at, "0123456789abcdef") == HEX);
	return at;
}

/* A request with the presigned query as its parameters has the same signature. */
static void check_signatures(const struct sample *s)
{
	static const char mark[] = "&X-Amz-Signature=";
	struct sigv4_field all[FIELDS_MAX + 8];
	struct buf url = make(), header = make(), small;
	sigv4_presign(&url, &key, &s->q, 60);
	check_legal(buf_str(&url), "&=");
	char *text = xstrdup(buf_str(&url)), *end = text + url.len - strlen(mark) - HEX;
	CHECK(strncmp(end, mark, strlen(mark)) == 0);
	*end = '\0';
	struct sigv4_request whole = s->q;
	whole.nquery = split(text, all, FIELDS_MAX + 8);
	whole.query = all;
	CHECK(whole.nquery == s->q.nquery + 5);
	sigv4_authorization(&header, &key, &whole);
	CHECK(strcmp(signature_of(&header, ", Signature="), end + strlen(mark)) == 0);

	buf_init(&small, url.len - 1);
	sigv4_presign(&small, &key, &s->q, 60);
	CHECK(small.overflow);
	buf_release(&small);
	xfree(text);
	buf_release(&header);
	buf_release(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct sample s;
	read_sample(&s, data, size);
	check_path(&s);
	check_query(&s);
	check_canonical(&s);
	check_signatures(&s);
	xfree(s.text);
	return 0;
}
