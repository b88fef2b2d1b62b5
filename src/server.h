/*
 * server - listens, and carries requests to the api and answers back (libmicrohttpd). The only room
 * that sees a client's socket.
 *
 * Two doors with the same rooms behind them: the address of the setting `listen`, and the control
 * socket in data_dir, which only its owner may open and which needs no key. A pool of threads moves
 * bytes; a request that waits rests without one. Clients that are too slow are cut off.
 */
#ifndef AUTOS_SERVER_H
#define AUTOS_SERVER_H

#include "api.h"
#include "config.h"
#include "err.h"

struct server;

/* Listens on both; without public_url the api's own address becomes the one listened on. NULL on
 * failure, with a line that names the address or the file. */
struct server *server_start(const struct config *c, struct api *a, struct err *e);

/* "http://127.0.0.1:41235": where it really listens. */
const char *server_url(const struct server *s);

/* Stops listening, ends what is open. Everybody who waits must have been woken (api_drain). */
void server_stop(struct server *s); /* accepts NULL */

/* "libmicrohttpd/0.9.75" */
const char *server_library(void);

/* The control socket's path; free with xfree. */
char *server_control_path(const struct config *c);

#endif
