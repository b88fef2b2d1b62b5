/*
 * A name with several addresses, of which some may not be called: libcurl knows two of "localhost",
 * 127.0.0.1 and ::1, without asking anybody.
 */
#include "guard.h"
#include "hook.h"
#include "http.h"
#include "webhook_retry.h"

/* Asks http://localhost:port/ where only these ranges may be called, and judges what came back. */
static void ask(const char *allow, int port, struct webhook_verdict *v)
{
	static const struct webhook_schedule schedule = {.n = 1, .waits_ms = {2000}};
	struct config c;
	struct guard g;
	struct err e = {0};
	config_init(&c);
	assert_true(config_set(&c, "environment", "production", CONFIG_COMMAND_LINE, &e));
	assert_true(config_set(&c, "webhook_allow", allow, CONFIG_COMMAND_LINE, &e));
	assert_true(guard_init(&g, &c, &e));
	struct http *h = http_new(&(struct http_options){.proxy = "",
							 .ca_file = "",
							 .connect_timeout_ms = 5000,
							 .spool_dir = "",
							 .spool_memory = 4096,
							 .connections = 1,
							 .fresh = true,
							 .may_connect = guard_may_connect,
							 .may_arg = &g},
				  &e);
	assert_non_null(h);
	struct http_exchange x = {.req = {.method = "GET",
					  .url = xasprintf("http://localhost:%d/", port),
					  .total_ms = 10000,
					  .max_body = 4096,
					  .in_memory = true}};
	http_start(h, &x);
	while (!http_done(h))
		assert_true(http_turn(h, 1000, &e));
	webhook_judge(&x.res, &schedule, 1, 0, 0, v);
	http_exchange_release(&x);
	http_free(h);
	config_release(&c);
}

/* Nothing else than the one that may be called is called. */
static void test_one_answers(void **state)
{
	(void)state;
	struct hook h;
	struct webhook_verdict v;
	hook_open(&h, (const int[]){200, 0}, "");
	ask("127.0.0.0/8", h.port, &v);
	assert_int_equal(v.class, WEBHOOK_OK);
	ask("::1/128", h.port, &v);
	hook_close(&h);
	assert_int_equal(v.class, WEBHOOK_CONNECT);
	assert_int_equal(h.asked, 1);
}

/* It may be there again for the next try. */
static void test_one_is_down(void **state)
{
	(void)state;
	static const char *const allowed[] = {"127.0.0.0/8", "::1/128", "127.0.0.0/8, ::1/128"};
	int port = hook_dead_port();
	for (size_t i = 0; i < 3; i++) {
		struct webhook_verdict v;
		ask(allowed[i], port, &v);
		if (v.class != WEBHOOK_CONNECT || v.fate != WEBHOOK_AGAIN)
			fail_msg("%s: %s, %s", allowed[i], webhook_class_name(v.class), v.why);
		assert_true(v.target_failed);
	}
}

static void test_none_may_be_called(void **state)
{
	(void)state;
	struct webhook_verdict v;
	ask("10.0.0.0/8", hook_dead_port(), &v);
	assert_int_equal(v.class, WEBHOOK_BLOCKED);
	assert_int_equal(v.fate, WEBHOOK_CANCELLED);
	assert_non_null(strstr(v.error, "loopback"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_answers),
		cmocka_unit_test(test_one_is_down),
		cmocka_unit_test(test_none_may_be_called),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
