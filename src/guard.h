/*
 * guard - decides, at the moment of connecting, whether an address that a client named may be
 * called: the rules of `webhook`, and never our own doors.
 *
 * The only one that is asked, so that no name, spelling, redirect or second look at the name
 * service gets around it.
 */
#ifndef AUTOS_GUARD_H
#define AUTOS_GUARD_H

#include "webhook.h"

#include <stdatomic.h>

struct guard {
	struct webhook_rules rules;
	_Atomic int own_port;    /* 0 = not known yet */
	bool may_call_ourselves; /* in development, for the test receiver */
};

[[nodiscard]] bool guard_init(struct guard *g, const struct config *c, struct err *e);

/* The port that is really listened on, when the setting left it open. Any thread. */
void guard_listens(struct guard *g, int port);

/* For http_options.may_connect; arg is the guard. Any thread. */
bool guard_may_connect(void *arg, const struct sockaddr *a, const char **why);

#endif
