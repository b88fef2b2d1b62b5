/*
 * What an attempt came to, and when the next one is.
 */
#include "webhook_retry.h"

#include "scratch.h"

static struct webhook_schedule usual;

static int setup(void **state)
{
	(void)state;
	struct err e;
	return webhook_schedule_parse("2s,4s,1m,5m,30m,2h,5h,10h", &usual, &e) ? 0 : -1;
}

static void test_schedule(void **state)
{
	(void)state;
	struct webhook_schedule s;
	struct err e = {0};
	assert_int_equal(usual.n, 8);
	assert_int_equal(usual.waits_ms[0], 2000);
	assert_int_equal(usual.waits_ms[7], 36000000);
	assert_true(webhook_schedule_parse(" 10ms , 7d ", &s, &e));
	assert_int_equal(s.n, 2);
	static const char *const bad[] = {
		"",   ",",   "x",     "1s,",   "0",
		"8d", "-1s", "1s,,y", "1s;2s", "11111111111111111111111111s"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		bool taken = webhook_schedule_parse(bad[i], &s, &e);
		if (taken != (strcmp(bad[i], "1s,") == 0))
			fail_msg("'%s': %d", bad[i], taken);
	}
	assert_false(webhook_schedule_parse("1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", &s, &e));
	assert_says(&e, "more than 20");
}

static struct webhook_verdict judge(struct http_res r, int64_t try, uint64_t random)
{
	struct webhook_verdict v;
	webhook_judge(&r, &usual, try, 1000000, random, &v);
	return v;
}

#define ANSWER(s) ((struct http_res){.status = (s)})
#define FAULT(f, ...) ((struct http_res){.fault = (f), ##__VA_ARGS__})

static void test_classes(void **state)
{
	(void)state;
	static const struct {
		struct http_res r;
		const char *class;
		enum webhook_fate fate;
		bool target;
	} rows[] = {
		{ANSWER(200), "ok", WEBHOOK_DELIVERED, false},
		{ANSWER(204), "ok", WEBHOOK_DELIVERED, false},
		{ANSWER(299), "ok", WEBHOOK_DELIVERED, false},
		{ANSWER(199), "http", WEBHOOK_AGAIN, false},
		{ANSWER(301), "http", WEBHOOK_AGAIN, false},
		{ANSWER(404), "http", WEBHOOK_AGAIN, false},
		{ANSWER(410), "gone", WEBHOOK_CANCELLED, false},
		{ANSWER(429), "http", WEBHOOK_AGAIN, true},
		{ANSWER(500), "http", WEBHOOK_AGAIN, true},
		{ANSWER(503), "http", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_TOO_LARGE, .status = 200), "ok", WEBHOOK_DELIVERED, false},
		{FAULT(HTTP_FAULT_TOO_LARGE, .status = 500), "http", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_TIMEOUT, .status = 200), "timeout", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_TIMEOUT), "timeout", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_RESET), "reset", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_SHORT, .status = 200), "reset", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_PROTOCOL), "protocol", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_CONNECT, .cause = HTTP_CAUSE_NAME), "dns", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_CONNECT, .cause = HTTP_CAUSE_ADDRESS), "connect", WEBHOOK_AGAIN,
		 true},
		{FAULT(HTTP_FAULT_CONNECT, .cause = HTTP_CAUSE_TLS), "tls", WEBHOOK_AGAIN, true},
		{FAULT(HTTP_FAULT_CONNECT, .cause = HTTP_CAUSE_REFUSED,
		       .fault_text = "address refused: private use (10.0.0.0/8)"),
		 "blocked", WEBHOOK_CANCELLED, false},
		{FAULT(HTTP_FAULT_LOCAL), "local", WEBHOOK_AGAIN, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct webhook_verdict v = judge(rows[i].r, 1, 0);
		if (strcmp(webhook_class_name(v.class), rows[i].class) != 0 ||
		    v.fate != rows[i].fate || v.target_failed != rows[i].target)
			fail_msg("row %zu: %s %d %d", i, webhook_class_name(v.class), v.fate,
				 v.target_failed);
		assert_int_equal(*v.error == '\0', v.class == WEBHOOK_OK);
		assert_int_equal(v.fate == WEBHOOK_AGAIN, v.wait_ms > 0);
	}
	struct webhook_verdict v = judge(rows[20].r, 1, 0);
	assert_string_equal(v.error, "the address may not be called: private use (10.0.0.0/8)");
}

static void test_waits(void **state)
{
	(void)state;
	static const int64_t base[] = {2000,    4000,    60000,    300000,
				       1800000, 7200000, 18000000, 36000000};
	for (int64_t try = 1; try <= 8; try++) {
		int64_t low = INT64_MAX, high = 0;
		for (uint64_t random = 0; random < 5000; random++) {
			int64_t w = judge(ANSWER(500), try, random * UINT64_C(0x9e3779b97f4a7c15))
					    .wait_ms;
			low = w < low ? w : low;
			high = w > high ? w : high;
		}
		int64_t b = base[try - 1], fifth = b < 60000 ? 0 : b / 5;
		assert_true(low >= b - fifth && high <= b + fifth);
		assert_true(fifth == 0 || (low < b && high > b));
	}
	struct webhook_verdict v = judge(ANSWER(500), 9, 0);
	assert_int_equal(v.fate, WEBHOOK_FAILED);
	assert_string_equal(v.why, "that was the last of 9 tries");
	assert_true(webhook_schedule_length(&usual) >= 63366000);
}

static void test_retry_after(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *after;
		int64_t try, wait;
		const char *why;
	} rows[] = {
		{503, "120", 1, 120000, "asked to wait 2 min: again in 2 min"},
		{503, "1", 1, 2000, "by the schedule: again in 2 s"}, /* never sooner */
		{503, "0", 2, 4000, "by the schedule: again in 4 s"},
		{503, "31536000", 1, 3600000, "asked to wait 8760 h 00 min: again in 60 min"},
		{429, "30", 1, 30000, "asked to wait 30 s: again in 30 s"},
		{429, "", 1, 60000, "too many requests: again in 60 s"},
		{429, "soon", 1, 60000, "too many requests: again in 60 s"},
		{404, "10", 1, 10000, "asked to wait 10 s: again in 10 s"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct http_res r = ANSWER(rows[i].status);
		snprintf(r.retry_after, sizeof r.retry_after, "%s", rows[i].after);
		struct webhook_verdict v = judge(r, rows[i].try, 0);
		assert_int_equal(v.wait_ms, rows[i].wait);
		assert_string_equal(v.why, rows[i].why);
	}
	struct http_res late = ANSWER(503);
	snprintf(late.retry_after, sizeof late.retry_after, "999999999");
	assert_int_equal(judge(late, 8, 0).wait_ms, 72000000); /* twice ten hours */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedule),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_retry_after),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
