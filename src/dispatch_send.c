/*
 * dispatch_send - one message: made from what is stored now, signed with the secrets that its user
 * has now, and the reading and telling of its answer. Decides nothing about when; see
 * webhook_retry.
 */
#include "dispatch_flight.h"

#include "access.h"
#include "log.h"
#include "metrics.h"
#include "query.h"
#include "sys.h"
#include "text.h"
#include "webhook_body.h"
#include "webhook_secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MAX = 64 << 10 };

/* ---- Making it ---- */

/* 0 is the installation itself. A message may have been set going by hand, or beside the
 * transaction that took its user away. */
static bool check_user(struct dispatch *d, int64_t user_id, struct err *e)
{
	struct user_list l = {0};
	if (user_id == 0)
		return true;
	bool known = access_user(d->db, user_id, NULL, &l, e);
	bool active = known && l.users[0].active;
	user_list_release(&l);
	if (active || (!known && e->kind != ERR_ABSENT))
		return active;
	return fail(e, ERR_ABSENT, "the user is gone or not active");
}

/* The live secrets that messages are signed with, newest first. */
static bool read_keys(struct dispatch *d, int64_t user_id, int64_t now_ms,
		      struct webhook_key keys[static WEBHOOK_SECRETS_MAX], size_t *n, struct err *e)
{
	struct webhook_secret_view all[WEBHOOK_SECRETS_MAX];
	size_t found;
	*n = 0;
	if (!webhook_secrets(d->db, user_id, now_ms, all, &found, e))
		return false;
	for (size_t i = 0; i < found; i++)
		if (all[i].kind == WEBHOOK_HMAC || d->o.config->webhook_ed25519)
			keys[(*n)++] = all[i].key;
	return *n > 0 || fail(e, ERR_ABSENT, "there is no secret to sign with");
}

/* Body and signature; ERR_ABSENT: the user, the secret or the case is gone. */
static bool make(struct dispatch *d, struct flight *f, char **signature, struct err *e)
{
	const struct config *c = d->o.config;
	const struct delivery_lease *l = &f->lease;
	struct webhook_key keys[WEBHOOK_SECRETS_MAX];
	struct case_view v = {0};
	size_t n;
	bool ok = check_user(d, l->user_id, e) &&
		  read_keys(d, l->user_id, f->sent_ms, keys, &n, e) &&
		  query_case(d->db, l->number, &v, e);
	if (ok) {
		struct doc_links links = {.store = d->o.store,
					  .base = d->o.base_url,
					  .secret = d->link_secret,
					  .ttl_ms = c->link_ttl};
		f->body = webhook_body(l, &v, &links, l->thin || c->webhook_thin, f->sent_ms,
				       &f->body_len);
		*signature =
			webhook_sign(keys, n, l->event_id, f->sent_ms / 1000, f->body, f->body_len);
	}
	case_view_release(&v);
	return ok;
}

static void add_headers(struct http_req *q, const struct flight *f, const char *signature)
{
	const struct delivery_lease *l = &f->lease;
	char now[25];
	sys_format_utc(f->sent_ms, now);
	http_req_header(q, "Content-Type: application/json");
	http_req_header(q, "User-Agent: autos/%s (webhook)", AUTOS_VERSION);
	http_req_header(q, "webhook-id: %s", l->event_id);
	http_req_header(q, "webhook-timestamp: %" PRId64, f->sent_ms / 1000);
	http_req_header(q, "webhook-signature: %s", signature);
	http_req_header(q, "X-Webhook-ID: %" PRId64, l->job_id);
	http_req_header(q, "X-Webhook-Timestamp: %s", now);
	http_req_header(q, "X-Webhook-Attempt: %" PRId64, l->attempts + 1);
	http_req_header(q, "Expect:"); /* the body follows at once */
	if (*l->trace)
		http_req_header(q, "traceparent: %s", l->trace);
}

/* The rules may be stricter today than when the address was named. */
static bool is_refused(struct dispatch *d, struct flight *f)
{
	struct err e;
	if (webhook_url_check(f->lease.url, &d->guard.rules, &e))
		return false;
	struct http_res r = {.fault = HTTP_FAULT_CONNECT, .cause = HTTP_CAUSE_REFUSED};
	snprintf(r.fault_text, sizeof r.fault_text, "%.150s", e.text);
	webhook_judge(&r, &d->schedule, f->lease.tries + 1, f->sent_ms, 0, &f->verdict);
	return true;
}

static void fail_locally(struct dispatch *d, struct flight *f, const struct err *why)
{
	if (why->kind == ERR_ABSENT) {
		webhook_withdraw(why->text, &f->verdict);
		return;
	}
	struct http_res r = {.fault = HTTP_FAULT_LOCAL};
	webhook_judge(&r, &d->schedule, f->lease.tries + 1, f->sent_ms, 0, &f->verdict);
	snprintf(f->verdict.error, sizeof f->verdict.error, "it could not be made: %.120s",
		 why->text);
}

