/*
 * What runs here and whether it works: health tells the truth, readiness names each check, figures
 * are for admins, and the page about the API comes out of the program.
 */
#include "api_rig.h"
#include "metrics.h"
#include "scratch.h"

static struct rig rig;
static char admin[ACCESS_KEY_SIZE], user[ACCESS_KEY_SIZE];

static void open_rig(const char *const *settings)
{
	rig_open(&rig, settings);
	rig_user(&rig, "root", ROLE_ADMIN, admin);
	rig_user(&rig, "clerk", ROLE_USER, user);
}

static int begin(void **state)
{
	(void)state;
	open_rig(NULL);
	return 0;
}

static int begin_public(void **state)
{
	(void)state;
	open_rig((const char *const[]){"metrics_public", "yes", NULL});
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static struct rig_answer get(const char *target, const char *key)
{
	return rig_ask(&rig, "GET", target, key, NULL);
}

static void assert_health(const char *word)
{
	struct rig_answer a = get("/health", NULL);
	assert_int_equal(a.status, 200);
	if (strcmp(rig_text(&a, "status"), word) != 0)
		print_error("%s\n", a.text);
	assert_string_equal(rig_text(&a, "status"), word);
	rig_drop(&a);
}

/* The check of this name, as readyz tells it. */
static json_t *check_of(const struct rig_answer *a, const char *name)
{
	size_t i;
	json_t *one, *all = rig_get(a, "checks");
	json_array_foreach(all, i, one) if (strcmp(json_string_value(json_object_get(one, "name")),
						   name) == 0) return one;
	fail_msg("no check %s", name);
	return NULL;
}

static void assert_check(int status, const char *name, bool ok, bool required, const char *words)
{
	struct rig_answer a = get("/readyz", NULL);
	json_t *one = check_of(&a, name);
	if (a.status != status || !strstr(json_string_value(json_object_get(one, "detail")), words))
		print_error("%d: %s\n", a.status, a.text);
	assert_int_equal(a.status, status);
	assert_string_equal(rig_text(&a, "status"), status == 200 ? "ready" : "not_ready");
	assert_int_equal(json_is_true(json_object_get(one, "ok")), ok);
	assert_int_equal(json_is_true(json_object_get(one, "required")), required);
	assert_non_null(strstr(json_string_value(json_object_get(one, "detail")), words));
	rig_drop(&a);
}

static void front_pages(void **state)
{
	(void)state;
	struct rig_answer a = get("/", NULL);
	assert_int_equal(a.status, 200);
	assert_string_equal(rig_text(&a, "version"), AUTOS_VERSION);
	assert_string_equal(rig_text(&a, "environment"), "development");
	assert_string_equal(rig_text(&a, "request_id"), rig_header(&a, "X-Request-ID"));
	assert_string_equal(rig_text(&a, "docs_url"), "/docs");
	assert_string_equal(rig_text(&a, "status"), "healthy");
	assert_true(json_number_value(rig_get(&a, "uptime_seconds")) >= 0);
	rig_drop(&a);
	a = get("/api-info", NULL);
	assert_string_equal(rig_text(&a, "api/prefix"), "/api/v1");
	assert_int_equal(json_array_size(rig_get(&a, "routers/versioned/routers")), 5);
	assert_true(json_is_false(rig_get(&a, "routers/legacy/enabled")));
	assert_true(json_is_false(rig_get(&a, "debug")));
	rig_drop(&a);
	a = get("/livez", NULL);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.text, "ok");
	rig_drop(&a);
}

static void ready_and_healthy(void **state)
{
	static const char *const names[] = {"database", "store",        "spool",
					    "worker",   "portal_token", "draining"};
	(void)state;
	struct rig_answer a = get("/readyz", NULL);
	assert_int_equal(a.status, 200);
	assert_int_equal(json_array_size(rig_get(&a, "checks")), 6);
	for (size_t i = 0; i < 6; i++)
		assert_true(json_is_true(json_object_get(check_of(&a, names[i]), "ok")));
	assert_null(strstr(a.text, rig.dir)); /* no path of ours */
	rig_drop(&a);
	assert_health("healthy");
}

