/*
 * server_exchange - one request on its way in and its answer on its way out. Understands neither.
 */
#include "server_exchange.h"

#include "buf.h"
#include "config.h"
#include "sys.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAIRS_MAX = 64, STREAM_BLOCK = 4096 };

struct exchange {
	struct server *server;
	struct MHD_Connection *mhd;
	struct connection *connection;
	struct api_request request;
	struct api_pair pairs[PAIRS_MAX];
	char *target; /* owned */
	char peer[64];
	struct buf body;
	size_t head; /* bytes of request line and headers */
	struct api_call *call;
	bool begun, running, answered;
};

void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *m)
{
	struct exchange *x = xcalloc(1, sizeof *x);
	x->mhd = m;
	x->target = xstrdup(uri);
	(void)cls;
	return x;
}

void exchange_completed(void *cls, struct MHD_Connection *m, void **context,
			enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *context;
	(void)cls;
	(void)m;
	(void)code;
	if (!x)
		return;
	if (x->connection) {
		atomic_store(&x->connection->sending_since, 0);
		atomic_store(&x->connection->receiving_since, sys_mono_ms());
	}
	if (x->call)
		api_end(x->call);
	if (x->running)
		server_over(x->server, x->answered);
	buf_release(&x->body);
	xfree(x->target);
	xfree(x);
	*context = NULL;
}

/* ---- In ---- */

static enum MHD_Result take_pair(void *cls, enum MHD_ValueKind kind, const char *name,
				 const char *value)
{
	struct exchange *x = cls;
	(void)kind;
	x->head += strlen(name) + (value ? strlen(value) : 0) + 4;
	if (x->request.nheaders < PAIRS_MAX)
		x->pairs[x->request.nheaders++] =
			(struct api_pair){.name = name, .value = value ? value : ""};
	else
		x->head = SIZE_MAX / 2; /* more headers than anybody needs */
	return MHD_YES;
}

static void read_peer(struct exchange *x)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = i ? i->client_addr : NULL;
	if (a && a->sa_family == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, x->peer,
			  sizeof x->peer);
	} else if (a && a->sa_family == AF_INET6) {
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *)a)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(v6))
			inet_ntop(AF_INET, &v6->s6_addr[12], x->peer, sizeof x->peer);
		else
			inet_ntop(AF_INET6, v6, x->peer, sizeof x->peer);
	}
}

static void begin(struct exchange *x, struct server *s, const char *method, bool control)
{
	x->begun = true;
	x->server = s;
	x->connection =
		MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	buf_init(&x->body, (size_t)s->config->request_body_max);
	x->request = (struct api_request){.method = method,
					  .target = x->target,
					  .headers = x->pairs,
					  .peer = x->peer,
					  .secure = !control && s->cert != NULL,
					  .control = control};
	x->head = strlen(x->target) + 16;
	MHD_get_connection_values(x->mhd, MHD_HEADER_KIND, take_pair, x);
	x->request.head_too_large = x->head > (size_t)s->config->request_head_max;
	if (!control)
		read_peer(x);
}

/* ---- Out ---- */

static void drop_body(void *cls)
{
	body_drop(cls);
}

struct outgoing {
	struct server *server;
	struct api_stream *stream;
	struct MHD_Connection *mhd;
};

static void wake_stream(void *owner)
{
	struct outgoing *o = owner;
	struct server *s = o->server; /* once it is awake, its own thread may free it */
	MHD_resume_connection(o->mhd);
	server_awake(s);
}

static ssize_t read_stream(void *cls, uint64_t pos, char *out, size_t cap)
{
	struct outgoing *o = cls;
	(void)pos;
	ssize_t n = api_stream_read(o->stream, out, cap);
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		if (!server_asleep(o->server))
			return MHD_CONTENT_READER_END_OF_STREAM;
		MHD_suspend_connection(o->mhd);
		api_stream_sleep(o->stream, wake_stream, o);
	}
	return n;
}

static void free_stream(void *cls)
{
	struct outgoing *o = cls;
	api_stream_free(o->stream);
	xfree(o);
}

static struct MHD_Response *make_response(struct exchange *x, struct api_response *r)
{
	struct MHD_Response *m;
	if (r->stream) {
		struct outgoing *o = xcalloc(1, sizeof *o);
		*o = (struct outgoing){.server = x->server, .stream = r->stream, .mhd = x->mhd};
		r->stream = NULL;
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
							 read_stream, o, free_stream);
	}
	if (r->fd >= 0) {
		m = MHD_create_response_from_fd_at_offset64((uint64_t)r->length, r->fd,
							    (uint64_t)r->offset);
		if (!m)
			close(r->fd);
		r->fd = -1;
		return m;
	}
	atomic_store(&x->connection->sending_since, sys_mono_ms());
	if (!r->body)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	return MHD_create_response_from_buffer_with_free_callback_cls(
		body_len(r->body), (void *)(uintptr_t)body_data(r->body), drop_body,
		body_hold(r->body));
}

static enum MHD_Result answer(struct exchange *x)
{
	struct api_response *r = api_response(x->call);
	x->answered = true;
	server_answered(x->server);
	struct MHD_Response *m = make_response(x, r);
	if (!m)
		return MHD_NO;
	for (size_t i = 0; i < r->nheaders; i++)
		MHD_add_response_header(m, r->headers[i].name, api_header_value(r, i));
	if (r->close || server_is_closing(x->server))
		MHD_add_response_header(m, "Connection", "close");
	enum MHD_Result ok = MHD_queue_response(x->mhd, (unsigned)r->status, m);
	MHD_destroy_response(m);
	return ok;
}

/* ---- Steps ---- */

static void wake(void *owner)
{
	struct exchange *x = owner;
	MHD_resume_connection(x->mhd);
}

static enum MHD_Result go_on(struct exchange *x, enum api_step step)
{
	if (step == API_DONE)
		return answer(x);
	/* First asleep, then launched: it may be woken before this returns. */
	MHD_suspend_connection(x->mhd);
	api_launch(x->call);
	return MHD_YES;
}

static void take_body(struct exchange *x, const char *data, size_t size)
{
	if (!x->request.body_too_large && !buf_add(&x->body, data, size)) {
		x->request.body_too_large = true;
		buf_release(&x->body); /* the rest is read and thrown away: the client is
					  told when it has said all */
	}
}

enum MHD_Result exchange_step(void *cls, struct MHD_Connection *m, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *size, void **context)
{
	struct exchange *x = *context;
	const struct door *door = cls;
	(void)m;
	(void)url;
	(void)version;
	if (!x->begun) {
		begin(x, door->server, method, door->control);
		return MHD_YES;
	}
	if (*size) {
		take_body(x, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (x->running)
		return go_on(x, api_resume(x->call));
	if (!server_begin(x->server))
		return MHD_NO;
	atomic_store(&x->connection->receiving_since, 0);
	x->running = true;
	x->request.body = buf_str(&x->body);
	x->request.body_len = x->body.len;
	x->call = api_begin(x->server->api, &x->request, wake, x);
	return go_on(x, api_run(x->call));
}
