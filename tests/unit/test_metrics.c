/*
 * Counters, labels and histograms, and their text, which is read by a small parser of its own.
 */
#include "metrics.h"

#include <math.h>
#include <pthread.h>

#include "scratch.h"

static void test_metrics(void **state)
{
	(void)state;
	int64_t before = metric_get(METRIC_cache_hits);
	metric_add(METRIC_cache_hits, 3);
	metric_add(METRIC_cache_hits, 4);
	assert_int_equal(metric_get(METRIC_cache_hits), before + 7);
	metric_set(METRIC_http_streams, 9);
	metric_set(METRIC_http_streams, -2);
	assert_int_equal(metric_get(METRIC_http_streams), -2);
	metric_set(METRIC_http_streams, 0);
}

static void test_families(void **state)
{
	(void)state;
	static const char ok[] = "2xx", same[] = "2xx";
	assert_int_equal(metric_counted(FAMILY_http_requests, NULL), 0);
	assert_int_equal(metric_counted(FAMILY_http_requests, "2xx"), 0);
	metric_count(FAMILY_http_requests, ok);
	metric_count(FAMILY_http_requests, ok);
	metric_count(FAMILY_http_requests, same); /* another address, the same words */
	metric_count(FAMILY_http_requests, "4xx");
	assert_int_equal(metric_counted(FAMILY_http_requests, "2xx"), 3);
	assert_int_equal(metric_counted(FAMILY_http_requests, "4xx"), 1);
	assert_int_equal(metric_counted(FAMILY_http_requests, "5xx"), 0);
	assert_int_equal(metric_counted(FAMILY_http_requests, ""), 0);
	assert_int_equal(metric_counted(FAMILY_http_requests, NULL), 4);
	assert_int_equal(metric_counted(FAMILY_portal_status, NULL), 0);
	metric_count(FAMILY_http_requests, "other");
	metric_count(FAMILY_http_requests, NULL);
	assert_int_equal(metric_counted(FAMILY_http_requests, "other"), 2);
	assert_int_equal(metric_counted(FAMILY_http_requests, NULL), 6);
}

static char many[100][16];

/* 63 values have a place; what comes later is "other", for ever. */
static void test_other(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 100; i++) {
			snprintf(many[i], sizeof many[i], "v%d", i);
			metric_count(FAMILY_portal_answers, many[i]);
			metric_observe(HISTOGRAM_portal_request, many[i], 0.1);
		}
	for (int i = 0; i < 100; i++) {
		assert_int_equal(metric_counted(FAMILY_portal_answers, many[i]), i < 63 ? 2 : 0);
		assert_int_equal(metric_observations(HISTOGRAM_portal_request, many[i]),
				 i < 63 ? 2 : 0);
	}
	assert_int_equal(metric_counted(FAMILY_portal_answers, "other"), 2 * 37);
	assert_int_equal(metric_counted(FAMILY_portal_answers, NULL), 200);
	assert_int_equal(metric_observations(HISTOGRAM_portal_request, "other"), 2 * 37);
	assert_int_equal(metric_observations(HISTOGRAM_portal_request, NULL), 200);
}

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

static void test_histogram(void **state)
{
	(void)state;
	assert_true(metric_quantile(HISTOGRAM_http_request, NULL, .5) == 0);
	assert_true(metric_sum(HISTOGRAM_http_request, NULL) == 0);
	for (int i = 0; i < 10; i++)
		metric_observe(HISTOGRAM_http_request, "a", .03); /* (.025, .05] */
	for (int i = 0; i < 10; i++)
		metric_observe(HISTOGRAM_http_request, "b", 3); /* (2.5, 5] */
	assert_int_equal(metric_observations(HISTOGRAM_http_request, "a"), 10);
	assert_int_equal(metric_observations(HISTOGRAM_http_request, NULL), 20);
	assert_int_equal(metric_observations(HISTOGRAM_http_request, "c"), 0);
	assert_true(near(metric_sum(HISTOGRAM_http_request, "a"), .3));
	assert_true(near(metric_sum(HISTOGRAM_http_request, NULL), 30.3));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, "a", 0), .025));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, "a", .5), .0375));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, "a", 1), .05));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, "a", 7), .05));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, "a", -1), .025));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, NULL, .5), .05));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, NULL, .75), 3.75));
	assert_true(near(metric_quantile(HISTOGRAM_http_request, NULL, .95), 4.75));
	assert_true(metric_quantile(HISTOGRAM_http_request, "c", .5) == 0);
}

