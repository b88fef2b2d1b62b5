/*
 * flow - which question comes next, and what an answer's verdict does to its question.
 *
 * The stages themselves (what is asked, how a good answer is read) are in flow_stage.c, the life of
 * a run in run.c. Nothing here looks at a status code or at bytes: the portal room named the
 * answer.
 */
#include "flow.h"

#include "flow_stage.h"
#include "log.h"
#include "metrics.h"
#include "sys.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void flow_init(struct flow *f, const struct config *c, struct account *a, struct putter *p)
{
	*f = (struct flow){
		.config = c,
		.account = a,
		.putter = p,
		.site = {.base_url = c->portal_url,
			 .hosts = c->portal_hosts,
			 .user_agent = c->portal_user_agent,
			 .headers = c->portal_headers,
			 .json_timeout_ms = c->portal_timeout,
			 .json_max_bytes = c->answer_max_size,
			 .document_max_bytes = c->document_max_size},
	};
}

/* ---- Tasks ---- */

static struct task *task_new(struct flow *f, struct run *r, const struct stage *stage, size_t doc)
{
	struct task *t = xcalloc(1, sizeof *t);
	t->run = r;
	t->doc = doc;
	t->stage = stage;
	t->generation = f->account->generation;
	t->exchange.owner = t;
	t->exchange.body.fd = -1;
	t->next = f->tasks;
	t->link = &f->tasks;
	if (t->next)
		t->next->link = &t->next;
	f->tasks = t;
	r->tasks++;
	return t;
}

void flow_task_free(struct task *t)
{
	if (t->run)
		t->run->tasks--;
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	http_exchange_release(&t->exchange);
	xfree(t->put.key);
	xfree(t->put_name);
	xfree(t);
}

static void cut(struct flow *f, struct task *t)
{
	assert(!t->storing);
	account_end(f->account);
	f->flying--;
	flow_task_free(t);
}

void flow_release(struct flow *f)
{
	while (f->tasks)
		cut(f, f->tasks);
}

void flow_cut_transfers(struct flow *f)
{
	for (struct task *t = f->tasks, *next; t; t = next) {
		next = t->next;
		if (!t->storing)
			cut(f, t);
	}
}

void flow_cut_run(struct flow *f, struct run *r)
{
	for (struct task *t = f->tasks, *next; t; t = next) {
		next = t->next;
		if (t->run == r && !t->storing)
			cut(f, t);
	}
}

/* ---- What comes next ---- */

static bool due(const struct question *q, int64_t now, int64_t *wake)
{
	if (q->not_before <= now)
		return true;
	if (q->not_before < *wake)
		*wake = q->not_before;
	return false;
}

/* Documents are taken in filing order, round and round, so that retries do not block the rest. */
static bool next_document(struct run *r, int64_t now, int64_t *wake, size_t *out)
{
	for (size_t k = 0; k < r->ndocs; k++) {
		size_t i = (r->next + k) % r->ndocs;
		if (r->docs[i].place == DOC_WAITING && due(&r->docs[i].question, now, wake)) {
			r->next = i + 1;
			*out = i;
			return true;
		}
	}
	return false;
}

static struct task *start(struct flow *f, struct run *r, const struct stage *stage, size_t doc,
			  struct question *q, int64_t now)
{
	struct task *t = task_new(f, r, stage, doc);
	if (!stage->ask(f, t)) {
		flow_task_free(t);
		return NULL;
	}
	if (*r->lease.trace && t->exchange.req.nheaders < HTTP_HEADERS_MAX)
		http_req_header(&t->exchange.req, "traceparent: %s", r->lease.trace);
	t->started_us = sys_mono_us();
	q->asked++;
	account_start(f->account, now, stage->call == PORTAL_LIST);
	f->flying++;
	metric_add(METRIC_portal_calls, 1);
	return t;
}

struct task *flow_next(struct flow *f, struct run *r, int64_t now, int64_t *wake)
{
	if (r->lost || account_room(f->account, now) == 0)
		return NULL;
	if (r->stage == RUN_LIST || r->stage == RUN_DETAIL) {
		bool list = r->stage == RUN_LIST;
		if (r->flying || !due(&r->question, now, wake) ||
		    (list && !account_may_list(f->account, now)))
			return NULL;
		r->flying = true;
		return start(f, r, list ? &stage_list : &stage_detail, 0, &r->question, now);
	}
	if (r->stage != RUN_DOCUMENTS)
		return NULL;
	size_t i;
	while (next_document(r, now, wake, &i)) {
		struct run_doc *d = &r->docs[i];
		d->place = DOC_FLYING;
		if (!d->started_ms)
			d->started_ms = sys_wall_ms();
		struct task *t = start(f, r, &stage_fetch, i, &d->question, now);
		if (t)
			return t;
	}
	return NULL;
}

/* ---- What a verdict does ---- */

/* A task's question, as something that waits again, or is over. */
struct asked {
	struct flow *flow;
	struct task *task;
	struct question *question;
	struct portal_verdict verdict;
	int64_t now;
};

static bool is_fetch(const struct task *t)
{
	return t->stage->call == PORTAL_DOCUMENT;
}

/* The question waits again, at the earliest after `wait_ms`. */
static void ask_again(struct asked *a, int64_t wait_ms)
{
	a->question->not_before = a->now + wait_ms;
	if (is_fetch(a->task))
		a->task->run->docs[a->task->doc].place = DOC_WAITING;
	else
		a->task->run->flying = false;
}

static void give_up(struct asked *a)
{
	if (is_fetch(a->task))
		flow_doc_refused(a->flow, a->task, &a->verdict);
	else
		flow_case_refused(a->flow, a->task, &a->verdict);
}

