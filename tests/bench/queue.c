/*
 * queue - fills a database with queued jobs, and measures claims, with the functions that the
 * service and its worker use.
 *
 *   queue fill URL FIRST N          asks for the cases FIRST .. FIRST + N - 1
 *   queue claim URL ROUNDS AT_ONCE  claims AT_ONCE jobs in a transaction, gives them back in
 *                                   another, ROUNDS times; prints claims a second, commits included
 *                                   and without them
 *
 * Case n has the number that tests/bench/number.lua gives it: scattered, so that each new one falls
 * somewhere else in the index of numbers.
 */
#include "case_number.h"
#include "job.h"
#include "ledger.h"
#include "sys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP = 512, AT_ONCE_MAX = 64, LEASE_MS = 12000 };

/* ---- fill ---- */

/* One request, as the service submits it: a write of its own in a group of many. */
struct asked {
	struct write write;
	int64_t n;
};

struct filling {
	struct asked asked[GROUP];
	pthread_mutex_t lock;
	pthread_cond_t settled;
	size_t open;
	struct err err; /* of one that failed */
};

static bool write_ask(struct db *db, void *arg, struct err *e)
{
	struct asked *a = arg;
	char number[24], request_id[33], trace_id[33], span[17], trace[56];
	struct job_ticket ticket;
	case_number(a->n, number);
	sys_random_hex(request_id, 32);
	sys_random_hex(trace_id, 32);
	sys_random_hex(span, 16);
	snprintf(trace, sizeof trace, "00-%s-%s-01", trace_id, span);
	struct job_ask ask = {.number = number,
			      .now_ms = sys_wall_ms(),
			      .request_id = request_id,
			      .trace = trace};
	return job_ensure(db, &ask, JOB_ANY_AGE, &ticket, e);
}

static void settle(struct write *w)
{
	struct filling *f = w->owner;
	pthread_mutex_lock(&f->lock);
	if (!w->ok)
		f->err = w->err;
	if (--f->open == 0)
		pthread_cond_signal(&f->settled);
	pthread_mutex_unlock(&f->lock);
}

static bool fill(struct ledger *l, int64_t first, int64_t n, struct err *e)
{
	static struct filling f = {.lock = PTHREAD_MUTEX_INITIALIZER,
				   .settled = PTHREAD_COND_INITIALIZER};
	for (int64_t at = first, end = first + n; at < end && f.err.kind == ERR_NONE;) {
		size_t group = end - at < GROUP ? (size_t)(end - at) : GROUP;
		f.open = group;
		for (size_t i = 0; i < group; i++) {
			struct asked *a = &f.asked[i];
			*a = (struct asked){.n = at++};
			a->write = (struct write){
				.fn = write_ask, .arg = a, .done = settle, .owner = &f};
			ledger_submit(l, &a->write);
		}
		pthread_mutex_lock(&f.lock);
		while (f.open)
			pthread_cond_wait(&f.settled, &f.lock);
		pthread_mutex_unlock(&f.lock);
	}
	*e = f.err;
	return e->kind == ERR_NONE;
}

/* ---- claim ---- */

struct claim {
	struct job_lease leases[AT_ONCE_MAX];
	size_t n;
	int64_t inside_us; /* in the transaction, without its commit */
};

static bool write_claim(struct db *db, void *arg, struct err *e)
{
	struct claim *c = arg;
	int64_t began = sys_mono_us();
	bool ok = job_claim_ready(db, "bench", sys_wall_ms(), LEASE_MS, NULL, c->leases, &c->n, e);
	c->inside_us += sys_mono_us() - began;
	return ok;
}

static bool write_back(struct db *db, void *arg, struct err *e)
{
	struct claim *c = arg;
	for (size_t i = 0; i < c->n; i++)
		if (!job_hand_back(db, &c->leases[i], sys_wall_ms(), e))
			return false;
	return true;
}

static bool claim(struct ledger *l, int64_t rounds, size_t at_once, struct err *e)
{
	struct claim c = {0};
	int64_t claimed = 0, us = 0;
	for (int64_t i = 0; i < rounds; i++) {
		int64_t began = sys_mono_us();
		c.n = at_once;
		if (!ledger_write(l, write_claim, &c, e))
			return false;
		us += sys_mono_us() - began;
		claimed += (int64_t)c.n;
		if (c.n != at_once)
			return fail(e, ERR_FAIL, "only %zu jobs are ready", c.n);
		if (!ledger_write(l, write_back, &c, e))
			return false;
	}
	printf("%.1f %.1f\n", (double)claimed * 1e6 / (double)us,
	       (double)claimed * 1e6 / (double)c.inside_us);
	return true;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	if (argc != 5)
		return 2;
	int64_t a = strtoll(argv[3], NULL, 10), b = strtoll(argv[4], NULL, 10);
	struct ledger *l = ledger_open(argv[2], &e);
	bool ok = l != NULL;
	if (ok && strcmp(argv[1], "fill") == 0)
		ok = fill(l, a, b, &e);
	else if (ok && b > 0 && b <= AT_ONCE_MAX)
		ok = claim(l, a, (size_t)b, &e);
	ledger_close(l);
	if (!ok)
		fprintf(stderr, "queue: %s\n", e.text);
	return ok ? 0 : 1;
}