static bool write_version(struct db *db, void *arg, struct err *e)
{
	return db_run(db, arg, NULL, 0, NULL, e);
}

static void set_version(const char *sql)
{
	struct err e;
	assert_true(ledger_write(rig.ledger, write_version, (void *)(uintptr_t)sql, &e));
}

/* Another process brings the database to a newer version: whoever runs goes on. An older one is no
 * database for us. */
static void a_newer_database_serves(void **state)
{
	(void)state;
	set_version("INSERT INTO schema_version (version, applied_ms) SELECT MAX(version) + 1, 1"
		    " FROM schema_version");
	assert_check(200, "database", true, true, "answers");
	set_version("DELETE FROM schema_version WHERE version >="
		    " (SELECT MAX(version) - 1 FROM schema_version)");
	assert_check(503, "database", false, true, "cannot be read");
	set_version("INSERT INTO schema_version (version, applied_ms) SELECT MAX(version) + 1, 1"
		    " FROM schema_version");
	assert_check(200, "database", true, true, "answers");
}

/* Without the portal stored facts can still be served. */
static void a_token_is_not_required(void **state)
{
	(void)state;
	rig.work.token_missing = true;
	assert_check(200, "portal_token", false, false, "there is none");
	assert_health("degraded");
	rig.work.token_missing = false;
	rig.work.token_refused = true;
	assert_check(200, "portal_token", false, false, "refuses");
	rig.work.token_refused = false;
	rig.work.token_expires_ms = sys_wall_ms() - 1;
	assert_check(200, "portal_token", false, false, "expired");
	rig.work.token_expires_ms = sys_wall_ms() + 3 * 3600000 + 150000;
	assert_check(200, "portal_token", true, false, "3 h 2 min left");
	rig.work.token_expires_ms = sys_wall_ms() + 2 * 86400000 + 1000;
	assert_check(200, "portal_token", true, false, "2 d 0 h left");
	rig.work.token_expires_ms = -1;
	assert_check(200, "portal_token", true, false, "does not say");
	assert_health("healthy");
}

static void a_worker_that_hangs_is_seen(void **state)
{
	(void)state;
	rig.work.turned_ms = sys_wall_ms() - 60500;
	assert_check(503, "worker", false, true, "has not moved for 1 min");
	assert_health("unhealthy");
	rig.work.turned_ms = 0;
	assert_check(503, "worker", false, true, "does not run");
	rig.work.turned_ms = sys_wall_ms();
	assert_check(200, "worker", true, true, "runs");
}

