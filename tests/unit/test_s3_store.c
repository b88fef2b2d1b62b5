/*
 * The store in a bucket, as the program uses it: what is erased, what is missing, and what a server
 * that lies or knows less than others is believed.
 */
#include "store.h"

#include "bucket.h"

#define FOLDER "processos/00000013920248260100/"
#define KEY FOLDER "documentos/a.pdf"
#define FULL "p/" KEY
#define OTHER "p/processos/00000013920248260101/documentos/a.pdf"

struct room {
	char *dir;
	struct bucket *bucket;
	struct store *store;
	char *body; /* of a rule */
};

static struct store *open_store(struct room *r, enum store_mode mode)
{
	struct err e;
	struct store *s = store_open(&r->bucket->config, "s3://autos/p", mode, &e);
	if (!s)
		fail_msg("%s", e.text);
	return s;
}

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	r->dir = scratch_make();
	r->bucket = bucket_open(r->dir);
	bucket_set(r->bucket, "s3_retry_max", "1");
	r->store = open_store(r, STORE_WRITE);
	bucket_has(r->bucket, FULL, "ours", 4);
	bucket_has(r->bucket, OTHER, "another case's", 14);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	store_close(r->store);
	bucket_close(r->bucket);
	scratch_remove(r->dir);
	xfree(r->body);
	xfree(r);
	return 0;
}

/* ---- What a server does not know ---- */

/* The probe's answer number `skip` to a put is that it is not implemented. */
static void probe_finds(struct room *r, int skip, const char *code, const char *words)
{
	struct err e;
	struct buf b;
	bucket_no_rules(r->bucket);
	bucket_rule(
		r->bucket,
		(struct bucket_rule){
			.method = "PUT", .skip = skip, .times = 1, .status = 501, .code = code});
	if (!r->store->ops->probe(r->store, &e))
		fail_msg("%s", e.text);
	buf_init(&b, 1024);
	r->store->ops->facts(r->store, &b);
	if (!strstr(buf_str(&b), words))
		fail_msg("%s", buf_str(&b));
	buf_release(&b);
}

static void test_not_implemented(void **state)
{
	struct room *r = *state;
	static const char *const codes[] = {"NotImplemented", NULL};
	for (size_t i = 0; i < 2; i++) {
		probe_finds(r, 9, NULL, "conditional writes yes, MD5 checked yes, SHA-256 checked");
		probe_finds(r, 1, codes[i], "conditional writes no, MD5 checked yes");
		probe_finds(r, 2, codes[i], "conditional writes yes, MD5 checked no");
	}
}

/* ---- Missing, or not to be had ---- */

static bool skip_bytes(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg;
	(void)data;
	(void)len;
	(void)e;
	return true;
}

static enum err_kind read_of(struct store *s, struct err *e)
{
	*e = (struct err){0};
	return store_read(s, KEY, skip_bytes, NULL, e) ? ERR_NONE : e->kind;
}

static enum err_kind find_of(struct store *s, struct err *e)
{
	int64_t size;
	char sha256[65];
	*e = (struct err){0};
	return store_find(s, KEY, &size, sha256, e) ? ERR_NONE : e->kind;
}

/* Every answer about the object is this one. */
static void answers(struct room *r, int status, const char *code)
{
	bucket_no_rules(r->bucket);
	bucket_rule(r->bucket,
		    (struct bucket_rule){
			    .part = FULL, .times = BUCKET_ALWAYS, .status = status, .code = code});
}

/* The probe finds out whether objects may be listed. */
static void probe_list(struct room *r, bool may)
{
	struct err e;
	bucket_no_rules(r->bucket);
	if (!may)
		bucket_rule(r->bucket, (struct bucket_rule){.part = "list-type",
							    .times = 1,
							    .status = 403,
							    .code = "AccessDenied"});
	if (!r->store->ops->probe(r->store, &e))
		fail_msg("%s", e.text);
}

static void test_missing(void **state)
{
	struct room *r = *state;
	struct err e;
	assert_int_equal(read_of(r->store, &e), ERR_NONE);
	answers(r, 404, "NoSuchKey");
	assert_int_equal(read_of(r->store, &e), ERR_ABSENT);
	assert_string_equal(e.text, "object " KEY " is missing");
	assert_int_equal(find_of(r->store, &e), ERR_ABSENT);
	assert_string_equal(e.text, "object " KEY " is missing");
}

