/*
 * Calls and streams that wait: they end by news, also by news that came before they slept, and by
 * draining; a stream that is given up is told nothing more.
 */
#include "calls.h"

#include <stdatomic.h>

#define CASE "99000015520248260100"

static bool write_unknown(struct db *db, void *arg, struct err *e)
{
	struct job_lease l;
	size_t n = 1;
	bool over;
	(void)arg;
	return job_claim_ready(db, "worker", sys_wall_ms(), 60000, NULL, &l, &n, e) && n == 1 &&
	       job_finish(db, &l, OUTCOME_NOT_FOUND, "no such case", sys_wall_ms(), &over, e);
}

/* ---- Waiting ---- */

static void test_waiting_ends_with_news(void **state)
{
	(void)state;
	struct slow s;
	struct err e;
	assert_int_equal(slow_begin(&s, "GET", "/api/v1/processes/" CASE, "", "Prefer", "wait=50"),
			 API_SLEEP);
	assert_int_equal(slow_step(&s), API_SLEEP); /* the job is asked for */
	api_launch(s.call);
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e));
	for (;;) {
		rig_await(&s.bell);
		if (api_resume(s.call) == API_DONE)
			break;
		api_launch(s.call);
	}
	struct api_response *r = api_response(s.call);
	assert_int_equal(r->status, 404);
	bool applied = false;
	for (size_t i = 0; i < r->nheaders; i++)
		applied = applied || (strcmp(r->headers[i].name, "Preference-Applied") == 0 &&
				      strcmp(api_header_value(r, i), "wait=50") == 0);
	assert_true(applied);
	slow_end(&s);
}

static void test_news_before_the_sleep(void **state)
{
	(void)state;
	struct slow s;
	struct err e;
	assert_int_equal(slow_begin(&s, "GET", "/api/v1/processes/" CASE, "", "Prefer", "wait=50"),
			 API_SLEEP);
	assert_int_equal(slow_step(&s), API_SLEEP);
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e)); /* it does not sleep yet */
	assert_int_equal(slow_step(&s), API_DONE);
	assert_int_equal(slow_end(&s), 404);
}

static void test_nobody_waits_while_draining(void **state)
{
	(void)state;
	struct slow s;
	assert_int_equal(slow_begin(&s, "GET", "/api/v1/processes/" CASE, "", "Prefer", "wait=50"),
			 API_SLEEP);
	assert_int_equal(slow_step(&s), API_SLEEP);
	api_launch(s.call);
	api_drain(rig.api);
	rig_await(&s.bell);
	assert_int_equal(api_resume(s.call), API_DONE);
	assert_int_equal(slow_end(&s), 202);
	struct rig_answer a = rig_ask_with(&rig, "GET", "/api/v1/processes/" CASE, admin, NULL,
					   "Prefer", "wait=50");
	assert_int_equal(a.status, 202);
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/readyz", NULL, NULL);
	assert_int_equal(a.status, 503);
	rig_drop(&a);
}

/* ---- Streams ---- */

static bool ask_for_case(struct db *db, void *arg, struct err *e)
{
	struct job_ticket *t = arg;
	struct job_ask ask = {.number = CASE, .relist = true, .now_ms = sys_wall_ms()};
	return job_request(db, &ask, t, e);
}

static void never(void *owner)
{
	*(atomic_int *)owner += 1;
}

static void test_stream_is_given_up(void **state)
{
	(void)state;
	struct job_ticket t;
	struct err e;
	char part[4096];
	atomic_int woken = 0;
	assert_true(ledger_write(rig.ledger, ask_for_case, &t, &e));
	struct rig_answer a =
		rig_ask(&rig, "GET", "/api/v1/processes/" CASE "/events", admin, NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(a.stream);
	while (api_stream_read(a.stream, part, sizeof part) > 0)
		;
	api_stream_sleep(a.stream, never, &woken);
	rig_drop(&a); /* the client is gone: its stream is freed while it sleeps */
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e));
	api_drain(rig.api);
	assert_int_equal(atomic_load(&woken), 0);
}

static void test_stream_sleeps_and_goes_on(void **state)
{
	(void)state;
	struct job_ticket t;
	struct err e;
	char part[4096];
	struct rig_bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
	assert_true(ledger_write(rig.ledger, ask_for_case, &t, &e));
	struct rig_answer a =
		rig_ask(&rig, "GET", "/api/v1/processes/" CASE "/events", admin, NULL);
	while (api_stream_read(a.stream, part, sizeof part) > 0)
		;
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e));
	api_stream_sleep(a.stream, rig_ring, &bell); /* the news came before */
	rig_await(&bell);
	ssize_t n = api_stream_read(a.stream, part, sizeof part - 1);
	assert_true(n > 0);
	part[n] = '\0';
	assert_non_null(strstr(part, "event: done\n"));
	assert_int_equal(api_stream_read(a.stream, part, sizeof part), -1);
	rig_drop(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_waiting_ends_with_news),      TEST(test_news_before_the_sleep),
		TEST(test_nobody_waits_while_draining), TEST(test_stream_is_given_up),
		TEST(test_stream_sleeps_and_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
