/*
 * The client's side of HTTP with a server of our own: bodies on their way out, sinks, headers that
 * are wanted, HEAD, connections that are kept or not, patience, and our own faults.
 */
#include "http.h"

#include "peer.h"

enum { BIG = 3 << 20 };

struct room {
	struct peer peer;
	struct http *http;
	char *dir, *base;
	char *data; /* BIG bytes */
	int drops;  /* so many requests on a kept connection are dropped */
	int64_t source_fails_at;
	size_t sources; /* how often it was begun */
	char *sunk;
	size_t nsunk, sink_fails_at;
};

/* What the path says. */
static void script(void *arg, const struct peer_asked *q, struct peer_answer *a)
{
	struct room *r = arg;
	a->status = 200;
	if (strncmp(q->target, "/drop", 5) == 0 && r->drops > 0) {
		r->drops--;
		a->status = 0;
	} else if (strcmp(q->target, "/headers") == 0) {
		a->headers = xstrdup("ETag:  \"abc\" \r\nDATE: Fri, 02 Jan 2026 03:04:05 GMT\r\n"
				     "ETagX: no\r\nX-Empty:\r\n");
	} else if (strcmp(q->target, "/continue") == 0) {
		a->headers = xstrdup("ETag: old\r\n\r\nHTTP/1.1 201 Made\r\nX-Other: new\r\n");
		a->status = 100;
	} else if (strcmp(q->target, "/missing") == 0) {
		a->status = 404;
		a->body = xstrdup("not here");
		a->len = 8;
	} else if (strcmp(q->target, "/big") == 0) {
		a->body = xmalloc(BIG);
		memcpy(a->body, r->data, BIG);
		a->len = BIG;
	} else if (strcmp(q->target, "/short") == 0) {
		a->body = xstrdup("0123456789");
		a->len = 10;
		a->unlike = true;
		a->announce = 20;
	} else if (strcmp(q->target, "/silent") == 0) {
		a->silent = true;
	} else {
		a->body = xstrdup("ok");
		a->len = 2;
	}
}

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	uint64_t seed = 7;
	r->dir = scratch_make();
	r->data = xmalloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		r->data[i] = (char)scratch_random(&seed);
	r->source_fails_at = -1;
	peer_open(&r->peer, script, r);
	r->base = xasprintf("http://127.0.0.1:%d", r->peer.port);
	struct http_options o = {.proxy = "",
				 .ca_file = "",
				 .connect_timeout_ms = 5000,
				 .low_speed = 1,
				 .low_speed_time_s = 1,
				 .spool_dir = r->dir,
				 .spool_memory = 4096,
				 .connections = 4};
	r->http = http_new(&o, &e);
	assert_non_null(r->http);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	http_free(r->http);
	peer_close(&r->peer);
	scratch_remove(r->dir);
	xfree(r->base);
	xfree(r->data);
	xfree(r->sunk);
	xfree(r);
	return 0;
}

/* The source gives what it has in odd pieces. */
static long source(void *arg, int64_t at, void *out, size_t cap)
{
	struct room *r = arg;
	r->sources += at == 0;
	if (r->source_fails_at >= 0 && at >= r->source_fails_at)
		return -1;
	size_t n = cap > 50001 ? 50001 : cap;
	if (r->source_fails_at > at && (size_t)(r->source_fails_at - at) < n)
		n = (size_t)(r->source_fails_at - at);
	memcpy(out, r->data + at, n);
	return (long)n;
}

static bool sink(void *arg, const void *data, size_t len)
{
	struct room *r = arg;
	r->sunk = xrealloc(r->sunk, r->nsunk + len);
	memcpy(r->sunk + r->nsunk, data, len);
	r->nsunk += len;
	return !r->sink_fails_at || r->nsunk < r->sink_fails_at;
}

static void prepare(struct room *r, struct http_exchange *x, const char *method, const char *path)
{
	*x = (struct http_exchange){.body.fd = -1};
	x->req.method = method;
	x->req.url = xasprintf("%s%s", r->base, path);
	x->req.max_body = 16 << 20;
	x->req.in_memory = true;
	http_req_header(&x->req, "Expect:");
}

static void run(struct room *r, struct http_exchange *x)
{
	struct err e;
	http_start(r->http, x);
	while (http_done(r->http) != x)
		assert_true(http_turn(r->http, 1000, &e));
}

static void ask(struct room *r, const char *path)
{
	struct http_exchange x;
	prepare(r, &x, "GET", path);
	run(r, &x);
	assert_int_equal(x.res.fault, HTTP_FAULT_NONE);
	http_exchange_release(&x);
}

