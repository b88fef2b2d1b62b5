/*
 * webhook - see webhook.h. A parser of its own, stricter than the one that will call: whatever two
 * parsers could read in two ways is refused. Resolves nothing; what a name leads to is judged when
 * it is called (netrule).
 */
#include "webhook.h"

#include "text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HOST_MAX = 253, LABEL_MAX = 63 };

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* ---- Characters ---- */

/* Only what RFC 3986 knows, and "%" only with two digits. */
static bool check_characters(const char *url, struct err *e)
{
	for (const char *s = url; *s; s++) {
		if (*s < 0x21 || *s > 0x7e)
			return fail(e, ERR_INPUT,
				    "the webhook address holds a blank, a control character or "
				    "one that is not ASCII");
		if (*s == '#')
			return fail(e, ERR_INPUT, "the webhook address must not have a fragment");
		if (strchr("\"<>\\^`{|}", *s) || (*s == '%' && percent_value(s) < 0))
			return fail(e, ERR_INPUT,
				    "the webhook address holds a character that must be encoded");
	}
	return true;
}

/* ---- Port ---- */

/* ":" and the number behind a host, up to `end`; nothing is the scheme's own port. */
static bool read_port(const char *s, const char *end, int preset, int *port, struct err *e)
{
	*port = preset;
	if (s == end)
		return true;
	int n = 0;
	const char *p = s + 1;
	for (; p < end && is_digit(*p) && n <= 65535; p++)
		n = n * 10 + (*p - '0');
	if (*s != ':' || p == s + 1 || p != end || s[1] == '0' || n > 65535)
		return fail(e, ERR_INPUT, "the webhook address has a malformed port");
	*port = n;
	return true;
}

/* ---- Host ---- */

static bool may_call(const struct webhook_rules *r, const struct sockaddr *a, const char **why)
{
	return netrule_public(a, why) || (r->loopback && netrule_loopback(a)) ||
	       netrule_list_has(&r->allow, a);
}

static bool check_address(const union address *a, const struct webhook_rules *r, struct err *e)
{
	const char *why;
	if (may_call(r, &a->any, &why))
		return true;
	return fail(e, ERR_INPUT,
		    "the webhook address leads to a network that may not be called: %s", why);
}

/* Between "[" and "]"; inet_pton knows no zone. */
static bool check_literal6(const char *text, const struct webhook_rules *r, struct err *e)
{
	union address a = {.in6 = {.sin6_family = AF_INET6}};
	if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) != 1)
		return fail(e, ERR_INPUT, "the webhook address has a malformed IPv6 address");
	return check_address(&a, r, e);
}

/* Letters, digits, "-" and "_" in labels that do not begin or end with "-". */
static bool is_name(const char *host)
{
	size_t len = 0;
	if (strlen(host) > HOST_MAX)
		return false;
	for (const char *s = host;; s++) {
		if (*s == '.' || *s == '\0') {
			if (len == 0 || len > LABEL_MAX || s[-1] == '-')
				return false;
			if (*s == '\0')
				return true;
			len = 0;
			continue;
		}
		if (!is_alnum(*s) && *s != '_' && (*s != '-' || len == 0))
			return false;
		len++;
	}
}

/* Whether the last label is digits, or 0x and hexadecimal digits: then the host is an IPv4 address
 * in one of the forms of inet_aton, or nothing (WHATWG URL, "ends in a number"). */
static bool ends_in_number(const char *host)
{
	const char *dot = strrchr(host, '.'), *s = dot ? dot + 1 : host;
	if (s[strspn(s, "0123456789")] == '\0')
		return true;
	return s[0] == '0' && (s[1] == 'x' || s[1] == 'X') &&
	       s[2 + strspn(s + 2, "0123456789abcdefABCDEF")] == '\0';
}

static bool is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t len = strlen(host), n = sizeof name - 1;
	return len >= n && strcasecmp(host + len - n, name) == 0 &&
	       (len == n || host[len - n - 1] == '.');
}

