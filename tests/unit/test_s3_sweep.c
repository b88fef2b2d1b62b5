/*
 * Taking away unfinished uploads: ours that are old, and nothing of anybody else's, whatever a list
 * says.
 */
#include "s3_sweep.h"

#include "bucket.h"

/* The bucket's uploads began in January 2026. */
#define AFTER INT64_C(1800000000000)
#define OURS "p/processos/00000013920248260100/documentos/left.pdf"

struct room {
	char *dir;
	struct bucket *bucket;
	struct s3_engine *engine;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	r->dir = scratch_make();
	r->bucket = bucket_open(r->dir);
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

static bool sweep(struct room *r, const char *folder, int64_t before_ms, size_t *uploads,
		  struct err *e)
{
	struct s3_swept swept;
	*e = (struct err){0};
	bool ok = s3_sweep(r->engine, &r->bucket->place, folder, before_ms, NULL, &swept, e);
	*uploads = swept.uploads;
	return ok;
}

static void sweeps(struct room *r, const char *folder, int64_t before_ms, size_t swept, int left)
{
	struct err e;
	size_t n;
	if (!sweep(r, folder, before_ms, &n, &e))
		fail_msg("%s", e.text);
	assert_int_equal(n, swept);
	assert_int_equal(bucket_unfinished(r->bucket), left);
}

static void list_says(struct room *r, const char *uploads)
{
	static char body[2000];
	snprintf(body, sizeof body, "<ListMultipartUploadsResult>%s</ListMultipartUploadsResult>",
		 uploads);
	bucket_no_rules(r->bucket);
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET",
						    .part = "uploads",
						    .times = 1,
						    .status = 200,
						    .body = body});
}

#define UPLOAD(key, id)                                                                            \
	"<Upload><Key>" key "</Key><UploadId>" id "</UploadId><Initiated>2026-01-02T03:04:05.000Z" \
	"</Initiated></Upload>"

/* ---- What is ours ---- */

static void test_by_folder(void **state)
{
	struct room *r = *state;
	bucket_begin(r->bucket, OURS, "x");
	bucket_begin(r->bucket, "p/processos/2/documentos/a.pdf", "x");
	bucket_begin(r->bucket, "p/elsewhere.tar", "x");
	bucket_begin(r->bucket, "processos/1/documentos/a.pdf", "x");
	sweeps(r, "processos/2/", INT64_MAX, 1, 3);
	sweeps(r, "processos/", AFTER, 1, 2);
	sweeps(r, "processos/", AFTER, 0, 2);
}

static void test_young(void **state)
{
	struct room *r = *state;
	bucket_begin(r->bucket, OURS, "x");
	sweeps(r, "processos/", INT64_C(1767000000000), 0, 1);
	assert_int_equal(peer_count(&r->bucket->peer, "DELETE", ""), 0);
}

#define DATELESS(key, id, more)                                                                    \
	"<Upload><Key>" key "</Key><UploadId>" id "</UploadId>" more "</Upload>"

/* Not to say how old it is, is not to be old; when all of a folder goes, that does not matter. */
static void test_unknown_age(void **state)
{
	static const char *const lists[] = {
		DATELESS(OURS, "2~id/1=", ""),
		DATELESS(OURS, "2~id/1=", "<Initiated>yesterday</Initiated>"),
		DATELESS(OURS, "2~id/1=", "<Initiated></Initiated>"),
	};
	struct room *r = *state;
	bucket_begin(r->bucket, OURS, "x");
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		list_says(r, lists[i]);
		sweeps(r, "processos/", AFTER, 0, 1);
	}
	list_says(r, lists[0]);
	sweeps(r, "processos/", INT64_MAX, 1, 0);
}

