/*
 * api_watch - answers that are kept for a moment, so that being asked often costs little, and one
 * sample of the counters for each minute.
 */
#include "api_watch.h"

#include "log.h"
#include "metrics.h"
#include "schema.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	SUMS_EVERY_MS = 10000,
	WORKER_HANGS_MS = 30000,
	SAMPLE_EVERY_MS = 60000,
	SAMPLES = 6,
	SPACE_MIN = 64 << 20,
};

struct sample {
	int64_t at_ms;
	struct api_counts counts;
};

struct api_watch {
	pthread_mutex_t lock;

	int64_t sums_at_ms;
	bool sums_ok;
	struct queue_sums sums;

	struct sample samples[SAMPLES]; /* oldest first */
	size_t nsamples;

	bool was[CHECKS]; /* what the checks said last, to log only changes */
};

static void count(struct api_counts *c)
{
	*c = (struct api_counts){
		.answers = metric_counted(FAMILY_http_requests, NULL),
		.failed = metric_counted(FAMILY_http_requests, "5xx"),
		.limited = metric_get(METRIC_rate_limited),
		.hits = metric_get(METRIC_cache_hits),
		.misses = metric_get(METRIC_cache_misses),
		.calls = metric_get(METRIC_portal_calls),
		.timeouts = metric_counted(FAMILY_portal_answers, "time-out"),
		.jobs = metric_counted(FAMILY_jobs_ended, NULL),
		.broken = metric_counted(FAMILY_jobs_ended, "upstream_error") +
			  metric_counted(FAMILY_jobs_ended, "storage_error"),
		.cpu_us = sys_cpu_us(),
	};
}

static void take_sample(struct api_watch *w, int64_t now)
{
	if (w->nsamples == SAMPLES)
		memmove(w->samples, w->samples + 1, --w->nsamples * sizeof *w->samples);
	struct sample *s = &w->samples[w->nsamples++];
	s->at_ms = now;
	count(&s->counts);
}

struct api_watch *api_watch_new(void)
{
	struct api_watch *w = xcalloc(1, sizeof *w);
	pthread_mutex_init(&w->lock, NULL);
	take_sample(w, sys_mono_ms());
	for (size_t i = 0; i < CHECKS; i++)
		w->was[i] = true;
	return w;
}

void api_watch_free(struct api_watch *w)
{
	if (!w)
		return;
	pthread_mutex_destroy(&w->lock);
	xfree(w);
}

/* ---- The last minutes ---- */

void api_watch_tick(struct api *a)
{
	struct api_watch *w = a->watch;
	int64_t now = sys_mono_ms();
	pthread_mutex_lock(&w->lock);
	if (now - w->samples[w->nsamples - 1].at_ms >= SAMPLE_EVERY_MS)
		take_sample(w, now);
	pthread_mutex_unlock(&w->lock);
}

/* The oldest sample that is not older than a full row of them, else the newest. */
static struct sample window_base(struct api_watch *w, int64_t now)
{
	size_t i = 0;
	pthread_mutex_lock(&w->lock);
	while (i + 1 < w->nsamples &&
	       now - w->samples[i].at_ms > (int64_t)SAMPLES * SAMPLE_EVERY_MS)
		i++;
	struct sample base = w->samples[i];
	pthread_mutex_unlock(&w->lock);
	return base;
}

int64_t api_window(struct api *a, struct api_counts *out)
{
	struct api_counts now;
	int64_t now_ms = sys_mono_ms();
	struct sample base = window_base(a->watch, now_ms);
	const struct api_counts *b = &base.counts;
	count(&now);
	*out = (struct api_counts){
		.answers = now.answers - b->answers,
		.failed = now.failed - b->failed,
		.limited = now.limited - b->limited,
		.hits = now.hits - b->hits,
		.misses = now.misses - b->misses,
		.calls = now.calls - b->calls,
		.timeouts = now.timeouts - b->timeouts,
		.jobs = now.jobs - b->jobs,
		.broken = now.broken - b->broken,
		.cpu_us = now.cpu_us - b->cpu_us,
	};
	return now_ms > base.at_ms ? now_ms - base.at_ms : 1;
}

/* ---- The queue ---- */

void api_work_now(struct api *a, struct api_work *out)
{
	*out = (struct api_work){.token_expires_ms = -1};
	a->o.work(a->o.arg, out);
}

static bool read_sums(struct api *a, struct queue_sums *out)
{
	struct err e;
	struct db *db = api_reader(a, &e);
	bool ok = db && query_sums(db, out, &e);
	api_reader_back(a, db);
	if (!ok)
		log_error("queue not read", "why=\"%s\"", e.text);
	return ok;
}

bool api_sums(struct api *a, struct queue_sums *out)
{
	struct api_watch *w = a->watch;
	struct queue_sums sums = {0};
	int64_t now = sys_mono_ms();
	pthread_mutex_lock(&w->lock);
	bool stale = !w->sums_at_ms || now - w->sums_at_ms >= SUMS_EVERY_MS;
	if (stale)
		w->sums_at_ms = now; /* whoever asks meanwhile gets the last ones */
	bool ok = w->sums_ok;
	*out = w->sums;
	pthread_mutex_unlock(&w->lock);
	if (!stale)
		return ok;
	ok = read_sums(a, &sums);
	pthread_mutex_lock(&w->lock);
	w->sums_ok = ok;
	w->sums = sums;
	pthread_mutex_unlock(&w->lock);
	*out = sums;
	return ok;
}

/* ---- Checks ---- */

