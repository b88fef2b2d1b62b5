/*
 * Waiting for news: none is missed between reading and sleeping, nobody is woken twice, a wait ends
 * by its time, by hub_cancel, or when all are called.
 */
#include "hub.h"

#include "scratch.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CASE = 7, OTHER_CASE = 8, LONG_MS = 60000 };

/* A wait and how often it was woken. */
struct sleeper {
	struct hub_wait wait;
	pthread_mutex_t lock;
	pthread_cond_t rung;
	int wakes;
};

static void ring(struct hub_wait *w)
{
	struct sleeper *s = w->owner;
	pthread_mutex_lock(&s->lock);
	s->wakes++;
	pthread_cond_signal(&s->rung);
	pthread_mutex_unlock(&s->lock);
}

static void init(struct sleeper *s, int64_t process_id)
{
	*s = (struct sleeper){.lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER};
	s->wait = (struct hub_wait){.process_id = process_id, .wake = ring, .owner = s};
}

static void lie_down(struct hub *h, struct sleeper *s, uint64_t since, int64_t ms)
{
	s->wait.since = since;
	s->wait.until_ms = sys_mono_ms() + ms;
	hub_sleep(h, &s->wait);
}

static int wakes(struct sleeper *s)
{
	pthread_mutex_lock(&s->lock);
	int n = s->wakes;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Returns once it was woken so many times. */
static void await(struct sleeper *s, int n)
{
	pthread_mutex_lock(&s->lock);
	while (s->wakes < n)
		pthread_cond_wait(&s->rung, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void tell(struct hub *h, int64_t process_id)
{
	hub_notes(h, &(struct db_note){.kind = NOTE_CHANGED, .process_id = process_id}, 1);
}

static int setup(void **state)
{
	*state = hub_new();
	return 0;
}

static int teardown(void **state)
{
	hub_free(*state);
	return 0;
}

/* ---- News ---- */

static void test_news_before_sleeping(void **state)
{
	struct hub *h = *state;
	struct sleeper s;
	init(&s, CASE);
	uint64_t since = hub_now(h);
	assert_false(hub_changed(h, CASE, since));
	tell(h, CASE);
	assert_true(hub_changed(h, CASE, since));
	lie_down(h, &s, since, LONG_MS);
	assert_int_equal(wakes(&s), 1);
	assert_false(hub_cancel(h, &s.wait));
	/* What was read after the change is up to date. */
	since = hub_now(h);
	assert_false(hub_changed(h, CASE, since));
	lie_down(h, &s, since, LONG_MS);
	assert_int_equal(wakes(&s), 1);
	assert_true(hub_cancel(h, &s.wait));
}

static void test_news_while_sleeping(void **state)
{
	struct hub *h = *state;
	struct sleeper s, other;
	init(&s, CASE);
	init(&other, OTHER_CASE);
	lie_down(h, &s, hub_now(h), LONG_MS);
	lie_down(h, &other, hub_now(h), LONG_MS);
	tell(h, CASE);
	assert_int_equal(wakes(&s), 1);
	assert_int_equal(wakes(&other), 0);
	tell(h, CASE); /* nobody is there any more */
	assert_int_equal(wakes(&s), 1);
	assert_true(hub_cancel(h, &other.wait));
	tell(h, OTHER_CASE);
	assert_int_equal(wakes(&other), 0);
}

static void test_ready_is_news_access_is_not(void **state)
{
	struct hub *h = *state;
	struct sleeper s;
	uint64_t since = hub_now(h);
	struct db_note notes[] = {{.kind = NOTE_ACCESS}, {.kind = NOTE_READY, .process_id = CASE}};
	init(&s, CASE);
	s.wait.process_id = 0; /* what a note about access says of cases */
	lie_down(h, &s, since, LONG_MS);
	hub_notes(h, notes, 1);
	assert_int_equal(wakes(&s), 0);
	assert_int_equal(hub_now(h), since);
	assert_true(hub_cancel(h, &s.wait));
	s.wait.process_id = CASE;
	lie_down(h, &s, since, LONG_MS);
	hub_notes(h, notes, 2);
	assert_int_equal(wakes(&s), 1);
}

/* Many cases in one commit, many waits for each: each wait once. */
static void test_many_waiters(void **state)
{
	enum { CASES = 300, EACH = 7 };
	struct hub *h = *state;
	struct sleeper *all = xcalloc(CASES * EACH, sizeof *all);
	struct db_note notes[2 * CASES];
	for (int i = 0; i < CASES * EACH; i++) {
		init(&all[i], 1 + i % CASES);
		lie_down(h, &all[i], hub_now(h), LONG_MS);
	}
	for (int i = 0; i < 2 * CASES; i++) /* the even cases, and each of them four times */
		notes[i] = (struct db_note){.kind = NOTE_CHANGED, .process_id = 2 + 2 * i % CASES};
	hub_notes(h, notes, 2 * CASES);
	for (int i = 0; i < CASES * EACH; i++) {
		bool even = all[i].wait.process_id % 2 == 0;
		assert_int_equal(wakes(&all[i]), even);
		assert_int_equal(hub_cancel(h, &all[i].wait), !even);
	}
	xfree(all);
}

/* ---- Time ---- */

static void test_time_is_over(void **state)
{
	struct hub *h = *state;
	struct sleeper far, near, over;
	init(&far, CASE);
	init(&near, CASE);
	init(&over, CASE);
	lie_down(h, &over, hub_now(h), 0);
	assert_int_equal(wakes(&over), 1);
	lie_down(h, &over, hub_now(h), -5);
	assert_int_equal(wakes(&over), 2);
	lie_down(h, &far, hub_now(h), LONG_MS);
	lie_down(h, &near, hub_now(h), 20); /* sooner than what the clock waits for */
	await(&near, 1);
	assert_true(sys_mono_ms() >= near.wait.until_ms);
	assert_int_equal(wakes(&far), 0);
	lie_down(h, &near, hub_now(h), 5); /* the same again */
	await(&near, 2);
	assert_true(hub_cancel(h, &far.wait));
}

static void test_no_end(void **state)
{
	struct hub *h = *state;
	struct sleeper s, t;
	init(&s, CASE);
	init(&t, OTHER_CASE);
	s.wait.since = hub_now(h);
	s.wait.until_ms = INT64_MAX;
	hub_sleep(h, &s.wait);
	lie_down(h, &t, hub_now(h), 5);
	await(&t, 1);
	assert_int_equal(wakes(&s), 0);
	tell(h, CASE);
	assert_int_equal(wakes(&s), 1);
}

/* ---- Cancelling, calling all ---- */

static void test_cancel_in_the_middle(void **state)
{
	struct hub *h = *state;
	struct sleeper s[5];
	for (int i = 0; i < 5; i++) {
		init(&s[i], CASE);
		lie_down(h, &s[i], hub_now(h), LONG_MS);
	}
	assert_true(hub_cancel(h, &s[2].wait));
	assert_false(hub_cancel(h, &s[2].wait));
	assert_true(hub_cancel(h, &s[4].wait));
	assert_true(hub_cancel(h, &s[0].wait));
	tell(h, CASE);
	for (int i = 0; i < 5; i++)
		assert_int_equal(wakes(&s[i]), i % 2);
}

/* A wait that never lay down holds whatever its owner's memory held. */
static void test_cancel_of_one_that_was_woken_at_once(void **state)
{
	struct hub *h = *state;
	struct sleeper s;
	init(&s, CASE);
	s.wait.waiting = true;
	lie_down(h, &s, hub_now(h), 0);
	assert_int_equal(wakes(&s), 1);
	assert_false(hub_cancel(h, &s.wait));
}

static void test_wake_all(void **state)
{
	struct hub *h = *state;
	struct sleeper s[50];
	for (int i = 0; i < 50; i++) {
		init(&s[i], i % 3);
		lie_down(h, &s[i], hub_now(h), LONG_MS);
	}
	hub_wake_all(h);
	for (int i = 0; i < 50; i++)
		assert_int_equal(wakes(&s[i]), 1);
	lie_down(h, &s[0], hub_now(h), LONG_MS);
	assert_int_equal(wakes(&s[0]), 2);
	hub_wake_all(h);
	assert_int_equal(wakes(&s[0]), 2);
}

/* Who is woken may sleep again at once: the same news does not wake it twice. */
static struct hub *again_hub;

static void sleep_again(struct hub_wait *w)
{
	struct sleeper *s = w->owner;
	ring(w);
	if (s->wakes < 3)
		lie_down(again_hub, s, hub_now(again_hub), LONG_MS);
}

static void test_sleeping_again_when_woken(void **state)
{
	struct hub *h = again_hub = *state;
	struct db_note notes[] = {{.kind = NOTE_CHANGED, .process_id = CASE},
				  {.kind = NOTE_CHANGED, .process_id = OTHER_CASE},
				  {.kind = NOTE_CHANGED, .process_id = CASE}};
	struct sleeper s;
	init(&s, CASE);
	s.wait.wake = sleep_again;
	lie_down(h, &s, hub_now(h), LONG_MS);
	hub_notes(h, notes, 3);
	assert_int_equal(s.wakes, 1);
	tell(h, CASE);
	assert_int_equal(s.wakes, 2);
	assert_true(hub_cancel(h, &s.wait));
}

/* ---- Threads ---- */

enum { READERS = 6, CHANGES = 3000 };

struct storm {
	struct hub *hub;
	_Atomic int64_t value; /* what the database would hold */
	_Atomic int late;      /* waits that ended by their time */
};

/* Reads, sleeps until there is more, reads again: as every request that waits does. */
static void *follow(void *arg)
{
	struct storm *storm = arg;
	struct sleeper s;
	init(&s, CASE);
	for (int n = 1;; n++) {
		uint64_t since = hub_now(storm->hub);
		if (atomic_load(&storm->value) == CHANGES)
			return NULL;
		lie_down(storm->hub, &s, since, LONG_MS);
		await(&s, n);
		if (sys_mono_ms() >= s.wait.until_ms)
			atomic_fetch_add(&storm->late, 1);
	}
}

static void test_no_news_is_missed(void **state)
{
	struct storm storm = {.hub = *state};
	pthread_t threads[READERS];
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, follow, &storm), 0);
	for (int i = 0; i < CHANGES; i++) {
		atomic_fetch_add(&storm.value, 1);
		tell(storm.hub, CASE);
	}
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&storm.late), 0);
}

