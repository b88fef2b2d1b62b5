/*
 * s3_resume - how an upload in parts begins: with one that a crash left, if its parts can be ours,
 * else anew. Others of the same key are strays, which are aborted when this one is complete.
 */
#include "s3_parts.h"

#include "log.h"
#include "metrics.h"
#include "s3_xml.h"
#include "sys.h"

#include <string.h>

static void add_stray(struct s3_upload *u, const char *id)
{
	u->strays = xrealloc(u->strays, (u->nstrays + 1) * sizeof *u->strays);
	u->strays[u->nstrays++] = (struct s3_stray){xstrdup(u->put->key), xstrdup(id)};
}

/* Uploads of this key: the youngest that is not `self`, NULL for none; the others are strays. */
static char *find_uploads(struct s3_upload *u, const struct s3_list *l, const char *self)
{
	char *full = xasprintf("%s%s", u->target.place->prefix, u->put->key), *best = NULL;
	int64_t age = INT64_MIN;
	for (size_t i = 0; i < l->n; i++) {
		const struct s3_item *o = &l->items[i];
		bool other = strcmp(o->key, full) != 0 || strcmp(o->upload_id, self) == 0;
		if (other || !*o->upload_id)
			continue;
		if (best && o->initiated_ms < age) {
			add_stray(u, o->upload_id);
			continue;
		}
		if (best)
			add_stray(u, best);
		xfree(best);
		best = xstrdup(o->upload_id);
		age = o->initiated_ms;
	}
	xfree(full);
	return best;
}

static void created(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	if (op->verdict.meaning != S3_GOOD) {
		u->failed = op->verdict.err;
		if (u->failed.kind == ERR_NONE)
			fail(&u->failed, ERR_FAIL, "the S3 server begins no upload");
		s3_parts_give_up(u);
		return;
	}
	u->id = s3_read_upload_id(op->res->body, op->res->body_len);
	if (!u->id) {
		fail(&u->failed, ERR_FAIL, "the S3 server begins an upload without an id");
		s3_parts_give_up(u);
		return;
	}
	u->doubtful = u->doubtful || op->tries > 0;
	s3_parts_send(u);
}

static void create(struct s3_upload *u)
{
	const struct s3_object o = s3_upload_object(u, NULL);
	s3_op_release(&u->op);
	s3_call_create(&u->op.call, &o);
	s3_upload_ask(u, created);
}

/* False: this upload has parts that ours does not have, and could not be completed. */
static bool keep_part(struct s3_upload *u, const struct s3_item *i)
{
	if (i->number < 1 || (size_t)i->number > u->nparts)
		return false;
	struct s3_part *p = &u->parts[i->number - 1];
	xfree(p->known);
	p->known = xstrdup(i->etag);
	p->known_size = i->size;
	return true;
}

/* An upload that cannot be gone on with: a new one, and this one is a stray. */
static void pass_over(struct s3_upload *u)
{
	add_stray(u, u->id);
	xfree(u->id);
	u->id = NULL;
	u->resumed = false;
	for (size_t i = 0; i < u->nparts; i++) {
		xfree(u->parts[i].known);
		u->parts[i].known = NULL;
	}
	create(u);
}

static void got_kept(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	struct s3_list l;
	struct err ignored;
	if (op->verdict.err.kind == ERR_BUSY) {
		u->failed = op->verdict.err;
		s3_parts_give_up(u);
		return;
	}
	if (op->verdict.meaning != S3_GOOD ||
	    !s3_read_list(op->res->body, op->res->body_len, &l, &ignored)) {
		pass_over(u); /* not there, or not to be read */
		return;
	}
	bool ours = true;
	for (size_t i = 0; i < l.n; i++)
		ours = keep_part(u, &l.items[i]) && ours;
	char *marker = l.truncated && *l.next ? xstrdup(l.next) : NULL;
	s3_list_release(&l);
	if (!ours) {
		xfree(marker);
		pass_over(u);
		return;
	}
	if (!marker) {
		log_info("upload goes on", "key=%s parts=%zu", u->put->key, u->nparts);
		s3_parts_send(u);
		return;
	}
	s3_op_release(&u->op);
	s3_call_parts(&u->op.call, u->put->key, u->id, marker);
	xfree(marker);
	s3_upload_ask(u, got_kept);
}

static void got_uploads(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	struct s3_list l;
	struct err ignored;
	if (op->verdict.meaning == S3_GOOD &&
	    s3_read_list(op->res->body, op->res->body_len, &l, &ignored)) {
		u->id = find_uploads(u, &l, "");
		u->resumed = u->id != NULL;
		s3_list_release(&l);
	} else if (op->verdict.err.kind == ERR_BUSY) {
		u->failed = op->verdict.err;
		s3_parts_give_up(u);
		return;
	}
	if (!u->id) {
		create(u);
		return;
	}
	s3_op_release(&u->op);
	s3_call_parts(&u->op.call, u->put->key, u->id, "");
	s3_upload_ask(u, got_kept);
}

void s3_parts_begin(struct s3_upload *u)
{
	s3_parts_prepare(u);
	if (u->anew || !u->target.facts.may_list_uploads) {
		create(u);
		return;
	}
	s3_op_release(&u->op);
	s3_call_uploads(&u->op.call, u->target.place, u->put->key, "", "");
	s3_upload_ask(u, got_uploads);
}

/* ---- Afterwards ---- */

static void got_others(struct s3_op *op)
{
	struct s3_upload *u = op->owner;
	struct s3_list l;
	struct err ignored;
	if (op->verdict.meaning == S3_GOOD &&
	    s3_read_list(op->res->body, op->res->body_len, &l, &ignored)) {
		char *other = find_uploads(u, &l, u->id ? u->id : "");
		if (other)
			add_stray(u, other);
		xfree(other);
		s3_list_release(&l);
	}
	s3_strays_end(u);
}

static void drop_stray(struct s3_stray *s)
{
	xfree(s->key);
	xfree(s->id);
}

/* Whether it could be aborted or not: the sweep of old uploads comes anyway. */
static void stray_gone(struct s3_op *op)
{
	if (op->verdict.meaning == S3_GOOD)
		metric_add(METRIC_store_orphans, 1);
	s3_strays_end(op->owner);
}

void s3_strays_end(struct s3_upload *u)
{
	s3_op_release(&u->op);
	if (u->doubtful && u->target.facts.may_list_uploads) {
		u->doubtful = false;
		s3_call_uploads(&u->op.call, u->target.place, u->put->key, "", "");
		s3_upload_ask(u, got_others);
		return;
	}
	if (u->nstrays == 0) {
		s3_upload_end(u, NULL);
		return;
	}
	struct s3_stray *s = &u->strays[--u->nstrays];
	s3_call_abort(&u->op.call, s->key, s->id);
	drop_stray(s);
	s3_upload_ask(u, stray_gone);
}

void s3_strays_release(struct s3_upload *u)
{
	for (size_t i = 0; i < u->nstrays; i++)
		drop_stray(&u->strays[i]);
	xfree(u->strays);
}
