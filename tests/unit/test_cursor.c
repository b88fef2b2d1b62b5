/*
 * Where looks for ready jobs begin: behind the last one, a little before, at the beginning; and
 * what happens when the beginning is far away.
 */
#include "cursor.h"

#include "scratch.h"

enum { WALL = 1000000 };

static const struct job_lease taken[] = {{.priority = 5, .run_at_ms = 700000},
					 {.priority = 3, .run_at_ms = 800000}};

/* A look at `now` that takes `took` ms. */
static const struct job_place *look(struct cursor *c, int64_t now, int64_t took, size_t n)
{
	const struct job_place *from = cursor_begin(c, now, WALL + now);
	cursor_end(c, now + took, taken, n);
	return from;
}

static void test_begins(void **state)
{
	struct cursor c = {0};
	(void)state;
	assert_null(look(&c, 10, 1, 2)); /* the first one */
	/* From a little before the last that was taken, then from just behind it. */
	const struct job_place *p = look(&c, 12, 1, 0);
	assert_int_equal(p->priority, 3);
	assert_int_equal(p->run_at_ms, 800000 - 500);
	assert_int_equal(p->expired_ms, WALL + 12);
	p = look(&c, 13, 1, 0);
	assert_int_equal(p->priority, 3);
	assert_int_equal(p->run_at_ms, 800000 - 20);
	p = look(&c, 261, 1, 0);
	assert_int_equal(p->run_at_ms, 800000 - 20);
	p = look(&c, 262, 1, 0);
	assert_int_equal(p->run_at_ms, 800000 - 500);
	/* All, after two seconds. */
	assert_non_null(look(&c, 2010, 1, 0));
	assert_null(look(&c, 2011, 1, 0));
	assert_non_null(look(&c, 2013, 1, 0));
}

/* The last job was asked for where the clock is ahead: jobs of others are not passed over. */
static void test_job_from_the_future(void **state)
{
	static const struct job_lease ahead = {.run_at_ms = 9 * WALL};
	struct cursor c = {0};
	(void)state;
	assert_null(cursor_begin(&c, 10, WALL));
	cursor_end(&c, 11, &ahead, 1);
	assert_int_equal(cursor_begin(&c, 12, WALL + 2)->run_at_ms, WALL + 2 - 500);
	cursor_end(&c, 13, NULL, 0);
	assert_int_equal(cursor_begin(&c, 14, WALL + 4)->run_at_ms, WALL + 4 - 20);
}

/* A look at all that takes long comes back the later; leases are looked for all the same, from
 * where they were looked for the last time. */
static void test_far_beginning(void **state)
{
	struct cursor c = {0};
	(void)state;
	assert_null(look(&c, 10, 200, 2));
	const struct job_place *p = look(&c, 210, 1, 0);
	assert_int_equal(p->expired_ms, WALL + 210);
	p = look(&c, 2009, 1, 0);
	assert_int_equal(p->expired_ms, WALL + 2009);
	p = look(&c, 2010, 1, 0);
	assert_int_equal(p->expired_ms, WALL + 10 - 500);
	p = look(&c, 4500, 1, 0);
	assert_int_equal(p->expired_ms, WALL + 2010 - 500);
	assert_non_null(look(&c, 10209, 1, 0)); /* 200 ms are one part in fifty of ten seconds */
	assert_null(look(&c, 10210, 1, 0));
	assert_non_null(look(&c, 10212, 1, 0));
	cursor_rewind(&c);
	assert_null(look(&c, 10213, 1, 0));
	p = look(&c, 10214, 1, 0);
	assert_int_equal(p->run_at_ms, 800000 - 500);
}

/* A machine that has just been started: its clock stands near 0. */
static void test_young_clock(void **state)
{
	struct cursor c = {0};
	(void)state;
	assert_null(look(&c, 0, 0, 0));
	assert_non_null(look(&c, 1, 0, 2));
	assert_null(look(&c, 2000, 0, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begins),
		cmocka_unit_test(test_job_from_the_future),
		cmocka_unit_test(test_far_beginning),
		cmocka_unit_test(test_young_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
