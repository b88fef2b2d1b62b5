/*
 * api - the life of a call: begun, run, asleep, resumed, finished. What the routes do is in the
 * other api_ files; this one only moves a call from step to step.
 */
#include "api_call.h"

#include "api_docs.h"
#include "api_watch.h"
#include "log.h"
#include "metrics.h"
#include "probe.h"
#include "sys.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READERS_IDLE = 64, RATE_SLOTS = 1 << 14, SWEEP_EVERY_MS = 600000 };

/* ---- The service ---- */

static bool read_secret(struct db *db, void *arg, struct err *e)
{
	/* Whoever began to answer is dead, unless there are other processes. */
	return access_secret(db, "link", arg, e) &&
	       (!db->ops->exclusive || idem_drop_running(db, e));
}

static bool prepare(struct api *a, struct err *e)
{
	char hex[65];
	ledger_watch(a->o.ledger, hub_notes, a->hub);
	a->keyring = keyring_new(a->config->database_url, e);
	if (!a->keyring)
		return false;
	ledger_watch(a->o.ledger, keyring_notes, a->keyring);
	if (!ledger_write(a->o.ledger, read_secret, hex, e))
		return false;
	for (size_t i = 0; i < LINK_SECRET; i++)
		a->link_secret[i] =
			(unsigned char)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
	if (!webhook_rules_init(&a->hooks, a->config, e))
		return false;
	a->probe = probe_new(a->config, e);
	if (!a->probe || !api_check_limits(a->config->rate_limit_routes, e))
		return false;
	a->store = api_store_new(a->o.ledger, a->o.store);
	return true;
}

struct api *api_new(const struct api_options *o, struct err *e)
{
	struct api *a = xcalloc(1, sizeof *a);
	a->o = *o;
	a->config = o->config;
	a->started_ms = sys_wall_ms();
	api_set_base(a, o->config->public_url);
	pthread_mutex_init(&a->readers_lock, NULL);
	a->hub = hub_new();
	a->cache = cache_new(a->hub, (size_t)o->config->cache_memory);
	a->rates = rate_new(RATE_SLOTS);
	a->watch = api_watch_new();
	api_pages_make(a);
	if (!prepare(a, e)) {
		api_free(a);
		return NULL;
	}
	return a;
}

void api_free(struct api *a)
{
	if (!a)
		return;
	api_store_free(a->store);
	probe_free(a->probe);
	cache_free(a->cache);
	hub_free(a->hub);
	keyring_free(a->keyring);
	rate_free(a->rates);
	api_watch_free(a->watch);
	api_pages_drop(a);
	for (size_t i = 0; i < a->nreaders; i++)
		db_close(a->readers[i]);
	pthread_mutex_destroy(&a->readers_lock);
	xfree(a->base);
	xfree(a);
}

void api_set_base(struct api *a, const char *url)
{
	size_t n = strlen(url);
	while (n && url[n - 1] == '/')
		n--;
	xfree(a->base);
	a->base = xstrndup(url, n);
}

void api_listens(struct api *a, int port)
{
	probe_listens(a->probe, port);
}

void api_drain(struct api *a)
{
	atomic_store(&a->draining, true);
	hub_wake_all(a->hub);
	probe_stop(a->probe);
	api_store_drain(a->store);
}

void api_stop(struct api *a)
{
	api_store_stop(a->store);
}

bool api_has_keys(struct api *a)
{
	return keyring_count(a->keyring) > 0;
}

static bool sweep(struct db *db, void *arg, struct err *e)
{
	(void)arg;
	return idem_sweep(db, sys_wall_ms(), e);
}

void api_housekeeping(struct api *a)
{
	struct err e;
	int64_t now = sys_mono_ms();
	api_watch_tick(a);
	if (now - atomic_load(&a->swept_ms) < SWEEP_EVERY_MS)
		return;
	atomic_store(&a->swept_ms, now);
	if (!ledger_write(a->o.ledger, sweep, NULL, &e))
		log_warn("sweep failed", "why=\"%s\"", e.text);
}

struct db *api_reader(struct api *a, struct err *e)
{
	struct db *db = NULL;
	pthread_mutex_lock(&a->readers_lock);
	if (a->nreaders)
		db = a->readers[--a->nreaders];
	pthread_mutex_unlock(&a->readers_lock);
	if (!db && !(db = db_open(a->config->database_url, DB_READ, e)))
		e->kind = ERR_FAIL; /* a database that is not there is no unknown case */
	return db;
}

void api_reader_back(struct api *a, struct db *db)
{
	if (!db)
		return;
	pthread_mutex_lock(&a->readers_lock);
	bool kept = a->nreaders < READERS_IDLE;
	if (kept)
		a->readers[a->nreaders++] = db;
	pthread_mutex_unlock(&a->readers_lock);
	if (!kept)
		db_close(db);
}

/* ---- A call begins ---- */

const char *api_request_header(const struct api_request *q, const char *name)
{
	for (size_t i = 0; i < q->nheaders; i++)
		if (strcasecmp(q->headers[i].name, name) == 0)
			return q->headers[i].value;
	return NULL;
}

