/*
 * probe - one thread that asks addresses of clients. Keeps no answer, decides nothing about what an
 * answer means but whether it is one.
 */
#include "probe.h"

#include "guard.h"
#include "http.h"
#include "sys.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
	ATTEMPT_MS = 10000,
	ANSWER_MAX = 64 << 10,
	RECEIVE_BUFFER = 16 << 10,
	IDLE_MS = 60000,
};

/* What an ask needs while it runs or waits for its next try. */
struct attempt {
	struct http_exchange x;
	int64_t due_ms; /* monotonic; when it is to be sent */
	int64_t sent_us;
	bool sent;
};

struct probe {
	struct guard guard;
	char *ca_file;
	struct http *http;
	pthread_t thread;
	pthread_mutex_t lock;
	struct probe_ask *fresh; /* handed in, not seen by the thread yet */
	size_t open;             /* fresh, running or waiting */
	bool stop;
	struct probe_ask *asks; /* the thread's: running or waiting */
};

/* ---- One attempt ---- */

static void add_signature(struct http_req *q, const struct probe_ask *a, int64_t now_s)
{
	if (!a->nkeys)
		return;
	char *signature =
		webhook_sign(a->keys, a->nkeys, a->event_id, now_s, a->body, strlen(a->body));
	http_req_header(q, "webhook-id: %s", a->event_id);
	http_req_header(q, "webhook-timestamp: %" PRId64, now_s);
	http_req_header(q, "webhook-signature: %s", signature);
	xfree(signature);
}

static void send_now(struct probe *p, struct probe_ask *a)
{
	struct attempt *t = a->running;
	struct http_req *q = &t->x.req;
	char now[25];
	t->x.owner = a;
	q->method = "POST";
	q->url = xstrdup(a->url);
	q->body = a->body;
	q->body_len = strlen(a->body);
	q->total_ms = ATTEMPT_MS;
	q->max_body = ANSWER_MAX;
	q->in_memory = true;
	int64_t now_ms = sys_wall_ms();
	sys_format_utc(now_ms, now);
	a->attempts++;
	http_req_header(q, "Content-Type: application/json");
	http_req_header(q, "User-Agent: autos/%s (webhook test)", AUTOS_VERSION);
	http_req_header(q, "X-Webhook-Timestamp: %s", now);
	http_req_header(q, "X-Webhook-Attempt: %d", a->attempts);
	http_req_header(q, "X-Webhook-ID: %s", a->id);
	add_signature(q, a, now_ms / 1000);
	t->sent = true;
	t->sent_us = sys_mono_us();
	http_start(p->http, &t->x);
}

/* Our own words only: libcurl's would tell what a name resolves to. */
static void say_fault(struct probe_ask *a, const struct http_res *r)
{
	static const char refused[] = "address refused: ";
	const char *text = "";
	switch (r->fault) {
	case HTTP_FAULT_CONNECT:
		if (strncmp(r->fault_text, refused, sizeof refused - 1) == 0) {
			snprintf(a->error, sizeof a->error,
				 "The address may not be called: %.100s.",
				 r->fault_text + sizeof refused - 1);
			return;
		}
		text = "No connection could be made: check name, port and certificate.";
		break;
	case HTTP_FAULT_TIMEOUT:
		text = "The target did not answer within 10 s.";
		break;
	case HTTP_FAULT_RESET:
	case HTTP_FAULT_SHORT:
		text = "The connection broke before the answer was complete.";
		break;
	case HTTP_FAULT_PROTOCOL:
		text = "What the target sent is no HTTP answer.";
		break;
	case HTTP_FAULT_LOCAL:
		text = "The service could not send the request.";
		break;
	case HTTP_FAULT_NONE:
	case HTTP_FAULT_TOO_LARGE:
		break;
	}
	snprintf(a->error, sizeof a->error, "%s", text);
}

/* Reads what came of an attempt into the ask. False: another try cannot change it. */
static bool judge(struct probe_ask *a, const struct attempt *t)
{
	const struct http_res *r = &t->x.res;
	bool answered =
		r->status > 0 && (r->fault == HTTP_FAULT_NONE || r->fault == HTTP_FAULT_TOO_LARGE);
	a->ms = (sys_mono_us() - t->sent_us + 999) / 1000;
	a->status = answered ? r->status : 0;
	a->ok = answered && (!a->success_only || (r->status >= 200 && r->status < 300));
	a->error[0] = '\0';
	if (answered && !a->ok)
		snprintf(a->error, sizeof a->error, "The target answered %d.", r->status);
	else if (!answered)
		say_fault(a, r);
	return !(r->fault == HTTP_FAULT_CONNECT && t->x.refused);
}

