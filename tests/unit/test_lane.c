/*
 * The adaptive limiter: bounds, halving, climbing, pauses, pace and back-off, with a made-up clock.
 */
#include "lane.h"

#include "scratch.h"

static const struct lane_options usual = {
	.min = 1, .start = 3, .max = 10, .pace_ms = 1000, .pause_ms = 5000, .pause_max_ms = 30000};

static struct lane made(int min, int start, int max)
{
	struct lane_options o = usual;
	struct lane l;
	o.min = min;
	o.start = start;
	o.max = max;
	lane_init(&l, &o);
	return l;
}

static void test_start(void **state)
{
	(void)state;
	struct lane l = made(1, 3, 10);
	assert_int_equal(lane_room(&l, 0), 3);
	assert_true(lane_may_list(&l, 0));
	assert_true(lane_opens_at(&l, 0) == INT64_MAX);
	for (int i = 3; i > 0; i--) {
		assert_int_equal(lane_room(&l, 0), i);
		lane_start(&l, 0, false);
	}
	assert_int_equal(lane_room(&l, 0), 0);
	lane_end(&l);
	assert_int_equal(lane_room(&l, 0), 1);
}

static void test_min_and_max(void **state)
{
	(void)state;
	struct lane l = made(2, 3, 4);
	for (int i = 0; i < 1000; i++)
		lane_good(&l);
	assert_int_equal(lane_room(&l, 0), 4);
	for (int i = 0; i < 10; i++)
		lane_halve(&l, i * 1000);
	assert_int_equal(lane_room(&l, 0), 2);
	l = made(5, 5, 5);
	lane_good(&l);
	lane_halve(&l, 0);
	assert_int_equal(lane_room(&l, 0), 5);
}

static void test_halves_once_a_second(void **state)
{
	(void)state;
	struct lane l = made(1, 8, 64);
	lane_halve(&l, 100000);
	assert_int_equal(lane_room(&l, 0), 4);
	lane_halve(&l, 100000);
	lane_halve(&l, 100999);
	assert_int_equal(lane_room(&l, 0), 4);
	lane_halve(&l, 101000);
	assert_int_equal(lane_room(&l, 0), 2);
	lane_halve(&l, 102500);
	lane_halve(&l, 103499);
	assert_int_equal(lane_room(&l, 0), 1);
	/* The very first overload counts at any moment, also at the start of the clock. */
	l = made(1, 8, 64);
	lane_halve(&l, 0);
	assert_int_equal(lane_room(&l, 0), 4);
}

/* More run than the halved limit allows: nobody is stopped, nobody starts. */
static void test_halving_while_busy(void **state)
{
	(void)state;
	struct lane l = made(1, 8, 64);
	for (int i = 0; i < 8; i++)
		lane_start(&l, 0, false);
	lane_halve(&l, 0);
	assert_int_equal(lane_room(&l, 0), 0);
	for (int i = 0; i < 4; i++)
		lane_end(&l);
	assert_int_equal(lane_room(&l, 0), 0);
	lane_end(&l);
	assert_int_equal(lane_room(&l, 0), 1);
}

static void test_climbs_one_a_round(void **state)
{
	(void)state;
	struct lane l = made(1, 1, 64);
	int before = 1;
	while (before < 64) {
		int answers = 0;
		do {
			lane_good(&l);
			answers++;
			assert_in_range(lane_room(&l, 0), before, before + 1);
		} while (lane_room(&l, 0) == before);
		/* A round is as many answers as may run at once. */
		assert_in_range(answers, before, before + 1);
		before++;
	}
	lane_good(&l);
	assert_int_equal(lane_room(&l, 0), 64);
}

static void test_pace(void **state)
{
	(void)state;
	struct lane l = made(1, 3, 10);
	lane_start(&l, 5000, true);
	assert_false(lane_may_list(&l, 5000));
	assert_false(lane_may_list(&l, 5999));
	assert_true(lane_may_list(&l, 6000));
	assert_int_equal(lane_room(&l, 5000), 2); /* other calls are not paced */
	assert_int_equal(lane_opens_at(&l, 5000), 6000);
	assert_true(lane_opens_at(&l, 6000) == INT64_MAX);
	lane_start(&l, 5500, false);
	assert_int_equal(lane_opens_at(&l, 5500), 6000);
	struct lane_options o = usual;
	o.pace_ms = 0;
	lane_init(&l, &o);
	lane_start(&l, 5000, true);
	assert_true(lane_may_list(&l, 5000));
}

static void test_hold_with_wait(void **state)
{
	(void)state;
	struct lane l = made(1, 3, 10);
	int64_t pause;
	assert_true(lane_hold(&l, 1000, 7000, &pause));
	assert_int_equal(pause, 7000);
	assert_int_equal(lane_room(&l, 1000), 0);
	assert_int_equal(lane_room(&l, 7999), 0);
	assert_int_equal(lane_room(&l, 8000), 3);
	assert_int_equal(lane_opens_at(&l, 1000), 8000);
	/* The peer may name more than the longest pause of our own. */
	assert_true(lane_hold(&l, 8000, 120000, &pause));
	assert_int_equal(pause, 120000);
	/* A pause of no time is one that is over. */
	l = made(1, 3, 10);
	assert_true(lane_hold(&l, 1000, 0, &pause));
	assert_int_equal(pause, 0);
	assert_int_equal(lane_room(&l, 1000), 3);
}

