/*
 * bucket - a bucket of an S3 server in memory, for tests of what asks it: objects, uploads in
 * parts, lists, conditions and ranges as Amazon S3 has them, and faults by rules. It checks that
 * what comes fits its Content-MD5 and x-amz-content-sha256; signatures it does not.
 */
#ifndef AUTOS_BUCKET_H
#define AUTOS_BUCKET_H

#include "peer.h"

#include "config.h"
#include "s3_engine.h"
#include "text.h"

enum { BUCKET_OBJECTS = 64, BUCKET_UPLOADS = 16, BUCKET_PARTS = 32, BUCKET_RULES = 16 };

#define BUCKET_ALWAYS 1000000

struct bucket_bytes {
	char *data; /* NULL = not there */
	size_t len;
	char etag[48]; /* without quotes */
};

struct bucket_object {
	char *key;
	struct bucket_bytes bytes;
	char *sha256;     /* as it was described */
	const char *said; /* in place of its ETag, with quotes if any; "" = none is said */
};

struct bucket_upload {
	char *key, *id, *sha256;
	struct bucket_bytes parts[BUCKET_PARTS];
};

/* What goes wrong: the first rule that fits a request, `times` times after it let `skip` pass. */
struct bucket_rule {
	const char *method, *part; /* "" = any; characters of the target */
	int skip, times;
	int status;                 /* 0 = the connection breaks */
	const char *headers, *code; /* code: of an <Error> */
	const char *body;           /* in place of it */
	bool silent;
	bool after;      /* the work is done all the same */
	size_t cut;      /* of a good answer only so many bytes come, then the connection breaks */
	bool whole;      /* a range is not known here */
	bool other_etag; /* the bytes are taken for others */
	void (*hook)(void *); /* is called, with the bucket's arg */
};

struct bucket {
	struct peer peer;
	struct bucket_object objects[BUCKET_OBJECTS];
	struct bucket_upload uploads[BUCKET_UPLOADS];
	struct bucket_rule rules[BUCKET_RULES];
	size_t nrules;
	int ids;
	bool no_conditions;              /* If-None-Match is passed over */
	bool opaque_parts, opaque_whole; /* ETags of parts, and of what is joined, are no MD5 */
	void *arg;

	struct config config;
	struct s3_place place;
	struct s3_account account;
};

/* ---- Values ---- */

static inline void bucket_etag(struct bucket_bytes *b, const void *data, size_t len)
{
	unsigned char raw[16];
	struct md5 *h = md5_new();
	md5_add(h, data, len);
	md5_end(h, raw);
	md5_free(h);
	sys_hex(raw, sizeof raw, b->etag);
}

static inline void bucket_keep(struct bucket_bytes *b, const char *data, size_t len)
{
	xfree(b->data);
	b->data = xmalloc(len + 1);
	memcpy(b->data, data, len);
	b->len = len;
	bucket_etag(b, data, len);
}

static inline struct bucket_object *bucket_find(struct bucket *b, const char *key)
{
	for (int i = 0; i < BUCKET_OBJECTS; i++)
		if (b->objects[i].key && strcmp(b->objects[i].key, key) == 0)
			return &b->objects[i];
	return NULL;
}

static inline struct bucket_object *bucket_make(struct bucket *b, const char *key)
{
	struct bucket_object *o = bucket_find(b, key);
	for (int i = 0; !o && i < BUCKET_OBJECTS; i++)
		if (!b->objects[i].key)
			o = &b->objects[i];
	assert_non_null(o);
	if (!o->key)
		o->key = xstrdup(key);
	return o;
}

static inline void bucket_drop(struct bucket_object *o)
{
	xfree(o->key);
	xfree(o->bytes.data);
	xfree(o->sha256);
	*o = (struct bucket_object){0};
}

static inline struct bucket_upload *bucket_upload(struct bucket *b, const char *id)
{
	for (int i = 0; i < BUCKET_UPLOADS; i++)
		if (b->uploads[i].id && strcmp(b->uploads[i].id, id) == 0)
			return &b->uploads[i];
	return NULL;
}

