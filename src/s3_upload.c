/*
 * s3_upload - see s3_upload.h. This file holds the small upload, what both kinds share, and how a
 * key is settled that is taken; large ones are in s3_parts.c.
 */
#include "s3_upload.h"

#include "s3_parts.h"
#include "s3_xml.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { READ_SIZE = 256 << 10, SUFFIX_DIGITS = 8 };

/* ---- Shared with s3_parts.c ---- */

bool s3_upload_add(const struct spool *body, int64_t from, int64_t len, struct md5 *m,
		   struct sha256 *s, struct err *e)
{
	char *buffer = xmalloc(READ_SIZE);
	bool ok = true;
	for (int64_t at = 0; ok && at < len;) {
		size_t want = len - at < READ_SIZE ? (size_t)(len - at) : READ_SIZE;
		ssize_t n = spool_read(body, from + at, buffer, want);
		if (n <= 0) {
			ok = fail(e, ERR_FAIL, "cannot read the spool file back");
			break;
		}
		md5_add(m, buffer, (size_t)n);
		if (s)
			sha256_add(s, buffer, (size_t)n);
		at += n;
	}
	xfree(buffer);
	return ok;
}

bool s3_upload_hash(const struct spool *body, int64_t from, int64_t len, unsigned char md5[16],
		    char sha256[65], struct err *e)
{
	struct md5 *m = md5_new();
	struct sha256 *s = sha256 ? sha256_new() : NULL;
	bool ok = s3_upload_add(body, from, len, m, s, e);
	md5_end(m, md5);
	if (s)
		sha256_end(s, sha256);
	md5_free(m);
	sha256_free(s);
	return ok;
}

void s3_upload_ask(struct s3_upload *u, void (*done)(struct s3_op *))
{
	u->op.owner = u;
	u->op.done = done;
	s3_engine_start(u->target.engine, &u->op);
}

void s3_upload_end(struct s3_upload *u, const struct err *why)
{
	struct put *put = u->put;
	put->ok = why == NULL;
	if (why)
		put->err = *why;
	if (why && u->unlike)
		atomic_store(u->target.doubted, true);
	s3_op_release(&u->op);
	s3_parts_release(u);
	s3_proof_release(u);
	s3_strays_release(u);
	xfree(u);
	put->finished(put);
}

struct s3_object s3_upload_object(const struct s3_upload *u, const char *md5)
{
	return (struct s3_object){.key = u->put->key,
				  .mime = u->put->mime,
				  .name = u->put->name,
				  .sha256 = u->put->body->sha256,
				  .md5 = md5,
				  .only_new = u->target.facts.only_new};
}

bool s3_upload_etag_is(const struct s3_upload *u, const char *etag, const char *expected)
{
	if (!u->target.facts.etag_is_md5)
		return true;
	char *plain = s3_plain_etag(etag);
	bool same = strcmp(plain, expected) == 0;
	xfree(plain);
	return same;
}

/* "a/b.pdf" as "a/b-0123abcd.pdf". */
static char *other_key(const char *key, const char *sha256)
{
	const char *slash = strrchr(key, '/'), *dot = strrchr(slash ? slash : key, '.');
	int stem = dot ? (int)(dot - key) : (int)strlen(key);
	return xasprintf("%.*s-%.*s%s", stem, key, SUFFIX_DIGITS, sha256, dot ? dot : "");
}

/* ---- A key that is taken ---- */

static void begin(struct s3_op *op);

static void restart(struct s3_upload *u)
{
	s3_op_release(&u->op);
	s3_parts_release(u);
	u->ours = false;
	s3_upload_ask(u, begin);
}

void s3_upload_known(struct s3_upload *u, bool same)
{
	if (same) {
		s3_strays_end(u);
		return;
	}
	if (u->ours) { /* completed from an older upload that was begun with other facts, or wrong
			*/
		s3_upload_wrong(u);
		return;
	}
	if (u->renamed) {
		struct err e;
		fail(&e, ERR_FAIL, "object %s is there already, with other bytes", u->put->key);
		s3_upload_end(u, &e);
		return;
	}
	u->renamed = true;
	char *key = other_key(u->put->key, u->put->body->sha256);
	xfree(u->put->key);
	u->put->key = key;
	restart(u);
}

static bool tells_parts(const char *said)
{
	char *etag = s3_plain_etag(said);
	bool tells = s3_etag_parts(etag) > 0;
	xfree(etag);
	return tells;
}

