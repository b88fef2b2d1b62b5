/*
 * webhook_retry - see webhook_retry.h. One function reads what came back, one decides when it is
 * tried again.
 */
#include "webhook_retry.h"

#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t minute_ms = 60000, hour_ms = 3600000, week_ms = INT64_C(7) * 86400000;
static const int64_t local_wait_ms = 5000;

/* ---- The schedule ---- */

bool webhook_schedule_parse(const char *text, struct webhook_schedule *out, struct err *e)
{
	*out = (struct webhook_schedule){0};
	for (const char *p = text + strspn(text, ", "); *p;) {
		char word[24];
		size_t len = strcspn(p, ", ");
		if (out->n == WEBHOOK_WAITS_MAX)
			return fail(e, ERR_INPUT, "more than %d waits", WEBHOOK_WAITS_MAX);
		snprintf(word, sizeof word, "%.*s", (int)(len < 23 ? len : 23), p);
		int64_t *ms = &out->waits_ms[out->n];
		if (len > 23 || !config_duration(word, ms) || *ms < 1 || *ms > week_ms)
			return fail(e, ERR_INPUT,
				    "'%s' is no wait: it must be 1ms to 7d, such as 30s or 5m",
				    word);
		out->n++;
		p += len;
		p += strspn(p, ", ");
	}
	return out->n > 0 || fail(e, ERR_INPUT, "at least one wait is needed, such as 2s,4s,1m");
}

int64_t webhook_schedule_length(const struct webhook_schedule *s)
{
	int64_t sum = 0;
	for (size_t i = 0; i < s->n; i++)
		sum += s->waits_ms[i] + s->waits_ms[i] / 5;
	return sum;
}

/* Short waits are as they are said; longer ones vary, so that what failed together does not come
 * again together. */
static int64_t with_jitter(int64_t ms, uint64_t random)
{
	if (ms < minute_ms)
		return ms;
	uint64_t span = (uint64_t)ms * 2 / 5;
	return ms - ms / 5 + (int64_t)(random % (span + 1));
}

/* ---- What came back ---- */

static const char *const class_names[] = {
	[WEBHOOK_OK] = "ok",       [WEBHOOK_HTTP] = "http",
	[WEBHOOK_GONE] = "gone",   [WEBHOOK_BLOCKED] = "blocked",
	[WEBHOOK_DNS] = "dns",     [WEBHOOK_CONNECT] = "connect",
	[WEBHOOK_TLS] = "tls",     [WEBHOOK_TIMEOUT] = "timeout",
	[WEBHOOK_RESET] = "reset", [WEBHOOK_PROTOCOL] = "protocol",
	[WEBHOOK_LOCAL] = "local",
};

const char *webhook_class_name(enum webhook_class c)
{
	return class_names[c];
}

static enum webhook_class class_of_cause(enum http_cause cause)
{
	switch (cause) {
	case HTTP_CAUSE_NAME:
		return WEBHOOK_DNS;
	case HTTP_CAUSE_TLS:
		return WEBHOOK_TLS;
	case HTTP_CAUSE_REFUSED:
		return WEBHOOK_BLOCKED;
	case HTTP_CAUSE_NONE:
	case HTTP_CAUSE_ADDRESS:
		break;
	}
	return WEBHOOK_CONNECT;
}

static enum webhook_class class_of_status(int status)
{
	if (status >= 200 && status < 300)
		return WEBHOOK_OK;
	return status == 410 ? WEBHOOK_GONE : WEBHOOK_HTTP;
}

static enum webhook_class class_of(const struct http_res *r)
{
	switch (r->fault) {
	case HTTP_FAULT_NONE:
	case HTTP_FAULT_TOO_LARGE: /* the rest is not read: its status is what counts */
		return r->status > 0 ? class_of_status(r->status) : WEBHOOK_PROTOCOL;
	case HTTP_FAULT_CONNECT:
		return class_of_cause(r->cause);
	case HTTP_FAULT_RESET:
	case HTTP_FAULT_SHORT:
		return WEBHOOK_RESET;
	case HTTP_FAULT_TIMEOUT:
		return WEBHOOK_TIMEOUT;
	case HTTP_FAULT_PROTOCOL:
		return WEBHOOK_PROTOCOL;
	case HTTP_FAULT_LOCAL:
		break;
	}
	return WEBHOOK_LOCAL;
}