static inline struct bucket_upload *bucket_begin(struct bucket *b, const char *key,
						 const char *sha256)
{
	struct bucket_upload *u = NULL;
	for (int i = 0; !u && i < BUCKET_UPLOADS; i++)
		if (!b->uploads[i].id)
			u = &b->uploads[i];
	assert_non_null(u);
	u->key = xstrdup(key);
	u->id = xasprintf("2~id/%d=", ++b->ids);
	u->sha256 = xstrdup(sha256);
	return u;
}

static inline void bucket_forget(struct bucket_upload *u)
{
	xfree(u->key);
	xfree(u->id);
	xfree(u->sha256);
	for (int i = 0; i < BUCKET_PARTS; i++)
		xfree(u->parts[i].data);
	*u = (struct bucket_upload){0};
}

/* ---- Requests ---- */

/* A parameter of the target, decoded, "" when it is there without value, NULL when it is not. */
static inline char *bucket_query(const char *target, const char *name)
{
	size_t n = strlen(name);
	for (const char *s = strchr(target, '?'); s; s = strchr(s, '&')) {
		s++;
		if (strncmp(s, name, n) != 0 || (s[n] != '=' && s[n] != '&' && s[n]))
			continue;
		char *value = s[n] == '=' ? xstrndup(s + n + 1, strcspn(s + n + 1, "&")) : NULL;
		char *to = value;
		for (const char *at = value; at && *at; at++) {
			int c = percent_value(at);
			*to++ = c > 0 ? (char)c : *at;
			at += c > 0 ? 2 : 0;
		}
		if (to)
			*to = '\0';
		return value ? value : xstrdup("");
	}
	return NULL;
}

static inline void bucket_error(struct peer_answer *a, int status, const char *code)
{
	a->status = status;
	a->body = xasprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>%s</Code>"
			    "<Message>said the bucket</Message></Error>",
			    code);
	a->len = strlen(a->body);
}

static inline void bucket_say(struct peer_answer *a, struct buf *xml)
{
	a->status = 200;
	a->len = xml->len;
	a->body = buf_detach(xml);
}

/* Whether the bytes that came are those that were meant. */
static inline bool bucket_fits(const struct peer_asked *q)
{
	unsigned char raw[16];
	char hex[65], text[BASE64_SIZE(sizeof raw)];
	char *sha256 = peer_header(q, "x-amz-content-sha256"), *md5 = peer_header(q, "content-md5");
	struct md5 *h = md5_new();
	md5_add(h, q->body, q->body_len);
	md5_end(h, raw);
	md5_free(h);
	base64_encode(raw, sizeof raw, text);
	sha256_hex(q->body, q->body_len, hex);
	bool ok = sha256 && strcmp(sha256, hex) == 0 && (!md5 || strcmp(md5, text) == 0);
	xfree(sha256);
	xfree(md5);
	return ok;
}

static inline bool bucket_refuses(struct bucket *b, const struct peer_asked *q, const char *key,
				  struct peer_answer *a)
{
	char *only_new = peer_header(q, "if-none-match");
	bool taken = only_new && !b->no_conditions && bucket_find(b, key);
	xfree(only_new);
	if (taken)
		bucket_error(a, 412, "PreconditionFailed");
	return taken;
}

static inline void bucket_got(struct peer_answer *a, const struct bucket_bytes *b)
{
	a->status = 200;
	a->headers = xasprintf("ETag: \"%s\"\r\n", b->etag);
}

static inline void bucket_put(struct bucket *b, const struct peer_asked *q, const char *key,
			      struct peer_answer *a)
{
	if (bucket_refuses(b, q, key, a))
		return;
	struct bucket_object *o = bucket_make(b, key);
	xfree(o->sha256);
	o->sha256 = peer_header(q, "x-amz-meta-sha256");
	bucket_keep(&o->bytes, q->body, q->body_len);
	bucket_got(a, &o->bytes);
}

