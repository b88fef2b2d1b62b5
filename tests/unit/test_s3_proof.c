/*
 * Keys that are taken by what is described as ours: only our bytes are taken for ours, whatever the
 * server says of them, and as little as possible is read back to know.
 */
#include "uploads.h"

/* What stands at KEY is as long as `len` of our bytes and is described as them; true: it is them.
 */
static void stands(struct room *r, size_t len, bool ours, const char *said)
{
	bucket_has(r->bucket, FULL, r->data, len);
	pthread_mutex_lock(&r->bucket->peer.lock);
	struct bucket_object *o = bucket_find(r->bucket, FULL);
	if (!ours) {
		o->bytes.data[len / 2] ^= 1;
		bucket_etag(&o->bytes, o->bytes.data, len);
	}
	o->said = said;
	pthread_mutex_unlock(&r->bucket->peer.lock);
}

/* How often the object at KEY was read. */
static int reads(struct room *r)
{
	return asked(r, "GET", FULL) - asked(r, "GET", FULL "?");
}

/* The ETag of our first bytes, put in parts of this size. */
static void in_parts(const struct room *r, size_t len, size_t part, char out[static 64])
{
	struct bucket_bytes one = {0}, all = {0};
	struct buf raw;
	size_t n = 0;
	buf_init(&raw, 4096);
	for (size_t at = 0; at < len; at += part, n++) {
		bucket_etag(&one, r->data + at, len - at < part ? len - at : part);
		for (int i = 0; i < 32; i += 2) {
			char byte =
				(char)(hex_value(one.etag[i]) * 16 + hex_value(one.etag[i + 1]));
			buf_add(&raw, &byte, 1);
		}
	}
	bucket_etag(&all, raw.data, raw.len);
	snprintf(out, 64, "\"%s-%zu\"", all.etag, n);
	buf_release(&raw);
}

/* An upload that was begun for our bytes was gone on with for others of the same length, completed,
 * and its maker died before he saw what the object is described as. */
static void test_completed_with_other_bytes(void **state)
{
	struct room *r = *state;
	char hex[65], *other = xmalloc(BIG);
	sha256_hex(r->data, BIG, hex);
	struct bucket_upload *u = bucket_begin(r->bucket, FULL, hex);
	bucket_keep(&u->parts[0], r->data, PART);
	memcpy(other, r->data, BIG);
	other[BIG - 1] ^= 1;
	/* to die before the object is removed is as if it could not be */
	rule(r, (struct bucket_rule){
			.method = "DELETE", .part = FULL, .times = BUCKET_ALWAYS, .status = 503});
	start(r, other, BIG);
	assert_false(wait(r));
	bucket_no_rules(r->bucket);
	assert_false(bucket_holds(r->bucket, FULL, r->data, BIG));
	assert_true(upload(r, BIG));
	stored(r, r->other_key, BIG);
	/* and whoever comes with the others does not take it either: it is described as ours */
	start(r, other, BIG);
	assert_true(wait(r));
	assert_string_not_equal(r->put.key, KEY);
	xfree(other);
}

/* Whatever the ETag looks like. */
static void test_never_others(void **state)
{
	struct room *r = *state;
	static const char *const said[] = {
		NULL,
		"",
		"\"CJ3oz8XkAA=\"",
		"unquoted",
		"\"00000000000000000000000000000000-7\"",
		"\"00000000000000000000000000000000-2\"",
		"\"00000000000000000000000000000000-\"",
		"\"00000000000000000000000000000000-7x\"",
		"\"00000000000000000000000000000000\"",
	};
	static const size_t sizes[] = {SMALL, BIG};
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
			stands(r, sizes[k], false, said[i]);
			assert_true(upload(r, sizes[k]));
			assert_string_not_equal(r->put.key, KEY);
			/* the same of a server whose ETags are no MD5 */
			r->target.facts.etag_is_md5 = false;
			assert_true(upload(r, sizes[k]));
			assert_string_not_equal(r->put.key, KEY);
			r->target.facts.etag_is_md5 = true;
		}
}