/* What the store said last is kept for some seconds, so this is the first time it is asked. */
static void a_store_that_cannot_be_written(void **state)
{
	(void)state;
	char *objects = xasprintf("%s/objects", rig.dir);
	assert_int_equal(nftw(objects, rig_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	xfree(objects);
	assert_check(503, "store", false, true, "cannot be written");
	assert_check(503, "store", false, true, "cannot be written");
	assert_health("unhealthy");
}

static void draining_sends_clients_away(void **state)
{
	(void)state;
	assert_check(200, "draining", true, true, "no");
	api_drain(rig.api);
	assert_check(503, "draining", false, true, "stopped");
}

/* ---- Figures ---- */

static void figures_are_for_admins(void **state)
{
	(void)state;
	struct rig_answer a = get("/metrics", NULL);
	assert_int_equal(a.status, 401);
	assert_non_null(strstr(rig_header(&a, "WWW-Authenticate"), "Bearer"));
	rig_drop(&a);
	a = get("/metrics", user);
	assert_int_equal(a.status, 403);
	rig_drop(&a);
	a = get("/metrics", "no key at all");
	assert_int_equal(a.status, 401);
	rig_drop(&a);
	a = get("/metrics", admin);
	assert_int_equal(a.status, 200);
	assert_string_equal(rig_header(&a, "Content-Type"),
			    "text/plain; version=0.0.4; charset=utf-8");
	rig_drop(&a);
	a = get("/metrics", "control");
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

/* The value of a sample, by its whole name. */
static double sample(const char *text, const char *name)
{
	char *line = xasprintf("\n%s ", name);
	const char *at = strstr(text, line);
	if (!at)
		fail_msg("no sample %s", name);
	double value = strtod(at + strlen(line), NULL);
	xfree(line);
	return value;
}

static void figures_are_true(void **state)
{
	(void)state;
	rig.work.cases = 4;
	rig.work.paused_until_ms = sys_wall_ms() + 60000;
	rig.work.token_expires_ms = sys_wall_ms() + 100000;
	struct rig_answer a = get("/metrics", NULL);
	assert_int_equal(a.status, 200);
	assert_true(sample(a.text, "autos_jobs{state=\"pending\"}") == 0);
	assert_true(sample(a.text, "autos_jobs{state=\"processing\"}") == 0);
	assert_true(sample(a.text, "autos_queue_oldest_seconds") == 0);
	assert_true(sample(a.text, "autos_cases_held") == 4);
	assert_true(sample(a.text, "autos_portal_paused") == 1);
	double life = sample(a.text, "autos_portal_token_life_seconds");
	assert_true(life > 90 && life <= 100);
	assert_true(sample(a.text, "autos_uptime_seconds") >= 0);
	assert_true(sample(a.text, "process_resident_memory_bytes") > 100000);
	assert_true(sample(a.text, "process_open_fds") >= 4);
	assert_int_equal(a.text[a.len - 1], '\n');
	rig_drop(&a);
}

/* ---- The page about the API ---- */

static void the_description_is_inside(void **state)
{
	(void)state;
	struct rig_answer a = get("/openapi.json", NULL);
	assert_int_equal(a.status, 200);
	assert_string_equal(rig_header(&a, "Content-Type"), "application/json");
	assert_true(strncmp(rig_text(&a, "openapi"), "3.1", 3) == 0);
	struct rig_answer b = rig_ask_with(&rig, "GET", "/openapi.json", NULL, NULL,
					   "If-None-Match", rig_header(&a, "ETag"));
	assert_int_equal(b.status, 304);
	assert_int_equal(b.len, 0);
	assert_string_equal(rig_header(&b, "ETag"), rig_header(&a, "ETag"));
	rig_drop(&b);
	b = rig_ask_with(&rig, "GET", "/openapi.json", NULL, NULL, "Accept-Encoding", "gzip");
	assert_string_equal(rig_header(&b, "Content-Encoding"), "gzip");
	assert_true(b.len < a.len / 4);
	rig_drop(&b);
	rig_drop(&a);
}

static void the_page_loads_only_what_is_ours(void **state)
{
	static const struct {
		const char *target, *type;
	} pages[] = {
		{"/docs", "text/html; charset=utf-8"},
		{"/docs/docs.css", "text/css; charset=utf-8"},
		{"/docs/docs.js", "text/javascript; charset=utf-8"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		struct rig_answer a = get(pages[i].target, NULL);
		assert_int_equal(a.status, 200);
		assert_true(a.len > 0);
		assert_string_equal(rig_header(&a, "Content-Type"), pages[i].type);
		assert_non_null(
			strstr(rig_header(&a, "Content-Security-Policy"), "default-src 'none'"));
		assert_non_null(rig_header(&a, "ETag"));
		rig_drop(&a);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(front_pages),
		TEST(ready_and_healthy),
		TEST(a_newer_database_serves),
		TEST(a_token_is_not_required),
		TEST(a_worker_that_hangs_is_seen),
		TEST(a_store_that_cannot_be_written),
		TEST(draining_sends_clients_away),
		TEST(figures_are_for_admins),
		cmocka_unit_test_setup_teardown(figures_are_true, begin_public, end),
		TEST(the_description_is_inside),
		TEST(the_page_loads_only_what_is_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
