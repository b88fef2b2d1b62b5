/*
 * What S3 servers say, in the shapes of Amazon's, Ceph's and MinIO's answers, and what is no answer
 * at all.
 */
#include "s3_xml.h"

#include "scratch.h"

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

/* The bytes without the NUL behind them, so that a sanitizer sees a read of one too many. */
static char *exact(const char *s, size_t len)
{
	char *copy = xmalloc(len ? len : 1);
	memcpy(copy, s, len);
	return copy;
}

/* ---- <Error> ---- */

static const struct {
	const char *body, *code, *message, *region;
	int64_t server_ms;
} errors[] = {
	/* Amazon */
	{DECLARATION "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist."
		     "</Message><Key>k/a.pdf</Key><RequestId>4442587FB7D0A2F9</RequestId>"
		     "<HostId>vZ4=</HostId></Error>",
	 "NoSuchKey", "The specified key does not exist.", "", 0},
	{DECLARATION "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization "
		     "header is malformed; the region 'us-east-1' is wrong; expecting 'sa-east-1'"
		     "</Message><Region>sa-east-1</Region><RequestId>1</RequestId></Error>",
	 "AuthorizationHeaderMalformed",
	 "The authorization header is malformed; the region 'us-east-1' is wrong; expecting "
	 "'sa-east-1'",
	 "sa-east-1", 0},
	{DECLARATION "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the "
		     "request time and the current time is too large.</Message><RequestTime>"
		     "20260102T030405Z</RequestTime><ServerTime>2026-01-02T04:04:05Z</ServerTime>"
		     "<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>",
	 "RequestTimeTooSkewed",
	 "The difference between the request time and the current time is too large.", "",
	 1767326645000},
	{DECLARATION "<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting "
		     "to access must be addressed using the specified endpoint.</Message><Bucket>"
		     "autos</Bucket><Endpoint>s3-sa-east-1.amazonaws.com</Endpoint></Error>",
	 "PermanentRedirect",
	 "The bucket you are attempting to access must be addressed using the specified endpoint.",
	 "", 0},
	/* while the parts are joined, blanks keep the connection alive */
	{DECLARATION "   \n  \r\n   <Error><Code>InternalError</Code><Message>We encountered an "
		     "internal error. Please try again.</Message></Error>",
	 "InternalError", "We encountered an internal error. Please try again.", "", 0},
	{"  \r\n   " DECLARATION "<Error><Code>InternalError</Code></Error>", "InternalError", "",
	 "", 0},
	/* Ceph: no message; the zone is no region */
	{DECLARATION "<Error><Code>NoSuchBucket</Code><BucketName>autos</BucketName><RequestId>"
		     "tx00000000000000000001a-00659f8c1d-1060-default</RequestId><HostId>"
		     "1060-default-default</HostId></Error>",
	 "NoSuchBucket", "", "", 0},
	{DECLARATION "<Error><Code>SignatureDoesNotMatch</Code><Message></Message><RequestId>tx1"
		     "</RequestId></Error>",
	 "SignatureDoesNotMatch", "", "", 0},
	/* MinIO */
	{DECLARATION "<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached "
		     "its minimum free drive threshold. Please delete a few objects to proceed."
		     "</Message><BucketName>autos</BucketName><Resource>/autos/k</Resource>"
		     "<Region>us-east-1</Region><RequestId>17A</RequestId><HostId>dd9</HostId>"
		     "</Error>",
	 "XMinioStorageFull",
	 "Storage backend has reached its minimum free drive threshold. Please delete a few "
	 "objects to proceed.",
	 "us-east-1", 0},
	/* namespaces, escapes, comments, CDATA, another order */
	{"<Error" NS "><Code>A</Code></Error>", "A", "", "", 0},
	{"<Error><Message>&lt;a&gt; &amp; &quot;b&quot; &apos;&#233;</Message><Code>A</Code>"
	 "</Error>",
	 "A", "<a> & \"b\" '\xc3\xa9", "", 0},
	{"<Error><!-- no --><Code><![CDATA[A<B]]></Code></Error>", "A<B", "", "", 0},
	{"<Error><Code>A</Code><Message>one\ntwo\x09three</Message></Error>", "A",
	 "one\ntwo\tthree", "", 0},
	{"<Error><Code>A</Code><ServerTime>soon</ServerTime></Error>", "A", "", "", 0},
	{"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><Error><Code>A</Code><Message>\xe9"
	 "</Message></Error>",
	 "A", "\xc3\xa9", "", 0},
};