/* A bound belongs to the bucket below it; beyond the last one the last one is told. */
static void test_bounds(void **state)
{
	(void)state;
	metric_observe(HISTOGRAM_storage_put, NULL, .001);
	assert_true(near(metric_quantile(HISTOGRAM_storage_put, NULL, 1), .001));
	metric_observe(HISTOGRAM_storage_put, NULL, .0010001);
	assert_true(near(metric_quantile(HISTOGRAM_storage_put, NULL, 1), .0025));
	metric_observe(HISTOGRAM_storage_put, NULL, 600);
	assert_true(near(metric_quantile(HISTOGRAM_storage_put, NULL, 1), 600));
	metric_observe(HISTOGRAM_storage_put, NULL, 1e300);
	assert_true(near(metric_quantile(HISTOGRAM_storage_put, NULL, 1), 600));
	assert_int_equal(metric_observations(HISTOGRAM_storage_put, NULL), 4);
	/* no label: whatever is given is the same series */
	metric_observe(HISTOGRAM_storage_put, "x", 1);
	assert_int_equal(metric_observations(HISTOGRAM_storage_put, "y"), 5);
	/* what is no time counts as none */
	double sum = metric_sum(HISTOGRAM_storage_put, NULL);
	metric_observe(HISTOGRAM_storage_put, NULL, -1);
	metric_observe(HISTOGRAM_storage_put, NULL, (double)NAN);
	assert_true(metric_sum(HISTOGRAM_storage_put, NULL) == sum);
	assert_int_equal(metric_observations(HISTOGRAM_storage_put, NULL), 7);
}

/* ---- Text ---- */

static char *text(void)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	metrics_text(&b);
	assert_false(b.overflow);
	return buf_detach(&b);
}

static void has(const char *all, const char *line)
{
	size_t n = strlen(line);
	for (const char *s = all; (s = strstr(s, line)); s++)
		if ((s == all || s[-1] == '\n') && s[n] == '\n')
			return;
	fail_msg("no line %s", line);
}

static void test_text(void **state)
{
	(void)state;
	metric_set(METRIC_http_streams, 5);
	metric_observe(HISTOGRAM_job_run, NULL, .002);
	metric_observe(HISTOGRAM_job_run, NULL, 45);
	metric_observe(HISTOGRAM_job_run, NULL, 9000);
	metric_count(FAMILY_documents, "a\"b\\c\nd");
	char *s = text();
	has(s, "# HELP autos_build_info The program that runs; always 1");
	has(s, "# TYPE autos_build_info gauge");
	has(s, "autos_build_info{version=\"" AUTOS_VERSION "\"} 1");
	has(s, "# HELP autos_portal_calls_total Requests sent to the portal");
	has(s, "# TYPE autos_portal_calls_total counter");
	has(s, "autos_portal_calls_total 0");
	has(s, "# TYPE autos_http_streams gauge");
	has(s, "autos_http_streams 5");
	has(s, "# TYPE autos_documents_total counter");
	has(s, "autos_documents_total{result=\"a\\\"b\\\\c\\nd\"} 1");
	has(s, "# TYPE autos_job_run_seconds histogram");
	has(s, "autos_job_run_seconds_bucket{le=\"0.001\"} 0");
	has(s, "autos_job_run_seconds_bucket{le=\"0.0025\"} 1");
	has(s, "autos_job_run_seconds_bucket{le=\"30\"} 1");
	has(s, "autos_job_run_seconds_bucket{le=\"60\"} 2");
	has(s, "autos_job_run_seconds_bucket{le=\"600\"} 2");
	has(s, "autos_job_run_seconds_bucket{le=\"+Inf\"} 3");
	has(s, "autos_job_run_seconds_sum 9045.0020000");
	has(s, "autos_job_run_seconds_count 3");
	has(s, "autos_http_request_seconds_bucket{route=\"a\",le=\"0.05\"} 10");
	has(s, "autos_http_request_seconds_sum{route=\"a\"} 0.3000000");
	has(s, "autos_http_request_seconds_count{route=\"b\"} 10");
	has(s, "autos_portal_answers_total{rule=\"v62\"} 2");
	has(s, "autos_portal_answers_total{rule=\"other\"} 74");
	assert_null(strstr(s, "\"v63\""));
	assert_null(strstr(s, "autos_job_wait_seconds_bucket{le=\"+Inf\"} 1"));
	xfree(s);
}

