/*
 * Addresses and ports: both edges of every range, and the address before and after it.
 */
#include "netrule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "scratch.h"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage s = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&s;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&s;
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		s.ss_family = AF_INET;
	} else {
		if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
			fail_msg("%s is no address", text);
		s.ss_family = AF_INET6;
	}
	return s;
}

static const char *why_of(const char *text)
{
	const char *why = "not set";
	struct sockaddr_storage s = address(text);
	bool ok = netrule_public((struct sockaddr *)&s, &why);
	assert_int_equal(ok, why == NULL);
	assert_int_equal(netrule_public((struct sockaddr *)&s, NULL), ok);
	return why;
}

static const struct {
	const char *text, *why;
} refused[] = {
	{"0.0.0.0", "0.0.0.0/8"},
	{"0.255.255.255", "0.0.0.0/8"},
	{"10.0.0.0", "10.0.0.0/8"},
	{"10.255.255.255", "10.0.0.0/8"},
	{"100.64.0.0", "100.64.0.0/10"},
	{"100.127.255.255", "100.64.0.0/10"},
	{"127.0.0.1", "127.0.0.0/8"},
	{"127.255.255.255", "127.0.0.0/8"},
	{"169.254.0.0", "169.254.0.0/16"},
	{"169.254.169.254", "169.254.0.0/16"},
	{"172.16.0.0", "172.16.0.0/12"},
	{"172.31.255.255", "172.16.0.0/12"},
	{"192.0.0.0", "192.0.0.0/24"},
	{"192.0.0.255", "192.0.0.0/24"},
	{"192.0.2.1", "192.0.2.0/24"},
	{"192.31.196.1", "192.31.196.0/24"},
	{"192.52.193.1", "192.52.193.0/24"},
	{"192.88.99.1", "192.88.99.0/24"},
	{"192.168.0.0", "192.168.0.0/16"},
	{"192.168.255.255", "192.168.0.0/16"},
	{"192.175.48.1", "192.175.48.0/24"},
	{"198.18.0.0", "198.18.0.0/15"},
	{"198.19.255.255", "198.18.0.0/15"},
	{"198.51.100.1", "198.51.100.0/24"},
	{"203.0.113.1", "203.0.113.0/24"},
	{"224.0.0.1", "multicast"},
	{"239.255.255.255", "multicast"},
	{"240.0.0.0", "reserved"},
	{"255.255.255.254", "reserved"},
	{"255.255.255.255", "broadcast"},

	{"::", "unspecified"},
	{"::1", "loopback (::1)"},
	{"::2", "::/96"},
	{"::127.0.0.1", "::/96"},
	{"::8.8.8.8", "::/96"},
	{"::ffff:127.0.0.1", "127.0.0.0/8"},
	{"::ffff:10.1.2.3", "10.0.0.0/8"},
	{"::ffff:169.254.169.254", "169.254.0.0/16"},
	{"::ffff:0:8.8.8.8", "2000::/3"},
	{"64:ff9b::127.0.0.1", "64:ff9b::/96"},
	{"64:ff9b::192.168.1.1", "64:ff9b::/96"},
	{"64:ff9b::8.8.8.8", "64:ff9b::/96"},
	{"64:ff9b::1:8.8.8.8", "2000::/3"},
	{"64:ff9b:1::8.8.8.8", "64:ff9b:1::/48"},
	{"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "64:ff9b:1::/48"},
	{"64:ff9b:2::", "2000::/3"},
	{"100::1", "100::/64"},
	{"100:0:0:1::", "2000::/3"},
	{"2001::1", "Teredo"},
	/* RFC 4380, 4: server 65.54.227.120, client 192.0.2.45 */
	{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"},
	{"2001:1::1", "2001::/23"},
	{"2001:20::1", "2001::/23"},
	{"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::/23"},
	{"2001:db8::", "2001:db8::/32"},
	{"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::/32"},
	{"2002:7f00:1::", "2002::/16"},
	{"2002:c0a8:101::1", "2002::/16"},
	{"2002:a9fe:a9fe::", "2002::/16"},
	{"2002::", "2002::/16"},
	{"2002:808:808::1", "2002::/16"},
	{"2620:4f:8000::1", "2620:4f:8000::/48"},
	{"3fff::1", "3fff::/20"},
	{"3fff:fff:ffff::", "3fff::/20"},
	{"4000::", "2000::/3"},
	{"5f00::1", "5f00::/16"},
	{"1fff:ffff::", "2000::/3"},
	{"fc00::1", "fc00::/7"},
	{"fdff:ffff::1", "fc00::/7"},
	{"fe00::1", "2000::/3"},
	{"fe80::1", "fe80::/10"},
	{"febf::1", "fe80::/10"},
	{"fec0::1", "fec0::/10"},
	{"feff::1", "fec0::/10"},
	{"ff02::1", "multicast"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"},
};

static const char *const taken[] = {
	"1.0.0.0",
	"8.8.8.8",
	"9.255.255.255",
	"11.0.0.0",
	"100.63.255.255",
	"100.128.0.0",
	"126.255.255.255",
	"128.0.0.0",
	"169.253.255.255",
	"169.255.0.0",
	"172.15.255.255",
	"172.32.0.0",
	"191.255.255.255",
	"192.0.1.0",
	"192.0.1.255",
	"192.0.3.0",
	"192.31.195.255",
	"192.31.197.0",
	"192.52.192.255",
	"192.52.194.0",
	"192.88.98.255",
	"192.88.100.0",
	"192.167.255.255",
	"192.169.0.0",
	"192.175.47.255",
	"192.175.49.0",
	"198.17.255.255",
	"198.20.0.0",
	"198.51.99.255",
	"198.51.101.0",
	"203.0.112.255",
	"203.0.114.0",
	"223.255.255.255",
	"::ffff:8.8.8.8",
	"2000::",
	"2001:200::",
	"2001:4860:4860::8888",
	"2001:db7:ffff::",
	"2001:db9::",
	"2003::1",
	"2620:4f:7fff::",
	"2620:4f:8001::",
	"2804:1::1",
	"3ffe::1",
	"3fff:1000::",
	"3fff:ffff::",
};

static void test_public(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		const char *why = why_of(refused[i].text);
		if (!why || !strstr(why, refused[i].why))
			fail_msg("%s: %s", refused[i].text, why ? why : "taken");
	}
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
		const char *why = why_of(taken[i]);
		if (why)
			fail_msg("%s: %s", taken[i], why);
	}
}

static void test_families(void **state)
{
	(void)state;
	const char *why;
	struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
	assert_false(netrule_public((struct sockaddr *)&local, &why));
	assert_string_equal(why, "neither IPv4 nor IPv6");
	assert_false(netrule_loopback((struct sockaddr *)&local));
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	assert_false(netrule_public(&none, NULL));
	assert_false(netrule_loopback(&none));
}

static void test_loopback(void **state)
{
	(void)state;
	static const char *const yes[] = {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1"};
	static const char *const no[] = {
		"0.0.0.0", "126.255.255.255",  "128.0.0.0", "192.168.0.1",       "::",
		"::2",     "::ffff:127.0.0.1", "1::1",      "64:ff9b::127.0.0.1"};
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
		struct sockaddr_storage s = address(yes[i]);
		assert_true(netrule_loopback((struct sockaddr *)&s));
		assert_false(netrule_public((struct sockaddr *)&s, NULL));
	}
	for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
		struct sockaddr_storage s = address(no[i]);
		assert_false(netrule_loopback((struct sockaddr *)&s));
	}
}

static void test_ports(void **state)
{
	(void)state;
	static const int no[] = {INT32_MIN, -1,    0,     1,        7,    21,   22,   23,
				 25,        53,    110,   143,      389,  445,  465,  587,
				 993,       995,   1720,  2049,     2375, 3306, 3389, 5060,
				 5432,      6000,  6379,  6665,     6667, 6669, 9200, 10080,
				 11211,     27017, 65536, INT32_MAX};
	static const int yes[] = {80,   81,   443,  1024, 3000,  4443,
				  5000, 8000, 8080, 8443, 10443, 65535};
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (netrule_port(no[i]))
			fail_msg("%d is taken", no[i]);
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		if (!netrule_port(yes[i]))
			fail_msg("%d is refused", yes[i]);
	int refused_ports = 0;
	for (int p = 1; p <= 65535; p++)
		refused_ports += !netrule_port(p);
	assert_int_equal(refused_ports, 82 + 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
