/*
 * api_ask - asking for a job and waiting for what comes of it, for all routes that do either. A
 * request that waits reads the case, sleeps until it changes, and reads again.
 */
#include "api_call.h"

#include "metrics.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

void api_patience(struct api_call *c, int64_t preset_ms)
{
	struct prefer p = head_prefer(api_request_header(c->request, "Prefer"));
	int64_t wait = preset_ms;
	if (p.respond_async) {
		wait = 0;
		api_header(c, "Preference-Applied", "respond-async");
	} else if (p.wait_s >= 0) {
		int64_t most_s = c->api->config->wait_max / 1000;
		int64_t wait_s = p.wait_s < most_s ? p.wait_s : most_s;
		wait = wait_s * 1000;
		api_header(c, "Preference-Applied", "wait=%lld", (long long)wait_s);
	}
	c->may_wait = wait > 0;
	c->deadline_ms = sys_mono_ms() + wait;
}

/* Joins the client's trace, or begins one (W3C Trace Context). */
static void take_trace(struct api_call *c)
{
	const char *given = api_request_header(c->request, "traceparent");
	if (given && head_traceparent(given)) {
		snprintf(c->trace, sizeof c->trace, "%s", given);
		return;
	}
	char trace_id[33], span[17];
	sys_random_hex(trace_id, 32);
	sys_random_hex(span, 16);
	snprintf(c->trace, sizeof c->trace, "00-%s-%s-01", trace_id, span);
}

void api_ask_prepare(struct api_call *c, enum job_scope scope, const char *webhook_url)
{
	take_trace(c);
	c->asked_ms = sys_wall_ms();
	c->max_age_ms = JOB_ANY_AGE;
	c->ask = (struct job_ask){.number = c->number.digits,
				  .scope = scope,
				  .webhook_url = webhook_url,
				  .user_id = c->who.user_id,
				  .request_id = c->request_id,
				  .trace = c->trace,
				  .now_ms = c->asked_ms};
}

enum api_step api_goes_on(struct api_call *c, int64_t job_id, json_t *o)
{
	api_header(c, "Location", "%s/api/v1/jobs/%lld", c->api->base, (long long)job_id);
	api_header(c, "Retry-After", "2");
	return api_json(c, 202, o);
}

static bool write_ask(struct db *db, struct api_call *c, struct err *e)
{
	return c->doc_id ? job_choose(db, &c->ask, c->doc_id, &c->ticket, e)
			 : job_ensure(db, &c->ask, c->max_age_ms, &c->ticket, e);
}

static enum api_step asked(struct api_call *c)
{
	if (!c->write.ok)
		return api_error(c, &c->write.err);
	if (!c->ticket.idle)
		metric_add(c->ticket.adopted ? METRIC_jobs_adopted : METRIC_jobs_requested, 1);
	return c->ready(c);
}

enum api_step api_ask(struct api_call *c, api_fn *next)
{
	c->ready = next;
	return api_write(c, write_ask, asked);
}

/* ---- Waiting ---- */

static enum api_step look(struct api_call *c);

static bool read_case(struct api_call *c, struct err *e)
{
	struct db *db = api_reader(c->api, e);
	case_view_release(&c->view);
	c->since = hub_now(c->api->hub);
	bool ok = db && query_case_head(db, c->number.digits, &c->view, e);
	api_reader_back(c->api, db);
	return ok;
}

static enum api_step look(struct api_call *c)
{
	struct err e;
	if (!read_case(c, &e))
		return api_error(c, &e);
	bool over = sys_mono_ms() >= c->deadline_ms || atomic_load(&c->api->draining);
	if (c->is_ready(c) || over)
		return c->ready(c);
	return api_news(c, c->view.process_id, c->deadline_ms, look);
}

enum api_step api_await(struct api_call *c, api_ready_fn *ready, api_fn *answer)
{
	c->is_ready = ready;
	c->ready = answer;
	return look(c);
}

bool api_refused_case(struct api_call *c)
{
	const struct case_view *v = &c->view;
	const char *why = *v->error ? v->error : "the portal gave no case data";
	if (strcmp(v->job_state, "failed") != 0 || v->consulted_ms)
		return false;
	switch (outcome_parse(v->outcome)) {
	case OUTCOME_NOT_FOUND:
		api_problem(c, "case-not-found", "the portal does not know this case: %s", why);
		return true;
	case OUTCOME_ACCESS_DENIED:
		api_problem(c, "case-access-denied", "the portal does not open this case: %s", why);
		return true;
	case OUTCOME_UPSTREAM_ERROR:
	case OUTCOME_STORAGE_ERROR:
		api_problem(c, "portal-error", "%s", why);
		return true;
	case OUTCOME_NONE:
	case OUTCOME_COMPLETE:
	case OUTCOME_PARTIAL:
	case OUTCOME_EMPTY:
	case OUTCOME_LIMITED:
		break;
	}
	return false;
}
