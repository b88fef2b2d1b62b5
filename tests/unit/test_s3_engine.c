/*
 * The engine against a bucket that misbehaves: tries and their budget, objects that are read on,
 * less at once when told so, and being cut off.
 */
#include "s3_engine.h"

#include "bucket.h"
#include "metrics.h"

enum { BIG = 1 << 20 };

#define KEY "k/a.pdf"
#define FULL "p/k/a.pdf"

struct room {
	char *dir, *data;
	struct bucket *bucket;
	struct s3_engine *engine;
	char *got;
	size_t ngot, refuse_at;
};

static void restart(struct room *r)
{
	s3_engine_free(r->engine);
	r->engine = bucket_engine(r->bucket);
}

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	uint64_t seed = 11;
	r->dir = scratch_make();
	r->bucket = bucket_open(r->dir);
	r->data = xmalloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		r->data[i] = (char)scratch_random(&seed);
	restart(r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	s3_engine_free(r->engine);
	bucket_close(r->bucket);
	scratch_remove(r->dir);
	xfree(r->data);
	xfree(r->got);
	xfree(r);
	return 0;
}

static bool gather(void *arg, const void *data, size_t len, struct err *e)
{
	struct room *r = arg;
	r->got = xrealloc(r->got, r->ngot + len);
	memcpy(r->got + r->ngot, data, len);
	r->ngot += len;
	return !r->refuse_at || r->ngot < r->refuse_at || fail(e, ERR_DENIED, "enough of it");
}

static bool get(struct room *r, struct err *e)
{
	struct s3_op op = {.sink = gather, .sink_arg = r};
	*e = (struct err){0};
	r->ngot = 0;
	s3_call_get(&op.call, KEY, 0, "");
	bool ok = s3_engine_ask(r->engine, &op, e);
	s3_op_release(&op);
	s3_op_release(&op);
	return ok;
}

static bool head(struct room *r, enum s3_meaning *meaning, struct err *e)
{
	struct s3_op op = {0};
	*e = (struct err){0};
	s3_call_head(&op.call, KEY);
	bool ok = s3_engine_ask(r->engine, &op, e);
	*meaning = op.verdict.meaning;
	assert_ptr_equal(op.res, &op.exchange.res);
	s3_op_release(&op);
	return ok;
}

static int asked(struct room *r, const char *method)
{
	return peer_count(&r->bucket->peer, method, "");
}

/* ---- Tries ---- */

/* What is tried again: each after s3_retry_max more tries, on a new connection, then told. */
static const struct {
	struct bucket_rule rule;
	int tries;
	enum s3_meaning meaning;
	enum err_kind kind;
	const char *says;
} faults[] = {
	{{.status = 500, .code = "InternalError"}, 3, S3_RETRY, ERR_BUSY, "HTTP 500"},
	{{.status = 502, .body = "<html/>"}, 3, S3_RETRY, ERR_BUSY, "HTTP 502"},
	{{.status = 0},
	 3,
	 S3_RETRY,
	 ERR_BUSY,
	 "the connection broke to the S3 server at 127.0.0.1"},
	{{.status = 503}, 3, S3_SLOW, ERR_BUSY, "overloaded"},
	{{.status = 403}, 1, S3_REFUSED, ERR_DENIED, "may not read objects"},
	{{.status = 404}, 1, S3_ABSENT, ERR_ABSENT, "HTTP 404"},
	{{.status = 412}, 1, S3_TAKEN, ERR_BUSY, "HTTP 412"},
	{{.status = 400}, 1, S3_REFUSED, ERR_FAIL, "HTTP 400"},
};

static void test_tries(void **state)
{
	struct room *r = *state;
	bucket_set(r->bucket, "s3_retry_max", "2");
	int before = 0;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		enum s3_meaning meaning;
		struct err e;
		struct bucket_rule rule = faults[i].rule;
		rule.times = BUCKET_ALWAYS;
		bucket_no_rules(r->bucket);
		bucket_rule(r->bucket, rule);
		restart(r);
		assert_false(head(r, &meaning, &e));
		assert_int_equal(meaning, faults[i].meaning);
		assert_error(&e, faults[i].kind);
		assert_says(&e, faults[i].says);
		assert_int_equal(asked(r, "HEAD") - before, faults[i].tries);
		before = asked(r, "HEAD");
		/* well before the last try is well */
		bucket_no_rules(r->bucket);
		bucket_has(r->bucket, FULL, "x", 1);
		rule.times = 2;
		bucket_rule(r->bucket, rule);
		bool again = faults[i].tries > 1;
		assert_int_equal(head(r, &meaning, &e), again);
		assert_int_equal(asked(r, "HEAD") - before, again ? 3 : 1);
		before = asked(r, "HEAD");
	}
}

