/*
 * serve - the simulator as a server: one catalogue, one script, the routes.
 */
#ifndef SIM_SERVE_H
#define SIM_SERVE_H

#include "cases.h"
#include "script.h"
#include "stats.h"
#include "timer.h"

#include <microhttpd.h>
#include <netinet/in.h>

struct server {
	struct catalog catalog;
	const char *fixed_token; /* --token, or NULL */
	int64_t latency_ms;
	atomic_int refuse_status; /* 0, or the status of every call: 401, or 500 as is sometimes
				     seen */
	pthread_mutex_t lock;     /* guards the scripts */
	struct script **scripts;  /* owned; the last one counts, calls may still use older ones */
	size_t nscripts, scripts_cap;
	struct MHD_Daemon *daemon;
	struct MHD_Daemon *foreign; /* another address of this machine that must never be called */
};

enum stage { STAGE_NEW, STAGE_WAITING, STAGE_MUTE, STAGE_RAW };

/* One request, from its header to the end of its answer. libmicrohttpd's con_cls. */
struct call {
	struct server *server;
	struct MHD_Connection *connection;
	struct flight flight;
	struct waiter waiter;
	enum stage stage;
	enum route route;
	char *path;              /* owned, without the query */
	char number[32];         /* of the case, as it was asked for */
	struct dossier *dossier; /* borrowed; NULL: none */
	struct entry *entry;     /* borrowed; NULL: none */
	struct buf upload;

	/* The answer, once it is decided. */
	struct recipe recipe;
	int status;
	const char *type;     /* NULL: no Content-Type */
	struct body body;     /* owned */
	uint64_t chance;      /* for what a recipe leaves to chance */
	uint64_t size, limit; /* of the body; how much of it is sent */
	uint64_t dripped;     /* since the last pause */
	struct buf raw;       /* STAGE_RAW: everything to send */
	size_t raw_sent;
};

void server_init(struct server *s);

/* Opens both sockets; fills the catalogue's addresses. */
[[nodiscard]] bool server_start(struct server *s, const struct sockaddr_in *at, struct err *e);
void server_stop(struct server *s);

/* Takes over a script (NULL: none) in place of the one before. */
void server_use_script(struct server *s, struct script *script);
struct script *server_script(struct server *s);

/* Decides status, type and body of a call to /_sim/... */
void admin_decide(struct call *c, const char *method);

/* Carries the call's recipe out. What libmicrohttpd's handler returns. */
enum MHD_Result reply_send(struct call *c);
enum MHD_Result reply_continue_raw(struct call *c);

#endif
