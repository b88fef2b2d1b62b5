/*
 * Large documents on their way into a bucket, in parts: what a crash or a server that went away
 * left is gone on with, a part that goes wrong is sent again alone, and strays are ended.
 */
#include "uploads.h"

/* ---- Large ones ---- */

static void test_parts(void **state)
{
	struct room *r = *state;
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "HEAD", ""), 1);
	assert_int_equal(asked(r, "GET", "uploads"), 1);
	assert_int_equal(asked(r, "POST", "?uploads"), 1);
	assert_int_equal(asked(r, "PUT", "partNumber="), PARTS);
	assert_int_equal(asked(r, "POST", "uploadId="), 1);
	assert_int_equal(asked(r, "", ""), PARTS + 4);
	struct peer_asked q = peer_nth(&r->bucket->peer, "POST", "?uploads", 0);
	header_is(&q, "content-disposition", "attachment; filename=\"a.pdf\"");
	q = peer_nth(&r->bucket->peer, "POST", "uploadId=", 0);
	header_is(&q, "if-none-match", "*");
	/* one byte more than a PUT may hold */
	forget(r);
	assert_true(upload(r, SMALL + 1));
	stored(r, FULL, SMALL + 1);
	assert_int_equal(asked(r, "PUT", "partNumber="), PARTS + 3);
}

static void test_parts_there(void **state)
{
	struct room *r = *state;
	bucket_has(r->bucket, FULL, r->data, BIG);
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "", ""), 1);
	bucket_has(r->bucket, FULL, "other", 5);
	assert_true(upload(r, BIG));
	stored(r, r->other_key, BIG);
	assert_true(bucket_holds(r->bucket, FULL, "other", 5));
}

/* No more than 10,000 parts: they grow. */
static void test_part_numbers(void **state)
{
	struct room *r = *state;
	r->bucket->config.s3_part_size = 1;
	r->bucket->config.s3_multipart_from = 1;
	/* what is not sent need not be counted: the first part says how large they are */
	rule(r, (struct bucket_rule){.method = "PUT", .times = BUCKET_ALWAYS, .status = 403});
	char *data = xcalloc(1, 20001);
	start(r, data, 20001);
	assert_false(wait(r));
	xfree(data);
	struct peer_asked q = peer_nth(&r->bucket->peer, "PUT", "", 0);
	assert_int_equal(q.body_len, 4);
}

/* ---- What is left of earlier ones ---- */

/* What a crash left: three parts of ours, one of other bytes, one that is too short. */
static void test_parts_kept(void **state)
{
	struct room *r = *state;
	char hex[65];
	sha256_hex(r->data, BIG, hex);
	struct bucket_upload *u = bucket_begin(r->bucket, FULL, hex);
	for (int i = 0; i < 5; i++)
		bucket_keep(&u->parts[i], r->data + (size_t)i * PART, i == 4 ? PART - 1 : PART);
	u->parts[3].data[0] ^= 1;
	bucket_etag(&u->parts[3], u->parts[3].data, PART);
	bucket_begin(r->bucket, "p/k/a.pdf2", hex); /* of another key */
	assert_true(upload(r, BIG));
	assert_true(r->put.ok);
	assert_true(bucket_holds(r->bucket, FULL, r->data, BIG));
	assert_int_equal(asked(r, "POST", "?uploads"), 0);
	assert_int_equal(asked(r, "PUT", ""), PARTS - 3);
	for (int n = 1; n <= PARTS; n++) {
		char part[32];
		snprintf(part, sizeof part, "partNumber=%d&", n);
		assert_int_equal(asked(r, "PUT", part), n > 3);
	}
	assert_int_equal(bucket_unfinished(r->bucket), 1);
	/* what it was begun with is looked at */
	assert_int_equal(asked(r, "HEAD", ""), 2);
}

/* An upload that was begun with other facts gives an object that is not as it should be. */
static void test_parts_kept_of_other_bytes(void **state)
{
	struct room *r = *state;
	bucket_begin(r->bucket, FULL, "0123");
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "DELETE", FULL), 1);
	assert_int_equal(asked(r, "POST", "?uploads"), 1);
}

static void test_strays(void **state)
{
	struct room *r = *state;
	char hex[65];
	sha256_hex(r->data, BIG, hex);
	for (int i = 0; i < 3; i++)
		bucket_begin(r->bucket, FULL, hex);
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	/* the youngest goes on */
	assert_int_equal(asked(r, "DELETE", "uploadId=2~id%2F1%3D"), 1);
	assert_int_equal(asked(r, "DELETE", "uploadId=2~id%2F2%3D"), 1);
	assert_int_equal(asked(r, "DELETE", ""), 2);
	/* one that cannot be aborted is no reason to fail */
	pthread_mutex_lock(&r->bucket->peer.lock);
	bucket_drop(bucket_find(r->bucket, FULL));
	bucket_begin(r->bucket, FULL, hex);
	bucket_begin(r->bucket, FULL, hex);
	pthread_mutex_unlock(&r->bucket->peer.lock);
	rule(r, (struct bucket_rule){.method = "DELETE", .times = 1, .status = 403});
	assert_true(upload(r, BIG));
	assert_true(bucket_holds(r->bucket, FULL, r->data, BIG));
	assert_int_equal(bucket_unfinished(r->bucket), 1);
}