static void drop(struct room *r)
{
	pthread_mutex_lock(&r->peer.lock);
	r->drops = 1;
	pthread_mutex_unlock(&r->peer.lock);
}

/* ---- Bodies on their way out ---- */

static void put(struct room *r, struct http_exchange *x, const char *path, int64_t len)
{
	prepare(r, x, "PUT", path);
	x->req.source = source;
	x->req.source_arg = r;
	x->req.source_len = len;
	run(r, x);
}

static void test_source(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	static const int64_t sizes[] = {BIG, 1, 0, 128 << 10, (128 << 10) + 1};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		put(r, &x, "/put", sizes[i]);
		assert_int_equal(x.res.fault, HTTP_FAULT_NONE);
		assert_int_equal(x.res.status, 200);
		assert_int_equal(x.res.body_len, 2);
		http_exchange_release(&x);
		struct peer_asked q = peer_nth(&r->peer, "PUT", "/put", (int)i);
		char *length = peer_header(&q, "content-length"), *wanted;
		wanted = xasprintf("%lld", (long long)sizes[i]);
		assert_string_equal(length, wanted);
		assert_int_equal(q.body_len, sizes[i]);
		assert_memory_equal(q.body, r->data, q.body_len);
		assert_null(peer_header(&q, "transfer-encoding"));
		assert_null(peer_header(&q, "expect"));
		xfree(wanted);
		xfree(length);
	}
	assert_int_equal(peer_connections(&r->peer), 1);
}

/* The peer closes a kept connection at the moment that it is used: the body goes again, whole. */
static void test_source_again(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	ask(r, "/first");
	drop(r);
	put(r, &x, "/drop", BIG);
	assert_int_equal(x.res.fault, HTTP_FAULT_NONE);
	assert_int_equal(x.res.status, 200);
	http_exchange_release(&x);
	assert_int_equal(r->sources, 2);
	assert_int_equal(peer_count(&r->peer, "PUT", "/drop"), 2);
	for (int i = 0; i < 2; i++) {
		struct peer_asked q = peer_nth(&r->peer, "PUT", "/drop", i);
		assert_int_equal(q.connection, i);
		assert_int_equal(q.body_len, BIG);
		assert_memory_equal(q.body, r->data, BIG);
	}
	/* on a new connection it is an answer that never came */
	drop(r);
	prepare(r, &x, "PUT", "/drop");
	x.req.source = source;
	x.req.source_arg = r;
	x.req.source_len = 10;
	x.req.fresh = true;
	run(r, &x);
	assert_int_equal(x.res.fault, HTTP_FAULT_RESET);
	assert_int_equal(x.res.status, 0);
	http_exchange_release(&x);
}

static void test_source_fails(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	static const int64_t at[] = {0, 1, 100000, BIG - 1};
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		r->source_fails_at = at[i];
		put(r, &x, "/put", BIG);
		assert_int_equal(x.res.fault, HTTP_FAULT_LOCAL);
		assert_string_equal(x.res.fault_text, "the bytes to send cannot be read");
		http_exchange_release(&x);
	}
	assert_int_equal(peer_count(&r->peer, "PUT", "/put"), 0);
}

/* ---- Bodies on their way in ---- */

static void get_sunk(struct room *r, struct http_exchange *x, const char *path)
{
	r->nsunk = 0;
	prepare(r, x, "GET", path);
	x->req.sink = sink;
	x->req.sink_arg = r;
	x->req.max_body = 5000; /* holds for what is kept, not for what is handed on */
	run(r, x);
}

static void test_sink(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	get_sunk(r, &x, "/big");
	assert_int_equal(x.res.fault, HTTP_FAULT_NONE);
	assert_int_equal(r->nsunk, BIG);
	assert_memory_equal(r->sunk, r->data, BIG);
	assert_int_equal(x.res.received, BIG);
	assert_int_equal(x.res.content_length, BIG);
	assert_int_equal(x.res.body_len, 0);
	http_exchange_release(&x);
	/* an answer that is no good is kept, as always */
	get_sunk(r, &x, "/missing");
	assert_int_equal(x.res.status, 404);
	assert_int_equal(r->nsunk, 0);
	assert_int_equal(x.res.body_len, 8);
	assert_memory_equal(x.res.body, "not here", 8);
	http_exchange_release(&x);
	/* what came before the end is handed on; the answer is none */
	get_sunk(r, &x, "/short");
	assert_int_equal(x.res.fault, HTTP_FAULT_SHORT);
	assert_int_equal(r->nsunk, 10);
	assert_int_equal(x.res.received, 10);
	http_exchange_release(&x);
}

