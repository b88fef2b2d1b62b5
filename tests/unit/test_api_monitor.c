/*
 * Monitoring: answers as described, figures that are measured, and alerts that come when their
 * bound is passed and go when it is not.
 */
#include "api_rig.h"
#include "contract.h"
#include "metrics.h"

#define MONITOR "/api/v1/monitoring/"

static struct rig rig;
static struct contract contract;
static char admin[ACCESS_KEY_SIZE], user[ACCESS_KEY_SIZE];

static int begin(void **state)
{
	(void)state;
	rig_open(&rig, NULL);
	rig_user(&rig, "root", ROLE_ADMIN, admin);
	rig_user(&rig, "clerk", ROLE_USER, user);
	contract_open(&contract);
	return 0;
}

static int end(void **state)
{
	(void)state;
	contract_close(&contract);
	rig_close(&rig);
	return 0;
}

static struct rig_answer get(const char *target)
{
	struct rig_answer a = rig_ask(&rig, "GET", target, admin, NULL);
	if (a.status != 200)
		print_error("%s: %d: %s\n", target, a.status, a.text);
	assert_int_equal(a.status, 200);
	return a;
}

static const struct {
	const char *target, *schema;
} routes[] = {
	{MONITOR "status", "MonitorStatus"},
	{MONITOR "metrics", "MonitorMetrics"},
	{MONITOR "performance", "MonitorPerformance"},
	{MONITOR "health/detailed", "MonitorHealth"},
	{MONITOR "alerts", "MonitorAlerts"},
	{MONITOR "dashboard", "MonitorDashboard"},
	{MONITOR "metrics/historical", "MonitorHistory"},
	{MONITOR "metrics/historical?hours=168", "MonitorHistory"},
};

static void answers_are_as_described(void **state)
{
	(void)state;
	for (int bad = 0; bad < 2; bad++) {
		for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
			struct rig_answer a = get(routes[i].target);
			assert_contract(&contract, routes[i].schema, a.json);
			rig_drop(&a);
		}
		rig.work.token_missing = true; /* and now with alerts */
		rig.work.paused_until_ms = sys_wall_ms() + 5000;
		rig.work.pause_why = "the portal asks for patience";
	}
	struct rig_answer a = rig_ask(&rig, "GET", "/health", NULL, NULL);
	assert_contract(&contract, "Health", a.json);
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/", NULL, NULL);
	assert_contract(&contract, "Index", a.json);
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/api-info", NULL, NULL);
	assert_contract(&contract, "ApiInfo", a.json);
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/readyz", NULL, NULL);
	assert_contract(&contract, "Ready", a.json);
	rig_drop(&a);
}

static void only_admins_may_look(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		struct rig_answer a = rig_ask(&rig, "GET", routes[i].target, user, NULL);
		assert_int_equal(a.status, 403);
		rig_drop(&a);
		a = rig_ask(&rig, "GET", routes[i].target, NULL, NULL);
		assert_int_equal(a.status, 401);
		rig_drop(&a);
	}
	static const char *const hours[] = {"0", "169", "x", "-1"};
	for (size_t i = 0; i < 4; i++) {
		char *target = xasprintf(MONITOR "metrics/historical?hours=%s", hours[i]);
		struct rig_answer a = rig_ask(&rig, "GET", target, admin, NULL);
		assert_int_equal(a.status, 400);
		rig_drop(&a);
		xfree(target);
	}
}

static void figures_are_measured(void **state)
{
	(void)state;
	struct rig_answer a = get(MONITOR "status");
	int64_t before = rig_int(&a, "summary/requests_total");
	double memory = json_number_value(rig_get(&a, "summary/memory_percent"));
	assert_true(memory > 0 && memory < 100);
	assert_string_equal(rig_text(&a, "status"), "healthy");
	rig_drop(&a);
	a = get(MONITOR "status");
	assert_int_equal(rig_int(&a, "summary/requests_total"), before + 1);
	assert_true(json_number_value(rig_get(&a, "summary/success_rate")) == 100);
	rig_drop(&a);
	a = get(MONITOR "performance");
	bool seen = false;
	size_t i;
	json_t *one;
	json_array_foreach(rig_get(&a, "performance/routes"), i, one) seen =
		seen ||
		strcmp(json_string_value(json_object_get(one, "route")), "monitor_status") == 0;
	assert_true(seen);
	rig_drop(&a);
}

/* ---- Alerts ---- */

/* The alert of a type, NULL when there is none; gives a reference. */
static json_t *alert_of(const char *type)
{
	struct rig_answer a = get(MONITOR "alerts");
	json_t *one, *found = NULL, *all = rig_get(&a, "alerts");
	size_t i;
	assert_int_equal(rig_int(&a, "total_alerts"), json_array_size(all));
	json_array_foreach(all, i, one) if (strcmp(json_string_value(json_object_get(one, "type")),
						   type) == 0) found = one;
	json_incref(found);
	rig_drop(&a);
	return found;
}

static void assert_alert(const char *type, const char *severity, const char *words)
{
	json_t *one = alert_of(type);
	if (!severity) {
		assert_null(one);
		return;
	}
	if (!one)
		fail_msg("no alert %s", type);
	assert_string_equal(json_string_value(json_object_get(one, "severity")), severity);
	if (!strstr(json_string_value(json_object_get(one, "message")), words))
		fail_msg("%s", json_string_value(json_object_get(one, "message")));
	json_decref(one);
}

