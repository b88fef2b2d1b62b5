/*
 * Unfinished uploads that nobody goes on with: they go when the one of their key is over, whatever
 * happened to it on the way.
 */
#include "uploads.h"

/* The upload that is gone on with is aborted by somebody. */
static void youngest_aborted(void *arg)
{
	struct bucket *b = arg;
	struct bucket_upload *youngest = NULL;
	for (int i = 0; i < BUCKET_UPLOADS; i++)
		if (b->uploads[i].key)
			youngest = &b->uploads[i];
	bucket_forget(youngest);
}

/* Somebody else's bytes came to the key meanwhile. */
static void other_wins(void *arg)
{
	struct bucket *b = arg;
	struct bucket_object *o = bucket_make(b, FULL);
	bucket_keep(&o->bytes, "other", 5);
}

#define COMPLETE .method = "POST", .part = "?uploadId", .times = 1
#define OTHER_ETAG                                                                                 \
	"<CompleteMultipartUploadResult><ETag>\"00000000000000000000000000000000-7\"</ETag></CompleteMultipartUploadResult>"

/* Older uploads go in the end, whatever made this one begin again, also under another key. */
static void test_strays_of_a_restart(void **state)
{
	struct room *r = *state;
	char hex[65];
	sha256_hex(r->data, BIG, hex);
	const struct {
		struct bucket_rule rule;
		const char *key;
	} rows[] = {
		{{COMPLETE, .after = true, .status = 200, .body = OTHER_ETAG}, FULL},
		{{COMPLETE, .after = true}, FULL}, /* the answer is lost */
		{{.method = "PUT",
		  .part = "partNumber=3&",
		  .times = 1,
		  .status = 404,
		  .code = "NoSuchUpload",
		  .hook = youngest_aborted},
		 FULL},
		{{COMPLETE, .status = 400, .code = "InvalidPart"}, FULL},
		{{COMPLETE, .status = 412, .code = "PreconditionFailed", .hook = other_wins},
		 r->other_key},
	};
	r->bucket->arg = r->bucket;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (int k = 0; k < 3; k++)
			bucket_begin(r->bucket, FULL, hex);
		rule(r, rows[i].rule);
		assert_true(upload(r, BIG));
		stored(r, rows[i].key, BIG);
		forget(r);
	}
}

/* One that was begun twice, because an answer was lost, before the one that is completed. */
static void test_stray_of_a_lost_answer(void **state)
{
	struct room *r = *state;
	rule(r,
	     (struct bucket_rule){.method = "POST", .part = "?uploads", .times = 1, .after = true});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	forget(r);
	rule(r,
	     (struct bucket_rule){.method = "POST", .part = "?uploads", .times = 1, .after = true});
	rule(r, (struct bucket_rule){COMPLETE, .after = true, .status = 200, .body = OTHER_ETAG});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
}

/* The same, when somebody else was faster with equal bytes and no upload is ours any more. */
static void test_stray_of_a_lost_answer_and_no_upload(void **state)
{
	struct room *r = *state;
	r->bucket->arg = r;
	rule(r,
	     (struct bucket_rule){.method = "POST", .part = "?uploads", .times = 1, .after = true});
	rule(r, (struct bucket_rule){.method = "PUT",
				     .part = "partNumber=3&",
				     .times = 1,
				     .status = 404,
				     .code = "NoSuchUpload",
				     .hook = same_wins});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_strays_of_a_restart),
		TEST(test_stray_of_a_lost_answer),
		TEST(test_stray_of_a_lost_answer_and_no_upload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
