/*
 * What answers of S3 mean: one row for each code, status and fault, with the line that people read.
 */
#include "s3_class.h"

#include "scratch.h"

#define NOW INT64_C(1767323045000) /* Fri, 02 Jan 2026 03:04:05 GMT */
#define HOST "127.0.0.1:9000"

static struct s3_place place;
static const struct s3_account account = {"AKIAEXAMPLE", "hunter2", "t0ken"};

static int setup(void **state)
{
	(void)state;
	struct config c;
	struct err e;
	config_init(&c);
	assert_true(s3_place_parse(&place, &c, "//autos/p?endpoint=http://" HOST, &e));
	config_release(&c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	s3_place_release(&place);
	return 0;
}

/* The answer of this status and body to a call. */
static struct s3_verdict classify(const char *action, const char *key, int status, const char *body,
				  const char *date, const char *region)
{
	struct s3_verdict v;
	char *k = xstrdup(key);
	struct s3_call c = {.action = action, .key = k};
	struct http_res r = {.status = status, .body = body, .body_len = strlen(body)};
	snprintf(r.want[S3_WANT_DATE], HTTP_WANT_SIZE, "%s", date);
	snprintf(r.want[S3_WANT_REGION], HTTP_WANT_SIZE, "%s", region);
	s3_classify(&place, &account, &c, &r, NOW, &v);
	xfree(k);
	if (v.meaning != S3_GOOD) {
		assert_error(&v.err, v.err.kind);
		assert_null(strstr(v.err.text, "hunter2"));
		assert_null(strstr(v.err.text, "t0ken"));
	}
	return v;
}

static void is(const char *what, const struct s3_verdict *v, enum s3_meaning meaning,
	       enum err_kind kind, const char *line)
{
	if (v->meaning != meaning || v->err.kind != kind || strcmp(v->err.text, line) != 0)
		fail_msg("%s is %s, %s: '%s', not '%s'", what, s3_meaning_name(v->meaning),
			 err_kind_name(v->err.kind), v->err.text, line);
}

/* ---- Codes ---- */

#define SAYS(code) "the S3 server answers " code " to put: told so"
#define SLOW "the S3 server at " HOST " is overloaded"
#define NO_BUCKET "bucket 'autos' does not exist at " HOST
#define ELSEWHERE                                                                                  \
	"the region (us-east-1) or endpoint (" HOST ") is not that of bucket 'autos': told so"
#define CLOCK "the clock of this machine differs too much from the S3 server's"
#define MAY_NOT "access key AKIAEXAMPLE may not put objects (s3:PutObject) in bucket 'autos'"
#define TOKEN "the session token is wrong or has expired"
#define SPACE "the S3 server has no space left for bucket 'autos'"

static const struct {
	const char *code;
	int status;
	enum s3_meaning meaning;
	enum err_kind kind;
	const char *line;
} codes[] = {
	{"NoSuchKey", 404, S3_ABSENT, ERR_ABSENT, SAYS("NoSuchKey")},
	{"NoSuchUpload", 404, S3_ABSENT, ERR_ABSENT, SAYS("NoSuchUpload")},
	{"PreconditionFailed", 412, S3_TAKEN, ERR_BUSY, SAYS("PreconditionFailed")},

	{"SlowDown", 503, S3_SLOW, ERR_BUSY, SLOW},
	{"ServiceUnavailable", 503, S3_SLOW, ERR_BUSY, SLOW},
	{"TooManyRequests", 429, S3_SLOW, ERR_BUSY, SLOW},
	{"RequestLimitExceeded", 400, S3_SLOW, ERR_BUSY, SLOW},
	{"BandwidthLimitExceeded", 400, S3_SLOW, ERR_BUSY, SLOW},
	{"Throttling", 400, S3_SLOW, ERR_BUSY, SLOW},
	{"ThrottlingException", 400, S3_SLOW, ERR_BUSY, SLOW},
	{"RequestThrottled", 400, S3_SLOW, ERR_BUSY, SLOW},

	{"InternalError", 500, S3_RETRY, ERR_BUSY, SAYS("InternalError")},
	{"RequestTimeout", 400, S3_RETRY, ERR_BUSY, SAYS("RequestTimeout")},
	{"RequestTimeoutException", 400, S3_RETRY, ERR_BUSY, SAYS("RequestTimeoutException")},
	{"OperationAborted", 409, S3_RETRY, ERR_BUSY, SAYS("OperationAborted")},
	{"ConditionalRequestConflict", 409, S3_RETRY, ERR_BUSY, SAYS("ConditionalRequestConflict")},
	{"IncompleteBody", 400, S3_RETRY, ERR_BUSY, SAYS("IncompleteBody")},
	{"BadDigest", 400, S3_RETRY, ERR_BUSY, SAYS("BadDigest")},
	{"XAmzContentSHA256Mismatch", 400, S3_RETRY, ERR_BUSY, SAYS("XAmzContentSHA256Mismatch")},
	{"XAmzContentChecksumMismatch", 400, S3_RETRY, ERR_BUSY,
	 SAYS("XAmzContentChecksumMismatch")},

	/* absent is what was asked for, and nobody asks for the bucket */
	{"NoSuchBucket", 404, S3_REFUSED, ERR_DENIED, NO_BUCKET},
	{"InvalidBucketName", 400, S3_REFUSED, ERR_DENIED, NO_BUCKET},
	{"InvalidAccessKeyId", 403, S3_REFUSED, ERR_DENIED,
	 "access key AKIAEXAMPLE is not known to the S3 server at " HOST},
	{"SignatureDoesNotMatch", 403, S3_REFUSED, ERR_DENIED,
	 "the secret key is wrong: it does not belong to access key AKIAEXAMPLE at " HOST},
	{"AuthorizationHeaderMalformed", 400, S3_REFUSED, ERR_DENIED, ELSEWHERE},
	{"IllegalLocationConstraintException", 400, S3_REFUSED, ERR_DENIED, ELSEWHERE},
	{"PermanentRedirect", 301, S3_REFUSED, ERR_DENIED, ELSEWHERE},
	{"TemporaryRedirect", 307, S3_REFUSED, ERR_DENIED, ELSEWHERE},
	{"RequestTimeTooSkewed", 403, S3_REFUSED, ERR_DENIED, CLOCK},
	{"RequestExpired", 400, S3_REFUSED, ERR_DENIED, CLOCK},
	{"AccessDenied", 403, S3_REFUSED, ERR_DENIED, MAY_NOT},
	{"AllAccessDisabled", 403, S3_REFUSED, ERR_DENIED, MAY_NOT},
	{"AccountProblem", 403, S3_REFUSED, ERR_DENIED, SAYS("AccountProblem")},
	{"ExpiredToken", 400, S3_REFUSED, ERR_DENIED, TOKEN},
	{"InvalidToken", 400, S3_REFUSED, ERR_DENIED, TOKEN},
	{"TokenRefreshRequired", 400, S3_REFUSED, ERR_DENIED, TOKEN},
	{"QuotaExceeded", 403, S3_REFUSED, ERR_FAIL, SPACE},
	{"InsufficientStorage", 507, S3_REFUSED, ERR_FAIL, SPACE},
	{"XMinioStorageFull", 507, S3_REFUSED, ERR_FAIL, SPACE},
	{"EntityTooLarge", 400, S3_REFUSED, ERR_INPUT, SAYS("EntityTooLarge")},
	/* of the server, not of what is put: no document may fail by it */
	{"NotImplemented", 501, S3_REFUSED, ERR_FAIL, SAYS("NotImplemented")},

	/* codes that are not in the table: the status decides, the code is told */
	{"MalformedXML", 400, S3_REFUSED, ERR_FAIL, SAYS("MalformedXML")},
	{"InvalidPart", 400, S3_REFUSED, ERR_FAIL, SAYS("InvalidPart")},
	{"EntityTooSmall", 400, S3_REFUSED, ERR_FAIL, SAYS("EntityTooSmall")},
	{"MethodNotAllowed", 405, S3_REFUSED, ERR_FAIL, SAYS("MethodNotAllowed")},
	{"MissingContentLength", 411, S3_REFUSED, ERR_FAIL, SAYS("MissingContentLength")},
	{"UserSuspended", 403, S3_REFUSED, ERR_DENIED, SAYS("UserSuspended")},
	{"InvalidObjectState", 403, S3_REFUSED, ERR_DENIED, SAYS("InvalidObjectState")},
	{"NoSuchVersion", 404, S3_ABSENT, ERR_ABSENT, SAYS("NoSuchVersion")},
	{"BucketAlreadyExists", 409, S3_RETRY, ERR_BUSY, SAYS("BucketAlreadyExists")},
	{"SlowDownWrite", 503, S3_SLOW, ERR_BUSY, SAYS("SlowDownWrite")},
	{"XMinioServerNotInitialized", 503, S3_SLOW, ERR_BUSY, SAYS("XMinioServerNotInitialized")},
	{"Unheard", 500, S3_RETRY, ERR_BUSY, SAYS("Unheard")},
	{"Unheard", 599, S3_RETRY, ERR_BUSY, SAYS("Unheard")},
	/* a code goes before its status */
	{"NoSuchKey", 500, S3_ABSENT, ERR_ABSENT, SAYS("NoSuchKey")},
	{"SlowDown", 403, S3_SLOW, ERR_BUSY, SLOW},
};

static void test_codes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		char *body = xasprintf("<Error><Code>%s</Code><Message>told so</Message></Error>",
				       codes[i].code);
		struct s3_verdict v = classify("put", "k", codes[i].status, body, "", "");
		is(codes[i].code, &v, codes[i].meaning, codes[i].kind, codes[i].line);
		assert_string_equal(v.code, codes[i].code);
		assert_false(v.timeout);
		xfree(body);
	}
}