static inline void bucket_part(struct bucket *b, const struct peer_asked *q, const char *id,
			       const char *number, struct peer_answer *a)
{
	struct bucket_upload *u = bucket_upload(b, id);
	int n = (int)strtol(number, NULL, 10);
	if (!u) {
		bucket_error(a, 404, "NoSuchUpload");
		return;
	}
	assert_in_range(n, 1, BUCKET_PARTS);
	struct bucket_bytes *p = &u->parts[n - 1];
	bucket_keep(p, q->body, q->body_len);
	if (b->opaque_parts)
		snprintf(p->etag, sizeof p->etag, "part/%d=", n);
	bucket_got(a, p);
}

/* Parts are joined in the order of the request, which names the ETag of each. */
static inline bool bucket_join(struct bucket_upload *u, const char *xml, struct bucket_bytes *out)
{
	struct buf whole, raw;
	int n = 0;
	buf_init(&whole, 64 << 20);
	buf_init(&raw, 4096);
	bool ok = true;
	for (const char *s = xml; ok && (s = strstr(s, "<PartNumber>")); n++) {
		s += 12;
		long number = strtol(s, NULL, 10);
		const char *etag = strstr(s, "<ETag>&quot;");
		const struct bucket_bytes *p = &u->parts[number - 1];
		assert_in_range(number, 1, BUCKET_PARTS);
		ok = number == n + 1 && p->data && etag &&
		     strncmp(etag + 12, p->etag, strlen(p->etag)) == 0 &&
		     strncmp(etag + 12 + strlen(p->etag), "&quot;<", 7) == 0;
		for (int i = 0; ok && i < 32; i += 2) {
			int high = hex_value(p->etag[i]), low = hex_value(p->etag[i + 1]);
			char byte = high < 0 || low < 0 ? 0 : (char)(high * 16 + low);
			buf_add(&raw, &byte, 1);
		}
		if (ok)
			buf_add(&whole, p->data, p->len);
	}
	ok = ok && n > 0;
	if (ok) {
		bucket_keep(out, whole.data, whole.len);
		bucket_etag(out, raw.data, raw.len);
		snprintf(out->etag + 32, sizeof out->etag - 32, "-%d", n);
	}
	buf_release(&whole);
	buf_release(&raw);
	return ok;
}

static inline void bucket_complete(struct bucket *b, const struct peer_asked *q, const char *key,
				   const char *id, struct peer_answer *a)
{
	struct bucket_upload *u = bucket_upload(b, id);
	struct bucket_bytes whole = {0};
	struct buf xml;
	if (!u) {
		bucket_error(a, 404, "NoSuchUpload");
		return;
	}
	if (bucket_refuses(b, q, key, a))
		return;
	if (!bucket_join(u, q->body, &whole)) {
		bucket_error(a, 400, "InvalidPart");
		return;
	}
	if (b->opaque_whole)
		snprintf(whole.etag, sizeof whole.etag, "CJ3oz8XkAA=");
	struct bucket_object *o = bucket_make(b, key);
	xfree(o->bytes.data);
	xfree(o->sha256);
	o->bytes = whole;
	o->sha256 = xstrdup(u->sha256);
	bucket_forget(u);
	buf_init(&xml, 4096);
	buf_addf(&xml,
		 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n  <CompleteMultipartUploadResult>"
		 "<ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
		 whole.etag);
	bucket_say(a, &xml);
}

