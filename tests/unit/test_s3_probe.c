/*
 * What the probe takes for an answer: only what the server cannot mean otherwise. What may pass
 * decides nothing.
 */
#include "s3_probe.h"

#include "bucket.h"

/* Its puts, by how many come before. */
enum { HONEST, ONLY_NEW, WRONG_MD5, WRONG_SHA256 };

struct room {
	char *dir;
	struct bucket *bucket;
	struct s3_engine *engine;
	struct s3_facts facts;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	r->dir = scratch_make();
	r->bucket = bucket_open(r->dir);
	r->bucket->config.s3_retry_max = 2;
	r->engine = bucket_engine(r->bucket);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	s3_engine_free(r->engine);
	bucket_close(r->bucket);
	scratch_remove(r->dir);
	xfree(r);
	return 0;
}

static bool probe(struct room *r, struct err *e)
{
	*e = (struct err){0};
	bool ok = s3_probe(r->engine, &r->bucket->place, "probe", false, &r->facts, e);
	bucket_no_rules(r->bucket);
	return ok;
}

/* A put is answered so, as often as it is sent. */
static void answer(struct room *r, int put, int times, int status, const char *code)
{
	bucket_rule(r->bucket, (struct bucket_rule){.method = "PUT",
						    .skip = put,
						    .times = times,
						    .status = status,
						    .code = code});
}

static void found(struct room *r, bool only_new, bool md5, bool sha256)
{
	struct err e;
	if (!probe(r, &e))
		fail_msg("%s", e.text);
	assert_true(r->facts.probed_ms > 0 && r->facts.etag_is_md5 && r->facts.may_delete);
	assert_true(r->facts.may_list && r->facts.may_list_uploads);
	assert_int_equal(r->facts.only_new, only_new);
	assert_int_equal(r->facts.checks_md5, md5);
	assert_int_equal(r->facts.checks_sha256, sha256);
	assert_int_equal(bucket_count(r->bucket), 0);
}

static void test_found(void **state)
{
	struct room *r = *state;
	found(r, true, true, true);
	r->bucket->no_conditions = true; /* they are passed over */
	found(r, false, true, true);
	r->bucket->no_conditions = false;
	answer(r, ONLY_NEW, 1, 501, "NotImplemented"); /* or not borne */
	found(r, false, true, true);
	answer(r, ONLY_NEW, 1, 400, "InvalidArgument");
	found(r, false, true, true);
	answer(r, WRONG_MD5, 1, 200, NULL);
	found(r, true, false, true);
	answer(r, WRONG_SHA256, 1, 200, NULL);
	found(r, true, true, false);
	answer(r, WRONG_MD5, 1, 400, "InvalidDigest");
	answer(r, WRONG_SHA256, 1, 400, "XAmzContentSHA256Mismatch");
	found(r, true, true, true);
	answer(r, WRONG_SHA256, 1, 403, "SignatureDoesNotMatch");
	found(r, true, true, true);
}

static const struct {
	int status;
	const char *code;
} passing[] = {
	{429, "TooManyRequests"},
	{429, NULL},
	{409, "ConditionalRequestConflict"},
	{409, "OperationAborted"},
	{408, NULL},
	{400, "RequestTimeout"},
	{503, "SlowDown"},
	{500, "InternalError"},
	{507, "InsufficientStorage"},
	{0, NULL},
};

enum { PASSING = sizeof passing / sizeof *passing };

/* A server with too much to do does not say what it can: nothing is found, and nothing remembered.
 */
static void test_not_answered(void **state)
{
	struct room *r = *state;
	for (int put = HONEST; put <= WRONG_SHA256; put++)
		for (size_t i = 0; i < PASSING; i++) {
			struct err e;
			answer(r, put, BUCKET_ALWAYS, passing[i].status, passing[i].code);
			assert_false(probe(r, &e));
			assert_error(&e, passing[i].status == 507 ? ERR_FAIL : ERR_BUSY);
			assert_int_equal(r->facts.probed_ms, 0);
		}
	/* bytes that change on the way say nothing of conditions */
	struct err e;
	answer(r, ONLY_NEW, 3, 400, "BadDigest");
	assert_false(probe(r, &e));
	assert_error(&e, ERR_BUSY);
}

/* Whether a key is taken may be asked again at once. */
static void test_asked_again(void **state)
{
	struct room *r = *state;
	for (size_t i = 0; i < PASSING; i++) {
		if (passing[i].status == 507)
			continue;
		answer(r, ONLY_NEW, 1, passing[i].status, passing[i].code);
		found(r, true, true, true);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found),
		TEST(test_not_answered),
		TEST(test_asked_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
