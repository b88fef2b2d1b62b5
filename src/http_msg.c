/*
 * http_msg - helpers on HTTP questions and answers that need no network. Does no I/O.
 */
#include "http_msg.h"

#include "sys.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *http_fault_name(enum http_fault fault)
{
	switch (fault) {
	case HTTP_FAULT_NONE:
		return "none";
	case HTTP_FAULT_CONNECT:
		return "connect";
	case HTTP_FAULT_RESET:
		return "reset";
	case HTTP_FAULT_SHORT:
		return "short";
	case HTTP_FAULT_TIMEOUT:
		return "timeout";
	case HTTP_FAULT_TOO_LARGE:
		return "too_large";
	case HTTP_FAULT_PROTOCOL:
		return "protocol";
	case HTTP_FAULT_LOCAL:
		return "local";
	}
	return "?";
}

void http_req_header(struct http_req *q, const char *fmt, ...)
{
	assert(q->nheaders < HTTP_HEADERS_MAX);
	char line[16384];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	assert(n >= 0 && (size_t)n < sizeof line);
	q->headers[q->nheaders++] = xstrdup(line);
}

void http_req_release(struct http_req *q)
{
	xfree(q->url);
	for (size_t i = 0; i < q->nheaders; i++)
		xfree(q->headers[i]);
	*q = (struct http_req){0};
}

/* The three date forms of RFC 9110, section 5.6.7. */
static bool parse_http_date(const char *s, int64_t *ms)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT",
					    "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = {0};
		const char *end = strptime(s, forms[i], &tm);
		if (end && *end == '\0') {
			*ms = (int64_t)timegm(&tm) * 1000;
			return true;
		}
	}
	return false;
}

int64_t http_retry_after_ms(const char *value, int64_t now_ms)
{
	while (*value == ' ' || *value == '\t')
		value++;
	if (!*value)
		return -1;
	if (isdigit((unsigned char)*value)) {
		char *end;
		unsigned long long s = strtoull(value, &end, 10);
		while (*end == ' ' || *end == '\t')
			end++;
		if (*end)
			return -1;
		return s > 31536000ULL ? 31536000000LL : (int64_t)s * 1000;
	}
	int64_t at;
	if (!parse_http_date(value, &at))
		return -1;
	return at > now_ms ? at - now_ms : 0;
}