/* A dial shows what it was set to last, under each of its words. */
static void test_dials(void **state)
{
	(void)state;
	assert_int_equal(metric_turned(DIAL_database_oldest_snapshot_seconds, "slot"), 0);
	metric_turn(DIAL_database_oldest_snapshot_seconds, "slot", 70);
	metric_turn(DIAL_database_oldest_snapshot_seconds, "session", 4);
	metric_turn(DIAL_database_oldest_snapshot_seconds, "session", 0);
	assert_int_equal(metric_turned(DIAL_database_oldest_snapshot_seconds, "slot"), 70);
	char *s = text();
	has(s, "# TYPE autos_database_oldest_snapshot_seconds gauge");
	has(s, "autos_database_oldest_snapshot_seconds{holder=\"slot\"} 70");
	has(s, "autos_database_oldest_snapshot_seconds{holder=\"session\"} 0");
	xfree(s);
}

/* Every sample belongs to the head above it; every name has one head; the last line ends. */
static void test_grammar(void **state)
{
	(void)state;
	char *all = text(), *rest = all, name[100] = "";
	size_t heads = 0;
	assert_true(all[strlen(all) - 1] == '\n');
	for (char *line; (line = strsep(&rest, "\n")) && *line;) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			size_t n = strcspn(line + 7, " ");
			assert_true(n < sizeof name && line[7 + n] == ' ');
			memcpy(name, line + 7, n);
			name[n] = '\0';
			heads++;
			continue;
		}
		assert_true(name[0] != '\0');
		size_t n = strlen(name);
		if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_memory_equal(line + 7, name, n);
			continue;
		}
		assert_memory_equal(line, name, n);
		const char *value = strrchr(line, ' ');
		char *end;
		assert_non_null(value);
		strtod(value + 1, &end);
		assert_true(end > value + 1 && *end == '\0');
	}
	assert_int_equal(heads, 1 + METRIC_COUNT + FAMILY_COUNT + DIAL_COUNT + HISTOGRAM_COUNT);
	xfree(all);
}

/* ---- Threads ---- */

enum { THREADS = 4, ROUNDS = 20000, NAMES = 80 };

static char names[THREADS][NAMES][16];

/* Each thread has addresses of its own for the same words. */
static void *count_many(void *arg)
{
	char(*mine)[16] = arg;
	for (int i = 0; i < NAMES; i++)
		snprintf(mine[i], sizeof mine[i], "r%d", i);
	for (int i = 0; i < ROUNDS; i++) {
		metric_count(FAMILY_http_route_requests, mine[i % NAMES]);
		metric_observe(HISTOGRAM_ledger_commit, NULL, .5);
		metric_add(METRIC_stale_writes, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, names[i]), 0);
	xfree(text());
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_counted(FAMILY_http_route_requests, NULL), THREADS * ROUNDS);
	assert_int_equal(metric_observations(HISTOGRAM_ledger_commit, NULL), THREADS * ROUNDS);
	assert_true(near(metric_sum(HISTOGRAM_ledger_commit, NULL), THREADS * ROUNDS / 2));
	assert_int_equal(metric_get(METRIC_stale_writes), THREADS * ROUNDS);
	int64_t named = 0, places = 0;
	for (int i = 0; i < NAMES; i++) {
		int64_t n = metric_counted(FAMILY_http_route_requests, names[0][i]);
		assert_true(n == 0 || n == THREADS * ROUNDS / NAMES);
		named += n;
		places += n > 0;
	}
	assert_int_equal(places, 63);
	assert_int_equal(metric_counted(FAMILY_http_route_requests, "other"),
			 THREADS * ROUNDS - named);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics), cmocka_unit_test(test_families),
		cmocka_unit_test(test_other),   cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_bounds),  cmocka_unit_test(test_text),
		cmocka_unit_test(test_dials),   cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
