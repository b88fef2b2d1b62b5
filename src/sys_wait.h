/*
 * sys_wait - conditions that are waited on by the monotonic clock, so that nobody sleeps for an
 * hour because somebody put the clock back.
 */
#ifndef AUTOS_SYS_WAIT_H
#define AUTOS_SYS_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Destroy it with pthread_cond_destroy. */
void sys_cond_init(pthread_cond_t *cond);

/* Waits for the condition, at most until a moment of sys_mono_ms; INT64_MAX = for ever. False: the
 * moment has come. As with every condition, true does not say that anything happened. */
bool sys_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms);

#endif
