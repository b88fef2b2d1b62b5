/*
 * Small documents on their way into a bucket that misbehaves: what is stored is whole and ours,
 * what is others' stays, and nothing is sent twice without need.
 */
#include "uploads.h"

static void test_small(void **state)
{
	struct room *r = *state;
	static const size_t sizes[] = {SMALL, 1, 0};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_true(upload(r, sizes[i]));
		stored(r, FULL, sizes[i]);
		forget(r);
	}
	assert_int_equal(asked(r, "", ""), 3);
	struct peer_asked q = peer_nth(&r->bucket->peer, "PUT", "", 0);
	assert_string_equal(q.target, "/autos/" FULL);
	header_is(&q, "content-type", "application/pdf");
	header_is(&q, "content-disposition", "attachment; filename=\"a.pdf\"");
	header_is(&q, "if-none-match", "*");
	header_is(&q, "expect", NULL);
}

static void test_small_taken(void **state)
{
	struct room *r = *state;
	/* by the same bytes: an answer was lost, or a crash came */
	bucket_has(r->bucket, FULL, r->data, SMALL);
	assert_true(upload(r, SMALL));
	stored(r, FULL, SMALL);
	assert_int_equal(asked(r, "HEAD", ""), 1);
	assert_int_equal(asked(r, "DELETE", ""), 0);
	assert_int_equal(bucket_count(r->bucket), 1);
	/* by others: theirs stay, ours go beside */
	bucket_has(r->bucket, FULL, "other", 5);
	assert_true(upload(r, SMALL));
	char hex[65], beside[64];
	sha256_hex(r->data, SMALL, hex);
	snprintf(beside, sizeof beside, "p/k/a-%.8s.pdf", hex);
	stored(r, beside, SMALL);
	assert_true(bucket_holds(r->bucket, FULL, "other", 5));
	/* the same again: both keys are taken, one by us */
	assert_true(upload(r, SMALL));
	stored(r, beside, SMALL);
	/* and both by others */
	bucket_has(r->bucket, beside, "another", 7);
	assert_false(upload(r, SMALL));
	assert_error(&r->put.err, ERR_FAIL);
	assert_says(&r->put.err, "is there already, with other bytes");
	assert_true(bucket_holds(r->bucket, beside, "another", 7));
	assert_int_equal(asked(r, "DELETE", ""), 0);
}

/* Equal in size is not equal. */
static void test_small_taken_by_size(void **state)
{
	struct room *r = *state;
	char other[SMALL];
	memset(other, 'x', sizeof other);
	bucket_has(r->bucket, FULL, other, SMALL);
	assert_true(upload(r, SMALL));
	assert_string_not_equal(r->put.key, KEY);
	assert_true(bucket_holds(r->bucket, FULL, other, SMALL));
	/* nor what is described as ours and is shorter */
	char hex[65];
	sha256_hex(r->data, SMALL, hex);
	bucket_has(r->bucket, FULL, r->data, SMALL - 1);
	pthread_mutex_lock(&r->bucket->peer.lock);
	memcpy(bucket_find(r->bucket, FULL)->sha256, hex, 64);
	pthread_mutex_unlock(&r->bucket->peer.lock);
	assert_true(upload(r, SMALL));
	assert_string_not_equal(r->put.key, KEY);
}

/* The answer to a PUT that went well is lost; the next try is told that the key is taken. */
static void test_small_answer_lost(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){.method = "PUT", .times = 1, .after = true});
	assert_true(upload(r, SMALL));
	stored(r, FULL, SMALL);
	assert_int_equal(asked(r, "PUT", ""), 2);
	assert_int_equal(asked(r, "HEAD", ""), 1);
}

static void test_small_etag(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){.method = "PUT", .times = 2, .other_etag = true});
	assert_true(upload(r, SMALL));
	stored(r, FULL, SMALL);
	assert_int_equal(asked(r, "PUT", ""), 3);
	assert_int_equal(asked(r, "DELETE", ""), 2);
	/* and never right: nothing stays, and it is told */
	bucket_has(r->bucket, "p/k/other", "x", 1);
	rule(r, (struct bucket_rule){.method = "PUT", .times = BUCKET_ALWAYS, .other_etag = true});
	forget(r);
	assert_false(upload(r, SMALL));
	assert_error(&r->put.err, ERR_BUSY);
	assert_says(&r->put.err, "ETag of k/a.pdf is not that of the bytes");
	assert_int_equal(bucket_count(r->bucket), 1);
}

/* A server whose ETags are no MD5 (encrypted buckets) is not asked for them. */
static void test_small_etag_unknown(void **state)
{
	struct room *r = *state;
	r->target.facts.etag_is_md5 = false;
	rule(r, (struct bucket_rule){.method = "PUT", .times = BUCKET_ALWAYS, .other_etag = true});
	assert_true(upload(r, SMALL));
	stored(r, FULL, SMALL);
	assert_int_equal(asked(r, "", ""), 1);
}

static void test_small_refused(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){.times = 1, .status = 403, .code = "AccessDenied"});
	assert_false(upload(r, SMALL));
	assert_error(&r->put.err, ERR_DENIED);
	assert_says(&r->put.err, "may not put objects (s3:PutObject)");
	assert_int_equal(asked(r, "", ""), 1);
	rule(r, (struct bucket_rule){.times = BUCKET_ALWAYS, .status = 500});
	assert_false(upload(r, SMALL));
	assert_error(&r->put.err, ERR_BUSY);
	assert_int_equal(asked(r, "PUT", ""), 4);
}

/* "Taken", and "not there": the key was freed meanwhile, or the server does not know what it says.
 */
static void test_small_taken_and_absent(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){.method = "PUT", .times = 1, .status = 412});
	assert_true(upload(r, SMALL));
	stored(r, FULL, SMALL);
	assert_int_equal(asked(r, "PUT", ""), 2);
	forget(r);
	rule(r, (struct bucket_rule){.method = "PUT", .times = BUCKET_ALWAYS, .status = 412});
	assert_false(upload(r, SMALL));
	assert_error(&r->put.err, ERR_BUSY);
	assert_says(&r->put.err, "is taken, and that it is not there");
}

/* Without conditional writes the key is looked at before. */
static void test_small_without_conditions(void **state)
{
	struct room *r = *state;
	r->bucket->no_conditions = true;
	r->target.facts.only_new = false;
	bucket_has(r->bucket, FULL, "other", 5);
	assert_true(upload(r, SMALL));
	assert_true(bucket_holds(r->bucket, FULL, "other", 5));
	assert_string_not_equal(r->put.key, KEY);
	struct peer_asked q = peer_nth(&r->bucket->peer, "PUT", "", 0);
	header_is(&q, "if-none-match", NULL);
	assert_true(upload(r, SMALL)); /* there already */
	assert_int_equal(asked(r, "PUT", ""), 1);
	assert_int_equal(bucket_count(r->bucket), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_small),
		TEST(test_small_taken),
		TEST(test_small_taken_by_size),
		TEST(test_small_answer_lost),
		TEST(test_small_etag),
		TEST(test_small_etag_unknown),
		TEST(test_small_refused),
		TEST(test_small_taken_and_absent),
		TEST(test_small_without_conditions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
