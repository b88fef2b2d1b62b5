/*
 * Classification: it names everything, never calls a fault or a page of the portal's application
 * good, and never lets the bytes of a document pause the portal.
 *
 * Input: call, fault, status / 2, flags (one byte each), the content type up to a line break, body.
 */
#include "replay.h"

#include "portal.h"

#include <string.h>
#include <strings.h>

enum { SPILLED = 1, WRONG_LENGTH = 2, ENCODED = 4 };

static bool is_in_table(const char *rule)
{
	for (size_t i = 0; i < portal_rule_count(); i++)
		if (rule == portal_rule_name(i))
			return true;
	return false;
}

/* Whatever follows is HTML, and it is the portal's application. */
static bool is_shell(const struct http_res *r)
{
	static const char start[] = "<html";
	return r->received > 5 && strncasecmp(r->head, start, 5) == 0 &&
	       !(r->head[5] >= '0' && r->head[5] <= 'z') &&
	       memmem(r->head, r->head_len, "<app-root", 9);
}

static void check_good(enum portal_call call, const struct http_res *r)
{
	CHECK(r->status == 200 && r->fault == HTTP_FAULT_NONE && r->received > 0);
	CHECK(!is_shell(r));
	CHECK(r->content_length < 0 || r->content_length == r->received);
	CHECK(!*r->content_encoding);
	CHECK(call == PORTAL_DOCUMENT || r->body);
}

static void check(enum portal_call call, const struct http_res *r)
{
	struct portal_verdict v = portal_classify(call, r);
	CHECK(v.rule && v.text && *v.text && is_in_table(v.rule));
	CHECK(v.meaning <= PORTAL_UNKNOWN && *portal_meaning_name(v.meaning));
	CHECK((v.meaning == PORTAL_GOOD) == (v.act == PORTAL_ACT_USE));
	if (v.meaning == PORTAL_GOOD)
		check_good(call, r);
	if (call == PORTAL_DOCUMENT && r->status == 200 && r->fault == HTTP_FAULT_NONE)
		CHECK(v.act != PORTAL_ACT_HOLD && v.act != PORTAL_ACT_RENEW);
	if (r->status == 429 && r->fault == HTTP_FAULT_NONE)
		CHECK(v.meaning == PORTAL_RATE_LIMITED);
	struct portal_verdict again = portal_classify(call, r);
	CHECK(again.rule == v.rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	struct http_res r = {
		.fault = (enum http_fault)(data[1] % (HTTP_FAULT_LOCAL + 1)),
		.status = data[2] * 2 + (data[3] >> 7),
		.content_length = -1,
	};
	enum portal_call call = (enum portal_call)(data[0] % 3);
	int flags = data[3] & 7;
	const char *type = (const char *)data + 4;
	size_t left = size - 4;
	const char *end = memchr(type, '\n', left);
	size_t n = end ? (size_t)(end - type) : 0;
	size_t kept = n < sizeof r.content_type - 1 ? n : sizeof r.content_type - 1;
	memcpy(r.content_type, type, kept);
	if (end) {
		type = end + 1;
		left -= n + 1;
	}
	memcpy(r.location, r.content_type, sizeof r.content_type);
	size_t edge = left < HTTP_EDGE ? left : HTTP_EDGE;
	r.head = type;
	r.head_len = edge;
	r.tail = type + left - edge;
	r.tail_len = edge;
	r.body = flags & SPILLED ? NULL : type;
	r.body_len = flags & SPILLED ? 0 : left;
	r.received = (int64_t)left;
	r.content_length = flags & WRONG_LENGTH ? (int64_t)left + 1 : -1;
	if (flags & ENCODED)
		memcpy(r.content_encoding, "gzip", 5);
	check(call, &r);

	struct doc_kind k = portal_sniff(type, left, r.content_type);
	CHECK(k.mime && *k.mime && k.ext && *k.ext && k.known == (strcmp(k.ext, "bin") != 0));
	return 0;
}
