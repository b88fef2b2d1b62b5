/*
 * api_entry - the main entry, GET /processes/{n}, and POST /processes/{n}/jobs: a case is asked
 * for, and answered with what is known.
 *
 * Three things make asking again cheap: an active job is adopted, a case that is whole needs none,
 * and its links are made anew with every answer. All of it is decided in one transaction, on a
 * unique index; nothing is looked at first and written later.
 */
#include "api_call.h"

#include "log.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

/* ---- The case as an answer ---- */

static json_t *brief_documents(const struct case_view *v)
{
	json_t *list = json_array();
	for (size_t i = 0; i < v->ndocs; i++) {
		const struct doc_view *d = &v->docs[i];
		json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "id",
						      json_value_text(view_document_id(d)), "uuid",
						      json_value_text(d->doc_id), "name",
						      json_value_text(view_name(d)), "status",
						      json_value_text(d->state)));
	}
	return list;
}

/* NULL: *e says why. */
static json_t *read_process(struct api_call *c, struct db *db, bool full, char etag[static 80],
			    struct err *e)
{
	struct case_list row = {0};
	json_t *o = NULL;
	case_view_release(&c->view);
	c->since = hub_now(c->api->hub);
	if (db_begin(db, e)) { /* all of it at one moment */
		if (query_case_row(db, c->number.digits, &row, e) &&
		    query_case(db, c->number.digits, &c->view, e)) {
			o = view_process(&row.cases[0]);
			if (c->view.consulted_ms)
				json_object_set_new(o, "documents", brief_documents(&c->view));
			if (full)
				json_object_set_new(o, "full_data",
						    view_full_data(db, row.cases[0].id));
			head_etag(etag, "p%lld-%lld-%d", (long long)c->view.job_id,
				  (long long)c->view.last_event, full);
		}
		db_rollback(db);
	}
	case_list_release(&row);
	return o;
}

static void cache_key(const struct api_call *c, bool full, char key[static CACHE_KEY])
{
	snprintf(key, CACHE_KEY, "process %s %d", c->number.digits, full);
}

/* 200, or 202 while the portal's case data are still to come. */
static enum api_step answer_process(struct api_call *c, int status)
{
	struct err e;
	char key[CACHE_KEY], etag[80];
	bool full;
	if (!api_flag_parameter(c, "include_full_data", true, &full))
		return API_DONE;
	cache_key(c, full, key);
	if (status == 200 && api_cached(c, key))
		return API_DONE;
	struct db *db = api_reader(c->api, &e);
	json_t *o = db ? read_process(c, db, full, etag, &e) : NULL;
	api_reader_back(c->api, db);
	if (!o)
		return api_error(c, &e);
	if (status == 202)
		return api_goes_on(c, c->view.job_id, o);
	if (api_unchanged(c, etag)) {
		json_decref(o);
		return API_DONE;
	}
	return api_keep(c, key, etag, c->view.process_id, o);
}

/* ---- GET /processes/{n} ---- */

/* The portal has been asked since this request, or the job ended. */
static bool is_consulted(const struct api_call *c)
{
	return c->view.consulted_ms || view_final(c->view.job_state);
}

static enum api_step after_wait(struct api_call *c)
{
	if (api_refused_case(c))
		return API_DONE;
	return answer_process(c, c->view.consulted_ms ? 200 : 202);
}

static enum api_step entry_asked(struct api_call *c)
{
	log_info("case asked for", "request_id=%s case=%s job=%lld adopted=%d idle=%d",
		 c->request_id, c->number.digits, (long long)c->ticket.job_id, c->ticket.adopted,
		 c->ticket.idle);
	return api_await(c, is_consulted, after_wait);
}

/* Whether the case is as it was asked for, so that nothing has to be written. */
static bool is_enough(const struct api_call *c, bool download)
{
	const struct case_view *v = &c->view;
	if (!v->consulted_ms)
		return false;
	if (!download)
		return true;
	bool active = v->job_id && !view_final(v->job_state);
	if (active)
		return strcmp(v->job_scope, "documents") == 0;
	enum outcome o = outcome_parse(v->outcome);
	if ((o == OUTCOME_COMPLETE || o == OUTCOME_EMPTY) && v->failed + v->pending == 0)
		return true;
	/* Whoever polls with GET must not make the portal be asked over and over for what it does
	 * not give. */
	return strcmp(v->job_state, "failed") == 0 &&
	       sys_wall_ms() - v->job_finished_ms < c->api->config->partial_retry_after;
}

static enum api_step only_stored(struct api_call *c)
{
	return answer_process(c, 200);
}

