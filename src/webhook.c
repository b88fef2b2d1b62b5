/*
 * webhook - see webhook.h. A parser of its own, stricter than the one that will call: whatever two
 * parsers could read in two ways is refused. Resolves nothing; what a name leads to is judged when
 * it is called (netrule).
 */
#include "webhook.h"

#include "netrule.h"
#include "text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
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

static bool check_address(const union address *a, bool production, struct err *e)
{
	const char *why;
	if (netrule_public(&a->any, &why) || (!production && netrule_loopback(&a->any)))
		return true;
	return fail(e, ERR_INPUT,
		    "the webhook address leads to a network that may not be called: %s", why);
}

/* Between "[" and "]"; inet_pton knows no zone. */
static bool check_literal6(const char *text, bool production, struct err *e)
{
	union address a = {.in6 = {.sin6_family = AF_INET6}};
	if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) != 1)
		return fail(e, ERR_INPUT, "the webhook address has a malformed IPv6 address");
	return check_address(&a, production, e);
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

static bool check_name(const char *host, bool production, struct err *e)
{
	if (!is_name(host))
		return fail(e, ERR_INPUT, "the webhook address has a malformed host");
	if (ends_in_number(host)) {
		union address a = {.in = {.sin_family = AF_INET}};
		if (inet_aton(host, &a.in.sin_addr) != 1)
			return fail(e, ERR_INPUT,
				    "the webhook address has a malformed IPv4 address");
		return check_address(&a, production, e);
	}
	if (production && is_localhost(host))
		return fail(e, ERR_INPUT, "the webhook address leads to this machine");
	return true;
}

/* [s, end) is host and port; *host_end is where the port begins. */
static bool check_host(const char *s, const char *end, bool production, const char **host_end,
		       struct err *e)
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
	return is_literal ? check_literal6(host, production, e) : check_name(host, production, e);
}

bool webhook_url_check(const char *url, bool production, struct err *e)
{
	bool tls = strncasecmp(url, "https://", 8) == 0;
	int port;
	if (strlen(url) > WEBHOOK_URL_MAX)
		return fail(e, ERR_INPUT, "the webhook address is longer than %d characters",
			    WEBHOOK_URL_MAX);
	if (!check_characters(url, e))
		return false;
	if (!tls && production)
		return fail(e, ERR_INPUT, "the webhook address must begin with https://");
	if (!tls && strncasecmp(url, "http://", 7) != 0)
		return fail(e, ERR_INPUT,
			    "the webhook address must begin with https:// or http://");
	const char *host = url + (tls ? 8 : 7), *end = host + strcspn(host, "/?"), *host_end;
	if (memchr(host, '@', (size_t)(end - host)))
		return fail(e, ERR_INPUT, "the webhook address must not hold a user or a password");
	if (!check_host(host, end, production, &host_end, e) ||
	    !read_port(host_end, end, tls ? 443 : 80, &port, e))
		return false;
	if (!netrule_port(port))
		return fail(e, ERR_INPUT, "the webhook address has a port that may not be called");
	return true;
}
