/*
 * s3_proof - whether the object that stands at a key has our bytes. What it is described as is no
 * proof: an upload that was begun for other bytes keeps the description that it was begun with.
 *
 * An ETag that is the MD5 of our bytes, or of the MD5s of our parts, proves it. Any other says
 * nothing: parts of another length, encryption, and servers of their own mind have such. Then the
 * object is read back.
 */
#include "s3_parts.h"

#include "s3_xml.h"
#include "sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MD5_DIGITS = 32 };

int64_t s3_etag_parts(const char *etag)
{
	if (strspn(etag, "0123456789abcdef") != MD5_DIGITS)
		return -1;
	etag += MD5_DIGITS;
	if (!*etag)
		return 0;
	char *end = NULL;
	long n = *etag == '-' ? strtol(etag + 1, &end, 10) : -1;
	return n > 0 && !*end ? n : -1;
}

/* ---- Reading back ---- */

static bool take(void *arg, const void *data, size_t len, struct err *e)
{
	struct s3_upload *u = arg;
	u->proof.at += (int64_t)len;
	if (u->proof.at > u->put->body->size)
		return fail(e, ERR_FAIL, "more bytes came back");
	sha256_add(u->proof.sha256, data, len);
	return true;
}

static void got_bytes(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	const struct spool *body = u->put->body;
	bool longer = u->proof.at > body->size;
	char hex[65];
	if (op->verdict.meaning == S3_ABSENT) {
		u->on_absent(u);
		return;
	}
	if (op->verdict.meaning != S3_GOOD && !longer) {
		s3_upload_end(u, &op->verdict.err);
		return;
	}
	sha256_end(u->proof.sha256, hex);
	s3_upload_known(u, u->proof.at == body->size && strcmp(hex, body->sha256) == 0);
}

static void read_back(struct s3_upload *u)
{
	s3_proof_release(u);
	u->proof.sha256 = sha256_new();
	u->proof.at = 0;
	s3_op_release(&u->op);
	s3_call_get(&u->op.call, u->put->key, 0, "");
	u->op.sink = take;
	u->op.sink_arg = u;
	s3_upload_ask(u, got_bytes);
}

/* ---- By the ETag ---- */

static void compare(struct s3_upload *u)
{
	unsigned char raw[16];
	char hex[MD5_DIGITS + 1];
	md5_end(u->proof.md5, raw);
	sys_hex(raw, sizeof raw, hex);
	if (strncmp(u->proof.etag, hex, MD5_DIGITS) == 0)
		s3_upload_known(u, true);
	else
		read_back(u);
}

/* As many bytes as a part has, so that the network does not wait for the whole body. */
static void hash_next(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	struct s3_proof *p = &u->proof;
	const struct spool *body = u->put->body;
	int64_t part = s3_parts_length(u), left = body->size - p->at;
	int64_t len = left < part ? left : part;
	unsigned char raw[16];
	struct err e;
	bool ok = p->in_parts ? s3_upload_hash(body, p->at, len, raw, NULL, &e)
			      : s3_upload_add(body, p->at, len, p->md5, NULL, &e);
	if (!ok) {
		s3_upload_end(u, &e);
		return;
	}
	if (p->in_parts)
		md5_add(p->md5, raw, sizeof raw);
	p->at += len;
	if (p->at < body->size)
		s3_upload_ask(u, hash_next);
	else
		compare(u);
}

void s3_proof_begin(struct s3_upload *u, const char *said)
{
	int64_t part = s3_parts_length(u);
	char *etag = s3_plain_etag(said);
	int64_t n = u->target.facts.etag_is_md5 ? s3_etag_parts(etag) : -1;
	bool comparable = n == 0 || n == (u->put->body->size + part - 1) / part;
	s3_proof_release(u);
	if (comparable) {
		u->proof.md5 = md5_new();
		u->proof.at = 0;
		u->proof.in_parts = n > 0;
		snprintf(u->proof.etag, sizeof u->proof.etag, "%s", etag);
		s3_op_release(&u->op);
		s3_upload_ask(u, hash_next);
	} else {
		read_back(u);
	}
	xfree(etag);
}

void s3_proof_release(struct s3_upload *u)
{
	md5_free(u->proof.md5);
	sha256_free(u->proof.sha256);
	u->proof.md5 = NULL;
	u->proof.sha256 = NULL;
}
