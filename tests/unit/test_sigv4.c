/*
 * Signatures: every case of the published suite (tests/vectors/aws-sigv4), the examples of the S3
 * reference, and what neither shows.
 */
#include "sigv4.h"

#include "scratch.h"
#include "text.h"

static const char unsigned_payload[] = "UNSIGNED-PAYLOAD";
static const char empty_sha256[] =
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* ---- The suite ---- */

#define SUITE_TIME 1440938160 /* 2015-08-30T12:36:00Z */

/* Its token is added before signing; the .req does not hold it. In post-sts-token the .req holds
 * the token where it is signed, and does not where it is added to the signed request. */
#define TOKEN_CASE "get-vanilla-with-session-token"
#define TOKEN "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"

static const char *const suite[] = {
	"get-header-key-duplicate",
	"get-header-value-multiline",
	"get-header-value-order",
	"get-header-value-trim",
	"get-unreserved",
	"get-utf8",
	"get-vanilla",
	"get-vanilla-empty-query-key",
	"get-vanilla-query",
	"get-vanilla-query-order-encoded",
	"get-vanilla-query-order-key",
	"get-vanilla-query-order-key-case",
	"get-vanilla-query-order-value",
	"get-vanilla-query-unreserved",
	"get-vanilla-utf8-query",
	TOKEN_CASE,
	"normalize-path/get-relative",
	"normalize-path/get-relative-relative",
	"normalize-path/get-slash",
	"normalize-path/get-slash-dot-slash",
	"normalize-path/get-slash-pointless-dot",
	"normalize-path/get-slashes",
	"normalize-path/get-space",
	"normalize-path/get-special-character",
	"post-header-key-case",
	"post-header-key-sort",
	"post-header-value-case",
	"post-sts-token/post-sts-header-after",
	"post-sts-token/post-sts-header-before",
	"post-vanilla",
	"post-vanilla-empty-query-value",
	"post-vanilla-query",
	"post-x-www-form-urlencoded",
	"post-x-www-form-urlencoded-parameters",
};

enum { CASES = sizeof suite / sizeof *suite, FIELDS_MAX = 16 };

static const struct sigv4_key suite_key = {
	.access_key = "AKIDEXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "service",
};

/* The folder of a case, or of the suite for ""; free with xfree. */
static char *suite_path(const char *name)
{
	const char *slash = strrchr(__FILE__, '/');
	assert_non_null(slash);
	return xasprintf("%.*s/../vectors/aws-sigv4/%s", (int)(slash - __FILE__), __FILE__, name);
}

/* <case>/<last part of its name>.<ending>; free with xfree. */
static char *suite_file(const char *name, const char *ending)
{
	const char *slash = strrchr(name, '/');
	char *dir = suite_path(name), *text = NULL;
	char *path = xasprintf("%s/%s.%s", dir, slash ? slash + 1 : name, ending);
	struct err e;
	if (!sys_read_file(path, 1 << 16, &text, NULL, &e))
		fail_msg("%s", e.text);
	xfree(path);
	xfree(dir);
	return text;
}

/* A request of the suite; everything points into `text`. */
struct request {
	char *text;
	struct sigv4_field query[FIELDS_MAX], headers[FIELDS_MAX];
	char payload[65];
	struct sigv4_request q;
};

static void decode(char *s)
{
	char *to = s;
	for (; *s; s++) {
		int c = percent_value(s);
		*to++ = c < 0 ? *s : (char)c;
		s += c < 0 ? 0 : 2;
	}
	*to = '\0';
}

/* Cuts a string at the first of `ends`, if it has one; what is behind it, or NULL. */
static char *cut(char *s, const char *ends)
{
	s += strcspn(s, ends);
	if (!*s)
		return NULL;
	*s = '\0';
	return s + 1;
}

static void parse_query(struct request *r, char *s)
{
	for (char *next; s; s = next) {
		next = cut(s, "&");
		char *value = cut(s, "=");
		decode(s);
		if (value)
			decode(value);
		assert_true(r->q.nquery < FIELDS_MAX);
		r->query[r->q.nquery++] = (struct sigv4_field){s, value ? value : ""};
	}
}

