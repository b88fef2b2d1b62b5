/*
 * What an answer does to its question and to the whole, without a network: answers are made up.
 */
#include "flow.h"

#include "scratch.h"

enum { PAUSE_MAX = 1000 };

struct room {
	struct config config;
	struct account account;
	struct flow flow;
	struct run *run;
};

static int setup(void **state)
{
	static const char *const set[][2] = {{"portal_url", "https://portal.test/api/v2"},
					     {"portal_token", "secret"},
					     {"retry_max", "3"},
					     {"retry_delay", "100ms"},
					     {"portal_pause", "100ms"},
					     {"portal_pause_max", "1s"}};
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	config_init(&r->config);
	for (size_t i = 0; i < sizeof set / sizeof *set; i++)
		assert_true(config_set(&r->config, set[i][0], set[i][1], CONFIG_FILE, &e));
	assert_true(account_init(&r->account, "default", &r->config, &e));
	flow_init(&r->flow, &r->config, &r->account, NULL);
	r->run = run_new(
		&(struct job_lease){.job_id = 1, .relist = true, .number = "00000013920248260100"});
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	flow_release(&r->flow);
	run_free(r->run);
	account_release(&r->account);
	config_release(&r->config);
	xfree(r);
	return 0;
}

/* The next question, whatever pause is running. */
static struct task *next(struct room *r)
{
	int64_t wake = INT64_MAX;
	r->account.lane.paused_until = 0;
	r->account.lane.next_list = 0;
	struct task *t = flow_next(&r->flow, r->run, sys_mono_ms() + 3600000, &wake);
	assert_non_null(t);
	return t;
}

static void nobody_answers(struct room *r)
{
	struct task *t = next(r);
	t->exchange.res = (struct http_res){.fault = HTTP_FAULT_CONNECT, .content_length = -1};
	flow_answer(&r->flow, t);
}

static int64_t pause_left(const struct room *r)
{
	return r->account.lane.paused_until - sys_mono_ms();
}

static void asks_to_wait(struct room *r, const char *retry_after)
{
	struct task *t = next(r);
	t->exchange.res = (struct http_res){.status = 429, .content_length = -1};
	snprintf(t->exchange.res.retry_after, sizeof t->exchange.res.retry_after, "%s",
		 retry_after);
	flow_answer(&r->flow, t);
}

/* With a share of a quota the others are told the longest time that was named, and that none was.
 */
static void test_longest_hold_is_told(void **state)
{
	struct room *r = *state;
	struct account_share *s = &r->account.share;
	*s = (struct account_share){.on = true, .until = INT64_MAX, .list_until = INT64_MAX};
	r->run->stage = RUN_DETAIL;
	asks_to_wait(r, "");
	assert_true(s->held && s->untimed && s->held_until == 0);
	s->untimed = false;
	asks_to_wait(r, "120");
	assert_true(s->held && !s->untimed);
	asks_to_wait(r, "5");
	asks_to_wait(r, "");
	assert_true(s->held && s->untimed);
	assert_in_range(s->held_until - sys_mono_ms(), 60000, 120001);
}

/* A turn for a list call is used only while it lasts on the other clock, whose reading came back
 * some time after it was asked for. */
static void test_list_turn(void **state)
{
	struct room *r = *state;
	struct account *a = &r->account;
	a->share = (struct account_share){.on = true, .until = INT64_MAX};
	account_list_turn(a, 10000, 10300, 50, 400);
	assert_false(account_may_list(a, 10349));
	assert_false(a->share.wants_list);
	assert_true(account_opens_at(a, 10300) == 10350);
	assert_true(account_may_list(a, 10350));
	assert_true(account_may_list(a, 10450));
	assert_false(account_may_list(a, 10451));
	assert_true(a->share.wants_list);
	/* The answer came when it was over: another one is asked for at once. */
	a->share.wants_list = false;
	account_list_turn(a, 20000, 20450, 50, 400);
	assert_false(account_may_list(a, 20450));
	assert_true(a->share.wants_list);
}

/* A portal that is away for long is asked at least every portal_pause_max, and nothing is given
 * up. */
static void test_portal_away(void **state)
{
	struct room *r = *state;
	for (int i = 0; i < 40; i++) {
		nobody_answers(r);
		assert_true(pause_left(r) <= PAUSE_MAX);
		if (i > 6)
			assert_true(pause_left(r) > PAUSE_MAX / 2);
		assert_int_equal(r->run->stage, RUN_LIST);
		assert_int_equal(r->run->outcome, OUTCOME_NONE);
	}
	assert_int_equal(r->account.troubles, 40);
	assert_int_equal(r->flow.flying, 0);
}

/* What the portal itself asks for is honoured. */
static void test_portal_names_the_time(void **state)
{
	struct room *r = *state;
	struct task *t = next(r);
	t->exchange.res =
		(struct http_res){.status = 429, .content_length = -1, .retry_after = "20"};
	flow_answer(&r->flow, t);
	assert_true(pause_left(r) > 10 * PAUSE_MAX);
	assert_int_equal(r->account.troubles, 0);
}

static const char *header(const struct task *t, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < t->exchange.req.nheaders; i++)
		if (strncmp(t->exchange.req.headers[i], name, n) == 0)
			return t->exchange.req.headers[i];
	return NULL;
}

static void test_trace(void **state)
{
	struct room *r = *state;
	struct task *t = next(r);
	assert_non_null(header(t, "Authorization: "));
	assert_null(header(t, "traceparent"));
	t->exchange.res = (struct http_res){.fault = HTTP_FAULT_CONNECT, .content_length = -1};
	flow_answer(&r->flow, t);
	snprintf(r->run->lease.trace, sizeof r->run->lease.trace,
		 "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	t = next(r);
	assert_string_equal(header(t, "traceparent"),
			    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_portal_away),
		TEST(test_portal_names_the_time),
		TEST(test_longest_hold_is_told),
		TEST(test_list_turn),
		TEST(test_trace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
