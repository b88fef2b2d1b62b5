/*
 * http_head - reading and writing the values of HTTP headers, as a server needs it. Pure.
 */
#ifndef AUTOS_HTTP_HEAD_H
#define AUTOS_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prefer (RFC 7240). */
struct prefer {
	bool respond_async;
	int64_t wait_s; /* -1 when absent or not a number */
};
struct prefer head_prefer(const char *value); /* NULL = no header */

/* The token of "Bearer TOKEN" (RFC 6750; the scheme in any case), NULL for anything else. */
const char *head_bearer(const char *value);

/* Whether If-None-Match (RFC 9110, 13.1.2) holds this entity tag, given with its quotes; weak
 * comparison; "*" matches. */
bool head_none_match(const char *value, const char *etag);

/* Whether Accept-Encoding (RFC 9110, 12.5.3) takes gzip with a weight above 0. */
bool head_accepts_gzip(const char *value);

/* Whether a Content-Type is JSON: application/json or application/...+json, any parameters. */
bool head_is_json(const char *value);

/* Range (RFC 9110, 14.2) of one byte range over `size` bytes. */
enum range { RANGE_ALL, RANGE_PART, RANGE_NONE }; /* no or unusable header; one part; 416 */
enum range head_range(const char *value, int64_t size, int64_t *from, int64_t *len);

/* Whether a client's request id may be echoed and logged: 1 to 128 of A-Z a-z 0-9 . _ - : + / = */
bool head_request_id(const char *value);

/* Whether a traceparent (W3C Trace Context, version 00) is well formed. */
bool head_traceparent(const char *value);

/* Idempotency-Key: a quoted string (RFC 8941) or bare; 1 to 255 visible ASCII characters. Copies
 * the key without its quotes; false when it is malformed. */
bool head_idempotency_key(const char *value, char out[static 256]);

/* Content-Disposition (RFC 6266) with an ASCII file name and, when that loses something, the UTF-8
 * one (RFC 8187). Free with xfree. */
char *head_disposition(const char *type, const char *name);

/* An entity tag (RFC 9110, 8.8.3) with its quotes, made by printf of at most 77 characters. */
void head_etag(char out[static 80], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