/* Cuts a header at its end, a line break that no blank follows; what is behind it, or NULL. */
static char *cut_header(char *s)
{
	do {
		s = strchr(s, '\n');
	} while (s && strspn(++s, " \t") > 0);
	if (s)
		s[-1] = '\0';
	return s;
}

/* A line of request, headers, and behind an empty line the body. Targets hold blanks. */
static void parse(struct request *r, char *text)
{
	*r = (struct request){.text = text};
	char *head = cut(text, "\n"), *path = cut(text, " "), *version = strrchr(path, ' ');
	assert_non_null(version);
	*version = '\0';
	parse_query(r, cut(path, "?"));
	const char *body = "";
	for (char *next; head && *head; head = next) {
		if (*head == '\n') {
			body = head + 1;
			break;
		}
		next = cut_header(head);
		char *value = cut(head, ":");
		assert_non_null(value);
		assert_true(r->q.nheaders < FIELDS_MAX);
		r->headers[r->q.nheaders++] = (struct sigv4_field){head, value};
	}
	sha256_hex(body, strlen(body), r->payload);
	r->q.method = text;
	r->q.path = path;
	r->q.query = r->query;
	r->q.headers = r->headers;
	r->q.payload = r->payload;
	r->q.time_s = SUITE_TIME;
	r->q.normalize = true;
}

static void same(const char *name, const char *ending, const struct buf *b)
{
	char *want = suite_file(name, ending);
	assert_false(b->overflow);
	assert_string_equal(buf_str(b), want);
	xfree(want);
}

static void test_case(void **state)
{
	const char *name = *state;
	struct request r;
	struct buf b;
	parse(&r, suite_file(name, "req"));
	if (strcmp(name, TOKEN_CASE) == 0)
		r.headers[r.q.nheaders++] = (struct sigv4_field){"X-Amz-Security-Token", TOKEN};
	buf_init(&b, 1 << 16);
	sigv4_canonical(&b, &r.q);
	same(name, "creq", &b);
	buf_clear(&b);
	sigv4_string_to_sign(&b, &suite_key, &r.q);
	same(name, "sts", &b);
	buf_clear(&b);
	sigv4_authorization(&b, &suite_key, &r.q);
	same(name, "authz", &b);
	buf_release(&b);
	xfree(r.text);
}

static size_t listed(const char *name)
{
	size_t n = 0;
	for (size_t i = 0; i < CASES; i++)
		n += strcmp(suite[i], name) == 0;
	return n;
}

/* Every folder holds folders or is a listed case; the number of cases. */
static size_t walk(const char *name)
{
	size_t cases = 0, folders = 0;
	char *path = suite_path(name);
	DIR *dir = opendir(path);
	if (!dir)
		fail_msg("%s: %s", path, strerror(errno));
	for (struct dirent *d; (d = readdir(dir));) {
		struct stat st;
		assert_int_equal(fstatat(dirfd(dir), d->d_name, &st, 0), 0);
		if (d->d_name[0] == '.' || !S_ISDIR(st.st_mode))
			continue;
		char *inner = xasprintf("%s%s%s", name, *name ? "/" : "", d->d_name);
		cases += walk(inner);
		folders++;
		xfree(inner);
	}
	closedir(dir);
	xfree(path);
	if (folders == 0 && listed(name) != 1)
		fail_msg("%s is in the list of cases %zu times", name, listed(name));
	return folders ? cases : 1;
}

static void test_suite_is_whole(void **state)
{
	(void)state;
	assert_int_equal(walk(""), CASES);
}

/* ---- The examples of the S3 reference ---- */

#define S3_TIME 1369353600 /* 2013-05-24T00:00:00Z */

static const struct sigv4_key s3_key = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "s3",
};

