/*
 * Addresses of webhooks: what may be one in production and outside, and every trick that is known
 * to lead a caller elsewhere.
 */
#include "webhook.h"

#include "scratch.h"

/* Taken in production, and so everywhere. */
static const char *const good[] = {
	"https://hooks.example.org/autos",
	"https://hooks.example.org",
	"https://hooks.example.org?x=1",
	"HTTPS://Hooks.Example.ORG/A/b?c=d&e=%20f",
	"https://hooks.example.org:443/",
	"https://hooks.example.org:8443/a",
	"https://a/",
	"https://xn--bcher-kva.example/",
	"https://a_b.c-d.example/",
	"https://1a.2b.example3/",
	"https://0xyz.example.0xg/",
	"https://8.8.8.8/",
	"https://8.8.8.8:8080/",
	"https://0x8.0x8.010.8/",
	"https://134744072/",
	"https://0x08080808/",
	"https://[2001:4860:4860::8888]/",
	"https://[2001:4860:4860::8888]:8443/x",
	"https://[::ffff:8.8.8.8]/",
	"https://notlocalhost/",
	"https://localhost.example/",
	"https://a.example/x:y@z/[]/!$&'()*+,;=-._~/%2F?a=b?c/d@e:f",
};

/* Taken outside production alone. */
static const char *const local[] = {
	"http://hooks.example.org/",
	"http://hooks.example.org:80",
	"http://127.0.0.1:8080/hook",
	"http://127.255.255.255/",
	"http://127.1/",
	"http://0x7f.1/",
	"http://2130706433/",
	"http://017700000001/",
	"http://0x7F000001/",
	"https://127.0.0.1/",
	"http://[::1]:9000/",
	"http://[0:0:0:0:0:0:0:1]/",
	"http://localhost:3000/",
	"http://LOCALHOST/",
	"https://a.localhost/",
};

static const struct {
	const char *url, *says;
} bad[] = {
	{"", "must begin with"},
	{"hooks.example.org", "must begin with"},
	{"//hooks.example.org/", "must begin with"},
	{"https:/hooks.example.org/", "must begin with"},
	{"https:hooks.example.org/", "must begin with"},
	{"ftp://hooks.example.org/", "must begin with"},
	{"file:///etc/passwd", "must begin with"},
	{"gopher://hooks.example.org/", "must begin with"},
	{"javascript:alert(1)", "must begin with"},
	{"httpss://hooks.example.org/", "must begin with"},
	{" https://hooks.example.org/", "a blank"},
	{"https://hooks.example.org/ ", "a blank"},
	{"https://hooks.example.org/a b", "a blank"},
	{"https://hooks.example.org/\r\nX: y", "a blank"},
	{"https://hooks.example.org/\t", "a blank"},
	{"https://hooks.example.org/\x7f", "a blank"},
	{"https://h\xc3\xb6st.example/", "a blank"},
	{"https://hooks.example.org/\xc3\xa7", "a blank"},
	{"https://hooks.example.org/#x", "fragment"},
	{"https://hooks.example.org#@evil.example/", "fragment"},
	{"https://hooks.example.org/a\\b", "must be encoded"},
	{"https://evil.example\\@hooks.example.org/", "must be encoded"},
	{"https://hooks.example.org/<a>", "must be encoded"},
	{"https://hooks.example.org/\"", "must be encoded"},
	{"https://hooks.example.org/{a}", "must be encoded"},
	{"https://hooks.example.org/a|b", "must be encoded"},
	{"https://hooks.example.org/%", "must be encoded"},
	{"https://hooks.example.org/%4", "must be encoded"},
	{"https://hooks.example.org/%zz", "must be encoded"},
	{"https://user@hooks.example.org/", "user or a password"},
	{"https://user:secret@hooks.example.org/", "user or a password"},
	{"https://@hooks.example.org/", "user or a password"},
	{"https://127.0.0.1:80@hooks.example.org/", "user or a password"},
	{"https://", "no host"},
	{"https:///a", "no host"},
	{"https://?a", "no host"},
	{"https://:443/", "no host"},
	{"https://[]/", "no host"},
	{"https://./", "malformed host"},
	{"https://hooks.example.org./", "malformed host"},
	{"https://.hooks.example.org/", "malformed host"},
	{"https://hooks..example.org/", "malformed host"},
	{"https://-hooks.example.org/", "malformed host"},
	{"https://hooks-.example.org/", "malformed host"},
	{"https://hooks.example.org-/", "malformed host"},
	{"https://hooks%2eexample.org/", "malformed host"},
	{"https://127.0.0.1%2f.example.org/", "malformed host"},
	{"https://hooks,example.org/", "malformed host"},
	{"https://hooks;example.org/", "malformed host"},
	{"https://a*b.example/", "malformed host"},
	{"https://hooks.example.org]/", "malformed host"},
	{"https://hooks.example.org:/", "malformed port"},
	{"https://hooks.example.org:0/", "malformed port"},
	{"https://hooks.example.org:0443/", "malformed port"},
	{"https://hooks.example.org:65536/", "malformed port"},
	{"https://hooks.example.org:99999999999999999999/", "malformed port"},
	{"https://hooks.example.org:-1/", "malformed port"},
	{"https://hooks.example.org:+443/", "malformed port"},
	{"https://hooks.example.org:443a/", "malformed port"},
	{"https://hooks.example.org:443:443/", "malformed port"},
	{"https://a:b:c/", "malformed port"},
	{"https://[2001:4860::1]443/", "malformed port"},
	{"https://[2001:4860::1]a:443/", "malformed port"},
	{"https://hooks.example.org:22/", "port that may not be called"},
	{"https://hooks.example.org:25/", "port that may not be called"},
	{"https://hooks.example.org:6379/", "port that may not be called"},
	{"https://[2001:4860::1/", "malformed IPv6"},
	{"https://[2001:4860::1/a]", "malformed IPv6"},
	{"https://[2001:4860::1::2]/", "malformed IPv6"},
	{"https://[fe80::1%25eth0]/", "malformed IPv6"},
	{"https://[8.8.8.8]/", "malformed IPv6"},
	{"https://[hooks.example.org]/", "malformed IPv6"},
	{"https://[v1.a]/", "malformed IPv6"},
	/* the last label is a number and the whole is no address */
	{"https://256.1.1.1/", "malformed IPv4"},
	{"https://1.2.3.4.5/", "malformed IPv4"},
	{"https://1.2.3.08/", "malformed IPv4"},
	{"https://4294967296/", "malformed IPv4"},
	{"https://99999999999999999999/", "malformed IPv4"},
	{"https://0x/", "malformed IPv4"},
	{"https://0x100000000/", "malformed IPv4"},
	{"https://hooks.example.123/", "malformed IPv4"},
	{"https://hooks.example.0xff/", "malformed IPv4"},
	{"https://foo.0x/", "malformed IPv4"},
	/* addresses that are nobody's business */
	{"https://10.0.0.1/", "10.0.0.0/8"},
	{"https://0/", "0.0.0.0/8"},
	{"https://0.0.0.0/", "0.0.0.0/8"},
	{"https://192.168.1.1/", "192.168.0.0/16"},
	{"https://0xc0.0250.257/", "192.168.0.0/16"},
	{"https://169.254.169.254/latest/meta-data/", "169.254.0.0/16"},
	{"https://2852039166/", "169.254.0.0/16"},
	{"https://0xA9FEA9FE/", "169.254.0.0/16"},
	{"https://0251.0376.0251.0376/", "169.254.0.0/16"},
	{"https://[::]/", "unspecified"},
	{"https://[::ffff:127.0.0.1]/", "127.0.0.0/8"},
	{"https://[::ffff:7f00:1]/", "127.0.0.0/8"},
	{"https://[::127.0.0.1]/", "::/96"},
	{"https://[64:ff9b::10.0.0.1]/", "64:ff9b::/96"},
	{"https://[2002:7f00:1::]/", "2002::/16"},
	{"https://[fd00::1]/", "fc00::/7"},
	{"https://[fe80::1]/", "fe80::/10"},
	{"https://[ff02::1]/", "ff00::/8"},
};

