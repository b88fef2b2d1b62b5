/*
 * serve - owns the daemons and finds out what a request asks for: route, token, case, document, and
 * which recipe applies to it. How an answer goes over the wire is in reply.c.
 */
#include "serve.h"

#include "answer.h"
#include "mix.h"
#include "sys.h"
#include "token.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { UPLOAD_MAX = 4 * 1024 * 1024, THREADS = 4, CONNECTIONS = 20000, BACKLOG = 1024 };

#define API "/api/v2"

void server_use_script(struct server *s, struct script *script)
{
	pthread_mutex_lock(&s->lock);
	s->scripts = xgrow(s->scripts, s->nscripts, &s->scripts_cap, sizeof(struct script *));
	s->scripts[s->nscripts++] = script;
	pthread_mutex_unlock(&s->lock);
}

struct script *server_script(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	struct script *script = s->nscripts ? s->scripts[s->nscripts - 1] : NULL;
	pthread_mutex_unlock(&s->lock);
	return script;
}

/* Splits what follows /api/v2 into route, case number and document; fills the call. */
static enum route find_route(const char *rest, char number[static 32], char uuid[static 40])
{
	int end = 0;
	if (strcmp(rest, "/processos") == 0 || strcmp(rest, "/processos/") == 0)
		return ROUTE_LIST;
	if (sscanf(rest, "/processos/%31[^/]%n", number, &end) != 1)
		return ROUTE_OTHER;
	rest += end;
	if (rest[0] == '\0' || strcmp(rest, "/") == 0)
		return ROUTE_DETAIL;
	end = 0;
	if (sscanf(rest, "/documentos/%39[^/]%n", uuid, &end) != 1)
		return ROUTE_OTHER;
	if (strcmp(rest + end, "/binario") == 0)
		return ROUTE_BINARIO;
	return strcmp(rest + end, "/texto") == 0 ? ROUTE_TEXTO : ROUTE_OTHER;
}

static bool is_below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(path, prefix, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

void server_init(struct server *s)
{
	pthread_mutex_init(&s->lock, NULL);
	timer_start();
}

static void answer_text(struct call *c, int status, const char *type, const char *text)
{
	c->status = status;
	c->type = type;
	body_init_text(&c->body, text);
}

static void answer_error(struct call *c, int status, const char *message)
{
	c->status = status;
	c->type = "application/json";
	content_error(status, message, c->path, &c->body);
}

static void answer_content(struct call *c, const struct recipe *r)
{
	c->status = r->status;
	content_make(r, c->path, c->dossier ? c->dossier->number.masked : c->number, &c->body,
		     &c->type);
}

static const char *argument(struct call *c, const char *name)
{
	return MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, name);
}

static void decide_list(struct call *c)
{
	struct search q = {
		.number = argument(c, "numeroProcesso"),
		.oab = argument(c, "oabRepresentante"),
		.cpf = argument(c, "cpfCnpjParte"),
		.size = argument(c, "size"),
		.cursor = argument(c, "searchAfter"),
	};
	char *text;
	int status = answer_search(&c->server->catalog, &q, &text);
	if (text)
		answer_text(c, status, "application/json", text);
	else
		answer_error(c, status, "");
	xfree(text);
}

/* What the data lake extracted, with the characters that real extractions are full of. */
static void decide_texto(struct call *c)
{
	static const char text[] = "Documento sint\xc3\xa9tico\0 extra\xc3\xad"
				   "do\x1a\xc2\xa0\xe2\x80\xa8"
				   "fim da p\xc3\xa1gina\xe2\x80\xa9\n";
	c->status = 200;
	c->type = "text/plain;charset=UTF-8";
	body_init_bytes(&c->body, text, sizeof text - 1);
}

/* The route's own answer, when nothing goes wrong. */
static void decide_own(struct call *c)
{
	switch (c->route) {
	case ROUTE_LIST:
		decide_list(c);
		return;
	case ROUTE_DETAIL:
		if (c->dossier)
			answer_text(c, 200, "application/json",
				    answer_detail(&c->server->catalog, c->dossier));
		else
			answer_error(c, 404, "");
		return;
	case ROUTE_BINARIO:
	case ROUTE_TEXTO:
		if (!c->entry) {
			answer_error(c, 404, "");
		} else if (c->route == ROUTE_TEXTO) {
			decide_texto(c);
		} else {
			c->status = 200;
			c->type = paper_sent_type(c->entry->kind);
			entry_body(c->entry, &c->body);
		}
		return;
	case ROUTE_OTHER:
	case ROUTE_COUNT: /* which is ROUTE_ADMIN, answered before */
		answer_error(c, 404, "");
		return;
	}
}