/* Without the server's words. */
static void test_without_message(void **state)
{
	(void)state;
	struct s3_verdict v =
		classify("put", "k", 500, "<Error><Code>InternalError</Code></Error>", "", "");
	is("500", &v, S3_RETRY, ERR_BUSY, "the S3 server answers InternalError to put");
	v = classify("put", "k", 301, "<Error><Code>PermanentRedirect</Code></Error>", "", "");
	is("301", &v, S3_REFUSED, ERR_DENIED,
	   "the region (us-east-1) or endpoint (" HOST ") is not that of bucket 'autos'");
}

/* ---- Statuses ---- */

#define STATUS(n) "the S3 server answers HTTP " #n " to head"
#define SEE "access key AKIAEXAMPLE may not read objects (s3:GetObject) in bucket 'autos'"
#define PROXY "the proxy on the way to " HOST " asks for credentials (HTTP 407)"
#define HTML "<html><body>from a proxy</body></html>"

static const struct {
	int status;
	enum s3_meaning meaning;
	enum err_kind kind;
	const char *line;
} statuses[] = {
	{200, S3_GOOD, ERR_NONE, ""},
	{201, S3_GOOD, ERR_NONE, ""},
	{204, S3_GOOD, ERR_NONE, ""},
	{206, S3_GOOD, ERR_NONE, ""},
	{299, S3_GOOD, ERR_NONE, ""},
	{301, S3_REFUSED, ERR_DENIED,
	 "the region (us-east-1) or endpoint (" HOST ") is not that of bucket 'autos'"},
	{302, S3_REFUSED, ERR_FAIL, STATUS(302)},
	{304, S3_REFUSED, ERR_FAIL, STATUS(304)},
	{307, S3_REFUSED, ERR_DENIED,
	 "the region (us-east-1) or endpoint (" HOST ") is not that of bucket 'autos'"},
	{308, S3_REFUSED, ERR_DENIED,
	 "the region (us-east-1) or endpoint (" HOST ") is not that of bucket 'autos'"},
	{400, S3_REFUSED, ERR_FAIL, STATUS(400)},
	{401, S3_REFUSED, ERR_DENIED, SEE},
	{403, S3_REFUSED, ERR_DENIED, SEE},
	{404, S3_ABSENT, ERR_ABSENT, STATUS(404)},
	{405, S3_REFUSED, ERR_FAIL, STATUS(405)},
	{407, S3_REFUSED, ERR_DENIED, PROXY},
	{408, S3_RETRY, ERR_BUSY, STATUS(408)},
	{409, S3_RETRY, ERR_BUSY, STATUS(409)},
	{411, S3_REFUSED, ERR_FAIL, STATUS(411)},
	{412, S3_TAKEN, ERR_BUSY, STATUS(412)},
	{413, S3_REFUSED, ERR_INPUT, STATUS(413)}, /* of what is put: a smaller one may go */
	{416, S3_REFUSED, ERR_FAIL, STATUS(416)},
	{429, S3_SLOW, ERR_BUSY, SLOW},
	{500, S3_RETRY, ERR_BUSY, STATUS(500)},
	{501, S3_REFUSED, ERR_FAIL, STATUS(501)}, /* of the server: nothing else would go */
	{502, S3_RETRY, ERR_BUSY, STATUS(502)},
	{503, S3_SLOW, ERR_BUSY, SLOW},
	{504, S3_RETRY, ERR_BUSY, STATUS(504)},
	{507, S3_REFUSED, ERR_FAIL, SPACE},
	{599, S3_RETRY, ERR_BUSY, STATUS(599)},
	{100, S3_REFUSED, ERR_FAIL, STATUS(100)},
	{0, S3_REFUSED, ERR_FAIL, STATUS(0)},
};

