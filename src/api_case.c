/*
 * api_case - stored facts of a case: list, status, files, manifest, erasing. Starts nothing.
 */
#include "api_call.h"

#include "fleet.h"
#include "log.h"
#include "manifest.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Reading one case at one moment ---- */

static bool read_view(struct api_call *c)
{
	struct err e;
	struct db *db = api_reader(c->api, &e);
	case_view_release(&c->view);
	c->since = hub_now(c->api->hub);
	bool ok = db && query_case(db, c->number.digits, &c->view, &e);
	api_reader_back(c->api, db);
	if (!ok)
		api_error(c, &e);
	return ok;
}

/* Changes with every event of the case, and when links are renewed. */
static void case_etag(const struct api_call *c, char kind, char out[static 80])
{
	int64_t step = view_link_fresh_ms(c->api, sys_wall_ms()) / 1000;
	int64_t hook = *c->view.webhook_url ? c->view.webhook_sent_ms + 1 : 0;
	head_etag(out, "%c%" PRId64 "-%" PRId64 "-%" PRId64 "-%" PRId64, kind, c->view.job_id,
		  c->view.last_event, hook, step);
}

/* Whether the client has this already, told by the head of the case alone. */
static bool still_same(struct api_call *c, char kind)
{
	struct err e;
	char etag[80];
	const char *asked = api_request_header(c->request, "If-None-Match");
	struct db *db = asked ? api_reader(c->api, &e) : NULL;
	case_view_release(&c->view);
	bool known = db && query_case_head(db, c->number.digits, &c->view, &e);
	api_reader_back(c->api, db);
	if (!known)
		return false;
	case_etag(c, kind, etag);
	return head_none_match(asked, etag) && api_unchanged(c, etag);
}

/* ---- GET /processes/{n}/status ---- */

static json_t *status_object(struct api_call *c)
{
	const struct case_view *v = &c->view;
	int64_t now = sys_wall_ms(), processing = 0, pending = 0;
	json_t *o = json_object(), *docs = json_array();
	for (size_t i = 0; i < v->ndocs; i++) {
		processing += strcmp(v->docs[i].state, "processing") == 0;
		pending += strcmp(v->docs[i].state, "pending") == 0;
		json_array_append_new(docs, view_status_document(c->api, &v->docs[i], now));
	}
	const char *status = view_status(v);
	json_object_set_new(o, "process_number", json_value_text(v->number));
	json_object_set_new(o, "status", json_value_text(status));
	json_object_set_new(o, "overall_status", json_value_text(status));
	json_object_set_new(o, "outcome", json_value_text(v->outcome));
	json_object_set_new(o, "error_message", json_value_text(v->error));
	json_object_set_new(o, "total_documents", json_integer((json_int_t)v->ndocs));
	json_object_set_new(o, "completed_documents", json_integer((json_int_t)v->available));
	json_object_set_new(o, "failed_documents", json_integer((json_int_t)v->failed));
	json_object_set_new(o, "pending_documents", json_integer(pending));
	json_object_set_new(o, "processing_documents", json_integer(processing));
	json_object_set_new(
		o, "progress_percentage",
		json_real(view_progress((int64_t)v->ndocs, (int64_t)(v->available + v->failed),
					view_final(status))));
	json_object_set_new(o, "job_id", view_id(v->job_id));
	json_object_set_new(o, "webhook_url", json_value_text(v->webhook_url));
	json_object_set_new(o, "webhook_sent", json_boolean(v->webhook_sent_ms != 0));
	json_object_set_new(o, "webhook_sent_at", json_value_time(v->webhook_sent_ms));
	json_object_set_new(o, "created_at", json_value_time(v->job_created_ms));
	json_object_set_new(o, "started_at", json_value_time(v->job_started_ms));
	json_object_set_new(o, "completed_at", json_value_time(v->job_finished_ms));
	json_object_set_new(o, "documents", docs);
	return o;
}

enum api_step route_get_status(struct api_call *c)
{
	char key[CACHE_KEY], etag[80];
	if (!api_case_number(c))
		return API_DONE;
	snprintf(key, sizeof key, "status %s", c->number.digits);
	if (api_cached(c, key) || still_same(c, 's') || !read_view(c))
		return API_DONE;
	case_etag(c, 's', etag);
	if (api_unchanged(c, etag))
		return API_DONE;
	return api_keep(c, key, etag, c->view.process_id, status_object(c));
}

/* ---- GET /processes/{n}/files ---- */

enum file_sort { FILES_CREATED, FILES_NAME, FILES_TYPE, FILES_SIZE, FILES_STATUS };

struct picking {
	enum file_sort by;
	bool descending;
	const char *type;  /* NULL = any */
	size_t downloaded; /* 0 any, 1 no, 2 yes */
	int64_t skip, limit;
};

