/*
 * sigv4 - see sigv4.h. Forms, one after the other: parts, canonical request, string to sign,
 * signature, and the two places where a signature is put. Never cuts a text: one that does not fit
 * is an overflow.
 */
#include "sigv4.h"

#include "sys.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char algorithm[] = "AWS4-HMAC-SHA256";

enum { DAY = sizeof "20150830" - 1, HEX = 65, PRESIGN_FIELDS = 6 };

void sigv4_date(int64_t time_s, char out[static SIGV4_DATE])
{
	assert(time_s >= 0 && time_s <= 253402300799); /* 9999-12-31T23:59:59Z */
	time_t t = (time_t)time_s;
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(out, SIGV4_DATE, "%Y%m%dT%H%M%SZ", &tm);
}

/* ---- Parameters and headers in the form that is signed ---- */

struct pair {
	char *name, *value; /* owned */
	size_t place;       /* among those that were given */
};

static char *encoded(const char *s)
{
	struct buf b;
	size_t len = strlen(s);
	buf_init(&b, 3 * len + 1);
	percent_add(&b, s, len, "");
	return buf_detach(&b);
}

static char *lowered(const char *s)
{
	char *out = xstrdup(s);
	for (char *c = out; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	return out;
}

/* No blanks at the ends, single ones within. Line breaks of a folded value (RFC 9112, section 5.2)
 * are blanks too, so no value can forge a line of the canonical request. */
static char *trimmed(const char *s)
{
	static const char blank[] = " \t\r\n";
	char *out = xmalloc(strlen(s) + 1), *to = out;
	for (s += strspn(s, blank); *s; s += strspn(s, blank)) {
		if (to > out)
			*to++ = ' ';
		size_t len = strcspn(s, blank);
		memcpy(to, s, len);
		to += len;
		s += len;
	}
	*to = '\0';
	return out;
}

static int by_value(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : strcmp(x->value, y->value);
}

static int by_place(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* Sorted, in their signed form; release with pairs_free. */
static struct pair *pairs_make(const struct sigv4_field *fields, size_t n,
			       char *(*name)(const char *), char *(*value)(const char *),
			       int (*order)(const void *, const void *))
{
	struct pair *p = xcalloc(n, sizeof *p);
	for (size_t i = 0; i < n; i++)
		p[i] = (struct pair){name(fields[i].name), value(fields[i].value), i};
	qsort(p, n, sizeof *p, order);
	return p;
}

static struct pair *headers_make(const struct sigv4_request *q)
{
	return pairs_make(q->headers, q->nheaders, lowered, trimmed, by_place);
}

static void pairs_free(struct pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		xfree(p[i].name);
		xfree(p[i].value);
	}
	xfree(p);
}

static bool repeats(const struct pair *p, size_t i)
{
	return i > 0 && strcmp(p[i].name, p[i - 1].name) == 0;
}

/* ---- The canonical request ---- */

void sigv4_path(struct buf *out, const char *path)
{
	assert(path[0] == '/');
	percent_add(out, path, strlen(path), "/");
}

void sigv4_query(struct buf *out, const struct sigv4_field *query, size_t n)
{
	struct pair *p = pairs_make(query, n, encoded, encoded, by_value);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s=%s", i ? "&" : "", p[i].name, p[i].value);
	pairs_free(p, n);
}

/* RFC 3986, section 5.2.4, without empty segments. As in AWS's own libraries a path ends with a
 * slash only if the given one does. */
static char *normalized(const char *path)
{
	size_t given = strlen(path);
	char *out = xmalloc(given + 2), *to = out;
	for (const char *s = path; *s;) {
		s += strspn(s, "/");
		size_t len = strcspn(s, "/");
		if (len == 2 && s[0] == '.' && s[1] == '.') {
			while (to > out && *--to != '/')
				;
		} else if (len > 0 && !(len == 1 && s[0] == '.')) {
			*to++ = '/';
			memcpy(to, s, len);
			to += len;
		}
		s += len;
	}
	if (to == out || path[given - 1] == '/')
		*to++ = '/';
	*to = '\0';
	return out;
}

/* "host;x-amz-date" */
static void add_signed_names(struct buf *out, const struct pair *headers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!repeats(headers, i))
			buf_addf(out, "%s%s", i ? ";" : "", headers[i].name);
}

static void add_canonical_headers(struct buf *out, const struct pair *headers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool last = i + 1 == n || !repeats(headers, i + 1);
		if (repeats(headers, i))
			buf_adds(out, ",");
		else
			buf_addf(out, "%s:", headers[i].name);
		buf_addf(out, "%s%s", headers[i].value, last ? "\n" : "");
	}
}

void sigv4_canonical(struct buf *out, const struct sigv4_request *q)
{
	assert(q->path[0] == '/');
	char *path = q->normalize ? normalized(q->path) : xstrdup(q->path);
	struct pair *headers = headers_make(q);
	buf_addf(out, "%s\n", q->method);
	sigv4_path(out, path);
	buf_adds(out, "\n");
	sigv4_query(out, q->query, q->nquery);
	buf_adds(out, "\n");
	add_canonical_headers(out, headers, q->nheaders);
	buf_adds(out, "\n");
	add_signed_names(out, headers, q->nheaders);
	buf_addf(out, "\n%s", q->payload);
	pairs_free(headers, q->nheaders);
	xfree(path);
}