static inline void bucket_list(struct bucket *b, const char *target, struct peer_answer *a)
{
	char *prefix = bucket_query(target, "prefix"), *uploads = bucket_query(target, "uploads");
	const char *root = uploads ? "ListMultipartUploadsResult" : "ListBucketResult";
	struct buf xml;
	buf_init(&xml, 1 << 20);
	buf_addf(&xml, "<%s><IsTruncated>false</IsTruncated>", root);
	for (int i = 0; !uploads && i < BUCKET_OBJECTS; i++)
		if (b->objects[i].key && strncmp(b->objects[i].key, prefix, strlen(prefix)) == 0)
			buf_addf(&xml, "<Contents><Key>%s</Key><Size>%zu</Size></Contents>",
				 b->objects[i].key, b->objects[i].bytes.len);
	for (int i = 0; uploads && i < BUCKET_UPLOADS; i++)
		if (b->uploads[i].key && strncmp(b->uploads[i].key, prefix, strlen(prefix)) == 0)
			buf_addf(&xml,
				 "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>2026-01-02"
				 "T03:04:%02d.000Z</Initiated></Upload>",
				 b->uploads[i].key, b->uploads[i].id, i);
	buf_addf(&xml, "</%s>", root);
	xfree(prefix);
	xfree(uploads);
	bucket_say(a, &xml);
}

static inline void bucket_parts(struct bucket *b, const char *id, struct peer_answer *a)
{
	struct bucket_upload *u = bucket_upload(b, id);
	struct buf xml;
	if (!u) {
		bucket_error(a, 404, "NoSuchUpload");
		return;
	}
	buf_init(&xml, 1 << 20);
	buf_adds(&xml, "<ListPartsResult><IsTruncated>false</IsTruncated>");
	for (int i = 0; i < BUCKET_PARTS; i++)
		if (u->parts[i].data)
			buf_addf(&xml,
				 "<Part><PartNumber>%d</PartNumber><ETag>\"%s\"</ETag><Size>%zu"
				 "</Size></Part>",
				 i + 1, u->parts[i].etag, u->parts[i].len);
	buf_adds(&xml, "</ListPartsResult>");
	bucket_say(a, &xml);
}

static inline void bucket_get(struct bucket *b, const struct peer_asked *q, const char *key,
			      bool whole, struct peer_answer *a)
{
	const struct bucket_object *o = bucket_find(b, key);
	char *range = peer_header(q, "range"), *match = peer_header(q, "if-match");
	char *etag = !o ? NULL : o->said ? xstrdup(o->said) : xasprintf("\"%s\"", o->bytes.etag);
	size_t from = range && !whole ? strtoul(range + 6, NULL, 10) : 0;
	if (!o)
		bucket_error(a, 404, "NoSuchKey");
	else if (match && strcmp(match, etag) != 0)
		bucket_error(a, 412, "PreconditionFailed");
	else if (from && from >= o->bytes.len)
		bucket_error(a, 416, "InvalidRange");
	else {
		a->status = from ? 206 : 200;
		a->headers = xasprintf("%s%s%s%s%s%s", *etag ? "ETag: " : "", etag,
				       *etag ? "\r\n" : "", o->sha256 ? "x-amz-meta-sha256: " : "",
				       o->sha256 ? o->sha256 : "", o->sha256 ? "\r\n" : "");
		a->len = o->bytes.len - from;
		a->body = xmalloc(a->len + 1);
		memcpy(a->body, o->bytes.data + from, a->len);
	}
	xfree(etag);
	xfree(range);
	xfree(match);
}

static inline void bucket_delete_many(struct bucket *b, const struct peer_asked *q,
				      struct peer_answer *a)
{
	struct buf xml;
	for (const char *s = q->body; (s = strstr(s, "<Key>"));) {
		s += 5;
		char *key = xstrndup(s, strcspn(s, "<"));
		struct bucket_object *o = bucket_find(b, key);
		if (o)
			bucket_drop(o);
		xfree(key);
	}
	buf_init(&xml, 4096);
	buf_adds(&xml, "<DeleteResult></DeleteResult>");
	bucket_say(a, &xml);
}

static inline void bucket_remove(struct bucket *b, const char *key, const char *id,
				 struct peer_answer *a)
{
	struct bucket_upload *u = id ? bucket_upload(b, id) : NULL;
	struct bucket_object *o = id ? NULL : bucket_find(b, key);
	a->status = 204;
	if (u)
		bucket_forget(u);
	else if (id)
		bucket_error(a, 404, "NoSuchUpload");
	if (o)
		bucket_drop(o);
}

