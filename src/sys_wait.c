/*
 * sys_wait - pthread's timed waits, in milliseconds.
 */
#include "sys_wait.h"

#include <errno.h>
#include <time.h>

void sys_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &clock);
	pthread_condattr_destroy(&clock);
}

bool sys_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
	if (until_ms == INT64_MAX)
		return pthread_cond_wait(cond, lock) == 0;
	const struct timespec at = {.tv_sec = until_ms / 1000,
				    .tv_nsec = until_ms % 1000 * 1000000};
	return pthread_cond_timedwait(cond, lock, &at) != ETIMEDOUT;
}