static void test_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		struct s3_error e;
		size_t len = strlen(errors[i].body);
		char *body = exact(errors[i].body, len);
		if (!s3_read_error(body, len, &e))
			fail_msg("not read: %s", errors[i].body);
		xfree(body);
		assert_string_equal(e.code, errors[i].code);
		assert_string_equal(e.message, errors[i].message);
		assert_string_equal(e.region, errors[i].region);
		assert_int_equal(e.server_ms, errors[i].server_ms);
	}
}

static const char *const no_errors[] = {
	"",
	" ",
	"<Error></Error>",
	"<Error><Code></Code><Message>nameless</Message></Error>",
	"<Error><Code>A</Code>",
	"<Error><Code>A</Error></Code>",
	"<Error><Code>A</Code></Error><Error/>",
	"<error><Code>A</Code></error>",
	"<Errors><Error><Code>A</Code></Error></Errors>",
	"<ListBucketResult></ListBucketResult>",
	"<html><body><h1>503 Service Unavailable</h1><br></body></html>",
	"<html><head><title>x</title></head><body><Error><Code>A</Code></Error></body></html>",
	"<!DOCTYPE html><html><body></body></html>",
	"<!DOCTYPE Error><Error><Code>A</Code></Error>",
	"<!DOCTYPE Error [<!ENTITY a \"b\">]><Error><Code>&a;</Code></Error>",
	"<!DOCTYPE Error SYSTEM \"file:///etc/passwd\"><Error><Code>A</Code></Error>",
	"<Error><Code>&unknown;</Code></Error>",
	"{\"Error\":{\"Code\":\"A\"}}",
	"upstream connect error",
	"<Error><Code>\xff\xfe</Code></Error>",
	"<Error><Code>A\x01</Code></Error>",
	"<?xml version=\"1.0\" encoding=\"nonsense\"?><Error><Code>A</Code></Error>",
};

static void test_no_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_errors / sizeof *no_errors; i++) {
		struct s3_error e = {.code = "left"};
		size_t len = strlen(no_errors[i]);
		char *body = exact(no_errors[i], len);
		if (s3_read_error(body, len, &e))
			fail_msg("read: %s", no_errors[i]);
		xfree(body);
		assert_string_equal(e.code, "");
		assert_int_equal(e.server_ms, 0);
	}
	struct s3_error e;
	assert_false(s3_read_error("<Error><Code>A\0B</Code></Error>", 31, &e));
	assert_false(s3_read_error(NULL, 0, &e));
}

/* A refused signature comes with everything that was signed, in text and as hexadecimal bytes: the
 * error must be read beside it. */
static void test_error_with_much_else(void **state)
{
	(void)state;
	struct s3_error e;
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, DECLARATION "<Error><Code>SignatureDoesNotMatch</Code><Message>The request "
				 "signature we calculated does not match.</Message>"
				 "<CanonicalRequestBytes>");
	for (int i = 0; i < 20000; i++)
		buf_adds(&b, "50 ");
	buf_adds(&b, "</CanonicalRequestBytes><Region>sa-east-1</Region></Error>");
	assert_true(s3_read_error(buf_str(&b), b.len, &e));
	assert_string_equal(e.code, "SignatureDoesNotMatch");
	assert_string_equal(e.message, "The request signature we calculated does not match.");
	assert_string_equal(e.region, "sa-east-1");

	/* a message is as long as it may be shown */
	buf_clear(&b);
	buf_adds(&b, "<Error><Message>");
	for (int i = 0; i < 20000; i++)
		buf_adds(&b, "m");
	buf_adds(&b, "</Message><Code>A</Code></Error>");
	assert_true(s3_read_error(buf_str(&b), b.len, &e));
	assert_string_equal(e.code, "A");
	assert_int_equal(strspn(e.message, "m"), sizeof e.message - 1);
	buf_release(&b);
}

