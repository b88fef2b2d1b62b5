/*
 * s3_engine - see s3_engine.h. Knows no object and no document: only calls and their answers.
 */
#include "s3_engine.h"

#include "lane.h"
#include "log.h"
#include "metrics.h"
#include "s3_budget.h"
#include "sys.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

enum { TURN_MAX_MS = 1000, START_PARALLEL = 16, PAUSE_MS = 500, PAUSE_MAX_MS = 20000 };

struct queue {
	struct s3_op *head, **tail;
};

struct s3_engine {
	const struct s3_place *place;
	const struct s3_account *account;
	const struct config *config;
	struct http *http;
	pthread_t thread;

	pthread_mutex_t lock; /* guards the next three */
	struct queue inbox;
	bool closing, cutting;

	/* the thread's own */
	struct queue ready;
	struct s3_op *asked;   /* their exchange runs */
	struct s3_op *delayed; /* wait for their next try; few, so no order */
	struct lane lane;
	struct s3_budget budget;
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_add(struct queue *q, struct s3_op *op)
{
	op->next = NULL;
	*q->tail = op;
	q->tail = &op->next;
}

static struct s3_op *queue_take(struct queue *q)
{
	struct s3_op *op = q->head;
	if (op && !(q->head = op->next))
		q->tail = &q->head;
	return op;
}

void s3_op_release(struct s3_op *op)
{
	http_exchange_release(&op->exchange);
	s3_call_release(&op->call);
	op->body = NULL; /* the next call of this op may have neither */
	op->sink = NULL;
	op->res = NULL;
}

/* ---- One try ---- */

static long read_body(void *arg, int64_t at, void *out, size_t cap)
{
	const struct s3_op *op = arg;
	return (long)spool_read(op->body, op->from + at, out, cap);
}

/* What an earlier try gave to the sink is not given again. */
static bool take_body(void *arg, const void *data, size_t len)
{
	struct s3_op *op = arg;
	const char *p = data;
	if (op->taken == 0 && op->skip == 0)
		memcpy(op->etag, op->exchange.res.want[S3_WANT_ETAG], sizeof op->etag);
	if (op->skip < 0) /* asked for the rest: does the server give it from there? */
		op->skip = op->exchange.res.status == 206 ? 0 : op->taken;
	size_t known = op->skip < (int64_t)len ? (size_t)op->skip : len;
	op->skip -= (int64_t)known;
	if (known == len)
		return true;
	op->taken += (int64_t)(len - known);
	return op->sink(op->sink_arg, p + known, len - known, &op->sink_error);
}

/* The second and later tries of reading an object ask for what is missing only. */
static void ask_rest(struct s3_op *op)
{
	char *key = op->call.key;
	op->call.key = NULL;
	s3_call_release(&op->call);
	s3_call_get(&op->call, key, op->taken, op->etag);
	xfree(key);
	op->skip = -1;
}

static void begin_try(struct s3_engine *x, struct s3_op *op, int64_t now)
{
	http_exchange_release(&op->exchange);
	if (op->sink && op->taken)
		ask_rest(op);
	s3_request(x->place, x->account, &op->call, sys_wall_ms() / 1000, &op->exchange.req);
	op->exchange.owner = op;
	op->exchange.req.fresh = op->exchange.req.fresh || op->tries > 0;
	if (op->body) {
		op->exchange.req.source = read_body;
		op->exchange.req.source_arg = op;
		op->exchange.req.source_len = op->len;
	}
	if (op->sink) {
		op->exchange.req.sink = take_body;
		op->exchange.req.sink_arg = op;
	}
	op->started_us = sys_mono_us();
	op->before = NULL;
	op->after = x->asked;
	if (op->after)
		op->after->before = op;
	x->asked = op;
	lane_start(&x->lane, now, false);
	http_start(x->http, &op->exchange);
}

/* ---- What an answer does ---- */

static void publish_parallel(const struct s3_engine *x)
{
	metric_set(METRIC_store_parallel, (int64_t)x->lane.limit);
}

static void slow_down(struct s3_engine *x, struct s3_op *op, int64_t now)
{
	int64_t pause, wait = http_retry_after_ms(op->res->retry_after, sys_wall_ms());
	metric_add(METRIC_store_slowdowns, 1);
	lane_halve(&x->lane, now);
	if (wait >= 0)
		lane_hold(&x->lane, now, wait < PAUSE_MAX_MS ? wait : PAUSE_MAX_MS, &pause);
	publish_parallel(x);
}

/* Whether the op waits for another try. */
static bool try_again(struct s3_engine *x, struct s3_op *op, int64_t now)
{
	if (op->once || op->tries >= x->config->s3_retry_max)
		return false;
	if (!s3_budget_spend(&x->budget, op->verdict.timeout, &op->cost))
		return false;
	op->tries++;
	metric_add(METRIC_store_retries, 1);
	op->not_before = now + s3_budget_wait(x->config->s3_retry_delay, op->tries,
					      sys_random_below(UINT64_MAX));
	op->next = x->delayed;
	x->delayed = op;
	return true;
}

static void log_answer(const struct s3_op *op, bool again)
{
	const struct http_res *r = op->res;
	const struct s3_verdict *v = &op->verdict;
	/* What is asked once only is a question whose answer may be no. */
	if (v->meaning == S3_GOOD || v->meaning == S3_ABSENT || v->meaning == S3_TAKEN || op->once)
		log_debug("store answer", "call=%s status=%d try=%d bytes=%" PRId64,
			  op->call.action, r->status, op->tries + 1, r->received);
	else
		log_info(again ? "store retry" : "store refusal",
			 "call=%s status=%d fault=%s code=%s try=%d request=%s", op->call.action,
			 r->status, http_fault_name(r->fault), *v->code ? v->code : "-", op->tries,
			 *r->want[S3_WANT_REQUEST] ? r->want[S3_WANT_REQUEST] : "-");
}

static void end_try(struct s3_engine *x, struct s3_op *op)
{
	if (op->before)
		op->before->after = op->after;
	else
		x->asked = op->after;
	if (op->after)
		op->after->before = op->before;
	op->res = &op->exchange.res;
	lane_end(&x->lane);
}

static void settle(struct s3_engine *x, struct s3_op *op)
{
	int64_t now = sys_mono_ms();
	end_try(x, op);
	s3_classify(x->place, x->account, &op->call, op->res, sys_wall_ms(), &op->verdict);
	if (op->verdict.meaning == S3_LOCAL && op->sink_error.kind != ERR_NONE)
		op->verdict.err = op->sink_error;
	metric_count(FAMILY_store_answers, s3_meaning_name(op->verdict.meaning));
	metric_observe(HISTOGRAM_store_request, op->call.action,
		       (double)(sys_mono_us() - op->started_us) / 1e6);
	bool again = false;
	switch (op->verdict.meaning) {
	case S3_GOOD:
		lane_good(&x->lane);
		s3_budget_refund(&x->budget, op->cost);
		publish_parallel(x);
		break;
	case S3_SLOW:
		slow_down(x, op, now);
		again = try_again(x, op, now);
		break;
	case S3_RETRY:
		again = try_again(x, op, now);
		break;
	case S3_ABSENT:
	case S3_TAKEN:
	case S3_REFUSED:
	case S3_LOCAL:
		break;
	}
	log_answer(op, again);
	if (!again)
		op->done(op);
}

/* ---- The loop ---- */

static void end_unanswered(struct s3_op *op, const char *why)
{
	http_exchange_release(&op->exchange);
	op->exchange.res = (struct http_res){.fault = HTTP_FAULT_RESET};
	op->res = &op->exchange.res;
	op->verdict = (struct s3_verdict){.meaning = S3_RETRY};
	fail(&op->verdict.err, ERR_BUSY, "%s the S3 server at %s", why, op->engine->place->host);
	op->done(op);
}

static void end_cut(struct s3_op *op)
{
	end_unanswered(op, "cut off on the way to");
}

static bool is_late(const struct s3_op *op, int64_t now)
{
	return op->until_ms && op->until_ms <= now;
}

/* What is asked now, and what waits; whatever that leads to may go on. */
static void cut_all(struct s3_engine *x)
{
	struct s3_op *op, *delayed = x->delayed;
	struct queue ready = x->ready;
	if (!ready.head)
		ready.tail = &ready.head;
	queue_init(&x->ready);
	x->delayed = NULL;
	while ((op = x->asked)) {
		end_try(x, op);
		end_cut(op);
	}
	while ((op = delayed)) {
		delayed = op->next;
		end_cut(op);
	}
	while ((op = queue_take(&ready))) {
		if (op->call.method)
			end_cut(op);
		else
			queue_add(&x->ready, op);
	}
}

static void take_inbox(struct s3_engine *x, bool *closing)
{
	bool cutting;
	struct s3_op *op;
	pthread_mutex_lock(&x->lock);
	while ((op = queue_take(&x->inbox)))
		queue_add(&x->ready, op);
	*closing = x->closing;
	cutting = x->cutting;
	x->cutting = false;
	pthread_mutex_unlock(&x->lock);
	if (cutting)
		cut_all(x);
}

/* Delayed ops whose time has come go before the others; gives the moment of the next. */
static int64_t take_delayed(struct s3_engine *x, int64_t now)
{
	int64_t at = INT64_MAX;
	for (struct s3_op **p = &x->delayed, *op; (op = *p);) {
		if (op->not_before > now) {
			if (op->not_before < at)
				at = op->not_before;
			p = &op->next;
			continue;
		}
		*p = op->next;
		op->next = x->ready.head;
		x->ready.head = op;
		if (!op->next)
			x->ready.tail = &op->next;
	}
	return at;
}

/* Their time is over, whatever they wait for. */
static void give_up(struct s3_engine *x, int64_t now)
{
	struct s3_op *late = NULL, *next;
	for (struct s3_op *op = x->asked; op; op = next) {
		next = op->after;
		if (!is_late(op, now))
			continue;
		end_try(x, op);
		op->next = late;
		late = op;
	}
	for (struct s3_op **p = &x->delayed, *op; (op = *p);) {
		if (!is_late(op, now)) {
			p = &op->next;
			continue;
		}
		*p = op->next;
		op->next = late;
		late = op;
	}
	for (; late; late = next) {
		next = late->next;
		end_unanswered(late, "no answer in time from");
	}
}

/* Starts what may start. Ops without a call are steps of work: one a turn, so that the network does
 * not wait for a long queue of them. True when more of them wait. */
static bool start_ready(struct s3_engine *x, int64_t now)
{
	bool worked = false;
	while (x->ready.head) {
		bool call = x->ready.head->call.method != NULL;
		if (call ? lane_room(&x->lane, now) == 0 : worked)
			break;
		struct s3_op *op = queue_take(&x->ready);
		if (call && is_late(op, now)) {
			end_unanswered(op, "not asked in time:");
		} else if (call) {
			begin_try(x, op, now);
		} else {
			worked = true;
			op->done(op);
		}
	}
	return worked && x->ready.head;
}

static void *run(void *arg)
{
	struct s3_engine *x = arg;
	for (;;) {
		bool closing;
		take_inbox(x, &closing);
		if (closing)
			return NULL;
		int64_t now = sys_mono_ms();
		give_up(x, now);
		int64_t at = take_delayed(x, now);
		bool more = start_ready(x, now);
		int64_t opens = lane_opens_at(&x->lane, now);
		if (x->ready.head && opens < at)
			at = opens;
		int64_t wait = more || at <= now        ? 0
			       : at - now > TURN_MAX_MS ? TURN_MAX_MS
							: at - now;
		struct err e;
		if (!http_turn(x->http, wait, &e))
			die("%s", e.text);
		for (struct http_exchange *h; (h = http_done(x->http));)
			settle(x, h->owner);
	}
}

/* ---- Life ---- */

struct s3_engine *s3_engine_new(const struct s3_place *p, const struct s3_account *a,
				const struct config *c, struct err *e)
{
	struct http_options o = {.proxy = c->s3_proxy,
				 .ca_file = c->s3_ca_file,
				 .connect_timeout_ms = c->s3_connect_timeout,
				 .low_speed = 1,
				 .low_speed_time_s = c->s3_low_speed_time / 1000,
				 .spool_dir = c->data_dir,
				 .spool_memory = HTTP_EDGE,
				 .connections = (int)c->s3_parallel};
	struct http *http = http_new(&o, e);
	if (!http)
		return NULL;
	struct s3_engine *x = xcalloc(1, sizeof *x);
	int most = (int)c->s3_parallel;
	x->place = p;
	x->account = a;
	x->config = c;
	x->http = http;
	queue_init(&x->inbox);
	queue_init(&x->ready);
	pthread_mutex_init(&x->lock, NULL);
	lane_init(&x->lane,
		  &(struct lane_options){.min = 1,
					 .start = most < START_PARALLEL ? most : START_PARALLEL,
					 .max = most,
					 .pause_ms = PAUSE_MS,
					 .pause_max_ms = PAUSE_MAX_MS});
	s3_budget_init(&x->budget);
	publish_parallel(x);
	if (pthread_create(&x->thread, NULL, run, x) != 0)
		die("cannot start a thread");
	return x;
}

void s3_engine_free(struct s3_engine *x)
{
	if (!x)
		return;
	pthread_mutex_lock(&x->lock);
	assert(!x->inbox.head);
	x->closing = true;
	pthread_mutex_unlock(&x->lock);
	http_wake(x->http);
	pthread_join(x->thread, NULL);
	assert(!x->ready.head && !x->delayed && x->lane.active == 0);
	pthread_mutex_destroy(&x->lock);
	http_free(x->http);
	xfree(x);
}

void s3_engine_start(struct s3_engine *x, struct s3_op *op)
{
	op->engine = x;
	op->tries = op->cost = 0;
	op->taken = op->skip = 0;
	op->sink_error = (struct err){0};
	pthread_mutex_lock(&x->lock);
	bool first = !x->inbox.head;
	queue_add(&x->inbox, op);
	pthread_mutex_unlock(&x->lock);
	if (first)
		http_wake(x->http);
}

void s3_engine_cut(struct s3_engine *x)
{
	pthread_mutex_lock(&x->lock);
	x->cutting = true;
	pthread_mutex_unlock(&x->lock);
	http_wake(x->http);
}

/* ---- Waiting for an op ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done;
};

static void wake_waiter(struct s3_op *op)
{
	struct waiter *w = op->owner;
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->over);
	pthread_mutex_unlock(&w->lock);
}

bool s3_engine_ask(struct s3_engine *x, struct s3_op *op, struct err *e)
{
	struct waiter w = {.done = false};
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.over, NULL);
	op->owner = &w;
	op->done = wake_waiter;
	s3_engine_start(x, op);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.over, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.over);
	pthread_mutex_destroy(&w.lock);
	if (op->verdict.meaning == S3_GOOD)
		return true;
	*e = op->verdict.err;
	return false;
}
