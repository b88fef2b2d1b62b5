/*
 * What fails in a group: a failing write is undone alone, a refused commit is told to all of it,
 * and whatever statement fails, a write is in the database as a whole or not at all. This is about
 * the one connection of SQLite's; what breaks a server's is in test_db_pg.
 */
#include "ledgers.h"

/* ---- In company ---- */

struct member {
	struct write write;
	struct item *item;
	atomic_int *left;
};

static void told(struct write *w)
{
	struct member *m = w->owner;
	m->item->ok = w->ok;
	m->item->err = w->err;
	atomic_fetch_sub(m->left, 1);
}

/* Writes the items in one transaction, in this order. The fault_at-th statement from the moment on
 * when they are let go fails; 0 for none. */
static void write_together(struct ledger *l, struct item *items, int n, int64_t fault_at)
{
	struct gate gate;
	struct member m[8];
	atomic_int left = n;
	assert_true(n <= 8);
	shut_gate(&gate, l);
	fault.at = fault_at ? fault.runs + fault_at : 0;
	for (int i = 0; i < n; i++) {
		m[i] = (struct member){.item = &items[i], .left = &left};
		m[i].write = (struct write){
			.fn = insert_pair, .arg = &items[i], .done = told, .owner = &m[i]};
		ledger_submit(l, &m[i].write);
	}
	open_gate(&gate);
	wait_for(&left);
	ledger_flush(l);
}

/* The same, and each fate is what it was told. */
static void write_in_one_group(struct ledger *l, struct item *items, int n)
{
	write_together(l, items, n, 0);
	for (int i = 0; i < n; i++)
		check_fate(ledger_db(l), &items[i]);
}

static void test_failing_member_is_alone(void **state)
{
	struct room *r = *state;
	struct item items[5] = {{.thread = 1},
				{.thread = 2, .fails = true},
				{.thread = 3},
				{.thread = 4, .fails = true},
				{.thread = 5}};
	make_faulty(r->ledger);
	write_in_one_group(r->ledger, items, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(items[i].ok, !items[i].fails);
		assert_int_equal(items[i].group, items[0].group);
	}
}

/* Nothing of a transaction that was not committed is told as done, to nobody. */
static void test_refused_commit_is_told_to_all(void **state)
{
	struct room *r = *state;
	struct item items[4] = {{.thread = 1},
				{.thread = 2, .orphan = true},
				{.thread = 3},
				{.thread = 4, .fails = true}};
	make_faulty(r->ledger);
	write_in_one_group(r->ledger, items, 4);
	for (int i = 0; i < 4; i++) {
		assert_false(items[i].ok);
		assert_int_equal(items[i].group, items[0].group);
	}
	for (int i = 0; i < 3; i++) {
		assert_error(&items[i].err, ERR_FAIL);
		assert_says(&items[i].err, database_server ? "foreign key" : "FOREIGN KEY");
	}
	assert_error(&items[3].err, ERR_ABSENT); /* its own error */
}

/*
 * A member gives up for its own reason (its lease is lost) and then the undoing breaks the
 * transaction. The others must hear that the database failed, not that their leases are lost.
 */
static void test_broken_undo(void **state)
{
	struct room *r = *state;
	struct item items[3] = {{.thread = 1}, {.thread = 2, .fails = true}, {.thread = 3}};
	make_faulty(r->ledger);
	fault.text = "ROLLBACK TO SAVEPOINT member";
	write_in_one_group(r->ledger, items, 3);
	assert_int_equal(items[1].group, items[0].group); /* the third was not begun */
	for (int i = 0; i < 3; i++)
		assert_false(items[i].ok);
	assert_error(&items[0].err, ERR_FAIL);
	assert_error(&items[2].err, ERR_FAIL);
	assert_error(&items[1].err, ERR_ABSENT);
	fault.text = NULL;
	struct item w = {.thread = 9};
	write_item(r->ledger, &w);
	assert_true(w.ok);
	check_fate(ledger_db(r->ledger), &w);
}

/* ---- Torture: the first, the second, the third ... statement fails ---- */

static void torture_alone(bool from_then_on)
{
	for (int64_t at = 1;; at++) {
		struct room r;
		struct item items[3] = {{.n = 1}, {.n = 2, .fails = true}, {.n = 3}};
		open_ledger(&r);
		make_faulty(r.ledger);
		fault.at = at;
		fault.from_then_on = from_then_on;
		for (int i = 0; i < 3; i++)
			write_item(r.ledger, &items[i]);
		bool hit = fault.hit;
		/* What is in the file counts, not what this connection believes. */
		memset(&fault, 0, sizeof fault);
		ledger_close(r.ledger);
		struct err e;
		r.ledger = ledger_open(r.url, &e);
		assert_non_null(r.ledger);
		for (int i = 0; i < 3; i++)
			check_fate(ledger_db(r.ledger), &items[i]);
		assert_false(items[1].ok);
		assert_true(hit || (items[0].ok && items[2].ok));
		struct item later = {.n = 4};
		write_item(r.ledger, &later);
		assert_true(later.ok);
		close_ledger(&r);
		if (!hit)
			break;
	}
}

static void test_torture_once(void **state)
{
	(void)state;
	torture_alone(false);
}

static void test_torture_from_then_on(void **state)
{
	(void)state;
	torture_alone(true);
}

/* One failed statement costs at most its own group: the ledger goes on by itself. */
static void test_torture_goes_on(void **state)
{
	struct room *r = *state;
	bool hit = true;
	make_faulty(r->ledger);
	for (int64_t at = 1; hit; at++) {
		struct item items[2] = {{.thread = at, .n = 1}, {.thread = at, .n = 2}};
		memset(&fault, 0, sizeof fault);
		fault.at = at;
		write_item(r->ledger, &items[0]);
		hit = fault.hit;
		memset(&fault, 0, sizeof fault);
		write_item(r->ledger, &items[1]);
		assert_true(items[0].ok || hit);
		assert_true(items[1].ok);
		check_fate(ledger_db(r->ledger), &items[0]);
		check_fate(ledger_db(r->ledger), &items[1]);
	}
}

static void test_torture_together(void **state)
{
	struct room *r = *state;
	for (int64_t at = 1; at <= 40; at++) {
		struct item items[4] = {{.thread = 1, .n = at},
					{.thread = 2, .n = at, .fails = true},
					{.thread = 3, .n = at},
					{.thread = 4, .n = at}};
		make_faulty(r->ledger);
		write_together(r->ledger, items, 4, at);
		memset(&fault, 0, sizeof fault);
		for (int i = 0; i < 4; i++)
			check_fate(ledger_db(r->ledger), &items[i]);
		assert_false(items[1].ok);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_failing_member_is_alone),
		TEST(test_refused_commit_is_told_to_all),
		TEST(test_broken_undo),
		cmocka_unit_test(test_torture_once),
		cmocka_unit_test(test_torture_from_then_on),
		TEST(test_torture_goes_on),
		TEST(test_torture_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
