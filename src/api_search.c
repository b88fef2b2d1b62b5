/*
 * api_search - many numbers at once: each gets a job if it needs one, all in one transaction, and
 * the batch can be asked for afterwards.
 */
#include "api_call.h"

#include "log.h"
#include "metrics.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

enum { NUMBERS_MAX = 1000, WAIT_FOR_MAX = 100 };

struct search {
	struct batch_entry *entries;
	size_t n;
	size_t next; /* the first that was not seen to be settled */
	json_t *invalid;
	int64_t total, batch_id;
	bool documents, force;
};

static void search_free(void *p)
{
	struct search *s = p;
	json_decref(s->invalid);
	xfree(s->entries);
	xfree(s);
}

/* ---- Reading the request ---- */

static bool is_there(const struct search *s, const char *digits)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->entries[i].number, digits) == 0)
			return true;
	return false;
}

static void take_number(struct search *s, const char *text)
{
	struct cnj n;
	struct err e;
	if (!cnj_parse(text, strlen(text), &n, &e)) {
		json_t *shown = json_stringn(text, strlen(text) < 60 ? strlen(text) : 0);
		json_array_append_new(s->invalid,
				      json_pack("{s:o, s:s}", "process_number",
						shown ? shown : json_string(""), "detail", e.text));
	} else if (!is_there(s, n.digits)) {
		snprintf(s->entries[s->n++].number, sizeof s->entries->number, "%s", n.digits);
	}
}

/* ---- The answer ---- */

enum fate { FATE_FOUND, FATE_PENDING, FATE_UNKNOWN };

static enum fate fate_of(const struct case_row *row)
{
	if (row->consulted_ms)
		return FATE_FOUND;
	if (strcmp(row->job_state, "failed") == 0 &&
	    outcome_parse(row->outcome) == OUTCOME_NOT_FOUND)
		return FATE_UNKNOWN;
	return FATE_PENDING;
}

struct sorted {
	json_t *found, *missing, *pending;
};

/* Adds one number to the list that it belongs to. */
static bool sort_one(struct db *db, const char *number, struct sorted *out, struct err *e)
{
	struct case_list row = {0};
	struct err why = {0};
	if (!query_case_row(db, number, &row, &why)) {
		case_list_release(&row);
		if (why.kind != ERR_ABSENT) {
			*e = why;
			return false;
		}
		json_array_append_new(out->missing, json_string(number));
		return true;
	}
	switch (fate_of(&row.cases[0])) {
	case FATE_FOUND:
		json_array_append_new(out->found, view_process(&row.cases[0]));
		break;
	case FATE_PENDING:
		json_array_append_new(out->pending, json_string(number));
		break;
	case FATE_UNKNOWN:
		json_array_append_new(out->missing, json_string(number));
		break;
	}
	case_list_release(&row);
	return true;
}

static enum api_step answer_search(struct api_call *c)
{
	struct search *s = c->state;
	struct sorted out = {json_array(), json_array(), json_array()};
	struct err e;
	struct db *db = api_reader(c->api, &e);
	bool ok = db && db_begin(db, &e);
	for (size_t i = 0; ok && i < s->n; i++)
		ok = sort_one(db, s->entries[i].number, &out, &e);
	if (db && db->in_transaction)
		db_rollback(db);
	api_reader_back(c->api, db);
	size_t found = json_array_size(out.found);
	json_t *o = json_pack("{s:I, s:I, s:I, s:o, s:o, s:O, s:o, s:o}", "total_requested",
			      (json_int_t)s->total, "found", (json_int_t)found, "total_found",
			      (json_int_t)found, "not_found", out.missing, "pending", out.pending,
			      "invalid", s->invalid, "processes", out.found, "batch_id",
			      view_id(s->batch_id));
	if (ok)
		return api_json(c, 200, o);
	json_decref(o);
	return api_error(c, &e);
}

/* ---- Waiting: for one number after the other, all within the same time ---- */

static enum api_step search_look(struct api_call *c)
{
	struct search *s = c->state;
	struct err e;
	while (s->next < s->n) {
		if (sys_mono_ms() >= c->deadline_ms || atomic_load(&c->api->draining))
			break;
		const struct batch_entry *b = &s->entries[s->next];
		struct case_list row = {0};
		c->since = hub_now(c->api->hub);
		struct db *db = api_reader(c->api, &e);
		bool ok = db && query_case_row(db, b->number, &row, &e);
		bool settled =
			ok && (row.cases[0].consulted_ms || view_final(row.cases[0].job_state));
		case_list_release(&row);
		api_reader_back(c->api, db);
		if (!ok && e.kind != ERR_ABSENT)
			return api_error(c, &e);
		if (ok && !settled)
			return api_news(c, b->ticket.process_id, c->deadline_ms, search_look);
		s->next++;
	}
	return answer_search(c);
}