static const struct {
	const char *method, *path;
	struct sigv4_field query[2], headers[3];
	const char *payload, *names, *signature;
} s3_examples[] = {
	{"GET",
	 "/test.txt",
	 {},
	 {{"Range", "bytes=0-9"}},
	 empty_sha256,
	 "host;range;x-amz-content-sha256;x-amz-date",
	 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"PUT",
	 "/test$file.text",
	 {},
	 {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
	 "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
	 "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"GET",
	 "/",
	 {{"lifecycle", ""}},
	 {},
	 empty_sha256,
	 "host;x-amz-content-sha256;x-amz-date",
	 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"GET",
	 "/",
	 {{"max-keys", "2"}, {"prefix", "J"}},
	 {},
	 empty_sha256,
	 "host;x-amz-content-sha256;x-amz-date",
	 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static size_t count(const struct sigv4_field *fields, size_t max)
{
	size_t n = 0;
	while (n < max && fields[n].name)
		n++;
	return n;
}

static void test_s3_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof s3_examples / sizeof *s3_examples; i++) {
		struct sigv4_field headers[6] = {
			{"Host", "examplebucket.s3.amazonaws.com"},
			{"x-amz-date", "20130524T000000Z"},
			{"x-amz-content-sha256", s3_examples[i].payload},
		};
		size_t more = count(s3_examples[i].headers, 3);
		memcpy(headers + 3, s3_examples[i].headers, more * sizeof *headers);
		struct sigv4_request q = {
			.method = s3_examples[i].method,
			.path = s3_examples[i].path,
			.query = s3_examples[i].query,
			.nquery = count(s3_examples[i].query, 2),
			.headers = headers,
			.nheaders = 3 + more,
			.payload = s3_examples[i].payload,
			.time_s = S3_TIME,
		};
		struct buf b;
		buf_init(&b, 4096);
		sigv4_authorization(&b, &s3_key, &q);
		char *want = xasprintf("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/"
				       "us-east-1/s3/aws4_request, SignedHeaders=%s, Signature=%s",
				       s3_examples[i].names, s3_examples[i].signature);
		assert_string_equal(buf_str(&b), want);
		xfree(want);
		buf_release(&b);
	}
}

static const struct sigv4_field s3_host = {"Host", "examplebucket.s3.amazonaws.com"};

static const struct sigv4_request s3_get = {
	.method = "GET",
	.path = "/test.txt",
	.headers = &s3_host,
	.nheaders = 1,
	.payload = unsigned_payload,
	.time_s = S3_TIME,
};

#define S3_PRESIGNED                                                                               \
	"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"     \
	"us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"

static void test_s3_presign(void **state)
{
	(void)state;
	struct sigv4_key k = s3_key;
	struct buf b;
	buf_init(&b, 4096);
	for (int i = 0; i < 2; i++) { /* an empty token is none */
		k.session_token = i ? "" : NULL;
		buf_clear(&b);
		sigv4_presign(&b, &k, &s3_get, 86400);
		assert_string_equal(
			buf_str(&b), S3_PRESIGNED
			"X-Amz-SignedHeaders=host&X-Amz-Signature="
			"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
	}
	buf_release(&b);
}

/* ---- What neither shows ---- */

/* A presigned URL is a request whose query holds all but the signature. */
static void test_presign_signs_its_query(void **state)
{
	(void)state;
	const struct sigv4_field own[] = {
		{"response-content-type", "application/pdf"},
		{"response-content-disposition",
		 "attachment; filename*=UTF-8''peti\xc3\xa7\xc3\xa3o.pdf"},
	};
	struct sigv4_key k = s3_key;
	k.session_token = "a+token/=";
	struct sigv4_request q = s3_get;
	q.query = own;
	q.nquery = 2;
	struct buf b, want;
	buf_init(&b, 4096);
	buf_init(&want, 4096);
	sigv4_presign(&b, &k, &q, 1);

	const struct sigv4_field all[] = {
		own[0],
		own[1],
		{"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},
		{"X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"},
		{"X-Amz-Date", "20130524T000000Z"},
		{"X-Amz-Expires", "1"},
		{"X-Amz-SignedHeaders", "host"},
		{"X-Amz-Security-Token", "a+token/="},
	};
	q.query = all;
	q.nquery = 8;
	sigv4_query(&want, all, 8);
	assert_non_null(strstr(buf_str(&want), "&X-Amz-Security-Token=a%2Btoken%2F%3D&"));
	assert_non_null(strstr(buf_str(&want), "filename%2A%3DUTF-8%27%27peti%C3%A7%C3%A3o.pdf&"));
	assert_memory_equal(buf_str(&b), buf_str(&want), want.len);
	buf_clear(&want);
	sigv4_authorization(&want, &k, &q);
	const char *a = strstr(buf_str(&b), "&X-Amz-Signature="),
		   *h = strstr(want.data, "Signature=");
	assert_non_null(a);
	assert_non_null(h);
	assert_string_equal(strchr(a, '=') + 1, strchr(h, '=') + 1);
	buf_release(&want);
	buf_release(&b);
}

static void test_date(void **state)
{
	(void)state;
	static const struct {
		int64_t time_s;
		const char *text;
	} rows[] = {
		{0, "19700101T000000Z"},          {SUITE_TIME, "20150830T123600Z"},
		{951782400, "20000229T000000Z"},  {4107542399, "21000228T235959Z"},
		{4107542400, "21000301T000000Z"}, {253402300799, "99991231T235959Z"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char date[17];
		sigv4_date(rows[i].time_s, date);
		assert_string_equal(date, rows[i].text);
	}
}

static void test_query(void **state)
{
	(void)state;
	/* by name, then value, in encoded form: "%" is before letters, "=" plays no part */
	const struct sigv4_field query[] = {
		{"a-", "1"},          {"a", "\xc3\xa7"}, {"a", "b"}, {"", ""},
		{"a", "a"},           {"a", ""},         {"A", "~"}, {"\xe1\x88\xb4", "* +%&=/?"},
		{"\x01\xff", "\x7f"}, {"a", "a"},
	};
	struct buf b;
	buf_init(&b, 4096);
	sigv4_query(&b, query, sizeof query / sizeof *query);
	assert_string_equal(buf_str(&b),
			    "=&%01%FF=%7F&%E1%88%B4=%2A%20%2B%25%26%3D%2F%3F&A=~&a=&a=%C3%A7&a=a&"
			    "a=a&a=b&a-=1");
	buf_clear(&b);
	sigv4_query(&b, NULL, 0);
	assert_string_equal(buf_str(&b), "");
	buf_release(&b);
}

static const struct {
	const char *path, *plain, *normalized;
} paths[] = {
	{"/", "/", "/"},
	{"//", "//", "/"},
	{"/a", "/a", "/a"},
	{"/a//b/", "/a//b/", "/a/b/"},
	{"/a/./b/../c", "/a/./b/../c", "/a/c"},
	{"/../../a", "/../../a", "/a"},
	{"/a/b/..", "/a/b/..", "/a"},
	{"/a/b/../", "/a/b/../", "/a/"},
	{"/a/..", "/a/..", "/"},
	{"/.", "/.", "/"},
	{"/a/.", "/a/.", "/a"},
	{"/...", "/...", "/..."},
	{"/.a/..b/c..", "/.a/..b/c..", "/.a/..b/c.."},
	{"/a b+c%2F~*:@!$&'()", "/a%20b%2Bc%252F~%2A%3A%40%21%24%26%27%28%29",
	 "/a%20b%2Bc%252F~%2A%3A%40%21%24%26%27%28%29"},
	{"/\xc3\xa7\x01\x7f\xff", "/%C3%A7%01%7F%FF", "/%C3%A7%01%7F%FF"},
};

static void test_path(void **state)
{
	(void)state;
	struct buf b, want;
	buf_init(&b, 4096);
	buf_init(&want, 4096);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		buf_clear(&b);
		sigv4_path(&b, paths[i].path);
		assert_string_equal(buf_str(&b), paths[i].plain);
		for (int normalize = 0; normalize < 2; normalize++) {
			struct sigv4_request q = s3_get;
			q.path = paths[i].path;
			q.normalize = normalize;
			buf_clear(&b);
			sigv4_canonical(&b, &q);
			buf_clear(&want);
			buf_addf(&want, "GET\n%s\n\nhost:",
				 normalize ? paths[i].normalized : paths[i].plain);
			assert_true(strncmp(buf_str(&b), buf_str(&want), want.len) == 0);
		}
	}
	buf_release(&want);
	buf_release(&b);
}

static void test_headers(void **state)
{
	(void)state;
	const struct sigv4_field headers[] = {
		{"X-Z", ""},         {"HOST", " example.org\t"},
		{"x-b", "2"},        {"X-A", "1 \t  2"},
		{"X-B", "\t"},       {"x-B", "1"},
		{"x-a-c", "\"  \""}, {"x-forged", "a\r\nx-z:b\n\nc"},
	};
	struct sigv4_request q = s3_get;
	q.headers = headers;
	q.nheaders = sizeof headers / sizeof *headers;
	struct buf b;
	buf_init(&b, 4096);
	sigv4_canonical(&b, &q);
	assert_string_equal(buf_str(&b), "GET\n/test.txt\n\nhost:example.org\nx-a:1 2\n"
					 "x-a-c:\" \"\nx-b:2,,1\nx-forged:a x-z:b c\nx-z:\n\n"
					 "host;x-a;x-a-c;x-b;x-forged;x-z\nUNSIGNED-PAYLOAD");
	buf_release(&b);
}

typedef void writer(struct buf *b, const struct sigv4_key *k, const struct sigv4_request *q);

static void presign(struct buf *b, const struct sigv4_key *k, const struct sigv4_request *q)
{
	sigv4_presign(b, k, q, 60);
}

static writer *const writers[] = {sigv4_string_to_sign, sigv4_authorization, presign};

/* Whatever does not fit is marked: in the caller's buffer, and on the way there. */
static void test_overflow(void **state)
{
	(void)state;
	char *longest = xmalloc(SIGV4_MAX + 1);
	memset(longest, 'a', SIGV4_MAX);
	longest[SIGV4_MAX] = '\0';
	const struct sigv4_field long_header = {"Host", longest};
	struct sigv4_request q = s3_get;
	struct sigv4_key k = s3_key;
	for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
		struct buf b;
		buf_init(&b, 4096);
		writers[i](&b, &k, &s3_get);
		assert_false(b.overflow);
		size_t len = b.len;
		for (size_t max = 1; max <= len; max++) {
			buf_release(&b);
			buf_init(&b, max);
			writers[i](&b, &k, &s3_get);
			assert_int_equal(b.overflow, max < len);
		}
		buf_release(&b);

		buf_init(&b, 8 * SIGV4_MAX);
		q.headers = &long_header;
		writers[i](&b, &k, &q);
		assert_true(b.overflow);
		buf_clear(&b);
		k.region = longest;
		writers[i](&b, &k, &s3_get);
		assert_int_equal(b.overflow, writers[i] != sigv4_string_to_sign);
		k.region = s3_key.region;
		buf_clear(&b);
		k.access_key = longest;
		writers[i](&b, &k, &s3_get);
		assert_int_equal(b.overflow, writers[i] == presign);
		k.access_key = s3_key.access_key;
		buf_release(&b);
	}
	xfree(longest);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(test_suite_is_whole),
		cmocka_unit_test(test_s3_headers),
		cmocka_unit_test(test_s3_presign),
		cmocka_unit_test(test_presign_signs_its_query),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_overflow),
	};
	enum { OTHERS = sizeof others / sizeof *others };
	struct CMUnitTest tests[CASES + OTHERS];
	for (size_t i = 0; i < CASES; i++)
		tests[i] = (struct CMUnitTest){suite[i], test_case, NULL, NULL, (void *)suite[i]};
	memcpy(tests + CASES, others, sizeof others);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
