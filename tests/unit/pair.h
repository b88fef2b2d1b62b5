/*
 * pair - two processes on one database: a room of jobs.h, and a second connection that writes. Only
 * PostgreSQL has two that write, so these tests run where AUTOS_TEST_POSTGRES names a server.
 */
#ifndef AUTOS_PAIR_H
#define AUTOS_PAIR_H

#include "jobs.h"

struct pair {
	struct room *a;
	struct db *b;
};

static inline int setup_pair(void **state)
{
	struct pair *p = xcalloc(1, sizeof *p);
	struct err e;
	assert_int_equal(setup((void **)&p->a), 0);
	p->b = db_open(p->a->url, DB_WRITE, &e);
	assert_non_null(p->b);
	*state = p;
	return 0;
}

static inline int teardown_pair(void **state)
{
	struct pair *p = *state;
	db_close(p->b);
	teardown((void **)&p->a);
	xfree(p);
	return 0;
}

#define TEST_PAIR(name) cmocka_unit_test_setup_teardown(name, setup_pair, teardown_pair)

/* Only where there is a server. */
#define pair_run(tests)                                                                            \
	({                                                                                         \
		database_server = getenv("AUTOS_TEST_POSTGRES");                                   \
		database_server ? cmocka_run_group_tests_name("postgres", tests, NULL, NULL) : 0;  \
	})

#endif