/* Counts the call and picks the recipe: the script's first rule that matches, else the fault. */
static void pick_recipe(struct call *c)
{
	const struct fault *f = NULL;
	const char *name = NULL;
	uint64_t n = 1;
	if (c->route == ROUTE_LIST && c->dossier) {
		n = atomic_fetch_add(&c->dossier->list_calls, 1) + 1;
		f = c->dossier->list_fault;
	} else if (c->route == ROUTE_DETAIL && c->dossier) {
		n = atomic_fetch_add(&c->dossier->detail_calls, 1) + 1;
		f = c->dossier->detail_fault;
	} else if (c->route == ROUTE_BINARIO && c->entry) {
		n = atomic_fetch_add(&c->entry->calls, 1) + 1;
		f = c->entry->fault;
	}
	c->chance = mix_of(c->server->catalog.seed, c->dossier ? c->dossier->id : 0,
			   (uint64_t)(c->entry ? c->entry->index + 1 : 0) << 32 | n, 8);
	struct script_call call = {c->route, c->dossier, c->entry};
	if (script_match(server_script(c->server), &call, &c->recipe, &name)) {
		stats_fault(name);
	} else if (f && fault_concerns(f, n)) {
		c->recipe = f->recipe;
		stats_fault(f->name);
	}
}

static void find_subject(struct call *c, const char *uuid)
{
	struct cnj n;
	struct catalog *all = &c->server->catalog;
	const char *asked = c->route == ROUTE_LIST ? argument(c, "numeroProcesso") : c->number;
	if (!asked || !cnj_parse(asked, strlen(asked), &n, NULL))
		return;
	snprintf(c->number, sizeof c->number, "%s", n.masked);
	c->dossier = catalog_by_number(all, &n);
	struct dossier *owner = NULL;
	struct entry *e = uuid[0] ? catalog_document(all, uuid, &owner) : NULL;
	if (e && owner == c->dossier)
		c->entry = e;
}

static bool all_digits(const char *s)
{
	while (isdigit((unsigned char)*s))
		s++;
	return *s == '\0';
}

static void decide_api(struct call *c)
{
	char uuid[40] = "";
	int refuse = atomic_load(&c->server->refuse_status);
	const char *bearer = MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_AUTHORIZATION);
	find_route(c->path + strlen(API), c->number, uuid);
	if (refuse == 500) {
		answer_error(c, 500, "");
		return;
	}
	if (refuse || !token_good(bearer, c->server->fixed_token)) {
		answer_text(c, 401, NULL, "");
		return;
	}
	if (uuid[0] && all_digits(uuid)) {
		answer_error(c, 400, "Bad Request");
		return;
	}
	find_subject(c, uuid);
	pick_recipe(c);
	if (c->recipe.content == CONTENT_OWN)
		decide_own(c);
	else
		answer_content(c, &c->recipe);
	if (c->recipe.status)
		c->status = c->recipe.status;
	if (c->recipe.type)
		c->type = c->recipe.type;
	c->recipe.delay_ms += c->server->latency_ms;
}

static void decide(struct call *c, const char *method)
{
	static const struct recipe shell = {.status = 200, .content = CONTENT_SHELL};
	if (c->route == ROUTE_ADMIN)
		admin_decide(c, method);
	else if (strcmp(method, "GET") != 0)
		answer_error(c, 405, "");
	else if (is_below(c->path, API))
		decide_api(c);
	else /* the trap: everything else is the web application, with status 200 */
		answer_content(c, &shell);
	c->size = c->limit = body_size(&c->body);
}

static struct call *call_new(struct server *s, struct MHD_Connection *connection, const char *path,
			     bool foreign)
{
	char number[32], uuid[40];
	struct call *c = xcalloc(1, sizeof *c);
	bool api = is_below(path, API);
	c->server = s;
	c->connection = connection;
	c->path = xstrdup(path);
	buf_init(&c->upload, UPLOAD_MAX);
	c->route = is_below(path, "/_sim") ? ROUTE_ADMIN : ROUTE_OTHER;
	if (api)
		c->route = find_route(path + strlen(API), number, uuid);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	bool bearer = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
						  MHD_HTTP_HEADER_AUTHORIZATION) != NULL;
	stats_begin(&c->flight, c->route, info->connect_fd, api, bearer, foreign);
	return c;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct call *c = *con_cls;
	(void)cls, (void)connection, (void)code;
	if (!c)
		return;
	stats_end(&c->flight);
	buf_release(&c->upload);
	buf_release(&c->raw);
	body_release(&c->body);
	xfree(c->path);
	xfree(c);
	*con_cls = NULL;
}