void dispatch_send(struct dispatch *d, struct flight *f)
{
	char *signature = NULL;
	struct err e;
	f->sent_ms = sys_wall_ms();
	f->sent_mono_ms = sys_mono_ms();
	bool refused = is_refused(d, f);
	if (refused || !make(d, f, &signature, &e)) {
		if (!refused)
			fail_locally(d, f, &e);
		dispatch_over(d, f);
		return;
	}
	struct http_req *q = &f->x.req;
	q->method = "POST";
	q->url = xstrdup(f->lease.url);
	q->body = f->body;
	q->body_len = f->body_len;
	q->total_ms = d->o.config->webhook_timeout;
	q->max_body = ANSWER_MAX;
	q->in_memory = true;
	add_headers(q, f, signature);
	xfree(signature);
	f->x.owner = f;
	f->in_air = true;
	f->target->flying++;
	d->nflying++;
	d->bytes += f->body_len;
	http_start(d->http, &f->x);
}

/* ---- What came back ---- */

/* Its beginning as text: what is no UTF-8 becomes "?", control characters become blanks. */
static void keep_answer(const char *data, size_t len, char out[static ANSWER_KEPT + 1])
{
	char *text = xstrndup(data, len < ANSWER_KEPT ? len : ANSWER_KEPT);
	size_t n = 0, all = len < ANSWER_KEPT ? len : ANSWER_KEPT;
	const unsigned char *s = (const unsigned char *)text, *end = s + all;
	while (s < end) {
		const unsigned char *at = s;
		uint32_t c = utf8_next(&s);
		bool cut = s > end;
		if (c == 0 || cut)
			out[n++] = *at && !cut ? '?' : ' ';
		else if (c < 0x20 || c == 0x7f)
			out[n++] = ' ';
		else
			for (; at < s; at++)
				out[n++] = (char)*at;
	}
	out[n] = '\0';
	xfree(text);
}

void dispatch_settle(struct dispatch *d, struct flight *f)
{
	const struct http_res *r = &f->x.res;
	f->in_air = false;
	f->target->flying--;
	d->nflying--;
	d->bytes -= f->body_len;
	f->duration_ms = sys_mono_ms() - f->sent_mono_ms;
	f->status = r->status;
	snprintf(f->address, sizeof f->address, "%s", r->address);
	if (r->head)
		keep_answer(r->head, r->head_len, f->answer);
	webhook_judge(r, &d->schedule, f->lease.tries + 1, sys_wall_ms(),
		      sys_random_below(UINT64_MAX), &f->verdict);
	metric_observe(HISTOGRAM_webhook_request, NULL, (double)f->duration_ms / 1e3);
	http_exchange_release(&f->x);
	dispatch_over(d, f);
}

/* ---- What is told of a result ---- */

void dispatch_tell(const struct flight *f, const struct delivery_result *r, int64_t now_ms)
{
	const struct delivery_lease *l = &f->lease;
	const struct webhook_verdict *v = &f->verdict;
	char origin[WEBHOOK_ORIGIN_MAX];
	webhook_origin(l->url, origin);
	metric_count(FAMILY_webhook_attempts, webhook_class_name(v->class));
	if (v->fate == WEBHOOK_DELIVERED) {
		metric_count(FAMILY_webhook_deliveries, "delivered");
		metric_observe(HISTOGRAM_webhook_lag, NULL, (double)(now_ms - l->created_ms) / 1e3);
		log_info("webhook delivered",
			 "event=%s job=%" PRId64 " target=%s attempt=%" PRId64
			 " status=%d ms=%" PRId64,
			 l->event_id, l->job_id, origin, l->attempts + 1, f->status,
			 f->duration_ms);
		return;
	}
	if (v->fate == WEBHOOK_AGAIN)
		log_info("webhook not delivered",
			 "event=%s job=%" PRId64 " target=%s attempt=%" PRId64
			 " class=%s status=%d ms=%" PRId64 " again_in_ms=%" PRId64,
			 l->event_id, l->job_id, origin, l->attempts + 1,
			 webhook_class_name(v->class), f->status, f->duration_ms, v->wait_ms);
	else
		log_warn("webhook given up",
			 "event=%s job=%" PRId64 " target=%s attempts=%" PRId64
			 " class=%s status=%d",
			 l->event_id, l->job_id, origin, l->attempts + 1,
			 webhook_class_name(v->class), f->status);
	if (v->fate != WEBHOOK_AGAIN)
		metric_count(FAMILY_webhook_deliveries,
			     v->fate == WEBHOOK_FAILED ? "failed" : "cancelled");
	if (r->pauses)
		log_warn("webhook target paused", "target=%s class=%s", origin,
			 webhook_class_name(v->class));
}