/* ---- Lists ---- */

static void read_list(const char *text, struct s3_list *l)
{
	struct err e;
	size_t len = strlen(text);
	char *body = exact(text, len);
	if (!s3_read_list(body, len, l, &e))
		fail_msg("%s: %s", text, e.text);
	xfree(body);
}

static void item_is(const struct s3_item *i, const char *key, const char *upload, const char *etag,
		    int64_t size, int64_t initiated_ms, int number)
{
	assert_string_equal(i->key, key);
	assert_string_equal(i->upload_id, upload);
	assert_string_equal(i->etag, etag);
	assert_int_equal(i->size, size);
	assert_int_equal(i->initiated_ms, initiated_ms);
	assert_int_equal(i->number, number);
}

static void test_objects(void **state)
{
	(void)state;
	struct s3_list l;
	read_list(DECLARATION
		  "<ListBucketResult" NS "><Name>autos</Name><Prefix>p/</Prefix>"
		  "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM="
		  "</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
		  "<IsTruncated>true</IsTruncated>"
		  "<Contents><Key>p/a&amp;b.pdf</Key><LastModified>2026-01-02T03:04:05.000Z"
		  "</LastModified><ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71&quot;</ETag>"
		  "<Size>142863</Size><StorageClass>STANDARD</StorageClass><Owner><ID>"
		  "canonical</ID><DisplayName>somebody</DisplayName><Key>not the key</Key></Owner>"
		  "</Contents>"
		  "<Contents><Key>p/c.pdf</Key><ETag>\"abc-2\"</ETag><Size>6442450944</Size>"
		  "</Contents><CommonPrefixes><Prefix>p/x/</Prefix></CommonPrefixes>"
		  "</ListBucketResult>",
		  &l);
	assert_int_equal(l.n, 2);
	assert_true(l.truncated);
	assert_string_equal(l.next, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
	assert_string_equal(l.next_upload, "");
	item_is(&l.items[0], "p/a&b.pdf", "", "70ee1738b6b21e2c8a43f3a5ab0eee71", 142863, 0, 0);
	item_is(&l.items[1], "p/c.pdf", "", "abc-2", INT64_C(6442450944), 0, 0);
	s3_list_release(&l);
	assert_null(l.items);
	s3_list_release(&l);
}

static void test_uploads(void **state)
{
	(void)state;
	struct s3_list l;
	read_list(DECLARATION
		  "<ListMultipartUploadsResult" NS "><Bucket>autos</Bucket><KeyMarker/>"
		  "<UploadIdMarker></UploadIdMarker><NextKeyMarker>p/b.pdf</NextKeyMarker>"
		  "<NextUploadIdMarker>YW55IGlkZWE</NextUploadIdMarker><MaxUploads>2</MaxUploads>"
		  "<IsTruncated>true</IsTruncated>"
		  "<Upload><Key>p/a.pdf</Key><UploadId>XMgbGlrZSBlbHZpbmc</UploadId><Initiator><ID>"
		  "arn:aws:iam::1:user/u</ID><DisplayName>u</DisplayName><UploadId>x</UploadId>"
		  "</Initiator><Owner><ID>o</ID></Owner><StorageClass>STANDARD</StorageClass>"
		  "<Initiated>2026-01-02T03:04:05.000Z</Initiated></Upload>"
		  "<Upload><Key>p/b.pdf</Key><UploadId>2~abc</UploadId><Initiated>yesterday"
		  "</Initiated></Upload>"
		  "<Upload><UploadId>keyless</UploadId></Upload>"
		  "</ListMultipartUploadsResult>",
		  &l);
	assert_int_equal(l.n, 3);
	assert_true(l.truncated);
	assert_string_equal(l.next, "p/b.pdf");
	assert_string_equal(l.next_upload, "YW55IGlkZWE");
	item_is(&l.items[0], "p/a.pdf", "XMgbGlrZSBlbHZpbmc", "", -1, 1767323045000, 0);
	item_is(&l.items[1], "p/b.pdf", "2~abc", "", -1, 0, 0);
	item_is(&l.items[2], "", "keyless", "", -1, 0, 0);
	s3_list_release(&l);
}

static void test_parts(void **state)
{
	(void)state;
	struct s3_list l;
	read_list(DECLARATION
		  "<ListPartsResult" NS "><Bucket>autos</Bucket><Key>p/a.pdf</Key><UploadId>U"
		  "</UploadId><Initiator><ID>i</ID><DisplayName>d</DisplayName></Initiator><Owner>"
		  "<ID>o</ID></Owner><StorageClass>STANDARD</StorageClass>"
		  "<PartNumberMarker>1</PartNumberMarker>"
		  "<NextPartNumberMarker>3</NextPartNumberMarker><MaxParts>2</MaxParts>"
		  "<IsTruncated>false</IsTruncated>"
		  "<Part><PartNumber>2</PartNumber><LastModified>2026-01-02T03:04:05.000Z"
		  "</LastModified><ETag>&#34;7778aef83f66abc1fa1e8477f296d394&#34;</ETag><Size>"
		  "10485760</Size></Part><Part><PartNumber>3</PartNumber><ETag>aaaa18db4cc2f85cedef"
		  "654fccc4a4x8</ETag><Size>10485760</Size></Part></ListPartsResult>",
		  &l);
	assert_int_equal(l.n, 2);
	assert_false(l.truncated);
	assert_string_equal(l.next, "3");
	item_is(&l.items[0], "", "", "7778aef83f66abc1fa1e8477f296d394", 10485760, 0, 2);
	item_is(&l.items[1], "", "", "aaaa18db4cc2f85cedef654fccc4a4x8", 10485760, 0, 3);
	s3_list_release(&l);
}

static const struct {
	const char *body;
	size_t n;
	bool truncated;
} small[] = {
	{"<ListBucketResult/>", 0, false},
	{DECLARATION "<ListBucketResult" NS "><Name>a</Name><IsTruncated>false</IsTruncated>"
		     "</ListBucketResult>",
	 0, false},
	{"<ListBucketResult><Contents/></ListBucketResult>", 1, false},
	{"<ListBucketResult><IsTruncated>True</IsTruncated></ListBucketResult>", 0, false},
	{"<ListBucketResult><IsTruncated>1</IsTruncated></ListBucketResult>", 0, false},
	{"<ListBucketResult><X><Contents><Key>deep</Key></Contents></X></ListBucketResult>", 0,
	 false},
	{"<ListBucketResult><Contents><Contents><Key>a</Key></Contents></Contents>"
	 "</ListBucketResult>",
	 1, false},
	{"<ListBucketResult><X><IsTruncated>true</IsTruncated></X></ListBucketResult>", 0, false},
};

static void test_small_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
		struct s3_list l;
		read_list(small[i].body, &l);
		assert_int_equal(l.n, small[i].n);
		assert_int_equal(l.truncated, small[i].truncated);
		assert_string_equal(l.next, "");
		for (size_t k = 0; k < l.n; k++)
			item_is(&l.items[k], "", "", "", -1, 0, 0);
		s3_list_release(&l);
	}
}