void api_duration_words(int64_t ms, char out[static 32])
{
	int64_t s = ms / 1000;
	if (s >= 86400)
		snprintf(out, 32, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(out, 32, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(out, 32, "%" PRId64 " min", s / 60);
	else
		snprintf(out, 32, "%" PRId64 " s", s);
}

static void say(struct api_check *c, bool ok, const char *detail)
{
	c->ok = ok;
	snprintf(c->detail, sizeof c->detail, "%s", detail);
}

static void check_database(struct api *a, struct api_check *c)
{
	struct err e;
	struct db *db = api_reader(a, &e);
	bool ok = db && schema_serves(db, &e);
	api_reader_back(a, db);
	if (!ok)
		log_debug("database check failed", "why=\"%s\"", e.text);
	say(c, ok, ok ? "answers" : "cannot be read");
}

/* What a probe of the store found out. */
static void add_facts(struct store *s, struct api_check *c)
{
	struct buf facts;
	buf_init(&facts, sizeof c->detail);
	s->ops->facts(s, &facts);
	size_t n = strlen(c->detail);
	if (facts.len)
		snprintf(c->detail + n, sizeof c->detail - n, "; %s", buf_str(&facts));
	buf_release(&facts);
}

static void check_store(struct api *a, struct api_check *c)
{
	switch (api_store_state(a->store)) {
	case API_STORE_UNKNOWN:
		say(c, false, "is being checked");
		break;
	case API_STORE_GOOD:
		say(c, true, "writable");
		break;
	case API_STORE_BAD:
		say(c, false, "cannot be written");
		break;
	case API_STORE_SILENT:
		say(c, false, "does not answer");
		break;
	}
	if (c->ok && a->o.store->ops->facts)
		add_facts(a->o.store, c);
}

static void check_spool(struct api *a, struct api_check *c)
{
	int64_t space = sys_free_space(a->config->data_dir);
	c->ok = space >= SPACE_MIN;
	if (space < 0)
		say(c, false, "its folder cannot be read");
	else if (space >= 1 << 30)
		snprintf(c->detail, sizeof c->detail, "%.1f GB free", (double)space / 1e9);
	else
		snprintf(c->detail, sizeof c->detail, "%.1f MB free", (double)space / 1e6);
}

static void check_worker(const struct api_work *work, struct api_check *c)
{
	char words[32];
	int64_t idle = sys_wall_ms() - work->turned_ms;
	if (work->elsewhere) {
		say(c, true, "other processes work");
		return;
	}
	if (!work->turned_ms) {
		say(c, false, "does not run");
		return;
	}
	c->ok = idle <= WORKER_HANGS_MS;
	if (c->ok) {
		say(c, true, "runs");
		return;
	}
	api_duration_words(idle, words);
	snprintf(c->detail, sizeof c->detail, "has not moved for %s", words);
}

static void check_token(const struct api_work *work, struct api_check *c)
{
	char words[32];
	int64_t left = work->token_expires_ms - sys_wall_ms();
	if (work->elsewhere) {
		say(c, true, "is with the processes that work");
	} else if (work->token_missing) {
		say(c, false, "there is none");
	} else if (work->token_refused) {
		say(c, false, "the portal refuses it");
	} else if (work->token_expires_ms < 0) {
		say(c, true, "does not say when it expires");
	} else if (left <= 0) {
		say(c, false, "has expired");
	} else {
		api_duration_words(left, words);
		c->ok = true;
		snprintf(c->detail, sizeof c->detail, "%s left", words);
	}
}

static void log_changes(struct api_watch *w, const struct api_check checks[static CHECKS])
{
	bool changed[CHECKS];
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < CHECKS; i++) {
		changed[i] = w->was[i] != checks[i].ok;
		w->was[i] = checks[i].ok;
	}
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < CHECKS; i++)
		if (changed[i])
			log_warn("check changed", "check=%s ok=%d detail=\"%s\"", checks[i].name,
				 checks[i].ok, checks[i].detail);
}

void api_checks(struct api *a, struct api_check out[static CHECKS])
{
	struct api_work work;
	bool draining = atomic_load(&a->draining);
	static const struct {
		const char *name;
		bool required;
	} known[CHECKS] = {
		[CHECK_DATABASE] = {"database", true},   [CHECK_STORE] = {"store", true},
		[CHECK_SPOOL] = {"spool", true},         [CHECK_WORKER] = {"worker", true},
		[CHECK_TOKEN] = {"portal_token", false}, /* stored facts need none */
		[CHECK_DRAINING] = {"draining", true},
	};
	for (size_t i = 0; i < CHECKS; i++)
		out[i] = (struct api_check){.name = known[i].name, .required = known[i].required};
	api_work_now(a, &work);
	check_database(a, &out[CHECK_DATABASE]);
	check_store(a, &out[CHECK_STORE]);
	check_spool(a, &out[CHECK_SPOOL]);
	check_worker(&work, &out[CHECK_WORKER]);
	check_token(&work, &out[CHECK_TOKEN]);
	say(&out[CHECK_DRAINING], !draining, draining ? "the service is being stopped" : "no");
	log_changes(a->watch, out);
}

bool api_is_ready(const struct api_check checks[static CHECKS])
{
	for (size_t i = 0; i < CHECKS; i++)
		if (checks[i].required && !checks[i].ok)
			return false;
	return true;
}

const char *api_health_word(const struct api_check checks[static CHECKS])
{
	if (!api_is_ready(checks))
		return "unhealthy";
	for (size_t i = 0; i < CHECKS; i++)
		if (!checks[i].ok)
			return "degraded";
	return "healthy";
}
