/*
 * api_metrics - the counters of the program, and what is measured when somebody asks: the queue,
 * the token, the process.
 */
#include "api_metrics.h"

#include "api_watch.h"
#include "metrics.h"
#include "sys.h"

#include <inttypes.h>

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buf *b, const char *name, const char *help, double value)
{
	head(b, name, "gauge", help);
	buf_addf(b, "%s %.15g\n", name, value);
}

static void add_queue(struct api *a, struct buf *b, int64_t now)
{
	static const char jobs[] = "autos_jobs";
	struct queue_sums s;
	if (!api_sums(a, &s))
		return;
	head(b, jobs, "gauge", "Jobs that are not over, by state");
	buf_addf(b, "%s{state=\"pending\"} %" PRId64 "\n", jobs, s.pending);
	buf_addf(b, "%s{state=\"processing\"} %" PRId64 "\n", jobs, s.processing);
	int64_t age = s.oldest_ready_ms ? now - s.oldest_ready_ms : 0;
	gauge(b, "autos_queue_oldest_seconds", "How long the oldest waiting job could have begun",
	      age > 0 ? (double)age / 1e3 : 0);
	gauge(b, "autos_webhook_waiting", "Deliveries that wait to be sent", (double)s.deliveries);
	age = s.oldest_delivery_ms ? now - s.oldest_delivery_ms : 0;
	gauge(b, "autos_webhook_oldest_seconds", "Age of the oldest delivery that waits",
	      age > 0 ? (double)age / 1e3 : 0);
	gauge(b, "autos_webhook_targets_paused", "Targets of webhooks that are paused",
	      (double)s.paused_targets);
	gauge(b, "autos_cases", "Cases that are known", (double)s.cases);
}

static void add_portal(struct buf *b, const struct api_work *w, int64_t now)
{
	int64_t left = w->token_missing ? 0 : w->token_expires_ms - now;
	if (w->token_missing || w->token_expires_ms >= 0)
		gauge(b, "autos_portal_token_life_seconds",
		      "Time until the portal token expires; 0 without one",
		      left > 0 ? (double)left / 1e3 : 0);
	gauge(b, "autos_portal_token_refused", "Whether the portal refuses the token",
	      w->token_refused);
	gauge(b, "autos_portal_paused", "Whether requests to the portal pause now",
	      w->paused_until_ms > now);
	gauge(b, "autos_cases_held", "Cases that are worked on now", (double)w->cases);
}

static void add_process(struct api *a, struct buf *b, int64_t now)
{
	int64_t used, limit;
	sys_memory(&used, &limit);
	gauge(b, "autos_uptime_seconds", "Time since the start",
	      now > a->started_ms ? (double)(now - a->started_ms) / 1e3 : 0);
	head(b, "process_cpu_seconds_total", "counter", "CPU time spent");
	buf_addf(b, "process_cpu_seconds_total %.6f\n", (double)sys_cpu_us() / 1e6);
	gauge(b, "process_resident_memory_bytes", "Memory in use", (double)used);
	gauge(b, "process_open_fds", "Open file descriptors", (double)sys_open_files());
}

void api_metrics_text(struct api *a, struct buf *out)
{
	struct api_work work;
	int64_t now = sys_wall_ms();
	metrics_text(out);
	api_work_now(a, &work);
	add_queue(a, out, now);
	add_portal(out, &work, now);
	add_process(a, out, now);
}

/* The table asks for no key, so this looks at it itself. False: the answer is made. */
static bool may_read(struct api_call *c)
{
	if (c->api->config->metrics_public || c->who.role == ROLE_ADMIN)
		return true;
	if (c->who.role == ROLE_NONE) {
		api_header(c, "WWW-Authenticate", "Bearer realm=\"autos\"");
		api_problem(c, "authentication-required", "an API key of an admin is needed");
	} else {
		api_problem(c, "role-required",
			    "this needs the role admin; the key has the role %s",
			    role_name(c->who.role));
	}
	return false;
}

enum api_step route_metrics(struct api_call *c)
{
	struct buf b;
	if (!may_read(c))
		return API_DONE;
	buf_init(&b, METRICS_TEXT_MAX);
	api_metrics_text(c->api, &b);
	return api_bytes(c, 200, "text/plain; version=0.0.4; charset=utf-8", body_take(&b));
}
