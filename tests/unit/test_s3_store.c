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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_not_implemented),   TEST(test_erase),
		TEST(test_erase_foreign_key), TEST(test_erase_long_page),
		TEST(test_erase_long_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
