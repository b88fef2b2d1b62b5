/*
 * webhook_body - see webhook_body.h.
 */
#include "webhook_body.h"

#include "json_value.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static json_t *documents(const struct case_view *v, const struct doc_links *links, bool thin,
			 int64_t now_ms)
{
	json_t *list = json_array();
	for (size_t i = 0; i < v->ndocs; i++) {
		const struct doc_view *d = &v->docs[i];
		json_t *o = thin ? doc_json_thin(d) : doc_json(links, d, now_ms);
		if (!thin)
			set(o, "error_message", json_value_text(d->error));
		json_array_append_new(list, o);
	}
	return list;
}

char *webhook_body(const struct delivery_lease *l, const struct case_view *v,
		   const struct doc_links *links, bool thin, int64_t now_ms, size_t *len)
{
	json_t *o = json_object();
	set(o, "type", json_sprintf("job.%s", l->job_state));
	set(o, "timestamp", json_value_time(l->finished_ms));
	set(o, "event_id", json_string(l->event_id));
	set(o, "sequence", json_integer(l->seq));
	set(o, "process_number", json_value_text(l->number));
	set(o, "job_id", json_sprintf("%lld", (long long)l->job_id));
	set(o, "status", json_string(l->job_state));
	set(o, "outcome", json_value_text(l->outcome));
	if (!thin)
		set(o, "error_message", json_value_text(l->job_error));
	set(o, "total_documents", json_integer(l->total));
	set(o, "completed_documents", json_integer(l->available));
	set(o, "failed_documents", json_integer(l->failed));
	bool cancelled = strcmp(l->job_state, "cancelled") == 0;
	set(o, "progress_percentage",
	    json_real(case_progress(l->total, l->available + l->failed, !cancelled)));
	set(o, "completed_at", json_value_time(l->finished_ms));
	set(o, "documents", documents(v, links, thin, now_ms));
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(10));
	json_decref(o);
	if (!text)
		die("out of memory (json)");
	*len = strlen(text);
	char *out = xstrndup(text, *len);
	free(text);
	return out;
}
