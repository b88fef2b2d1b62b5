/*
 * api_view - facts as the JSON that clients see. Names of members are those of the API; nothing is
 * decided here.
 */
#include "api_call.h"

#include "filename.h"
#include "sys.h"

#include <string.h>

json_t *view_id(int64_t id)
{
	return id ? json_sprintf("%lld", (long long)id) : json_null();
}

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

bool view_final(const char *job_state)
{
	return strcmp(job_state, "completed") == 0 || strcmp(job_state, "failed") == 0 ||
	       strcmp(job_state, "cancelled") == 0;
}

/* 100 exactly when everything is settled, never rounded up to it. */
double view_progress(int64_t total, int64_t over, bool final)
{
	if (over >= total)
		return final || total > 0 ? 100.0 : 0.0;
	return (double)(over * 1000 / total) / 10.0;
}

/* ---- Links ---- */

/* Links are renewed in steps of a twelfth of their life, so that an answer stays the same in
 * between and If-None-Match can work. */
static int64_t step_ms(const struct api *a)
{
	return a->config->link_ttl / 12;
}

int64_t view_link_expires_s(const struct api *a, int64_t now_ms)
{
	return (now_ms / step_ms(a) * step_ms(a) + a->config->link_ttl) / 1000;
}

int64_t view_link_fresh_ms(const struct api *a, int64_t now_ms)
{
	return (now_ms / step_ms(a) + 1) * step_ms(a);
}

char *view_link(struct api *a, const struct doc_view *d, int64_t now_ms)
{
	struct store *s = a->o.store;
	char *name = filename_make((size_t)d->position, FILE_DIGITS, d->name, d->type, d->ext);
	int64_t expires = view_link_expires_s(a, now_ms), ttl = a->config->link_ttl / 1000;
	char *url = s->ops->link ? s->ops->link(s, d->object_key, name, d->mime, expires - ttl, ttl)
				 : link_make(a->base, a->link_secret,
					     &(struct link){.key = d->object_key,
							    .name = name,
							    .mime = d->mime,
							    .expires_s = expires});
	xfree(name);
	return url;
}

static void set_link(struct api *a, json_t *o, const struct doc_view *d, int64_t now_ms)
{
	bool got = strcmp(d->state, "available") == 0;
	char *url = got ? view_link(a, d, now_ms) : NULL;
	set(o, "download_url", json_value_text(url));
	set(o, "expires_at",
	    got ? json_value_time(view_link_expires_s(a, now_ms) * 1000) : json_null());
	xfree(url);
}

/* ---- Documents ---- */

const char *view_name(const struct doc_view *d)
{
	return *d->name ? d->name : "Documento sem nome";
}

/* What both lists of documents say. */
static json_t *document(struct api *a, const struct doc_view *d, int64_t now_ms)
{
	json_t *o = json_object();
	set(o, "id", json_value_text(view_document_id(d)));
	set(o, "uuid", json_value_text(d->doc_id));
	set(o, "name", json_value_text(view_name(d)));
	set(o, "type", json_value_text(d->type));
	set(o, "status", json_value_text(d->state));
	set(o, "reason", json_value_text(d->reason));
	set(o, "size", json_value_count(d->size));
	set(o, "mime_type", json_value_text(d->mime));
	set(o, "sha256", json_value_text(d->sha256));
	set_link(a, o, d, now_ms);
	return o;
}

const char *view_document_id(const struct doc_view *d)
{
	return *d->origin_id ? d->origin_id : d->doc_id;
}

json_t *view_status_document(struct api *a, const struct doc_view *d, int64_t now_ms)
{
	json_t *o = document(a, d, now_ms);
	set(o, "error_message", json_value_text(d->error));
	set(o, "download_started_at", json_value_time(d->started_ms));
	set(o, "download_completed_at",
	    strcmp(d->state, "available") == 0 ? json_value_time(d->finished_ms) : json_null());
	return o;
}

