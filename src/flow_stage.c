/*
 * flow_stage - the stages: what LIST, DETAIL and FETCH ask, how their good answers are read, and
 * how a document's bytes go to the store (PUT).
 */
#include "flow_stage.h"

#include "buf.h"
#include "filename.h"
#include "log.h"
#include "metrics.h"
#include "sys.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- LIST and DETAIL ---- */

static bool ask_list(struct flow *f, struct task *t)
{
	portal_ask_list(&f->site, f->account->token, &t->run->number, t->run->cursor,
			&t->exchange.req);
	return true;
}

static bool ask_detail(struct flow *f, struct task *t)
{
	portal_ask_detail(&f->site, f->account->token, &t->run->number, &t->exchange.req);
	return true;
}

static void end_case(struct run *r, enum outcome outcome, const char *text)
{
	r->flying = false;
	r->stage = RUN_OVER;
	r->outcome = outcome;
	snprintf(r->error, sizeof r->error, "%s", text);
}

static void go_on(struct run *r, enum run_stage stage)
{
	r->flying = false;
	r->stage = stage;
	r->question = (struct question){0};
}

static void got_list(struct flow *f, struct task *t)
{
	(void)f;
	struct run *r = t->run;
	const struct http_res *res = &t->exchange.res;
	struct portal_page page = {0};
	struct err e;
	if (!portal_read_list(&r->number, r->cursor, res->body, res->body_len, &page, &e)) {
		/* The list only enriches: what matters is in the detail, so that is asked all the
		 * same. */
		log_warn("list unreadable", "job=%" PRId64 " why=\"%s\"", r->lease.job_id, e.text);
		go_on(r, RUN_DETAIL);
		goto out;
	}
	r->listed = r->listed || page.found;
	if (page.found) {
		xfree(r->list_json);
		r->list_json = xstrndup(res->body, res->body_len);
	}
	xfree(r->cursor);
	r->cursor = page.cursor;
	page.cursor = NULL;
	go_on(r, r->cursor && !r->listed ? RUN_LIST : RUN_DETAIL);
out:
	portal_page_release(&page);
}

static void got_detail(struct flow *f, struct task *t)
{
	(void)f;
	struct run *r = t->run;
	const struct http_res *res = &t->exchange.res;
	struct err e;
	bool read = portal_read_detail(&r->number, res->body, res->body_len, &r->found, &e);
	if (read && r->found.proceedings == 0) /* not the same as a proceeding without documents */
		read = fail(&e, ERR_FAIL, "the portal gave the case without any proceeding");
	if (read) {
		r->detail_json = xstrndup(res->body, res->body_len);
		go_on(r, RUN_LISTED);
		return;
	}
	portal_case_release(&r->found);
	r->found = (struct portal_case){0};
	if (e.kind != ERR_ABSENT)
		end_case(r, OUTCOME_UPSTREAM_ERROR, e.text);
	else if (r->listed)
		end_case(r, OUTCOME_ACCESS_DENIED,
			 "the portal lists this case but shows nothing of it to the holder of the "
			 "token");
	else
		end_case(r, OUTCOME_NOT_FOUND,
			 "the portal does not know this case, or hides it from the holder of the "
			 "token");
}

void flow_case_refused(struct flow *f, struct task *t, const struct portal_verdict *v)
{
	(void)f;
	struct run *r = t->run;
	if (v->meaning == PORTAL_SEALED) {
		end_case(r, OUTCOME_ACCESS_DENIED, v->text);
	} else if (t->stage == &stage_list) {
		/* Searches are known to answer 404, and the list only enriches: the case decides.
		 */
		log_info("list refused", "job=%" PRId64 " rule=%s", r->lease.job_id, v->rule);
		go_on(r, RUN_DETAIL);
	} else if (v->meaning == PORTAL_NOT_FOUND || v->meaning == PORTAL_NOT_INDEXED) {
		end_case(r, OUTCOME_NOT_FOUND, v->text);
	} else {
		end_case(r, OUTCOME_UPSTREAM_ERROR, v->text);
	}
}

/* ---- FETCH ---- */

