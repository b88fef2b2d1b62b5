/*
 * stats - what the simulator saw: who asked what, how much at once, and when it should not have.
 *
 * Tests judge a client's manners by these numbers. Safe from any thread.
 */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum route {
	ROUTE_LIST,
	ROUTE_DETAIL,
	ROUTE_BINARIO,
	ROUTE_TEXTO,
	ROUTE_OTHER, /* all else outside /_sim */
	ROUTE_COUNT,
	ROUTE_ADMIN = ROUTE_COUNT, /* /_sim: never counted */
};

const char *route_name(enum route route);

void stats_reset(void);

/*
 * One request in flight; lives in the request, all zero at first. It counts from its header until
 * its last byte is handed to the socket, not until the library has noticed: a client that got the
 * last byte and asks the next question at once must not look as if it asked two at a time.
 */
struct flight {
	enum route route;
	int fd;
	bool active;
	size_t place; /* in the list of those in flight */
};

/* The header of a request arrived; `bearer` says that it carried an Authorization. */
void stats_begin(struct flight *f, enum route route, int fd, bool api, bool bearer, bool foreign);

/* Its last byte is on its way, or never will be. May be called again. */
void stats_end(struct flight *f);
void stats_bytes(uint64_t n);

void stats_status(int status); /* 0: no answer at all */
void stats_fault(const char *name);

/* A 429 was sent that asks for silence until this wall-clock moment. */
void stats_pause(int64_t until_ms);

json_t *stats_value(void); /* the caller owns it */

#endif
