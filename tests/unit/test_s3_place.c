/*
 * Where a bucket is: addresses and settings, default ports, path and host style, and each bad value
 * with its line.
 */
#include "s3_place.h"

#include "scratch.h"

static struct config config;

static int setup(void **state)
{
	(void)state;
	config_init(&config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_release(&config);
	return 0;
}

static void set(const char *key, const char *value)
{
	struct err e;
	if (!config_set(&config, key, value, CONFIG_FILE, &e))
		fail_msg("%s", e.text);
}

static void parse(struct s3_place *p, const char *address)
{
	struct err e;
	if (!s3_place_parse(p, &config, address, &e))
		fail_msg("%s: %s", address, e.text);
}

/* ---- Good addresses ---- */

#define MINIO "endpoint=http://127.0.0.1:9000"

static const struct {
	const char *address, *bucket, *prefix, *scheme, *host, *region;
	bool path_style;
} good[] = {
	{"//autos", "autos", "", "https", "autos.s3.us-east-1.amazonaws.com", "us-east-1", false},
	{"//autos/", "autos", "", "https", "autos.s3.us-east-1.amazonaws.com", "us-east-1", false},
	{"//autos/a/b", "autos", "a/b/", "https", "autos.s3.us-east-1.amazonaws.com", "us-east-1",
	 false},
	{"//autos/a///", "autos", "a/", "https", "autos.s3.us-east-1.amazonaws.com", "us-east-1",
	 false},
	{"//autos?region=sa-east-1", "autos", "", "https", "autos.s3.sa-east-1.amazonaws.com",
	 "sa-east-1", false},
	{"//autos/x?region=sa-east-1&path_style=1", "autos", "x/", "https",
	 "s3.sa-east-1.amazonaws.com", "sa-east-1", true},
	{"//autos?", "autos", "", "https", "autos.s3.us-east-1.amazonaws.com", "us-east-1", false},
	{"//autos?region=eu-west-1&", "autos", "", "https", "autos.s3.eu-west-1.amazonaws.com",
	 "eu-west-1", false},

	/* other servers: the bucket in the path, unless told otherwise */
	{"//autos?" MINIO, "autos", "", "http", "127.0.0.1:9000", "us-east-1", true},
	{"//autos?" MINIO "&path_style=0", "autos", "", "http", "autos.127.0.0.1:9000", "us-east-1",
	 false},
	{"//autos?endpoint=http%3A%2F%2F127.0.0.1%3a9000", "autos", "", "http", "127.0.0.1:9000",
	 "us-east-1", true},
	{"//autos?endpoint=https://abc.r2.cloudflarestorage.com&region=auto", "autos", "", "https",
	 "abc.r2.cloudflarestorage.com", "auto", true},
	{"//autos?endpoint=http://[::1]:9000", "autos", "", "http", "[::1]:9000", "us-east-1",
	 true},
	{"//autos?endpoint=http://[::1]", "autos", "", "http", "[::1]", "us-east-1", true},
	{"//autos?endpoint=http://ceph///", "autos", "", "http", "ceph", "us-east-1", true},
	{"//autos?endpoint=https://s3.sa-east-1.amazonaws.com&region=sa-east-1", "autos", "",
	 "https", "autos.s3.sa-east-1.amazonaws.com", "sa-east-1", false},
	{"//autos?endpoint=https://evil-amazonaws.com", "autos", "", "https", "evil-amazonaws.com",
	 "us-east-1", true},

	/* the scheme's own port is no part of Host */
	{"//autos?endpoint=http://ceph:80", "autos", "", "http", "ceph", "us-east-1", true},
	{"//autos?endpoint=https://ceph:443/", "autos", "", "https", "ceph", "us-east-1", true},
	{"//autos?endpoint=http://ceph:443", "autos", "", "http", "ceph:443", "us-east-1", true},
	{"//autos?endpoint=https://ceph:80", "autos", "", "https", "ceph:80", "us-east-1", true},
	{"//autos?endpoint=https://ceph:8443", "autos", "", "https", "ceph:8443", "us-east-1",
	 true},
	{"//autos?endpoint=http://ceph:8080", "autos", "", "http", "ceph:8080", "us-east-1", true},
	{"//autos?endpoint=http://ceph:65535", "autos", "", "http", "ceph:65535", "us-east-1",
	 true},
	{"//autos?endpoint=https://ceph:443&path_style=no", "autos", "", "https", "autos.ceph",
	 "us-east-1", false},

	/* words for yes and no */
	{"//autos?path_style=true", "autos", "", "https", "s3.us-east-1.amazonaws.com", "us-east-1",
	 true},
	{"//autos?path_style=yes", "autos", "", "https", "s3.us-east-1.amazonaws.com", "us-east-1",
	 true},
	{"//autos?" MINIO "&path_style=false", "autos", "", "http", "autos.127.0.0.1:9000",
	 "us-east-1", false},

	/* dots do not fit a certificate for *.host; without TLS they do no harm */
	{"//au.tos", "au.tos", "", "https", "s3.us-east-1.amazonaws.com", "us-east-1", true},
	{"//au.tos?path_style=0", "au.tos", "", "https", "s3.us-east-1.amazonaws.com", "us-east-1",
	 true},
	{"//au.tos?endpoint=http://ceph&path_style=0", "au.tos", "", "http", "au.tos.ceph",
	 "us-east-1", false},

	/* names of old buckets, and of other servers */
	{"//Old_Bucket-1?" MINIO, "Old_Bucket-1", "", "http", "127.0.0.1:9000", "us-east-1", true},
	{"//abc?" MINIO, "abc", "", "http", "127.0.0.1:9000", "us-east-1", true},
};

static void is(const char *address, const char *value, const char *wanted)
{
	if (strcmp(value, wanted) != 0)
		fail_msg("%s gives '%s', not '%s'", address, value, wanted);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct s3_place p;
		parse(&p, good[i].address);
		is(good[i].address, p.bucket, good[i].bucket);
		is(good[i].address, p.prefix, good[i].prefix);
		is(good[i].address, p.scheme, good[i].scheme);
		is(good[i].address, p.host, good[i].host);
		is(good[i].address, p.region, good[i].region);
		is(good[i].address, p.path_style ? "path" : "host",
		   good[i].path_style ? "path" : "host");
		s3_place_release(&p);
		assert_null(p.bucket);
		s3_place_release(&p);
	}
}