static void test_statuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		char name[8];
		snprintf(name, sizeof name, "%d", statuses[i].status);
		struct s3_verdict v = classify("head", "k", statuses[i].status, "", "", "");
		is(name, &v, statuses[i].meaning, statuses[i].kind, statuses[i].line);
		assert_string_equal(v.code, "");
		v = classify("head", "k", statuses[i].status, HTML, "", "");
		is(name, &v, statuses[i].meaning, statuses[i].kind, statuses[i].line);
	}
	/* without a key it is the bucket that is not there */
	struct s3_verdict v = classify("bucket", "", 404, "", "", "");
	is("404", &v, S3_REFUSED, ERR_DENIED, NO_BUCKET);
	v = classify("list", "", 404, HTML, "", "");
	is("404", &v, S3_REFUSED, ERR_DENIED, NO_BUCKET);
}

/* What a server does not know is told apart from what it will not. */
static void test_unknown(void **state)
{
	(void)state;
	assert_true(classify("uploads", "", 501, "", "", "").unknown);
	assert_true(classify("uploads", "", 501, HTML, "", "").unknown);
	assert_true(classify("put", "k", 501, "<Error><Code>NotImplemented</Code></Error>", "", "")
			    .unknown);
	assert_true(classify("put", "k", 400, "<Error><Code>NotImplemented</Code></Error>", "", "")
			    .unknown);
	assert_false(classify("put", "k", 200, "", "", "").unknown);
	assert_false(classify("put", "k", 403, "", "", "").unknown);
	assert_false(classify("put", "k", 507, "", "", "").unknown);
	/* small documents need no parts: only large ones are refused */
	static const char *const parts[] = {"create", "part", "complete"};
	for (size_t i = 0; i < 3; i++) {
		assert_true(classify(parts[i], "k", 501, "", "", "").unknown);
		assert_int_equal(classify(parts[i], "k", 501, "", "", "").err.kind, ERR_INPUT);
		assert_int_equal(classify(parts[i], "k", 507, "", "", "").err.kind, ERR_FAIL);
	}
	assert_int_equal(classify("put", "k", 501, "", "", "").err.kind, ERR_FAIL);
	/* a code goes before its status */
	assert_false(
		classify("put", "k", 501, "<Error><Code>SlowDown</Code></Error>", "", "").unknown);
}