static void test_fresh_connections(void **state)
{
	struct room *r = *state;
	enum s3_meaning meaning;
	struct err e;
	bucket_has(r->bucket, FULL, "x", 1);
	assert_true(head(r, &meaning, &e));
	assert_true(head(r, &meaning, &e));
	bucket_rule(r->bucket, (struct bucket_rule){.times = 2, .status = 500});
	assert_true(head(r, &meaning, &e));
	int connections[5];
	for (int i = 0; i < 5; i++)
		connections[i] = peer_nth(&r->bucket->peer, "HEAD", "", i).connection;
	assert_int_equal(connections[0], connections[1]);
	assert_int_equal(connections[1], connections[2]);
	assert_int_not_equal(connections[2], connections[3]);
	assert_int_not_equal(connections[3], connections[4]);
}

static void test_no_more_tries(void **state)
{
	struct room *r = *state;
	enum s3_meaning meaning;
	struct err e;
	bucket_set(r->bucket, "s3_retry_max", "0");
	bucket_rule(r->bucket, (struct bucket_rule){.times = 1, .status = 500});
	assert_false(head(r, &meaning, &e));
	assert_int_equal(asked(r, "HEAD"), 1);
	/* an op that is asked once */
	bucket_set(r->bucket, "s3_retry_max", "4");
	bucket_rule(r->bucket, (struct bucket_rule){.times = 1, .status = 500});
	struct s3_op op = {.once = true};
	s3_call_bucket(&op.call);
	assert_false(s3_engine_ask(r->engine, &op, &e));
	assert_int_equal(op.res->status, 500);
	s3_op_release(&op);
	assert_int_equal(asked(r, "HEAD"), 2);
}

/* 500 tokens at 5 a retry: after 100 retries of a server that fails for all, each request is asked
 * once; successes pay back. */
static void test_budget(void **state)
{
	struct room *r = *state;
	enum s3_meaning meaning;
	struct err e;
	bucket_set(r->bucket, "s3_retry_max", "4");
	bucket_rule(r->bucket, (struct bucket_rule){.times = BUCKET_ALWAYS, .status = 500});
	for (int i = 0; i < 25; i++)
		assert_false(head(r, &meaning, &e));
	assert_int_equal(asked(r, "HEAD"), 125);
	for (int i = 0; i < 10; i++)
		assert_false(head(r, &meaning, &e));
	assert_int_equal(asked(r, "HEAD"), 135);
	bucket_no_rules(r->bucket);
	bucket_has(r->bucket, FULL, "x", 1);
	for (int i = 0; i < 5; i++)
		assert_true(head(r, &meaning, &e));
	bucket_rule(r->bucket, (struct bucket_rule){.times = BUCKET_ALWAYS, .status = 500});
	assert_false(head(r, &meaning, &e));
	assert_int_equal(asked(r, "HEAD"), 142); /* 5 paid for one more */
	/* a retry that helps gives back what it cost */
	bucket_no_rules(r->bucket);
	for (int i = 0; i < 5; i++)
		assert_true(head(r, &meaning, &e));
	for (int i = 0; i < 10; i++) {
		bucket_no_rules(r->bucket);
		bucket_rule(r->bucket, (struct bucket_rule){.times = 1, .status = 500});
		assert_true(head(r, &meaning, &e));
	}
}

static void test_unreachable(void **state)
{
	struct room *r = *state;
	struct s3_place gone;
	struct err e;
	enum s3_meaning meaning;
	struct peer p;
	peer_open(&p, bucket_script, NULL);
	peer_close(&p);
	char *address = xasprintf("//autos?endpoint=http://127.0.0.1:%d", p.port);
	assert_true(s3_place_parse(&gone, &r->bucket->config, address, &e));
	s3_engine_free(r->engine);
	r->engine = s3_engine_new(&gone, &r->bucket->account, &r->bucket->config, &e);
	assert_false(head(r, &meaning, &e));
	assert_int_equal(meaning, S3_RETRY);
	assert_error(&e, ERR_BUSY);
	assert_says(&e, "cannot reach the S3 server at 127.0.0.1:");
	s3_engine_free(r->engine);
	r->engine = NULL;
	s3_place_release(&gone);
	xfree(address);
}

