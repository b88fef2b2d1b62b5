/*
 * Writes that are submitted and told of later: all that waited share few transactions, closing runs
 * what was submitted, and whoever watches hears of a commit before the writers do, and of nothing
 * that was undone.
 */
#include "ledgers.h"

#include "metrics.h"

/* ---- Submitted, and told later ---- */

enum { GROUP = 512, MANY = 3 * GROUP + 7 };

struct async {
	struct write write;
	struct item item;
	struct db_note note; /* written down with the item; kind NOTE_ACCESS: none */
	atomic_int *left;
	atomic_int *clock;
	int told_at;
};

static bool insert_noted(struct db *db, void *arg, struct err *e)
{
	struct async *a = arg;
	if (a->note.kind != NOTE_ACCESS) {
		db_note(db, a->note);
		db_note(db, a->note);
	}
	return insert_pair(db, &a->item, e);
}

static void told(struct write *w)
{
	struct async *a = w->owner;
	a->item.ok = w->ok;
	a->item.err = w->err;
	a->told_at = a->clock ? atomic_fetch_add(a->clock, 1) : 0;
	atomic_fetch_sub(a->left, 1);
}

static void submit(struct ledger *l, struct async *a)
{
	a->write.fn = insert_noted;
	a->write.arg = a;
	a->write.done = told;
	a->write.owner = a;
	ledger_submit(l, &a->write);
}

static int64_t pairs_in(struct db *db)
{
	struct db_rows r;
	struct err e;
	int64_t n = db_exec(db, &r, &e, "SELECT COUNT(*) FROM t") ? db_int(&r, 0, 0) / 2 : -1;
	db_rows_release(&r);
	return n;
}