/* Where uploads cannot be listed, each is begun anew. */
static void test_parts_unlisted(void **state)
{
	struct room *r = *state;
	r->target.facts.may_list_uploads = false;
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "GET", ""), 0);
	/* a list that cannot be read, or is refused, is no reason to fail */
	static const struct bucket_rule rules[] = {
		{.method = "GET", .part = "uploads", .times = 1, .status = 200, .body = "<html/>"},
		{.method = "GET", .part = "uploads", .times = 1, .status = 403},
	};
	r->target.facts.may_list_uploads = true;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		forget(r);
		rule(r, rules[i]);
		assert_true(upload(r, BIG));
		stored(r, FULL, BIG);
	}
	/* parts that cannot be listed: a new upload */
	pthread_mutex_lock(&r->bucket->peer.lock);
	bucket_drop(bucket_find(r->bucket, FULL));
	bucket_begin(r->bucket, FULL, "x");
	pthread_mutex_unlock(&r->bucket->peer.lock);
	rule(r,
	     (struct bucket_rule){.method = "GET", .part = "uploadId", .times = 1, .status = 403});
	int before = asked(r, "POST", "?uploads");
	assert_true(upload(r, BIG));
	assert_true(bucket_holds(r->bucket, FULL, r->data, BIG));
	assert_int_equal(asked(r, "POST", "?uploads"), before + 1);
}

/* ---- What goes wrong with parts ---- */

static void test_part_tried_again(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){
			.method = "PUT", .part = "partNumber=2&", .times = 1, .status = 500});
	rule(r, (struct bucket_rule){.method = "PUT", .part = "partNumber=3&", .times = 1});
	rule(r, (struct bucket_rule){
			.method = "PUT", .part = "partNumber=4&", .times = 1, .after = true});
	rule(r, (struct bucket_rule){
			.method = "PUT", .part = "partNumber=5&", .times = 2, .other_etag = true});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), PARTS + 5);
	assert_int_equal(asked(r, "POST", "?uploads"), 1);
}

static void test_part_wrong(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){.method = "PUT",
				     .part = "partNumber=2&",
				     .times = BUCKET_ALWAYS,
				     .other_etag = true});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_BUSY);
	assert_says(&r->put.err, "ETag of part 2 of k/a.pdf is not that of the bytes");
	assert_int_equal(asked(r, "PUT", "partNumber=2&"), 3);
	assert_int_equal(bucket_count(r->bucket), 0);
}

static void test_part_refused(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){
			.method = "PUT", .part = "partNumber=2&", .times = 1, .status = 403});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_DENIED);
	assert_says(&r->put.err, "may not put objects");
	assert_int_equal(asked(r, "DELETE", "uploadId="), 1);
	assert_int_equal(bucket_unfinished(r->bucket), 0);
	assert_int_equal(bucket_count(r->bucket), 0);
	assert_int_equal(asked(r, "POST", "uploadId="), 0);
	/* even when aborting fails, the first reason is told */
	rule(r, (struct bucket_rule){
			.method = "PUT", .part = "partNumber=1&", .times = 1, .status = 507});
	rule(r, (struct bucket_rule){.method = "DELETE", .times = 1, .status = 403});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_FAIL);
	assert_says(&r->put.err, "no space left");
	assert_int_equal(bucket_unfinished(r->bucket), 1);
}

/* The server goes away: what it has stays, and the next upload goes on there. */
static void test_server_gone(void **state)
{
	struct room *r = *state;
	rule(r,
	     (struct bucket_rule){.method = "PUT", .skip = 4, .times = BUCKET_ALWAYS, .status = 0});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_BUSY);
	assert_int_equal(asked(r, "DELETE", ""), 0);
	assert_int_equal(bucket_unfinished(r->bucket), 1);
	/* also when it goes while it is asked for them */
	int before = asked(r, "PUT", "");
	bucket_no_rules(r->bucket);
	rule(r,
	     (struct bucket_rule){.method = "GET", .part = "?uploadId", .times = 3, .status = 500});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_BUSY);
	assert_int_equal(asked(r, "PUT", ""), before);
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", "") - before, PARTS - 4);
	assert_int_equal(asked(r, "POST", "?uploads"), 1);
}

/* Somebody aborted the upload while parts were sent. */
static void test_upload_vanishes(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){.method = "PUT",
				     .part = "partNumber=3&",
				     .times = 1,
				     .status = 404,
				     .code = "NoSuchUpload"});
	assert_true(upload(r, BIG));
	assert_true(r->put.ok);
	assert_true(bucket_holds(r->bucket, FULL, r->data, BIG));
	assert_int_equal(asked(r, "POST", "?uploads"), 2);
	/* again and again: it is told, after as many times as anything is tried */
	forget(r);
	rule(r, (struct bucket_rule){.method = "PUT",
				     .part = "partNumber=3&",
				     .times = BUCKET_ALWAYS,
				     .status = 404,
				     .code = "NoSuchUpload"});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_BUSY);
	assert_says(&r->put.err, "does not keep the upload of k/a.pdf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_parts),
		TEST(test_parts_there),
		TEST(test_part_numbers),
		TEST(test_parts_kept),
		TEST(test_parts_kept_of_other_bytes),
		TEST(test_strays),
		TEST(test_parts_unlisted),
		TEST(test_part_tried_again),
		TEST(test_part_wrong),
		TEST(test_part_refused),
		TEST(test_server_gone),
		TEST(test_upload_vanishes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
