/*
 * config_service - the service's settings, checked and taken apart. Opens no file and no socket.
 */
#include "config_service.h"

#include "netrule.h"
#include "webhook_retry.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name or an IPv4 address; an IPv6 address when it came in brackets. What it leads to is found
 * out by whoever listens. */
static bool is_host(const char *host, bool bracketed)
{
	unsigned char ignored[16];
	if (bracketed)
		return inet_pton(AF_INET6, host, ignored) == 1;
	return !strpbrk(host, ":[]/ \t");
}

bool config_address(const char *text, char host[static 256], int *port)
{
	const char *colon = strrchr(text, ':');
	if (!colon || !colon[1] || strlen(colon + 1) > 5 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	long value = strtol(colon + 1, NULL, 10);
	size_t n = (size_t)(colon - text);
	bool bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';
	if (bracketed) {
		text++;
		n -= 2;
	}
	if (value > 65535 || n >= 256)
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	*port = (int)value;
	return is_host(host, bracketed);
}

/* One entry "route=10/60s"; gives the place after it, NULL when it is none. */
static const char *entry(const char *at, char name[static 64], int64_t *limit, int64_t *window_s)
{
	char number[24], window[24];
	at += strspn(at, ", ");
	size_t n = strcspn(at, "=,");
	if (!n || n >= 64 || at[n] != '=')
		return NULL;
	memcpy(name, at, n);
	name[n] = '\0';
	at += n + 1;
	size_t digits = strspn(at, "0123456789");
	if (!digits || digits > 9 || at[digits] != '/')
		return NULL;
	snprintf(number, sizeof number, "%.*s", (int)digits, at);
	at += digits + 1;
	size_t w = strcspn(at, ", ");
	if (!w || w >= sizeof window)
		return NULL;
	snprintf(window, sizeof window, "%.*s", (int)w, at);
	int64_t ms;
	*limit = strtoll(number, NULL, 10);
	if (*limit < 1 || !config_duration(window, &ms) || ms < 1000 || ms > 86400000)
		return NULL;
	*window_s = ms / 1000;
	at += w;
	return at + strspn(at, ", ");
}

bool config_route_limit_name(const char **at, char name[static 64])
{
	int64_t limit, window_s;
	const char *next = **at ? entry(*at, name, &limit, &window_s) : NULL;
	if (next)
		*at = next;
	return next != NULL;
}

bool config_route_limit(const char *text, const char *route, int64_t *limit, int64_t *window_s)
{
	char name[64];
	for (const char *at = text; at && *at;) {
		at = entry(at, name, limit, window_s);
		if (at && strcmp(name, route) == 0)
			return true;
	}
	return false;
}

static void check_limits(const struct config *c, struct buf *lines)
{
	char name[64];
	int64_t limit, window_s;
	for (const char *at = c->rate_limit_routes; *at;) {
		const char *next = entry(at, name, &limit, &window_s);
		if (!next) {
			buf_addf(lines,
				 "rate_limit_routes: '%.40s' is not ROUTE=REQUESTS/WINDOW, such as "
				 "search=10/60s with a window of 1s to 1d\n",
				 at);
			return;
		}
		at = next;
	}
}

static void check_tls(const struct config *c, struct buf *lines)
{
	if (!*c->tls_cert_file != !*c->tls_key_file)
		buf_addf(lines, "%s is set and %s is not: TLS needs both\n",
			 *c->tls_cert_file ? "tls_cert_file" : "tls_key_file",
			 *c->tls_cert_file ? "tls_key_file" : "tls_cert_file");
}

static void check_production(const struct config *c, struct buf *lines)
{
	if (!config_is_production(c))
		return;
	if (!*c->public_url)
		buf_adds(lines, "public_url is missing: in production it is the address under "
				"which clients reach this service\n");
	else if (strncmp(c->public_url, "https://", 8) != 0)
		buf_adds(lines, "public_url must begin with https:// in production\n");
}

static void check_webhooks(const struct config *c, struct buf *lines)
{
	struct netrule_list ranges;
	struct webhook_schedule waits;
	struct err e;
	if (!netrule_list_parse(c->webhook_allow, &ranges, &e))
		buf_addf(lines, "webhook_allow: %s\n", e.text);
	if (!webhook_schedule_parse(c->webhook_schedule, &waits, &e))
		buf_addf(lines, "webhook_schedule: %s\n", e.text);
	if (c->webhook_pause > c->webhook_pause_max)
		buf_adds(lines, "webhook_pause must not exceed webhook_pause_max\n");
}

void config_check_service(const struct config *c, struct buf *lines)
{
	char host[256];
	int port;
	if (!config_address(c->listen, host, &port))
		buf_addf(lines,
			 "listen = %.80s: must be ADDRESS:PORT, such as 127.0.0.1:8000 or "
			 "[::1]:8000\n",
			 c->listen);
	if (c->wait_default > c->wait_max)
		buf_addf(lines,
			 "wait_default = %" PRId64 "s: must not exceed wait_max = %" PRId64 "s\n",
			 c->wait_default / 1000, c->wait_max / 1000);
	check_tls(c, lines);
	check_production(c, lines);
	check_limits(c, lines);
	check_webhooks(c, lines);
}