static void assert_level(const char *level)
{
	struct rig_answer a = get(MONITOR "status");
	assert_string_equal(rig_text(&a, "status"), level);
	rig_drop(&a);
}

static void all_is_well(void **state)
{
	(void)state;
	static const char *const types[] = {"portal_token", "portal_paused", "storage", "worker",
					    "queue_age",    "error_rate",    "timeout"};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		assert_alert(types[i], NULL, NULL);
	struct rig_answer a = get(MONITOR "health/detailed");
	assert_string_equal(rig_text(&a, "overall_status"), "healthy");
	rig_drop(&a);
}

static void the_token_is_watched(void **state)
{
	static const struct {
		int64_t left_s;
		const char *severity;
	} lives[] = {
		{3700, NULL}, {3500, "low"}, {1700, "medium"}, {500, "high"}, {50, "critical"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
		rig.work.token_expires_ms = sys_wall_ms() + lives[i].left_s * 1000;
		assert_alert("portal_token", lives[i].severity, "expires in");
	}
	rig.work.token_expires_ms = sys_wall_ms() - 1;
	assert_alert("portal_token", "critical", "expired");
	rig.work.token_expires_ms = -1;
	rig.work.token_refused = true;
	assert_alert("portal_token", "critical", "refuses");
	assert_level("critical");
	struct rig_answer a = get(MONITOR "health/detailed");
	assert_string_equal(rig_text(&a, "components/portal_token/status"), "critical");
	assert_string_equal(rig_text(&a, "overall_status"), "critical");
	rig_drop(&a);
}

static void pauses_and_trouble_are_told(void **state)
{
	(void)state;
	rig.work.paused_until_ms = sys_wall_ms() + 61000;
	rig.work.pause_why = "the portal asks for patience";
	assert_alert("portal_paused", "medium", "for 1 min more: the portal asks for patience");
	struct rig_answer a = get(MONITOR "health/detailed");
	assert_string_equal(rig_text(&a, "components/portal/status"), "warning");
	rig_drop(&a);
	rig.work.paused_until_ms = sys_wall_ms() - 1;
	assert_alert("portal_paused", NULL, NULL);
	assert_level("healthy");

	rig.work.trouble_since_ms = sys_wall_ms() - 120000;
	snprintf(rig.work.trouble, sizeof rig.work.trouble, "the disk is full");
	assert_alert("storage", "critical", "the disk is full");
	assert_level("critical");
	rig.work.trouble_since_ms = 0;
	rig.work.turned_ms = sys_wall_ms() - 40000;
	assert_alert("worker", "critical", "has not moved");
	assert_level("critical");
}

static void our_faults_are_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		metric_count(FAMILY_http_requests, "2xx");
	assert_alert("error_rate", NULL, NULL);
	for (int i = 0; i < 16; i++)
		metric_count(FAMILY_http_requests, "5xx");
	assert_alert("error_rate", "low", "of the answers");
	for (int i = 0; i < 100; i++)
		metric_count(FAMILY_http_requests, "5xx");
	assert_alert("error_rate", "critical", "of the answers");
	assert_level("critical"); /* less than 90 % succeed */
}

static void few_cases_say_nothing(void **state)
{
	(void)state;
	metric_add(METRIC_cache_misses, 99);
	assert_alert("cache_miss", NULL, NULL);
	metric_add(METRIC_cache_misses, 1);
	assert_alert("cache_miss", "critical", "100.0 %");
	assert_level("healthy"); /* new cases are no fault */
	metric_add(METRIC_cache_hits, 300);
	assert_alert("cache_miss", "low", "25.0 %");
}

static void the_portal_and_limits_are_watched(void **state)
{
	(void)state;
	metric_add(METRIC_portal_calls, 100);
	for (int i = 0; i < 5; i++)
		metric_count(FAMILY_portal_answers, "time-out");
	assert_alert("timeout", "medium", "5.0 %");
	metric_add(METRIC_rate_limited, 9);
	assert_alert("rate_limit", NULL, NULL);
	metric_add(METRIC_rate_limited, 41);
	assert_alert("rate_limit", "high", "50 requests");
	assert_level("warning");
	struct rig_answer a = get(MONITOR "metrics");
	assert_int_equal(rig_int(&a, "metrics/active_alerts"), 2);
	assert_int_equal(rig_int(&a, "metrics/alerts_by_severity/medium"), 1);
	assert_int_equal(rig_int(&a, "metrics/alerts_by_severity/high"), 1);
	assert_int_equal(rig_int(&a, "metrics/alerts_by_type/timeout"), 1);
	assert_int_equal(rig_int(&a, "metrics/alerts_by_type/storage"), 0);
	rig_drop(&a);
}

/* Counts from before the API began are not held against it. */
static void the_past_is_past(void **state)
{
	(void)state;
	assert_true(metric_counted(FAMILY_http_requests, "5xx") > 100);
	assert_alert("error_rate", NULL, NULL);
	assert_level("healthy");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(answers_are_as_described), TEST(only_admins_may_look),
		TEST(figures_are_measured),     TEST(all_is_well),
		TEST(the_token_is_watched),     TEST(pauses_and_trouble_are_told),
		TEST(our_faults_are_counted),   TEST(the_past_is_past),
		TEST(few_cases_say_nothing),    TEST(the_portal_and_limits_are_watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
