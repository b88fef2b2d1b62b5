/*
 * api_alert - bounds and what is compared with them. Rates need a number of cases to speak of: one
 * failure among three answers says nothing.
 */
#include "api_alert.h"

#include "metrics.h"
#include "sys.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RATE_MIN = 20, LOOKUPS_MIN = 100, JOBS_MIN = 10, OBSERVATIONS_MIN = 20 };

struct bounds {
	const char *name;
	double at[SEVERITIES]; /* low, medium, high, critical */
};

static const struct bounds error_rate = {"error_rate", {0.05, 0.10, 0.20, 0.30}};
static const struct bounds response_time = {"response_time", {2, 5, 10, 20}};
static const struct bounds memory_usage = {"memory_usage", {0.70, 0.80, 0.90, 0.95}};
static const struct bounds cache_miss_rate = {"cache_miss_rate", {0.20, 0.30, 0.40, 0.50}};
static const struct bounds rate_limit_hits = {"rate_limit_hits", {10, 25, 50, 100}};
static const struct bounds timeout_rate = {"timeout_rate", {0.01, 0.05, 0.10, 0.20}};
static const struct bounds queue_age = {"queue_age_seconds", {300, 900, 3600, 14400}};
/* The only one where less is worse. */
static const struct bounds token_life = {"portal_token_life_seconds", {3600, 1800, 600, 60}};

const char *const api_alert_types[] = {"performance",
				       "error_rate",
				       "memory_usage",
				       "rate_limit",
				       "timeout",
				       "cache_miss",
				       "batch_failure",
				       "queue_age",
				       "portal_token",
				       "portal_paused",
				       "storage",
				       "worker",
				       NULL};

const char *api_severity_name(enum api_severity s)
{
	static const char *const names[SEVERITIES] = {"low", "medium", "high", "critical"};
	return names[s];
}

json_t *api_thresholds(void)
{
	static const struct bounds *const all[] = {
		&error_rate,      &response_time, &memory_usage, &cache_miss_rate,
		&rate_limit_hits, &timeout_rate,  &queue_age,    &token_life};
	json_t *out = json_object();
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		json_t *o = json_object();
		for (enum api_severity s = 0; s < SEVERITIES; s++)
			json_object_set_new(o, api_severity_name(s), json_real(all[i]->at[s]));
		json_object_set_new(out, all[i]->name, o);
	}
	return out;
}

/* ---- The condition ---- */

void api_condition(struct api *a, struct api_condition *out)
{
	int64_t used, limit;
	*out = (struct api_condition){.now_ms = sys_wall_ms()};
	api_watch_tick(a);
	out->window_ms = api_window(a, &out->in);
	api_work_now(a, &out->work);
	api_checks(a, out->checks);
	out->sums_known = api_sums(a, &out->sums);
	sys_memory(&used, &limit);
	out->memory = limit > 0 ? (double)used / (double)limit : 0;
	out->memory = out->memory > 1 ? 1 : out->memory;
	out->cpu = (double)out->in.cpu_us / ((double)out->window_ms * 1e3 * (double)sys_cpus());
	out->cpu = out->cpu > 1 ? 1 : out->cpu;
	if (out->sums.oldest_ready_ms && out->now_ms > out->sums.oldest_ready_ms)
		out->queue_s = (out->now_ms - out->sums.oldest_ready_ms) / 1000;
}

/* ---- Alerts ---- */

struct list {
	struct api_alert *alerts;
	size_t n;
};

