/*
 * Asking addresses of clients: which answers count, how often it is tried, and that no address is
 * called which may not be.
 */
#include "probe.h"

#include "hook.h"

#include <sched.h>

struct bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	int times;
};

static struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void ring(struct probe_ask *a)
{
	(void)a;
	pthread_mutex_lock(&bell.lock);
	bell.times++;
	pthread_cond_signal(&bell.rung);
	pthread_mutex_unlock(&bell.lock);
}

static void await(int times)
{
	pthread_mutex_lock(&bell.lock);
	while (bell.times < times)
		pthread_cond_wait(&bell.rung, &bell.lock);
	bell.times -= times;
	pthread_mutex_unlock(&bell.lock);
}

static struct probe *probe_of(const char *environment)
{
	struct config c;
	struct err e;
	config_init(&c);
	assert_true(config_set(&c, "environment", environment, CONFIG_COMMAND_LINE, &e));
	struct probe *p = probe_new(&c, &e);
	assert_non_null(p);
	config_release(&c);
	return p;
}

static struct probe_ask ask_for(const char *host, int port, int tries, bool success_only)
{
	struct probe_ask a = {
		.tries = tries, .success_only = success_only, .wait_ms = 1, .done = ring};
	a.url = xasprintf("http://%s:%d/hook", host, port);
	a.body = xstrdup("{\"test\":true}");
	snprintf(a.id, sizeof a.id, "id-1");
	return a;
}

static void drop(struct probe_ask *a)
{
	xfree(a->url);
	xfree(a->body);
}

static struct probe_ask run(const char *environment, const char *host, int port, int tries,
			    bool success_only)
{
	struct probe *p = probe_of(environment);
	struct probe_ask a = ask_for(host, port, tries, success_only);
	probe_start(p, &a);
	await(1);
	probe_free(p);
	drop(&a);
	return a;
}

static void any_answer_counts(void **state)
{
	static struct hook h;
	(void)state;
	hook_open(&h, (const int[]){500, 0}, "inside");
	struct probe_ask a = run("development", "127.0.0.1", h.port, 1, false);
	hook_close(&h);
	assert_true(a.ok);
	assert_int_equal(a.status, 500);
	assert_int_equal(a.attempts, 1);
	assert_string_equal(a.error, "");
	const char *sent = h.requests[0];
	assert_true(strncmp(sent, "POST /hook HTTP/1.1\r\n", 21) == 0);
	assert_non_null(strstr(sent, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(sent, "\r\nUser-Agent: autos/" AUTOS_VERSION " (webhook test)\r\n"));
	assert_non_null(strstr(sent, "\r\nX-Webhook-ID: id-1\r\n"));
	assert_non_null(strstr(sent, "\r\nX-Webhook-Attempt: 1\r\n"));
	assert_non_null(strstr(sent, "\r\nX-Webhook-Timestamp: 2"));
	assert_non_null(strstr(sent, "\r\n\r\n{\"test\":true}"));
}

static void tries_again_until_success(void **state)
{
	static struct hook h;
	(void)state;
	hook_open(&h, (const int[]){500, 404, 204, 0}, "");
	struct probe_ask a = run("development", "127.0.0.1", h.port, 3, true);
	hook_close(&h);
	assert_true(a.ok);
	assert_int_equal(a.status, 204);
	assert_int_equal(a.attempts, 3);
	assert_non_null(strstr(h.requests[2], "\r\nX-Webhook-Attempt: 3\r\n"));
}

static void gives_up_after_the_last_try(void **state)
{
	static struct hook h;
	(void)state;
	hook_open(&h, (const int[]){503, 0}, "secret of the target");
	struct probe_ask a = run("development", "127.0.0.1", h.port, 3, true);
	hook_close(&h);
	assert_false(a.ok);
	assert_int_equal(a.status, 503);
	assert_int_equal(a.attempts, 3);
	assert_int_equal(h.asked, 3);
	assert_string_equal(a.error, "The target answered 503.");
}

static void redirects_are_answers(void **state)
{
	static struct hook h;
	(void)state;
	hook_open(&h, (const int[]){307, 0}, "");
	struct probe_ask a = run("development", "127.0.0.1", h.port, 1, false);
	hook_close(&h);
	assert_true(a.ok);
	assert_int_equal(a.status, 307);
	assert_int_equal(h.asked, 1);
}

static void a_large_answer_is_an_answer(void **state)
{
	static struct hook h;
	static char large[200 << 10];
	(void)state;
	memset(large, 'x', sizeof large - 1);
	hook_open(&h, (const int[]){200, 0}, large);
	struct probe_ask a = run("development", "127.0.0.1", h.port, 1, true);
	hook_close(&h);
	assert_true(a.ok);
	assert_int_equal(a.status, 200);
}

static void nobody_there(void **state)
{
	(void)state;
	struct probe_ask a = run("development", "127.0.0.1", hook_dead_port(), 2, false);
	assert_false(a.ok);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.attempts, 2);
	assert_non_null(strstr(a.error, "No connection"));
}