static void take_request_id(struct api_call *c)
{
	const char *id = api_request_header(c->request, "X-Request-ID");
	if (id && head_request_id(id))
		snprintf(c->request_id, sizeof c->request_id, "%s", id);
	else
		sys_random_hex(c->request_id, 32);
}

struct api_call *api_begin(struct api *a, const struct api_request *q, void (*wake)(void *owner),
			   void *owner)
{
	struct api_call *c = xcalloc(1, sizeof *c);
	c->api = a;
	c->request = q;
	c->wake = wake;
	c->owner = owner;
	c->res.fd = -1;
	buf_init(&c->res.text, 64 << 10);
	c->started_us = sys_mono_us();
	take_request_id(c);
	return c;
}

/* ---- Idempotency-Key ---- */

/* Reads the key, if the route honours it. False: the answer is made. */
static bool idem_prepare(struct api_call *c)
{
	const char *key = api_request_header(c->request, "Idempotency-Key");
	if (!key || !(c->route->flags & ROUTE_CREATES))
		return true;
	if (!head_idempotency_key(key, c->idem_key)) {
		api_problem(c, "malformed-request",
			    "Idempotency-Key must be 1 to 255 visible characters");
		return false;
	}
	struct sha256 *h = sha256_new();
	sha256_add(h, c->route->name, strlen(c->route->name) + 1);
	sha256_add(h, c->request->target, strlen(c->request->target) + 1);
	sha256_add(h, c->request->body, c->request->body_len);
	sha256_end(h, c->idem_print);
	sha256_free(h);
	c->idem_on = true;
	return true;
}

/* What the ledger runs for a call: the key is taken in the transaction of its first change. */
static bool run_write(struct db *db, void *arg, struct err *e)
{
	struct api_call *c = arg;
	if (c->idem_on && !c->idem_begun) {
		idem_answer_release(&c->idem_answer); /* of a run that was undone */
		if (!idem_begin(db, c->who.user_id, c->idem_key, c->idem_print, sys_wall_ms(),
				&c->idem, &c->idem_answer, e))
			return false;
		if (c->idem != IDEM_NEW)
			return true;
	}
	return c->write_fn(db, c, e);
}

static enum api_step replay(struct api_call *c)
{
	switch (c->idem) {
	case IDEM_DONE:
		if (c->idem_answer.location)
			api_header(c, "Location", "%s", c->idem_answer.location);
		if (c->idem_answer.status == 202)
			api_header(c, "Retry-After", "2");
		api_header(c, "Idempotency-Replayed", "true");
		const char *type = c->idem_answer.status >= 400 ? "application/problem+json"
								: "application/json";
		return api_bytes(c, c->idem_answer.status, type,
				 body_from(c->idem_answer.body, strlen(c->idem_answer.body)));
	case IDEM_RUNNING:
		api_header(c, "Retry-After", "1");
		return api_problem(c, "request-running",
				   "the first request with this Idempotency-Key is still being "
				   "answered");
	case IDEM_OTHER:
		return api_problem(c, "key-reused",
				   "this Idempotency-Key was used for another request");
	case IDEM_NEW:
		break;
	}
	return API_DONE;
}

/* The answer as it is kept: without a key that is shown once. */
static char *kept_body(const struct api_call *c)
{
	const struct body *b = c->res.body;
	char *text = b ? xstrndup(body_data(b), body_len(b)) : xstrdup("");
	if (!c->secret_answer)
		return text;
	json_t *o = json_loads(text, 0, NULL);
	xfree(text);
	json_object_set_new(o, "api_key", json_null());
	char *dump = json_dumps(o, JSON_COMPACT);
	text = xstrdup(dump ? dump : "{}");
	free(dump);
	json_decref(o);
	return text;
}

static bool write_idem_end(struct db *db, struct api_call *c, struct err *e)
{
	if (c->res.status >= 500 || c->res.status == 429)
		return idem_drop(db, c->who.user_id, c->idem_key, e);
	const char *location = NULL;
	for (size_t i = 0; i < c->res.nheaders; i++)
		if (strcmp(c->res.headers[i].name, "Location") == 0)
			location = api_header_value(&c->res, i);
	char *body = kept_body(c);
	bool ok = idem_end(db, c->who.user_id, c->idem_key, c->res.status, location, body, e);
	xfree(body);
	return ok;
}

static enum api_step idem_over(struct api_call *c)
{
	if (!c->write.ok)
		log_error("answer not kept", "why=\"%s\"", c->write.err.text);
	return API_DONE;
}

/* ---- Steps ---- */

static void wake_write(struct write *w)
{
	struct api_call *c = w->owner;
	c->wake(c->owner);
}

static void wake_news(struct hub_wait *w)
{
	struct api_call *c = w->owner;
	metric_add(METRIC_http_waiting, -1);
	c->wake(c->owner);
}

enum api_step api_write(struct api_call *c, api_write_fn *fn, api_fn *next)
{
	c->write_fn = fn;
	c->next = next;
	c->sleep = SLEEP_WRITE;
	return API_SLEEP;
}

