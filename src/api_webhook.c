/*
 * api_webhook - whether an address can be a webhook, and whether it answers. Gives away status and
 * time of a target, never a byte of its answer.
 */
#include "api_call.h"

#include "probe.h"
#include "sys.h"
#include "webhook_secret.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_MAX = 64 << 10, SEND_TRIES = 3 };

/* ---- What the client said ---- */

/* False: the answer is made. `payload` (borrowed) is NULL without test_payload. */
static bool read_request(struct api_call *c, const char **url, json_t **payload)
{
	json_t *given = NULL;
	/* The room that judges URLs judges their length too. */
	const struct member members[] = {
		{"webhook_url", MEMBER_TEXT, true, 0, INT32_MAX, url},
		{"test_payload", MEMBER_OBJECT, false, 0, INT32_MAX, &given},
	};
	if (json_is_null(json_object_get(c->json, "test_payload")))
		json_object_del(c->json, "test_payload");
	if (!api_members(c, members, sizeof members / sizeof *members, false))
		return false;
	*payload = given;
	return true;
}

enum api_step route_webhook_validate(struct api_call *c)
{
	const char *url;
	json_t *ignored, *o;
	struct err e;
	if (!read_request(c, &url, &ignored))
		return API_DONE;
	o = json_object();
	bool valid = webhook_url_check(url, &c->api->hooks, &e);
	json_object_set_new(o, "valid", json_boolean(valid));
	json_object_set_new(o, "url", json_string(url));
	if (!valid)
		json_object_set_new(o, "error", json_string(e.text));
	json_object_set_new(o, "message",
			    json_string(valid ? "This URL can be a webhook."
					      : "This URL cannot be a webhook."));
	return api_json(c, 200, o);
}

/* ---- Tests ---- */

static void free_ask(void *state)
{
	struct probe_ask *a = state;
	xfree(a->url);
	xfree(a->body);
	xfree(a);
}

static void probe_done(struct probe_ask *a)
{
	struct api_call *c = a->owner;
	c->wake(c->owner);
}

static json_t *plain_payload(void)
{
	json_t *o = json_object();
	json_object_set_new(o, "test", json_true());
	json_object_set_new(o, "message", json_string("A test of this webhook by autos."));
	json_object_set_new(o, "timestamp", json_value_time(sys_wall_ms()));
	return o;
}

/* As the message about a case that is complete. */
static json_t *full_payload(void)
{
	json_t *o = plain_payload();
	json_object_set_new(o, "process_number", json_string("0000000-00.0000.0.00.0000"));
	json_object_set_new(o, "status", json_string("completed"));
	json_object_set_new(o, "total_documents", json_integer(10));
	json_object_set_new(o, "completed_documents", json_integer(10));
	json_object_set_new(o, "failed_documents", json_integer(0));
	return o;
}

/* A test is signed like the real messages, once its user has a secret. */
static bool take_keys(struct api_call *c, struct probe_ask *a, struct err *e)
{
	struct webhook_secret_view all[WEBHOOK_SECRETS_MAX];
	size_t n = 0;
	static_assert(sizeof a->keys / sizeof *a->keys >= WEBHOOK_SECRETS_MAX, "all fit");
	struct db *db = api_reader(c->api, e);
	bool ok = db && webhook_secrets(db, c->who.user_id, sys_wall_ms(), all, &n, e);
	api_reader_back(c->api, db);
	for (size_t i = 0; i < n; i++)
		if (all[i].kind == WEBHOOK_HMAC || c->api->config->webhook_ed25519)
			a->keys[a->nkeys++] = all[i].key;
	memcpy(a->event_id, "msg_", 4);
	sys_random_hex(a->event_id + 4, 32);
	return ok;
}

