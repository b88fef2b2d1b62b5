/*
 * api_download - the routes by which clients of the earlier system ask for parts of a case: the
 * list again, its metadata, one document, all of them. Each is a job and a wait.
 */
#include "api_call.h"

#include "sys.h"

#include <inttypes.h>
#include <string.h>

static bool is_over(const struct api_call *c)
{
	return view_final(c->view.job_state);
}

/* The portal gave a list after this request came, or the job ended. */
static bool is_listed(const struct api_call *c)
{
	return c->view.consulted_ms >= c->asked_ms || is_over(c);
}

/* Reads the whole case. False: the answer is made. */
static bool read_all(struct api_call *c)
{
	struct err e;
	struct db *db = api_reader(c->api, &e);
	case_view_release(&c->view);
	bool ok = db && query_case(db, c->number.digits, &c->view, &e);
	api_reader_back(c->api, db);
	if (!ok)
		api_error(c, &e);
	return ok;
}

/* A refusal of the whole case that happened just now, though it was known before. */
static bool refused_now(struct api_call *c)
{
	if (api_refused_case(c))
		return true;
	/* A job that was there already had its list. */
	if (c->ticket.adopted || strcmp(c->view.job_state, "failed") != 0 ||
	    c->view.consulted_ms >= c->asked_ms)
		return false;
	api_problem(c, "portal-error", "%s",
		    *c->view.error ? c->view.error : "the portal gave no case data");
	return true;
}

/* ---- POST /processes/{n}/refresh ---- */

/* What all answers here end with: the latest job of the case. */
static void set_job(const struct api_call *c, json_t *o)
{
	json_object_set_new(o, "job_id", view_id(c->view.job_id));
	json_object_set_new(o, "job_status", json_value_text(c->view.job_state));
}

/* 200, or 202 when it goes on without this request. Takes over the object. */
static enum api_step answer(struct api_call *c, bool done, json_t *o)
{
	set_job(c, o);
	return done ? api_json(c, 200, o) : api_goes_on(c, c->view.job_id, o);
}

static enum api_step refreshed(struct api_call *c)
{
	bool done = is_listed(c);
	if (done && refused_now(c))
		return API_DONE;
	return answer(c, done,
		      json_pack("{s:s, s:s, s:o, s:I}", "process_number", c->number.digits,
				"message",
				done ? "the portal was asked again" : "the portal is being asked",
				"updated_at", json_value_time(c->view.updated_ms),
				"total_documents", (json_int_t)view_total(&c->view)));
}

static enum api_step await_list(struct api_call *c)
{
	return api_await(c, is_listed, refreshed);
}

enum api_step route_refresh(struct api_call *c)
{
	if (!api_case_number(c))
		return API_DONE;
	api_patience(c, c->api->config->wait_default);
	api_ask_prepare(c, SCOPE_DOCUMENTS, NULL);
	c->max_age_ms = 0;
	return api_ask(c, await_list);
}

/* ---- POST /processes/{n}/download-documents ---- */

static enum api_step registered(struct api_call *c)
{
	bool done = is_listed(c);
	if (done && refused_now(c))
		return API_DONE;
	int64_t total = (int64_t)view_total(&c->view);
	return answer(c, done,
		      json_pack("{s:s, s:s, s:I, s:I, s:n}", "process_number", c->number.digits,
				"message",
				!done   ? "the portal is being asked"
				: total ? "the documents' metadata are registered"
					: "the case holds no documents",
				"documents_processed", (json_int_t)(total - c->before),
				"total_documents", (json_int_t)total, "errors"));
}

static enum api_step await_registered(struct api_call *c)
{
	return api_await(c, is_listed, registered);
}

enum api_step route_download_documents(struct api_call *c)
{
	struct err e;
	struct case_view before = {0};
	if (!api_case_number(c))
		return API_DONE;
	struct db *db = api_reader(c->api, &e);
	bool known = db && query_case_head(db, c->number.digits, &before, &e);
	c->before = (int64_t)view_total(&before);
	case_view_release(&before);
	api_reader_back(c->api, db);
	if (!known)
		return api_error(c, &e);
	api_patience(c, c->api->config->wait_default);
	api_ask_prepare(c, SCOPE_LIST, NULL);
	c->max_age_ms = 0;
	return api_ask(c, await_registered);
}