static bool write_batch(struct db *db, struct api_call *c, struct err *e)
{
	struct search *s = c->state;
	return job_request_batch(db, &c->ask, s->force ? 0 : JOB_ANY_AGE, c->who.user_id,
				 s->entries, s->n, &s->batch_id, e);
}

static enum api_step batch_written(struct api_call *c)
{
	struct search *s = c->state;
	if (!c->write.ok)
		return api_error(c, &c->write.err);
	for (size_t i = 0; i < s->n; i++)
		if (!s->entries[i].ticket.idle)
			metric_add(s->entries[i].ticket.adopted ? METRIC_jobs_adopted
								: METRIC_jobs_requested,
				   1);
	log_info("batch asked for", "request_id=%s batch=%lld numbers=%zu", c->request_id,
		 (long long)s->batch_id, s->n);
	return search_look(c);
}

enum api_step route_search(struct api_call *c)
{
	json_t *numbers = NULL, *one;
	size_t i;
	struct search *s = xcalloc(1, sizeof *s);
	c->state = s;
	c->state_free = search_free;
	s->invalid = json_array();
	const struct member members[] = {
		{"process_numbers", MEMBER_NUMBERS, true, 1, NUMBERS_MAX, &numbers},
		{"include_documents", MEMBER_FLAG, false, 0, 0, &s->documents},
		{"force_refresh", MEMBER_FLAG, false, 0, 0, &s->force},
	};
	/* Clients of the earlier system send members that it never read. */
	if (json_array_size(json_object_get(c->json, "process_numbers")) > NUMBERS_MAX)
		return api_problem(c, "too-many-numbers",
				   "one search takes at most %d case numbers", NUMBERS_MAX);
	if (!api_members(c, members, sizeof members / sizeof *members, false))
		return API_DONE;
	s->total = (int64_t)json_array_size(numbers);
	s->entries = xcalloc((size_t)s->total, sizeof *s->entries);
	json_array_foreach(numbers, i, one) take_number(s, json_string_value(one));
	bool small = s->n <= WAIT_FOR_MAX;
	api_patience(c, small ? c->api->config->wait_default : 0);
	api_ask_prepare(c, s->documents ? SCOPE_DOCUMENTS : SCOPE_LIST, NULL);
	if (s->n == 0)
		return answer_search(c);
	return api_write(c, write_batch, batch_written);
}

/* ---- GET /processes/batches/{id} ---- */

static json_t *batch_item(const struct batch_row *r, const char **status)
{
	bool final = view_final(r->job_state);
	*status = r->consulted ? "found" : final || !r->job_id ? "failed" : "pending";
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "process_number",
			 r->number, "status", *status, "job_id", view_id(r->job_id), "job_status",
			 json_value_text(r->job_state), "outcome", json_value_text(r->outcome),
			 "documents", (json_int_t)r->documents, "completed_documents",
			 (json_int_t)r->available, "failed_documents", (json_int_t)r->failed,
			 "error_message", json_value_text(r->error));
}

enum api_step route_get_batch(struct api_call *c)
{
	struct err e;
	struct batch_list list = {0};
	int64_t id, found = 0, pending = 0, failed = 0;
	if (!api_id_argument(c, 0, &id))
		return API_DONE;
	struct db *db = api_reader(c->api, &e);
	bool ok = db && query_batch(db, id, &list, &e);
	json_t *items = json_array();
	for (size_t i = 0; ok && i < list.n; i++) {
		const char *status;
		json_array_append_new(items, batch_item(&list.items[i], &status));
		found += *status == 'f' && status[1] == 'o';
		failed += *status == 'f' && status[1] == 'a';
		pending += *status == 'p';
	}
	json_t *o = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "batch_id", view_id(id),
			      "created_at", json_value_time(list.created_ms), "total_requested",
			      (json_int_t)list.n, "found", (json_int_t)found, "pending",
			      (json_int_t)pending, "failed", (json_int_t)failed, "items", items);
	batch_list_release(&list);
	api_reader_back(c->api, db);
	if (ok)
		return api_json_tagged(c, o);
	json_decref(o);
	return api_error_as(c, &e, "batch-not-found", "case-busy");
}
