/*
 * api_answer - how answers look: JSON, problems, entity tags, and the headers that all of them
 * have. Decides nothing about what is answered.
 */
#include "api_call.h"

#include "log.h"
#include "metrics.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GZIP_FROM = 1024 };

const char *api_header_value(const struct api_response *r, size_t i)
{
	return buf_str(&r->text) + r->headers[i].at;
}

void api_header(struct api_call *c, const char *name, const char *fmt, ...)
{
	struct api_response *r = &c->res;
	char value[512];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(value, sizeof value, fmt, args);
	va_end(args);
	if (r->nheaders == API_HEADERS)
		die("api: too many headers");
	r->headers[r->nheaders].name = name;
	r->headers[r->nheaders++].at = r->text.len;
	if ((size_t)n < sizeof value) {
		buf_add(&r->text, value, (size_t)n + 1);
		return;
	}
	char *long_value = xmalloc((size_t)n + 1);
	va_start(args, fmt);
	vsnprintf(long_value, (size_t)n + 1, fmt, args);
	va_end(args);
	buf_add(&r->text, long_value, (size_t)n + 1);
	xfree(long_value);
}

enum api_step api_bytes(struct api_call *c, int status, const char *type, struct body *b)
{
	body_drop(c->res.body);
	c->res.status = status;
	c->res.body = b;
	api_header(c, "Content-Type", "%s", type);
	return API_DONE;
}

static struct body *dump(json_t *o)
{
	char *s = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(10));
	if (!s)
		die("out of memory (json)");
	struct body *b = body_from(s, strlen(s));
	free(s);
	json_decref(o);
	return b;
}

enum api_step api_json(struct api_call *c, int status, json_t *o)
{
	return api_bytes(c, status, "application/json", dump(o));
}

/* ---- Problems (RFC 9457) ---- */

/* Every kind of problem there is; docs/openapi.json lists the same. */
static const struct {
	const char *name;
	int status;
	const char *title;
} problems[] = {
	{"malformed-request", 400, "Malformed request"},
	{"invalid-parameter", 400, "Invalid parameter"},
	{"malformed-body", 400, "Malformed body"},
	{"invalid-webhook-url", 400, "Invalid webhook URL"},
	{"too-many-numbers", 400, "Too many case numbers"},
	{"username-taken", 400, "Username taken"},
	{"self-deletion", 400, "Own account"},
	{"authentication-required", 401, "Authentication required"},
	{"invalid-key", 401, "Invalid API key"},
	{"role-required", 403, "Role required"},
	{"case-access-denied", 403, "Access to the case denied"},
	{"invalid-link", 403, "Invalid link"},
	{"not-found", 404, "Not found"},
	{"case-not-found", 404, "Case not found"},
	{"document-not-found", 404, "Document not found"},
	{"document-not-stored", 404, "Document not stored"},
	{"job-not-found", 404, "Job not found"},
	{"batch-not-found", 404, "Batch not found"},
	{"user-not-found", 404, "User not found"},
	{"key-not-found", 404, "Key not found"},
	{"delivery-not-found", 404, "Delivery not found"},
	{"secret-not-found", 404, "Secret not found"},
	{"method-not-allowed", 405, "Method not allowed"},
	{"case-busy", 409, "Case busy"},
	{"job-final", 409, "Job is final"},
	{"job-not-retryable", 409, "Job cannot be retried"},
	{"last-admin", 409, "Last admin"},
	{"delivery-busy", 409, "Delivery under way"},
	{"secret-rotating", 409, "Two secrets are live"},
	{"last-secret", 409, "Newest secret"},
	{"request-running", 409, "Request still running"},
	{"body-too-large", 413, "Body too large"},
	{"target-too-long", 414, "Request target too long"},
	{"unsupported-media-type", 415, "Unsupported media type"},
	{"range-not-satisfiable", 416, "Range not satisfiable"},
	{"invalid-case-number", 422, "Invalid case number"},
	{"invalid-body", 422, "Invalid body"},
	{"key-reused", 422, "Idempotency-Key used for something else"},
	{"quota-exceeded", 429, "Quota exceeded"},
	{"headers-too-large", 431, "Request header fields too large"},
	{"portal-error", 502, "Portal gave no usable answer"},
	{"document-failed", 502, "Document could not be fetched"},
	{"draining", 503, "Shutting down"},
	{"overloaded", 503, "Overloaded"},
	{"database-unavailable", 503, "Database unavailable"},
	{"storage-unavailable", 503, "Storage unavailable"},
};

