/*
 * s3_place - see s3_place.h. Looks nothing up and opens nothing.
 */
#include "s3_place.h"

#include "sys.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { PART_MAX = 1024, PORT_MAX = 65535 };

/* Bucket names (S3 User Guide, "Bucket naming rules"); underscores and capitals, which old buckets
 * and other servers have, are let through. */
static bool is_bucket(const char *s)
{
	size_t n = strlen(s);
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
	return n >= 3 && n <= 63 && strspn(s, allowed) == n && *s != '.' && *s != '-' &&
	       !strstr(s, "..");
}

/* A prefix has the characters of our keys, so that a whole key needs no encoding anywhere. */
static bool is_prefix(const char *s)
{
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
	if (strlen(s) > 512 || strspn(s, allowed) != strlen(s) || strstr(s, "//") || *s == '/')
		return false;
	for (const char *part = s; part; part = strchr(part, '/')) { /* "." and ".." are no names */
		part += *part == '/';
		if (strspn(part, ".") == strcspn(part, "/"))
			return false;
	}
	return true;
}

static bool is_region(const char *s)
{
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	return *s && strlen(s) <= 64 && strspn(s, allowed) == strlen(s);
}

/* HOST[:PORT] of n bytes; an IPv6 address stands in brackets. */
static bool is_host(const char *s, size_t n)
{
	const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	bool bracket = n && *s == '[';
	size_t name = 0;
	for (; name < n && (strchr(letters, s[name]) || strchr(bracket ? "[:." : ".-_", s[name]));)
		name++;
	if (bracket && (name < 3 || name == n || s[name++] != ']'))
		return false;
	if (name == 0 || name == n)
		return name > 0;
	int64_t port = 0;
	for (size_t i = name + 1; i < n && port <= PORT_MAX; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (s[i] - '0');
	}
	return s[name] == ':' && port >= 1 && port <= PORT_MAX;
}

/* scheme://host[:port], nothing behind it. */
static bool split_endpoint(const char *url, char **scheme, char **host)
{
	const char *colon = strstr(url, "://");
	if (!colon)
		return false;
	size_t n = (size_t)(colon - url);
	if ((n != 4 || strncmp(url, "http", 4) != 0) && (n != 5 || strncmp(url, "https", 5) != 0))
		return false;
	const char *h = colon + 3;
	size_t len = strlen(h);
	while (len && h[len - 1] == '/')
		len--;
	if (len > 255 || !is_host(h, len))
		return false;
	*scheme = xstrndup(url, n);
	*host = xstrndup(h, len);
	/* A default port is not sent in Host, so it must not be signed either. */
	const char *own = n == 5 ? ":443" : ":80";
	size_t k = strlen(own), m = strlen(*host);
	if (m > k && strcmp(*host + m - k, own) == 0)
		(*host)[m - k] = '\0';
	return true;
}

static void decode(char *s)
{
	char *out = s;
	for (; *s; s++) {
		int v = percent_value(s);
		*out++ = v > 0 ? (char)v : *s;
		if (v > 0)
			s += 2;
	}
	*out = '\0';
}

struct options {
	char endpoint[PART_MAX], region[PART_MAX], path_style[8];
};

static bool take_option(struct options *o, char *pair, struct err *e)
{
	char *value = strchr(pair, '=');
	if (value)
		*value++ = '\0';
	const struct {
		const char *name;
		char *out;
		size_t cap;
	} known[] = {
		{"endpoint", o->endpoint, sizeof o->endpoint},
		{"region", o->region, sizeof o->region},
		{"path_style", o->path_style, sizeof o->path_style},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcmp(pair, known[i].name) != 0 || !value)
			continue;
		decode(value);
		if (!*value || strlen(value) >= known[i].cap)
			return fail(e, ERR_INPUT, "store_url: %s has no usable value", pair);
		memcpy(known[i].out, value, strlen(value) + 1);
		return true;
	}
	return fail(e, ERR_INPUT,
		    "store_url: '%.40s' is not endpoint=URL, region=NAME or path_style=1", pair);
}

static bool take_options(struct options *o, char *query, struct err *e)
{
	while (query && *query) {
		char *next = strchr(query, '&');
		if (next)
			*next++ = '\0';
		if (!take_option(o, query, e))
			return false;
		query = next;
	}
	return true;
}

