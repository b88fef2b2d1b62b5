/*
 * Documents on their way into a bucket that misbehaves: what is stored is whole and ours, what is
 * others' stays, what a server lost is begun again, and nothing is sent twice without need.
 */
#include "s3_upload.h"

#include "bucket.h"

enum { PART = 1000, SMALL = 2500, PARTS = 7, BIG = PARTS * PART - 300 };

#define KEY "k/a.pdf"
#define FULL "p/k/a.pdf"

struct room {
	char *dir, *data;
	struct bucket *bucket;
	struct s3_engine *engine;
	struct s3_target target;
	char other_key[64]; /* where BIG goes if KEY is taken */
	/* the put of the moment */
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done;
	struct spool body;
	struct put put;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	uint64_t seed = 5;
	char hex[65];
	r->dir = scratch_make();
	r->bucket = bucket_open(r->dir);
	r->data = xmalloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		r->data[i] = (char)scratch_random(&seed);
	sha256_hex(r->data, BIG, hex);
	snprintf(r->other_key, sizeof r->other_key, "p/k/a-%.8s.pdf", hex);
	struct config *c = &r->bucket->config; /* small numbers, beyond what users may set */
	c->s3_multipart_from = SMALL;
	c->s3_part_size = PART;
	c->s3_part_parallel = 3;
	c->s3_retry_max = 2;
	r->engine = s3_engine_new(&r->bucket->place, &r->bucket->account, c, &e);
	assert_non_null(r->engine);
	r->target = (struct s3_target){.engine = r->engine,
				       .place = &r->bucket->place,
				       .config = c,
				       .facts = {.probed_ms = 1,
						 .etag_is_md5 = true,
						 .only_new = true,
						 .may_delete = true,
						 .may_list = true,
						 .may_list_uploads = true}};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->over, NULL);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	s3_engine_free(r->engine);
	bucket_close(r->bucket);
	scratch_remove(r->dir);
	xfree(r->put.key);
	xfree(r->data);
	pthread_cond_destroy(&r->over);
	pthread_mutex_destroy(&r->lock);
	xfree(r);
	return 0;
}

static void finished(struct put *p)
{
	struct room *r = p->finished_arg;
	pthread_mutex_lock(&r->lock);
	r->done = true;
	pthread_cond_signal(&r->over);
	pthread_mutex_unlock(&r->lock);
}

static void start(struct room *r, const char *data, size_t len)
{
	struct err e;
	r->done = false;
	spool_init(&r->body, r->dir, 4096);
	assert_true(spool_add(&r->body, data, len, &e) && spool_end(&r->body, &e));
	xfree(r->put.key);
	r->put = (struct put){.key = xstrdup(KEY),
			      .body = &r->body,
			      .mime = "application/pdf",
			      .name = "a.pdf",
			      .finished = finished,
			      .finished_arg = r};
	s3_upload_start(&r->target, &r->put);
}

static bool wait(struct room *r)
{
	pthread_mutex_lock(&r->lock);
	while (!r->done)
		pthread_cond_wait(&r->over, &r->lock);
	pthread_mutex_unlock(&r->lock);
	spool_release(&r->body);
	return r->put.ok;
}

static bool upload(struct room *r, size_t len)
{
	start(r, r->data, len);
	return wait(r);
}

/* The first `len` bytes are stored under this key, and no upload is left. */
static void stored(struct room *r, const char *full, size_t len)
{
	if (!r->put.ok)
		fail_msg("%s", r->put.err.text);
	assert_string_equal(r->put.key, full + 2);
	assert_true(bucket_holds(r->bucket, full, r->data, len));
	assert_int_equal(bucket_unfinished(r->bucket), 0);
}

static int asked(struct room *r, const char *method, const char *part)
{
	return peer_count(&r->bucket->peer, method, part);
}

static void rule(struct room *r, struct bucket_rule rule)
{
	bucket_rule(r->bucket, rule);
}

static void header_is(const struct peer_asked *q, const char *name, const char *wanted)
{
	char *value = peer_header(q, name);
	if (!value || !wanted)
		assert_true(!value && !wanted);
	else
		assert_string_equal(value, wanted);
	xfree(value);
}

/* The object at KEY is gone. */
static void forget(struct room *r)
{
	pthread_mutex_lock(&r->bucket->peer.lock);
	bucket_drop(bucket_find(r->bucket, FULL));
	pthread_mutex_unlock(&r->bucket->peer.lock);
}

/* ---- Small documents ---- */

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

/* ---- Beginning and completing ---- */

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

static void same_wins(void *arg)
{
	struct room *r = arg;
	struct bucket_object *o = bucket_make(r->bucket, FULL);
	char hex[65];
	sha256_hex(r->data, BIG, hex);
	o->sha256 = xstrdup(hex);
	bucket_keep(&o->bytes, r->data, BIG);
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
	rule(r,
	     (struct bucket_rule){COMPLETE, .after = true, .status = 200,
				  .body = "<CompleteMultipartUploadResult><ETag>\"0000-7\"</ETag>"
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

/* ---- Cut ---- */

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(test_parts),
		TEST(test_parts_there),
		TEST(test_parts_kept),
		TEST(test_parts_kept_of_other_bytes),
		TEST(test_strays),
		TEST(test_parts_unlisted),
		TEST(test_part_tried_again),
		TEST(test_part_wrong),
		TEST(test_part_refused),
		TEST(test_server_gone),
		TEST(test_upload_vanishes),
		TEST(test_create_fails),
		TEST(test_complete_200_with_error),
		TEST(test_complete_answer_lost),
		TEST(test_complete_vanished),
		TEST(test_complete_taken),
		TEST(test_complete_taken_by_same),
		TEST(test_complete_etag),
		TEST(test_complete_invalid_part),
		TEST(test_complete_refused),
		TEST(test_cut),
		TEST(test_part_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