/* Reads what is known; false when the answer is made. *known tells whether there is anything. */
static bool read_head(struct api_call *c, bool *known)
{
	struct err e;
	struct db *db = api_reader(c->api, &e);
	c->since = hub_now(c->api->hub);
	bool ok = db && query_case_head(db, c->number.digits, &c->view, &e);
	api_reader_back(c->api, db);
	*known = ok;
	if (!ok && e.kind != ERR_ABSENT) {
		api_error(c, &e);
		return false;
	}
	return true;
}

static bool check_webhook(struct api_call *c, const char *url)
{
	struct err e;
	if (!url || webhook_url_check(url, &c->api->hooks, &e))
		return true;
	api_problem(c, "invalid-webhook-url", "%s", e.text);
	return false;
}

enum api_step route_get_process(struct api_call *c)
{
	const char *webhook = target_get(&c->target, "webhook_url");
	bool force, download, thin, known;
	if (!api_case_number(c) || !api_flag_parameter(c, "force_refresh", false, &force) ||
	    !api_flag_parameter(c, "auto_download", true, &download) ||
	    !api_flag_parameter(c, "webhook_thin", false, &thin) || !check_webhook(c, webhook))
		return API_DONE;
	if (c->who.role < ROLE_USER) {
		if (!force && !webhook)
			return only_stored(c);
		return api_problem(c, "role-required",
				   "force_refresh and webhook_url need the role user; the key has "
				   "the role %s",
				   role_name(c->who.role));
	}
	if (!read_head(c, &known))
		return API_DONE;
	if (known && !force && !webhook && is_enough(c, download))
		return only_stored(c);
	api_patience(c, c->api->config->wait_default);
	api_ask_prepare(c, download ? SCOPE_DOCUMENTS : SCOPE_LIST, webhook);
	c->ask.webhook_thin = thin;
	if (force)
		c->max_age_ms = 0;
	return api_ask(c, entry_asked);
}

/* ---- POST /processes/{n}/jobs ---- */

static enum api_step answer_ticket(struct api_call *c)
{
	const struct job_ticket *t = &c->ticket;
	bool fresh = !t->adopted && !t->idle;
	if (fresh) {
		/* Nothing about a new job is unknown, so it is not read back. */
		struct job_row j = {.id = t->job_id,
				    .number = c->number.digits,
				    .state = "pending",
				    .outcome = "",
				    .error = "",
				    .scope = "documents",
				    .priority = c->ask.priority,
				    .created_ms = c->asked_ms,
				    .webhook_url = c->ask.webhook_url,
				    .request_id = c->request_id};
		json_t *o = view_job(&j);
		json_object_set_new(o, "adopted", json_false());
		return api_goes_on(c, t->job_id, o);
	}
	api_header(c, "Location", "%s/api/v1/jobs/%lld", c->api->base, (long long)t->job_id);
	struct err e;
	struct job_list jobs = {0};
	struct db *db = api_reader(c->api, &e);
	bool ok = db && query_job(db, t->job_id, &jobs, &e);
	json_t *o = ok ? view_job(&jobs.jobs[0]) : NULL;
	job_list_release(&jobs);
	api_reader_back(c->api, db);
	if (!o)
		return api_error(c, &e);
	json_object_set_new(o, "adopted", json_boolean(t->adopted));
	return api_json(c, 200, o);
}

enum api_step route_post_job(struct api_call *c)
{
	const char *webhook = NULL;
	bool force = false, thin = false;
	int64_t max_age_s = -1, priority = 0;
	const struct member members[] = {
		{"webhook_url", MEMBER_TEXT, false, 1, WEBHOOK_URL_MAX, &webhook},
		{"webhook_thin", MEMBER_FLAG, false, 0, 0, &thin},
		{"force_refresh", MEMBER_FLAG, false, 0, 0, &force},
		{"max_age", MEMBER_INT, false, 0, INT64_C(3650) * 86400, &max_age_s},
		{"priority", MEMBER_INT, false, JOB_PRIORITY_MIN, JOB_PRIORITY_MAX, &priority},
	};
	if (!api_case_number(c) ||
	    !api_members(c, members, sizeof members / sizeof *members, true) ||
	    !check_webhook(c, webhook))
		return API_DONE;
	api_ask_prepare(c, SCOPE_DOCUMENTS, webhook);
	c->ask.webhook_thin = thin;
	c->ask.priority = (int)priority;
	if (force)
		c->max_age_ms = 0;
	else if (max_age_s >= 0)
		c->max_age_ms = max_age_s * 1000;
	return api_ask(c, answer_ticket);
}