/* Quotes around ETags, in all the ways that servers have. */
static const struct {
	const char *sent, *etag;
} etags[] = {
	{"\"abc\"", "abc"},
	{"&quot;abc&quot;", "abc"},
	{"&#34;abc&#x22;", "abc"},
	{"abc", "abc"},
	{"\"abc", "\"abc"},
	{"abc\"", "abc\""},
	{"\"", "\""},
	{"\"\"", ""},
	{"", ""},
};

static void test_etags(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof etags / sizeof *etags; i++) {
		struct s3_list l;
		char *body = xasprintf("<ListPartsResult><Part><ETag>%s</ETag></Part>"
				       "</ListPartsResult>",
				       etags[i].sent);
		read_list(body, &l);
		assert_string_equal(l.items[0].etag, etags[i].etag);
		s3_list_release(&l);
		xfree(body);
	}
}

/* A list of n objects, each with `extra` inside. */
static char *long_list(size_t n, const char *extra, size_t *len)
{
	struct buf b;
	buf_init(&b, 16 << 20);
	buf_adds(&b, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "<Contents><Key>k%zu</Key>%s</Contents>", i, extra);
	buf_adds(&b, "</ListBucketResult>");
	*len = b.len;
	return buf_detach(&b);
}

static void test_long_list(void **state)
{
	(void)state;
	struct s3_list l;
	struct err e;
	size_t len;
	char *body = long_list(10000, "<Size>1</Size>", &len);
	assert_true(s3_read_list(body, len, &l, &e));
	assert_int_equal(l.n, 10000);
	assert_string_equal(l.items[9999].key, "k9999");
	assert_int_equal(l.items[9999].size, 1);
	s3_list_release(&l);
	xfree(body);
	body = long_list(10001, "", &len);
	assert_false(s3_read_list(body, len, &l, &e));
	assert_error(&e, ERR_FAIL);
	assert_null(l.items);
	xfree(body);
}

