/*
 * hub - waits in a table by case, and one counter for each bucket of cases: the number of its last
 * change. Knows nothing of requests.
 */
#include "hub.h"

#include "metrics.h"
#include "sys.h"
#include "sys_wait.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CASES = 1 << 16, BUCKETS = 1 << 12 };

struct hub {
	_Atomic uint64_t now;
	_Atomic uint64_t changed[CASES]; /* by case: number of the last change */
	_Atomic uint64_t missed;         /* the last time when any case may have changed */

	pthread_mutex_t lock;
	pthread_cond_t sooner;
	struct hub_wait *waits[BUCKETS]; /* by case */
	struct hub_wait *all;
	int64_t next_ms; /* the clock thread wakes then; INT64_MAX = not by itself */
	bool ending, stop;
	pthread_t clock;
};

static size_t slot(int64_t process_id, size_t n)
{
	return (size_t)(((uint64_t)process_id * UINT64_C(0x9e3779b97f4a7c15)) >> 40) % n;
}

/* ---- The table; all under the lock ---- */

static void push(struct hub *h, struct hub_wait *w)
{
	struct hub_wait **head = &h->waits[slot(w->process_id, BUCKETS)];
	w->next = *head;
	w->link = head;
	if (w->next)
		w->next->link = &w->next;
	*head = w;
	w->all_next = h->all;
	w->all_link = &h->all;
	if (w->all_next)
		w->all_next->all_link = &w->all_next;
	h->all = w;
	w->waiting = true;
}

static void pull(struct hub_wait *w)
{
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	*w->all_link = w->all_next;
	if (w->all_next)
		w->all_next->all_link = w->all_link;
	w->waiting = false;
}

/* Moves a wait to a list of those to be woken once the lock is released. */
static void take(struct hub_wait *w, struct hub_wait **woken)
{
	pull(w);
	w->next = *woken;
	*woken = w;
}

static void wake_list(struct hub_wait *woken)
{
	for (struct hub_wait *next; woken; woken = next) {
		next = woken->next; /* its owner may reuse it at once */
		woken->wake(woken);
	}
}

/* ---- Time ---- */

static void *clock_main(void *arg)
{
	struct hub *h = arg;
	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct hub_wait *woken = NULL;
		int64_t now = sys_mono_ms(), first = INT64_MAX;
		for (struct hub_wait *w = h->all, *next; w; w = next) {
			next = w->all_next;
			if (w->until_ms <= now)
				take(w, &woken);
			else if (w->until_ms < first)
				first = w->until_ms;
		}
		h->next_ms = first;
		if (woken) {
			pthread_mutex_unlock(&h->lock);
			wake_list(woken);
			pthread_mutex_lock(&h->lock);
		} else {
			sys_cond_wait(&h->sooner, &h->lock, first);
		}
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- Life ---- */

struct hub *hub_new(void)
{
	struct hub *h = xcalloc(1, sizeof *h);
	pthread_mutex_init(&h->lock, NULL);
	sys_cond_init(&h->sooner);
	h->next_ms = INT64_MAX;
	atomic_store(&h->now, 1);
	if (pthread_create(&h->clock, NULL, clock_main, h) != 0)
		die("cannot start a thread");
	return h;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->sooner);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->clock, NULL);
	pthread_cond_destroy(&h->sooner);
	pthread_mutex_destroy(&h->lock);
	xfree(h);
}

/* ---- News ---- */

uint64_t hub_now(const struct hub *h)
{
	return atomic_load(&h->now);
}

bool hub_changed(const struct hub *h, int64_t process_id, uint64_t since)
{
	return atomic_load(&h->changed[slot(process_id, CASES)]) > since ||
	       atomic_load(&h->missed) > since;
}

static bool is_of_case(const struct db_note *n)
{
	return n->kind == NOTE_CHANGED || n->kind == NOTE_READY || n->kind == NOTE_DELIVERY ||
	       n->kind == NOTE_SENT;
}

void hub_notes(void *arg, const struct db_note *notes, size_t n)
{
	struct hub *h = arg;
	struct hub_wait *woken = NULL;
	/* First the marks, then the waits: who comes in between sees the mark. */
	for (size_t i = 0; i < n; i++)
		if (notes[i].kind == NOTE_ANY)
			atomic_store(&h->missed, atomic_fetch_add(&h->now, 1) + 1);
		else if (is_of_case(&notes[i]))
			atomic_store(&h->changed[slot(notes[i].process_id, CASES)],
				     atomic_fetch_add(&h->now, 1) + 1);
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < n && h->all; i++) {
		while (notes[i].kind == NOTE_ANY && h->all)
			take(h->all, &woken);
		if (!is_of_case(&notes[i]))
			continue;
		struct hub_wait *w = h->waits[slot(notes[i].process_id, BUCKETS)];
		for (struct hub_wait *next; w; w = next) {
			next = w->next;
			if (w->process_id == notes[i].process_id)
				take(w, &woken);
		}
	}
	pthread_mutex_unlock(&h->lock);
	wake_list(woken);
}

/* ---- Waiting ---- */

void hub_sleep(struct hub *h, struct hub_wait *w)
{
	w->waiting = false;
	pthread_mutex_lock(&h->lock);
	bool now = h->ending || hub_changed(h, w->process_id, w->since) ||
		   w->until_ms <= sys_mono_ms();
	if (!now) {
		push(h, w);
		if (w->until_ms < h->next_ms) {
			h->next_ms = w->until_ms;
			pthread_cond_signal(&h->sooner);
		}
	}
	pthread_mutex_unlock(&h->lock);
	if (now)
		w->wake(w);
}

bool hub_cancel(struct hub *h, struct hub_wait *w)
{
	pthread_mutex_lock(&h->lock);
	bool mine = w->waiting;
	if (mine)
		pull(w);
	pthread_mutex_unlock(&h->lock);
	return mine;
}

void hub_wake_all(struct hub *h)
{
	struct hub_wait *woken = NULL;
	pthread_mutex_lock(&h->lock);
	h->ending = true;
	while (h->all)
		take(h->all, &woken);
	pthread_mutex_unlock(&h->lock);
	wake_list(woken);
}