static bool is_stored(const struct doc_view *d)
{
	return strcmp(d->state, "available") == 0;
}

static int order(const struct doc_view *a, const struct doc_view *b, enum file_sort by)
{
	int r = 0;
	switch (by) {
	case FILES_CREATED:
		r = (a->finished_ms > b->finished_ms) - (a->finished_ms < b->finished_ms);
		break;
	case FILES_NAME:
		r = strcmp(a->name, b->name);
		break;
	case FILES_TYPE:
		r = strcmp(a->type, b->type);
		break;
	case FILES_SIZE:
		r = (a->size > b->size) - (a->size < b->size);
		break;
	case FILES_STATUS:
		r = strcmp(a->state, b->state);
		break;
	}
	return r ? r : (a->position > b->position) - (a->position < b->position);
}

static int by_choice(const void *va, const void *vb, void *arg)
{
	const struct doc_view *a = *(const struct doc_view *const *)va,
			      *b = *(const struct doc_view *const *)vb;
	const struct picking *p = arg;
	if (p->by == FILES_CREATED && is_stored(a) != is_stored(b))
		return is_stored(a) ? -1 : 1;
	if (p->by == FILES_CREATED && !is_stored(a))
		return (a->position > b->position) - (a->position < b->position);
	int r = order(a, b, p->by);
	return p->descending ? -r : r;
}

static bool wanted(const struct doc_view *d, const struct picking *p)
{
	return (!p->type || strcasecmp(d->type, p->type) == 0) &&
	       (p->downloaded == 0 || is_stored(d) == (p->downloaded == 2));
}

/* A cursor is the number of documents before it: the list of a case only grows. */
static bool read_picking(struct api_call *c, struct picking *p)
{
	static const char *const sorts[] = {"created_at", "name", "type", "size", "status", NULL};
	static const char *const orders[] = {"desc", "asc", NULL};
	static const char *const any[] = {"any", "false", "true", NULL};
	char cursor[256];
	size_t by, ascending;
	if (!api_int_parameter(c, "skip", 0, 0, 1000000, &p->skip) ||
	    !api_int_parameter(c, "limit", 50, 1, 500, &p->limit) ||
	    !api_choice_parameter(c, "sort_by", sorts, 0, &by) ||
	    !api_choice_parameter(c, "sort_order", orders, 0, &ascending) ||
	    !api_choice_parameter(c, "filter_downloaded", any, 0, &p->downloaded) ||
	    !api_cursor_parameter(c, cursor))
		return false;
	p->by = (enum file_sort)by;
	p->descending = ascending == 0;
	p->type = target_get(&c->target, "filter_type");
	return !*cursor || api_cursor_number(c, cursor, &p->skip);
}

enum api_step route_get_files(struct api_call *c)
{
	struct picking p;
	int64_t now = sys_wall_ms();
	size_t n = 0;
	char etag[80];
	if (!api_case_number(c) || !read_picking(c, &p) || still_same(c, 'f') || !read_view(c))
		return API_DONE;
	const struct case_view *v = &c->view;
	const struct doc_view **picked = xcalloc(v->ndocs, sizeof *picked);
	for (size_t i = 0; i < v->ndocs; i++)
		if (wanted(&v->docs[i], &p))
			picked[n++] = &v->docs[i];
	qsort_r(picked, n, sizeof *picked, by_choice, &p);
	json_t *docs = json_array();
	for (int64_t i = p.skip; i < (int64_t)n && i < p.skip + p.limit; i++)
		json_array_append_new(docs, view_file_document(c->api, picked[i], now));
	xfree(picked);
	if (p.skip + p.limit < (int64_t)n) {
		char *next = api_cursor_make("%" PRId64, p.skip + p.limit);
		api_next_link(c, next);
		xfree(next);
	}
	case_etag(c, 'f', etag);
	api_header(c, "ETag", "W/%s", etag);
	return api_json(c, 200,
			json_pack("{s:s, s:I, s:I, s:I, s:o}", "process_number", v->number, "total",
				  (json_int_t)n, "total_documents", (json_int_t)v->ndocs,
				  "downloaded_documents", (json_int_t)v->available, "documents",
				  docs));
}

/* ---- GET /processes/{n}/manifest ---- */

enum api_step route_get_manifest(struct api_call *c)
{
	char etag[80];
	if (!api_case_number(c) || still_same(c, 'm') || !read_view(c))
		return API_DONE;
	case_etag(c, 'm', etag);
	api_header(c, "ETag", "W/%s", etag);
	/* Its time is that of the facts, so that the same tag means the same bytes. */
	const struct case_view *v = &c->view;
	int64_t made_ms = v->job_finished_ms ? v->job_finished_ms : v->updated_ms;
	char *text = manifest_make(
		v, &(struct manifest_options){.portal_url = c->api->config->portal_url,
					      .now_ms = made_ms});
	struct body *b = body_from(text, strlen(text));
	xfree(text);
	return api_bytes(c, 200, "application/json", b);
}