/* The guard judges the address that a name or a spelling leads to, and is not asked again. */
static void refused_addresses_are_not_called(void **state)
{
	static struct hook h;
	static const char *const inside[] = {"127.0.0.1", "localhost", "127.1", "0x7f000001"};
	(void)state;
	hook_open(&h, (const int[]){200, 0}, "");
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
		struct probe_ask a = run("production", inside[i], h.port, 3, true);
		assert_false(a.ok);
		assert_int_equal(a.status, 0);
		assert_int_equal(a.attempts, 1);
		assert_non_null(strstr(a.error, "may not be called"));
	}
	struct probe_ask a = run("development", "10.0.0.1", h.port, 3, true);
	assert_int_equal(a.attempts, 1);
	assert_non_null(strstr(a.error, "may not be called"));
	hook_close(&h);
	assert_int_equal(h.asked, 0);
}

static void proxies_of_the_environment_are_not_used(void **state)
{
	static struct hook proxy, h;
	(void)state;
	hook_open(&proxy, (const int[]){200, 0}, "");
	hook_open(&h, (const int[]){201, 0}, "");
	char *url = xasprintf("http://127.0.0.1:%d", proxy.port);
	setenv("http_proxy", url, 1);
	setenv("all_proxy", url, 1);
	struct probe_ask a = run("development", "127.0.0.1", h.port, 1, true);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	xfree(url);
	hook_close(&proxy);
	hook_close(&h);
	assert_int_equal(a.status, 201);
	assert_int_equal(proxy.asked, 0);
}

static void so_many_and_no_more(void **state)
{
	static struct hook h;
	struct probe_ask asks[PROBES_MAX + 1];
	(void)state;
	hook_open(&h, (const int[]){HOOK_SILENT, 0}, "");
	struct probe *p = probe_of("development");
	for (size_t i = 0; i <= PROBES_MAX; i++) {
		asks[i] = ask_for("127.0.0.1", h.port, 1, false);
		probe_start(p, &asks[i]);
	}
	await(1);
	assert_int_equal(asks[PROBES_MAX].attempts, 0);
	assert_non_null(strstr(asks[PROBES_MAX].error, "Too many"));
	probe_stop(p);
	await(PROBES_MAX);
	struct probe_ask late = ask_for("127.0.0.1", h.port, 1, false);
	probe_start(p, &late);
	await(1);
	assert_false(late.ok);
	assert_int_equal(late.attempts, 0);
	probe_free(p);
	hook_close(&h);
	for (size_t i = 0; i <= PROBES_MAX; i++) {
		assert_false(asks[i].ok);
		assert_true(asks[i].error[0] != '\0');
		drop(&asks[i]);
	}
	drop(&late);
}

/* Between two tries it ends as well. */
static void stops_while_it_waits(void **state)
{
	static struct hook h;
	(void)state;
	hook_open(&h, (const int[]){500, 0}, "");
	struct probe *p = probe_of("development");
	struct probe_ask a = ask_for("127.0.0.1", h.port, 3, true);
	a.wait_ms = 3600000;
	probe_start(p, &a);
	while (h.asked == 0)
		sched_yield();
	probe_free(p);
	await(1);
	hook_close(&h);
	assert_false(a.ok);
	assert_int_equal(a.attempts, 1);
	drop(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_answer_counts),
		cmocka_unit_test(tries_again_until_success),
		cmocka_unit_test(gives_up_after_the_last_try),
		cmocka_unit_test(redirects_are_answers),
		cmocka_unit_test(a_large_answer_is_an_answer),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(refused_addresses_are_not_called),
		cmocka_unit_test(proxies_of_the_environment_are_not_used),
		cmocka_unit_test(so_many_and_no_more),
		cmocka_unit_test(stops_while_it_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