static void test_submit(void **state)
{
	struct room *r = *state;
	struct gate gate;
	atomic_int left = MANY;
	struct async *a = xcalloc(MANY, sizeof *a);
	shut_gate(&gate, r->ledger);
	int64_t groups = metric_get(METRIC_ledger_groups);
	int64_t seen = metric_observations(HISTOGRAM_ledger_commit, NULL);
	for (int i = 0; i < MANY; i++) {
		a[i] = (struct async){.item = {.thread = i, .n = i, .fails = i % 5 == 0},
				      .note = {.kind = NOTE_ACCESS},
				      .left = &left};
		submit(r->ledger, &a[i]);
	}
	int untold = atomic_load(&left);
	open_gate(&gate); /* before anything fails: a ledger that is held cannot be closed */
	wait_for(&left);
	assert_int_equal(untold, MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(a[i].item.ok, !a[i].item.fails);
	assert_int_equal(pairs_in(ledger_db(r->ledger)), MANY - (MANY + 4) / 5);
	/* All that waited shares transactions of at most 512; the gate has one a connection. */
	struct err e;
	assert_true(ledger_write(r->ledger, insert_pair, &(struct item){.thread = -1}, &e));
	int64_t made = metric_get(METRIC_ledger_groups) - groups;
	assert_int_equal(made, gate.n + MANY / GROUP + 1 + 1);
	assert_int_equal(metric_observations(HISTOGRAM_ledger_commit, NULL) - seen, made);
	xfree(a);
}

/* A write may be submitted from where the one before it is told. */
struct chain {
	struct write write;
	struct ledger *ledger;
	struct item item;
	atomic_int left;
};

static void next_link(struct write *w)
{
	struct chain *c = w->owner;
	c->item.ok = w->ok;
	c->item.n++;
	if (atomic_fetch_sub(&c->left, 1) > 1)
		ledger_submit(c->ledger, w);
}

static void test_submit_when_told(void **state)
{
	struct room *r = *state;
	struct chain c = {.ledger = r->ledger, .left = 20, .item = {.thread = 1}};
	c.write = (struct write){.fn = insert_pair, .arg = &c.item, .done = next_link, .owner = &c};
	ledger_submit(r->ledger, &c.write);
	wait_for(&c.left);
	assert_true(c.item.ok);
	struct err e; /* the ledger has let go of the last one too */
	assert_true(ledger_write(r->ledger, insert_pair, &(struct item){.thread = 2}, &e));
	assert_int_equal(pairs_in(ledger_db(r->ledger)), 21);
}

static void test_close_runs_what_was_submitted(void **state)
{
	struct room *r = *state;
	struct err e;
	atomic_int left = MANY;
	struct async *a = xcalloc(MANY, sizeof *a);
	for (int i = 0; i < MANY; i++) {
		a[i] = (struct async){.item = {.thread = i, .n = i},
				      .note = {.kind = NOTE_ACCESS},
				      .left = &left};
		submit(r->ledger, &a[i]);
	}
	ledger_close(r->ledger);
	assert_int_equal(atomic_load(&left), 0);
	r->ledger = ledger_open(r->url, &e);
	assert_non_null(r->ledger);
	for (int i = 0; i < MANY; i++)
		assert_true(a[i].item.ok);
	assert_int_equal(pairs_in(ledger_db(r->ledger)), MANY);
	xfree(a);
}

/* ---- Watchers ---- */

struct watcher {
	struct db *reader; /* what others see at that moment */
	atomic_int *clock;
	struct db_note notes[64];
	size_t n;
	int calls, heard_at;
	int64_t pairs;
};

static void hear(void *arg, const struct db_note *notes, size_t n)
{
	struct watcher *w = arg;
	w->calls++;
	w->heard_at = atomic_fetch_add(w->clock, 1);
	w->pairs = pairs_in(w->reader);
	for (size_t i = 0; i < n && w->n < 64; i++)
		w->notes[w->n++] = notes[i];
}

static void watch(struct room *r, struct watcher *w, atomic_int *clock)
{
	struct err e;
	*w = (struct watcher){.reader = db_open(r->url, DB_READ, &e), .clock = clock};
	assert_non_null(w->reader);
	ledger_watch(r->ledger, hear, w);
}

/* Writes that wait together; an item with number n leaves the note (n, 10 n). */
static void submit_together(struct ledger *l, struct async *a, int n, atomic_int *clock)
{
	struct gate gate;
	atomic_int left = n;
	shut_gate(&gate, l);
	for (int i = 0; i < n; i++) {
		a[i].left = &left;
		a[i].clock = clock;
		a[i].note = (struct db_note){.kind = NOTE_CHANGED,
					     .process_id = a[i].item.n,
					     .job_id = 10 * a[i].item.n};
		submit(l, &a[i]);
	}
	open_gate(&gate);
	wait_for(&left);
}

static void test_watchers_hear_first(void **state)
{
	struct room *r = *state;
	atomic_int clock = 0;
	struct watcher w[2];
	struct async a[5] = {{.item = {.n = 1}},
			     {.item = {.n = 2, .fails = true}},
			     {.item = {.n = 2, .thread = 1}},
			     {.item = {.n = 3, .fails = true}},
			     {.item = {.n = 4}}};
	const int64_t kept[] = {1, 2, 4};
	for (int i = 0; i < 2; i++)
		watch(r, &w[i], &clock);
	submit_together(r->ledger, a, 5, &clock);
	for (int i = 0; i < 2; i++) {
		const struct db_note *heard = w[i].notes;
		assert_int_equal(w[i].calls, 1);
		assert_int_equal(w[i].heard_at, i); /* before anybody was told */
		assert_int_equal(w[i].pairs, 3);    /* and after the commit */
		/* What was undone left no note. */
		assert_int_equal(w[i].n, 3);
		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(heard[k].kind, NOTE_CHANGED);
			assert_int_equal(heard[k].process_id, kept[k]);
			assert_int_equal(heard[k].job_id, 10 * heard[k].process_id);
		}
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(a[i].told_at, 2 + i); /* in the order of asking */
	for (int i = 0; i < 2; i++)
		db_close(w[i].reader);
}

static void test_no_news_no_call(void **state)
{
	struct room *r = *state;
	atomic_int clock = 0;
	struct watcher w;
	struct async bad = {.item = {.n = 1, .fails = true}};
	struct item quiet = {.n = 2};
	watch(r, &w, &clock);
	submit_together(r->ledger, &bad, 1, &clock);
	write_item(r->ledger, &quiet);
	assert_true(quiet.ok);
	assert_int_equal(w.calls, 0);
	db_close(w.reader);
}

/* A transaction that came to nothing is no news, and its notes do not turn up later. */
static void test_no_news_of_a_failure(void **state)
{
	struct room *r = *state;
	atomic_int clock = 0;
	struct watcher w;
	struct async a[3] = {{.item = {.n = 1}}, {.item = {.n = 2, .orphan = true}}};
	watch(r, &w, &clock);
	submit_together(r->ledger, a, 2, &clock);
	for (int i = 0; i < 2; i++) {
		assert_false(a[i].item.ok);
		assert_says(&a[i].item.err, database_server ? "foreign key" : "FOREIGN KEY");
	}
	assert_int_equal(w.calls, 0);
	make_faulty(r->ledger);
	fault.text = "RELEASE SAVEPOINT member";
	a[0].item.n = 3;
	write_item(r->ledger, &a[0].item);
	assert_false(a[0].item.ok);
	memset(&fault, 0, sizeof fault);
	a[2].item.n = 4;
	submit_together(r->ledger, &a[2], 1, &clock);
	assert_int_equal(w.calls, 1);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.notes[0].process_id, 4);
	db_close(w.reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_submit),
		TEST(test_submit_when_told),
		TEST(test_close_runs_what_was_submitted),
		TEST(test_no_news_no_call),
	};
	/* These are about the one connection. */
	const struct CMUnitTest alone[] = {
		TEST(test_watchers_hear_first),
		TEST(test_no_news_of_a_failure),
	};
	int failed = cmocka_run_group_tests_name("alone", alone, NULL, NULL);
	return failed + database_run(tests);
}