static void got_head(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	const struct spool *body = u->put->body;
	/* Without the permission to list, Amazon does not say that a key is free. */
	bool hidden = op->res->status == 403 && !u->target.facts.may_list;
	if (op->verdict.meaning == S3_ABSENT || hidden) {
		u->on_absent(u);
		return;
	}
	if (op->verdict.meaning != S3_GOOD) {
		s3_upload_end(u, &op->verdict.err);
		return;
	}
	bool same = op->res->content_length == body->size &&
		    strcmp(op->res->want[S3_WANT_SHA256], body->sha256) == 0;
	const char *etag = op->res->want[S3_WANT_ETAG];
	if (same && (!u->ours || (u->blind && !tells_parts(etag))))
		s3_proof_begin(u, etag);
	else
		s3_upload_known(
			u, same && (!tells_parts(etag) || s3_upload_etag_is(u, etag, u->etag)));
}

void s3_upload_look(struct s3_upload *u, void (*on_absent)(struct s3_upload *))
{
	u->on_absent = on_absent;
	s3_op_release(&u->op);
	s3_call_head(&u->op.call, u->put->key);
	s3_upload_ask(u, got_head);
}

/* ---- Bytes that arrived wrong ---- */

static void removed_wrong(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	if (op->verdict.meaning != S3_GOOD && op->verdict.meaning != S3_ABSENT) {
		s3_upload_end(u, &op->verdict.err);
		return;
	}
	if (u->wrong <= u->target.config->s3_retry_max) {
		restart(u);
		return;
	}
	struct err e;
	fail(&e, ERR_BUSY, "the S3 server's ETag of %s is not that of the bytes that were sent",
	     u->put->key);
	s3_upload_end(u, &e);
}

void s3_upload_wrong(struct s3_upload *u)
{
	u->wrong++;
	u->unlike = true;
	u->anew = true;
	s3_op_release(&u->op);
	s3_call_delete(&u->op.call, u->put->key);
	s3_upload_ask(u, removed_wrong);
}

/* ---- Small documents ---- */

static void absent_after_all(struct s3_upload *u)
{
	if (++u->wrong <= u->target.config->s3_retry_max) {
		restart(u);
		return;
	}
	struct err e;
	fail(&e, ERR_BUSY, "the S3 server says that %s is taken, and that it is not there",
	     u->put->key);
	s3_upload_end(u, &e);
}

static void got_put(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	char hex[33];
	switch (op->verdict.meaning) {
	case S3_GOOD:
		sys_hex(u->md5, sizeof u->md5, hex);
		if (s3_upload_etag_is(u, op->res->want[S3_WANT_ETAG], hex))
			s3_upload_end(u, NULL);
		else
			s3_upload_wrong(u);
		return;
	case S3_TAKEN: /* perhaps by us: an answer may have been lost */
		s3_upload_look(u, absent_after_all);
		return;
	case S3_ABSENT:
	case S3_RETRY:
	case S3_SLOW:
	case S3_REFUSED:
	case S3_LOCAL:
		s3_upload_end(u, &op->verdict.err);
		return;
	}
}

static void put_whole(struct s3_upload *u)
{
	struct err e;
	char text[BASE64_SIZE(sizeof u->md5)];
	const struct spool *body = u->put->body;
	if (!s3_upload_hash(body, 0, body->size, u->md5, NULL, &e)) {
		s3_upload_end(u, &e);
		return;
	}
	base64_encode(u->md5, sizeof u->md5, text);
	const struct s3_object o = s3_upload_object(u, text);
	s3_op_release(&u->op);
	s3_call_put(&u->op.call, &o);
	u->op.body = body;
	u->op.len = body->size;
	s3_upload_ask(u, got_put);
}

/* ---- Starting ---- */

static void begin(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	u->op.body = NULL;
	bool large = u->put->body->size > u->target.config->s3_multipart_from;
	if (large || !u->target.facts.only_new) /* the put itself would not find out */
		s3_upload_look(u, large ? s3_parts_begin : put_whole);
	else
		put_whole(u);
}

void s3_upload_start(const struct s3_target *t, struct put *put)
{
	struct s3_upload *u = xcalloc(1, sizeof *u);
	u->target = *t;
	u->put = put;
	s3_upload_ask(u, begin);
}
