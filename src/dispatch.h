/*
 * dispatch - sends webhook messages: one thread that leases deliveries, makes and signs each
 * message at the moment it is sent, and records what came of it.
 *
 * A lane of its own: its own connections, made for one message each, never through a proxy, judged
 * by guard at the moment of connecting. Redirects are not followed, answers are read to 64 KiB. A
 * target has a few messages under way at most, and one that does not answer holds up nobody else.
 * Whoever ends a job writes the delivery (see delivery); this only finds it. Nothing is sent on a
 * lease that has ended, by the wall clock or by the monotonic one, before it was renewed; a message
 * whose lease is lost is dropped when it waits, and when it is under way its result is refused.
 */
#ifndef AUTOS_DISPATCH_H
#define AUTOS_DISPATCH_H

#include "config.h"
#include "err.h"
#include "ledger.h"
#include "store.h"

struct dispatch_options {
	const struct config *config; /* all is borrowed */
	struct ledger *ledger;
	struct store *store;
	const char *base_url; /* of links */
	int port;             /* that the service listens on: never called */
};

struct dispatch;

/* Starts the thread. NULL on failure. */
struct dispatch *dispatch_start(const struct dispatch_options *o, struct err *e);

/* There may be something to send. Any thread. */
void dispatch_wake(struct dispatch *d);

/* Messages may have been taken from us that are not sent yet, as a user's who is gone: they are
 * looked at within two seconds. Any thread. */
void dispatch_doubt(struct dispatch *d);

/* Nothing new is sent; what is under way may end within the setting drain_time, the rest is handed
 * back and spends no try. Any thread. */
void dispatch_drain(struct dispatch *d);

/* Drains, and waits for the thread; it may still be woken. */
void dispatch_stop(struct dispatch *d);

/* Accepts NULL; nobody may wake it any more. */
void dispatch_free(struct dispatch *d);

#endif