/* Takes over the payload. */
static enum api_step start(struct api_call *c, const char *url, json_t *payload, bool send_test,
			   api_fn *next)
{
	struct err e;
	char *text = json_dumps(payload, JSON_COMPACT);
	json_decref(payload);
	if (!text)
		die("out of memory (json)");
	if (!webhook_url_check(url, &c->api->hooks, &e)) {
		free(text);
		return api_problem(c, "invalid-webhook-url", "%s", e.text);
	}
	if (strlen(text) > PAYLOAD_MAX) {
		free(text);
		json_t *errors = json_pack("[{s:s, s:s}]", "pointer", "/test_payload", "detail",
					   "test_payload may have at most 65536 bytes");
		return api_invalid(c, "invalid-body", errors);
	}
	struct probe_ask *a = xcalloc(1, sizeof *a);
	a->url = xstrdup(url);
	a->body = xstrdup(text);
	free(text);
	snprintf(a->id, sizeof a->id, "%.63s", c->request_id);
	a->tries = send_test ? SEND_TRIES : 1;
	a->wait_ms = c->api->config->retry_delay;
	a->success_only = send_test;
	a->done = probe_done;
	a->owner = c;
	c->state = a;
	c->state_free = free_ask;
	if (send_test && !take_keys(c, a, &e))
		return api_error(c, &e);
	c->sleep = SLEEP_PROBE;
	c->next = next;
	return API_SLEEP;
}

static json_t *result(const struct probe_ask *a)
{
	json_t *o = json_object();
	json_object_set_new(o, "success", json_boolean(a->ok));
	json_object_set_new(o, "reachable", json_boolean(a->status > 0));
	json_object_set_new(o, "url", json_string(a->url));
	if (a->status) {
		json_object_set_new(o, "status_code", json_integer(a->status));
		json_object_set_new(o, "response_time_ms", json_integer(a->ms));
	}
	if (!a->ok)
		json_object_set_new(o, "error", json_string(a->error));
	return o;
}

/* True when no attempt was made at all: the answer is made. */
static bool not_tried(struct api_call *c, const struct probe_ask *a)
{
	if (a->attempts)
		return false;
	api_header(c, "Retry-After", "5");
	api_problem(c, atomic_load(&c->api->draining) ? "draining" : "overloaded", "%s", a->error);
	return true;
}

static enum api_step answer_connectivity(struct api_call *c)
{
	const struct probe_ask *a = c->state;
	if (not_tried(c, a))
		return API_DONE;
	json_t *o = result(a);
	json_object_set_new(
		o, "message",
		json_string(a->ok ? "The target answered." : "The target could not be reached."));
	return api_json(c, 200, o);
}

static enum api_step answer_send_test(struct api_call *c)
{
	const struct probe_ask *a = c->state;
	if (not_tried(c, a))
		return API_DONE;
	json_t *o = result(a);
	json_object_set_new(o, "attempts", json_integer(a->attempts));
	json_object_set_new(o, "message",
			    json_string(a->ok       ? "The target took the test."
					: a->status ? "The target refused the test."
						    : "The target could not be reached."));
	return api_json(c, 200, o);
}

enum api_step route_webhook_connectivity(struct api_call *c)
{
	const char *url;
	json_t *given;
	if (!read_request(c, &url, &given))
		return API_DONE;
	return start(c, url, given ? json_incref(given) : plain_payload(), false,
		     answer_connectivity);
}

enum api_step route_webhook_send_test(struct api_call *c)
{
	const char *url;
	json_t *given;
	if (!read_request(c, &url, &given))
		return API_DONE;
	return start(c, url, given ? json_incref(given) : full_payload(), true, answer_send_test);
}

/* ---- A webhook of our own ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *sorted_keys(json_t *object)
{
	size_t n = 0;
	const char **names = xcalloc(json_object_size(object) + 1, sizeof *names), *name;
	json_t *value, *out = json_array();
	json_object_foreach(object, name, value) names[n++] = name;
	qsort(names, n, sizeof *names, by_name);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_string(names[i]));
	xfree(names);
	return out;
}

static json_t *text_member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	return json_is_string(value) ? json_string(json_string_value(value)) : json_null();
}

enum api_step route_webhook_receiver(struct api_call *c)
{
	if (config_is_production(c->api->config))
		return api_problem(c, "not-found", "there is nothing at this address");
	json_t *o = json_object();
	json_object_set_new(o, "received", json_true());
	json_object_set_new(o, "timestamp", json_value_time(sys_wall_ms()));
	json_object_set_new(o, "payload_keys", sorted_keys(c->json));
	json_object_set_new(o, "message", json_string("Received."));
	json_object_set_new(o, "test",
			    json_boolean(json_is_true(json_object_get(c->json, "test"))));
	json_object_set_new(o, "process_number", text_member(c->json, "process_number"));
	json_object_set_new(o, "status", text_member(c->json, "status"));
	return api_json(c, 200, o);
}
