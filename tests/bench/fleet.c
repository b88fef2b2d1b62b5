/*
 * fleet - the database's part of accepting and of working, with the functions that the service and
 * its worker use and nothing else: no client, no portal, no documents.
 *
 *   fleet accept URL SECONDS FIRST OPEN    asks for the cases from FIRST on, OPEN at a time
 *   fleet work URL SECONDS AT_ONCE HEAD    claims AT_ONCE jobs in a write, ends them all in the
 *                                          next; looks from the head of the queue every time if
 *                                          HEAD is 1, else as the worker does
 *
 * Prints how many each second, one line each.
 */
#include "case_number.h"
#include "cursor.h"
#include "job.h"
#include "ledger.h"
#include "sys.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_MS = 12000, OPEN_MAX = 512 };

static int64_t end_ms, start_ms;
static _Atomic int64_t seconds[600];

static void count(int64_t n)
{
	int64_t s = (sys_mono_ms() - start_ms) / 1000;
	if (s < 600)
		atomic_fetch_add(&seconds[s], n);
}

/* ---- accept ---- */

struct accepting {
	struct ledger *ledger;
	_Atomic int64_t next;
	_Atomic int open;
	_Atomic bool failed;
};

struct asked {
	struct write write;
	struct accepting *all;
	char number[24];
};

static bool write_ask(struct db *db, void *arg, struct err *e)
{
	struct asked *a = arg;
	struct job_ticket ticket;
	struct job_ask ask = {.number = a->number, .now_ms = sys_wall_ms()};
	return job_ensure(db, &ask, JOB_ANY_AGE, &ticket, e);
}

static void ask_next(struct asked *a);

static void settle(struct write *w)
{
	struct asked *a = w->owner;
	if (!w->ok) {
		fprintf(stderr, "fleet: %s\n", w->err.text);
		atomic_store(&a->all->failed, true);
	}
	count(w->ok);
	if (sys_mono_ms() < end_ms && !atomic_load(&a->all->failed))
		ask_next(a);
	else
		atomic_fetch_sub(&a->all->open, 1);
}

static void ask_next(struct asked *a)
{
	case_number(atomic_fetch_add(&a->all->next, 1), a->number);
	a->write = (struct write){.fn = write_ask, .arg = a, .done = settle, .owner = a};
	ledger_submit(a->all->ledger, &a->write);
}

static bool accept_many(struct ledger *l, int64_t first, int open)
{
	static struct asked asked[OPEN_MAX];
	struct accepting all = {.ledger = l, .next = first, .open = open};
	for (int i = 0; i < open; i++) {
		asked[i].all = &all;
		ask_next(&asked[i]);
	}
	while (atomic_load(&all.open))
		poll(NULL, 0, 5);
	return !all.failed;
}

/* ---- work ---- */

struct work {
	struct job_lease leases[JOB_CLAIM_MAX];
	size_t most, n;
	const struct job_place *from;
};

static bool write_claim(struct db *db, void *arg, struct err *e)
{
	struct work *w = arg;
	static char owner[33];
	if (!*owner)
		sys_random_hex(owner, 32);
	w->n = w->most;
	return job_claim_ready(db, owner, sys_wall_ms(), LEASE_MS, w->from, w->leases, &w->n, e);
}

static bool write_ends(struct db *db, void *arg, struct err *e)
{
	struct work *w = arg;
	bool over;
	for (size_t i = 0; i < w->n; i++)
		if (!job_finish(db, &w->leases[i], OUTCOME_EMPTY, "", sys_wall_ms(), &over, e))
			return false;
	return true;
}

static bool work(struct ledger *l, size_t at_once, bool head, struct err *e)
{
	struct work w = {.most = at_once};
	struct cursor cursor = {0};
	while (sys_mono_ms() < end_ms) {
		w.from = head ? NULL : cursor_begin(&cursor, sys_mono_ms(), sys_wall_ms());
		if (!ledger_write(l, write_claim, &w, e))
			return false;
		cursor_end(&cursor, sys_mono_ms(), w.leases, w.n);
		if ((w.n && !ledger_write(l, write_ends, &w, e)))
			return false;
		count((int64_t)w.n);
		if (!w.n)
			poll(NULL, 0, 5);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	if (argc != 6)
		return 2;
	int64_t a = strtoll(argv[4], NULL, 10), b = strtoll(argv[5], NULL, 10);
	struct ledger *l = ledger_open(argv[2], &e);
	bool ok = l != NULL;
	start_ms = sys_mono_ms();
	end_ms = start_ms + strtoll(argv[3], NULL, 10) * 1000;
	if (ok && strcmp(argv[1], "accept") == 0)
		ok = accept_many(l, a, b < OPEN_MAX ? (int)b : OPEN_MAX);
	else if (ok)
		ok = work(l, (size_t)a, b != 0, &e);
	ledger_close(l);
	for (int64_t s = 0; ok && s < (end_ms - start_ms) / 1000 && s < 600; s++)
		printf("%lld\n", (long long)seconds[s]);
	if (!ok)
		fprintf(stderr, "fleet: %s\n", e.text);
	return ok ? 0 : 1;
}
