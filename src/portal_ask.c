/*
 * portal_ask - questions to the portal, and where the bearer may go.
 *
 * The portal's JSON refers to documents by paths that lack the API's own prefix. Asked without it,
 * the portal answers 200 and its web application, so the prefix is put in here, exactly once.
 * Every address is built from an origin we know and a path that was checked byte by byte: nothing
 * the portal sends can make the token leave for another host.
 */
#include "portal.h"

#include "buf.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HREF_MAX = 4096, URL_MAX = 16384 };

/* A slice of somebody else's string. */
struct part {
	const char *at;
	size_t len;
};

/* An absolute address taken apart; `path` holds everything behind the authority. */
struct address {
	struct part scheme, host, port, path;
};

static bool part_is(struct part p, const char *s)
{
	return strlen(s) == p.len && strncasecmp(p.at, s, p.len) == 0;
}

static bool same_part(struct part a, struct part b)
{
	return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

/* ---- Taking addresses apart ---- */

static bool all_of(struct part p, const char *allowed)
{
	for (size_t i = 0; i < p.len; i++)
		if (!p.at[i] || !strchr(allowed, p.at[i]))
			return false;
	return p.len > 0;
}

/* host[:port], or [v6]:port. No user, no empty port. */
static bool split_authority(struct part a, struct part *host, struct part *port)
{
	static const char name[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	const char *end = a.at + a.len;
	const char *close = a.len && *a.at == '[' ? memchr(a.at, ']', a.len) : NULL;
	const char *stop = close ? close + 1 : memchr(a.at, ':', a.len);
	if (!stop)
		stop = end;
	*host = (struct part){a.at, (size_t)(stop - a.at)};
	*port = (struct part){0};
	struct part inner = close ? (struct part){a.at + 1, (size_t)(close - a.at) - 1} : *host;
	if (!all_of(inner, close ? "0123456789abcdefABCDEF:." : name))
		return false;
	if (stop == end)
		return true;
	*port = (struct part){stop + 1, (size_t)(end - stop) - 1};
	return *stop == ':' && port->len <= 5 && all_of(*port, "0123456789");
}

static bool split_address(const char *s, struct address *out)
{
	const char *sep = strstr(s, "://");
	if (!sep)
		return false;
	out->scheme = (struct part){s, (size_t)(sep - s)};
	const char *start = sep + 3;
	size_t n = strcspn(start, "/?#");
	out->path = (struct part){start + n, strlen(start + n)};
	return (part_is(out->scheme, "http") || part_is(out->scheme, "https")) &&
	       split_authority((struct part){start, n}, &out->host, &out->port);
}

/* The port that counts: the default one when none is written. */
static struct part real_port(const struct address *a)
{
	if (a->port.len)
		return a->port;
	return part_is(a->scheme, "https") ? (struct part){"443", 3} : (struct part){"80", 2};
}

/* Is the address' host[:port] on the comma-separated list? Entries without port mean 443. */
static bool listed(const char *hosts, const struct address *a)
{
	if (!part_is(a->scheme, "https"))
		return false;
	while (*hosts) {
		hosts += strspn(hosts, ", \t");
		struct part entry = {hosts, strcspn(hosts, ", \t")};
		struct address known = {.scheme = {"https", 5}};
		hosts += entry.len;
		if (entry.len && split_authority(entry, &known.host, &known.port) &&
		    same_part(known.host, a->host) && same_part(real_port(&known), real_port(a)))
			return true;
	}
	return false;
}

static bool same_origin(const struct address *a, const struct address *b)
{
	return same_part(a->scheme, b->scheme) && same_part(a->host, b->host) &&
	       same_part(real_port(a), real_port(b));
}

/* ---- What a reference may look like ---- */

static const char *bad_byte(unsigned char c)
{
	if (c < 0x20 || c == 0x7f)
		return "a control character";
	if (c == '\\')
		return "a backslash";
	if (c == '#')
		return "a fragment";
	return NULL;
}

/* Why the bytes of a reference cannot be used; NULL when they can. */
static const char *bad_bytes(const char *s)
{
	bool query = false;
	for (; *s; s++) {
		const char *why = bad_byte((unsigned char)*s);
		if (why)
			return why;
		query = query || *s == '?';
		if (*s != '%')
			continue;
		int c = percent_value(s);
		if (c < 0)
			return "a broken percent-encoding";
		if (c < 0x20 || c == 0x7f)
			return "an encoded control character";
		if (!query && (c == '/' || c == '\\' || c == '%'))
			return "an encoded separator";
	}
	return NULL;
}

/* "." or "..", plain or with encoded dots. */
static bool is_dot_segment(const char *s, size_t len)
{
	size_t dots = 0;
	for (size_t i = 0; i < len; i++, dots++) {
		if (s[i] == '.')
			continue;
		if (s[i] != '%' || len - i < 3 || percent_value(s + i) != '.')
			return false;
		i += 2;
	}
	return dots == 1 || dots == 2;
}

static bool has_dot_segment(struct part path)
{
	const char *s = path.at, *end = path.at + path.len;
	while (s < end && *s == '/') {
		const char *next = memchr(s + 1, '/', (size_t)(end - s) - 1);
		if (!next)
			next = end;
		if (is_dot_segment(s + 1, (size_t)(next - s) - 1))
			return true;
		s = next;
	}
	return false;
}

static bool starts_with(struct part p, struct part prefix)
{
	return p.len > prefix.len && strncmp(p.at, prefix.at, prefix.len) == 0 &&
	       p.at[prefix.len] == '/';
}

/*
 * Decides the path of the request: `path` (with its query) as sent, `base` the path of base_url.
 * Sets *prefix to whether the base path has to be put in front.
 */
static const char *settle_path(struct part *path, struct part base, bool relative, bool *prefix)
{
	struct part bare = {path->at, strcspn(path->at, "?")};
	if (has_dot_segment(bare))
		return "a dot segment";
	while (base.len && starts_with(*path, base)) {
		struct part rest = {path->at + base.len, path->len - base.len};
		if (!starts_with(rest, base))
			break;
		*path = rest; /* the prefix was put in twice by somebody before us */
	}
	*prefix = starts_with(*path, (struct part){"/processos", 10});
	if (relative && !*prefix && !(base.len && starts_with(*path, base)))
		return "a path that is not one of a document";
	return bare.len ? NULL : "no path";
}

/* ---- Building requests ---- */

/* Bytes that could end a header line are left out: values come from settings and token files. */
static void add_header(struct http_req *q, const char *name, size_t name_len, const char *value)
{
	assert(q->nheaders < HTTP_HEADERS_MAX);
	char *line = xasprintf("%.*s: %s", (int)name_len, name, value);
	char *to = line;
	for (const char *s = line; *s; s++)
		if ((unsigned char)*s >= 0x20 && *s != 0x7f)
			*to++ = *s;
	*to = '\0';
	q->headers[q->nheaders++] = line;
}

/* Adds one configured line; a usual header of the same name gives way to it. */
static void add_configured(struct http_req *q, struct part line)
{
	while (line.len && (*line.at == ' ' || *line.at == '\t')) {
		line.at++;
		line.len--;
	}
	const char *colon = memchr(line.at, ':', line.len);
	if (!colon || colon == line.at)
		return;
	size_t n = (size_t)(colon - line.at);
	char *value = xstrndup(colon + 1, line.len - n - 1);
	const char *first = value + strspn(value, " \t");
	for (size_t i = 0; i < q->nheaders; i++) {
		if (strncasecmp(q->headers[i], line.at, n) != 0 || q->headers[i][n] != ':')
			continue;
		xfree(q->headers[i]);
		q->headers[i] = q->headers[--q->nheaders];
		q->headers[q->nheaders] = NULL;
		break;
	}
	if (q->nheaders < HTTP_HEADERS_MAX)
		add_header(q, line.at, n, first);
	xfree(value);
}

static void add_headers(const struct portal_site *site, const char *token, const struct cnj *number,
			bool json, struct http_req *q)
{
	struct address base = {0};
	bool known = split_address(site->base_url, &base);
	int origin = known ? (int)(base.path.at - site->base_url) : (int)strlen(site->base_url);
	char *bearer = xasprintf("Bearer %s", token);
	char *from = xasprintf("%.*s", origin, site->base_url);
	char *referer =
		json ? xasprintf("%s/consulta", from)
		     : xasprintf("%s/consulta/autosdigitais?processo=%s", from, number->masked);
	const struct {
		const char *name, *value;
	} usual[] = {
		{"Authorization", bearer},
		{"User-Agent", site->user_agent},
		{"Accept", json ? "application/json, text/plain, */*" : "*/*"},
		{"Accept-Language", "pt-BR,pt;q=0.9"},
		{"Origin", from},
		{"Referer", referer},
		{"sec-fetch-dest", "empty"},
		{"sec-fetch-mode", "cors"},
		{"sec-fetch-site", "same-origin"},
	};
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		add_header(q, usual[i].name, strlen(usual[i].name), usual[i].value);
	for (const char *s = site->headers; *s;) {
		struct part line = {s, strcspn(s, "|\r\n")};
		add_configured(q, line);
		s += line.len + (s[line.len] != '\0');
	}
	xfree(bearer);
	xfree(from);
	xfree(referer);
}

static void ask_json(const struct portal_site *site, const char *token, const struct cnj *number,
		     struct buf *url, struct http_req *out)
{
	*out = (struct http_req){.method = "GET",
				 .total_ms = site->json_timeout_ms,
				 .max_body = site->json_max_bytes,
				 .in_memory = true};
	out->url = buf_detach(url);
	add_headers(site, token, number, true, out);
}

void portal_ask_list(const struct portal_site *site, const char *token, const struct cnj *number,
		     const char *cursor, struct http_req *out)
{
	struct buf url;
	buf_init(&url, URL_MAX);
	buf_addf(&url, "%s/processos?numeroProcesso=%s", site->base_url, number->digits);
	if (cursor && *cursor) {
		buf_adds(&url, "&searchAfter=");
		percent_add(&url, cursor, strlen(cursor), "");
	}
	assert(!url.overflow); /* portal_read_list gives no cursor that could do this */
	ask_json(site, token, number, &url, out);
}

void portal_ask_detail(const struct portal_site *site, const char *token, const struct cnj *number,
		       struct http_req *out)
{
	struct buf url;
	buf_init(&url, URL_MAX);
	buf_addf(&url, "%s/processos/%s", site->base_url, number->digits);
	ask_json(site, token, number, &url, out);
}

/* Takes a reference apart: a path below the base, or an address of a host that may see the token.
 */
static const char *find_target(const struct portal_site *site, const char *href,
			       const struct address *base, struct address *to)
{
	if (*href == '/' && href[1] == '/')
		return "another host";
	if (*href == '/') {
		*to = *base;
		to->path = (struct part){href, strlen(href)};
		return NULL;
	}
	if (!split_address(href, to))
		return "neither a path nor a web address";
	if (!same_origin(to, base) && !listed(site->hosts, to))
		return "a host that is not allowed to see the token";
	return NULL;
}

/* Writes the address of a document; NULL, or why its reference is refused. */
static const char *document_url(const struct portal_site *site, const char *href, struct buf *url)
{
	struct address base, to;
	bool relative = *href == '/', prefix = false;
	if (!split_address(site->base_url, &base))
		return "a base address that is not one";
	const char *why = strlen(href) > HREF_MAX ? "more than 4096 bytes" : bad_bytes(href);
	if (!why)
		why = find_target(site, href, &base, &to);
	if (why)
		return why;
	while (base.path.len && base.path.at[base.path.len - 1] == '/')
		base.path.len--;
	why = settle_path(&to.path, base.path, relative, &prefix);
	if (why)
		return why;
	const char *origin = relative ? site->base_url : href;
	const char *end = to.port.len ? to.port.at + to.port.len : to.host.at + to.host.len;
	buf_add(url, origin, (size_t)(end - origin));
	if (prefix)
		buf_add(url, base.path.at, base.path.len);
	percent_add(url, to.path.at, to.path.len, "!$&'()*+,;=:@/%?");
	return url->overflow ? "too many bytes" : NULL;
}

bool portal_ask_document(const struct portal_site *site, const char *token,
			 const struct cnj *number, const char *href, struct http_req *out,
			 struct err *e)
{
	*out = (struct http_req){0};
	struct buf url;
	buf_init(&url, URL_MAX);
	const char *why = document_url(site, href, &url);
	if (why) {
		buf_release(&url);
		return fail(e, ERR_INPUT, "the document's address is refused (%s)", why);
	}
	*out = (struct http_req){.method = "GET", .max_body = site->document_max_bytes};
	out->url = buf_detach(&url);
	add_headers(site, token, number, false, out);
	return true;
}
