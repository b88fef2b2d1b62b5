/*
 * uploads - what the unit tests of uploads share: a bucket that misbehaves as it is told, an engine
 * with small numbers, and one put after the other.
 */
#ifndef AUTOS_UPLOADS_H
#define AUTOS_UPLOADS_H

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
	_Atomic bool doubted;
	char other_key[64]; /* where BIG goes if KEY is taken */
	/* the put of the moment */
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done;
	struct spool body;
	struct put put;
};

static inline int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
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
	r->engine = bucket_engine(r->bucket);
	r->target = (struct s3_target){.engine = r->engine,
				       .place = &r->bucket->place,
				       .config = c,
				       .doubted = &r->doubted,
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

static inline int teardown(void **state)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline void finished(struct put *p)
{
	struct room *r = p->finished_arg;
	pthread_mutex_lock(&r->lock);
	r->done = true;
	pthread_cond_signal(&r->over);
	pthread_mutex_unlock(&r->lock);
}

static inline void start(struct room *r, const char *data, size_t len)
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

static inline bool wait(struct room *r)
{
	pthread_mutex_lock(&r->lock);
	while (!r->done)
		pthread_cond_wait(&r->over, &r->lock);
	pthread_mutex_unlock(&r->lock);
	spool_release(&r->body);
	return r->put.ok;
}

static inline bool upload(struct room *r, size_t len)
{
	start(r, r->data, len);
	return wait(r);
}

/* The first `len` bytes are stored under this key, and no upload is left. */
static inline void stored(struct room *r, const char *full, size_t len)
{
	if (!r->put.ok)
		fail_msg("%s", r->put.err.text);
	assert_string_equal(r->put.key, full + 2);
	assert_true(bucket_holds(r->bucket, full, r->data, len));
	assert_int_equal(bucket_unfinished(r->bucket), 0);
}

static inline int asked(struct room *r, const char *method, const char *part)
{
	return peer_count(&r->bucket->peer, method, part);
}

static inline void rule(struct room *r, struct bucket_rule rule)
{
	bucket_rule(r->bucket, rule);
}

static inline void header_is(const struct peer_asked *q, const char *name, const char *wanted)
{
	char *value = peer_header(q, name);
	if (!value || !wanted)
		assert_true(!value && !wanted);
	else
		assert_string_equal(value, wanted);
	xfree(value);
}

/* The object at KEY is gone. */
static inline void forget(struct room *r)
{
	pthread_mutex_lock(&r->bucket->peer.lock);
	bucket_drop(bucket_find(r->bucket, FULL));
	pthread_mutex_unlock(&r->bucket->peer.lock);
}

/* A hook: somebody else was faster, with equal bytes. `arg` is the room. */
static inline void same_wins(void *arg)
{
	struct room *r = arg;
	struct bucket_object *o = bucket_make(r->bucket, FULL);
	char hex[65];
	sha256_hex(r->data, BIG, hex);
	o->sha256 = xstrdup(hex);
	bucket_keep(&o->bytes, r->data, BIG);
}

#endif
