/*
 * api_monitor - the condition of the service for whoever runs it. All figures are measured: rates
 * and processor time over the last five to six minutes, times of requests since the start.
 */
#include "api_alert.h"
#include "api_metrics.h"
#include "metrics.h"
#include "sys.h"

#include <string.h>

enum level { LEVEL_HEALTHY, LEVEL_WARNING, LEVEL_CRITICAL };

static json_t *level_json(enum level l)
{
	static const char *const names[] = {"healthy", "warning", "critical"};
	return json_string(names[l]);
}

/* What one answer shows. */
struct picture {
	struct api_condition k;
	struct api_alert alerts[ALERTS_MAX];
	size_t nalerts;
};

static void look(struct api_call *c, struct picture *p)
{
	api_condition(c->api, &p->k);
	p->nalerts = api_alerts(&p->k, p->alerts);
}

static json_t *stamped(const struct picture *p)
{
	char now[25];
	json_t *o = json_object();
	sys_format_utc(p->k.now_ms, now);
	json_object_set_new(o, "timestamp", json_string(now));
	return o;
}

/* ---- Summary ---- */

static double percent(int64_t part, int64_t all, double preset)
{
	return all > 0 ? 100.0 * (double)part / (double)all : preset;
}

static double success_rate(const struct picture *p)
{
	const struct api_counts *in = &p->k.in;
	return percent(in->answers - in->failed, in->answers, 100);
}

static json_t *summary_json(const struct picture *p)
{
	const struct api_counts *in = &p->k.in;
	json_t *o = json_object();
	json_object_set_new(o, "cpu_percent", json_real(100 * p->k.cpu));
	json_object_set_new(o, "memory_percent", json_real(100 * p->k.memory));
	json_object_set_new(o, "success_rate", json_real(success_rate(p)));
	json_object_set_new(o, "requests_total",
			    json_integer(metric_counted(FAMILY_http_requests, NULL)));
	json_object_set_new(o, "cache_hit_rate",
			    json_real(percent(in->hits, in->hits + in->misses, 0)));
	return o;
}

/* Without these no case can be worked on. */
static bool is_grave(const char *type)
{
	return strcmp(type, "storage") == 0 || strcmp(type, "worker") == 0 ||
	       strcmp(type, "portal_token") == 0;
}

static enum level level_of(const struct picture *p)
{
	double cpu = 100 * p->k.cpu, memory = 100 * p->k.memory, success = success_rate(p);
	enum level level = LEVEL_HEALTHY;
	if (cpu > 80 || memory > 85 || success < 95)
		level = LEVEL_WARNING;
	if (cpu > 90 || memory > 95 || success < 90 || !api_is_ready(p->k.checks))
		level = LEVEL_CRITICAL;
	for (size_t i = 0; i < p->nalerts; i++) {
		const struct api_alert *a = &p->alerts[i];
		if (a->severity == SEVERITY_CRITICAL && is_grave(a->type))
			level = LEVEL_CRITICAL;
		/* Clients that ask for ever new cases miss the cache: no fault of anybody. */
		else if (a->severity >= SEVERITY_HIGH && strcmp(a->type, "cache_miss") != 0 &&
			 level < LEVEL_WARNING)
			level = LEVEL_WARNING;
	}
	return level;
}

/* ---- Counters and alerts ---- */

static json_t *alert_json(const struct api_alert *a)
{
	json_t *o = json_object();
	json_t *message = json_string(a->message); /* NULL when a cut broke a character */
	json_object_set_new(o, "type", json_string(a->type));
	json_object_set_new(o, "severity", json_string(api_severity_name(a->severity)));
	json_object_set_new(o, "message", message ? message : json_string(a->type));
	json_object_set_new(o, "value", json_real(a->value));
	json_object_set_new(o, "threshold", json_real(a->threshold));
	return o;
}

static json_t *alerts_json(const struct picture *p)
{
	json_t *out = json_array();
	for (size_t i = 0; i < p->nalerts; i++)
		json_array_append_new(out, alert_json(&p->alerts[i]));
	return out;
}

static json_t *by_severity(const struct picture *p)
{
	json_t *o = json_object();
	for (enum api_severity s = 0; s < SEVERITIES; s++) {
		json_int_t n = 0;
		for (size_t i = 0; i < p->nalerts; i++)
			n += p->alerts[i].severity == s;
		json_object_set_new(o, api_severity_name(s), json_integer(n));
	}
	return o;
}

static json_t *by_type(const struct picture *p)
{
	json_t *o = json_object();
	for (const char *const *type = api_alert_types; *type; type++) {
		json_int_t n = 0;
		for (size_t i = 0; i < p->nalerts; i++)
			n += strcmp(p->alerts[i].type, *type) == 0;
		json_object_set_new(o, *type, json_integer(n));
	}
	return o;
}