/* To abort an upload without its id is to delete the object of its key. */
static void test_without_id(void **state)
{
	struct room *r = *state;
	struct err e;
	size_t n;
	bucket_has(r->bucket, OURS, "whole", 5);
	list_says(r, DATELESS(OURS, "", ""));
	assert_false(sweep(r, "processos/", INT64_MAX, &n, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "the S3 server lists an upload without its id");
	assert_int_equal(peer_count(&r->bucket->peer, "DELETE", ""), 0);
	assert_int_equal(bucket_count(r->bucket), 1);
}

/* A store without a prefix shares its bucket with whoever else is there. */
static void test_daily_without_prefix(void **state)
{
	struct room *r = *state;
	_Atomic bool ready = true;
	r->bucket->place.prefix[0] = '\0';
	bucket_begin(r->bucket, "backups/of-somebody-else.tar", "x");
	bucket_begin(r->bucket, "processos/1/documentos/left.pdf", "x");
	struct s3_sweeper *s = s3_sweeper_start(r->engine, &r->bucket->place, 1, &ready);
	for (int i = 0; i < 10000 && peer_count(&r->bucket->peer, "DELETE", "") == 0; i++)
		usleep(1000);
	s3_sweeper_stop(s);
	assert_int_equal(peer_count(&r->bucket->peer, "DELETE", "backups"), 0);
	assert_int_equal(peer_count(&r->bucket->peer, "DELETE", "processos/1/"), 1);
	struct peer_asked q = peer_nth(&r->bucket->peer, "GET", "uploads", 0);
	assert_non_null(strstr(q.target, "prefix=processos%2F"));
}

/* A list that names a key of another folder is believed in nothing. */
static void test_foreign_key(void **state)
{
	static const char *const keys[] = {
		UPLOAD(OURS, "2~id/1=") UPLOAD("backups/of-somebody-else.tar", "2~id/2="),
		UPLOAD(OURS, "2~id/1=") UPLOAD("p/processos-old/a.pdf", "2~id/2="),
		UPLOAD(OURS, "2~id/1=") UPLOAD("processos/1/documentos/a.pdf", "2~id/2="),
		UPLOAD(OURS, "2~id/1=") "<Upload><UploadId>2~id/2=</UploadId></Upload>",
	};
	struct room *r = *state;
	bucket_begin(r->bucket, OURS, "x");
	bucket_begin(r->bucket, "backups/of-somebody-else.tar", "x");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct err e;
		size_t n;
		list_says(r, keys[i]);
		assert_false(sweep(r, "processos/", AFTER, &n, &e));
		assert_error(&e, ERR_FAIL);
		assert_says(&e, "the S3 server's list of p/processos/ names a key that is not "
				"below it");
		assert_null(strstr(e.text, "somebody"));
		assert_int_equal(n, 0);
		assert_int_equal(bucket_unfinished(r->bucket), 2);
	}
	assert_int_equal(peer_count(&r->bucket->peer, "DELETE", ""), 0);
}

/* ---- The thread ---- */

enum { ROUNDS = 40, LEFT = 8 };

/* What is asked next meets no cut of before: this has met it. */
static void settle(struct room *r)
{
	struct s3_op op = {0};
	struct err ignored;
	s3_call_bucket(&op.call);
	if (s3_engine_ask(r->engine, &op, &ignored))
		assert_int_equal(op.verdict.meaning, S3_GOOD);
	s3_op_release(&op);
}

/* Stopped at any moment, it ends, though the server never answers again: what it asks next may be
 * asked after the others were cut. */
static void test_stops(void **state)
{
	struct room *r = *state;
	_Atomic bool ready = true;
	for (int i = 0; i < ROUNDS; i++) {
		int answered = i % LEFT, before = peer_count(&r->bucket->peer, "DELETE", "");
		bucket_no_rules(r->bucket);
		settle(r);
		while (bucket_unfinished(r->bucket) < LEFT)
			bucket_begin(r->bucket, OURS, "x");
		bucket_rule(r->bucket, (struct bucket_rule){.method = answered ? "DELETE" : "",
							    .skip = answered,
							    .times = BUCKET_ALWAYS,
							    .silent = true});
		struct s3_sweeper *s = s3_sweeper_start(r->engine, &r->bucket->place, 1, &ready);
		while (peer_count(&r->bucket->peer, "DELETE", "") < before + answered)
			usleep(10);
		s3_sweeper_stop(s);
		int asked = peer_count(&r->bucket->peer, "DELETE", "") - before;
		assert_in_range(asked, answered, answered + 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_by_folder),
		TEST(test_young),
		TEST(test_unknown_age),
		TEST(test_without_id),
		TEST(test_daily_without_prefix),
		TEST(test_foreign_key),
		TEST(test_stops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
