/*
 * Going over the documents of many cases: all, each once, told in order, until somebody ends it.
 */
#include "walk.h"

#include "cases.h"

#include <pthread.h>

enum { CASES = 150, DOCS = 3 };

struct room {
	char *dir;
	struct db *db;
	char *numbers[CASES];

	pthread_mutex_t lock;
	pthread_t caller;
	int objects, seen[CASES][DOCS];
	int told, not_known, end_after, end_at_unknown;
	char last[21];
	bool elsewhere; /* an object was looked at by another thread than the caller's */
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->db = case_open(r->dir);
	r->caller = pthread_self();
	r->end_after = r->end_at_unknown = -1;
	pthread_mutex_init(&r->lock, NULL);
	assert_true(db_begin(r->db, &e));
	for (int i = 0; i < CASES; i++) {
		r->numbers[i] = case_number(i);
		case_add(r->db, r->numbers[i]);
		for (int d = 0; d < DOCS; d++) /* the second one is not there */
			case_document(r->db, r->numbers[i], d + 1, d == 1 ? "failed" : "available",
				      "k", "abc", i * DOCS + d);
	}
	assert_true(db_commit(r->db, &e));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	scratch_remove(r->dir);
	for (int i = 0; i < CASES; i++)
		xfree(r->numbers[i]);
	pthread_mutex_destroy(&r->lock);
	xfree(r);
	return 0;
}

/* Objects whose size is divisible by 7 are bad, others with one divisible by 11 cannot be read. */
static enum walk_result kind_of(int size)
{
	return size % 7 == 0 ? WALK_BAD : size % 11 == 0 ? WALK_UNREAD : WALK_GOOD;
}

static enum walk_result object(void *arg, const struct case_view *v, const struct doc_view *d,
			       struct err *e)
{
	struct room *r = arg;
	int i = (int)d->size / DOCS, at = (int)d->size % DOCS;
	pthread_mutex_lock(&r->lock);
	r->objects++;
	r->seen[i][at]++;
	r->elsewhere = r->elsewhere || !pthread_equal(pthread_self(), r->caller);
	bool right = strcmp(v->number, r->numbers[i]) == 0 && d->position == at + 1;
	pthread_mutex_unlock(&r->lock);
	fail(e, ERR_FAIL, "bad %d", (int)d->size);
	return right ? kind_of((int)d->size) : WALK_NOT_STORED;
}

static bool over(void *arg, const struct case_view *v, const struct walk_found *found)
{
	struct room *r = arg;
	assert_true(pthread_equal(pthread_self(), r->caller));
	assert_true(strcmp(r->last, v->number) < 0);
	memcpy(r->last, v->number, sizeof r->last);
	assert_int_equal(v->ndocs, DOCS);
	assert_int_equal(found[1].result, WALK_NOT_STORED);
	for (int d = 0; d < DOCS; d += 2) {
		char words[24];
		int size = (int)v->docs[d].size;
		assert_int_equal(found[d].result, kind_of(size));
		snprintf(words, sizeof words, "bad %d", size);
		if (found[d].result != WALK_GOOD)
			assert_string_equal(found[d].err.text, words);
	}
	return r->told++ != r->end_after;
}

static bool unknown(void *arg, const char *number, const struct err *e)
{
	struct room *r = arg;
	assert_int_equal(number[0], '1');
	assert_error(e, ERR_ABSENT);
	return r->not_known++ != r->end_at_unknown;
}

static struct walk walk_of(struct room *r, int threads)
{
	return (struct walk){.db = r->db,
			     .threads = threads,
			     .object = object,
			     .over = over,
			     .unknown = unknown,
			     .arg = r};
}

static void each_once(const struct room *r)
{
	for (int i = 0; i < CASES; i++)
		for (int d = 0; d < DOCS; d++)
			assert_int_equal(r->seen[i][d], d != 1);
}

static void test_all(void **state)
{
	struct room *r = *state;
	struct err e;
	static const int threads[] = {1, 2, 16, 1000, 0};
	for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
		struct walk w = walk_of(r, threads[i]);
		r->told = r->objects = 0;
		r->last[0] = '\0';
		r->elsewhere = false;
		memset(r->seen, 0, sizeof r->seen);
		assert_true(walk_all(&w, &e));
		assert_int_equal(r->told, CASES);
		assert_int_equal(r->objects, CASES * (DOCS - 1));
		each_once(r);
		if (threads[i] < 2)
			assert_false(r->elsewhere);
	}
}

static void test_none(void **state)
{
	struct room *r = *state;
	struct err e;
	struct walk w = walk_of(r, 4);
	walk_cases(&w, NULL, 0);
	assert_int_equal(r->told + r->objects + r->not_known, 0);
	assert_true(db_exec(r->db, NULL, &e, "DELETE FROM process"));
	assert_true(walk_all(&w, &e));
	assert_int_equal(r->told + r->objects + r->not_known, 0);
}

static void test_unknown(void **state)
{
	struct room *r = *state;
	static const char *const stranger = "10000000020248260100";
	const char *some[] = {stranger, r->numbers[3], stranger, stranger, r->numbers[100]};
	struct walk w = walk_of(r, 4);
	walk_cases(&w, some, 5);
	assert_int_equal(r->told, 2);
	assert_int_equal(r->not_known, 3);
	assert_int_equal(r->objects, 4);
	/* nobody wants to know of them */
	w.unknown = NULL;
	r->told = r->not_known = 0;
	r->last[0] = '\0';
	walk_cases(&w, some, 5);
	assert_int_equal(r->told, 2);
	assert_int_equal(r->not_known, 0);
	/* or all the more */
	w.unknown = unknown;
	r->end_at_unknown = 1;
	r->told = r->not_known = 0;
	r->last[0] = '\0';
	walk_cases(&w, some, 5);
	assert_int_equal(r->told, 1);
	assert_int_equal(r->not_known, 2);
}

/* Whoever ends it hears no more, and what is far behind is not looked at. */
static void test_end(void **state)
{
	struct room *r = *state;
	struct err e;
	struct walk w = walk_of(r, 4);
	r->end_after = 4;
	assert_true(walk_all(&w, &e));
	assert_int_equal(r->told, 5);
	assert_string_equal(r->last, r->numbers[4]);
	assert_int_equal(r->seen[CASES - 1][0], 0);
	assert_true(r->objects < CASES * (DOCS - 1));
}

static void test_database_gone(void **state)
{
	struct room *r = *state;
	struct err e;
	struct walk w = walk_of(r, 4);
	assert_true(db_exec(r->db, NULL, &e, "ALTER TABLE process RENAME TO elsewhere"));
	assert_false(walk_all(&w, &e));
	assert_error(&e, ERR_FAIL);
	assert_int_equal(r->told, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all), TEST(test_none),          TEST(test_unknown),
		TEST(test_end), TEST(test_database_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