/* A store that is not there, or not for us, misses no object. */
static void test_refused(void **state)
{
	static const struct {
		int status;
		const char *code;
	} rows[] = {
		{404, "NoSuchBucket"},
		{403, "AccessDenied"},
		{403, "SignatureDoesNotMatch"},
		{301, "PermanentRedirect"},
		{400, "AuthorizationHeaderMalformed"},
		{407, NULL},
		{400, "InvalidRequest"},
	};
	struct room *r = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err e;
		answers(r, rows[i].status, rows[i].code);
		assert_int_not_equal(read_of(r->store, &e), ERR_ABSENT);
		assert_error(&e, i < 6 ? ERR_DENIED : ERR_FAIL);
		assert_null(strstr(e.text, "missing"));
	}
}

/* Who may not list is not told that an object is missing: 403 says so. Of a wrong key it does not.
 */
static void missing_is_hidden(struct room *r, struct store *s)
{
	struct err e;
	answers(r, 403, "AccessDenied");
	assert_int_equal(read_of(s, &e), ERR_ABSENT);
	assert_string_equal(e.text, "object " KEY " is missing");
	assert_int_equal(find_of(s, &e), ERR_ABSENT);
	assert_string_equal(e.text, "object " KEY " is missing");
	answers(r, 403, "SignatureDoesNotMatch");
	assert_int_equal(read_of(s, &e), ERR_DENIED);
}

/* What the last probe found out, made a thousand years older. */
static void age_memory(struct room *r)
{
	char *find = xasprintf("sed -i 's/\"probed_ms\": ./\"probed_ms\": /' %s/store-probe-*.json",
			       r->dir);
	assert_int_equal(system(find), 0);
	xfree(find);
}

static void test_missing_without_lists(void **state)
{
	struct room *r = *state;
	struct err e;
	struct store *reader = open_store(r, STORE_READ);
	probe_list(r, false);
	missing_is_hidden(r, r->store);
	missing_is_hidden(r, reader);
	age_memory(r);
	missing_is_hidden(r, reader);
	probe_list(r, true);
	answers(r, 403, "AccessDenied");
	assert_int_equal(read_of(reader, &e), ERR_DENIED);
	assert_int_equal(find_of(reader, &e), ERR_DENIED);
	store_close(reader);
}

/* ---- Erasing ---- */

static void list_says(struct room *r, char *contents)
{
	bucket_no_rules(r->bucket);
	xfree(r->body);
	r->body = xasprintf("<ListBucketResult>%s</ListBucketResult>", contents);
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET",
						    .part = "list-type",
						    .times = 1,
						    .status = 200,
						    .body = r->body});
	xfree(contents);
}

static void test_erase(void **state)
{
	struct room *r = *state;
	struct err e;
	bucket_begin(r->bucket, FULL, "x");
	bucket_begin(r->bucket, OTHER, "x");
	assert_true(store_erase(r->store, FOLDER, NULL, &e));
	assert_int_equal(bucket_count(r->bucket), 1);
	assert_int_equal(bucket_unfinished(r->bucket), 1);
	assert_true(bucket_holds(r->bucket, OTHER, "another case's", 14));
}

/* A list that names a key of another folder is believed in nothing. */
static void test_erase_foreign_key(void **state)
{
	static const char *const keys[] = {OTHER, "backups/x.tar", "p/processos/", KEY, ""};
	struct room *r = *state;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct err e = {0};
		list_says(r, xasprintf("<Contents><Key>" FULL "</Key></Contents><Contents><Key>%s"
				       "</Key></Contents>",
				       keys[i]));
		assert_false(store_erase(r->store, FOLDER, NULL, &e));
		assert_error(&e, ERR_FAIL);
		assert_says(&e, "the S3 server's list of p/" FOLDER " names a key that is not "
				"below it");
		assert_int_equal(bucket_count(r->bucket), 2);
	}
	assert_int_equal(peer_count(&r->bucket->peer, "POST", "delete"), 0);
}

