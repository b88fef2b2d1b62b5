/*
 * s3_probe - see s3_probe.h. Each question is a function; the order matters only for the first: its
 * refusal is the line that people read.
 */
#include "s3_probe.h"

#include "s3_xml.h"
#include "sys.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BYTES = 32 };

struct probe {
	struct s3_engine *engine;
	const struct s3_place *place;
	char key[64];
	char body[BYTES + 1];
	unsigned char md5[16];
	char sha256[65];
};

static void prepare(struct probe *b, struct s3_engine *x, const struct s3_place *p,
		    const char *name)
{
	*b = (struct probe){.engine = x, .place = p};
	snprintf(b->key, sizeof b->key, "autos-probe/%.40s", name);
	sys_random_hex(b->body, BYTES);
	struct md5 *h = md5_new();
	md5_add(h, b->body, BYTES);
	md5_end(h, b->md5);
	md5_free(h);
	sha256_hex(b->body, BYTES, b->sha256);
}

/* Which lie the server is told, to see whether it finds out; QUICK is honest, once. */
enum lie { HONEST, QUICK, WRONG_MD5, WRONG_SHA256, ONLY_NEW };

/* Puts the object; the op holds the answer and must be released. */
static bool put(struct probe *b, enum lie lie, struct s3_op *op, struct err *e)
{
	unsigned char md5[16];
	char text[BASE64_SIZE(sizeof md5)], sha256[65];
	memcpy(md5, b->md5, sizeof md5);
	memcpy(sha256, b->sha256, sizeof sha256);
	if (lie == WRONG_MD5)
		md5[0] ^= 1;
	if (lie == WRONG_SHA256)
		sha256[0] = sha256[0] == '0' ? '1' : '0';
	base64_encode(md5, sizeof md5, text);
	*op = (struct s3_op){.once = lie != HONEST && lie != ONLY_NEW};
	s3_call_put(&op->call, &(struct s3_object){.key = b->key,
						   .mime = "text/plain",
						   .name = "probe.txt",
						   .sha256 = sha256,
						   .md5 = lie == WRONG_SHA256 ? NULL : text,
						   .only_new = lie == ONLY_NEW});
	op->call.body = xstrdup(b->body);
	op->call.body_len = BYTES;
	return s3_engine_ask(b->engine, op, e);
}

static bool is_md5(const struct probe *b, const char *etag)
{
	char hex[33];
	sys_hex(b->md5, sizeof b->md5, hex);
	return strlen(etag) == 34 && strncmp(etag + 1, hex, 32) == 0;
}

/* Whether the answer says what the server thinks of a lie. The answers to a wrong hash are worth
 * another try elsewhere; here they are what is hoped for. */
static bool is_decided(const struct s3_op *op, enum lie lie)
{
	const struct s3_verdict *v = &op->verdict;
	switch (v->meaning) {
	case S3_GOOD:
	case S3_ABSENT:
	case S3_TAKEN:
		return true;
	case S3_REFUSED:
		return op->res->status < 500 || v->unknown;
	case S3_RETRY:
		return lie != ONLY_NEW &&
		       (strcmp(v->code, "BadDigest") == 0 ||
			strncmp(v->code, "XAmzContent", strlen("XAmzContent")) == 0);
	case S3_SLOW:
	case S3_LOCAL:
		return false;
	}
	return false;
}

/* Whether the server refuses this lie. What may pass is no answer but an error: what is found
 * counts for a day. */
static bool refuses(struct probe *b, enum lie lie, bool *out, struct err *e)
{
	struct s3_op op;
	struct err why = {0};
	bool taken = put(b, lie, &op, &why);
	bool decided = is_decided(&op, lie);
	/* What the server does not know it does not check. */
	*out = decided && !op.verdict.unknown &&
	       (lie == ONLY_NEW ? op.verdict.meaning == S3_TAKEN : !taken);
	s3_op_release(&op);
	if (decided)
		return true;
	*e = why;
	return false;
}

static bool ask_list(struct probe *b, bool uploads, bool *out, struct err *e)
{
	struct s3_op op = {0};
	if (uploads)
		s3_call_uploads(&op.call, b->place, b->key, "", "");
	else
		s3_call_list(&op.call, b->place, b->key, "");
	struct err why = {0};
	struct s3_list l = {0};
	*out = s3_engine_ask(b->engine, &op, &why) &&
	       s3_read_list(op.res->body, op.res->body_len, &l, &why);
	s3_list_release(&l);
	s3_op_release(&op);
	if (*out || why.kind != ERR_BUSY)
		return true;
	*e = why;
	return false;
}

static bool remove_object(struct probe *b, bool *out, struct err *e)
{
	struct s3_op op = {0};
	struct err why = {0};
	s3_call_delete(&op.call, b->key);
	*out = s3_engine_ask(b->engine, &op, &why);
	s3_op_release(&op);
	if (*out || why.kind != ERR_BUSY)
		return true;
	*e = why;
	return false;
}

struct copy {
	char bytes[BYTES];
	size_t len;
};

static bool take(void *arg, const void *data, size_t len, struct err *e)
{
	struct copy *c = arg;
	if (len > sizeof c->bytes - c->len)
		return fail(e, ERR_FAIL, "more bytes came back");
	memcpy(c->bytes + c->len, data, len);
	c->len += len;
	return true;
}

static bool read_back(struct probe *b, struct err *e)
{
	struct copy c = {.len = 0};
	struct s3_op op = {.sink = take, .sink_arg = &c};
	s3_call_get(&op.call, b->key, 0, "");
	bool ok = s3_engine_ask(b->engine, &op, e);
	bool more = op.verdict.meaning == S3_LOCAL;
	s3_op_release(&op);
	if (more || (ok && (c.len != BYTES || memcmp(c.bytes, b->body, BYTES) != 0)))
		ok = fail(e, ERR_FAIL,
			  "what answers at %s is not an S3 server: it gives other bytes than were "
			  "stored",
			  b->place->host);
	return ok;
}

bool s3_probe(struct s3_engine *x, const struct s3_place *p, const char *name, bool quick,
	      struct s3_facts *out, struct err *e)
{
	struct probe b;
	struct s3_op op;
	prepare(&b, x, p, name);
	*out = (struct s3_facts){0};
	bool ok = put(&b, quick ? QUICK : HONEST, &op, e);
	if (ok) {
		out->etag_is_md5 = is_md5(&b, op.res->want[S3_WANT_ETAG]);
		s3_clock_skew(op.res, sys_wall_ms(), &out->skew_ms);
	}
	s3_op_release(&op);
	ok = ok && read_back(&b, e) && refuses(&b, ONLY_NEW, &out->only_new, e) &&
	     refuses(&b, WRONG_MD5, &out->checks_md5, e) &&
	     refuses(&b, WRONG_SHA256, &out->checks_sha256, e) &&
	     ask_list(&b, false, &out->may_list, e) &&
	     ask_list(&b, true, &out->may_list_uploads, e) &&
	     remove_object(&b, &out->may_delete, e);
	if (ok)
		out->probed_ms = sys_wall_ms();
	return ok;
}

bool s3_probe_write(struct s3_engine *x, const char *name, struct err *e)
{
	struct probe b;
	struct s3_op op;
	bool ignored;
	prepare(&b, x, NULL, name);
	bool ok = put(&b, HONEST, &op, e);
	s3_op_release(&op);
	return ok && remove_object(&b, &ignored, e);
}
