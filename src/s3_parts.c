/*
 * s3_parts - an upload in parts: send what is not there yet, several parts at once, and complete.
 *
 * What an earlier upload left was found before (s3_resume). When the server cannot be reached the
 * parts stay, and the next try goes on with them; after any other failure the upload is aborted.
 */
#include "s3_parts.h"

#include "log.h"
#include "metrics.h"
#include "s3_xml.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PARTS_MAX = 10000, XML_MAX = 2 << 20 };

/* ---- Life ---- */

int64_t s3_parts_length(const struct s3_upload *u)
{
	int64_t size = u->put->body->size, part = u->target.config->s3_part_size;
	while ((size + part - 1) / part > PARTS_MAX)
		part *= 2;
	return part;
}

void s3_parts_prepare(struct s3_upload *u)
{
	int64_t size = u->put->body->size, part = s3_parts_length(u);
	u->part_size = part;
	u->nparts = (size_t)((size + part - 1) / part);
	u->parts = xcalloc(u->nparts, sizeof *u->parts);
	u->slots = xcalloc((size_t)u->target.config->s3_part_parallel, sizeof *u->slots);
	u->next = u->there = 0;
	u->resumed = u->blind = u->unproven = false;
	u->failed = (struct err){0};
}

static int64_t length_of(const struct s3_upload *u, size_t part)
{
	int64_t from = (int64_t)part * u->part_size, left = u->put->body->size - from;
	return left < u->part_size ? left : u->part_size;
}

void s3_parts_release(struct s3_upload *u)
{
	assert(u->flying == 0);
	for (size_t i = 0; u->parts && i < u->nparts; i++) {
		xfree(u->parts[i].etag);
		xfree(u->parts[i].known);
	}
	xfree(u->parts);
	xfree(u->slots);
	xfree(u->id);
	u->parts = NULL;
	u->slots = NULL;
	u->id = NULL;
	u->nparts = 0;
}

/* ---- Failing ---- */

static void aborted(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	s3_upload_end(u, &u->failed);
}

/* All parts in flight are back. */
void s3_parts_give_up(struct s3_upload *u)
{
	assert(u->flying == 0 && u->failed.kind != ERR_NONE);
	if (u->failed.kind == ERR_BUSY || !u->id) {
		struct err why = u->failed;
		s3_upload_end(u, &why);
		return;
	}
	s3_op_release(&u->op);
	s3_call_abort(&u->op.call, u->put->key, u->id);
	s3_upload_ask(u, aborted);
}

/* The upload that we went on with is not what it should be. */
static void begin_anew(struct s3_upload *u)
{
	u->anew = true;
	if (++u->wrong > u->target.config->s3_retry_max) {
		fail(&u->failed, ERR_BUSY, "the S3 server does not keep the upload of %s",
		     u->put->key);
		s3_parts_give_up(u);
		return;
	}
	s3_parts_release(u);
	u->ours = false;
	s3_upload_look(u, s3_parts_begin);
}

/* ---- Completing ---- */

/* S3's ETag of an object in parts: the MD5 of the parts' MD5s, and how many they are. */
static void whole_etag(const struct s3_upload *u, char out[static 64])
{
	unsigned char md5[16];
	char hex[33];
	struct md5 *h = md5_new();
	for (size_t i = 0; i < u->nparts; i++)
		md5_add(h, u->parts[i].md5, sizeof u->parts[i].md5);
	md5_end(h, md5);
	md5_free(h);
	sys_hex(md5, sizeof md5, hex);
	snprintf(out, 64, "%s-%zu", hex, u->nparts);
}

/* Our parts are gone: the key is looked at, since somebody may have been faster with it. */
static void let_go(struct s3_op *op)
{
	s3_upload_look(op->owner, begin_anew);
}

static void completed(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	switch (op->verdict.meaning) {
	case S3_GOOD: {
		char *etag = s3_read_completed(op->res->body, op->res->body_len);
		u->ours = true;
		u->unproven = etag && (!u->target.facts.etag_is_md5 || s3_etag_parts(etag) <= 0);
		whole_etag(u, u->etag);
		bool right = u->unproven || (etag && s3_upload_etag_is(u, etag, u->etag));
		xfree(etag);
		if (!right)
			s3_upload_wrong(u);
		else if (u->resumed || u->unproven) /* what it was begun with is not known */
			s3_upload_look(u, begin_anew);
		else
			s3_strays_end(u);
		return;
	}
	case S3_ABSENT: /* completed before, and the answer was lost? */
		s3_upload_look(u, begin_anew);
		return;
	case S3_TAKEN:
		s3_op_release(&u->op);
		s3_call_abort(&u->op.call, u->put->key, u->id);
		s3_upload_ask(u, let_go);
		return;
	case S3_REFUSED: /* parts are not what both of us thought they were */
		if (strncmp(op->verdict.code, "InvalidPart", 11) == 0) {
			s3_op_release(&u->op);
			s3_call_abort(&u->op.call, u->put->key, u->id);
			s3_upload_ask(u, let_go);
			return;
		}
		u->failed = op->verdict.err;
		s3_parts_give_up(u);
		return;
	case S3_RETRY:
	case S3_SLOW:
	case S3_LOCAL:
		u->failed = op->verdict.err;
		s3_parts_give_up(u);
		return;
	}
}