static inline void bucket_work(struct bucket *b, const struct peer_asked *q, bool whole,
			       struct peer_answer *a)
{
	const char *path = q->target + strlen("/autos"), *m = q->method;
	path += *path == '/';
	char *key = xstrndup(path, strcspn(path, "?"));
	char *id = bucket_query(q->target, "uploadId"), *n = bucket_query(q->target, "partNumber");
	char *uploads = bucket_query(q->target, "uploads");
	if (strncmp(q->target, "/autos", 6) != 0)
		bucket_error(a, 404, "NoSuchBucket");
	else if ((strcmp(m, "PUT") == 0 || strcmp(m, "POST") == 0) && !bucket_fits(q))
		bucket_error(a, 400, "BadDigest");
	else if (strcmp(m, "PUT") == 0 && id)
		bucket_part(b, q, id, n, a);
	else if (strcmp(m, "PUT") == 0)
		bucket_put(b, q, key, a);
	else if (strcmp(m, "POST") == 0 && uploads) {
		char *sha256 = peer_header(q, "x-amz-meta-sha256");
		struct buf xml;
		buf_init(&xml, 4096);
		buf_addf(&xml,
			 "<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
			 "</InitiateMultipartUploadResult>",
			 bucket_begin(b, key, sha256)->id);
		bucket_say(a, &xml);
		xfree(sha256);
	} else if (strcmp(m, "POST") == 0 && id)
		bucket_complete(b, q, key, id, a);
	else if (strcmp(m, "POST") == 0)
		bucket_delete_many(b, q, a);
	else if (strcmp(m, "DELETE") == 0)
		bucket_remove(b, key, id, a);
	else if (id)
		bucket_parts(b, id, a);
	else if (!*key && strcmp(m, "HEAD") == 0)
		a->status = 200;
	else if (!*key)
		bucket_list(b, q->target, a);
	else
		bucket_get(b, q, key, whole, a);
	xfree(uploads);
	xfree(key);
	xfree(id);
	xfree(n);
}

/* ---- Rules ---- */

static inline struct bucket_rule *bucket_match(struct bucket *b, const struct peer_asked *q)
{
	for (size_t i = 0; i < b->nrules; i++) {
		struct bucket_rule *r = &b->rules[i];
		if (!r->times || (*r->method && strcmp(r->method, q->method) != 0) ||
		    !strstr(q->target, r->part))
			continue;
		if (r->skip-- > 0)
			continue;
		r->skip = 0;
		r->times--;
		return r;
	}
	return NULL;
}

static inline void bucket_script(void *arg, const struct peer_asked *q, struct peer_answer *a)
{
	struct bucket *b = arg;
	const struct bucket_rule *r = bucket_match(b, q);
	bool keeps = r && (r->cut || r->whole || r->other_etag);
	if (r && r->hook)
		r->hook(b->arg);
	if (!r || r->after || keeps)
		bucket_work(b, q, r && r->whole, a);
	if (r && r->other_etag && a->headers)
		memcpy(strchr(a->headers, '"') + 1, "00000000", 8);
	if (r && r->cut && a->status / 100 == 2 && a->len > r->cut) {
		a->unlike = true;
		a->announce = (int64_t)a->len;
		a->len = r->cut;
	}
	if (!r || keeps)
		return;
	xfree(a->headers);
	xfree(a->body);
	*a = (struct peer_answer){.status = r->status, .silent = r->silent};
	a->headers = r->headers ? xstrdup(r->headers) : NULL;
	if (r->code) {
		bucket_error(a, r->status, r->code);
	} else if (r->body) {
		a->body = xstrdup(r->body);
		a->len = strlen(r->body);
	}
}

static inline void bucket_rule(struct bucket *b, struct bucket_rule r)
{
	pthread_mutex_lock(&b->peer.lock);
	assert_true(b->nrules < BUCKET_RULES);
	if (!r.method)
		r.method = "";
	if (!r.part)
		r.part = "";
	b->rules[b->nrules++] = r;
	pthread_mutex_unlock(&b->peer.lock);
}