struct canceller {
	pthread_t thread;
	struct hub *hub;
	int cancelled, woken, wrong;
};

/* Each wait is cancelled or woken, never both. */
static void *cancel_many(void *arg)
{
	struct canceller *me = arg;
	for (int i = 0; i < CHANGES; i++) {
		struct sleeper s;
		init(&s, CASE);
		lie_down(me->hub, &s, hub_now(me->hub), i % 3 == 0 ? 1 : LONG_MS);
		if (hub_cancel(me->hub, &s.wait)) {
			me->cancelled++;
			me->wrong += wakes(&s) != 0;
		} else {
			await(&s, 1);
			me->woken++;
		}
	}
	return NULL;
}

static void test_cancelled_or_woken(void **state)
{
	struct canceller c[READERS];
	for (int i = 0; i < READERS; i++) {
		c[i] = (struct canceller){.hub = *state};
		assert_int_equal(pthread_create(&c[i].thread, NULL, cancel_many, &c[i]), 0);
	}
	for (int i = 0; i < CHANGES; i++)
		tell(*state, CASE);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(c[i].thread, NULL), 0);
		assert_int_equal(c[i].wrong, 0);
		assert_int_equal(c[i].cancelled + c[i].woken, CHANGES);
	}
}

static void test_life(void **state)
{
	(void)state;
	hub_free(NULL);
	for (int i = 0; i < 20; i++)
		hub_free(hub_new());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_news_before_sleeping),
		TEST(test_news_while_sleeping),
		TEST(test_ready_is_news_access_is_not),
		TEST(test_many_waiters),
		TEST(test_time_is_over),
		TEST(test_no_end),
		TEST(test_cancel_in_the_middle),
		TEST(test_cancel_of_one_that_was_woken_at_once),
		TEST(test_wake_all),
		TEST(test_sleeping_again_when_woken),
		TEST(test_no_news_is_missed),
		TEST(test_cancelled_or_woken),
		cmocka_unit_test(test_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
