/*
 * walk - see walk.h. Threads take documents one after another from the batch; the database is read
 * by the caller's thread only.
 */
#include "walk.h"

#include "sys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { BATCH_CASES = 64, BATCH_DOCUMENTS = 1000, THREADS_MAX = 64 };

struct place {
	size_t at, doc; /* case in the batch, document in the case */
};

struct batch {
	const struct walk *walk;
	struct case_view views[BATCH_CASES];
	struct walk_found *found[BATCH_CASES];
	const char *unknown[BATCH_CASES]; /* its number, when it could not be read */
	struct err why[BATCH_CASES];
	size_t n;
	struct place *places;
	size_t nplaces, cap;
	_Atomic size_t next;
};

static void add_case(struct batch *b, const char *number)
{
	size_t at = b->n++;
	struct case_view *v = &b->views[at];
	b->unknown[at] = NULL;
	b->found[at] = NULL;
	if (!query_case(b->walk->db, number, v, &b->why[at])) {
		b->unknown[at] = number;
		return;
	}
	b->found[at] = xcalloc(v->ndocs, sizeof *b->found[at]);
	for (size_t i = 0; i < v->ndocs; i++) {
		if (strcmp(v->docs[i].state, "available") != 0)
			continue;
		b->places = xgrow(b->places, b->nplaces, &b->cap, sizeof *b->places);
		b->places[b->nplaces++] = (struct place){at, i};
	}
}

static void *run(void *arg)
{
	struct batch *b = arg;
	size_t i;
	while ((i = atomic_fetch_add(&b->next, 1)) < b->nplaces) {
		const struct place *p = &b->places[i];
		const struct case_view *v = &b->views[p->at];
		struct walk_found *f = &b->found[p->at][p->doc];
		f->result = b->walk->object(b->walk->arg, v, &v->docs[p->doc], &f->err);
	}
	return NULL;
}

static void run_all(struct batch *b)
{
	pthread_t threads[THREADS_MAX];
	size_t n = (size_t)b->walk->threads;
	if (n > b->nplaces)
		n = b->nplaces;
	if (n > THREADS_MAX)
		n = THREADS_MAX;
	for (size_t i = 1; i < n; i++)
		if (pthread_create(&threads[i], NULL, run, b) != 0)
			die("cannot start a thread");
	run(b);
	for (size_t i = 1; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* Tells what was found, in order. */
static bool tell(struct batch *b)
{
	const struct walk *w = b->walk;
	for (size_t i = 0; i < b->n; i++) {
		bool go_on = !b->unknown[i] ? w->over(w->arg, &b->views[i], b->found[i])
			     : w->unknown   ? w->unknown(w->arg, b->unknown[i], &b->why[i])
					    : true;
		if (!go_on)
			return false;
	}
	return true;
}

void walk_cases(const struct walk *w, const char *const *numbers, size_t n)
{
	struct batch *b = xcalloc(1, sizeof *b);
	b->walk = w;
	bool go_on = true;
	for (size_t at = 0; at < n && go_on;) {
		b->n = b->nplaces = 0;
		atomic_store(&b->next, 0);
		while (at < n && b->n < BATCH_CASES && b->nplaces < BATCH_DOCUMENTS)
			add_case(b, numbers[at++]);
		run_all(b);
		go_on = tell(b);
		for (size_t i = 0; i < b->n; i++) {
			case_view_release(&b->views[i]);
			xfree(b->found[i]);
		}
	}
	xfree(b->places);
	xfree(b);
}

bool walk_all(const struct walk *w, struct err *e)
{
	struct db_rows r = {0};
	bool ok = query_numbers(w->db, &r, e);
	if (ok) {
		const char **numbers = xcalloc(r.rows, sizeof *numbers);
		for (size_t i = 0; i < r.rows; i++)
			numbers[i] = db_text(&r, i, 0);
		walk_cases(w, numbers, r.rows);
		xfree(numbers);
	}
	db_rows_release(&r);
	return ok;
}