static int64_t asked_to_wait(const struct asked *a)
{
	int64_t told = http_retry_after_ms(a->task->exchange.res.retry_after, sys_wall_ms());
	return told > 0 ? told + 1 : told; /* clocks are read in whole milliseconds: never early */
}

static int64_t backoff(const struct asked *a, int attempt)
{
	return lane_backoff(a->flow->config->retry_delay, attempt, sys_random_below(UINT64_MAX));
}

static void retry(struct asked *a)
{
	struct question *q = a->question;
	/* A paper with several links tries the others before it waits. */
	if (is_fetch(a->task) && flow_doc_next_ref(&a->task->run->docs[a->task->doc])) {
		ask_again(a, 0);
		return;
	}
	if (q->retries >= a->flow->config->retry_max) {
		give_up(a);
		return;
	}
	q->retries++;
	metric_add(METRIC_portal_retries, 1);
	int64_t wait = backoff(a, q->retries), told = asked_to_wait(a);
	ask_again(a, told > wait ? told : wait);
}

/* The token was refused: read it again; the second refusal of the same token settles it. */
static void renew(struct asked *a)
{
	struct account *account = a->flow->account;
	struct err ignored;
	if (account->generation == a->task->generation && !account_ready(account, true, &ignored)) {
		ask_again(a, 0);
		return;
	}
	if (account->generation != a->task->generation) {
		a->question->renewals = 0;
		ask_again(a, 0);
		return;
	}
	if (a->question->renewals++ > 0) {
		account_refused(account, a->task->generation);
		a->question->renewals = 0;
		ask_again(a, 0);
		return;
	}
	ask_again(a, backoff(a, 1));
}

/* The portal as a whole does not answer: everything pauses, no try is spent. */
static void hold(struct asked *a)
{
	struct account *account = a->flow->account;
	struct question *q = a->question;
	bool rate = a->verdict.meaning == PORTAL_RATE_LIMITED;
	int64_t wait = asked_to_wait(a);
	if (wait < 0 && !rate) {
		wait = backoff(a, account->troubles + 1);
		if (wait > a->flow->config->portal_pause_max)
			wait = a->flow->config->portal_pause_max;
	}
	account_hold(account, wait, rate, a->verdict.rule);
	a->flow->hold_text = a->verdict.text;
	if (!rate)
		q->holds++;
	else if (!q->held_since)
		q->held_since = a->now;
	/* While the portal answers others, it is this question that it will not answer. */
	int max = (int)a->flow->config->retry_max;
	bool tired =
		rate ? a->now - q->held_since > a->flow->config->portal_patience : q->holds > max;
	if (tired && account->troubles <= max &&
	    a->now - account->held_since <= a->flow->config->portal_patience)
		give_up(a);
	else
		ask_again(a, 0);
}

static void tell_lane(struct asked *a)
{
	switch (a->verdict.load) {
	case PORTAL_LOAD_FINE:
		account_good(a->flow->account, a->task->started_us / 1000);
		break;
	case PORTAL_LOAD_HALVE:
		account_overload(a->flow->account, a->now);
		break;
	case PORTAL_LOAD_NEUTRAL:
		break;
	}
}

static void count_answer(const struct asked *a)
{
	static const char *const classes[] = {"fault", "1xx", "2xx", "3xx", "4xx", "5xx"};
	int status = a->task->exchange.res.status;
	bool known =
		a->task->exchange.res.fault == HTTP_FAULT_NONE && status >= 100 && status < 600;
	metric_count(FAMILY_portal_answers, a->verdict.rule);
	metric_count(FAMILY_portal_status, classes[known ? status / 100 : 0]);
	metric_observe(HISTOGRAM_portal_request, a->task->stage->name,
		       (double)(sys_mono_us() - a->task->started_us) / 1e6);
}

static void log_answer(const struct asked *a)
{
	const struct http_res *res = &a->task->exchange.res;
	const struct run *r = a->task->run;
	log_debug("portal answer",
		  "job=%" PRId64 " call=%s doc=%s status=%d fault=%s bytes=%" PRId64 " rule=%s",
		  r->lease.job_id, a->task->stage->name,
		  is_fetch(a->task) ? r->docs[a->task->doc].view->doc_id : "-", res->status,
		  http_fault_name(res->fault), res->received, a->verdict.rule);
}

void flow_answer(struct flow *f, struct task *t)
{
	struct run *r = t->run;
	struct asked a = {
		.flow = f,
		.task = t,
		.question = is_fetch(t) ? &r->docs[t->doc].question : &r->question,
		.verdict = portal_classify(t->stage->call, &t->exchange.res),
		.now = sys_mono_ms(),
	};
	account_end(f->account);
	f->flying--;
	tell_lane(&a);
	count_answer(&a);
	log_answer(&a);
	if (a.verdict.meaning == PORTAL_LOCAL) {
		fail(&f->trouble, ERR_FAIL, "%s", t->exchange.res.fault_text);
		ask_again(&a, 0);
		flow_task_free(t);
		return;
	}
	switch (a.verdict.act) {
	case PORTAL_ACT_USE:
		t->stage->got(f, t);
		break;
	case PORTAL_ACT_RETRY:
		retry(&a);
		break;
	case PORTAL_ACT_GIVE_UP:
		give_up(&a);
		break;
	case PORTAL_ACT_RENEW:
		renew(&a);
		break;
	case PORTAL_ACT_HOLD:
		hold(&a);
		break;
	}
	if (!t->storing)
		flow_task_free(t);
}
