/*
 * s3_ask - see s3_ask.h. Every header that is set is signed.
 */
#include "s3_ask.h"

#include "http_head.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	SMALL_MS = 60 * 1000,         /* a call without a large body */
	COMPLETE_MS = 10 * 60 * 1000, /* the server joins parts: "several minutes" */
	URL_MAX = 16384,
	ANSWER_MAX = 4 << 20, /* a page of a list holds 1,000 keys of 1 KiB */
};

static const char empty_sha256[] =
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* ---- Calls ---- */

static void begin(struct s3_call *c, const char *action, const char *method, const char *key)
{
	*c = (struct s3_call){
		.action = action, .method = method, .key = xstrdup(key), .total_ms = SMALL_MS};
	memcpy(c->payload, empty_sha256, sizeof c->payload);
}

static void query(struct s3_call *c, const char *name, const char *value)
{
	assert(c->nquery < S3_QUERY_MAX);
	c->query[c->nquery++] = (struct sigv4_field){name, xstrdup(value)};
}

static void header(struct s3_call *c, const char *name, const char *value)
{
	assert(c->nheaders < S3_HEADERS_MAX);
	c->headers[c->nheaders++] = (struct sigv4_field){name, xstrdup(value)};
}

static void take_body(struct s3_call *c, char *xml)
{
	c->body = xml;
	c->body_len = strlen(xml);
	sha256_hex(xml, c->body_len, c->payload);
	header(c, "content-type", "application/xml");
}

/* What is kept with the object, for whoever reads it without us. */
static void describe(struct s3_call *c, const struct s3_object *o)
{
	char *shown = head_disposition("attachment", o->name);
	header(c, "content-type", *o->mime ? o->mime : "application/octet-stream");
	header(c, "content-disposition", shown);
	header(c, "x-amz-meta-sha256", o->sha256);
	xfree(shown);
}

void s3_call_put(struct s3_call *c, const struct s3_object *o)
{
	begin(c, "put", "PUT", o->key);
	describe(c, o);
	if (o->md5)
		header(c, "content-md5", o->md5);
	if (o->only_new)
		header(c, "if-none-match", "*");
	snprintf(c->payload, sizeof c->payload, "%s", o->sha256);
	c->total_ms = 0;
}

void s3_call_create(struct s3_call *c, const struct s3_object *o)
{
	begin(c, "create", "POST", o->key);
	describe(c, o);
	query(c, "uploads", "");
	c->body = xstrdup("");
	c->alone = true;
}

void s3_call_part(struct s3_call *c, const char *key, const char *upload, int number,
		  const char *sha256, const char *md5)
{
	char digits[16];
	snprintf(digits, sizeof digits, "%d", number);
	begin(c, "part", "PUT", key);
	query(c, "partNumber", digits);
	query(c, "uploadId", upload);
	if (md5)
		header(c, "content-md5", md5);
	snprintf(c->payload, sizeof c->payload, "%s", sha256);
	c->total_ms = 0;
}

void s3_call_complete(struct s3_call *c, const char *key, const char *upload, char *xml,
		      bool only_new)
{
	begin(c, "complete", "POST", key);
	query(c, "uploadId", upload);
	take_body(c, xml);
	if (only_new)
		header(c, "if-none-match", "*");
	c->total_ms = COMPLETE_MS;
	c->patient = true;
}

void s3_call_abort(struct s3_call *c, const char *key, const char *upload)
{
	begin(c, "abort", "DELETE", key);
	query(c, "uploadId", upload);
}

void s3_call_parts(struct s3_call *c, const char *key, const char *upload, const char *marker)
{
	begin(c, "parts", "GET", key);
	query(c, "uploadId", upload);
	if (*marker)
		query(c, "part-number-marker", marker);
}

static void below(struct s3_call *c, const struct s3_place *p, const char *folder)
{
	char *prefix = xasprintf("%s%s", p->prefix, folder);
	query(c, "prefix", prefix);
	xfree(prefix);
}

void s3_call_uploads(struct s3_call *c, const struct s3_place *p, const char *folder,
		     const char *key_marker, const char *upload_marker)
{
	begin(c, "uploads", "GET", "");
	query(c, "uploads", "");
	below(c, p, folder);
	if (*key_marker)
		query(c, "key-marker", key_marker);
	if (*upload_marker)
		query(c, "upload-id-marker", upload_marker);
}

void s3_call_list(struct s3_call *c, const struct s3_place *p, const char *folder,
		  const char *token)
{
	begin(c, "list", "GET", "");
	char most[16];
	snprintf(most, sizeof most, "%d", S3_PAGE_MAX);
	query(c, "list-type", "2");
	query(c, "max-keys", most);
	below(c, p, folder);
	if (*token)
		query(c, "continuation-token", token);
}

void s3_call_get(struct s3_call *c, const char *key, int64_t from, const char *etag)
{
	begin(c, "get", "GET", key);
	if (from > 0) {
		char range[48];
		snprintf(range, sizeof range, "bytes=%" PRId64 "-", from);
		header(c, "range", range);
	}
	if (*etag)
		header(c, "if-match", etag);
	c->total_ms = 0;
}

void s3_call_head(struct s3_call *c, const char *key)
{
	begin(c, "head", "HEAD", key);
}

void s3_call_bucket(struct s3_call *c)
{
	begin(c, "bucket", "HEAD", "");
}

void s3_call_delete(struct s3_call *c, const char *key)
{
	begin(c, "delete", "DELETE", key);
}