json_t *view_file_document(struct api *a, const struct doc_view *d, int64_t now_ms)
{
	bool got = strcmp(d->state, "available") == 0;
	json_t *o = document(a, d, now_ms);
	set(o, "downloaded", json_boolean(got));
	set(o, "available", json_boolean(got));
	set(o, "created_at", got ? json_value_time(d->finished_ms) : json_null());
	set(o, "filed_at", json_value_text(d->filed_at));
	set(o, "s3_key", json_value_text(d->object_key));
	set(o, "expires_in",
	    got ? json_integer(view_link_expires_s(a, now_ms) - now_ms / 1000) : json_null());
	set(o, "error", json_value_text(d->error));
	return o;
}

const struct doc_view *view_find_document(const struct case_view *v, const char *id)
{
	for (size_t i = 0; i < v->ndocs; i++) {
		const struct doc_view *d = &v->docs[i];
		if (strcmp(d->doc_id, id) == 0 || strcmp(d->origin_id, id) == 0)
			return d;
		for (size_t k = 0; k < d->nrefs; k++)
			if (strcmp(d->refs[k].id, id) == 0)
				return d;
	}
	return NULL;
}

/* ---- Jobs and cases ---- */

json_t *view_job(const struct job_row *j)
{
	json_t *o = json_object();
	set(o, "job_id", view_id(j->id));
	set(o, "process_number", json_value_text(j->number));
	set(o, "status", json_value_text(j->state));
	set(o, "outcome", json_value_text(j->outcome));
	set(o, "error_message", json_value_text(j->error));
	set(o, "scope", json_value_text(j->scope));
	set(o, "priority", json_integer(j->priority));
	set(o, "total_documents", json_integer(j->total));
	set(o, "completed_documents", json_integer(j->available));
	set(o, "failed_documents", json_integer(j->failed));
	set(o, "progress_percentage",
	    json_real(view_progress(j->total, j->available + j->failed, view_final(j->state))));
	set(o, "webhook_url", json_value_text(j->webhook_url));
	set(o, "request_id", json_value_text(j->request_id));
	set(o, "created_at", json_value_time(j->created_ms));
	set(o, "started_at", json_value_time(j->started_ms));
	set(o, "completed_at", json_value_time(j->finished_ms));
	return o;
}

json_t *view_process(const struct case_row *p)
{
	json_t *o = json_object();
	set(o, "process_number", json_value_text(p->number));
	set(o, "court", json_value_text(p->court));
	set(o, "subject", json_value_text(p->subject));
	set(o, "status", json_null()); /* the portal has no such fact; clients know the member */
	set(o, "class", json_value_text(p->class_name));
	set(o, "id", json_integer(p->id));
	set(o, "created_at", json_value_time(p->created_ms));
	set(o, "updated_at", json_value_time(p->updated_ms));
	set(o, "last_consultation", json_value_time(p->consulted_ms));
	set(o, "has_documents", json_boolean(p->documents > 0));
	set(o, "documents_downloaded",
	    json_boolean(p->documents > 0 && p->available == p->documents));
	set(o, "full_data", json_null());
	set(o, "job_id", view_id(p->job_id));
	set(o, "job_status", json_value_text(p->job_state));
	set(o, "outcome", json_value_text(p->outcome));
	set(o, "documents", json_null());
	return o;
}

/* Clients know an object here; the detail is a list of one case. */
json_t *view_full_data(struct db *db, int64_t process_id)
{
	static const char *const calls[] = {"detail", "list"};
	json_t *found = NULL;
	for (size_t i = 0; i < 2 && !found; i++) {
		struct db_rows r;
		struct err ignored;
		json_t *all = NULL;
		if (query_answer(db, process_id, calls[i], &r, &ignored) && r.rows)
			all = json_loads(db_text(&r, 0, 0), 0, NULL);
		db_rows_release(&r);
		json_t *one = json_is_array(all) ? json_array_get(all, 0) : all;
		found = json_is_object(one) ? json_incref(one) : NULL;
		json_decref(all);
	}
	return found ? found : json_null();
}

size_t view_total(const struct case_view *v)
{
	return v->available + v->failed + v->pending;
}

const char *view_status(const struct case_view *v)
{
	/* A job that was not asked for everything leaves the case waiting. */
	bool limited = outcome_parse(v->outcome) == OUTCOME_LIMITED;
	return v->job_id && !limited ? v->job_state : "pending";
}