static void test_sink_fails(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	r->sink_fails_at = 1000;
	get_sunk(r, &x, "/big");
	assert_int_equal(x.res.fault, HTTP_FAULT_LOCAL);
	assert_true(r->nsunk < BIG);
	http_exchange_release(&x);
	/* without a sink, the limit stands */
	prepare(r, &x, "GET", "/big");
	x.req.max_body = 5000;
	run(r, &x);
	assert_int_equal(x.res.fault, HTTP_FAULT_TOO_LARGE);
	http_exchange_release(&x);
}

/* ---- Headers ---- */

static void test_wanted(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	prepare(r, &x, "GET", "/headers");
	x.req.want[0] = "etag";
	x.req.want[1] = "date";
	x.req.want[2] = "x-empty";
	x.req.want[3] = "x-absent";
	run(r, &x);
	assert_string_equal(x.res.want[0], "\"abc\"");
	assert_string_equal(x.res.want[1], "Fri, 02 Jan 2026 03:04:05 GMT");
	assert_string_equal(x.res.want[2], "");
	assert_string_equal(x.res.want[3], "");
	assert_string_equal(x.res.want[4], "");
	http_exchange_release(&x);
	/* only those of the last head count */
	prepare(r, &x, "GET", "/continue");
	x.req.want[0] = "etag";
	x.req.want[1] = "x-other";
	run(r, &x);
	assert_int_equal(x.res.status, 201);
	assert_string_equal(x.res.want[0], "");
	assert_string_equal(x.res.want[1], "new");
	http_exchange_release(&x);
}

static void test_head(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	for (int i = 0; i < 2; i++) { /* nothing of a body disturbs the next on the connection */
		prepare(r, &x, "HEAD", "/big");
		x.req.no_body = true;
		x.req.max_body = 5000;
		run(r, &x);
		assert_int_equal(x.res.fault, HTTP_FAULT_NONE);
		assert_int_equal(x.res.status, 200);
		assert_int_equal(x.res.content_length, BIG);
		assert_int_equal(x.res.received, 0);
		assert_int_equal(x.res.body_len, 0);
		http_exchange_release(&x);
	}
	assert_int_equal(peer_count(&r->peer, "HEAD", "/big"), 2);
	assert_int_equal(peer_connections(&r->peer), 1);
}

/* ---- Connections and patience ---- */

static void test_fresh(void **state)
{
	struct room *r = *state;
	struct http_exchange x;
	ask(r, "/a");
	ask(r, "/b");
	prepare(r, &x, "GET", "/c");
	x.req.fresh = true;
	run(r, &x);
	assert_int_equal(x.res.status, 200);
	http_exchange_release(&x);
	assert_int_equal(peer_nth(&r->peer, "GET", "/a", 0).connection, 0);
	assert_int_equal(peer_nth(&r->peer, "GET", "/b", 0).connection, 0);
	assert_int_equal(peer_nth(&r->peer, "GET", "/c", 0).connection, 1);
}

/* Who is not patient gives up after low_speed_time; who is, when the whole time is over. */
static void test_patient(void **state)
{
	struct room *r = *state;
	struct http_exchange x, y;
	struct err e;
	prepare(r, &x, "GET", "/silent");
	prepare(r, &y, "GET", "/silent");
	y.req.patient = true;
	http_start(r->http, &y);
	http_start(r->http, &x);
	struct http_exchange *first;
	while (!(first = http_done(r->http)))
		assert_true(http_turn(r->http, 1000, &e));
	assert_ptr_equal(first, &x);
	assert_int_equal(x.res.fault, HTTP_FAULT_TIMEOUT);
	assert_null(http_done(r->http)); /* the other one still waits */
	http_exchange_release(&x);
	http_exchange_release(&y);
	prepare(r, &y, "GET", "/silent");
	y.req.patient = true;
	y.req.total_ms = 100;
	http_start(r->http, &y);
	while (http_done(r->http) != &y)
		assert_true(http_turn(r->http, 1000, &e));
	assert_int_equal(y.res.fault, HTTP_FAULT_TIMEOUT);
	http_exchange_release(&y);
}

/* What is signed is what is sent. */
static void test_path_as_is(void **state)
{
	struct room *r = *state;
	ask(r, "/a/../b/./c//d?x=/../");
	assert_string_equal(peer_nth(&r->peer, "GET", "", 0).target, "/a/../b/./c//d?x=/../");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sink_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fresh, setup, teardown),
		cmocka_unit_test_setup_teardown(test_patient, setup, teardown),
		cmocka_unit_test_setup_teardown(test_path_as_is, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