static void settle(struct run *r, struct run_doc *d)
{
	d->place = DOC_SETTLED;
	d->finished_ms = sys_wall_ms();
	r->open--;
	r->settled++;
}

static void doc_failed(struct run *r, struct run_doc *d, enum doc_reason reason, const char *text)
{
	d->available = false;
	d->reason = reason;
	xfree(d->error);
	d->error = xstrdup(text);
	metric_add(METRIC_docs_failed, 1);
	metric_count(FAMILY_documents, doc_reason_name(reason));
	log_info("document failed", "job=%" PRId64 " doc=%s reason=%s tries=%d", r->lease.job_id,
		 d->view->doc_id, doc_reason_name(reason), d->question.asked);
	settle(r, d);
}

/* The next link after `ref` that is alive; nrefs when there is none up to the last. */
static size_t alive_from(const struct run_doc *d, size_t ref)
{
	while (ref < d->view->nrefs && d->dead[ref])
		ref++;
	return ref;
}

bool flow_doc_next_ref(struct run_doc *d)
{
	size_t n = d->view->nrefs, next = alive_from(d, d->ref + 1);
	d->ref = next < n ? next : alive_from(d, 0);
	return next < n;
}

void flow_doc_refused(struct flow *f, struct task *t, const struct portal_verdict *v)
{
	(void)f;
	struct run_doc *d = &t->run->docs[t->doc];
	enum doc_reason reason = v->reason;
	d->dead[d->ref] = true;
	flow_doc_next_ref(d);
	if (d->ref < d->view->nrefs) {
		d->place = DOC_WAITING;
		d->question.holds = 0;
		d->question.not_before = 0;
		return;
	}
	if (reason == DOC_REASON_NONE)
		reason = DOC_REASON_UNAVAILABLE_UPSTREAM;
	doc_failed(t->run, d, reason, v->text);
}

static bool ask_fetch(struct flow *f, struct task *t)
{
	struct run_doc *d = &t->run->docs[t->doc];
	struct err e;
	if (d->view->nrefs == 0) {
		doc_failed(t->run, d, DOC_REASON_UNAVAILABLE_UPSTREAM,
			   "the portal lists this document without a link to its file");
		return false;
	}
	if (portal_ask_document(&f->site, f->account->token, &t->run->number,
				d->view->refs[d->ref].href, &t->exchange.req, &e))
		return true;
	flow_doc_refused(f, t,
			 &(struct portal_verdict){.reason = DOC_REASON_UNAVAILABLE_UPSTREAM,
						  .text = e.text});
	return false;
}

/* APPLICATION_PDF and "application/pdf; charset=x" as application/pdf. */
static void plain_type(const char *declared, char *out, size_t cap)
{
	size_t n = 0;
	for (; *declared && *declared != ';' && n + 1 < cap; declared++)
		out[n++] = *declared == '_' ? '/' : (char)tolower((unsigned char)*declared);
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	if (strcmp(out, "text/richtext") == 0 || strcmp(out, "application/rtf") == 0)
		snprintf(out, cap, "text/rtf");
}

/* What was declared beforehand is a hint; where the bytes differ, the manifest says so. */
static void note_differences(struct run_doc *d)
{
	char declared[128];
	struct buf note;
	buf_init(&note, 1024);
	plain_type(d->view->declared_type, declared, sizeof declared);
	if (declared[0] && strcmp(declared, d->kind.mime) != 0)
		buf_addf(&note, "declared type %s, found %s", declared, d->kind.mime);
	if (d->view->declared_size >= 0 && d->view->declared_size != d->size)
		buf_addf(&note, "%sdeclared size %" PRId64 ", received %" PRId64,
			 note.len ? "; " : "", d->view->declared_size, d->size);
	xfree(d->note);
	d->note = buf_detach(&note);
}