/* ---- POST /processes/{n}/download-document/{id} ---- */

static json_t *view_reason(const struct doc_view *d)
{
	return *d->reason ? json_string(d->reason) : NULL;
}

static json_t *document_json(struct api_call *c, const struct doc_view *d)
{
	int64_t now = sys_wall_ms();
	bool got = strcmp(d->state, "available") == 0;
	char *url = got ? view_link(c->api, d, now) : NULL;
	json_t *o = json_pack(
		"{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "message",
		!got             ? "the document is being fetched"
		: c->ticket.idle ? "the document was stored before"
				 : "the document is stored",
		"document_id", json_value_text(view_document_id(d)), "uuid",
		json_value_text(d->doc_id), "name", view_name(d), "size", json_value_count(d->size),
		"sha256", json_value_text(d->sha256), "s3_key", json_value_text(d->object_key),
		"download_url", json_value_text(url), "expires_in",
		json_value_count(got ? view_link_expires_s(c->api, now) - now / 1000 : -1));
	xfree(url);
	return o;
}

static enum api_step one_downloaded(struct api_call *c)
{
	if (!read_all(c))
		return API_DONE;
	const struct doc_view *d = view_find_document(&c->view, c->args[1]);
	if (!d)
		return api_problem(c, "document-not-found", "the case holds no such document");
	if (strcmp(d->state, "failed") == 0)
		return api_problem_with(c, "document-failed",
					json_pack("{s:o*}", "reason", view_reason(d)), "%s",
					*d->error ? d->error : "the document could not be fetched");
	return answer(c, strcmp(d->state, "available") == 0, document_json(c, d));
}

static enum api_step await_one(struct api_call *c)
{
	return api_await(c, is_over, one_downloaded);
}

/* A client may name the document by its id of origin; the job knows ids of the portal. */
static bool resolve_document(struct api_call *c)
{
	if (!read_all(c))
		return false;
	const struct doc_view *d = view_find_document(&c->view, c->args[1]);
	if (d) {
		c->state = xstrdup(d->doc_id);
		c->state_free = xfree;
		c->doc_id = c->state;
		return true;
	}
	api_problem(c, "document-not-found", "the case holds no such document");
	return false;
}

enum api_step route_download_document(struct api_call *c)
{
	if (!api_case_number(c) || !resolve_document(c))
		return API_DONE;
	api_patience(c, c->api->config->wait_default);
	api_ask_prepare(c, SCOPE_CHOSEN, NULL);
	return api_ask(c, await_one);
}

/* ---- POST /processes/{n}/download-all-documents ---- */

static json_t *result_of(const struct doc_view *d)
{
	bool got = strcmp(d->state, "available") == 0, failed = strcmp(d->state, "failed") == 0;
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o}", "document_id",
			 json_value_text(view_document_id(d)), "uuid", json_value_text(d->doc_id),
			 "name", view_name(d), "status",
			 got      ? "success"
			 : failed ? "failed"
				  : "pending",
			 "size", json_value_count(d->size), "error", json_value_text(d->error));
}

static enum api_step all_downloaded(struct api_call *c)
{
	bool done = is_over(c);
	if ((done && api_refused_case(c)) || !read_all(c))
		return API_DONE;
	json_t *results = json_array();
	for (size_t i = 0; i < c->view.ndocs; i++)
		json_array_append_new(results, result_of(&c->view.docs[i]));
	return answer(c, done,
		      json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "process_number",
				c->number.digits, "message",
				!done            ? "the documents are being fetched"
				: c->view.failed ? "some documents could not be had"
						 : "all documents are stored",
				"total", (json_int_t)c->view.ndocs, "downloaded",
				(json_int_t)c->view.available, "failed", (json_int_t)c->view.failed,
				"results", results));
}

static enum api_step await_all(struct api_call *c)
{
	return api_await(c, is_over, all_downloaded);
}

enum api_step route_download_all(struct api_call *c)
{
	if (!api_case_number(c))
		return API_DONE;
	api_patience(c, c->api->config->wait_default);
	api_ask_prepare(c, SCOPE_DOCUMENTS, NULL);
	return api_ask(c, await_all);
}