/* Decides the answer and waits as long as it shall take to begin. */
static enum MHD_Result begin(struct call *c, const char *method)
{
	decide(c, method);
	int64_t delay = c->recipe.delay_ms;
	if (c->recipe.delay_more_ms > 0)
		delay += (int64_t)(mix64(c->chance) % (uint64_t)(c->recipe.delay_more_ms + 1));
	if (c->recipe.mute)
		stats_status(0);
	if (c->recipe.mute || delay > 0) {
		c->stage = c->recipe.mute ? STAGE_MUTE : STAGE_WAITING;
		return timer_wait(&c->waiter, c->connection, c->recipe.mute ? -1 : delay) ? MHD_YES
											  : MHD_NO;
	}
	return reply_send(c);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **con_cls)
{
	struct server *s = cls;
	struct call *c = *con_cls;
	(void)version;
	if (!c) {
		*con_cls = call_new(s, connection, url, false);
		return MHD_YES;
	}
	if (*upload_size) {
		buf_add(&c->upload, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (atomic_load(&c->waiter.gone))
		return MHD_NO;
	switch (c->stage) {
	case STAGE_NEW:
		return begin(c, method);
	case STAGE_WAITING:
		return reply_send(c);
	case STAGE_RAW:
		return reply_continue_raw(c);
	case STAGE_MUTE:
		break;
	}
	return MHD_NO;
}

/* The host that must never be called: counts, and answers something that nobody may keep. */
static enum MHD_Result on_foreign(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **con_cls)
{
	struct call *c = *con_cls;
	(void)version, (void)upload, (void)method;
	*upload_size = 0;
	if (!c) {
		*con_cls = call_new(cls, connection, url, true);
		return MHD_YES;
	}
	answer_error(c, 404, "foreign");
	c->size = c->limit = body_size(&c->body);
	return reply_send(c);
}

/* A listening socket and the port it got; -1 with errno when there is none. */
static int open_socket(const struct sockaddr_in *at, unsigned *port)
{
	int yes = 1;
	struct sockaddr_in got;
	socklen_t len = sizeof got;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, (const struct sockaddr *)at, sizeof *at) != 0 || listen(fd, BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&got, &len) != 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	*port = ntohs(got.sin_port);
	return fd;
}

static struct MHD_Daemon *start_daemon(struct server *s, int fd, bool foreign)
{
	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
				NULL, foreign ? on_foreign : on_request, s,
				MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
				on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT,
				(unsigned)CONNECTIONS, MHD_OPTION_THREAD_POOL_SIZE,
				(unsigned)(foreign ? 0 : THREADS), MHD_OPTION_END);
}

/* The sockets come first: answers name their addresses, so these stand before the first request. */
bool server_start(struct server *s, const struct sockaddr_in *at, struct err *e)
{
	char host[INET_ADDRSTRLEN];
	unsigned port = 0;
	inet_ntop(AF_INET, &at->sin_addr, host, sizeof host);
	int fd = open_socket(at, &port);
	if (fd < 0)
		return fail_errno(e, "cannot listen on %s:%u", host, ntohs(at->sin_port));
	snprintf(s->catalog.address, sizeof s->catalog.address, "%s:%u", host, port);
	/* Any other address of 127/8 is this machine too, but a different host to a client. */
	struct sockaddr_in other = *at;
	other.sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, "127.0.0.2", &other.sin_addr);
	snprintf(s->catalog.foreign, sizeof s->catalog.foreign, "127.0.0.2:%u", port);
	int other_fd = open_socket(&other, &port);
	s->daemon = start_daemon(s, fd, false);
	if (other_fd >= 0) /* without it, calls to the foreign host just fail */
		s->foreign = start_daemon(s, other_fd, true);
	if (!s->daemon)
		return fail(e, ERR_FAIL, "cannot serve on %s", s->catalog.address);
	return true;
}

void server_stop(struct server *s)
{
	timer_stop();
	if (s->foreign)
		MHD_stop_daemon(s->foreign);
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	for (size_t i = 0; i < s->nscripts; i++)
		script_free(s->scripts[i]);
	xfree(s->scripts);
	pthread_mutex_destroy(&s->lock);
}