/* `n` keys below the folder, each of them with this many more characters that XML writes as six. */
static char *many(int n, size_t quotes)
{
	struct buf b;
	char *more = xmalloc(quotes + 1);
	memset(more, '"', quotes);
	more[quotes] = '\0';
	buf_init(&b, 16 << 20);
	for (int i = 0; i < n; i++)
		buf_addf(&b, "<Contents><Key>" FULL "%d%s</Key></Contents>", i, more);
	xfree(more);
	assert_false(b.overflow);
	return buf_detach(&b);
}

static int keys_of(const struct peer_asked *q)
{
	int n = 0;
	for (const char *s = q->body; (s = strstr(s, "<Key>")); s++)
		n++;
	return n;
}

/* A page that is longer than what may be deleted at once, whatever was asked for: the rest goes
 * with the next page. */
static void test_erase_long_page(void **state)
{
	struct room *r = *state;
	struct err e;
	list_says(r, many(1001, 0));
	assert_true(store_erase(r->store, FOLDER, NULL, &e));
	assert_int_equal(bucket_count(r->bucket), 1);
	struct peer_asked q = peer_nth(&r->bucket->peer, "POST", "delete", 0);
	assert_int_equal(keys_of(&q), 1000);
	q = peer_nth(&r->bucket->peer, "POST", "delete", 1);
	assert_int_equal(keys_of(&q), 1);
	q = peer_nth(&r->bucket->peer, "GET", "list-type", 0);
	assert_non_null(strstr(q.target, "max-keys=1000"));
}

static void test_erase_long_keys(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	list_says(r, many(1000, 1000));
	assert_false(store_erase(r->store, FOLDER, NULL, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "the S3 server lists keys that are too long to be deleted");
	assert_int_equal(bucket_count(r->bucket), 2);
}

/* One that lists for ever what it deleted; somebody comes back later. */
static void test_erase_without_effect(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	bucket_rule(r->bucket,
		    (struct bucket_rule){.method = "GET",
					 .part = "list-type",
					 .times = BUCKET_ALWAYS,
					 .status = 200,
					 .body = "<ListBucketResult><Contents><Key>" FULL
						 "</Key></Contents></ListBucketResult>"});
	assert_false(store_erase(r->store, FOLDER, NULL, &e));
	assert_error(&e, ERR_BUSY);
	assert_says(&e, "the S3 server still lists what it said it deleted");
	assert_int_equal(peer_count(&r->bucket->peer, "POST", "delete"), 1);
}

static void lists_of_uploads(struct room *r, int status, const char *code)
{
	bucket_no_rules(r->bucket);
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET",
						    .part = "uploads",
						    .times = BUCKET_ALWAYS,
						    .status = status,
						    .code = code});
}

/* A server that knows no lists of uploads is used without them, also when a case is erased. */
static void test_erase_without_lists_of_uploads(void **state)
{
	static const char *const codes[] = {"NotImplemented", NULL};
	struct room *r = *state;
	struct err e = {0};
	for (size_t i = 0; i < 2; i++) {
		bucket_has(r->bucket, FULL, "ours", 4);
		lists_of_uploads(r, 501, codes[i]);
		if (!r->store->ops->probe(r->store, &e) || !store_erase(r->store, FOLDER, NULL, &e))
			fail_msg("%s", e.text);
		assert_int_equal(bucket_count(r->bucket), 1);
	}
	/* one that is there and may not be seen is not the same */
	lists_of_uploads(r, 403, "AccessDenied");
	assert_true(r->store->ops->probe(r->store, &e));
	assert_false(store_erase(r->store, FOLDER, NULL, &e));
	assert_error(&e, ERR_DENIED);
	assert_says(&e, "may not list uploads (s3:ListBucketMultipartUploads)");
	/* nor one that was to be had before */
	bucket_no_rules(r->bucket);
	assert_true(r->store->ops->probe(r->store, &e));
	lists_of_uploads(r, 501, "NotImplemented");
	assert_false(store_erase(r->store, FOLDER, NULL, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "the S3 server answers NotImplemented to uploads");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_not_implemented),
		TEST(test_missing),
		TEST(test_refused),
		TEST(test_missing_without_lists),
		TEST(test_erase),
		TEST(test_erase_foreign_key),
		TEST(test_erase_long_page),
		TEST(test_erase_long_keys),
		TEST(test_erase_without_effect),
		TEST(test_erase_without_lists_of_uploads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
