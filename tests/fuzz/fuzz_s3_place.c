/*
 * fuzz_s3_place - a text as the address of a store. What is taken has only characters that need no
 * encoding and a host that can be asked, says the same when it is written out as an address again,
 * and makes requests and links; what is refused says why in a line.
 */
#include "s3_ask.h"
#include "s3_place.h"

#include "replay.h"
#include "sys.h"

#include <ctype.h>
#include <string.h>

static const struct s3_account account = {"AKIAEXAMPLE", "secret", ""};

static void check_characters(const char *s, const char *more)
{
	for (; *s; s++)
		CHECK(isalnum((unsigned char)*s) || strchr(more, *s));
}

static void check_place(const struct s3_place *p)
{
	size_t n = strlen(p->prefix), host = strlen(p->host);
	check_characters(p->bucket, ".-_");
	check_characters(p->prefix, ".-_/");
	check_characters(p->region, "-_");
	check_characters(p->host, ".-_:[]");
	CHECK(strlen(p->bucket) >= 3 && strlen(p->bucket) <= 63 && *p->region);
	CHECK(n <= 513 && (n == 0 || p->prefix[n - 1] == '/') && *p->prefix != '/');
	CHECK(!strstr(p->prefix, "//") && host > 0);
	CHECK(strcmp(p->scheme, "http") == 0 || strcmp(p->scheme, "https") == 0);
	/* a name, or an address in brackets, before the port if there is one */
	const char *colon = strrchr(p->host, ':'), *bracket = strrchr(p->host, ']');
	CHECK(*p->host != ':' && p->host[host - 1] != ':');
	if (colon && (!bracket || colon > bracket)) {
		long port = strtol(colon + 1, NULL, 10);
		CHECK(port >= 1 && port <= 65535);
		CHECK(port != (p->scheme[4] ? 443 : 80) || colon[1] == '0');
	}
	if (!p->path_style)
		CHECK(strncmp(p->host, p->bucket, strlen(p->bucket)) == 0);
}

/* Said again in full, it is the same place. */
static void check_again(const struct config *c, const struct s3_place *p)
{
	struct s3_place back;
	struct err e;
	const char *host = p->path_style ? p->host : p->host + strlen(p->bucket) + 1;
	char *address = xasprintf("//%s/%s?endpoint=%s://%s&region=%s&path_style=%d", p->bucket,
				  p->prefix, p->scheme, host, p->region, p->path_style);
	bool ok = s3_place_parse(&back, c, address, &e);
	CHECK(ok);
	CHECK(strcmp(back.bucket, p->bucket) == 0 && strcmp(back.prefix, p->prefix) == 0);
	CHECK(strcmp(back.scheme, p->scheme) == 0 && strcmp(back.host, p->host) == 0);
	CHECK(strcmp(back.region, p->region) == 0 && back.path_style == p->path_style);
	s3_place_release(&back);
	xfree(address);
}

static void check_asking(const struct s3_place *p)
{
	struct s3_call c;
	struct http_req q;
	s3_call_head(&c, "k/a.pdf");
	s3_request(p, &account, &c, 1767323045, &q);
	char *start = xasprintf("%s://%s/", p->scheme, p->host);
	CHECK(strncmp(q.url, start, strlen(start)) == 0);
	CHECK(strcmp(q.url + strlen(q.url) - strlen("k/a.pdf"), "k/a.pdf") == 0);
	char *link = s3_link(p, &account, "k/a.pdf", "a.pdf", "application/pdf", 1767323045, 60);
	CHECK(strncmp(link, q.url, strlen(q.url)) == 0 && link[strlen(q.url)] == '?');
	xfree(link);
	xfree(start);
	http_req_release(&q);
	s3_call_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	struct s3_place p;
	struct err e = {0};
	char *address = xstrndup((const char *)data, size);
	config_init(&c);
	if (s3_place_parse(&p, &c, address, &e)) {
		check_place(&p);
		check_again(&c, &p);
		check_asking(&p);
	} else {
		CHECK(e.kind == ERR_INPUT && strncmp(e.text, "store_url: ", 11) == 0);
		for (const char *s = e.text; *s; s++)
			CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
	}
	s3_place_release(&p);
	config_release(&c);
	xfree(address);
	return 0;
}