enum api_step api_news(struct api_call *c, int64_t process_id, int64_t until_ms, api_fn *next)
{
	c->news = (struct hub_wait){.process_id = process_id,
				    .since = c->since,
				    .until_ms = until_ms,
				    .wake = wake_news,
				    .owner = c};
	c->next = next;
	c->sleep = SLEEP_NEWS;
	return API_SLEEP;
}

static void wake_erasure(void *owner)
{
	struct api_call *c = owner;
	c->wake(c->owner);
}

enum api_step api_erase(struct api_call *c, int64_t mark, api_fn *next)
{
	c->erasure = (struct api_erasure){
		.number = c->number.digits, .mark = mark, .done = wake_erasure, .owner = c};
	c->next = next;
	c->sleep = SLEEP_ERASE;
	return API_SLEEP;
}

void api_launch(struct api_call *c)
{
	switch (c->sleep) {
	case SLEEP_WRITE:
		c->write =
			(struct write){.fn = run_write, .arg = c, .done = wake_write, .owner = c};
		ledger_submit(c->api->o.ledger, &c->write);
		break;
	case SLEEP_NEWS:
		metric_add(METRIC_http_waiting, 1);
		hub_sleep(c->api->hub, &c->news);
		break;
	case SLEEP_PROBE:
		probe_start(c->api->probe, c->state);
		break;
	case SLEEP_ERASE:
		api_store_erase(c->api->store, &c->erasure);
		break;
	case SLEEP_NOT:
		c->wake(c->owner);
		break;
	}
}

/* After each step: a call that is answered still has to write its key's answer down. */
static enum api_step conclude(struct api_call *c, enum api_step step)
{
	if (step == API_SLEEP)
		return step;
	if (c->idem_begun && !c->idem_ended) {
		c->idem_ended = true;
		return api_write(c, write_idem_end, idem_over);
	}
	api_finish(c);
	return API_DONE;
}

static bool read_body(struct api_call *c)
{
	const struct api_request *q = c->request;
	const char *type = api_request_header(q, "Content-Type");
	json_error_t why;
	if (q->body_too_large) {
		api_problem(c, "body-too-large", "a body may have at most %lld bytes",
			    (long long)c->api->config->request_body_max);
		return false;
	}
	if (!(c->route->flags & ROUTE_BODY))
		return true;
	if (q->body_len && type && !head_is_json(type)) {
		api_problem(c, "unsupported-media-type", "the body must be application/json");
		return false;
	}
	c->json = json_loadb(q->body_len ? q->body : "{}", q->body_len ? q->body_len : 2,
			     JSON_REJECT_DUPLICATES, &why);
	if (!c->json)
		api_problem(c, "malformed-body", "the body is no JSON: line %d, column %d: %s",
			    why.line, why.column, why.text);
	else if (!json_is_object(c->json))
		api_problem(c, "malformed-body", "the body must be a JSON object");
	else
		return true;
	return false;
}

enum api_step api_run(struct api_call *c)
{
	struct err e;
	if (strlen(c->request->target) > TARGET_MAX)
		return conclude(c, api_problem(c, "target-too-long",
					       "an address may have at most %d bytes", TARGET_MAX));
	if (c->request->head_too_large) {
		c->res.close = true;
		return conclude(c, api_problem(c, "headers-too-large",
					       "request line and headers may have at most %lld "
					       "bytes together",
					       (long long)c->api->config->request_head_max));
	}
	/* RFC 9112, 6.3: two lengths are a way to smuggle a request past a proxy. */
	if (api_request_header(c->request, "Transfer-Encoding") &&
	    api_request_header(c->request, "Content-Length")) {
		c->res.close = true;
		return conclude(c, api_problem(c, "malformed-request",
					       "Transfer-Encoding and Content-Length exclude "
					       "each other"));
	}
	if (!target_parse(c->request->target, &c->target, &e))
		return conclude(c, api_problem(c, "malformed-request", "%s", e.text));
	c->route = api_find_route(c);
	if (!c->route || !api_authenticate(c) || !api_limit(c) || !api_authorize(c) ||
	    !read_body(c) || !idem_prepare(c))
		return conclude(c, API_DONE);
	api_write_use(c);
	return conclude(c, c->route->run(c));
}

enum api_step api_resume(struct api_call *c)
{
	enum api_sleep was = c->sleep;
	c->sleep = SLEEP_NOT;
	if (was == SLEEP_WRITE && c->idem_on && !c->idem_begun && c->write.ok) {
		if (c->idem != IDEM_NEW)
			return conclude(c, replay(c));
		c->idem_begun = true;
	}
	return conclude(c, c->next(c));
}

struct api_response *api_response(struct api_call *c)
{
	return &c->res;
}

void api_end(struct api_call *c)
{
	api_stream_free(c->res.stream);
	body_drop(c->res.body);
	buf_release(&c->res.text);
	target_release(&c->target);
	json_decref(c->json);
	case_view_release(&c->view);
	idem_answer_release(&c->idem_answer);
	if (c->state_free)
		c->state_free(c->state);
	xfree(c);
}
