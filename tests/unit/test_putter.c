/*
 * Puts of a store that begins them and of one that blocks: all come back, each once, with a wake.
 */
#include "putter.h"

#include "scratch.h"

#include <pthread.h>

enum { MANY = 500 };

/* A store that keeps what it is given until it is told to let go, or does it at once. */
struct fake {
	struct store base;
	pthread_mutex_t lock;
	struct put *held[MANY];
	size_t nheld;
	int started, groups, largest;
	bool at_once;
};

struct room {
	struct fake fake;
	struct putter *putter;
	_Atomic int wakes;
	struct put puts[MANY];
};

static void begin_put(struct store *base, struct put *p)
{
	struct fake *f = (struct fake *)base;
	pthread_mutex_lock(&f->lock);
	f->started++;
	bool now = f->at_once;
	if (!now)
		f->held[f->nheld++] = p;
	pthread_mutex_unlock(&f->lock);
	if (now) {
		p->ok = true;
		p->finished(p);
	}
}

static void put_group(struct store *base, struct put **puts, size_t n)
{
	struct fake *f = (struct fake *)base;
	pthread_mutex_lock(&f->lock);
	f->groups++;
	if ((int)n > f->largest)
		f->largest = (int)n;
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < n; i++)
		puts[i]->ok = true;
}

static const struct store_ops starts = {.scheme = "starts", .start = begin_put};
static const struct store_ops blocks = {.scheme = "blocks", .put = put_group};

static void wake(void *arg)
{
	struct room *r = arg;
	r->wakes++;
}

static struct room *make(const struct store_ops *ops, int threads)
{
	struct room *r = xcalloc(1, sizeof *r);
	r->fake.base.ops = ops;
	pthread_mutex_init(&r->fake.lock, NULL);
	r->putter = putter_new(&r->fake.base, threads, wake, r);
	return r;
}

static void done(struct room *r)
{
	putter_free(r->putter);
	pthread_mutex_destroy(&r->fake.lock);
	xfree(r);
}

/* Ends what is held, from another thread. */
static void *let_go(void *arg)
{
	struct fake *f = arg;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->nheld; i++) {
		f->held[i]->ok = true;
		f->held[i]->finished(f->held[i]);
	}
	f->nheld = 0;
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void takes_back(struct room *r, int n, int64_t wait_ms)
{
	bool seen[MANY] = {false};
	for (int i = 0; i < n; i++) {
		struct put *p = putter_done(r->putter, wait_ms);
		assert_non_null(p);
		size_t at = (size_t)(p - r->puts);
		assert_true(at < MANY && !seen[at] && p->ok);
		seen[at] = true;
	}
	assert_null(putter_done(r->putter, 0));
	assert_null(putter_done(r->putter, -1)); /* nothing is unfinished: no sleep */
}

/* Started at once, by the caller's thread; nothing comes back before its time. */
static void test_starts(void **state)
{
	(void)state;
	struct room *r = make(&starts, 4);
	pthread_t t;
	for (int i = 0; i < MANY; i++) {
		putter_add(r->putter, &r->puts[i]);
		assert_int_equal(r->fake.started, i + 1);
	}
	assert_null(putter_done(r->putter, 0));
	assert_null(putter_done(r->putter, 1));
	assert_int_equal(r->wakes, 0);
	assert_int_equal(pthread_create(&t, NULL, let_go, &r->fake), 0);
	takes_back(r, MANY, -1);
	pthread_join(t, NULL);
	assert_int_equal(r->wakes, MANY);
	done(r);
}

/* A fate that is known before `start` returns. */
static void test_starts_at_once(void **state)
{
	(void)state;
	struct room *r = make(&starts, 1);
	r->fake.at_once = true;
	for (int i = 0; i < MANY; i++)
		putter_add(r->putter, &r->puts[i]);
	assert_int_equal(r->wakes, MANY);
	takes_back(r, MANY, 0);
	done(r);
}

static void test_blocks(void **state)
{
	(void)state;
	struct room *r = make(&blocks, 4);
	for (int i = 0; i < MANY; i++)
		putter_add(r->putter, &r->puts[i]);
	takes_back(r, MANY, -1);
	assert_in_range(r->fake.groups, 1, MANY);
	assert_in_range(r->fake.largest, 1, 32);
	done(r); /* all threads have ended: wakes may be read */
}

static void test_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct room *r = make(i ? &starts : &blocks, 2);
		assert_null(putter_done(r->putter, -1));
		done(r);
	}
	putter_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_starts_at_once),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