/* And ours are ours; they are read when the ETag does not tell. */
static void test_ours(void **state)
{
	struct room *r = *state;
	char parts[64], plain[64], larger[64];
	struct bucket_bytes whole = {0};
	in_parts(r, BIG, PART, parts);
	in_parts(r, BIG, 2 * PART, larger);
	bucket_etag(&whole, r->data, BIG);
	snprintf(plain, sizeof plain, "\"%s\"", whole.etag);
	const struct {
		const char *said;
		bool read;
	} rows[] = {
		{parts, false},
		{plain, false},
		{whole.etag, false}, /* without quotes */
		{larger, true},      /* by somebody with other settings */
		{"\"00000000000000000000000000000000-7\"", true},
		{"\"00000000000000000000000000000000\"", true}, /* encrypted */
		{"\"CJ3oz8XkAA=\"", true},
		{"", true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int before = reads(r);
		stands(r, BIG, true, rows[i].said);
		assert_true(upload(r, BIG));
		stored(r, FULL, BIG);
		assert_int_equal(reads(r) - before, rows[i].read);
	}
	assert_int_equal(asked(r, "PUT", "") + asked(r, "POST", ""), 0);
	r->target.facts.etag_is_md5 = false;
	stands(r, BIG, true, parts);
	int before = reads(r);
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(reads(r) - before, 1);
	/* small ones: the length of a part does not matter */
	r->target.facts.etag_is_md5 = true;
	static const size_t sizes[] = {SMALL, PART, 1, 0};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		stands(r, sizes[i], true, NULL);
		assert_true(upload(r, sizes[i]));
		stored(r, FULL, sizes[i]);
	}
	assert_int_equal(reads(r) - before, 1);
	stands(r, 0, true, "");
	assert_true(upload(r, 0));
	stored(r, FULL, 0);
}

static void gone(void *arg)
{
	struct room *r = arg;
	bucket_drop(bucket_find(r->bucket, FULL));
}

static void grown(void *arg)
{
	struct room *r = arg;
	struct bucket_object *o = bucket_find(r->bucket, FULL);
	char *longer = xcalloc(1, BIG + 1);
	memcpy(longer, r->data, BIG);
	bucket_keep(&o->bytes, longer, BIG + 1);
	xfree(longer);
}

static void changed(void *arg)
{
	struct room *r = arg;
	bucket_find(r->bucket, FULL)->bytes.data[0] ^= 1;
}

#define READ .method = "GET", .part = FULL

static void test_reading_meets_it(void **state)
{
	struct room *r = *state;
	r->bucket->arg = r;
	r->target.facts.may_list_uploads = false; /* so that GET is the object */
	/* what passes */
	stands(r, BIG, true, "\"opaque\"");
	rule(r, (struct bucket_rule){READ, .times = 1, .status = 503});
	rule(r, (struct bucket_rule){READ, .times = 1, .cut = 3000});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	/* what does not: nothing is said of the object */
	rule(r, (struct bucket_rule){READ, .times = 3, .status = 500});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_BUSY);
	rule(r, (struct bucket_rule){READ, .times = 1, .status = 403});
	assert_false(upload(r, BIG));
	assert_error(&r->put.err, ERR_DENIED);
	assert_says(&r->put.err, "may not read objects");
	assert_int_equal(asked(r, "PUT", "") + asked(r, "POST", ""), 0);
	/* somebody removes it meanwhile: the key is free */
	rule(r, (struct bucket_rule){READ, .times = 1, .hook = gone, .after = true, .status = 404});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	/* or puts another, which is longer */
	stands(r, BIG, true, "\"opaque\"");
	rule(r, (struct bucket_rule){READ, .times = 1, .hook = grown, .whole = true});
	assert_true(upload(r, BIG));
	stored(r, r->other_key, BIG);
}

/* ---- What was just completed ---- */

/* ETags of joined objects need not be made of the parts' MD5s: each part was compared, and what the
 * object is described as is looked at. Nothing is sent twice, and nothing read. */
