/*
 * server_exchange - what the files of `server` share. Nobody else includes this.
 */
#ifndef AUTOS_SERVER_EXCHANGE_H
#define AUTOS_SERVER_EXCHANGE_H

#include "api.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

/* A client's connection, as long as it lasts. */
struct connection {
	int fd;
	_Atomic int64_t receiving_since; /* monotonic; 0 = a whole request is here */
	_Atomic int64_t sending_since;   /* of an answer from memory; 0 = none */
	struct connection *next, **link;
};

/* What the callbacks of a daemon get. */
struct door {
	struct server *server;
	bool control;
};

struct server {
	struct door street, service; /* the setting `listen`, and the control socket */
	const struct config *config;
	struct api *api;
	struct MHD_Daemon *outer, *inner;
	char *url, *control_path, *cert, *key;

	pthread_mutex_t lock;
	struct connection *connections;
	int64_t nconnections;
	int64_t open;         /* requests that are whole and not fully answered */
	int64_t busy;         /* those of them that the api works on, and streams that sleep */
	bool closing;         /* each answer is the last one of its connection */
	bool refusing;        /* no request begins, no stream sleeps */
	pthread_cond_t quiet; /* `open` or `busy` became 0 */

	pthread_mutex_t watch_lock;
	pthread_cond_t watch;
	pthread_t watcher;
	bool watching, stop;
};

/*
 * Counting, for an end in order: libmicrohttpd cannot be stopped while a connection sleeps. A
 * request is begun (server_begin), answered (server_answered) and over (server_over); server_begin
 * and server_asleep are false once nothing may begin any more.
 */
bool server_begin(struct server *s);
void server_answered(struct server *s);
void server_over(struct server *s, bool answered);
bool server_asleep(struct server *s);
void server_awake(struct server *s);
bool server_is_closing(struct server *s);

/* Callbacks for libmicrohttpd: a request line is there; a part of the request, or a wake; over. */
void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *m);
enum MHD_Result exchange_step(void *cls, struct MHD_Connection *m, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *size, void **context);
void exchange_completed(void *cls, struct MHD_Connection *m, void **context,
			enum MHD_RequestTerminationCode code);

#endif
