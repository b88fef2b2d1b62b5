/*
 * webhook - the addresses that clients want to be told at. Pure.
 */
#ifndef AUTOS_WEBHOOK_H
#define AUTOS_WEBHOOK_H

#include "config.h"
#include "err.h"
#include "netrule.h"

#include <stdbool.h>

enum { WEBHOOK_URL_MAX = 2000, WEBHOOK_ORIGIN_MAX = 270 };

/* What an installation lets a webhook be. */
struct webhook_rules {
	bool https_only;           /* in production */
	bool loopback;             /* in development */
	struct netrule_list allow; /* the setting webhook_allow */
};

/* ERR_INPUT: webhook_allow is malformed. */
[[nodiscard]] bool webhook_rules_init(struct webhook_rules *r, const struct config *c,
				      struct err *e);

/* Whether this address may be called, port and all; *why (static) names what refuses it. */
bool webhook_may_call(const struct webhook_rules *r, const struct sockaddr *a, const char **why);

/*
 * ERR_INPUT: why this cannot be a webhook, as one sentence. In production only https; elsewhere
 * http as well. No user or password, no fragment, no control or non-ASCII character, a host, a port
 * that may be called, and when the host is a numeric address (in any spelling that inet_aton or
 * inet_pton take), one that may be called. The name localhost (and below .localhost) counts as
 * loopback.
 */
[[nodiscard]] bool webhook_url_check(const char *url, const struct webhook_rules *r, struct err *e);

/* "https://host:port" in small letters, of an address that was checked: whom it is about, without
 * what a client may keep secret in its path. */
void webhook_origin(const char *url, char out[static WEBHOOK_ORIGIN_MAX]);

#endif