static char *repeat(const char *before, const char *what, size_t n, const char *after)
{
	struct buf b;
	buf_init(&b, 16 << 20);
	buf_adds(&b, before);
	for (size_t i = 0; i < n; i++)
		buf_adds(&b, what);
	buf_adds(&b, after);
	return buf_detach(&b);
}

static void refuses_list(const char *body, size_t len)
{
	struct s3_list l = {.n = 7};
	struct err e = {0};
	char *copy = exact(body, len);
	if (s3_read_list(copy, len, &l, &e))
		fail_msg("was taken: %.200s", body);
	xfree(copy);
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "list cannot be read");
	assert_int_equal(l.n, 0);
	assert_null(l.items);
	s3_list_release(&l);
}

static const char *const no_lists[] = {
	"",
	"   ",
	"not xml",
	"{}",
	"<html><body>Bad Gateway</body></html>",
	"<Error><Code>AccessDenied</Code></Error>",
	"<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>",
	"<ListBucketResult>",
	"<ListBucketResult><Contents><Key>a</Key></Contents>",
	"<ListBucketResult></ListPartsResult>",
	"<ListBucketResults/>",
	"<X><ListBucketResult/></X>",
	"<ListBucketResult/>x",
	"<!DOCTYPE ListBucketResult><ListBucketResult/>",
	"<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
	"<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]><ListBucketResult><Contents><Key>&c;"
	"</Key></Contents></ListBucketResult>",
	"<!DOCTYPE x SYSTEM \"http://127.0.0.1:1/x.dtd\"><ListBucketResult/>",
	"<ListBucketResult><Contents><Key>&a;</Key></Contents></ListBucketResult>",
	"<ListBucketResult><Contents><Key>\xc3</Key></Contents></ListBucketResult>",
};