static void test_settings(void **state)
{
	(void)state;
	struct s3_place p;
	set("s3_region", "sa-east-1");
	parse(&p, "//autos");
	assert_string_equal(p.host, "autos.s3.sa-east-1.amazonaws.com");
	s3_place_release(&p);

	set("s3_endpoint", "http://minio.example:9000");
	parse(&p, "//autos/x");
	assert_string_equal(p.scheme, "http");
	assert_string_equal(p.host, "minio.example:9000");
	assert_string_equal(p.region, "sa-east-1");
	assert_true(p.path_style);
	s3_place_release(&p);

	/* the address goes before the settings */
	parse(&p, "//autos?endpoint=https://other.example&region=here&path_style=0");
	assert_string_equal(p.scheme, "https");
	assert_string_equal(p.host, "autos.other.example");
	assert_string_equal(p.region, "here");
	s3_place_release(&p);

	set("s3_endpoint", "https://s3.dualstack.sa-east-1.amazonaws.com");
	parse(&p, "//autos");
	assert_string_equal(p.host, "autos.s3.dualstack.sa-east-1.amazonaws.com");
	assert_false(p.path_style);
	s3_place_release(&p);
}

/* ---- Bad ones ---- */

#define BUCKET "the bucket's name must be 3 to 63 letters, digits, '.', '-' or '_'"
#define PREFIX "the prefix may hold letters, digits, '.', '_', '-' and single '/'"
#define ENDPOINT "must be http://HOST[:PORT] or https://HOST[:PORT]"
#define OPTIONS "is not endpoint=URL, region=NAME or path_style=1"
#define TEN "aaaaaaaaaa"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct {
	const char *address, *says;
} bad[] = {
	{"", "must be s3://BUCKET/PREFIX"},
	{"autos", "must be s3://BUCKET/PREFIX"},
	{"/autos", "must be s3://BUCKET/PREFIX"},
	{"//", BUCKET},
	{"///prefix", BUCKET},
	{"//?region=x", BUCKET},
	{"//ab", BUCKET},
	{"//" SIXTY "aaaa", BUCKET},
	{"//.autos", BUCKET},
	{"//-autos", BUCKET},
	{"//au..tos", BUCKET},
	{"//au tos", BUCKET},
	{"//aut\xc3\xb3s", BUCKET},
	{"//autos:9000", BUCKET},
	{"//autos%2f", BUCKET},
	{"//key:hunter2@autos", BUCKET},
	{"//autos/a//b", PREFIX},
	{"//autos//a", PREFIX},
	{"//autos/a b", PREFIX},
	{"//autos/a%20b", PREFIX},
	{"//autos/a+b", PREFIX},
	{"//autos/\xc3\xa1", PREFIX},
	{"//autos/" SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY, PREFIX},
	{"//autos?region=", "region has no usable value"},
	{"//autos?endpoint=", "endpoint has no usable value"},
	{"//autos?path_style=", "path_style has no usable value"},
	{"//autos?path_style=perhaps-so", "path_style has no usable value"},
	{"//autos?path_style=maybe", "path_style = maybe: must be 1 or 0"},
	{"//autos?path_style=2", "path_style = 2: must be 1 or 0"},
	{"//autos?region=a/b", "region = a/b: is no name of a region"},
	{"//autos?region=a%20b", "region = a b: is no name of a region"},
	{"//autos?region=" SIXTY "aaaaa", "is no name of a region"},
	{"//autos?&region=x", "'' " OPTIONS},
	{"//autos?region", "'region' " OPTIONS},
	{"//autos?Region=x", "'Region' " OPTIONS},
	{"//autos?acl=public", "'acl' " OPTIONS},
	{"//autos?secret_key=hunter2", "'secret_key' " OPTIONS},
	{"//autos?endpoint=ceph", ENDPOINT},
	{"//autos?endpoint=ceph:80", ENDPOINT},
	{"//autos?endpoint=ftp://ceph", "endpoint = ftp://ceph: " ENDPOINT},
	{"//autos?endpoint=httpx://ceph", ENDPOINT},
	{"//autos?endpoint=HTTP://ceph", ENDPOINT},
	{"//autos?endpoint=http://", ENDPOINT},
	{"//autos?endpoint=https:///", ENDPOINT},
	{"//autos?endpoint=http://ceph/path", ENDPOINT},
	{"//autos?endpoint=http://ceph%3Fa=b", ENDPOINT},
	{"//autos?endpoint=http://key:hunter2@ceph", ENDPOINT},
	{"//autos?endpoint=http://ceph%0d%0aX: y", ENDPOINT},
	/* no host, or no port */
	{"//autos?endpoint=http://:80", ENDPOINT},
	{"//autos?endpoint=https://:443", ENDPOINT},
	{"//autos?endpoint=http://:9000", ENDPOINT},
	{"//autos?endpoint=http://ceph:", ENDPOINT},
	{"//autos?endpoint=http://ceph:0", ENDPOINT},
	{"//autos?endpoint=http://ceph:65536", ENDPOINT},
	{"//autos?endpoint=http://ceph:99999999999999999999", ENDPOINT},
	{"//autos?endpoint=http://ceph:http", ENDPOINT},
	{"//autos?endpoint=http://ceph:80:80", ENDPOINT},
	{"//autos?endpoint=http://::1", ENDPOINT},
	{"//autos?endpoint=http://[::1", ENDPOINT},
	{"//autos?endpoint=http://::1]", ENDPOINT},
	{"//autos?endpoint=http://[]", ENDPOINT},
	{"//autos?endpoint=http://[::1]9000", ENDPOINT},
	{"//autos?endpoint=http://a[::1]", ENDPOINT},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct s3_place p;
		struct err e = {0};
		if (s3_place_parse(&p, &config, bad[i].address, &e))
			fail_msg("%s is taken", bad[i].address);
		s3_place_release(&p);
		assert_error(&e, ERR_INPUT);
		assert_says(&e, bad[i].says);
		assert_int_equal(strncmp(e.text, "store_url: ", 11), 0);
		assert_null(strstr(e.text, "hunter2"));
	}
}