/* Of the address itself only the range that refuses it is told. */
static void say(const struct http_res *r, struct webhook_verdict *v)
{
	static const char refused[] = "address refused: ";
	static const char *const texts[] = {
		[WEBHOOK_DNS] = "the name leads to no address",
		[WEBHOOK_CONNECT] = "nobody answers at the address",
		[WEBHOOK_TLS] = "no TLS connection could be made: check the certificate",
		[WEBHOOK_TIMEOUT] = "the answer did not come in time",
		[WEBHOOK_RESET] = "the connection broke before the answer was complete",
		[WEBHOOK_PROTOCOL] = "what came back is no HTTP answer",
		[WEBHOOK_LOCAL] = "the service could not send it",
	};
	const char *text = r->fault_text;
	v->error[0] = '\0';
	if (v->class == WEBHOOK_HTTP || v->class == WEBHOOK_GONE)
		snprintf(v->error, sizeof v->error, "answered %d%s", r->status,
			 r->status >= 300 && r->status < 400 ? ", and redirects are not followed"
							     : "");
	else if (v->class == WEBHOOK_BLOCKED)
		snprintf(v->error, sizeof v->error, "the address may not be called: %.100s",
			 strncmp(text, refused, sizeof refused - 1) == 0 ? text + sizeof refused - 1
									 : text);
	else if (v->class != WEBHOOK_OK)
		snprintf(v->error, sizeof v->error, "%s", texts[v->class]);
}

/* ---- When again ---- */

static void show_time(int64_t ms, char out[static 32])
{
	if (ms < 1000)
		snprintf(out, 32, "%" PRId64 " ms", ms);
	else if (ms < 2 * minute_ms)
		snprintf(out, 32, "%" PRId64 " s", ms / 1000);
	else if (ms < 2 * hour_ms)
		snprintf(out, 32, "%" PRId64 " min", ms / minute_ms);
	else
		snprintf(out, 32, "%" PRId64 " h %02" PRId64 " min", ms / hour_ms,
			 ms % hour_ms / minute_ms);
}

static void decide_wait(const struct http_res *r, int64_t own, int64_t now_ms, uint64_t random,
			struct webhook_verdict *v)
{
	int64_t asked = http_retry_after_ms(r->retry_after, now_ms);
	int64_t most = 2 * own > hour_ms ? 2 * own : hour_ms;
	char wait[32], said[32];
	v->wait_ms = with_jitter(own, random);
	if (asked > v->wait_ms) {
		v->wait_ms = asked < most ? asked : most;
		show_time(asked, said);
		show_time(v->wait_ms, wait);
		snprintf(v->why, sizeof v->why, "asked to wait %s: again in %s", said, wait);
		return;
	}
	if (asked < 0 && r->status == 429 && v->wait_ms < minute_ms) {
		v->wait_ms = minute_ms;
		snprintf(v->why, sizeof v->why, "too many requests: again in 60 s");
		return;
	}
	show_time(v->wait_ms, wait);
	snprintf(v->why, sizeof v->why, "by the schedule: again in %s", wait);
}

void webhook_judge(const struct http_res *r, const struct webhook_schedule *s, int64_t try,
		   int64_t now_ms, uint64_t random, struct webhook_verdict *v)
{
	*v = (struct webhook_verdict){.class = class_of(r)};
	say(r, v);
	bool answered =
		v->class == WEBHOOK_OK || v->class == WEBHOOK_HTTP || v->class == WEBHOOK_GONE;
	v->target_failed = answered ? r->status >= 500 || r->status == 429
				    : v->class != WEBHOOK_BLOCKED && v->class != WEBHOOK_LOCAL;
	switch (v->class) {
	case WEBHOOK_OK:
		v->fate = WEBHOOK_DELIVERED;
		return;
	case WEBHOOK_GONE:
		v->fate = WEBHOOK_CANCELLED;
		snprintf(v->why, sizeof v->why,
			 "the receiver wants no more: it is not tried again");
		return;
	case WEBHOOK_BLOCKED:
		v->fate = WEBHOOK_CANCELLED;
		snprintf(v->why, sizeof v->why, "another try would be refused too");
		return;
	case WEBHOOK_LOCAL:
		v->fate = WEBHOOK_AGAIN;
		v->wait_ms = local_wait_ms;
		snprintf(v->why, sizeof v->why, "it was never sent: again in 5 s, not counted");
		return;
	case WEBHOOK_HTTP:
	case WEBHOOK_DNS:
	case WEBHOOK_CONNECT:
	case WEBHOOK_TLS:
	case WEBHOOK_TIMEOUT:
	case WEBHOOK_RESET:
	case WEBHOOK_PROTOCOL:
		break;
	}
	if (try > (int64_t)s->n) {
		v->fate = WEBHOOK_FAILED;
		snprintf(v->why, sizeof v->why, "that was the last of %zu tries", s->n + 1);
		return;
	}
	v->fate = WEBHOOK_AGAIN;
	decide_wait(r, s->waits_ms[try - 1], now_ms, random, v);
}

void webhook_withdraw(const char *error, struct webhook_verdict *v)
{
	*v = (struct webhook_verdict){.class = WEBHOOK_LOCAL, .fate = WEBHOOK_CANCELLED};
	snprintf(v->error, sizeof v->error, "%s", error);
	snprintf(v->why, sizeof v->why, "it was never sent, and is not tried again");
}