static void add(struct list *l, const char *type, enum api_severity severity, double value,
		double threshold, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

static void add(struct list *l, const char *type, enum api_severity severity, double value,
		double threshold, const char *fmt, ...)
{
	va_list args;
	if (l->n == ALERTS_MAX)
		return;
	struct api_alert *a = &l->alerts[l->n++];
	*a = (struct api_alert){
		.type = type, .severity = severity, .value = value, .threshold = threshold};
	va_start(args, fmt);
	vsnprintf(a->message, sizeof a->message, fmt, args);
	va_end(args);
}

/* False below the lowest bound. */
static bool above(const struct bounds *b, double value, enum api_severity *out)
{
	for (int s = SEVERITY_CRITICAL; s >= SEVERITY_LOW; s--)
		if (value >= b->at[s]) {
			*out = (enum api_severity)s;
			return true;
		}
	return false;
}

static double share(int64_t part, int64_t all, int64_t least)
{
	return all >= least && all > 0 ? (double)part / (double)all : 0;
}

static void add_rate(struct list *l, const char *type, const struct bounds *b, double rate,
		     const char *what)
{
	enum api_severity s;
	if (above(b, rate, &s))
		add(l, type, s, rate, b->at[s], "%.1f %% of %s.", rate * 100, what);
}

/* Requests that wait because they were asked to say nothing about how fast the service is. */
static bool waits(const struct api_route *r)
{
	static const char *const names[] = {
		"get_process",       "post_job",     "search",
		"refresh",           "get_events",   "download_documents",
		"download_document", "download_all", "webhook_connectivity",
		"webhook_send_test"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(r->name, names[i]) == 0)
			return true;
	return false;
}

static void add_slowest(struct list *l)
{
	const char *slowest = NULL;
	double most = 0;
	enum api_severity s;
	for (size_t i = 0; i < api_nroutes; i++) {
		const char *name = api_routes[i].name;
		if (waits(&api_routes[i]) ||
		    metric_observations(HISTOGRAM_http_request, name) < OBSERVATIONS_MIN)
			continue;
		double p95 = metric_quantile(HISTOGRAM_http_request, name, 0.95);
		if (p95 > most) {
			most = p95;
			slowest = name;
		}
	}
	if (slowest && above(&response_time, most, &s))
		add(l, "performance", s, most, response_time.at[s],
		    "Since the start one in twenty answers of %s took %.1f s or more.", slowest,
		    most);
}

static void add_token(struct list *l, const struct api_condition *k)
{
	const struct api_work *w = &k->work;
	char words[32];
	double left_s = (double)(w->token_expires_ms - k->now_ms) / 1e3;
	int s = SEVERITY_CRITICAL;
	if (!k->checks[CHECK_TOKEN].ok) {
		add(l, "portal_token", SEVERITY_CRITICAL, 0, token_life.at[SEVERITY_CRITICAL],
		    "The portal token cannot be used: %s.", k->checks[CHECK_TOKEN].detail);
		return;
	}
	if (w->token_expires_ms < 0)
		return;
	while (s >= SEVERITY_LOW && left_s > token_life.at[s])
		s--;
	if (s < SEVERITY_LOW)
		return;
	api_duration_words((int64_t)left_s * 1000, words);
	add(l, "portal_token", (enum api_severity)s, left_s, token_life.at[s],
	    "The portal token expires in %s.", words);
}

static void add_pause(struct list *l, const struct api_condition *k)
{
	char words[32];
	int64_t left = k->work.paused_until_ms - k->now_ms;
	if (left <= 0)
		return;
	api_duration_words(left, words);
	add(l, "portal_paused", SEVERITY_MEDIUM, (double)left / 1e3, 0,
	    "Requests to the portal pause for %s more%s%s", words, k->work.pause_why ? ": " : ".",
	    k->work.pause_why ? k->work.pause_why : "");
}

static void add_trouble(struct list *l, const struct api_condition *k)
{
	char words[32];
	int64_t since = k->work.trouble_since_ms;
	if (since) {
		int64_t ms = k->now_ms > since ? k->now_ms - since : 0;
		api_duration_words(ms, words);
		add(l, "storage", SEVERITY_CRITICAL, (double)ms / 1e3, 0,
		    "Nothing can be stored for %s: %s", words, k->work.trouble);
	}
	for (size_t i = CHECK_DATABASE; i <= CHECK_WORKER; i++)
		if (!k->checks[i].ok)
			add(l, i == CHECK_WORKER ? "worker" : "storage", SEVERITY_CRITICAL, 1, 1,
			    "The check %s fails: %s.", k->checks[i].name, k->checks[i].detail);
}

static void add_queue(struct list *l, const struct api_condition *k)
{
	char words[32];
	enum api_severity s;
	if (!above(&queue_age, (double)k->queue_s, &s))
		return;
	api_duration_words(k->queue_s * 1000, words);
	add(l, "queue_age", s, (double)k->queue_s, queue_age.at[s],
	    "The oldest job has been waiting for %s.", words);
}

size_t api_alerts(const struct api_condition *k, struct api_alert out[static ALERTS_MAX])
{
	const struct api_counts *in = &k->in;
	struct list l = {.alerts = out};
	enum api_severity s;
	add_trouble(&l, k);
	add_token(&l, k);
	add_pause(&l, k);
	add_queue(&l, k);
	add_rate(&l, "error_rate", &error_rate, share(in->failed, in->answers, RATE_MIN),
		 "the answers of the last minutes failed by our fault");
	add_rate(&l, "batch_failure", &error_rate, share(in->broken, in->jobs, JOBS_MIN),
		 "the jobs of the last minutes ended because the portal or the storage failed");
	add_rate(&l, "timeout", &timeout_rate, share(in->timeouts, in->calls, RATE_MIN),
		 "the portal's answers of the last minutes came too late");
	add_rate(&l, "cache_miss", &cache_miss_rate,
		 share(in->misses, in->hits + in->misses, LOOKUPS_MIN),
		 "the answers of the last minutes were not at hand in memory");
	add_rate(&l, "memory_usage", &memory_usage, k->memory, "the memory is in use");
	if (above(&rate_limit_hits, (double)in->limited, &s))
		add(&l, "rate_limit", s, (double)in->limited, rate_limit_hits.at[s],
		    "Rate limits refused %" PRId64 " requests in the last minutes.", in->limited);
	add_slowest(&l);
	return l.n;
}