static json_t *counters_json(struct api_call *c, const struct picture *p)
{
	struct buf text;
	json_t *o = json_object();
	buf_init(&text, METRICS_TEXT_MAX);
	api_metrics_text(c->api, &text);
	json_object_set_new(o, "active_alerts", json_integer((json_int_t)p->nalerts));
	json_object_set_new(o, "alerts_by_severity", by_severity(p));
	json_object_set_new(o, "alerts_by_type", by_type(p));
	json_object_set_new(o, "thresholds", api_thresholds());
	json_object_set_new(o, "prometheus_metrics", json_string(buf_str(&text)));
	buf_release(&text);
	return o;
}

/* ---- Times ---- */

static void add_quantiles(json_t *o, enum metric_histogram h, const char *label)
{
	static const struct {
		const char *name;
		double q;
	} all[] = {{"p50_seconds", 0.50}, {"p95_seconds", 0.95}, {"p99_seconds", 0.99}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		json_object_set_new(o, all[i].name, json_real(metric_quantile(h, label, all[i].q)));
}

static json_t *latency_json(enum metric_histogram h)
{
	json_t *o = json_object();
	json_object_set_new(o, "count", json_integer(metric_observations(h, NULL)));
	add_quantiles(o, h, NULL);
	return o;
}

/* Adds one entry, when there was any. */
static void add_label(json_t *list, const char *member, enum metric_histogram h, const char *label)
{
	int64_t n = metric_observations(h, label);
	if (!n)
		return;
	json_t *o = json_object();
	json_object_set_new(o, member, json_string(label));
	json_object_set_new(o, "requests", json_integer(n));
	add_quantiles(o, h, label);
	json_array_append_new(list, o);
}

static json_t *times_json(void)
{
	static const char *const calls[] = {"list", "detail", "fetch"};
	json_t *o = json_object(), *routes = json_array(), *portal = json_array();
	json_t *ledger = json_object(), *jobs = json_object();
	for (size_t i = 0; i < api_nroutes; i++)
		add_label(routes, "route", HISTOGRAM_http_request, api_routes[i].name);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		add_label(portal, "call", HISTOGRAM_portal_request, calls[i]);
	json_object_set_new(ledger, "transactions", json_integer(metric_get(METRIC_ledger_groups)));
	json_object_set_new(ledger, "writes", json_integer(metric_get(METRIC_ledger_writes)));
	add_quantiles(ledger, HISTOGRAM_ledger_commit, NULL);
	json_object_set_new(jobs, "waiting", latency_json(HISTOGRAM_job_wait));
	json_object_set_new(jobs, "running", latency_json(HISTOGRAM_job_run));
	json_object_set_new(o, "routes", routes);
	json_object_set_new(o, "portal", portal);
	json_object_set_new(o, "ledger", ledger);
	json_object_set_new(o, "storage", latency_json(HISTOGRAM_storage_put));
	json_object_set_new(o, "jobs", jobs);
	return o;
}

/* ---- Components ---- */

static json_t *component(enum level *worst, enum level level, const char *detail)
{
	json_t *o = json_object(), *text = json_string(detail);
	if (level > *worst)
		*worst = level;
	json_object_set_new(o, "status", level_json(level));
	json_object_set_new(o, "detail", text ? text : json_string(""));
	return o;
}

static json_t *checked(enum level *worst, const struct picture *p, size_t check)
{
	const struct api_check *c = &p->k.checks[check];
	return component(worst, c->ok ? LEVEL_HEALTHY : LEVEL_CRITICAL, c->detail);
}

static void figure(json_t *o, const char *name, int64_t value)
{
	json_object_set_new(o, name, json_integer(value));
}

static json_t *portal_json(enum level *worst, const struct picture *p)
{
	const struct api_work *w = &p->k.work;
	bool paused = w->paused_until_ms > p->k.now_ms;
	const char *why = w->pause_why ? w->pause_why : "requests to the portal pause";
	json_t *o = component(worst, paused ? LEVEL_WARNING : LEVEL_HEALTHY,
			      paused ? why : "is asked as fast as it bears");
	figure(o, "calls", metric_get(METRIC_portal_calls));
	figure(o, "retries", metric_get(METRIC_portal_retries));
	figure(o, "rate_limited", metric_get(METRIC_portal_rate_limited));
	figure(o, "parallel", w->parallel);
	figure(o, "parallel_limit", w->limit);
	figure(o, "pause_seconds", paused ? (w->paused_until_ms - p->k.now_ms) / 1000 : 0);
	return o;
}

/* The worst of the alerts of one type decides. */
static json_t *alerted(enum level *worst, const struct picture *p, const char *type,
		       const char *fine)
{
	for (size_t i = 0; i < p->nalerts; i++)
		if (strcmp(p->alerts[i].type, type) == 0)
			return component(worst,
					 p->alerts[i].severity == SEVERITY_CRITICAL ? LEVEL_CRITICAL
										    : LEVEL_WARNING,
					 p->alerts[i].message);
	return component(worst, LEVEL_HEALTHY, fine);
}

static json_t *queue_json(enum level *worst, const struct picture *p)
{
	json_t *o = alerted(worst, p, "queue_age", "nobody waits for long");
	figure(o, "pending", p->k.sums.pending);
	figure(o, "processing", p->k.sums.processing);
	figure(o, "oldest_seconds", p->k.queue_s);
	figure(o, "cases", p->k.sums.cases);
	return o;
}

static json_t *worker_json(enum level *worst, const struct picture *p)
{
	const struct api_work *w = &p->k.work;
	json_t *o = w->trouble_since_ms ? component(worst, LEVEL_CRITICAL, w->trouble)
					: checked(worst, p, CHECK_WORKER);
	figure(o, "cases_held", w->cases);
	return o;
}

static json_t *components_json(struct api_call *c, const struct picture *p, enum level *worst)
{
	json_t *o = json_object();
	*worst = LEVEL_HEALTHY;
	json_t *database = checked(worst, p, CHECK_DATABASE);
	figure(database, "transactions", metric_get(METRIC_ledger_groups));
	figure(database, "writes", metric_get(METRIC_ledger_writes));
	json_t *store = checked(worst, p, CHECK_STORE);
	figure(store, "documents_stored", metric_get(METRIC_docs_stored));
	figure(store, "bytes_stored", metric_get(METRIC_bytes_stored));
	json_t *spool = checked(worst, p, CHECK_SPOOL);
	figure(spool, "free_bytes", sys_free_space(c->api->config->data_dir));
	json_object_set_new(o, "database", database);
	json_object_set_new(o, "store", store);
	json_object_set_new(o, "spool", spool);
	json_object_set_new(o, "portal", portal_json(worst, p));
	json_object_set_new(o, "portal_token",
			    alerted(worst, p, "portal_token", p->k.checks[CHECK_TOKEN].detail));
	json_object_set_new(o, "queue", queue_json(worst, p));
	json_object_set_new(o, "worker", worker_json(worst, p));
	return o;
}

/* ---- Routes ---- */

enum api_step route_monitor_status(struct api_call *c)
{
	struct picture p;
	look(c, &p);
	json_t *o = stamped(&p);
	json_object_set_new(o, "status", level_json(level_of(&p)));
	json_object_set_new(o, "summary", summary_json(&p));
	return api_json(c, 200, o);
}

enum api_step route_monitor_metrics(struct api_call *c)
{
	struct picture p;
	look(c, &p);
	json_t *o = stamped(&p);
	json_object_set_new(o, "metrics", counters_json(c, &p));
	return api_json(c, 200, o);
}

enum api_step route_monitor_performance(struct api_call *c)
{
	struct picture p;
	look(c, &p);
	json_t *o = stamped(&p);
	json_object_set_new(o, "performance", times_json());
	return api_json(c, 200, o);
}

enum api_step route_monitor_health(struct api_call *c)
{
	struct picture p;
	enum level worst;
	look(c, &p);
	json_t *o = stamped(&p);
	json_object_set_new(o, "components", components_json(c, &p, &worst));
	json_object_set_new(o, "overall_status", level_json(worst));
	return api_json(c, 200, o);
}

enum api_step route_monitor_alerts(struct api_call *c)
{
	struct picture p;
	look(c, &p);
	json_t *o = stamped(&p);
	json_object_set_new(o, "total_alerts", json_integer((json_int_t)p.nalerts));
	json_object_set_new(o, "alerts", alerts_json(&p));
	return api_json(c, 200, o);
}

enum api_step route_monitor_dashboard(struct api_call *c)
{
	struct picture p;
	enum level ignored;
	look(c, &p);
	json_t *o = stamped(&p);
	json_object_set_new(o, "status", level_json(level_of(&p)));
	json_object_set_new(o, "summary", summary_json(&p));
	json_object_set_new(o, "metrics", counters_json(c, &p));
	json_object_set_new(o, "performance", times_json());
	json_object_set_new(o, "components", components_json(c, &p, &ignored));
	json_object_set_new(o, "alerts", alerts_json(&p));
	return api_json(c, 200, o);
}

/* No history is kept; `hours` is understood all the same. */
enum api_step route_monitor_history(struct api_call *c)
{
	struct picture p;
	int64_t hours;
	if (!api_int_parameter(c, "hours", 24, 1, 168, &hours))
		return API_DONE;
	look(c, &p);
	json_t *o = json_object();
	json_object_set_new(o, "current", counters_json(c, &p));
	json_object_set_new(o, "historical_available", json_false());
	return api_json(c, 200, o);
}
