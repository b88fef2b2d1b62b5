/*
 * webhook - the addresses that clients want to be told at. Pure.
 */
#ifndef AUTOS_WEBHOOK_H
#define AUTOS_WEBHOOK_H

#include "err.h"

#include <stdbool.h>

enum { WEBHOOK_URL_MAX = 2000 };

/*
 * ERR_INPUT: why this cannot be a webhook, as one sentence. In production only https; elsewhere
 * http as well. No user or password, no fragment, no control or non-ASCII character, a host, a port
 * that may be called, and when the host is a numeric address (in any spelling that inet_aton or
 * inet_pton take), one that may be called: public, or, outside production, loopback. The name
 * localhost (and below .localhost) counts as loopback.
 */
[[nodiscard]] bool webhook_url_check(const char *url, bool production, struct err *e);

#endif