bool api_is_problem(const char *name)
{
	for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
		if (strcmp(problems[i].name, name) == 0)
			return true;
	return false;
}

/* Takes over `more`: further members, or NULL. */
static enum api_step problem(struct api_call *c, const char *name, const char *detail, json_t *more)
{
	size_t i = 0, n = sizeof problems / sizeof *problems;
	while (i < n && strcmp(problems[i].name, name) != 0)
		i++;
	assert(i < n);
	json_t *o = more ? more : json_object(), *text = json_string(detail);
	const char *target = target_path(c->request->target);
	json_object_set_new(o, "type", json_sprintf("%s/problems/%s", c->api->base, name));
	json_object_set_new(o, "title", json_string(problems[i].title));
	json_object_set_new(o, "status", json_integer(problems[i].status));
	json_object_set_new(o, "detail", text ? text : json_string(problems[i].title));
	json_t *path = *target == '/' ? json_stringn(target, strcspn(target, "?")) : NULL;
	json_object_set_new(o, "instance", path ? path : json_string("/"));
	return api_bytes(c, problems[i].status, "application/problem+json", dump(o));
}

enum api_step api_problem(struct api_call *c, const char *name, const char *fmt, ...)
{
	char detail[600];
	va_list args;
	va_start(args, fmt);
	vsnprintf(detail, sizeof detail, fmt, args);
	va_end(args);
	return problem(c, name, detail, NULL);
}

enum api_step api_problem_with(struct api_call *c, const char *name, json_t *more, const char *fmt,
			       ...)
{
	char detail[600];
	va_list args;
	va_start(args, fmt);
	vsnprintf(detail, sizeof detail, fmt, args);
	va_end(args);
	return problem(c, name, detail, more);
}

enum api_step api_invalid(struct api_call *c, const char *name, json_t *errors)
{
	const json_t *first = json_array_get(errors, 0);
	const char *detail = json_string_value(json_object_get(first, "detail"));
	json_t *more = json_object();
	json_object_set_new(more, "errors", errors);
	return problem(c, name, detail, more);
}

/* What broke is ours to know. */
static enum api_step broken(struct api_call *c, const struct err *e, const char *name,
			    const char *detail)
{
	log_error("request failed", "request_id=%s route=%s why=\"%s\"", c->request_id,
		  c->route ? c->route->name : "-", e->text);
	api_header(c, "Retry-After", "5");
	return api_problem(c, name, "%s", detail);
}

enum api_step api_error_as(struct api_call *c, const struct err *e, const char *absent,
			   const char *busy)
{
	switch (e->kind) {
	case ERR_INPUT:
		return api_problem(c, "invalid-body", "%s", e->text);
	case ERR_ABSENT:
		return api_problem(c, absent, "%s", e->text);
	case ERR_DENIED:
		return api_problem(c, "role-required", "%s", e->text);
	case ERR_BUSY:
		return api_problem(c, busy, "%s", e->text);
	case ERR_NONE:
	case ERR_FAIL:
		break;
	}
	return broken(
		c, e, "database-unavailable",
		"the service cannot read or write its data now; nothing is confirmed: ask again");
}

enum api_step api_store_error(struct api_call *c, const struct err *e, const char *absent)
{
	if (e->kind == ERR_ABSENT)
		return api_problem(c, absent, "%s", e->text);
	return broken(c, e, "storage-unavailable",
		      "the service cannot reach its stored documents now");
}

enum api_step api_error(struct api_call *c, const struct err *e)
{
	if (e->kind == ERR_BUSY)
		api_header(c, "Retry-After", "5");
	return api_error_as(c, e, "case-not-found", "case-busy");
}

/* ---- Entity tags and kept answers ---- */

bool api_unchanged(struct api_call *c, const char *etag)
{
	const char *asked = api_request_header(c->request, "If-None-Match");
	/* Weak: the same answer may come compressed, and its links count their seconds. */
	api_header(c, "ETag", "W/%s", etag);
	if (!asked || !head_none_match(asked, etag))
		return false;
	c->res.status = 304;
	return true;
}

bool api_cached(struct api_call *c, const char *key)
{
	struct cached found;
	if (!cache_get(c->api->cache, key, &found))
		return false;
	if (api_unchanged(c, found.tag))
		body_drop(found.body);
	else
		api_bytes(c, 200, "application/json", found.body);
	return true;
}

