/*
 * Webhook routes: what can be a webhook, what a test tells of its target, and what it never tells.
 */
#include "api_rig.h"
#include "contract.h"
#include "hook.h"

#define HOOKS "/api/v1/webhooks/webhook-"

static struct rig rig;
static struct contract contract;
static char key[ACCESS_KEY_SIZE];

static void open_rig(const char *const *settings)
{
	rig_open(&rig, settings);
	contract_open(&contract);
	rig_user(&rig, "clerk", ROLE_USER, key);
}

static int begin(void **state)
{
	(void)state;
	open_rig(NULL);
	return 0;
}

static int begin_production(void **state)
{
	(void)state;
	open_rig((const char *const[]){"environment", "production", NULL});
	return 0;
}

static int end(void **state)
{
	(void)state;
	contract_close(&contract);
	rig_close(&rig);
	return 0;
}

/* A request about a target on this machine; `more` are further members. */
static struct rig_answer ask_about(const char *route, int port, const char *more)
{
	char *body = xasprintf("{\"webhook_url\":\"http://127.0.0.1:%d/hook\"%s}", port, more);
	struct rig_answer a = rig_ask(&rig, "POST", route, key, body);
	xfree(body);
	return a;
}

static void assert_status(const struct rig_answer *a, int status)
{
	if (a->status != status)
		print_error("%d: %s\n", a->status, a->text);
	assert_int_equal(a->status, status);
}

static void validation_is_an_answer(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "POST", HOOKS "validate", key,
				      "{\"webhook_url\":\"https://client.example.org/hook\"}");
	assert_status(&a, 200);
	assert_contract(&contract, "WebhookValid", a.json);
	assert_true(json_is_true(rig_get(&a, "valid")));
	assert_string_equal(rig_text(&a, "url"), "https://client.example.org/hook");
	assert_true(rig_text(&a, "message")[0] != '\0');
	assert_null(rig_get(&a, "error"));
	rig_drop(&a);
	a = rig_ask(&rig, "POST", HOOKS "validate", key, "{\"webhook_url\":\"ftp://x/\"}");
	assert_status(&a, 200);
	assert_contract(&contract, "WebhookValid", a.json);
	assert_true(json_is_false(rig_get(&a, "valid")));
	assert_true(rig_text(&a, "error")[0] != '\0');
	rig_drop(&a);
	a = rig_ask(&rig, "POST", HOOKS "validate", key, "{}");
	assert_status(&a, 422);
	assert_string_equal(rig_text(&a, "errors/0/pointer"), "/webhook_url");
	rig_drop(&a);
}

static void tests_refuse_what_is_no_webhook(void **state)
{
	static const char *const routes[] = {HOOKS "test-connectivity", HOOKS "send-test"};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig_answer a = rig_ask(&rig, "POST", routes[i], key,
					      "{\"webhook_url\":\"http://169.254.169.254/\"}");
		assert_status(&a, 400);
		assert_non_null(strstr(rig_text(&a, "type"), "/invalid-webhook-url"));
		rig_drop(&a);
		a = ask_about(routes[i], 8080, ",\"test_payload\":[]");
		assert_status(&a, 422);
		assert_string_equal(rig_text(&a, "errors/0/pointer"), "/test_payload");
		rig_drop(&a);
		a = rig_ask(&rig, "POST", routes[i], NULL,
			    "{\"webhook_url\":\"https://a.example/\"}");
		assert_status(&a, 401);
		rig_drop(&a);
	}
}

static void any_answer_is_reachable(void **state)
{
	static struct hook h;
	(void)state;
	hook_open(&h, (const int[]){404, 0}, "words of the target");
	struct rig_answer a = ask_about(HOOKS "test-connectivity", h.port, "");
	hook_close(&h);
	assert_status(&a, 200);
	assert_true(json_is_true(rig_get(&a, "success")));
	assert_true(json_is_true(rig_get(&a, "reachable")));
	assert_contract(&contract, "WebhookTested", a.json);
	assert_int_equal(rig_int(&a, "status_code"), 404);
	assert_true(json_is_integer(rig_get(&a, "response_time_ms")));
	assert_null(rig_get(&a, "error"));
	assert_null(strstr(a.text, "words of the target"));
	assert_non_null(strstr(h.requests[0], "\"test\":true"));
	rig_drop(&a);
}

static void nobody_there(void **state)
{
	(void)state;
	struct rig_answer a = ask_about(HOOKS "test-connectivity", hook_dead_port(), "");
	assert_status(&a, 200);
	assert_true(json_is_false(rig_get(&a, "success")));
	assert_true(json_is_false(rig_get(&a, "reachable")));
	assert_contract(&contract, "WebhookTested", a.json);
	assert_null(rig_get(&a, "status_code"));
	assert_true(rig_text(&a, "error")[0] != '\0');
	rig_drop(&a);
}

