/*
 * probe - asks an address that a client named, once or a few times, to see whether it can be
 * reached.
 *
 * The address is judged at the moment of connecting (see guard). Redirects are not followed; of the
 * answer only its status is kept. It owns one thread, on which all probes run side by side.
 */
#ifndef AUTOS_PROBE_H
#define AUTOS_PROBE_H

#include "config.h"
#include "err.h"
#include "webhook_sign.h"

#include <stdbool.h>
#include <stdint.h>

struct probe;

struct probe *probe_new(const struct config *c, struct err *e); /* NULL on failure */
/* The port that the service itself listens on: not to be called. Any thread. */
void probe_listens(struct probe *p, int port);
/* Ends what runs or waits, and from now on every ask at once: the program ends. Any thread. */
void probe_stop(struct probe *p);
void probe_free(struct probe *p); /* accepts NULL; stops it first */

/* One question. The caller fills the first members and keeps it until `done`. */
struct probe_ask {
	char *url;         /* owned by the caller; checked by webhook_url_check */
	char *body;        /* JSON, owned by the caller */
	char id[64];       /* X-Webhook-ID */
	int tries;         /* at most */
	int64_t wait_ms;   /* after the first failure; doubles with each further one */
	bool success_only; /* only 2xx is a success; else every answer is */
	char event_id[40]; /* webhook-id of a message that is signed, with these: */
	struct webhook_key keys[4];
	size_t nkeys; /* 0 = it is not signed */
	/* Once, from the probe's thread or from within probe_start; must not block. */
	void (*done)(struct probe_ask *a);
	void *owner;

	bool ok;
	int status;      /* of the last attempt's answer, 0 = none came */
	int attempts;    /* 0 = none was made: too many probes run, or the program ends */
	int64_t ms;      /* of the last attempt */
	char error[160]; /* one sentence; nothing of the target's answer */

	struct probe_ask *next; /* the probe's */
	void *running;
};

void probe_start(struct probe *p, struct probe_ask *a);

/* How many may run or wait; beyond it probe_start ends the ask at once with an error. */
enum { PROBES_MAX = 64 };

#endif