static const struct webhook_rules strict = {.https_only = true};
static const struct webhook_rules free_rules = {.loopback = true};

static void refused(const char *url, bool production, const char *says)
{
	struct err e = {0};
	if (webhook_url_check(url, production ? &strict : &free_rules, &e))
		fail_msg("%s was taken", url);
	assert_error(&e, ERR_INPUT);
	if (!strstr(e.text, says))
		fail_msg("%s says: %s", url, e.text);
}

static void accepted(const char *url, bool production)
{
	struct err e = {0};
	if (!webhook_url_check(url, production ? &strict : &free_rules, &e))
		fail_msg("%s: %s", url, e.text);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		accepted(good[i], true);
		accepted(good[i], false);
	}
}

static void test_local(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
		accepted(local[i], false);
		refused(local[i], true, "webhook address");
	}
	refused("http://hooks.example.org/", true, "must begin with https://");
	refused("https://localhost/", true, "leads to this machine");
	refused("https://a.LocalHost:8443/", true, "leads to this machine");
	refused("https://127.0.0.1/", true, "loopback");
	refused("https://[::1]/", true, "loopback");
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		refused(bad[i].url, false, bad[i].says);
		refused(bad[i].url, true, bad[i].says);
	}
}

/* "https://" and labels of `label` letters up to a host of `host` characters, then a path up to
 * `total`. */
static char *long_url(size_t label, size_t host, size_t total)
{
	char *s = xmalloc(total + 1);
	memset(s, 'a', total);
	memcpy(s, "https://", 8);
	for (size_t i = 8 + label; i < 8 + host; i += label + 1)
		s[i] = '.';
	if (total > 8 + host)
		s[8 + host] = '/';
	s[total] = '\0';
	return s;
}

static void test_lengths(void **state)
{
	(void)state;
	static const struct {
		size_t label, host, total;
		const char *says;
	} rows[] = {
		{63, 253, 2000, NULL},
		{63, 253, 261, NULL},
		{63, 253, 2001, "longer than"},
		{63, 254, 300, "malformed host"},
		{64, 100, 200, "malformed host"},
		{50, 1000, 1008, "malformed host"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *url = long_url(rows[i].label, rows[i].host, rows[i].total);
		if (rows[i].says)
			refused(url, true, rows[i].says);
		else
			accepted(url, true);
		xfree(url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