/* ---- 200, and an error ---- */

static void test_good_with_error(void **state)
{
	(void)state;
	struct s3_verdict v =
		classify("complete", "k", 200,
			 "<?xml version=\"1.0\"?>\n   <Error><Code>InternalError</Code>"
			 "<Message>told so</Message></Error>",
			 "", "");
	is("200", &v, S3_RETRY, ERR_BUSY,
	   "the S3 server answers InternalError to complete: told so");
	assert_string_equal(v.code, "InternalError");
	v = classify("complete", "k", 200, "<Error><Code>NoSuchUpload</Code></Error>", "", "");
	assert_int_equal(v.meaning, S3_ABSENT);
	v = classify("complete", "k", 200, "<Error><Code>AccessDenied</Code></Error>", "", "");
	assert_int_equal(v.meaning, S3_REFUSED);
	v = classify("complete", "k", 200, "<Error><Code>Unheard</Code></Error>", "", "");
	is("200", &v, S3_RETRY, ERR_BUSY, "the S3 server answers Unheard to complete");
	v = classify("complete", "k", 200, "<CompleteMultipartUploadResult/>", "", "");
	assert_int_equal(v.meaning, S3_GOOD);
	v = classify("delete", "", 200,
		     "<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>", "",
		     "");
	assert_int_equal(v.meaning, S3_GOOD); /* errors about single keys are not the answer's */
	assert_string_equal(v.code, "");
	assert_int_equal(v.err.kind, ERR_NONE);
}

