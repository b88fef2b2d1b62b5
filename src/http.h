/*
 * http - moves client bytes: the only room that speaks to the network as a client (libcurl).
 *
 * An exchange is started, and comes back from http_done when it is over; nothing calls back into
 * the caller from inside a call. Redirects are never followed, proxies of the environment are never
 * used, bodies are never decoded. One thread owns an http; only http_wake may be called from
 * elsewhere.
 */
#ifndef AUTOS_HTTP_H
#define AUTOS_HTTP_H

#include "err.h"
#include "http_msg.h"
#include "spool.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct http;

struct http_options {
	const char *proxy;   /* "" for none */
	const char *ca_file; /* "" for the system's */
	int64_t connect_timeout_ms;
	int64_t low_speed;        /* bytes a second */
	int64_t low_speed_time_s; /* a transfer slower than that for so long is cut */
	const char *unix_socket;  /* path to connect to in place of the host; NULL for none */
	const char *spool_dir;    /* strings are borrowed for the life of the http */
	size_t spool_memory;
	int connections; /* kept open at most */
	bool fresh;      /* each exchange looks its name up and gets a connection of its own */
	size_t receive_buffer; /* of each exchange; 0 = one for large bodies */
	/* Judges the numeric address of each connection before it is made; false, with a static
	 * word why: it is not called. When all addresses of a name were refused, the exchange ends
	 * as HTTP_FAULT_CONNECT, "address refused: ...". NULL: all are fine. */
	bool (*may_connect)(void *arg, const struct sockaddr *a, const char **why);
	void *may_arg;
};

/* One question and its answer. Zero it, fill `req` and `owner`, start it; release it when done. */
struct http_exchange {
	struct http_req req;
	struct http_res res;
	struct spool body;
	void *owner; /* the caller's */

	/* private to http */
	struct http *http;
	void *easy;
	void *headers;
	struct http_exchange *next;
	char *tail;
	char error[256];
	const char *refused; /* why may_connect said no */
	bool tried;          /* may_connect let us call an address */
	int64_t sent_at;     /* bytes of the source that were given */
	int64_t sunk;        /* bytes that went to the sink */
	bool running;
};

struct http *http_new(const struct http_options *o, struct err *e); /* NULL on failure */
void http_free(struct http *h); /* exchanges still running must have been released before */

void http_start(struct http *h, struct http_exchange *x);

/* Moves bytes, sleeping up to timeout_ms until something happens or http_wake is called. */
[[nodiscard]] bool http_turn(struct http *h, int64_t timeout_ms, struct err *e);

/* The next exchange that ended, or NULL. Its `res` is complete. */
struct http_exchange *http_done(struct http *h);

/* Ends the sleep of http_turn. From any thread, and from a signal handler. */
void http_wake(struct http *h);

/* Bytes of bodies received since the start, of running exchanges too. */
int64_t http_received(const struct http *h);

/* Cuts the exchange if it runs, and frees what it owns. May be called twice. */
void http_exchange_release(struct http_exchange *x);

/* "libcurl/7.88.1 OpenSSL/3.0.19 ..." */
const char *http_library(void);

#endif
