/*
 * Addresses of webhooks: what is taken leads, as libcurl reads it, to where this room thought it
 * does. And addresses as bytes: an IPv4 address is judged alike in every dress.
 */
#include "replay.h"

#include "netrule.h"
#include "sys.h"
#include "webhook.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static char *part(CURLU *u, CURLUPart what)
{
	char *s = NULL;
	return curl_url_get(u, what, &s, CURLU_DEFAULT_PORT) == CURLUE_OK ? s : NULL;
}

static bool may_call(const struct sockaddr *a, bool production)
{
	return netrule_public(a, NULL) || (!production && netrule_loopback(a));
}

/* The host as libcurl has it: numeric addresses are in their usual form by now. */
static void check_host(const char *host, bool production)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	char *bare = xstrdup(*host == '[' ? host + 1 : host);
	if (*host == '[') {
		bare[strlen(bare) - 1] = '\0';
		CHECK(inet_pton(AF_INET6, bare, &in6.sin6_addr) == 1);
		CHECK(may_call((struct sockaddr *)&in6, production));
	} else if (inet_aton(bare, &in.sin_addr)) {
		CHECK(may_call((struct sockaddr *)&in, production));
	} else {
		CHECK(!production || strcasecmp(bare, "localhost") != 0);
		CHECK(*bare && !strpbrk(bare, ":@/\\?#%[] "));
	}
	xfree(bare);
}

static void check_url(const char *url, bool production)
{
	CHECK(strlen(url) <= WEBHOOK_URL_MAX);
	for (const char *s = url; *s; s++)
		CHECK(*s > 0x20 && *s < 0x7f);
	CURLU *u = curl_url();
	CHECK(u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK);
	char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
	char *port = part(u, CURLUPART_PORT);
	CHECK(!part(u, CURLUPART_USER) && !part(u, CURLUPART_PASSWORD));
	CHECK(!part(u, CURLUPART_FRAGMENT) && !part(u, CURLUPART_ZONEID));
	CHECK(scheme &&
	      (strcmp(scheme, "https") == 0 || (!production && strcmp(scheme, "http") == 0)));
	CHECK(port && netrule_port((int)strtol(port, NULL, 10)));
	CHECK(host);
	check_host(host, production);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
}

static void check_address(const uint8_t raw[16])
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	const char *why = "", *why6 = "";
	memcpy(&in6.sin6_addr, raw, 16);
	bool is_public = netrule_public((struct sockaddr *)&in6, &why);
	CHECK(is_public == !why);
	CHECK(!is_public || !netrule_loopback((struct sockaddr *)&in6));

	memcpy(&in.sin_addr, raw, 4);
	is_public = netrule_public((struct sockaddr *)&in, &why);
	CHECK(is_public == !why);
	CHECK(!is_public || !netrule_loopback((struct sockaddr *)&in));
	memset(&in6.sin6_addr, 0, 16);
	memset((uint8_t *)&in6.sin6_addr + 10, 0xff, 2);
	memcpy((uint8_t *)&in6.sin6_addr + 12, raw, 4);
	CHECK(netrule_public((struct sockaddr *)&in6, &why6) == is_public);
	CHECK(why6 == why);
}

/* Ranges as text: what is taken holds its own first address. */
static void check_ranges(const char *text)
{
	struct netrule_list l;
	struct err e = {0};
	if (!netrule_list_parse(text, &l, &e)) {
		CHECK(e.kind == ERR_INPUT && e.text[0]);
		return;
	}
	for (size_t i = 0; i < l.n; i++) {
		struct sockaddr_in in = {.sin_family = AF_INET};
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
		memcpy(&in.sin_addr, l.ranges[i].net, 4);
		memcpy(&in6.sin6_addr, l.ranges[i].net, 16);
		bool four = l.ranges[i].family == AF_INET;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
		CHECK(mapped || netrule_list_has(&l, four ? (struct sockaddr *)&in
							  : (struct sockaddr *)&in6));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = xstrndup((const char *)data, size);
	struct err e = {0}, strict = {0};
	bool anywhere = webhook_url_check(url, &(struct webhook_rules){.loopback = true}, &e);
	bool production =
		webhook_url_check(url, &(struct webhook_rules){.https_only = true}, &strict);
	CHECK(anywhere || !production);
	CHECK(anywhere || (e.kind == ERR_INPUT && e.text[0]));
	CHECK(production || (strict.kind == ERR_INPUT && strict.text[0]));
	if (anywhere)
		check_url(url, production);
	if (anywhere) {
		char origin[WEBHOOK_ORIGIN_MAX];
		webhook_origin(url, origin);
		CHECK(strstr(origin, "://") && strrchr(origin, ':') > strstr(origin, "://"));
	}
	check_ranges(url);
	if (size >= 16)
		check_address(data);
	xfree(url);
	return 0;
}
