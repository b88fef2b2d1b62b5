/*
 * control - one HTTP exchange after the other over a UNIX socket. Knows no route.
 */
#include "control.h"

#include "http.h"
#include "server.h"
#include "sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 << 20, TIMEOUT_MS = 120000, TURN_MS = 1000 };

struct control {
	struct http *http;
	char *path;
};

/* Whether anybody listens. A socket file that a killed program left answers with a refusal. */
static bool is_served(const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof a.sun_path)
		return fail(e, ERR_ABSENT, "no service: %s is too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_errno(e, "control socket");
	bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
	int why = errno;
	close(fd);
	if (ok)
		return true;
	if (why == ENOENT || why == ECONNREFUSED || why == ENOTDIR)
		return fail(e, ERR_ABSENT, "no service runs on this data_dir");
	errno = why;
	return fail_errno(e, "control socket %s", path);
}

struct control *control_open(const struct config *c, struct err *e)
{
	struct control *s = xcalloc(1, sizeof *s);
	s->path = server_control_path(c);
	if (is_served(s->path, e))
		s->http = http_new(&(struct http_options){.proxy = "",
							  .ca_file = "",
							  .unix_socket = s->path,
							  .connect_timeout_ms = 5000,
							  .low_speed = 0,
							  .low_speed_time_s = 0,
							  .spool_dir = c->data_dir,
							  .spool_memory = ANSWER_MAX,
							  .connections = 1},
				   e);
	if (s->http)
		return s;
	control_close(s);
	return NULL;
}

void control_close(struct control *s)
{
	if (!s)
		return;
	http_free(s->http);
	xfree(s->path);
	xfree(s);
}

static bool refuse(int status, json_t *answer, struct err *e)
{
	const char *detail = json_string_value(json_object_get(answer, "detail"));
	enum err_kind kind = status == 404                    ? ERR_ABSENT
			     : status == 409                  ? ERR_BUSY
			     : status == 401 || status == 403 ? ERR_DENIED
			     : status < 500                   ? ERR_INPUT
							      : ERR_FAIL;
	return fail(e, kind, "%s", detail ? detail : "the service refused this");
}

static bool read_answer(const struct http_res *r, json_t **out, struct err *e)
{
	if (r->fault != HTTP_FAULT_NONE)
		return fail(e, ERR_FAIL, "the service does not answer: %s", r->fault_text);
	json_t *o = r->body_len ? json_loadb(r->body, r->body_len, JSON_DECODE_ANY, NULL) : NULL;
	if (r->status < 400) {
		*out = o;
		return true;
	}
	refuse(r->status, o, e);
	json_decref(o);
	return false;
}

bool control_ask(struct control *s, const char *method, const char *path, json_t *body,
		 json_t **answer, struct err *e)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_exchange x = {.req = {.method = method,
					  .url = xasprintf("http://control%s", path),
					  .total_ms = TIMEOUT_MS,
					  .max_body = ANSWER_MAX,
					  .in_memory = true}};
	json_decref(body);
	*answer = NULL;
	if (text) {
		http_req_header(&x.req, "Content-Type: application/json");
		x.req.body = text;
		x.req.body_len = strlen(text);
	} else if (strcmp(method, "POST") == 0) {
		x.req.body = "";
	}
	http_start(s->http, &x);
	bool ok = true;
	while (ok && !http_done(s->http))
		ok = http_turn(s->http, TURN_MS, e);
	ok = ok && read_answer(&x.res, answer, e);
	http_exchange_release(&x);
	free(text);
	return ok;
}