/* ---- Reading on ---- */

static void test_get(void **state)
{
	struct room *r = *state;
	struct err e;
	bucket_has(r->bucket, FULL, r->data, BIG);
	assert_true(get(r, &e));
	assert_int_equal(r->ngot, BIG);
	assert_memory_equal(r->got, r->data, BIG);
	assert_int_equal(asked(r, "GET"), 1);
	struct peer_asked q = peer_nth(&r->bucket->peer, "GET", "", 0);
	assert_null(peer_header(&q, "range"));
	assert_null(peer_header(&q, "if-match"));
}

static void header_of(struct room *r, int nth, const char *name, const char *wanted)
{
	struct peer_asked q = peer_nth(&r->bucket->peer, "GET", "", nth);
	char *value = peer_header(&q, name);
	assert_non_null(value);
	assert_string_equal(value, wanted);
	xfree(value);
}

/* Two cuts: each time what is missing is asked for, of the same object. */
static void test_get_cut(void **state)
{
	struct room *r = *state;
	struct err e;
	char etag[50];
	bucket_has(r->bucket, FULL, r->data, BIG);
	snprintf(etag, sizeof etag, "\"%s\"", bucket_find(r->bucket, FULL)->bytes.etag);
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET", .times = 1, .cut = 300000});
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET", .times = 1, .cut = 7});
	assert_true(get(r, &e));
	assert_int_equal(r->ngot, BIG);
	assert_memory_equal(r->got, r->data, BIG);
	assert_int_equal(asked(r, "GET"), 3);
	header_of(r, 1, "range", "bytes=300000-");
	header_of(r, 1, "if-match", etag);
	header_of(r, 2, "range", "bytes=300007-");
	header_of(r, 2, "if-match", etag);
}

/* A server that knows no ranges gives all again: what is known is passed over. */
static void test_get_without_ranges(void **state)
{
	struct room *r = *state;
	struct err e;
	bucket_has(r->bucket, FULL, r->data, BIG);
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET", .times = 1, .cut = 300000});
	/* the second answer ends before it brings anything new */
	bucket_rule(r->bucket, (struct bucket_rule){
				       .method = "GET", .times = 1, .cut = 200000, .whole = true});
	bucket_rule(r->bucket, (struct bucket_rule){
				       .method = "GET", .times = 1, .cut = 400000, .whole = true});
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET", .times = 1, .whole = true});
	assert_true(get(r, &e));
	assert_int_equal(r->ngot, BIG);
	assert_memory_equal(r->got, r->data, BIG);
	header_of(r, 2, "range", "bytes=300000-");
	header_of(r, 3, "range", "bytes=400000-");
}

/* Another object under the key meanwhile is not glued to the first. */
static void other_bytes(void *arg)
{
	struct room *r = arg;
	struct bucket_object *o = bucket_find(r->bucket, FULL);
	for (size_t i = 0; i < o->bytes.len; i++)
		o->bytes.data[i] ^= 1;
	bucket_etag(&o->bytes, o->bytes.data, o->bytes.len);
}

static void test_get_changed(void **state)
{
	struct room *r = *state;
	struct err e;
	bucket_has(r->bucket, FULL, r->data, BIG);
	r->bucket->arg = r;
	bucket_rule(r->bucket, (struct bucket_rule){.method = "GET", .times = 1, .cut = 300000});
	bucket_rule(r->bucket,
		    (struct bucket_rule){
			    .method = "GET", .times = 1, .hook = other_bytes, .whole = true});
	assert_false(get(r, &e));
	assert_error(&e, ERR_BUSY);
	assert_int_equal(r->ngot, 300000);
	assert_memory_equal(r->got, r->data, 300000);
}

