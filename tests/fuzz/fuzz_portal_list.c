/*
 * List answers: reading is repeatable, a cursor asked with ends the paging when it comes again, and
 * error lines are clean and quote nothing.
 */
#include "replay.h"

#include "portal.h"

#include <string.h>

static const struct cnj number = {
	.digits = "00000013920248260100", .masked = "0000001-39.2024.8.26.0100", .court = "TJSP"};
static const struct portal_site site = {
	.base_url = "https://portal.example/api/v2", .hosts = "", .user_agent = "x", .headers = ""};

static void check_page(const struct portal_page *p, const char *json, size_t size)
{
	struct portal_page again;
	CHECK(p->secrecy >= 0 && p->secrecy <= 5);
	CHECK(p->found || p->secrecy == 0);
	CHECK(portal_read_list(&number, p->cursor, json, size, &again, NULL));
	CHECK(again.found == p->found && again.secrecy == p->secrecy);
	CHECK(!again.cursor);
	portal_page_release(&again);
	if (!p->cursor)
		return;
	CHECK(*p->cursor);
	struct http_req q;
	portal_ask_list(&site, "t", &number, p->cursor, &q);
	CHECK(strspn(strstr(q.url, "&searchAfter=") + 13,
		     "%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") ==
	      strlen(strstr(q.url, "&searchAfter=") + 13));
	http_req_release(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct portal_page p;
	struct err e = {0};
	if (portal_read_list(&number, NULL, (const char *)data, size, &p, &e)) {
		check_page(&p, (const char *)data, size);
	} else {
		CHECK(e.kind == ERR_FAIL && *e.text && !p.cursor);
		for (const char *s = e.text; *s; s++)
			CHECK(*s >= 0x20 && *s < 0x7f);
	}
	portal_page_release(&p);
	return 0;
}
