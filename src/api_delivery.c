/*
 * api_delivery - deliveries over HTTP: looked at, and sent again. Everybody sees their own; an
 * admin sees all.
 */
#include "api_call.h"

#include "delivery.h"
#include "delivery_read.h"
#include "log.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { AGAIN_MAX = 10000 };

/* Whose deliveries the caller may see. */
static int64_t scope_of(const struct api_call *c)
{
	return c->who.role == ROLE_ADMIN ? -1 : c->who.user_id;
}

/* ---- As JSON ---- */

static json_t *row_json(const struct delivery_row *d)
{
	json_t *o = json_object();
	bool over = strcmp(d->state, "pending") != 0 && strcmp(d->state, "delivering") != 0;
	json_object_set_new(o, "id", json_string(d->event_id));
	json_object_set_new(o, "job_id", view_id(d->job_id));
	json_object_set_new(o, "process_number", json_value_text(d->number));
	json_object_set_new(o, "webhook_url", json_value_text(d->url));
	json_object_set_new(o, "webhook_thin", json_boolean(d->thin));
	json_object_set_new(o, "user_id", d->user_id ? json_integer(d->user_id) : json_null());
	json_object_set_new(o, "status", json_string(d->state));
	json_object_set_new(o, "attempt_count", json_integer(d->attempts));
	json_object_set_new(o, "last_result", json_value_text(d->class));
	json_object_set_new(o, "error_message", json_value_text(d->error));
	json_object_set_new(o, "created_at", json_value_time(d->created_ms));
	json_object_set_new(o, "next_attempt_at", over ? json_null() : json_value_time(d->next_ms));
	json_object_set_new(o, "ended_at", json_value_time(d->ended_ms));
	return o;
}

static json_t *attempt_json(const struct attempt_row *a)
{
	json_t *o = json_object();
	json_object_set_new(o, "attempt", json_integer(a->n));
	json_object_set_new(o, "trigger", json_string(a->manual ? "manual" : "auto"));
	json_object_set_new(o, "at", json_value_time(a->at_ms));
	json_object_set_new(o, "duration_ms", json_integer(a->duration_ms));
	json_object_set_new(o, "address", json_value_text(a->address));
	json_object_set_new(o, "status_code", a->status ? json_integer(a->status) : json_null());
	json_object_set_new(o, "result", json_string(a->class));
	json_object_set_new(o, "error_message", json_value_text(a->error));
	json_object_set_new(o, "answer", json_value_text(a->answer));
	json_object_set_new(o, "reason", json_value_text(a->why));
	json_object_set_new(o, "next_attempt_at", json_value_time(a->next_ms));
	return o;
}

/* NULL: *e. */
static json_t *read_one(struct api_call *c, bool attempts, struct err *e)
{
	struct delivery_list l = {0};
	struct attempt_list a = {0};
	struct db *db = api_reader(c->api, e);
	bool ok = db && delivery_one(db, c->args[0], scope_of(c), &l, e) &&
		  (!attempts || delivery_attempts(db, l.rows[0].id, &a, e));
	api_reader_back(c->api, db);
	json_t *o = ok ? row_json(&l.rows[0]) : NULL;
	if (ok && attempts) {
		json_t *list = json_array();
		for (size_t i = 0; i < a.n; i++)
			json_array_append_new(list, attempt_json(&a.rows[i]));
		json_object_set_new(o, "attempts", list);
	}
	attempt_list_release(&a);
	delivery_list_release(&l);
	return o;
}

/* ---- Looking ---- */

enum api_step route_get_delivery(struct api_call *c)
{
	struct err e;
	json_t *o = read_one(c, true, &e);
	return o ? api_json(c, 200, o) : api_error_as(c, &e, "delivery-not-found", "delivery-busy");
}

enum api_step route_list_deliveries(struct api_call *c)
{
	static const char *const states[] = {"any",    "pending",   "delivering", "delivered",
					     "failed", "cancelled", NULL};
	struct delivery_filter f = {.user_id = scope_of(c)};
	struct delivery_list l = {0};
	char cursor[256];
	size_t state;
	struct err e;
	if (!api_choice_parameter(c, "status", states, 0, &state) ||
	    !api_int_parameter(c, "job_id", 0, 0, INT64_MAX, &f.job_id) ||
	    !api_int_parameter(c, "limit", 100, 1, 1000, &f.limit) ||
	    !api_cursor_parameter(c, cursor) ||
	    (*cursor && !api_cursor_number(c, cursor, &f.below_id)))
		return API_DONE;
	f.state = state ? states[state] : NULL;
	struct db *db = api_reader(c->api, &e);
	bool ok = db && delivery_list(db, &f, &l, &e);
	api_reader_back(c->api, db);
	json_t *all = json_array(), *next = json_null();
	for (size_t i = 0; ok && i < l.n; i++)
		json_array_append_new(all, row_json(&l.rows[i]));
	if (ok && l.n == (size_t)f.limit)
		next = api_next_number(c, l.rows[l.n - 1].id);
	delivery_list_release(&l);
	json_t *o = json_pack("{s:o, s:o}", "deliveries", all, "next", next);
	if (ok)
		return api_json(c, 200, o);
	json_decref(o);
	return api_error(c, &e);
}

/* ---- Sending again ---- */

static bool write_again(struct db *db, struct api_call *c, struct err *e)
{
	return delivery_again(db, c->args[0], scope_of(c), sys_wall_ms(), e);
}

static enum api_step answer_again(struct api_call *c)
{
	struct err e;
	if (!c->write.ok)
		return api_error_as(c, &c->write.err, "delivery-not-found", "delivery-busy");
	log_info("delivery again", "request_id=%s event=%s user=%" PRId64, c->request_id,
		 c->args[0], c->who.user_id);
	json_t *o = read_one(c, false, &e);
	if (!o)
		return api_error_as(c, &e, "delivery-not-found", "delivery-busy");
	api_header(c, "Retry-After", "2");
	return api_json(c, 202, o);
}

enum api_step route_redeliver(struct api_call *c)
{
	return api_write(c, write_again, answer_again);
}

struct again {
	int64_t since_ms;
	size_t n;
};

static bool write_failed_again(struct db *db, struct api_call *c, struct err *e)
{
	struct again *a = c->state;
	return delivery_failed_again(db, a->since_ms, scope_of(c), AGAIN_MAX, sys_wall_ms(), &a->n,
				     e);
}

static enum api_step answer_failed_again(struct api_call *c)
{
	const struct again *a = c->state;
	if (!c->write.ok)
		return api_error(c, &c->write.err);
	log_info("failed deliveries again", "request_id=%s deliveries=%zu user=%" PRId64,
		 c->request_id, a->n, c->who.user_id);
	api_header(c, "Retry-After", "2");
	return api_json(c, 202,
			json_pack("{s:I, s:b}", "redelivered", (json_int_t)a->n, "more",
				  a->n == AGAIN_MAX));
}

enum api_step route_redeliver_failed(struct api_call *c)
{
	const char *since = NULL;
	const struct member members[] = {{"since", MEMBER_TEXT, true, 1, 40, &since}};
	if (!api_members(c, members, 1, true))
		return API_DONE;
	struct again *a = xcalloc(1, sizeof *a);
	c->state = a;
	c->state_free = xfree;
	if (!json_value_parse_time(since, &a->since_ms))
		return api_invalid(c, "invalid-body",
				   json_pack("[{s:s, s:s}]", "pointer", "/since", "detail",
					     "since must be a time such as "
					     "2026-01-31T12:00:00Z"));
	return api_write(c, write_failed_again, answer_failed_again);
}