/* Servers other than Amazon's seldom have a name for each bucket. */
static bool choose_style(struct s3_place *p, const struct options *o, bool endpoint, struct err *e)
{
	const char *v = o->path_style;
	size_t n = strlen(p->host);
	bool amazon = n > 14 && strcmp(p->host + n - 14, ".amazonaws.com") == 0;
	if (!*v)
		p->path_style = endpoint && !amazon;
	else if (strcmp(v, "1") == 0 || strcmp(v, "true") == 0 || strcmp(v, "yes") == 0)
		p->path_style = true;
	else if (strcmp(v, "0") != 0 && strcmp(v, "false") != 0 && strcmp(v, "no") != 0)
		return fail(e, ERR_INPUT, "store_url: path_style = %s: must be 1 or 0", v);
	/* A certificate for *.host does not hold for names with more dots. */
	if (!p->path_style && strcmp(p->scheme, "https") == 0 && strchr(p->bucket, '.'))
		p->path_style = true;
	return true;
}

static bool find_host(struct s3_place *p, const struct config *c, const struct options *o,
		      struct err *e)
{
	const char *endpoint = *o->endpoint ? o->endpoint : c->s3_endpoint;
	char *amazon = xasprintf("https://s3.%s.amazonaws.com", p->region);
	bool ok = split_endpoint(*endpoint ? endpoint : amazon, &p->scheme, &p->host);
	xfree(amazon);
	if (!ok) /* what holds a password is not repeated */
		return fail(e, ERR_INPUT,
			    "store_url: endpoint = %.80s: must be http://HOST[:PORT] or "
			    "https://HOST[:PORT]",
			    strchr(endpoint, '@') ? "..." : endpoint);
	if (!choose_style(p, o, *endpoint != '\0', e))
		return false;
	if (!p->path_style) {
		char *host = xasprintf("%s.%s", p->bucket, p->host);
		xfree(p->host);
		p->host = host;
	}
	return true;
}

bool s3_place_parse(struct s3_place *p, const struct config *c, const char *address, struct err *e)
{
	struct options o = {0};
	*p = (struct s3_place){0};
	if (strncmp(address, "//", 2) != 0)
		return fail(e, ERR_INPUT, "store_url: must be s3://BUCKET/PREFIX");
	char *text = xstrdup(address + 2), *query = strchr(text, '?');
	if (query)
		*query++ = '\0';
	char *prefix = strchr(text, '/');
	if (prefix)
		*prefix++ = '\0';
	size_t n = prefix ? strlen(prefix) : 0;
	while (n && prefix[n - 1] == '/')
		prefix[--n] = '\0';
	bool ok = take_options(&o, query, e);
	if (ok && !is_bucket(text))
		ok = fail(e, ERR_INPUT, /* not repeated: it may hold a password */
			  "store_url: the bucket's name must be 3 to 63 letters, digits, '.', '-' "
			  "or '_'");
	if (ok && n && !is_prefix(prefix))
		ok = fail(e, ERR_INPUT,
			  "store_url: the prefix may hold letters, digits, '.', '_', '-' and "
			  "single '/'");
	p->bucket = xstrdup(text);
	p->prefix = n ? xasprintf("%s/", prefix) : xstrdup("");
	xfree(text);
	p->region = xstrdup(*o.region ? o.region : c->s3_region);
	if (ok && !is_region(p->region))
		ok = fail(e, ERR_INPUT, "store_url: region = %.40s: is no name of a region",
			  p->region);
	return ok && find_host(p, c, &o, e);
}

void s3_place_release(struct s3_place *p)
{
	xfree(p->bucket);
	xfree(p->prefix);
	xfree(p->scheme);
	xfree(p->host);
	xfree(p->region);
	*p = (struct s3_place){0};
}

void s3_place_path(const struct s3_place *p, const char *key, struct buf *out)
{
	if (p->path_style)
		buf_addf(out, "/%s%s", p->bucket, *key ? "/" : "");
	else
		buf_adds(out, "/");
	if (*key)
		buf_addf(out, "%s%s", p->prefix, key);
}

void s3_place_show(const struct s3_place *p, struct buf *out)
{
	buf_addf(out, "s3://%s/%s at %s://%s, region %s", p->bucket, p->prefix, p->scheme, p->host,
		 p->region);
}