/* ---- Regions ---- */

static const struct {
	const char *body_region, *header_region, *line;
} regions[] = {
	{"sa-east-1", "", "region = us-east-1 is wrong: bucket 'autos' is in region sa-east-1"},
	{"", "sa-east-1", "region = us-east-1 is wrong: bucket 'autos' is in region sa-east-1"},
	{"sa-east-1", "eu-west-1",
	 "region = us-east-1 is wrong: bucket 'autos' is in region sa-east-1"},
	{"us-east-1", "",
	 "the region (us-east-1) or endpoint (" HOST ") is not that of bucket 'autos': no"},
	{"", "us-east-1",
	 "the region (us-east-1) or endpoint (" HOST ") is not that of bucket 'autos': no"},
};

static void test_regions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
		char *body = xasprintf("<Error><Code>AuthorizationHeaderMalformed</Code><Message>no"
				       "</Message><Region>%s</Region></Error>",
				       regions[i].body_region);
		struct s3_verdict v = classify("put", "k", 400, body, "", regions[i].header_region);
		is("region", &v, S3_REFUSED, ERR_DENIED, regions[i].line);
		xfree(body);
	}
	struct s3_verdict v = classify("bucket", "", 301, "", "", "sa-east-1");
	is("301", &v, S3_REFUSED, ERR_DENIED,
	   "region = us-east-1 is wrong: bucket 'autos' is in region sa-east-1");
}

/* ---- Clocks ---- */

#define GMT(time) "Fri, 02 Jan 2026 " time " GMT"

static const struct {
	const char *server, *date, *words;
} clocks[] = {
	{"2026-01-02T03:19:06Z", "", "15 min behind"},
	{"2026-01-02T03:06:04Z", "", "119 s behind"},
	{"2026-01-02T03:06:05Z", "", "2 min behind"},
	{"2026-01-02T03:02:06Z", "", "119 s ahead of"},
	{"2026-01-02T03:02:05Z", "", "2 min ahead of"},
	{"2026-01-01T03:04:05Z", "", "1440 min ahead of"},
	{"", GMT("03:19:05"), "15 min behind"},
	{"", GMT("02:49:05"), "15 min ahead of"},
	{"", GMT("03:04:15"), "10 s behind"},
	/* what the error says goes before the header */
	{"2026-01-02T03:14:05Z", GMT("02:49:05"), "10 min behind"},
};

static void test_clocks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		char *body = xasprintf("<Error><Code>RequestTimeTooSkewed</Code><Message>no"
				       "</Message>%s%s%s</Error>",
				       *clocks[i].server ? "<ServerTime>" : "", clocks[i].server,
				       *clocks[i].server ? "</ServerTime>" : "");
		char *line = xasprintf("the clock of this machine is %s the S3 server's: set it",
				       clocks[i].words);
		struct s3_verdict v = classify("put", "k", 403, body, clocks[i].date, "");
		is("clock", &v, S3_REFUSED, ERR_DENIED, line);
		xfree(line);
		xfree(body);
	}
}

static const struct {
	const char *date;
	bool known;
	int64_t skew_ms;
} dates[] = {
	{GMT("03:04:05"), true, 0},
	{GMT("03:04:06"), true, 1000},
	{GMT("03:04:04"), true, -1000},
	{"Thu, 01 Jan 1970 00:00:00 GMT", true, -NOW},
	{"", false, 0},
	{"120", false, 0},
	{"yesterday", false, 0},
	{"Fri, 02 Jan 2026 03:04:05 BRT", false, 0},
	{"2026-01-02T03:04:05Z", false, 0},
};

static void test_skew(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		struct http_res r = {0};
		int64_t skew = 7;
		snprintf(r.want[S3_WANT_DATE], HTTP_WANT_SIZE, "%s", dates[i].date);
		assert_int_equal(s3_clock_skew(&r, NOW, &skew), dates[i].known);
		assert_int_equal(skew, dates[i].known ? dates[i].skew_ms : 7);
	}
}

/* ---- Permissions ---- */