/* Errors in between are no bytes of the object. */
static void test_get_errors(void **state)
{
	struct room *r = *state;
	struct err e;
	bucket_has(r->bucket, FULL, r->data, BIG);
	bucket_rule(r->bucket,
		    (struct bucket_rule){.times = 1, .status = 500, .code = "InternalError"});
	bucket_rule(r->bucket, (struct bucket_rule){.times = 1, .cut = 1});
	bucket_rule(r->bucket, (struct bucket_rule){.times = 1, .status = 503, .code = "SlowDown"});
	assert_true(get(r, &e));
	assert_int_equal(r->ngot, BIG);
	assert_memory_equal(r->got, r->data, BIG);
	assert_int_equal(asked(r, "GET"), 4);
}

static void test_get_absent(void **state)
{
	struct room *r = *state;
	struct err e;
	assert_false(get(r, &e));
	assert_error(&e, ERR_ABSENT);
	assert_int_equal(r->ngot, 0);
	assert_int_equal(asked(r, "GET"), 1);
}

/* Whoever takes the bytes may end it, with an error of their own and without another try. */
static void test_sink_refuses(void **state)
{
	struct room *r = *state;
	struct err e;
	bucket_has(r->bucket, FULL, r->data, BIG);
	r->refuse_at = 5000;
	assert_false(get(r, &e));
	assert_error(&e, ERR_DENIED);
	assert_string_equal(e.text, "enough of it");
	assert_int_equal(asked(r, "GET"), 1);
}

/* ---- Overload ---- */

static void test_slow_down_halves(void **state)
{
	struct room *r = *state;
	enum s3_meaning meaning;
	struct err e;
	bucket_set(r->bucket, "s3_parallel", "8");
	restart(r);
	assert_int_equal(metric_get(METRIC_store_parallel), 8);
	bucket_has(r->bucket, FULL, "x", 1);
	int64_t before = metric_get(METRIC_store_slowdowns);
	bucket_rule(r->bucket, (struct bucket_rule){.times = 1, .status = 503});
	bucket_set(r->bucket, "s3_retry_max", "0");
	assert_false(head(r, &meaning, &e));
	assert_int_equal(meaning, S3_SLOW);
	assert_int_equal(metric_get(METRIC_store_slowdowns) - before, 1);
	assert_int_equal(metric_get(METRIC_store_parallel), 4);
	/* other errors say nothing of load */
	bucket_rule(r->bucket, (struct bucket_rule){.times = 1, .status = 500});
	assert_false(head(r, &meaning, &e));
	assert_int_equal(metric_get(METRIC_store_parallel), 4);
	for (int i = 0; i < 4; i++)
		assert_true(head(r, &meaning, &e));
	assert_int_equal(metric_get(METRIC_store_parallel), 4);
	for (int i = 0; i < 2; i++)
		assert_true(head(r, &meaning, &e));
	assert_int_equal(metric_get(METRIC_store_parallel), 5);
}

/* ---- Many at once ---- */

enum { MANY = 40 };

struct many {
	pthread_mutex_t lock;
	pthread_cond_t over;
	int left, good, busy;
	struct s3_op ops[MANY];
};

static void one_over(struct s3_op *op)
{
	struct many *m = op->owner;
	pthread_mutex_lock(&m->lock);
	m->left--;
	m->good += op->verdict.meaning == S3_GOOD;
	m->busy += op->verdict.err.kind == ERR_BUSY;
	pthread_cond_signal(&m->over);
	pthread_mutex_unlock(&m->lock);
}

static struct many *start_many(struct room *r)
{
	struct many *m = xcalloc(1, sizeof *m);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->over, NULL);
	m->left = MANY;
	for (int i = 0; i < MANY; i++) {
		s3_call_head(&m->ops[i].call, KEY);
		m->ops[i].done = one_over;
		m->ops[i].owner = m;
		s3_engine_start(r->engine, &m->ops[i]);
	}
	return m;
}