static void test_no_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_lists / sizeof *no_lists; i++)
		refuses_list(no_lists[i], strlen(no_lists[i]));
	char *body = repeat("<ListBucketResult>", "<a>", 100000, "");
	refuses_list(body, strlen(body));
	xfree(body);
	/* a key is cut nowhere: it is taken whole, or the list is not */
	body = repeat("<ListBucketResult><Contents><Key>", "k", 5000,
		      "</Key></Contents></ListBucketResult>");
	refuses_list(body, strlen(body));
	xfree(body);
	body = repeat("<ListBucketResult><NextContinuationToken>", "k", 5000,
		      "</NextContinuationToken></ListBucketResult>");
	refuses_list(body, strlen(body));
	xfree(body);
}

static void test_limits(void **state)
{
	(void)state;
	struct s3_list l;
	char *body = repeat("<ListBucketResult><Contents><Key>", "k", 4096,
			    "</Key></Contents></ListBucketResult>");
	read_list(body, &l);
	assert_int_equal(strlen(l.items[0].key), 4096);
	s3_list_release(&l);
	xfree(body);
	/* 16 elements deep, and one more */
	static const char deep[] = "<ListBucketResult><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
				   "</a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>"
				   "</ListBucketResult>";
	read_list(deep, &l);
	s3_list_release(&l);
	static const char deeper[] =
		"<ListBucketResult><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
		"</a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>"
		"</ListBucketResult>";
	refuses_list(deeper, sizeof deeper - 1);
}

/* Every beginning of a good answer is no answer. */
static void test_cut_short(void **state)
{
	(void)state;
	static const char whole[] =
		DECLARATION "<ListPartsResult" NS "><IsTruncated>false</IsTruncated><Part>"
			    "<PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>"
			    "</ListPartsResult>";
	for (size_t len = 0; len + 1 < sizeof whole; len++)
		refuses_list(whole, len);
}

/* ---- Single facts ---- */

static void value_is(char *value, const char *wanted)
{
	if (!wanted)
		assert_null(value);
	else
		assert_string_equal(value ? value : "(none)", wanted);
	xfree(value);
}

static const struct {
	const char *body, *id;
} begun[] = {
	{DECLARATION "<InitiateMultipartUploadResult" NS "><Bucket>autos</Bucket><Key>k</Key>"
		     "<UploadId>VXBsb2FkIElE.a_b-c</UploadId></InitiateMultipartUploadResult>",
	 "VXBsb2FkIElE.a_b-c"},
	{"<InitiateMultipartUploadResult><UploadId>2~x&amp;y</UploadId>"
	 "</InitiateMultipartUploadResult>",
	 "2~x&y"},
	{"<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>", NULL},
	{"<InitiateMultipartUploadResult></InitiateMultipartUploadResult>", NULL},
	{"<InitiateMultipartUploadResult><X><UploadId>a</UploadId></X>"
	 "</InitiateMultipartUploadResult>",
	 NULL},
	{"<ListPartsResult><UploadId>a</UploadId></ListPartsResult>", NULL},
	{"<Error><Code>A</Code><UploadId>a</UploadId></Error>", NULL},
	{"<InitiateMultipartUploadResult><UploadId>a</UploadId>", NULL},
	{"<html/>", NULL},
	{"", NULL},
};

static const struct {
	const char *body, *etag;
} ended[] = {
	{DECLARATION "<CompleteMultipartUploadResult" NS "><Location>http://a/b</Location><Bucket>"
		     "autos</Bucket><Key>k</Key><ETag>&quot;17fbc0a106abbb6f381aac6e331f2a19-1"
		     "&quot;</ETag></CompleteMultipartUploadResult>",
	 "17fbc0a106abbb6f381aac6e331f2a19-1"},
	{DECLARATION "\n\n   \n<CompleteMultipartUploadResult><ETag>\"a-1\"</ETag>"
		     "<ChecksumType>COMPOSITE</ChecksumType></CompleteMultipartUploadResult>",
	 "a-1"},
	{"<CompleteMultipartUploadResult><ETag>a-1</ETag></CompleteMultipartUploadResult>", "a-1"},
	{"<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>", ""},
	{"<CompleteMultipartUploadResult/>", ""},
	{DECLARATION "<Error><Code>InternalError</Code><ETag>a</ETag></Error>", NULL},
	{"<CompleteMultipartUploadResult><Error><ETag>a</ETag></Error>"
	 "</CompleteMultipartUploadResult>",
	 NULL},
	{"<CompleteMultipartUploadResult><ETag>a</ETag><Error/></CompleteMultipartUploadResult>",
	 NULL},
	{"<ListPartsResult><ETag>a</ETag></ListPartsResult>", NULL},
	{DECLARATION, NULL},
	{"    ", NULL},
	{"", NULL},
};

