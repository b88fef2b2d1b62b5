/*
 * Addresses of documents: wherever the portal points, the bearer only goes to the hosts we know,
 * the API's prefix is there once, and nothing in the address can be read in two ways. The address
 * is judged by libcurl, which is what will follow it.
 */
#include "replay.h"

#include "portal.h"
#include "sys.h"

#include <curl/curl.h>
#include <string.h>

static const struct cnj number = {
	.digits = "00000013920248260100", .masked = "0000001-39.2024.8.26.0100", .court = "TJSP"};

static const struct portal_site sites[] = {
	{.base_url = "https://portal.example/api/v2", .hosts = "lake.example,second.example:8443"},
	{.base_url = "http://127.0.0.1:8080/api/v2", .hosts = ""},
};

static char *part(CURLU *u, CURLUPart what)
{
	char *s = NULL;
	return curl_url_get(u, what, &s, CURLU_DEFAULT_PORT) == CURLUE_OK ? s : NULL;
}

static bool is(const char *s, const char *wanted)
{
	return s && strcasecmp(s, wanted) == 0;
}

static bool is_allowed(size_t site, const char *scheme, const char *host, const char *port)
{
	if (site == 1)
		return is(scheme, "http") && is(host, "127.0.0.1") && is(port, "8080");
	return is(scheme, "https") && ((is(host, "portal.example") && is(port, "443")) ||
				       (is(host, "lake.example") && is(port, "443")) ||
				       (is(host, "second.example") && is(port, "8443")));
}

static void check_path(const char *path, const char *url)
{
	CHECK(path && *path == '/');
	CHECK(strncmp(path, "/processos/", 11) != 0);
	CHECK(strncmp(path, "/api/v2/api/v2/", 15) != 0);
	CHECK(!strstr(path, "/../") && !strstr(path, "/./"));
	CHECK(!strcasestr(path, "%2f") && !strcasestr(path, "%5c") && !strcasestr(path, "%25"));
	for (const char *s = url; *s; s++)
		CHECK(*s > 0x20 && *s < 0x7f && *s != '\\' && *s != '#' && *s != '"' && *s != '<');
	/* libcurl removes dot segments: nothing may be there to be removed */
	CHECK(strstr(url, path));
}

static void check_url(size_t site, const char *url)
{
	CURLU *u = curl_url();
	CHECK(u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK);
	char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
	char *port = part(u, CURLUPART_PORT), *path = part(u, CURLUPART_PATH);
	char *user = part(u, CURLUPART_USER), *fragment = part(u, CURLUPART_FRAGMENT);
	CHECK(is_allowed(site, scheme, host, port));
	CHECK(!user && !fragment);
	check_path(path, url);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	curl_url_cleanup(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *href = xstrndup((const char *)data, size);
	for (size_t i = 0; i < 2; i++) {
		struct portal_site s = sites[i];
		struct http_req q;
		struct err e = {0};
		s.user_agent = s.headers = "";
		s.document_max_bytes = 1;
		if (portal_ask_document(&s, "t", &number, href, &q, &e)) {
			check_url(i, q.url);
			http_req_release(&q);
		} else {
			CHECK(e.kind == ERR_INPUT && !q.url);
		}
	}
	xfree(href);
	return 0;
}
