/*
 * cmd_remote - asks a running service, reads what becomes of it from the database. Writes nothing.
 */
#include "cmd_remote.h"

#include "query.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_EVERY_MS = 150, TOKEN_EVERY_MS = 2000 };

static bool view_is_active(const struct case_view *v)
{
	return v->job_id &&
	       (strcmp(v->job_state, "pending") == 0 || strcmp(v->job_state, "processing") == 0);
}

static bool ask_again(struct remote *r, const char *number, struct err *e)
{
	struct case_view v = {0};
	char path[80];
	json_t *answer = NULL;
	bool ok = query_case_head(r->db, number, &v, e);
	if (ok && view_is_active(&v)) {
		case_view_release(&v);
		return true;
	}
	snprintf(path, sizeof path, "/api/v1/jobs/%" PRId64 "/retry", v.job_id);
	if (!ok) {
		if (e->kind == ERR_ABSENT)
			fail(e, ERR_ABSENT, "nothing to try again: this case is not known here");
	} else if (!control_ask(r->control, "POST", path, NULL, &answer, e)) {
		ok = false;
		if (e->kind == ERR_BUSY)
			fail(e, ERR_ABSENT,
			     "nothing to try again: the last job of this case did not fail");
	}
	json_decref(answer);
	case_view_release(&v);
	return ok;
}

bool remote_ask(struct remote *r, const struct cnj *n, bool retry, struct err *e)
{
	char path[80];
	json_t *answer = NULL;
	if (retry)
		return ask_again(r, n->digits, e);
	snprintf(path, sizeof path, "/api/v1/processes/%s/jobs", n->digits);
	json_t *body = json_pack("{s:I}", "max_age", (json_int_t)(r->config->max_age / 1000));
	bool ok = control_ask(r->control, "POST", path, body, &answer, e);
	json_decref(answer);
	return ok;
}

/* The sentence of readyz about the token, when it is unusable. */
static bool token_fails(struct remote *r, struct err *e)
{
	json_t *answer = NULL, *checks, *one;
	struct err ignored;
	size_t i;
	bool fails = false;
	if (!control_ask(r->control, "GET", "/readyz", NULL, &answer, &ignored))
		return false;
	checks = json_object_get(answer, "checks");
	json_array_foreach(checks, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		const char *detail = json_string_value(json_object_get(one, "detail"));
		if (name && strcmp(name, "portal_token") == 0 &&
		    json_is_false(json_object_get(one, "ok"))) {
			fail(e, ERR_DENIED, "the portal token: %s", detail ? detail : "unusable");
			fails = true;
		}
	}
	json_decref(answer);
	return fails;
}

static bool look(struct remote *r, const struct cnj *const *cases, size_t n,
		 struct worker_progress *p, struct err *e)
{
	*p = (struct worker_progress){.jobs = n};
	for (size_t i = 0; i < n; i++) {
		struct case_view v = {0};
		bool ok = query_case_head(r->db, cases[i]->digits, &v, e);
		if (ok) {
			p->jobs_over += !view_is_active(&v);
			p->listed += v.consulted_ms != 0;
			p->total += v.available + v.failed + v.pending;
			p->available += v.available;
			p->failed += v.failed;
		}
		case_view_release(&v);
		if (!ok)
			return false;
	}
	return true;
}

bool remote_watch(struct remote *r, const struct cnj *const *cases, size_t n, struct err *e)
{
	int64_t token_at = sys_mono_ms() + TOKEN_EVERY_MS, unusable_since = 0;
	for (;;) {
		struct worker_progress p;
		if (!look(r, cases, n, &p, e))
			return false;
		int64_t now = sys_mono_ms();
		if (p.jobs_over < n && now >= token_at) {
			token_at = now + TOKEN_EVERY_MS;
			if (!token_fails(r, e))
				unusable_since = 0;
			else if (!unusable_since)
				unusable_since = now;
			p.waiting_for_token = unusable_since != 0;
			if (unusable_since && now - unusable_since >= r->config->portal_token_wait)
				return false;
		}
		progress_show(r->progress, &p);
		if (p.jobs_over == n)
			return true;
		if (*r->caught)
			return fail(e, ERR_BUSY, "stopped watching; the service goes on with it");
		nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
	}
}