static void test_single_facts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof begun / sizeof *begun; i++)
		value_is(s3_read_upload_id(begun[i].body, strlen(begun[i].body)), begun[i].id);
	for (size_t i = 0; i < sizeof ended / sizeof *ended; i++)
		value_is(s3_read_completed(ended[i].body, strlen(ended[i].body)), ended[i].etag);
}

static const struct {
	const char *body;
	int failed;
	const char *code, *message;
} deleted[] = {
	{DECLARATION "<DeleteResult" NS "></DeleteResult>", 0, "", ""},
	{"<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>", 0, "", ""},
	{DECLARATION "<DeleteResult" NS "><Error><Key>a</Key><Code>AccessDenied</Code><Message>"
		     "Access Denied</Message></Error><Deleted><Key>b</Key></Deleted><Error><Key>c"
		     "</Key><Code>InternalError</Code><Message>x</Message></Error></DeleteResult>",
	 2, "AccessDenied", "Access Denied"},
	{"<DeleteResult><Error/></DeleteResult>", 1, "", ""},
	{"<Error><Code>MalformedXML</Code></Error>", -1, "MalformedXML", ""},
	{"<DeleteResult>", -1, "", ""},
	{"<html/>", -1, "", ""},
	{"", -1, "", ""},
};

static void test_deleted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof deleted / sizeof *deleted; i++) {
		struct s3_error first = {.code = "left"};
		assert_int_equal(s3_read_deleted(deleted[i].body, strlen(deleted[i].body), &first),
				 deleted[i].failed);
		assert_string_equal(first.code, deleted[i].code);
		assert_string_equal(first.message, deleted[i].message);
	}
}

/* ---- Writing ---- */

static void test_write(void **state)
{
	(void)state;
	char plain[] = "a", odd[] = "b<&>\"c", key[] = "k/1.pdf", odd_key[] = "k/<&>\"'\xc3\xa9";
	char *const tags[] = {plain, odd}, *const keys[] = {key, odd_key};
	struct buf b;
	buf_init(&b, 1 << 16);
	s3_write_complete(&b, tags, 2);
	assert_string_equal(buf_str(&b),
			    "<CompleteMultipartUpload>"
			    "<Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>"
			    "<Part><PartNumber>2</PartNumber><ETag>&quot;b&lt;&amp;&gt;&quot;c"
			    "&quot;</ETag></Part></CompleteMultipartUpload>");
	buf_clear(&b);
	s3_write_delete(&b, "p&/", keys, 2);
	assert_string_equal(buf_str(&b),
			    "<Delete><Quiet>true</Quiet>"
			    "<Object><Key>p&amp;/k/1.pdf</Key></Object>"
			    "<Object><Key>p&amp;/k/&lt;&amp;&gt;&quot;'\xc3\xa9</Key></Object>"
			    "</Delete>");
	buf_clear(&b);
	s3_write_complete(&b, NULL, 0);
	assert_string_equal(buf_str(&b), "<CompleteMultipartUpload></CompleteMultipartUpload>");
	buf_release(&b);
	buf_init(&b, 30);
	s3_write_delete(&b, "", keys, 1);
	assert_true(b.overflow);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_no_error),
		cmocka_unit_test(test_error_with_much_else),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_uploads),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_small_lists),
		cmocka_unit_test(test_etags),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_no_lists),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_single_facts),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