static void complete(struct s3_upload *u)
{
	struct buf xml;
	char **etags = xcalloc(u->nparts, sizeof *etags);
	for (size_t i = 0; i < u->nparts; i++)
		etags[i] = u->parts[i].etag;
	buf_init(&xml, XML_MAX);
	s3_write_complete(&xml, etags, u->nparts);
	assert(!xml.overflow);
	xfree(etags);
	s3_op_release(&u->op);
	s3_call_complete(&u->op.call, u->put->key, u->id, buf_detach(&xml),
			 u->target.facts.only_new);
	s3_upload_ask(u, completed);
}

/* ---- Parts ---- */

static void slot_free(struct s3_slot *s)
{
	s3_op_release(&s->op);
	s->busy = false;
	s->upload->flying--;
}

static void part_there(struct s3_slot *s, const char *etag)
{
	struct s3_upload *u = s->upload;
	struct s3_part *p = &u->parts[s->part];
	p->state = PART_THERE;
	p->etag = xstrdup(etag);
	u->there++;
	slot_free(s);
	s3_parts_send(u);
}

static void part_failed(struct s3_slot *s, const struct err *why)
{
	struct s3_upload *u = s->upload;
	if (u->failed.kind == ERR_NONE)
		u->failed = *why;
	u->parts[s->part].state = PART_OPEN;
	slot_free(s);
	s3_parts_send(u);
}

static void got_part(struct s3_op *op)
{
	struct s3_slot *s = op->owner;
	struct s3_part *p = &s->upload->parts[s->part];
	char hex[33];
	struct err e;
	if (op->verdict.meaning != S3_GOOD) {
		part_failed(s, &op->verdict.err);
		return;
	}
	sys_hex(p->md5, sizeof p->md5, hex);
	/* What is sent back when completing is what the server said. */
	char *etag = s3_plain_etag(op->res->want[S3_WANT_ETAG]);
	bool blind = *etag && s3_etag_parts(etag) < 0;
	bool there = blind || s3_upload_etag_is(s->upload, etag, hex);
	if (there) {
		s->upload->blind |= blind && s->upload->target.facts.etag_is_md5;
		part_there(s, etag);
	}
	xfree(etag);
	if (there)
		return;
	s->upload->unlike = true;
	if (++p->wrong > s->upload->target.config->s3_retry_max) {
		fail(&e, ERR_BUSY,
		     "the S3 server's ETag of part %zu of %s is not that of the bytes that were "
		     "sent",
		     s->part + 1, s->upload->put->key);
		part_failed(s, &e);
		return;
	}
	s3_engine_start(op->engine, op); /* the same part again */
}

/* A part is hashed when its turn comes, and sent unless it is there. */
static void hash_part(struct s3_op *op)
{
	struct s3_slot *s = op->owner;
	struct s3_upload *u = s->upload;
	struct s3_part *p = &u->parts[s->part];
	int64_t from = (int64_t)s->part * u->part_size, len = length_of(u, s->part);
	char sha256[65], hex[33], text[BASE64_SIZE(sizeof p->md5)];
	struct err e;
	if (u->failed.kind != ERR_NONE) { /* another part's, since this one's turn was given */
		part_failed(s, &u->failed);
		return;
	}
	if (!s3_upload_hash(u->put->body, from, len, p->md5, sha256, &e)) {
		part_failed(s, &e);
		return;
	}
	sys_hex(p->md5, sizeof p->md5, hex);
	if (p->known && p->known_size == len && u->target.facts.etag_is_md5 &&
	    strcmp(p->known, hex) == 0) {
		metric_add(METRIC_store_parts_kept, 1);
		part_there(s, p->known);
		return;
	}
	base64_encode(p->md5, sizeof p->md5, text);
	s3_op_release(&s->op);
	s3_call_part(&s->op.call, u->put->key, u->id, (int)s->part + 1, sha256, text);
	s->op.body = u->put->body;
	s->op.from = from;
	s->op.len = len;
	s->op.done = got_part;
	s3_engine_start(op->engine, &s->op);
}

void s3_parts_send(struct s3_upload *u)
{
	size_t slots = (size_t)u->target.config->s3_part_parallel;
	for (size_t i = 0; i < slots && u->next < u->nparts && u->failed.kind == ERR_NONE; i++) {
		struct s3_slot *s = &u->slots[i];
		if (s->busy)
			continue;
		*s = (struct s3_slot){.upload = u, .part = u->next++, .busy = true};
		s->op.exchange.body.fd = -1;
		s->op.owner = s;
		s->op.done = hash_part;
		u->parts[s->part].state = PART_UNDER_WAY;
		u->flying++;
		s3_engine_start(u->target.engine, &s->op);
	}
	if (u->flying)
		return;
	if (u->failed.kind == ERR_ABSENT) /* somebody aborted the upload meanwhile */
		begin_anew(u);
	else if (u->failed.kind != ERR_NONE)
		s3_parts_give_up(u);
	else
		complete(u);
}