static const struct {
	const char *action, *words;
} actions[] = {
	{"put", "put objects (s3:PutObject)"},
	{"create", "put objects (s3:PutObject)"},
	{"part", "put objects (s3:PutObject)"},
	{"complete", "put objects (s3:PutObject)"},
	{"get", "read objects (s3:GetObject)"},
	{"head", "read objects (s3:GetObject)"},
	{"list", "list objects (s3:ListBucket)"},
	{"bucket", "see the bucket (s3:ListBucket)"},
	{"delete", "delete objects (s3:DeleteObject)"},
	{"abort", "abort uploads (s3:AbortMultipartUpload)"},
	{"uploads", "list uploads (s3:ListBucketMultipartUploads)"},
	{"parts", "list parts (s3:ListMultipartUploadParts)"},
	{"other", "other"},
};

static void test_permissions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		char *line = xasprintf("access key AKIAEXAMPLE may not %s in bucket 'autos'",
				       actions[i].words);
		struct s3_verdict v = classify(actions[i].action, "k", 403, "", "", "");
		is(actions[i].action, &v, S3_REFUSED, ERR_DENIED, line);
		xfree(line);
	}
}

/* ---- Faults ---- */

#define BROKE "the connection broke to the S3 server at " HOST ": why"

static const struct {
	enum http_fault fault;
	enum s3_meaning meaning;
	enum err_kind kind;
	bool timeout;
	const char *line;
} faults[] = {
	{HTTP_FAULT_CONNECT, S3_RETRY, ERR_BUSY, true,
	 "cannot reach the S3 server at " HOST ": why"},
	{HTTP_FAULT_RESET, S3_RETRY, ERR_BUSY, false, BROKE},
	{HTTP_FAULT_SHORT, S3_RETRY, ERR_BUSY, false, BROKE},
	{HTTP_FAULT_TIMEOUT, S3_RETRY, ERR_BUSY, true, BROKE},
	{HTTP_FAULT_TOO_LARGE, S3_RETRY, ERR_BUSY, false, BROKE},
	{HTTP_FAULT_PROTOCOL, S3_RETRY, ERR_BUSY, false, BROKE},
	{HTTP_FAULT_LOCAL, S3_LOCAL, ERR_FAIL, false, "why"},
};

static void test_faults(void **state)
{
	(void)state;
	assert_int_equal(sizeof faults / sizeof *faults, HTTP_FAULT_LOCAL);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		char key[] = "k";
		struct s3_verdict v;
		struct s3_call c = {.action = "get", .key = key};
		/* a broken answer is one, whatever its status was */
		struct http_res r = {.status = 200, .fault = faults[i].fault, .fault_text = "why"};
		s3_classify(&place, &account, &c, &r, NOW, &v);
		is(http_fault_name(r.fault), &v, faults[i].meaning, faults[i].kind, faults[i].line);
		assert_int_equal(v.timeout, faults[i].timeout);
		assert_string_equal(v.code, "");
	}
}

static void test_names(void **state)
{
	(void)state;
	for (int i = S3_GOOD; i <= S3_LOCAL; i++) {
		assert_string_not_equal(s3_meaning_name((enum s3_meaning)i), "?");
		for (int k = S3_GOOD; k < i; k++)
			assert_string_not_equal(s3_meaning_name((enum s3_meaning)i),
						s3_meaning_name((enum s3_meaning)k));
	}
}

/* Whatever a server says, it is one line of bounded length. */
static void test_servers_words(void **state)
{
	(void)state;
	char words[1001];
	memset(words, 'x', sizeof words - 1);
	words[sizeof words - 1] = '\0';
	char *body =
		xasprintf("<Error><Code>%s</Code><Message>one\n\ttwo\r\n\x7f%s</Message></Error>",
			  words, words);
	struct s3_verdict v = classify("put", "k", 500, body, "", "");
	assert_int_equal(v.meaning, S3_RETRY);
	assert_int_equal(strlen(v.code), sizeof v.code - 1);
	xfree(body);
	body = xasprintf("<Error><Code>AuthorizationHeaderMalformed</Code><Region>a\nb%s</Region>"
			 "</Error>",
			 words);
	v = classify("put", "k", 400, body, "", "");
	assert_int_equal(v.meaning, S3_REFUSED);
	xfree(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),         cmocka_unit_test(test_without_message),
		cmocka_unit_test(test_statuses),      cmocka_unit_test(test_good_with_error),
		cmocka_unit_test(test_regions),       cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_skew),          cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_faults),        cmocka_unit_test(test_names),
		cmocka_unit_test(test_servers_words), cmocka_unit_test(test_unknown),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
