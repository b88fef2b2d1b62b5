/*
 * How uploads in parts begin and end: a document is stored once its upload is completed, whatever
 * the server answers to that, never over others' bytes, and a cut leaves nothing visible.
 */
#include "uploads.h"

static void test_create_fails(void **state)
{
	struct room *r = *state;
	static const struct {
		struct bucket_rule rule;
		enum err_kind kind;
		const char *says;
	} rows[] = {
		{{.part = "?uploads", .status = 403}, ERR_DENIED, "may not put objects"},
		{{.part = "?uploads", .status = 500}, ERR_BUSY, "HTTP 500 to create"},
		{{.part = "?uploads", .status = 200}, ERR_FAIL, "begins an upload without an id"},
		{{.part = "?uploads", .status = 200, .body = "<html/>"}, ERR_FAIL, "without an id"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bucket_rule one = rows[i].rule;
		one.method = "POST";
		one.times = 3;
		bucket_no_rules(r->bucket);
		rule(r, one);
		assert_false(upload(r, BIG));
		assert_error(&r->put.err, rows[i].kind);
		assert_says(&r->put.err, rows[i].says);
		assert_int_equal(asked(r, "PUT", ""), 0);
	}
}

#define COMPLETE .method = "POST", .part = "?uploadId", .times = 1

/* 200 with an <Error>: it was not completed, and is asked again. */
static void test_complete_200_with_error(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){COMPLETE, .status = 200, .code = "InternalError"});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "POST", "?uploadId"), 2);
	assert_int_equal(asked(r, "PUT", ""), PARTS);
}

/* It was completed, and the answer was lost: the second is NoSuchUpload, and the object is there.
 */
static void test_complete_answer_lost(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){COMPLETE, .after = true});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "POST", "?uploadId"), 2);
	assert_int_equal(asked(r, "PUT", ""), PARTS);
	/* the same by an error of the server's */
	forget(r);
	rule(r,
	     (struct bucket_rule){COMPLETE, .after = true, .status = 200, .code = "InternalError"});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), 2 * PARTS);
}

/* NoSuchUpload, and there is no object: all again. */
static void test_complete_vanished(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){COMPLETE, .status = 404, .code = "NoSuchUpload"});
	assert_true(upload(r, BIG));
	assert_true(bucket_holds(r->bucket, FULL, r->data, BIG));
	assert_int_equal(asked(r, "PUT", ""), 2 * PARTS);
}

static void other_wins(void *arg)
{
	struct bucket *b = arg;
	struct bucket_object *o = bucket_make(b, FULL);
	bucket_keep(&o->bytes, "other", 5);
}

/* Somebody else's bytes came to the key while ours were sent. */
static void test_complete_taken(void **state)
{
	struct room *r = *state;
	r->bucket->arg = r->bucket;
	rule(r, (struct bucket_rule){COMPLETE, .status = 412, .code = "PreconditionFailed",
				     .hook = other_wins});
	assert_true(upload(r, BIG));
	stored(r, r->other_key, BIG);
	assert_int_equal(asked(r, "DELETE", "uploadId="), 1);
	pthread_mutex_lock(&r->bucket->peer.lock);
	assert_int_equal(bucket_find(r->bucket, FULL)->bytes.len, 5);
	pthread_mutex_unlock(&r->bucket->peer.lock);
}

static void test_complete_taken_by_same(void **state)
{
	struct room *r = *state;
	r->bucket->arg = r;
	rule(r, (struct bucket_rule){COMPLETE, .status = 412, .code = "PreconditionFailed",
				     .hook = same_wins});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), PARTS);
}

static void test_complete_etag(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){COMPLETE, .after = true, .status = 200,
				     .body = "<CompleteMultipartUploadResult><ETag>"
					     "\"00000000000000000000000000000000-7\"</ETag>"
					     "</CompleteMultipartUploadResult>"});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "DELETE", FULL), 1);
	assert_int_equal(asked(r, "PUT", ""), 2 * PARTS);
	/* an answer that says nothing is not believed either */
	forget(r);
	rule(r, (struct bucket_rule){COMPLETE, .after = true, .status = 200, .body = "<html/>"});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
}

/* Parts that the server does not have after all are sent anew, in a new upload. */
static void test_complete_invalid_part(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){COMPLETE, .status = 400, .code = "InvalidPart"});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), 2 * PARTS);
	assert_int_equal(bucket_unfinished(r->bucket), 0);
}

static void test_complete_refused(void **state)
{
	struct room *r = *state;
	rule(r, (struct bucket_rule){COMPLETE, .status = 400, .code = "MalformedXML"});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_FAIL);
	assert_says(&r->put.err, "MalformedXML to complete");
	assert_int_equal(bucket_unfinished(r->bucket), 0);
	assert_int_equal(bucket_count(r->bucket), 0);
	/* a server that goes away now keeps the parts */
	struct bucket_rule gone = {COMPLETE, .status = 0};
	gone.times = BUCKET_ALWAYS;
	rule(r, gone);
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_BUSY);
	assert_int_equal(bucket_unfinished(r->bucket), 1);
	bucket_no_rules(r->bucket);
	int before = asked(r, "PUT", "");
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), before);
}

static void test_cut(void **state)
{
	struct room *r = *state;
	static const char *const at[] = {"?uploads", "partNumber=2&", "?uploadId"};
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		bucket_no_rules(r->bucket);
		rule(r,
		     (struct bucket_rule){.part = at[i], .times = BUCKET_ALWAYS, .silent = true});
		int before = asked(r, "", at[i]);
		start(r, r->data, BIG);
		for (int k = 0; k < 10000 && asked(r, "", at[i]) == before; k++)
			usleep(1000);
		s3_engine_cut(r->engine);
		assert_false(wait(r));
		assert_error(&r->put.err, ERR_BUSY);
		assert_says(&r->put.err, "cut off");
		assert_int_equal(bucket_count(r->bucket), 0);
	}
	bucket_no_rules(r->bucket);
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_fails),         TEST(test_complete_200_with_error),
		TEST(test_complete_answer_lost), TEST(test_complete_vanished),
		TEST(test_complete_taken),       TEST(test_complete_taken_by_same),
		TEST(test_complete_etag),        TEST(test_complete_invalid_part),
		TEST(test_complete_refused),     TEST(test_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