static void test_bad_settings(void **state)
{
	(void)state;
	struct s3_place p;
	struct err e;
	set("s3_endpoint", "http://ceph/path");
	assert_false(s3_place_parse(&p, &config, "//autos", &e));
	s3_place_release(&p);
	assert_error(&e, ERR_INPUT);
	assert_says(&e, ENDPOINT);
	set("s3_endpoint", "");
	set("s3_region", "");
	assert_false(s3_place_parse(&p, &config, "//autos", &e));
	s3_place_release(&p);
	assert_says(&e, "is no name of a region");
	/* lengths that just fit */
	set("s3_region", "us-east-1");
	parse(&p, "//" SIXTY "aaa/" SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY TEN TEN TEN "aa"
		  "?region=" SIXTY "aaaa");
	assert_int_equal(strlen(p.bucket), 63);
	assert_int_equal(strlen(p.prefix), 513);
	assert_int_equal(strlen(p.region), 64);
	s3_place_release(&p);
}

/* ---- Keys ---- */

static const struct {
	const char *address, *key, *path;
} paths[] = {
	{"//autos", "", "/"},
	{"//autos", "k/a.pdf", "/k/a.pdf"},
	{"//autos/x/y", "", "/"},
	{"//autos/x/y", "k/a.pdf", "/x/y/k/a.pdf"},
	{"//autos?" MINIO, "", "/autos"},
	{"//autos?" MINIO, "k/a.pdf", "/autos/k/a.pdf"},
	{"//autos/x?" MINIO, "", "/autos"},
	{"//autos/x?" MINIO, "k/a.pdf", "/autos/x/k/a.pdf"},
};

static void test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct s3_place p;
		struct buf b;
		buf_init(&b, 2 * S3_KEY_MAX);
		parse(&p, paths[i].address);
		s3_place_path(&p, paths[i].key, &b);
		assert_string_equal(buf_str(&b), paths[i].path);
		buf_release(&b);
		s3_place_release(&p);
	}
}

static void test_show(void **state)
{
	(void)state;
	struct s3_place p;
	struct buf b;
	buf_init(&b, 1024);
	parse(&p, "//autos/x?" MINIO "&region=here");
	s3_place_show(&p, &b);
	assert_string_equal(buf_str(&b), "s3://autos/x/ at http://127.0.0.1:9000, region here");
	buf_release(&b);
	s3_place_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_show, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