/* ---- GET /processes ---- */

static json_t *case_array(struct db *db, const struct case_list *list, bool full)
{
	json_t *all = json_array();
	for (size_t i = 0; i < list->n; i++) {
		json_t *o = view_process(&list->cases[i]);
		if (full)
			json_object_set_new(o, "full_data", view_full_data(db, list->cases[i].id));
		json_array_append_new(all, o);
	}
	return all;
}

/* The place behind the last row, as a cursor. */
static char *case_cursor(const struct case_filter *f, const struct case_row *last)
{
	switch (f->sort) {
	case SORT_UPDATED:
		return api_cursor_make("%" PRId64 ":%" PRId64 ":", last->id, last->updated_ms);
	case SORT_CREATED:
		return api_cursor_make("%" PRId64 ":%" PRId64 ":", last->id, last->created_ms);
	case SORT_CONSULTED:
		return api_cursor_make("%" PRId64 ":%" PRId64 ":", last->id, last->consulted_ms);
	case SORT_NUMBER:
		return api_cursor_make("%" PRId64 ":0:%s", last->id, last->number);
	case SORT_COURT:
		return api_cursor_make("%" PRId64 ":0:%.200s", last->id, last->court);
	}
	return NULL;
}

static bool read_cursor(struct api_call *c, char *text, struct case_filter *f)
{
	long long id = 0, ms = 0;
	int at = 0;
	if (!*text)
		return true;
	if (sscanf(text, "%18lld:%18lld:%n", &id, &ms, &at) != 2 || at == 0 || id < 1)
		return api_bad_cursor(c);
	f->after_id = id;
	f->after_ms = ms;
	f->after_text = text + at;
	f->skip = 0;
	return true;
}

enum api_step route_list_processes(struct api_call *c)
{
	static const char *const sorts[] = {"updated_at",     "created_at", "last_consultation",
					    "process_number", "court",      NULL};
	static const char *const orders[] = {"desc", "asc", NULL};
	static const char *const any[] = {"any", "false", "true", NULL};
	struct case_filter f = {.court = target_get(&c->target, "filter_court")};
	char cursor[256];
	size_t sort, ascending, docs;
	bool full;
	struct err e;
	if (!api_int_parameter(c, "skip", 0, 0, 1000000, &f.skip) ||
	    !api_int_parameter(c, "limit", 100, 1, 1000, &f.limit) ||
	    !api_choice_parameter(c, "sort_by", sorts, 0, &sort) ||
	    !api_choice_parameter(c, "sort_order", orders, 0, &ascending) ||
	    !api_choice_parameter(c, "filter_has_documents", any, 0, &docs) ||
	    !api_flag_parameter(c, "include_full_data", false, &full) ||
	    !api_cursor_parameter(c, cursor) || !read_cursor(c, cursor, &f))
		return API_DONE;
	f.sort = (enum case_sort)sort;
	f.ascending = ascending == 1;
	f.has_documents = (int)docs - 1;
	struct case_list list = {0};
	struct db *db = api_reader(c->api, &e);
	bool ok = db && query_cases(db, &f, &list, &e);
	json_t *all = ok ? case_array(db, &list, full) : NULL;
	if (ok && list.n == (size_t)f.limit) {
		char *next = case_cursor(&f, &list.cases[list.n - 1]);
		api_next_link(c, next);
		xfree(next);
	}
	case_list_release(&list);
	api_reader_back(c->api, db);
	return ok ? api_json(c, 200, all) : api_error(c, &e);
}

/* ---- DELETE /processes/{n} ---- */

static bool write_erase(struct db *db, struct api_call *c, struct err *e)
{
	return fleet_now(db, &c->asked_ms, e) && job_erase(db, c->number.digits, c->asked_ms, e);
}

/* What cannot be erased now is finished later, by this process or another one. */
static enum api_step objects_erased(struct api_call *c)
{
	if (!c->erasure.ok)
		return api_store_error(c, &c->erasure.err, "case-not-found");
	log_info("case erased", "request_id=%s case=%s user=%" PRId64, c->request_id,
		 c->number.digits, c->who.user_id);
	return api_json(c, 200, json_pack("{s:s}", "message", "The case is erased."));
}

static enum api_step rows_erased(struct api_call *c)
{
	if (!c->write.ok)
		return api_error(c, &c->write.err);
	return api_erase(c, c->asked_ms, objects_erased);
}

enum api_step route_delete_process(struct api_call *c)
{
	return api_case_number(c) ? api_write(c, write_erase, rows_erased) : API_DONE;
}
