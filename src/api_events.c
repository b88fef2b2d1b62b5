/*
 * api_events - GET /processes/{n}/events: the latest job of a case as it happens, as server-sent
 * events (WHATWG HTML, 9.2).
 *
 * Nothing is buffered for a listener but what it is being sent: the events are rows, and a listener
 * is a place among them (its last id). So a slow one costs no memory, and any listener can go on
 * where it was.
 */
#include "api_call.h"

#include "metrics.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PING_MS = 15000, AT_ONCE = 200, BUFFER_MAX = 256 << 10 };

struct api_stream {
	struct api *api;
	int64_t process_id, job_id;
	int64_t after; /* number of the last event that was sent */
	struct buf out;
	size_t sent; /* of `out` */
	bool over;
	int64_t ping_ms; /* monotonic; the next comment */
	uint64_t since;
	struct hub_wait wait;
	void (*wake)(void *owner);
	void *owner;
};

/* ---- Writing events ---- */

static void add_event(struct api_stream *s, int64_t seq, const char *event, json_t *data)
{
	char *text = json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(10));
	if (seq)
		buf_addf(&s->out, "id: %" PRId64 "-%" PRId64 "\n", s->job_id, seq);
	buf_addf(&s->out, "event: %s\ndata: %s\n\n", event, text ? text : "{}");
	free(text);
	json_decref(data);
}

/* `seq` 0: sums between events. */
static json_t *progress(const struct job_row *j, int64_t seq, int64_t at_ms)
{
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:f}", "job_id", view_id(j->id),
			 "seq", seq ? json_integer(seq) : json_null(), "at", json_value_time(at_ms),
			 "process_number", j->number, "status", j->state, "total_documents",
			 (json_int_t)j->total, "completed_documents", (json_int_t)j->available,
			 "failed_documents", (json_int_t)j->failed, "progress_percentage",
			 view_progress(j->total, j->available + j->failed, view_final(j->state)));
}

static void add_row(struct api_stream *s, const struct event_row *e, const struct job_row *j)
{
	if (strcmp(e->kind, "document") == 0) {
		add_event(s, e->seq, "document",
			  json_pack("{s:o, s:I, s:o, s:s, s:s}", "job_id", view_id(s->job_id),
				    "seq", (json_int_t)e->seq, "at", json_value_time(e->at_ms),
				    "uuid", e->subject, "status", e->state));
		return;
	}
	bool done = strcmp(e->kind, "done") == 0 && e->seq == j->last_event;
	json_t *o = progress(j, e->seq, e->at_ms);
	if (done) {
		json_object_set_new(o, "outcome", json_value_text(j->outcome));
		json_object_set_new(o, "error_message", json_value_text(j->error));
	}
	add_event(s, e->seq, done ? "done" : "progress", o);
}

/* Everything new, at most AT_ONCE events; the job's sums are read at the same moment. */
static bool add_news(struct api_stream *s, struct db *db, struct err *e)
{
	struct event_list list = {0};
	struct job_list jobs = {0};
	bool documents = false;
	if (!db_begin(db, e))
		return false;
	bool ok = query_events(db, s->job_id, s->after, AT_ONCE, &list, e) &&
		  query_job(db, s->job_id, &jobs, e);
	db_rollback(db);
	for (size_t i = 0; ok && i < list.n; i++) {
		add_row(s, &list.events[i], &jobs.jobs[0]);
		documents = documents || strcmp(list.events[i].kind, "document") == 0;
		s->after = list.events[i].seq;
	}
	if (ok && list.n) {
		const struct job_row *j = &jobs.jobs[0];
		s->over = view_final(j->state) && s->after == j->last_event;
		if (documents && !s->over)
			add_event(s, 0, "progress", progress(j, 0, sys_wall_ms()));
	}
	event_list_release(&list);
	job_list_release(&jobs);
	return ok;
}

/* ---- The stream ---- */

ssize_t api_stream_read(struct api_stream *s, char *out, size_t cap)
{
	if (s->sent == s->out.len) {
		buf_clear(&s->out);
		s->sent = 0;
		if (s->over || atomic_load(&s->api->draining))
			return -1;
		struct err e;
		struct db *db = api_reader(s->api, &e);
		s->since = hub_now(s->api->hub);
		bool ok = db && add_news(s, db, &e);
		api_reader_back(s->api, db);
		if (!ok || s->out.overflow)
			return -1; /* erased meanwhile, or the database fails: the client comes back
				    */
		int64_t now = sys_mono_ms();
		if (s->out.len == 0 && now >= s->ping_ms)
			buf_adds(&s->out, ": still there\n\n");
		if (s->out.len == 0)
			return 0;
		s->ping_ms = now + PING_MS;
	}
	size_t n = s->out.len - s->sent;
	if (n > cap)
		n = cap;
	memcpy(out, s->out.data + s->sent, n);
	s->sent += n;
	return (ssize_t)n;
}

static void woken(struct hub_wait *w)
{
	struct api_stream *s = w->owner;
	s->wake(s->owner);
}

void api_stream_sleep(struct api_stream *s, void (*wake)(void *owner), void *owner)
{
	s->wake = wake;
	s->owner = owner;
	s->wait = (struct hub_wait){.process_id = s->process_id,
				    .since = s->since,
				    .until_ms = s->ping_ms,
				    .wake = woken,
				    .owner = s};
	hub_sleep(s->api->hub, &s->wait);
}

void api_stream_free(struct api_stream *s)
{
	if (!s)
		return;
	hub_cancel(s->api->hub, &s->wait);
	metric_add(METRIC_http_streams, -1);
	buf_release(&s->out);
	xfree(s);
}

/* ---- GET /processes/{n}/events ---- */

/* Where the client was: "job-number"; 0 when it was nowhere or with another job. */
static int64_t place_of(const struct api_call *c, int64_t job_id)
{
	const char *id = api_request_header(c->request, "Last-Event-ID");
	long long job, seq;
	int end = 0;
	if (!id || strlen(id) > 40 || sscanf(id, "%18lld-%18lld%n", &job, &seq, &end) != 2 ||
	    id[end] != '\0')
		return 0;
	return job == job_id && seq > 0 ? seq : 0;
}

enum api_step route_get_events(struct api_call *c)
{
	struct err e;
	if (!api_case_number(c))
		return API_DONE;
	struct db *db = api_reader(c->api, &e);
	bool ok = db && query_case_head(db, c->number.digits, &c->view, &e);
	api_reader_back(c->api, db);
	if (!ok)
		return api_error(c, &e);
	const struct case_view *v = &c->view;
	int64_t after = place_of(c, v->job_id);
	if (!v->job_id || (view_final(v->job_state) && after >= v->last_event)) {
		c->res.status = 204; /* nothing more will come: the client need not come back */
		return API_DONE;
	}
	struct api_stream *s = xcalloc(1, sizeof *s);
	s->api = c->api;
	s->process_id = v->process_id;
	s->job_id = v->job_id;
	s->after = after;
	s->ping_ms = sys_mono_ms() + PING_MS;
	buf_init(&s->out, BUFFER_MAX);
	buf_adds(&s->out, "retry: 3000\n\n");
	metric_add(METRIC_http_streams, 1);
	c->res.stream = s;
	c->res.status = 200;
	api_header(c, "Content-Type", "text/event-stream");
	api_header(c, "X-Accel-Buffering", "no");
	return API_DONE;
}