void s3_call_delete_many(struct s3_call *c, char *xml)
{
	unsigned char raw[16];
	char text[BASE64_SIZE(sizeof raw)];
	begin(c, "delete", "POST", "");
	query(c, "delete", "");
	take_body(c, xml);
	struct md5 *h = md5_new();
	md5_add(h, c->body, c->body_len);
	md5_end(h, raw);
	md5_free(h);
	base64_encode(raw, sizeof raw, text);
	header(c, "content-md5", text); /* required by the action */
}

void s3_call_release(struct s3_call *c)
{
	xfree(c->key);
	for (size_t i = 0; i < c->nquery; i++)
		xfree((char *)(uintptr_t)c->query[i].value);
	for (size_t i = 0; i < c->nheaders; i++)
		xfree((char *)(uintptr_t)c->headers[i].value);
	xfree(c->body);
	*c = (struct s3_call){0};
}

/* ---- Signing ---- */

static struct sigv4_key key_of(const struct s3_place *p, const struct s3_account *a)
{
	return (struct sigv4_key){.access_key = a->access_key,
				  .secret_key = a->secret_key,
				  .session_token = a->session_token,
				  .region = p->region,
				  .service = "s3"};
}

static char *address(const struct s3_place *p, const char *path, const struct sigv4_field *query,
		     size_t nquery, const char *ready)
{
	struct buf url;
	buf_init(&url, URL_MAX);
	buf_addf(&url, "%s://%s", p->scheme, p->host);
	sigv4_path(&url, path);
	if (ready)
		buf_addf(&url, "?%s", ready);
	else if (nquery) {
		buf_adds(&url, "?");
		sigv4_query(&url, query, nquery);
	}
	assert(!url.overflow);
	return buf_detach(&url);
}

void s3_request(const struct s3_place *p, const struct s3_account *a, const struct s3_call *c,
		int64_t now_s, struct http_req *q)
{
	struct sigv4_field signed_headers[S3_HEADERS_MAX + 4];
	char date[17];
	size_t n = 0;
	struct buf path, value;
	buf_init(&path, 2 * S3_KEY_MAX);
	buf_init(&value, 4096);
	s3_place_path(p, c->key, &path);
	sigv4_date(now_s, date);
	signed_headers[n++] = (struct sigv4_field){"host", p->host};
	signed_headers[n++] = (struct sigv4_field){"x-amz-date", date};
	signed_headers[n++] = (struct sigv4_field){"x-amz-content-sha256", c->payload};
	if (a->session_token && *a->session_token)
		signed_headers[n++] =
			(struct sigv4_field){"x-amz-security-token", a->session_token};
	for (size_t i = 0; i < c->nheaders; i++)
		signed_headers[n++] = c->headers[i];
	const struct sigv4_key key = key_of(p, a);
	const struct sigv4_request r = {.method = c->method,
					.path = buf_str(&path),
					.query = c->query,
					.nquery = c->nquery,
					.headers = signed_headers,
					.nheaders = n,
					.payload = c->payload,
					.time_s = now_s};
	sigv4_authorization(&value, &key, &r);
	assert(!path.overflow && !value.overflow);
	*q = (struct http_req){.method = c->method,
			       .url = address(p, buf_str(&path), c->query, c->nquery, NULL),
			       .body = c->body,
			       .body_len = c->body_len,
			       .total_ms = c->total_ms,
			       .max_body = ANSWER_MAX,
			       .in_memory = true,
			       .no_body = strcmp(c->method, "HEAD") == 0,
			       .patient = c->patient,
			       .fresh = c->alone,
			       .want = {[S3_WANT_ETAG] = "etag",
					[S3_WANT_DATE] = "date",
					[S3_WANT_SHA256] = "x-amz-meta-sha256",
					[S3_WANT_REGION] = "x-amz-bucket-region",
					[S3_WANT_REQUEST] = "x-amz-request-id"}};
	http_req_header(q, "Authorization: %s", buf_str(&value));
	for (size_t i = 1; i < n; i++)
		http_req_header(q, "%s: %s", signed_headers[i].name, signed_headers[i].value);
	http_req_header(q,
			"Expect:"); /* libcurl would wait a second for servers that know no 100 */
	buf_release(&path);
	buf_release(&value);
}

char *s3_link(const struct s3_place *p, const struct s3_account *a, const char *key,
	      const char *name, const char *mime, int64_t now_s, int64_t ttl_s)
{
	char *shown = head_disposition("attachment", name);
	const struct sigv4_field query[] = {{"response-content-disposition", shown},
					    {"response-content-type", mime}};
	const struct sigv4_field host = {"host", p->host};
	struct buf path, ready;
	buf_init(&path, 2 * S3_KEY_MAX);
	buf_init(&ready, URL_MAX - 2048);
	s3_place_path(p, key, &path);
	const struct sigv4_key k = key_of(p, a);
	const struct sigv4_request r = {.method = "GET",
					.path = buf_str(&path),
					.query = query,
					.nquery = 2,
					.headers = &host,
					.nheaders = 1,
					.payload = "UNSIGNED-PAYLOAD",
					.time_s = now_s};
	sigv4_presign(&ready, &k, &r, ttl_s < S3_LINK_MAX_S ? ttl_s : S3_LINK_MAX_S);
	assert(!path.overflow && !ready.overflow);
	char *url = address(p, buf_str(&path), NULL, 0, buf_str(&ready));
	buf_release(&path);
	buf_release(&ready);
	xfree(shown);
	return url;
}