static void doc_available(struct flow *f, struct run *r, struct run_doc *d, const char *key)
{
	d->available = true;
	d->key = xstrdup(key);
	f->bytes += d->size;
	metric_add(METRIC_docs_stored, 1);
	metric_count(FAMILY_documents, "available");
	metric_add(METRIC_bytes_stored, d->size);
	log_debug("document stored", "job=%" PRId64 " doc=%s bytes=%" PRId64 " key=%s",
		  r->lease.job_id, d->view->doc_id, d->size, key);
	settle(r, d);
}

/* Another document of the case with the same bytes; ndocs when there is none. */
static size_t find_twin(const struct run *r, size_t self)
{
	const struct run_doc *d = &r->docs[self];
	for (size_t i = 0; i < r->ndocs; i++) {
		const struct run_doc *o = &r->docs[i];
		bool has = o->place == DOC_STORING ||
			   (o->available && (o->place == DOC_SETTLED || o->place == DOC_DONE));
		if (i != self && has && o->size == d->size && strcmp(o->sha256, d->sha256) == 0)
			return i;
	}
	return r->ndocs;
}

static void put(struct flow *f, struct task *t)
{
	struct run_doc *d = &t->run->docs[t->doc];
	const struct doc_view *v = d->view;
	d->place = DOC_STORING;
	t->put_name =
		filename_make((size_t)v->position, FILE_DIGITS, v->name, v->type, d->kind.ext);
	t->put = (struct put){
		.key = xasprintf("processos/%s/documentos/%s.%s", t->run->number.digits,
				 d->view->doc_id, d->kind.ext),
		.mime = d->kind.mime,
		.name = t->put_name,
		.body = &t->exchange.body,
		.owner = t,
	};
	t->storing = true;
	t->run->stores = true;
	f->storing++;
	t->started_us = sys_mono_us();
	putter_add(f->putter, &t->put);
}

static void got_fetch(struct flow *f, struct task *t)
{
	struct run *r = t->run;
	struct run_doc *d = &r->docs[t->doc];
	const struct http_res *res = &t->exchange.res;
	d->kind = portal_sniff(res->head, res->head_len, res->content_type);
	d->size = t->exchange.body.size;
	snprintf(d->sha256, sizeof d->sha256, "%s", t->exchange.body.sha256);
	note_differences(d);
	size_t twin = find_twin(r, t->doc);
	if (twin == r->ndocs) {
		put(f, t);
		return;
	}
	metric_add(METRIC_docs_deduplicated, 1);
	if (r->docs[twin].place == DOC_STORING) {
		d->place = DOC_TWIN;
		d->twin = twin;
		return;
	}
	doc_available(f, r, d, r->docs[twin].key);
}

/* Documents that waited for the bytes of `i` share its fate. */
static void settle_twins(struct flow *f, struct run *r, size_t i, bool ok)
{
	for (size_t k = 0; k < r->ndocs; k++) {
		struct run_doc *d = &r->docs[k];
		if (d->place != DOC_TWIN || d->twin != i)
			continue;
		if (ok)
			doc_available(f, r, d, r->docs[i].key);
		else
			d->place = DOC_WAITING;
	}
}

void flow_stored(struct flow *f, struct put *p)
{
	struct task *t = p->owner;
	struct run *r = t->run;
	struct run_doc *d = &r->docs[t->doc];
	f->storing--;
	metric_observe(HISTOGRAM_storage_put, NULL, (double)(sys_mono_us() - t->started_us) / 1e6);
	if (p->ok) {
		doc_available(f, r, d, p->key);
	} else if (p->err.kind == ERR_INPUT) { /* too large for the store, say: it will stay so */
		doc_failed(r, d, DOC_REASON_STORAGE, p->err.text);
	} else {
		/* Not the document's fault: it waits, and the work stops. */
		d->place = DOC_WAITING;
		if (f->trouble.kind == ERR_NONE)
			f->trouble = p->err;
	}
	settle_twins(f, r, t->doc, p->ok);
	flow_task_free(t);
}

const struct stage stage_list = {"list", PORTAL_LIST, ask_list, got_list};
const struct stage stage_detail = {"detail", PORTAL_DETAIL, ask_detail, got_detail};
const struct stage stage_fetch = {"fetch", PORTAL_DOCUMENT, ask_fetch, got_fetch};