static void test_completed_under_an_opaque_etag(void **state)
{
	struct room *r = *state;
	r->bucket->opaque_whole = true;
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), PARTS);
	assert_int_equal(asked(r, "HEAD", ""), 2);
	assert_int_equal(reads(r), 0);
	/* of one that was begun for others, their description is seen */
	forget(r);
	bucket_begin(r->bucket, FULL, "0123");
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "DELETE", FULL), 1);
	assert_false(r->doubted);
}

/* Where parts cannot be compared either, the object is read. */
static void test_completed_of_opaque_parts(void **state)
{
	struct room *r = *state;
	r->bucket->opaque_parts = r->bucket->opaque_whole = true;
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), PARTS);
	assert_int_equal(reads(r), 1);
	/* and is not believed when it is another */
	forget(r);
	r->bucket->arg = r;
	rule(r, (struct bucket_rule){READ, .times = 1, .hook = changed, .whole = true});
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(asked(r, "PUT", ""), 3 * PARTS);
	assert_int_equal(reads(r), 3);
	/* a server that says it of no object is not asked more than ever */
	forget(r);
	r->target.facts.etag_is_md5 = false;
	assert_true(upload(r, BIG));
	stored(r, FULL, BIG);
	assert_int_equal(reads(r), 3);
}

static void other_comes(void *arg)
{
	struct room *r = arg;
	struct bucket_object *o = bucket_find(r->bucket, FULL);
	xfree(o->sha256);
	o->sha256 = NULL;
	bucket_keep(&o->bytes, "other", 5);
}

/* It is gone when it is looked at, and then somebody else's is there: that stays. */
static void test_completed_and_lost(void **state)
{
	struct room *r = *state;
	r->bucket->opaque_whole = true;
	r->bucket->arg = r;
	rule(r,
	     (struct bucket_rule){
		     .method = "HEAD", .skip = 1, .times = 1, .status = 404, .hook = other_comes});
	assert_true(upload(r, BIG));
	stored(r, r->other_key, BIG);
	assert_int_equal(asked(r, "DELETE", ""), 0);
	pthread_mutex_lock(&r->bucket->peer.lock);
	assert_int_equal(bucket_find(r->bucket, FULL)->bytes.len, 5);
	pthread_mutex_unlock(&r->bucket->peer.lock);
}

/* What the probe found is doubted when bytes arrive wrong again and again, also when they cannot be
 * removed; not when it is healed, and not for anything else. */
static void test_doubted(void **state)
{
	struct room *r = *state;
	static const size_t sizes[] = {SMALL, BIG};
	for (size_t i = 0; i < 2; i++) {
		rule(r, (struct bucket_rule){.method = "PUT", .times = 1, .other_etag = true});
		assert_true(upload(r, sizes[i]));
		forget(r);
		rule(r,
		     (struct bucket_rule){.method = "PUT", .times = BUCKET_ALWAYS, .status = 500});
		assert_false(upload(r, sizes[i]));
		bucket_no_rules(r->bucket);
		assert_false(r->doubted);
		rule(r, (struct bucket_rule){
				.method = "PUT", .times = BUCKET_ALWAYS, .other_etag = true});
		assert_false(upload(r, sizes[i]));
		bucket_no_rules(r->bucket);
		assert_true(r->doubted);
		r->doubted = false;
	}
	rule(r, (struct bucket_rule){.method = "PUT", .times = 1, .other_etag = true});
	rule(r, (struct bucket_rule){.method = "DELETE", .times = 1, .status = 403});
	assert_false(upload(r, SMALL));
	assert_error(&r->put.err, ERR_DENIED);
	assert_true(r->doubted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_completed_with_other_bytes),
		TEST(test_never_others),
		TEST(test_ours),
		TEST(test_reading_meets_it),
		TEST(test_completed_under_an_opaque_etag),
		TEST(test_completed_of_opaque_parts),
		TEST(test_completed_and_lost),
		TEST(test_doubted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
