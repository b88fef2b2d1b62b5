/*
 * server - libmicrohttpd's daemons and the life of connections. What is carried is in
 * server_exchange.c. Looks at no path and no header itself.
 */
#include "server.h"

#include "config_service.h"
#include "log.h"
#include "metrics.h"
#include "server_exchange.h"
#include "sys.h"
#include "sys_wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A connection's pool holds the request's head and the head of the answer; libmicrohttpd clears it
 * after each request, so it is kept small. Heads that are a little too large are refused by the
 * api, those that do not fit at all by the library, with the same status but in its own words.
 */
enum { ANSWER_HEAD = 16 << 10, BACKLOG = 1024, LOOK_EVERY_MS = 500, PEM_MAX = 1 << 20 };

const char *server_library(void)
{
	static char text[64];
	snprintf(text, sizeof text, "libmicrohttpd/%s", MHD_get_version());
	return text;
}

char *server_control_path(const struct config *c)
{
	return xasprintf("%s/control.sock", c->data_dir);
}

const char *server_url(const struct server *s)
{
	return s->url;
}

/* ---- Connections ---- */

static void add_connection(struct server *s, struct MHD_Connection *m, void **context)
{
	struct connection *n = xcalloc(1, sizeof *n);
	n->fd = MHD_get_connection_info(m, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	n->receiving_since = sys_mono_ms();
	pthread_mutex_lock(&s->lock);
	n->next = s->connections;
	n->link = &s->connections;
	if (n->next)
		n->next->link = &n->next;
	s->connections = n;
	s->nconnections++;
	metric_set(METRIC_http_connections, s->nconnections);
	pthread_mutex_unlock(&s->lock);
	*context = n;
}

static void remove_connection(struct server *s, struct connection *n)
{
	pthread_mutex_lock(&s->lock);
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	s->nconnections--;
	metric_set(METRIC_http_connections, s->nconnections);
	pthread_mutex_unlock(&s->lock);
	xfree(n);
}

static void on_connection(void *cls, struct MHD_Connection *m, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		add_connection(cls, m, context);
	else
		remove_connection(cls, *context);
}

/* ---- Requests that are open ---- */

bool server_begin(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	bool ok = !s->refusing;
	s->open += ok;
	s->busy += ok;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static void count_down(struct server *s, int open, int busy)
{
	pthread_mutex_lock(&s->lock);
	s->open -= open;
	s->busy -= busy;
	if (s->open == 0 || s->busy == 0)
		pthread_cond_signal(&s->quiet);
	pthread_mutex_unlock(&s->lock);
}

void server_answered(struct server *s)
{
	count_down(s, 0, 1);
}

void server_over(struct server *s, bool answered)
{
	count_down(s, 1, !answered);
}

bool server_asleep(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	bool ok = !s->refusing;
	s->busy += ok;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

void server_awake(struct server *s)
{
	count_down(s, 0, 1);
}

bool server_is_closing(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	bool closing = s->closing;
	pthread_mutex_unlock(&s->lock);
	return closing;
}

enum { LAST_ANSWERS_MS = 5000 };

/* Whoever asked is answered, within some seconds; then nothing sleeps and nothing begins. */
static void finish_requests(struct server *s)
{
	int64_t until = sys_mono_ms() + LAST_ANSWERS_MS;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	while (s->open && sys_cond_wait(&s->quiet, &s->lock, until))
		;
	s->refusing = true;
	while (s->busy)
		pthread_cond_wait(&s->quiet, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* ---- Slow clients ---- */

/*
 * libmicrohttpd ends silent connections. One that sends or reads a byte now and then is ended here:
 * a request must be complete within twice request_timeout, an answer from memory be read within
 * four times.
 */
static void end_slow(struct server *s)
{
	int64_t now = sys_mono_ms(), limit = s->config->request_timeout;
	pthread_mutex_lock(&s->lock);
	for (struct connection *n = s->connections; n; n = n->next) {
		int64_t in = atomic_load(&n->receiving_since), out = atomic_load(&n->sending_since);
		if ((in && now - in > 2 * limit) || (out && now - out > 4 * limit)) {
			log_debug("slow client cut off", "fd=%d", n->fd);
			shutdown(n->fd, SHUT_RDWR); /* libmicrohttpd closes it, and only then it
						       leaves this list */
		}
	}
	pthread_mutex_unlock(&s->lock);
}

static void *watch_main(void *arg)
{
	struct server *s = arg;
	pthread_mutex_lock(&s->watch_lock);
	while (!s->stop) {
		sys_cond_wait(&s->watch, &s->watch_lock, sys_mono_ms() + LOOK_EVERY_MS);
		pthread_mutex_unlock(&s->watch_lock);
		end_slow(s);
		pthread_mutex_lock(&s->watch_lock);
	}
	pthread_mutex_unlock(&s->watch_lock);
	return NULL;
}

/* ---- Sockets ---- */

static int listen_on(const struct addrinfo *a, struct err *e, const char *name)
{
	int yes = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		fail_errno(e, "listen = %s", name);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	fail_errno(e, "listen = %s", name);
	close(fd);
	return -1;
}

/* What the port became, for 0. */
static int port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;
	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
					     : ((struct sockaddr_in *)&a)->sin_port);
}

static int open_door(struct server *s, struct err *e)
{
	char host[256], port_text[8];
	int port, fd = -1;
	struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	if (!config_address(s->config->listen, host, &port)) {
		fail(e, ERR_INPUT, "listen = %.80s: must be ADDRESS:PORT", s->config->listen);
		return -1;
	}
	snprintf(port_text, sizeof port_text, "%d", port);
	int code = getaddrinfo(*host ? host : NULL, port_text, &hints, &found);
	if (code != 0)
		fail(e, ERR_INPUT, "listen = %.80s: %s", s->config->listen, gai_strerror(code));
	else
		fd = listen_on(found, e, s->config->listen);
	if (found)
		freeaddrinfo(found);
	if (fd >= 0)
		s->url = xasprintf(strchr(host, ':') ? "%s://[%s]:%d" : "%s://%s:%d",
				   *s->config->tls_cert_file ? "https" : "http",
				   *host ? host : "localhost", port_of(fd));
	return fd;
}

/* We hold the database, so a socket that is there belongs to nobody. */
static int open_control(struct server *s, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	s->control_path = server_control_path(s->config);
	if (strlen(s->control_path) >= sizeof a.sun_path) {
		fail(e, ERR_INPUT, "data_dir: the path is too long for a socket in it: %s",
		     s->control_path);
		return -1;
	}
	memcpy(a.sun_path, s->control_path, strlen(s->control_path) + 1);
	unlink(s->control_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before = umask(0177);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
		  listen(fd, BACKLOG) == 0;
	umask(before);
	if (ok)
		return fd;
	fail_errno(e, "control socket %s", s->control_path);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Thousands of connections, of clients and to webhooks, need thousands of descriptors. */
static void raise_limit(int64_t connections)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	rlim_t want = (rlim_t)connections + 512;
	if (r.rlim_cur < want) {
		r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
		if (setrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur < want)
			log_warn("few descriptors", "have=%llu want=%llu",
				 (unsigned long long)r.rlim_cur, (unsigned long long)want);
	}
}

/* ---- Daemons ---- */

static void on_library_log(void *cls, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

static void on_library_log(void *cls, const char *fmt, va_list args)
{
	char text[256];
	(void)cls;
	vsnprintf(text, sizeof text, fmt, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http library", "text=\"%s\"", text);
}

static struct MHD_Daemon *start_daemon(struct server *s, int fd, bool control, struct err *e)
{
	const struct config *c = s->config;
	bool tls = !control && s->cert;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
			 MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
	unsigned threads = control || c->api_threads < 2 ? 0 : (unsigned)c->api_threads;
	unsigned limit = control ? 64 : (unsigned)c->connections_max;
	unsigned idle_s = (unsigned)((c->request_timeout + 999) / 1000);
	struct MHD_OptionItem options[] = {
		{MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_library_log, NULL},
		{MHD_OPTION_LISTEN_SOCKET, fd, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, (intptr_t)limit, NULL},
		{MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		 control ? 0 : (intptr_t)c->connections_per_address, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, c->request_head_max + ANSWER_HEAD, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)idle_s, NULL},
		{MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)exchange_completed, s},
		{MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)exchange_begin, s},
		{MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
		{threads ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
		{tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, s->cert},
		{tls ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, s->key},
		{MHD_OPTION_END, 0, NULL},
	};
	/* An END in the middle would hide what follows: close the gaps. */
	size_t n = sizeof options / sizeof *options, kept = 0;
	for (size_t i = 0; i + 1 < n; i++)
		if (options[i].option != MHD_OPTION_END)
			options[kept++] = options[i];
	options[kept] = options[n - 1];
	struct MHD_Daemon *d = MHD_start_daemon(flags, 0, NULL, NULL, exchange_step,
						control ? &s->service : &s->street,
						MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (!d)
		fail(e, ERR_FAIL, "the HTTP server does not start%s",
		     tls ? ": see that tls_cert_file and tls_key_file belong together" : "");
	return d;
}

static bool read_pem(const char *setting, const char *path, char **out, struct err *e)
{
	size_t len;
	if (!*path || sys_read_file(path, PEM_MAX, out, &len, e))
		return true;
	e->kind = ERR_INPUT;
	return err_prefix(e, "%s: ", setting);
}

static bool start_all(struct server *s, struct err *e)
{
	int fd = -1, control = -1;
	if (!read_pem("tls_cert_file", s->config->tls_cert_file, &s->cert, e) ||
	    !read_pem("tls_key_file", s->config->tls_key_file, &s->key, e))
		return false;
	raise_limit(s->config->connections_max + s->config->webhook_parallel);
	if ((fd = open_door(s, e)) < 0)
		return false;
	if (!*s->config->public_url)
		api_set_base(s->api, s->url); /* before anybody can ask */
	if ((control = open_control(s, e)) >= 0)
		s->inner = start_daemon(s, control, true, e);
	if (s->inner)
		s->outer = start_daemon(s, fd, false, e);
	if (s->outer)
		return true;
	if (!s->inner && control >= 0)
		close(control);
	close(fd);
	return false;
}

struct server *server_start(const struct config *c, struct api *a, struct err *e)
{
	struct server *s = xcalloc(1, sizeof *s);
	s->config = c;
	s->api = a;
	s->street = (struct door){.server = s};
	s->service = (struct door){.server = s, .control = true};
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->watch_lock, NULL);
	sys_cond_init(&s->watch);
	sys_cond_init(&s->quiet);
	if (!start_all(s, e)) {
		server_stop(s);
		return NULL;
	}
	if (pthread_create(&s->watcher, NULL, watch_main, s) != 0)
		die("cannot start a thread");
	s->watching = true;
	return s;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	/* The sockets are ours again: nobody new comes in. */
	int street = s->outer ? MHD_quiesce_daemon(s->outer) : -1;
	int service = s->inner ? MHD_quiesce_daemon(s->inner) : -1;
	if (s->inner)
		unlink(s->control_path);
	finish_requests(s);
	if (s->outer)
		MHD_stop_daemon(s->outer);
	if (s->inner)
		MHD_stop_daemon(s->inner);
	if (street >= 0)
		close(street);
	if (service >= 0)
		close(service);
	if (s->watching) {
		pthread_mutex_lock(&s->watch_lock);
		s->stop = true;
		pthread_cond_signal(&s->watch);
		pthread_mutex_unlock(&s->watch_lock);
		pthread_join(s->watcher, NULL);
	}
	pthread_cond_destroy(&s->watch);
	pthread_cond_destroy(&s->quiet);
	pthread_mutex_destroy(&s->watch_lock);
	pthread_mutex_destroy(&s->lock);
	xfree(s->control_path);
	xfree(s->url);
	xfree(s->cert);
	xfree(s->key);
	xfree(s);
}