static bool may_call_loopback(const struct webhook_rules *r)
{
	union address four = {
		.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	union address six = {.in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
	return may_call(r, &four.any, NULL) || may_call(r, &six.any, NULL);
}

static bool check_name(const char *host, const struct webhook_rules *r, struct err *e)
{
	if (!is_name(host))
		return fail(e, ERR_INPUT, "the webhook address has a malformed host");
	if (ends_in_number(host)) {
		union address a = {.in = {.sin_family = AF_INET}};
		if (inet_aton(host, &a.in.sin_addr) != 1)
			return fail(e, ERR_INPUT,
				    "the webhook address has a malformed IPv4 address");
		return check_address(&a, r, e);
	}
	if (is_localhost(host) && !may_call_loopback(r))
		return fail(e, ERR_INPUT, "the webhook address leads to this machine");
	return true;
}

/* [s, end) is host and port; *host_end is where the port begins. */
static bool check_host(const char *s, const char *end, const struct webhook_rules *r,
		       const char **host_end, struct err *e)
{
	char host[HOST_MAX + 2];
	bool is_literal = *s == '[';
	if (is_literal) {
		s++;
		*host_end = memchr(s, ']', (size_t)(end - s));
		if (!*host_end)
			return fail(e, ERR_INPUT,
				    "the webhook address has a malformed IPv6 address");
	} else {
		const char *colon = memchr(s, ':', (size_t)(end - s));
		*host_end = colon ? colon : end;
	}
	size_t len = (size_t)(*host_end - s);
	if (len == 0)
		return fail(e, ERR_INPUT, "the webhook address has no host");
	if (len > HOST_MAX)
		return fail(e, ERR_INPUT, "the webhook address has a malformed host");
	memcpy(host, s, len);
	host[len] = '\0';
	*host_end += is_literal;
	return is_literal ? check_literal6(host, r, e) : check_name(host, r, e);
}

bool webhook_rules_init(struct webhook_rules *r, const struct config *c, struct err *e)
{
	*r = (struct webhook_rules){.https_only = config_is_production(c),
				    .loopback = strcmp(c->environment, "development") == 0};
	return netrule_list_parse(c->webhook_allow, &r->allow, e) ||
	       err_prefix(e, "webhook_allow: ");
}

static int port_of(const struct sockaddr *a)
{
	union address x = {0};
	memcpy(&x, a, a->sa_family == AF_INET ? sizeof x.in : sizeof x.in6);
	return ntohs(a->sa_family == AF_INET ? x.in.sin_port : x.in6.sin6_port);
}

bool webhook_may_call(const struct webhook_rules *r, const struct sockaddr *a, const char **why)
{
	if (!may_call(r, a, why))
		return false;
	*why = "a port that may not be called";
	return netrule_port(port_of(a));
}

bool webhook_url_check(const char *url, const struct webhook_rules *r, struct err *e)
{
	bool tls = strncasecmp(url, "https://", 8) == 0;
	int port;
	if (strlen(url) > WEBHOOK_URL_MAX)
		return fail(e, ERR_INPUT, "the webhook address is longer than %d characters",
			    WEBHOOK_URL_MAX);
	if (!check_characters(url, e))
		return false;
	if (!tls && r->https_only)
		return fail(e, ERR_INPUT, "the webhook address must begin with https://");
	if (!tls && strncasecmp(url, "http://", 7) != 0)
		return fail(e, ERR_INPUT,
			    "the webhook address must begin with https:// or http://");
	const char *host = url + (tls ? 8 : 7), *end = host + strcspn(host, "/?"), *host_end;
	if (memchr(host, '@', (size_t)(end - host)))
		return fail(e, ERR_INPUT, "the webhook address must not hold a user or a password");
	if (!check_host(host, end, r, &host_end, e) ||
	    !read_port(host_end, end, tls ? 443 : 80, &port, e))
		return false;
	if (!netrule_port(port))
		return fail(e, ERR_INPUT, "the webhook address has a port that may not be called");
	return true;
}

void webhook_origin(const char *url, char out[static WEBHOOK_ORIGIN_MAX])
{
	bool tls = strncasecmp(url, "https://", 8) == 0;
	const char *host = url + (tls ? 8 : 7);
	size_t len = strcspn(host, "/?");
	const char *bracket = memchr(host, ']', len), *from = bracket ? bracket : host;
	bool port = memchr(from, ':', len - (size_t)(from - host)) != NULL;
	int n = snprintf(out, WEBHOOK_ORIGIN_MAX, "%s://%.*s%s", tls ? "https" : "http", (int)len,
			 host,
			 port  ? ""
			 : tls ? ":443"
			       : ":80");
	for (int i = 0; i < n && i < WEBHOOK_ORIGIN_MAX; i++)
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] = (char)(out[i] - 'A' + 'a');
}