static void wait_many(struct many *m)
{
	pthread_mutex_lock(&m->lock);
	while (m->left)
		pthread_cond_wait(&m->over, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

static void free_many(struct many *m)
{
	for (int i = 0; i < MANY; i++)
		s3_op_release(&m->ops[i]);
	pthread_cond_destroy(&m->over);
	pthread_mutex_destroy(&m->lock);
	xfree(m);
}

static void test_parallel(void **state)
{
	struct room *r = *state;
	bucket_set(r->bucket, "s3_parallel", "3");
	restart(r);
	bucket_has(r->bucket, FULL, "x", 1);
	struct many *m = start_many(r);
	wait_many(m);
	assert_int_equal(m->good, MANY);
	assert_int_equal(asked(r, "HEAD"), MANY);
	assert_true(peer_connections(&r->bucket->peer) <= 3);
	free_many(m);
}

static bool waits(struct room *r, int n)
{
	for (int i = 0; i < 10000 && asked(r, "HEAD") < n; i++)
		usleep(1000);
	return asked(r, "HEAD") >= n;
}

/* Asked, queued, or waiting for another try: all end, with ERR_BUSY, and the next are served. */
static void test_cut(void **state)
{
	struct room *r = *state;
	struct err e;
	enum s3_meaning meaning;
	bucket_set(r->bucket, "s3_parallel", "4");
	bucket_set(r->bucket, "s3_retry_delay", "20s");
	restart(r);
	bucket_has(r->bucket, FULL, "x", 1);
	bucket_rule(r->bucket, (struct bucket_rule){.times = 2, .status = 500});
	bucket_rule(r->bucket, (struct bucket_rule){.times = BUCKET_ALWAYS, .silent = true});
	struct many *m = start_many(r);
	assert_true(waits(r, 6));
	s3_engine_cut(r->engine);
	wait_many(m);
	assert_int_equal(m->good, 0);
	assert_int_equal(m->busy, MANY);
	for (int i = 0; i < MANY; i++)
		assert_says(&m->ops[i].verdict.err,
			    "cut off on the way to the S3 server at 127.0.");
	free_many(m);
	bucket_no_rules(r->bucket);
	assert_true(head(r, &meaning, &e));
}

/* An op whose time is over is given up, whether it is being asked or waits for its next try, and is
 * not begun any more; others go on. */
static void test_given_up(void **state)
{
	struct room *r = *state;
	const struct bucket_rule rules[] = {{.times = BUCKET_ALWAYS, .silent = true},
					    {.times = BUCKET_ALWAYS, .status = 500}};
	bucket_set(r->bucket, "s3_retry_max", "100");
	bucket_set(r->bucket, "s3_retry_delay", "10s");
	restart(r);
	bucket_has(r->bucket, FULL, "x", 1);
	for (size_t i = 0; i < 2; i++) {
		enum s3_meaning meaning;
		struct err e = {0};
		struct s3_op op = {.until_ms = sys_mono_ms() + 200};
		bucket_no_rules(r->bucket);
		bucket_rule(r->bucket, rules[i]);
		s3_call_head(&op.call, KEY);
		assert_false(s3_engine_ask(r->engine, &op, &e));
		assert_error(&e, ERR_BUSY);
		assert_says(&e, "no answer in time from the S3 server at 127.0.");
		assert_true(sys_mono_ms() >= op.until_ms);
		int before = asked(r, "HEAD");
		assert_false(s3_engine_ask(r->engine, &op, &e)); /* it is over already */
		assert_error(&e, ERR_BUSY);
		assert_int_equal(asked(r, "HEAD"), before);
		s3_op_release(&op);
		bucket_no_rules(r->bucket);
		assert_true(head(r, &meaning, &e));
	}
}

/* ---- Steps without a call ---- */

struct chain {
	struct room *room;
	struct s3_op op;
	int steps;
	pthread_mutex_t lock;
	pthread_cond_t over;
};

static void next_step(struct s3_op *op)
{
	struct chain *c = op->owner;
	pthread_mutex_lock(&c->lock);
	c->steps++;
	bool more = c->steps < 100;
	if (!more)
		pthread_cond_signal(&c->over);
	pthread_mutex_unlock(&c->lock);
	if (more)
		s3_engine_start(c->room->engine, op);
}

static void test_steps(void **state)
{
	struct room *r = *state;
	struct chain c = {.room = r, .op = {.done = next_step, .owner = &c}};
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.over, NULL);
	s3_engine_start(r->engine, &c.op);
	pthread_mutex_lock(&c.lock);
	while (c.steps < 100)
		pthread_cond_wait(&c.over, &c.lock);
	pthread_mutex_unlock(&c.lock);
	s3_op_release(&c.op);
	assert_int_equal(asked(r, ""), 0);
	pthread_cond_destroy(&c.over);
	pthread_mutex_destroy(&c.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fresh_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_more_tries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get_without_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sink_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_down_halves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parallel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
