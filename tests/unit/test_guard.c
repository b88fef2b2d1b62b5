/*
 * Which addresses may be connected to: the environments, the allowed ranges, ports, and our own
 * doors.
 */
#include "guard.h"

#include "scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct sockaddr_storage address(const char *ip, int port)
{
	struct sockaddr_storage s = {0};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
		memcpy(&s, &in, sizeof in);
	else if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1)
		memcpy(&s, &in6, sizeof in6);
	else
		fail_msg("%s is no address", ip);
	return s;
}

static void set(struct config *c, const char *key, const char *value)
{
	struct err e;
	assert_true(config_set(c, key, value, CONFIG_COMMAND_LINE, &e));
}

static void guard_of(struct guard *g, const char *environment, const char *allow)
{
	struct config c;
	struct err e = {0};
	config_init(&c);
	set(&c, "environment", environment);
	set(&c, "webhook_allow", allow);
	set(&c, "listen", "0.0.0.0:8000");
	if (!guard_init(g, &c, &e))
		fail_msg("%s", e.text);
	config_release(&c);
}

/* NULL when it may be called. */
static const char *why_not(struct guard *g, const char *ip, int port)
{
	struct sockaddr_storage s = address(ip, port);
	const char *why = "nothing was said";
	return guard_may_connect(g, (struct sockaddr *)&s, &why) ? NULL : why;
}

#define MAY(g, ip, port) assert_null(why_not(g, ip, port))
#define MAY_NOT(g, ip, port, says)                                                                 \
	do {                                                                                       \
		const char *why_ = why_not(g, ip, port);                                           \
		if (!why_ || !strstr(why_, says))                                                  \
			fail_msg("%s %d: %s", ip, port, why_ ? why_ : "may be called");            \
	} while (0)

static void test_environments(void **state)
{
	(void)state;
	static const char *const all[] = {"development", "staging", "production"};
	for (size_t i = 0; i < 3; i++) {
		struct guard g;
		guard_of(&g, all[i], "");
		MAY(&g, "8.8.8.8", 443);
		MAY(&g, "2001:4860:4860::8888", 8443);
		MAY_NOT(&g, "10.0.0.1", 443, "10.0.0.0/8");
		MAY_NOT(&g, "::ffff:10.0.0.1", 443, "10.0.0.0/8");
		MAY_NOT(&g, "8.8.8.8", 22, "port");
		MAY_NOT(&g, "2001:4860:4860::8888", 6379, "port");
		if (i == 0) {
			MAY(&g, "127.0.0.1", 8080);
			MAY(&g, "::1", 8080);
			MAY_NOT(&g, "127.0.0.1", 22, "port");
		} else {
			MAY_NOT(&g, "127.0.0.1", 8080, "loopback");
			MAY_NOT(&g, "::1", 8080, "loopback");
			MAY_NOT(&g, "::ffff:127.0.0.1", 8080, "loopback");
		}
	}
}

static void test_allowed(void **state)
{
	(void)state;
	struct guard g;
	guard_of(&g, "production", "10.1.0.0/16, fd00:1::/32");
	MAY(&g, "10.1.255.255", 443);
	MAY(&g, "::ffff:10.1.2.3", 443);
	MAY(&g, "fd00:1::5", 443);
	MAY_NOT(&g, "10.2.0.0", 443, "10.0.0.0/8");
	MAY_NOT(&g, "10.0.255.255", 443, "10.0.0.0/8");
	MAY_NOT(&g, "fd00:2::5", 443, "fc00::/7");
	MAY_NOT(&g, "::10.1.2.3", 443, "::/96");
	MAY_NOT(&g, "10.1.2.3", 22, "port");
	MAY_NOT(&g, "127.0.0.1", 443, "loopback");
}

static void test_ourselves(void **state)
{
	(void)state;
	struct guard g;
	guard_of(&g, "production", "127.0.0.0/8, ::1/128");
	MAY(&g, "127.0.0.1", 8001);
	MAY_NOT(&g, "127.0.0.1", 8000, "this service");
	MAY_NOT(&g, "127.3.2.1", 8000, "this service");
	MAY_NOT(&g, "::ffff:127.0.0.1", 8000, "this service");
	guard_listens(&g, 8001);
	MAY(&g, "127.0.0.1", 8000);
	MAY_NOT(&g, "127.0.0.1", 8001, "this service");
	MAY(&g, "8.8.8.8", 8001); /* not ours */
	MAY(&g, "2001:4860:4860::8888", 8001);
	MAY_NOT(&g, "::1", 8001, "this service");
	guard_of(&g, "development", "");
	MAY(&g, "127.0.0.1", 8000); /* the test receiver */
}

static void test_ranges(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"10.0.0.0",    "10.0.0.1/8",  "10.0.0.0/33",   "0.0.0.0/0", "10.0.0.0/7",
		"::/0",        "fd00::/129",  "fd00::1/8",     "hooks/8",   "10.0.0.0/",
		"10.0.0.0/+8", "10.0.0.0/8x", "10.0.0.0/8;::", "/8",        "10.0.0.0/0008"};
	struct netrule_list l;
	struct err e = {0};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (netrule_list_parse(bad[i], &l, &e))
			fail_msg("%s was taken", bad[i]);
		assert_error(&e, ERR_INPUT);
		assert_says(&e, "no range");
	}
	assert_true(netrule_list_parse(" , ", &l, &e));
	assert_int_equal(l.n, 0);
	char many[65 * 13 + 1] = "";
	for (int i = 0; i < 65; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "10.%d.0.0/16,", i);
	assert_false(netrule_list_parse(many, &l, &e));
	assert_says(&e, "more than 64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environments),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_ourselves),
		cmocka_unit_test(test_ranges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