/* ---- The thread ---- */

static void pull(struct probe *p, struct probe_ask *a)
{
	struct probe_ask **at = &p->asks;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
}

static void end(struct probe *p, struct probe_ask *a)
{
	struct attempt *t = a->running;
	pull(p, a);
	if (t->sent)
		http_exchange_release(&t->x);
	xfree(t);
	a->running = NULL;
	pthread_mutex_lock(&p->lock);
	p->open--;
	pthread_mutex_unlock(&p->lock);
	a->done(a); /* it may be gone now */
}

static void settle(struct probe *p, struct http_exchange *x)
{
	struct probe_ask *a = x->owner;
	struct attempt *t = a->running;
	bool worth = judge(a, t);
	if (a->ok || !worth || a->attempts >= a->tries) {
		end(p, a);
		return;
	}
	http_exchange_release(&t->x);
	t->sent = false;
	t->due_ms = sys_mono_ms() + (a->wait_ms << (a->attempts - 1));
}

/* Takes what was handed in; false when the program ends. */
static bool take_fresh(struct probe *p)
{
	pthread_mutex_lock(&p->lock);
	struct probe_ask *fresh = p->fresh;
	bool stop = p->stop;
	p->fresh = NULL;
	pthread_mutex_unlock(&p->lock);
	for (struct probe_ask *a = fresh, *next; a; a = next) {
		next = a->next;
		a->running = xcalloc(1, sizeof(struct attempt));
		a->next = p->asks;
		p->asks = a;
	}
	return !stop;
}

/* Sends what is due; gives the time until the next one is. */
static int64_t send_due(struct probe *p)
{
	int64_t now = sys_mono_ms(), wait = IDLE_MS;
	for (struct probe_ask *a = p->asks; a; a = a->next) {
		const struct attempt *t = a->running;
		if (t->sent)
			continue;
		if (t->due_ms <= now)
			send_now(p, a);
		else if (t->due_ms - now < wait)
			wait = t->due_ms - now;
	}
	return wait;
}

static void *probe_main(void *arg)
{
	struct probe *p = arg;
	struct http_exchange *x;
	struct err e;
	while (take_fresh(p)) {
		if (!http_turn(p->http, send_due(p), &e))
			die("webhook tests: %s", e.text);
		while ((x = http_done(p->http)))
			settle(p, x);
	}
	while (p->asks) {
		p->asks->ok = false;
		snprintf(p->asks->error, sizeof p->asks->error, "The service is being stopped.");
		end(p, p->asks);
	}
	return NULL;
}

/* ---- Life ---- */

struct probe *probe_new(const struct config *c, struct err *e)
{
	struct probe *p = xcalloc(1, sizeof *p);
	if (!guard_init(&p->guard, c, e)) {
		xfree(p);
		return NULL;
	}
	struct http_options o = {
		.proxy = "",
		.ca_file = p->ca_file = xstrdup(c->webhook_ca_file),
		.connect_timeout_ms = ATTEMPT_MS,
		.low_speed = 1,
		.low_speed_time_s = ATTEMPT_MS / 1000,
		.spool_dir = "",
		.spool_memory = ANSWER_MAX,
		.connections = 1,
		.fresh = true,
		.receive_buffer = RECEIVE_BUFFER,
		.may_connect = guard_may_connect,
		.may_arg = &p->guard,
	};
	p->http = http_new(&o, e);
	if (!p->http) {
		xfree(p->ca_file);
		xfree(p);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	if (pthread_create(&p->thread, NULL, probe_main, p) != 0)
		die("no more threads");
	return p;
}

void probe_stop(struct probe *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_mutex_unlock(&p->lock);
	http_wake(p->http);
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	probe_stop(p);
	pthread_join(p->thread, NULL);
	http_free(p->http);
	xfree(p->ca_file);
	pthread_mutex_destroy(&p->lock);
	xfree(p);
}

void probe_listens(struct probe *p, int port)
{
	guard_listens(&p->guard, port);
}

void probe_start(struct probe *p, struct probe_ask *a)
{
	const char *refused = NULL;
	a->ok = false;
	a->status = a->attempts = 0;
	a->ms = 0;
	a->error[0] = '\0';
	pthread_mutex_lock(&p->lock);
	if (p->stop) {
		refused = "The service is being stopped.";
	} else if (p->open == PROBES_MAX) {
		refused = "Too many webhook tests run at this moment.";
	} else {
		p->open++;
		a->next = p->fresh;
		p->fresh = a;
	}
	pthread_mutex_unlock(&p->lock);
	if (!refused) {
		http_wake(p->http);
		return;
	}
	snprintf(a->error, sizeof a->error, "%s", refused);
	a->done(a);
}