static inline void bucket_no_rules(struct bucket *b)
{
	pthread_mutex_lock(&b->peer.lock);
	b->nrules = 0;
	pthread_mutex_unlock(&b->peer.lock);
}

/* ---- Life ---- */

static inline void bucket_set(struct bucket *b, const char *key, const char *value)
{
	struct err e;
	if (!config_set(&b->config, key, value, CONFIG_FILE, &e))
		fail_msg("%s", e.text);
}

/* The bucket "autos" with the prefix "p/", and settings for those who ask it. */
static inline struct bucket *bucket_open(const char *data_dir)
{
	struct bucket *b = xcalloc(1, sizeof *b);
	struct err e;
	peer_open(&b->peer, bucket_script, b);
	config_init(&b->config);
	bucket_set(b, "data_dir", data_dir);
	bucket_set(b, "s3_retry_delay", "0");
	bucket_set(b, "s3_access_key", "AKIAEXAMPLE");
	bucket_set(b, "s3_secret_key", "hunter2");
	char *endpoint = xasprintf("http://127.0.0.1:%d", b->peer.port);
	bucket_set(b, "s3_endpoint", endpoint);
	xfree(endpoint);
	assert_true(s3_place_parse(&b->place, &b->config, "//autos/p", &e));
	b->account = (struct s3_account){"AKIAEXAMPLE", "hunter2", ""};
	return b;
}

static inline void bucket_close(struct bucket *b)
{
	peer_close(&b->peer);
	for (int i = 0; i < BUCKET_OBJECTS; i++)
		bucket_drop(&b->objects[i]);
	for (int i = 0; i < BUCKET_UPLOADS; i++)
		bucket_forget(&b->uploads[i]);
	s3_place_release(&b->place);
	config_release(&b->config);
	xfree(b);
}

/* An engine that asks it; free it with s3_engine_free. */
static inline struct s3_engine *bucket_engine(struct bucket *b)
{
	struct err e;
	struct s3_engine *x = s3_engine_new(&b->place, &b->account, &b->config, &e);
	assert_non_null(x);
	return x;
}

/* ---- Looking ---- */

/* An object that somebody put there, as autos would. */
static inline void bucket_has(struct bucket *b, const char *key, const char *data, size_t len)
{
	char hex[65];
	sha256_hex(data, len, hex);
	pthread_mutex_lock(&b->peer.lock);
	struct bucket_object *o = bucket_make(b, key);
	bucket_keep(&o->bytes, data, len);
	xfree(o->sha256);
	o->sha256 = xstrdup(hex);
	pthread_mutex_unlock(&b->peer.lock);
}

static inline bool bucket_holds(struct bucket *b, const char *key, const char *data, size_t len)
{
	char hex[65];
	sha256_hex(data, len, hex);
	pthread_mutex_lock(&b->peer.lock);
	const struct bucket_object *o = bucket_find(b, key);
	bool ok = o && o->bytes.len == len && memcmp(o->bytes.data, data, len) == 0 && o->sha256 &&
		  strcmp(o->sha256, hex) == 0;
	pthread_mutex_unlock(&b->peer.lock);
	return ok;
}

static inline int bucket_count(struct bucket *b)
{
	int n = 0;
	pthread_mutex_lock(&b->peer.lock);
	for (int i = 0; i < BUCKET_OBJECTS; i++)
		n += b->objects[i].key != NULL;
	pthread_mutex_unlock(&b->peer.lock);
	return n;
}

static inline int bucket_unfinished(struct bucket *b)
{
	int n = 0;
	pthread_mutex_lock(&b->peer.lock);
	for (int i = 0; i < BUCKET_UPLOADS; i++)
		n += b->uploads[i].key != NULL;
	pthread_mutex_unlock(&b->peer.lock);
	return n;
}

#endif
