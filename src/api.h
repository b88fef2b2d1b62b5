/*
 * api - the HTTP API as a function: a request in, a response out, without any socket.
 *
 * A request that must wait (for a commit, for news of a case, for somebody else's answer) gives
 * API_SLEEP and holds no thread: the server lets the connection rest, calls api_launch, and goes on
 * with api_resume once `wake` was called. Nothing here knows libmicrohttpd, and nothing knows the
 * worker but through the functions in api_options.
 */
#ifndef AUTOS_API_H
#define AUTOS_API_H

#include "body.h"
#include "config.h"
#include "hub.h"
#include "ledger.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- The service behind the requests ---- */

/* How the worker stands, for readyz and monitoring; the server fills it from wherever it knows. */
struct api_work {
	bool elsewhere; /* other processes work; nothing below is known */
	int64_t cases, parallel, limit;
	int64_t token_expires_ms; /* wall clock; -1 = the token does not say */
	bool token_missing, token_refused;
	int64_t paused_until_ms; /* wall clock; 0 = no */
	const char *pause_why;
	int64_t trouble_since_ms; /* 0 = none */
	char trouble[200];
	int64_t turned_ms;
};

struct api_options {
	const struct config *config; /* everything is borrowed for the life of the api */
	struct ledger *ledger;
	struct store *store;
	/* Fills *out; any thread. */
	void (*work)(void *arg, struct api_work *out);
	void *arg;
	/* Clients are served elsewhere: only who watches this process, and its control socket, gets
	 * answers. */
	bool closed;
};

struct api;

/* Registers itself with the ledger: before the first write. NULL on failure. */
struct api *api_new(const struct api_options *o, struct err *e);
void api_free(struct api *a); /* accepts NULL; no call may be open */

/* Base of the links that are handed out, once the port is known. Before the first request. */
void api_set_base(struct api *a, const char *url);

/* The port that is really listened on: no webhook may lead there. */
void api_listens(struct api *a, int port);

/* From now on readyz says no, and nobody waits any more. */
void api_drain(struct api *a);

/* Gives up what the store is asked: before the server is stopped, when nobody else asks it. */
void api_stop(struct api *a);

/* Work that comes back by the clock (old idempotency keys); called every few seconds. */
void api_housekeeping(struct api *a);

/* Whether there is a key with which the API can be used. */
bool api_has_keys(struct api *a);

/* ---- Requests ---- */

struct api_pair {
	const char *name, *value;
};

struct api_request {
	const char *method;
	const char *target; /* as sent */
	const struct api_pair *headers;
	size_t nheaders;
	const char *body;
	size_t body_len;
	bool body_too_large; /* it was not kept */
	bool head_too_large; /* more than request_head_max, or too many headers */
	bool secure;         /* came over TLS */
	bool control;        /* came over the control socket: whoever may open that is admin */
	const char *peer;    /* numeric address; "" for the control socket */
};

/* An answer that grows: events. */
struct api_stream;

enum { API_HEADERS = 32 };

struct api_response {
	int status;
	bool close; /* the connection is to end with this answer */
	struct {
		const char *name; /* static */
		size_t at;        /* of the value in `text` */
	} headers[API_HEADERS];
	size_t nheaders;
	struct buf text;           /* header values, each with its NUL */
	struct body *body;         /* or NULL */
	int fd;                    /* of a file to send, -1 = none; whoever sends it closes it */
	int64_t offset, length;    /* of the part to send */
	struct api_stream *stream; /* or NULL; whoever sends it frees it */
};

const char *api_header_value(const struct api_response *r, size_t i);

enum api_step { API_DONE, API_SLEEP };

struct api_call;

/* The request must stay until api_end. `wake` is called once for each api_launch, by any thread,
 * perhaps before api_launch returns. */
struct api_call *api_begin(struct api *a, const struct api_request *q, void (*wake)(void *owner),
			   void *owner);
enum api_step api_run(struct api_call *c);    /* first; calls no wake */
void api_launch(struct api_call *c);          /* after API_SLEEP, once the caller can be woken */
enum api_step api_resume(struct api_call *c); /* after wake */

/* Valid after API_DONE, until api_end. The caller takes fd and stream by setting them to -1 and
 * NULL. */
struct api_response *api_response(struct api_call *c);

/* Frees the call; not while it sleeps. */
void api_end(struct api_call *c);

/* ---- Streams ---- */

/* Next bytes; 0 = none now: launch a sleep; -1 = the stream is over. */
ssize_t api_stream_read(struct api_stream *s, char *out, size_t cap);
/* `wake` is called once there may be more, as for calls. */
void api_stream_sleep(struct api_stream *s, void (*wake)(void *owner), void *owner);
void api_stream_free(struct api_stream *s); /* accepts NULL; cuts a sleep off */

/* ---- The table of routes, for tests ---- */

size_t api_route_count(void);
const char *api_route_name(size_t i);
const char *api_route_method(size_t i);
const char *api_route_path(size_t i);

#endif