enum api_step api_keep(struct api_call *c, const char *key, const char *etag, int64_t process_id,
		       json_t *o)
{
	struct cached made = {.body = dump(o)};
	snprintf(made.tag, sizeof made.tag, "%s", etag);
	cache_put(c->api->cache, key, process_id, c->since,
		  view_link_fresh_ms(c->api, sys_wall_ms()), &made);
	return api_bytes(c, 200, "application/json", made.body);
}

enum api_step api_json_tagged(struct api_call *c, json_t *o)
{
	char hash[65], etag[80];
	struct body *b = dump(o);
	sha256_hex(body_data(b), body_len(b), hash);
	head_etag(etag, "b%.32s", hash);
	if (!api_unchanged(c, etag))
		return api_bytes(c, 200, "application/json", b);
	body_drop(b);
	return API_DONE;
}

/* ---- The last touch ---- */

static void add_limits(struct api_call *c)
{
	if (!c->rated)
		return;
	const struct rate_state *r = &c->rate;
	int64_t reset_s = (r->reset_ms + 999) / 1000;
	api_header(c, "RateLimit-Policy", "\"default\";q=%" PRId64 ";w=%" PRId64, r->limit,
		   c->rate_window_s);
	api_header(c, "RateLimit", "\"default\";r=%" PRId64 ";t=%" PRId64, r->remaining, reset_s);
	api_header(c, "X-RateLimit-Limit", "%" PRId64, r->limit);
	api_header(c, "X-RateLimit-Remaining", "%" PRId64, r->remaining);
	api_header(c, "X-RateLimit-Reset", "%" PRId64, sys_wall_ms() / 1000 + reset_s);
}

/* CORS (Fetch standard): without credentials, since keys travel in a header of their own. */
static void add_cors(struct api_call *c)
{
	const char *list = c->api->config->cors_origins;
	if (!*list)
		return;
	api_header(c, "Vary", "Origin");
	const char *origin = api_request_header(c->request, "Origin");
	if (!origin || strlen(origin) > 300 || strpbrk(origin, "\r\n") ||
	    (!text_in_list(list, "*", 1) && !text_in_list(list, origin, strlen(origin))))
		return;
	api_header(c, "Access-Control-Allow-Origin", "%s", origin);
	api_header(c, "Access-Control-Expose-Headers",
		   "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, RateLimit, "
		   "RateLimit-Policy, Retry-After, X-Request-ID");
}

static void compress(struct api_call *c)
{
	struct body *b = c->res.body;
	if (!b || c->res.status == 304 || body_len(b) < GZIP_FROM)
		return;
	api_header(c, "Vary", "Accept-Encoding");
	const char *accepts = api_request_header(c->request, "Accept-Encoding");
	if (!accepts || !head_accepts_gzip(accepts))
		return;
	struct body *small = body_gzip(b);
	if (!small)
		return;
	c->res.body = body_hold(small);
	body_drop(b);
	api_header(c, "Content-Encoding", "gzip");
}

static void add_common(struct api_call *c)
{
	bool own = false; /* pages and files bring a policy of their own */
	for (size_t i = 0; i < c->res.nheaders; i++)
		own = own || strcmp(c->res.headers[i].name, "Content-Security-Policy") == 0;
	api_header(c, "X-Request-ID", "%s", c->request_id);
	api_header(c, "X-Content-Type-Options", "nosniff");
	api_header(c, "Referrer-Policy", "no-referrer");
	if (!own) {
		api_header(c, "Content-Security-Policy",
			   "default-src 'none'; frame-ancestors 'none'");
		api_header(c, "Cache-Control", "private, no-cache");
	}
	if (c->request->secure)
		api_header(c, "Strict-Transport-Security", "max-age=31536000");
}

static const char *class_of(int status)
{
	static const char *const classes[] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};
	return classes[status >= 100 && status < 600 ? status / 100 : 0];
}

void api_finish(struct api_call *c)
{
	const char *route = c->route ? c->route->name : "none";
	int64_t us = sys_mono_us() - c->started_us;
	add_limits(c);
	add_cors(c);
	compress(c);
	add_common(c);
	metric_count(FAMILY_http_requests, class_of(c->res.status));
	metric_count(FAMILY_http_route_requests, route);
	metric_observe(HISTOGRAM_http_request, route, (double)us / 1e6);
	log_debug("request",
		  "request_id=%s method=%s route=%s status=%d us=%" PRId64 " user=%" PRId64,
		  c->request_id, c->route ? c->route->method : "-", route, c->res.status, us,
		  c->who.user_id);
}