/* ---- The signature ---- */

static void add_scope(struct buf *out, const struct sigv4_key *k, const char *date)
{
	buf_addf(out, "%.*s/%s/%s/aws4_request", DAY, date, k->region, k->service);
}

void sigv4_string_to_sign(struct buf *out, const struct sigv4_key *k, const struct sigv4_request *q)
{
	char date[SIGV4_DATE], hex[HEX];
	sigv4_date(q->time_s, date);
	struct buf canonical;
	buf_init(&canonical, SIGV4_MAX);
	sigv4_canonical(&canonical, q);
	sha256_hex(canonical.data, canonical.len, hex);
	buf_addf(out, "%s\n%s\n", algorithm, date);
	add_scope(out, k, date);
	buf_addf(out, "\n%s", hex);
	out->overflow |= canonical.overflow;
	buf_release(&canonical);
}

static void hmac(unsigned char key[static 32], const char *text, size_t len)
{
	sys_hmac_sha256(key, 32, text, len, key);
}

/* The key of one day, region and service: derived anew each time, which is 6 of the 13 us that a
 * signature takes, so that nothing secret is kept. */
static void signing_key(const struct sigv4_key *k, const char *date, unsigned char key[static 32])
{
	char *secret = xasprintf("AWS4%s", k->secret_key);
	sys_hmac_sha256(secret, strlen(secret), date, DAY, key);
	xfree(secret);
	hmac(key, k->region, strlen(k->region));
	hmac(key, k->service, strlen(k->service));
	hmac(key, "aws4_request", strlen("aws4_request"));
}

/* False when the request is too long. */
static bool sign(const struct sigv4_key *k, const struct sigv4_request *q, char hex[static HEX])
{
	char date[SIGV4_DATE];
	sigv4_date(q->time_s, date);
	unsigned char key[32];
	struct buf text;
	buf_init(&text, SIGV4_MAX);
	sigv4_string_to_sign(&text, k, q);
	bool fits = !text.overflow;
	signing_key(k, date, key);
	hmac(key, buf_str(&text), text.len);
	sys_hex(key, sizeof key, hex);
	buf_release(&text);
	return fits;
}

/* ---- Where it is put ---- */

void sigv4_authorization(struct buf *out, const struct sigv4_key *k, const struct sigv4_request *q)
{
	char date[SIGV4_DATE], hex[HEX];
	sigv4_date(q->time_s, date);
	struct pair *headers = headers_make(q);
	buf_addf(out, "%s Credential=%s/", algorithm, k->access_key);
	add_scope(out, k, date);
	buf_adds(out, ", SignedHeaders=");
	add_signed_names(out, headers, q->nheaders);
	if (sign(k, q, hex))
		buf_addf(out, ", Signature=%s", hex);
	else
		out->overflow = true;
	pairs_free(headers, q->nheaders);
}

void sigv4_presign(struct buf *out, const struct sigv4_key *k, const struct sigv4_request *q,
		   int64_t expires_s)
{
	char date[SIGV4_DATE], hex[HEX];
	sigv4_date(q->time_s, date);
	struct pair *headers = headers_make(q);
	struct buf credential, names;
	buf_init(&credential, SIGV4_MAX);
	buf_init(&names, SIGV4_MAX);
	buf_addf(&credential, "%s/", k->access_key);
	add_scope(&credential, k, date);
	add_signed_names(&names, headers, q->nheaders);
	char *expires = xasprintf("%" PRId64, expires_s);

	struct sigv4_field *query = xcalloc(q->nquery + PRESIGN_FIELDS, sizeof *query);
	size_t n = 0;
	for (; n < q->nquery; n++)
		query[n] = q->query[n];
	query[n++] = (struct sigv4_field){"X-Amz-Algorithm", algorithm};
	query[n++] = (struct sigv4_field){"X-Amz-Credential", buf_str(&credential)};
	query[n++] = (struct sigv4_field){"X-Amz-Date", date};
	query[n++] = (struct sigv4_field){"X-Amz-Expires", expires};
	query[n++] = (struct sigv4_field){"X-Amz-SignedHeaders", buf_str(&names)};
	if (k->session_token && k->session_token[0])
		query[n++] = (struct sigv4_field){"X-Amz-Security-Token", k->session_token};

	struct sigv4_request whole = *q;
	whole.query = query;
	whole.nquery = n;
	sigv4_query(out, query, n);
	if (sign(k, &whole, hex) && !credential.overflow && !names.overflow)
		buf_addf(out, "&X-Amz-Signature=%s", hex);
	else
		out->overflow = true;
	xfree(query);
	xfree(expires);
	buf_release(&names);
	buf_release(&credential);
	pairs_free(headers, q->nheaders);
}