static void test_hold_doubles_up_to_its_cap(void **state)
{
	(void)state;
	static const int64_t want[] = {5000, 10000, 20000, 30000, 30000, 30000};
	struct lane l = made(1, 3, 10);
	int64_t now = 1000, pause;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		assert_true(lane_hold(&l, now, -1, &pause));
		assert_int_equal(pause, want[i]);
		now += pause;
	}
	for (int i = 0; i < 200; i++, now += pause)
		assert_true(lane_hold(&l, now, -1, &pause));
	assert_int_equal(pause, 30000);
	lane_good(&l); /* forgotten */
	assert_true(lane_hold(&l, now, -1, &pause));
	assert_int_equal(pause, 5000);
}

/* Answers to requests that were under way when the pause began do not make it longer. */
static void test_hold_confirmed(void **state)
{
	(void)state;
	struct lane l = made(1, 3, 10);
	int64_t pause;
	assert_true(lane_hold(&l, 0, -1, &pause));
	assert_false(lane_hold(&l, 0, -1, &pause));
	assert_int_equal(pause, 5000);
	for (int i = 0; i < 20; i++)
		assert_false(lane_hold(&l, 100, -1, &pause));
	assert_in_range(pause, 5000, 5100);
	int64_t until = lane_opens_at(&l, 100);
	assert_in_range(until, 5000, 5100);
	/* A named time that ends earlier changes nothing, a later one counts. */
	assert_false(lane_hold(&l, 200, 1000, &pause));
	assert_int_equal(lane_opens_at(&l, 200), until);
	assert_int_equal(pause, until - 200);
	assert_false(lane_hold(&l, 200, 60000, &pause));
	assert_int_equal(lane_opens_at(&l, 200), 60200);
	/* It was one hold: the next one doubles once. */
	assert_true(lane_hold(&l, 60200, -1, &pause));
	assert_int_equal(pause, 10000);
}

static void test_opens_at_prefers_the_pause(void **state)
{
	(void)state;
	struct lane l = made(1, 3, 10);
	int64_t pause;
	lane_start(&l, 0, true);
	lane_hold(&l, 0, 300, &pause);
	assert_int_equal(lane_opens_at(&l, 0), 300);
	assert_int_equal(lane_opens_at(&l, 300), 1000);
	lane_hold(&l, 300, 5000, &pause);
	assert_int_equal(lane_opens_at(&l, 300), 5300);
	assert_true(lane_opens_at(&l, 5300) == INT64_MAX);
}

static void test_backoff(void **state)
{
	(void)state;
	uint64_t seed = 42;
	for (int64_t delay = 1; delay <= 64000; delay *= 4)
		for (int n = 1; n <= 6; n++) {
			int64_t whole = delay << (n - 1), least = INT64_MAX, most = 0;
			for (int i = 0; i < 500; i++) {
				int64_t wait = lane_backoff(delay, n, scratch_random(&seed));
				least = wait < least ? wait : least;
				most = wait > most ? wait : most;
			}
			assert_true(least >= whole * 3 / 4);
			assert_true(most * 4 <= whole * 5);
			if (whole >= 1000) /* and the jitter uses that room */
				assert_true(most - least > whole / 3);
		}
	assert_int_equal(lane_backoff(2000, 1, 0), 1500);
	assert_int_equal(lane_backoff(2000, 1, 1000), 2500);
	assert_int_equal(lane_backoff(0, 3, UINT64_MAX), 0);
	/* No overflow, however often: the retry settings allow 100 tries of an hour. */
	for (int n = 1; n <= 101; n++)
		assert_in_range(lane_backoff(3600000, n, UINT64_MAX), 2700000, 4500000);
	for (int n = 1; n <= 101; n++)
		assert_true(lane_backoff(1000, n, UINT64_MAX) <= 9000000);
}

/* A storm of everything: the limit stays between its bounds, and a pause is a pause. */
static void test_storm(void **state)
{
	(void)state;
	uint64_t seed = 20260102;
	for (int round = 0; round < 200; round++) {
		int min = 1 + (int)(scratch_random(&seed) % 5);
		int start = min + (int)(scratch_random(&seed) % 5);
		int max = start + (int)(scratch_random(&seed) % 20);
		struct lane l = made(min, start, max);
		int64_t now = (int64_t)(scratch_random(&seed) % 100000), pause;
		int active = 0;
		for (int step = 0; step < 500; step++) {
			now += (int64_t)(scratch_random(&seed) % 700);
			int room = lane_room(&l, now);
			switch (scratch_random(&seed) % 6) {
			case 0:
			case 1:
				if (room) {
					lane_start(&l, now, lane_may_list(&l, now));
					active++;
				}
				break;
			case 2:
				if (active) {
					lane_end(&l);
					active--;
				}
				break;
			case 3:
				lane_good(&l);
				break;
			case 4:
				lane_halve(&l, now);
				break;
			default:
				lane_hold(&l, now, (int64_t)(scratch_random(&seed) % 4000) - 1,
					  &pause);
				assert_true(pause >= 0);
				assert_int_equal(lane_room(&l, now + pause - 1) > 0 && pause > 0,
						 0);
			}
			assert_int_equal(l.active, active);
			assert_true(l.limit >= min && l.limit <= max);
			assert_true(lane_room(&l, now) >= 0);
			assert_true(lane_room(&l, now) + active <= max || active > max ||
				    lane_room(&l, now) == 0);
			assert_true(active <= max);
			assert_true(lane_opens_at(&l, now) > now);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_min_and_max),
		cmocka_unit_test(test_halves_once_a_second),
		cmocka_unit_test(test_halving_while_busy),
		cmocka_unit_test(test_climbs_one_a_round),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_hold_with_wait),
		cmocka_unit_test(test_hold_doubles_up_to_its_cap),
		cmocka_unit_test(test_hold_confirmed),
		cmocka_unit_test(test_opens_at_prefers_the_pause),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
