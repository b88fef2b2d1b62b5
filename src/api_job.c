/*
 * api_job - jobs: list, one, cancel, try again.
 */
#include "api_call.h"

#include "log.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum api_step answer_job(struct api_call *c, int status, int64_t id)
{
	struct err e;
	struct job_list jobs = {0};
	struct db *db = api_reader(c->api, &e);
	bool ok = db && query_job(db, id, &jobs, &e);
	char etag[80] = "";
	json_t *o = ok ? view_job(&jobs.jobs[0]) : NULL;
	if (ok)
		head_etag(etag, "j%" PRId64 "-%" PRId64, id, jobs.jobs[0].last_event);
	job_list_release(&jobs);
	api_reader_back(c->api, db);
	if (!ok)
		return api_error_as(c, &e, "job-not-found", "case-busy");
	if (strcmp(c->request->method, "POST") != 0 && api_unchanged(c, etag)) {
		json_decref(o);
		return API_DONE;
	}
	return api_json(c, status, o);
}

enum api_step route_get_job(struct api_call *c)
{
	int64_t id;
	return api_id_argument(c, 0, &id) ? answer_job(c, 200, id) : API_DONE;
}

enum api_step route_list_jobs(struct api_call *c)
{
	static const char *const states[] = {"any",    "pending",   "processing", "completed",
					     "failed", "cancelled", NULL};
	struct job_filter f = {0};
	struct job_list jobs = {0};
	struct cnj number;
	char cursor[256];
	size_t state;
	struct err e;
	if (!api_choice_parameter(c, "status", states, 0, &state) ||
	    !api_int_parameter(c, "limit", 100, 1, 1000, &f.limit) ||
	    !api_int_parameter(c, "skip", 0, 0, 1000000, &f.skip) ||
	    !api_cursor_parameter(c, cursor) ||
	    (*cursor && !api_cursor_number(c, cursor, &f.below_id)))
		return API_DONE;
	const char *text = target_get(&c->target, "process_number");
	if (text && !cnj_parse(text, strlen(text), &number, &e))
		return api_problem(c, "invalid-case-number", "%s", e.text);
	f.number = text ? number.digits : NULL;
	f.state = state ? states[state] : NULL;
	struct db *db = api_reader(c->api, &e);
	bool ok = db && query_jobs(db, &f, &jobs, &e);
	json_t *all = json_array(), *next = json_null();
	for (size_t i = 0; ok && i < jobs.n; i++)
		json_array_append_new(all, view_job(&jobs.jobs[i]));
	if (ok && jobs.n == (size_t)f.limit)
		next = api_next_number(c, jobs.jobs[jobs.n - 1].id);
	job_list_release(&jobs);
	api_reader_back(c->api, db);
	json_t *o = json_pack("{s:o, s:o}", "jobs", all, "next", next);
	if (ok)
		return api_json(c, 200, o);
	json_decref(o);
	return api_error_as(c, &e, "job-not-found", "case-busy");
}

/* ---- Cancel and retry ---- */

static bool write_cancel(struct db *db, struct api_call *c, struct err *e)
{
	return job_cancel(db, c->ticket.job_id, sys_wall_ms(), e);
}

static bool write_retry(struct db *db, struct api_call *c, struct err *e)
{
	int64_t id = c->ticket.job_id;
	bool ok = job_retry_id(db, id, sys_wall_ms(), &c->ticket, e);
	c->ticket.job_id = id;
	return ok;
}

static enum api_step changed(struct api_call *c)
{
	if (!c->write.ok)
		return api_error_as(c, &c->write.err, "job-not-found",
				    c->route->run == route_cancel_job ? "job-final"
								      : "job-not-retryable");
	log_info("job changed", "request_id=%s route=%s job=%" PRId64 " user=%" PRId64,
		 c->request_id, c->route->name, c->ticket.job_id, c->who.user_id);
	if (c->route->run == route_cancel_job)
		return answer_job(c, 200, c->ticket.job_id);
	api_header(c, "Location", "%s/api/v1/jobs/%" PRId64, c->api->base, c->ticket.job_id);
	api_header(c, "Retry-After", "2");
	return answer_job(c, 202, c->ticket.job_id);
}

enum api_step route_cancel_job(struct api_call *c)
{
	return api_id_argument(c, 0, &c->ticket.job_id) ? api_write(c, write_cancel, changed)
							: API_DONE;
}

enum api_step route_retry_job(struct api_call *c)
{
	return api_id_argument(c, 0, &c->ticket.job_id) ? api_write(c, write_retry, changed)
							: API_DONE;
}