static void a_test_is_sent(void **state)
{
	static struct hook h;
	(void)state;
	hook_open(&h, (const int[]){202, 0}, "");
	struct rig_answer a = ask_about(HOOKS "send-test", h.port, ",\"test_payload\":null");
	assert_status(&a, 200);
	assert_true(json_is_true(rig_get(&a, "success")));
	assert_true(json_is_true(rig_get(&a, "reachable")));
	assert_int_equal(rig_int(&a, "status_code"), 202);
	assert_contract(&contract, "WebhookSent", a.json);
	assert_int_equal(rig_int(&a, "attempts"), 1);
	rig_drop(&a);
	a = ask_about(HOOKS "send-test", h.port, ",\"test_payload\":{\"mine\":[1,2]}");
	assert_status(&a, 200);
	rig_drop(&a);
	hook_close(&h);
	assert_non_null(strstr(h.requests[0], "\"status\":\"completed\""));
	assert_non_null(strstr(h.requests[0], "\"total_documents\":10"));
	assert_non_null(strstr(h.requests[1], "\r\n\r\n{\"mine\":[1,2]}"));
}

static void large_payloads_are_refused(void **state)
{
	(void)state;
	char *more = xmalloc(80000), *end = more;
	end += sprintf(end, ",\"test_payload\":{\"a\":\"");
	memset(end, 'x', 65530);
	sprintf(end + 65530, "\"}");
	struct rig_answer a = ask_about(HOOKS "send-test", 8080, more);
	xfree(more);
	assert_status(&a, 422);
	assert_string_equal(rig_text(&a, "errors/0/pointer"), "/test_payload");
	rig_drop(&a);
}

static void nothing_is_tried_while_draining(void **state)
{
	(void)state;
	api_drain(rig.api);
	struct rig_answer a = ask_about(HOOKS "test-connectivity", 8080, "");
	assert_status(&a, 503);
	assert_non_null(strstr(rig_text(&a, "type"), "/draining"));
	assert_non_null(rig_header(&a, "Retry-After"));
	rig_drop(&a);
}

static void the_receiver_says_what_it_got(void **state)
{
	(void)state;
	struct rig_answer a =
		rig_ask(&rig, "POST", HOOKS "test-receiver", NULL,
			"{\"test\":true,\"status\":\"completed\",\"process_number\":7,\"b\":1}");
	assert_status(&a, 200);
	assert_contract(&contract, "WebhookReceived", a.json);
	assert_true(json_is_true(rig_get(&a, "received")));
	assert_true(json_is_true(rig_get(&a, "test")));
	assert_string_equal(rig_text(&a, "status"), "completed");
	assert_true(json_is_null(rig_get(&a, "process_number")));
	assert_int_equal(json_array_size(rig_get(&a, "payload_keys")), 4);
	assert_string_equal(rig_text(&a, "payload_keys/0"), "b");
	assert_string_equal(rig_text(&a, "payload_keys/3"), "test");
	rig_drop(&a);
	a = rig_ask(&rig, "POST", HOOKS "test-receiver", NULL, "[]");
	assert_status(&a, 400);
	rig_drop(&a);
}

static void production_wants_https_and_receives_nothing(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "POST", HOOKS "test-receiver", NULL, "{}");
	assert_status(&a, 404);
	rig_drop(&a);
	a = ask_about(HOOKS "validate", 8080, "");
	assert_true(json_is_false(rig_get(&a, "valid")));
	rig_drop(&a);
	a = rig_ask(&rig, "POST", HOOKS "test-connectivity", key,
		    "{\"webhook_url\":\"https://127.0.0.1/\"}");
	assert_status(&a, 400);
	rig_drop(&a);
	/* A name is judged by the address it leads to. */
	a = rig_ask(&rig, "POST", HOOKS "validate", key,
		    "{\"webhook_url\":\"https://client.example.org/\"}");
	assert_true(json_is_true(rig_get(&a, "valid")));
	rig_drop(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(validation_is_an_answer),
		TEST(tests_refuse_what_is_no_webhook),
		TEST(any_answer_is_reachable),
		TEST(nobody_there),
		TEST(a_test_is_sent),
		TEST(large_payloads_are_refused),
		TEST(nothing_is_tried_while_draining),
		TEST(the_receiver_says_what_it_got),
		cmocka_unit_test_setup_teardown(production_wants_https_and_receives_nothing,
						begin_production, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
