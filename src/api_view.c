/*
 * api_view - facts as the JSON that clients see. Names of members are those of the API; nothing is
 * decided here.
 */
#include "api_call.h"

#include "case_json.h"
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

double view_progress(int64_t total, int64_t over, bool final)
{
	return case_progress(total, over, final);
}

/* ---- Links ---- */

static struct doc_links links_of(const struct api *a)
{
	return (struct doc_links){.store = a->o.store,
				  .base = a->base,
				  .secret = a->link_secret,
				  .ttl_ms = a->config->link_ttl};
}

int64_t view_link_expires_s(const struct api *a, int64_t now_ms)
{
	struct doc_links l = links_of(a);
	return doc_links_expire_s(&l, now_ms);
}

int64_t view_link_fresh_ms(const struct api *a, int64_t now_ms)
{
	struct doc_links l = links_of(a);
	return doc_links_fresh_ms(&l, now_ms);
}

char *view_link(struct api *a, const struct doc_view *d, int64_t now_ms)
{
	struct doc_links l = links_of(a);
	return doc_link(&l, d, now_ms);
}

/* ---- Documents ---- */

/* What both lists of documents say. */
static json_t *document(struct api *a, const struct doc_view *d, int64_t now_ms)
{
	struct doc_links l = links_of(a);
	return doc_json(&l, d, now_ms);
}

const char *view_name(const struct doc_view *d)
{
	return doc_name(d);
}

const char *view_document_id(const struct doc_view *d)
{
	return doc_id(d);
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
