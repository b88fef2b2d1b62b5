/*
 * Header values: a size, a value, and behind a zero byte a second one. Every reader gets the value;
 * what it gives keeps its promises.
 */
#include "replay.h"

#include "http_head.h"
#include "sys.h"
#include "text.h"

#include <string.h>
#include <strings.h>

static void check_range(const char *value, int64_t size)
{
	int64_t from = -1, len = -1;
	switch (head_range(value, size, &from, &len)) {
	case RANGE_ALL:
		CHECK(from == 0 && len == size);
		return;
	case RANGE_PART:
		CHECK(len > 0 && from >= 0 && from < size && len <= size - from);
		CHECK(strcasestr(value, "bytes=") && strchr(value, '-'));
		return;
	case RANGE_NONE:
		CHECK(from == 0 && len == 0);
		return;
	}
	CHECK(!"a known answer");
}

static void check_bearer(const char *value)
{
	const char *token = head_bearer(value);
	if (!token)
		return;
	CHECK(strncasecmp(value, "bearer ", 7) == 0);
	CHECK(token >= value + 7 && *token);
	for (const char *s = token; *s; s++)
		CHECK(*s > 0x20 && *s < 0x7f && *s != ',' && *s != '"');
}

static void check_tags(const char *value, const char *other)
{
	char tag[80];
	head_etag(tag, "%.77s", other);
	size_t len = strlen(tag);
	CHECK(len >= 2 && len < sizeof tag && tag[0] == '"' &&
	      strchr(tag + 1, '"') == tag + len - 1);
	CHECK(head_none_match(tag, tag));
	char *list = xasprintf("\"\", \"a,b\" , W/%s", tag);
	CHECK(head_none_match(list, tag));
	xfree(list);
	if (head_none_match(value, tag)) /* then it names it, or everything */
		CHECK(strchr(value, '*') || strstr(value, tag));
}

static void check_key(const char *value)
{
	char key[256];
	if (!head_idempotency_key(value, key))
		return;
	size_t len = strnlen(key, sizeof key);
	CHECK(len >= 1 && len <= 255);
	for (const char *s = key; *s; s++)
		CHECK(*s > 0x20 && *s < 0x7f);
}

static void check_ids(const char *value)
{
	size_t len = strlen(value);
	if (head_request_id(value))
		CHECK(len >= 1 && len <= 128 && !strpbrk(value, " \"\\<>\r\n\t,;"));
	if (head_traceparent(value))
		CHECK(len == 55 && head_request_id(value));
}

/* One line of ASCII: the type, a quoted name, an encoded one that is UTF-8. */
static void check_disposition(const char *name)
{
	char *line = head_disposition("attachment", name);
	CHECK(strncmp(line, "attachment", 10) == 0);
	for (const char *s = line; *s; s++)
		CHECK(*s >= 0x20 && *s < 0x7f && *s != '\\' && *s != '/');
	const char *quoted = NULL, *coded = line + 10;
	if (strncmp(coded, "; filename=\"", 12) == 0) {
		quoted = coded + 12;
		coded = strchr(quoted, '"');
		CHECK(coded && coded > quoted);
		coded++;
	}
	coded = *coded ? coded : NULL;
	if (coded) {
		char *plain = xstrdup(coded), *to = plain;
		CHECK(strncmp(coded, "; filename*=UTF-8''", 19) == 0);
		for (const char *s = coded + 19; *s; s++) {
			int c = percent_value(s);
			CHECK(c > 0 || *s != '%');
			*to++ = c < 0 ? *s : (char)c;
			s += c < 0 ? 0 : 2;
		}
		*to = '\0';
		CHECK(*plain && utf8_valid(plain) && !strpbrk(plain, "/\\\r\n"));
		xfree(plain);
	}
	CHECK(quoted || coded || !*name);
	xfree(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	int64_t bytes = (int64_t)data[0] << data[1] % 55;
	char *value = xstrndup((const char *)data + 2, size - 2);
	size_t len = strlen(value);
	char *other = xstrdup(len + 3 < size ? value + len + 1 : "");
	struct prefer p = head_prefer(value);
	CHECK(p.wait_s >= -1);
	if (p.respond_async)
		CHECK(strcasestr(value, "respond-async"));
	if (p.wait_s >= 0)
		CHECK(strcasestr(value, "wait"));
	if (head_accepts_gzip(value))
		CHECK(strcasestr(value, "gzip") || strchr(value, '*'));
	if (head_is_json(value))
		CHECK(strcasestr(value, "application/") && strcasestr(value, "json"));
	check_range(value, bytes);
	check_bearer(value);
	check_tags(value, other);
	check_key(value);
	check_ids(value);
	check_disposition(value);
	xfree(other);
	xfree(value);
	return 0;
}
