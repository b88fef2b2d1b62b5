/*
 * timer - requests that wait: suspended in libmicrohttpd, continued by one thread.
 *
 * Any number of delayed, dripping or stalled answers costs one thread. A stalled one is also
 * continued when its client goes away, so that its socket is not kept.
 */
#ifndef SIM_TIMER_H
#define SIM_TIMER_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One request's place in the waiting room; lives in the request, all zero at first. */
struct waiter {
	struct MHD_Connection *connection;
	int fd;
	int64_t due_ms;   /* monotonic; INT64_MAX: until the client goes away */
	atomic_bool gone; /* the client went away, or the simulator ends */
};

void timer_start(void);

/* Continues all, lets nobody wait any more, ends the thread. Before MHD_stop_daemon. */
void timer_stop(void);

/*
 * Suspends the request for `ms` (negative: for ever). To be called from one of libmicrohttpd's
 * callbacks. False, and not suspended, when the simulator is ending.
 */
bool timer_wait(struct waiter *w, struct MHD_Connection *connection, int64_t ms);

#endif
