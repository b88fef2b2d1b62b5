/*
 * Questions to S3 as requests: method, address and headers of each call, and signatures. Those that
 * stand here were computed by botocore 1.43 from the same facts.
 */
#include "s3_ask.h"

#include "scratch.h"

#define NOW INT64_C(1767323045) /* 2026-01-02T03:04:05Z */
#define DATE "20260102T030405Z"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA "105156e58646c5274f4f7420d8cd21020fc3cca3eeffb8453fbd3b5859675a7c"
#define MD5 "PnBpntr42f3QoYcsalFJRQ=="
#define NAME "Peti\xc3\xa7\xc3\xa3o inicial.pdf"
#define DISPOSITION                                                                                \
	"attachment; filename=\"Peticao inicial.pdf\"; "                                           \
	"filename*=UTF-8''Peti%C3%A7%C3%A3o%20inicial.pdf"

static const struct s3_account plain = {"AKIAIOSFODNN7EXAMPLE",
					"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
static const struct s3_account lent = {"AKIAIOSFODNN7EXAMPLE",
				       "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "TOKEN+a/b=="};

static const struct s3_object object = {.key = "processos/1/documentos/a.pdf",
					.mime = "application/pdf",
					.name = NAME,
					.sha256 = SHA,
					.md5 = MD5,
					.only_new = true};

/* The bucket in the path of a server on this machine, and in a name at Amazon. */
static struct s3_place here, amazon;

static int setup(void **state)
{
	(void)state;
	struct config c;
	struct err e;
	config_init(&c);
	assert_true(s3_place_parse(&here, &c, "//autos/p?endpoint=http://127.0.0.1:9000", &e));
	assert_true(s3_place_parse(&amazon, &c, "//autos/p?region=sa-east-1", &e));
	config_release(&c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	s3_place_release(&here);
	s3_place_release(&amazon);
	return 0;
}

/* The value of a header that is sent, NULL when it is not. */
static const char *sent(const struct http_req *q, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < q->nheaders; i++)
		if (strncmp(q->headers[i], name, n) == 0 && q->headers[i][n] == ':')
			return q->headers[i] + n + 1 + strspn(q->headers[i] + n + 1, " ");
	return NULL;
}

static void header_is(const struct http_req *q, const char *name, const char *wanted)
{
	const char *value = sent(q, name);
	if (!value || strcmp(value, wanted) != 0)
		fail_msg("%s is %s, not %s", name, value ? value : "not there", wanted);
}

/* Everything that is sent is signed, but what libcurl is told for itself. */
static void check_signed(const struct http_req *q)
{
	const char *value = sent(q, "Authorization");
	assert_non_null(value);
	const char *names = strstr(value, "SignedHeaders=");
	assert_non_null(names);
	names += strlen("SignedHeaders=");
	char *list = xasprintf(";%.*s;", (int)strcspn(names, ","), names);
	size_t n = 1; /* host, which libcurl sends */
	assert_non_null(strstr(list, ";host;"));
	for (size_t i = 0; i < q->nheaders; i++) {
		int len = (int)strcspn(q->headers[i], ":");
		if (strncmp(q->headers[i], "Authorization:", 14) == 0 ||
		    strcmp(q->headers[i], "Expect:") == 0)
			continue;
		char *name = xasprintf(";%.*s;", len, q->headers[i]);
		if (!strstr(list, name))
			fail_msg("%s is sent and not signed", name);
		xfree(name);
		n++;
	}
	for (const char *s = list + 1; *s; s++)
		n -= *s == ';';
	assert_int_equal(n, 0);
	xfree(list);
}

/* The request of a call, whose answers' headers are kept; the caller releases it. */
static struct http_req ask(const struct s3_place *p, const struct s3_account *a,
			   const struct s3_call *c)
{
	struct http_req q;
	s3_request(p, a, c, NOW, &q);
	check_signed(&q);
	header_is(&q, "x-amz-date", DATE);
	header_is(&q, "x-amz-content-sha256", c->payload);
	header_is(&q, "Expect", "");
	assert_string_equal(q.want[S3_WANT_ETAG], "etag");
	assert_string_equal(q.want[S3_WANT_DATE], "date");
	assert_string_equal(q.want[S3_WANT_SHA256], "x-amz-meta-sha256");
	assert_string_equal(q.want[S3_WANT_REGION], "x-amz-bucket-region");
	assert_string_equal(q.want[S3_WANT_REQUEST], "x-amz-request-id");
	assert_ptr_equal(q.body, c->body);
	assert_int_equal(q.body_len, c->body_len);
	assert_int_equal(q.total_ms, c->total_ms);
	assert_int_equal(q.patient, c->patient);
	assert_int_equal(q.no_body, strcmp(c->method, "HEAD") == 0);
	assert_true(q.in_memory && q.max_body >= 1000 * 1400);
	return q;
}

static void is(struct s3_call *c, const char *action, const char *method, const char *url,
	       struct http_req *q)
{
	assert_string_equal(c->action, action);
	*q = ask(&here, &plain, c);
	assert_string_equal(q->method, method);
	assert_string_equal(q->url, url);
	assert_null(sent(q, "x-amz-security-token"));
}

static void over(struct s3_call *c, struct http_req *q)
{
	http_req_release(q);
	s3_call_release(c);
	assert_null(c->key);
	s3_call_release(c);
}

#define KEY "http://127.0.0.1:9000/autos/p/processos/1/documentos/a.pdf"

/* ---- Calls ---- */

static void test_put(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_put(&c, &object);
	is(&c, "put", "PUT", KEY, &q);
	header_is(&q, "content-type", "application/pdf");
	header_is(&q, "content-disposition", DISPOSITION);
	header_is(&q, "x-amz-meta-sha256", SHA);
	header_is(&q, "content-md5", MD5);
	header_is(&q, "if-none-match", "*");
	header_is(&q, "x-amz-content-sha256", SHA);
	assert_int_equal(q.total_ms, 0);
	assert_null(q.body);
	over(&c, &q);

	struct s3_object bare = object;
	bare.md5 = NULL;
	bare.only_new = false;
	s3_call_put(&c, &bare);
	is(&c, "put", "PUT", KEY, &q);
	assert_null(sent(&q, "content-md5"));
	assert_null(sent(&q, "if-none-match"));
	over(&c, &q);
}

static void test_create(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_create(&c, &object);
	is(&c, "create", "POST", KEY "?uploads=", &q);
	header_is(&q, "content-type", "application/pdf");
	header_is(&q, "content-disposition", DISPOSITION);
	header_is(&q, "x-amz-meta-sha256", SHA);
	header_is(&q, "x-amz-content-sha256", EMPTY);
	assert_null(sent(&q, "if-none-match")); /* is said when it is completed */
	assert_null(sent(&q, "content-md5"));
	assert_string_equal(q.body, "");
	assert_true(q.total_ms > 0);
	over(&c, &q);
}

static void test_part(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_part(&c, object.key, "2~a/b=", 10000, SHA, MD5);
	is(&c, "part", "PUT", KEY "?partNumber=10000&uploadId=2~a%2Fb%3D", &q);
	header_is(&q, "content-md5", MD5);
	header_is(&q, "x-amz-content-sha256", SHA);
	assert_null(sent(&q, "content-type"));
	assert_int_equal(q.total_ms, 0);
	over(&c, &q);
	s3_call_part(&c, object.key, "u", 1, SHA, NULL);
	is(&c, "part", "PUT", KEY "?partNumber=1&uploadId=u", &q);
	assert_null(sent(&q, "content-md5"));
	over(&c, &q);
}

static void test_complete(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	char hex[65];
	static const char xml[] = "<CompleteMultipartUpload></CompleteMultipartUpload>";
	sha256_hex(xml, strlen(xml), hex);
	s3_call_complete(&c, object.key, "u", xstrdup(xml), true);
	is(&c, "complete", "POST", KEY "?uploadId=u", &q);
	header_is(&q, "content-type", "application/xml");
	header_is(&q, "if-none-match", "*");
	header_is(&q, "x-amz-content-sha256", hex);
	assert_string_equal(q.body, xml);
	assert_true(q.patient && q.total_ms >= 5 * 60 * 1000);
	over(&c, &q);
	s3_call_complete(&c, object.key, "u", xstrdup(xml), false);
	is(&c, "complete", "POST", KEY "?uploadId=u", &q);
	assert_null(sent(&q, "if-none-match"));
	over(&c, &q);
}

static void test_abort_and_parts(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_abort(&c, object.key, "u&v");
	is(&c, "abort", "DELETE", KEY "?uploadId=u%26v", &q);
	assert_false(q.patient);
	over(&c, &q);
	s3_call_parts(&c, object.key, "u", "");
	is(&c, "parts", "GET", KEY "?uploadId=u", &q);
	over(&c, &q);
	s3_call_parts(&c, object.key, "u", "1000");
	is(&c, "parts", "GET", KEY "?part-number-marker=1000&uploadId=u", &q);
	over(&c, &q);
}

#define BUCKET "http://127.0.0.1:9000/autos"

static void test_lists(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_uploads(&c, &here, "processos/1/", "", "");
	is(&c, "uploads", "GET", BUCKET "?prefix=p%2Fprocessos%2F1%2F&uploads=", &q);
	over(&c, &q);
	s3_call_uploads(&c, &here, "", "p/a b", "2~x/y==");
	is(&c, "uploads", "GET",
	   BUCKET "?key-marker=p%2Fa%20b&prefix=p%2F&upload-id-marker=2~x%2Fy%3D%3D&uploads=", &q);
	over(&c, &q);
	s3_call_list(&c, &here, "processos/1/", "");
	is(&c, "list", "GET", BUCKET "?list-type=2&max-keys=1000&prefix=p%2Fprocessos%2F1%2F", &q);
	over(&c, &q);
	s3_call_list(&c, &here, "x", "1ue+/=");
	is(&c, "list", "GET",
	   BUCKET "?continuation-token=1ue%2B%2F%3D&list-type=2&max-keys=1000&prefix=p%2Fx", &q);
	over(&c, &q);
}

static void test_reading(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_get(&c, object.key, 0, "");
	is(&c, "get", "GET", KEY, &q);
	assert_null(sent(&q, "range"));
	assert_null(sent(&q, "if-match"));
	assert_int_equal(q.total_ms, 0);
	over(&c, &q);
	s3_call_get(&c, object.key, INT64_C(6442450944), "\"abc\"");
	is(&c, "get", "GET", KEY, &q);
	header_is(&q, "range", "bytes=6442450944-");
	header_is(&q, "if-match", "\"abc\"");
	over(&c, &q);
	s3_call_head(&c, object.key);
	is(&c, "head", "HEAD", KEY, &q);
	assert_true(q.total_ms > 0);
	over(&c, &q);
	s3_call_bucket(&c);
	is(&c, "bucket", "HEAD", BUCKET, &q);
	over(&c, &q);
}

static void test_deleting(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_delete(&c, object.key);
	is(&c, "delete", "DELETE", KEY, &q);
	over(&c, &q);
	s3_call_delete_many(&c, xstrdup("abc"));
	is(&c, "delete", "POST", BUCKET "?delete=", &q);
	header_is(&q, "content-md5", "kAFQmDzST7DWlj99KOF/cg==");
	header_is(&q, "content-type", "application/xml");
	header_is(&q, "x-amz-content-sha256",
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(q.body, "abc");
	over(&c, &q);
}

static void test_odd_keys(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req q;
	s3_call_head(&c, "a b/../%2e//\xc3\xa9+&?#");
	is(&c, "head", "HEAD", BUCKET "/p/a%20b/../%252e//%C3%A9%2B%26%3F%23", &q);
	over(&c, &q);
	/* the longest key there is, of characters that grow */
	char key[S3_KEY_MAX + 1];
	memset(key, ' ', S3_KEY_MAX);
	key[S3_KEY_MAX] = '\0';
	s3_call_abort(&c, key, "u");
	q = ask(&amazon, &lent, &c);
	assert_true(strlen(q.url) > 3 * S3_KEY_MAX);
	over(&c, &q);
}

/* ---- Signatures ---- */

#define CREDENTIAL "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260102/"

static void test_signed_by_others(void **state)
{
	(void)state;
	struct s3_call c;
	s3_call_put(&c, &object);
	struct http_req q = ask(&amazon, &lent, &c);
	assert_string_equal(
		q.url, "https://autos.s3.sa-east-1.amazonaws.com/p/processos/1/documentos/a.pdf");
	header_is(&q, "x-amz-security-token", "TOKEN+a/b==");
	header_is(&q, "Authorization",
		  CREDENTIAL "sa-east-1/s3/aws4_request, SignedHeaders=content-disposition;"
			     "content-md5;content-type;host;if-none-match;x-amz-content-sha256;"
			     "x-amz-date;x-amz-meta-sha256;x-amz-security-token, Signature="
			     "bce5cbd7c94f694e8ff6aed347ba4b388fa16aa052840017bb8643818e5f8d0f");
	over(&c, &q);

	s3_call_uploads(&c, &here, "processos/1/", "p/a b", "2~x/y==");
	q = ask(&here, &plain, &c);
	header_is(&q, "Authorization",
		  CREDENTIAL "us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;"
			     "x-amz-date, Signature="
			     "0cf72d62a3a6f98be3601b1d466379e39fad5f9f1fda8908c74f5d7488498b5c");
	over(&c, &q);
}

static void test_signed_again(void **state)
{
	(void)state;
	struct s3_call c;
	struct http_req first, second, third;
	s3_call_put(&c, &object);
	s3_request(&here, &plain, &c, NOW, &first);
	s3_request(&here, &plain, &c, NOW + 1, &second);
	s3_request(&here, &plain, &c, NOW, &third);
	header_is(&first, "x-amz-date", DATE);
	header_is(&second, "x-amz-date", "20260102T030406Z");
	assert_string_not_equal(sent(&first, "Authorization"), sent(&second, "Authorization"));
	assert_string_equal(sent(&first, "Authorization"), sent(&third, "Authorization"));
	assert_int_equal(first.nheaders, second.nheaders);
	http_req_release(&first);
	http_req_release(&second);
	http_req_release(&third);
	s3_call_release(&c);
}

/* The most headers that a call has fit into a request. */
static void test_room(void **state)
{
	(void)state;
	struct s3_call c;
	s3_call_put(&c, &object);
	assert_true(c.nheaders <= S3_HEADERS_MAX && S3_HEADERS_MAX + 5 <= HTTP_HEADERS_MAX);
	struct http_req q = ask(&here, &lent, &c);
	assert_int_equal(q.nheaders, c.nheaders + 5);
	over(&c, &q);
}

/* ---- Links ---- */

#define WHO "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260102%2F"
#define UNTIL "%2Fs3%2Faws4_request&X-Amz-Date=" DATE "&X-Amz-Expires=3600"
#define SHOWN                                                                                      \
	"&X-Amz-SignedHeaders=host"                                                                \
	"&response-content-disposition=attachment%3B%20filename%3D%22Peticao%20inicial.pdf%22%3B%" \
	"20filename%2A%3DUTF-8%27%27Peti%25C3%25A7%25C3%25A3o%2520inicial.pdf"                     \
	"&response-content-type=application%2Fpdf&X-Amz-Signature="

/* botocore gives the same parameters in another order. */
static void test_links(void **state)
{
	(void)state;
	char *url = s3_link(&amazon, &lent, "k/a.pdf", NAME, "application/pdf", NOW, 3600);
	assert_string_equal(url,
			    "https://autos.s3.sa-east-1.amazonaws.com/p/k/a.pdf" WHO
			    "sa-east-1" UNTIL "&X-Amz-Security-Token=TOKEN%2Ba%2Fb%3D%3D" SHOWN
			    "25ed812229d86f86e66b9cae8e1c06be1381eaa8781dfc1cc6061e1dc07f3780");
	xfree(url);
	url = s3_link(&here, &plain, "k/a.pdf", NAME, "application/pdf", NOW, 3600);
	assert_string_equal(url,
			    "http://127.0.0.1:9000/autos/p/k/a.pdf" WHO "us-east-1" UNTIL SHOWN
			    "8871fa7745f2e3233e9dec368d4126cedbecb29e0fdaaf1b97118193eedd2368");
	xfree(url);
}

static const struct {
	int64_t ttl_s;
	const char *says;
} lives[] = {
	{1, "X-Amz-Expires=1&"},
	{604799, "X-Amz-Expires=604799&"},
	{604800, "X-Amz-Expires=604800&"},
	{604801, "X-Amz-Expires=604800&"},
	{INT64_MAX, "X-Amz-Expires=604800&"},
};

static void test_link_lives(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
		char *url = s3_link(&here, &plain, "k", NAME, "text/plain", NOW, lives[i].ttl_s);
		assert_non_null(strstr(url, lives[i].says));
		xfree(url);
	}
	/* a name as long as a file's may be, of characters that grow most */
	char name[256];
	for (size_t i = 0; i + 2 < sizeof name; i += 2)
		memcpy(name + i, "\xc3\xa7", 3);
	char *url = s3_link(&amazon, &lent, "k", name, "text/plain", NOW, 60);
	assert_non_null(strstr(url, "&X-Amz-Signature="));
	xfree(url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_part),
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_abort_and_parts),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_deleting),
		cmocka_unit_test(test_odd_keys),
		cmocka_unit_test(test_signed_by_others),
		cmocka_unit_test(test_signed_again),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_link_lives),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
