/*
 * peer - an HTTP/1.1 server on the loopback address that does what a script says: answers, cuts,
 * keeps silent. Each connection has a thread; the script is called under one lock, which also
 * guards what was asked.
 */
#ifndef AUTOS_PEER_H
#define AUTOS_PEER_H

#include "scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

enum { PEER_CONNECTIONS = 256 };

/* One request as it came. */
struct peer_asked {
	char *method, *target, *head, *body; /* owned; head: all lines of it */
	size_t body_len;
	int connection;
};

/* Zeroed before the script fills it. */
struct peer_answer {
	int status;    /* 0 = closes the connection without a word */
	char *headers; /* owned; "Name: value\r\n"... */
	char *body;    /* owned */
	size_t len;
	bool unlike;      /* announces ... */
	int64_t announce; /* so many bytes, -1 = none */
	bool close;       /* the connection, afterwards */
	bool silent;      /* in place of an answer, until the client goes away */
};

struct peer {
	int fd, port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest */
	void (*script)(void *arg, const struct peer_asked *q, struct peer_answer *a);
	void *arg;
	struct peer_asked *asked;
	size_t n, cap;
	int connections[PEER_CONNECTIONS];
	pthread_t threads[PEER_CONNECTIONS];
	int nconnections;
	bool away; /* closes what comes, at once */
};

/* The value of a header as a new string, NULL when it is not there. */
static inline char *peer_header(const struct peer_asked *q, const char *name)
{
	size_t n = strlen(name);
	for (const char *s = strstr(q->head, "\r\n"); s; s = strstr(s, "\r\n")) {
		s += 2;
		if (strncasecmp(s, name, n) == 0 && s[n] == ':') {
			s += n + 1 + strspn(s + n + 1, " ");
			return xstrndup(s, strcspn(s, "\r"));
		}
	}
	return NULL;
}

static inline bool peer_send(int fd, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, data + at, len - at, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Reads one request; false at the end of the connection. */
static inline bool peer_read(int fd, struct peer_asked *q)
{
	size_t len = 0, cap = 1 << 16, head = 0, body = 0;
	char *data = xmalloc(cap + 1);
	for (;;) {
		if (len == cap)
			data = xrealloc(data, (cap *= 2) + 1);
		ssize_t n = recv(fd, data + len, cap - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		data[len] = '\0';
		const char *end = head ? NULL : strstr(data, "\r\n\r\n");
		if (end) {
			head = (size_t)(end - data) + 4;
			char *length;
			q->head = xstrndup(data, head);
			length = peer_header(q, "content-length");
			body = length ? strtoul(length, NULL, 10) : 0;
			xfree(length);
		}
		if (head && len >= head + body)
			break;
	}
	bool ok = head && len >= head + body;
	if (ok) {
		size_t method = strcspn(data, " "), target = strcspn(data + method + 1, " ");
		q->method = xstrndup(data, method);
		q->target = xstrndup(data + method + 1, target);
		q->body = xmalloc(body + 1);
		memcpy(q->body, data + head, body);
		q->body[body] = '\0';
		q->body_len = body;
	} else {
		xfree(q->head);
	}
	xfree(data);
	return ok;
}

/* False when the connection is over. */
static inline bool peer_write(int fd, const struct peer_asked *q, const struct peer_answer *a)
{
	char byte;
	if (a->silent)
		while (recv(fd, &byte, 1, 0) > 0)
			;
	if (!a->status || a->silent)
		return false;
	int64_t announce = a->unlike ? a->announce : (int64_t)a->len;
	char *length = announce < 0 ? xstrdup("")
				    : xasprintf("Content-Length: %lld\r\n", (long long)announce);
	char *head = xasprintf("HTTP/1.1 %d Whatever\r\n%s%s%s\r\n", a->status,
			       a->headers ? a->headers : "", length,
			       a->close ? "Connection: close\r\n" : "");
	bool ok = peer_send(fd, head, strlen(head));
	if (ok && strcmp(q->method, "HEAD") != 0)
		ok = peer_send(fd, a->body, a->len);
	xfree(length);
	xfree(head);
	return ok && !a->close && announce <= (int64_t)a->len;
}

struct peer_thread {
	struct peer *peer;
	int fd, connection;
};

static inline void *peer_serve(void *arg)
{
	struct peer_thread t = *(struct peer_thread *)arg;
	struct peer *p = t.peer;
	xfree(arg);
	for (bool more = true; more;) {
		struct peer_asked q = {.connection = t.connection};
		struct peer_answer a = {0};
		if (!peer_read(t.fd, &q))
			break;
		pthread_mutex_lock(&p->lock);
		p->asked = xgrow(p->asked, p->n, &p->cap, sizeof *p->asked);
		p->asked[p->n++] = q;
		if (!p->away)
			p->script(p->arg, &q, &a);
		pthread_mutex_unlock(&p->lock);
		more = peer_write(t.fd, &q, &a);
		xfree(a.headers);
		xfree(a.body);
	}
	shutdown(t.fd, SHUT_RDWR);
	return NULL;
}

static inline void *peer_accept(void *arg)
{
	struct peer *p = arg;
	for (;;) {
		int fd = accept(p->fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		pthread_mutex_lock(&p->lock);
		int i = p->nconnections;
		assert_true(i < PEER_CONNECTIONS);
		struct peer_thread *t = xcalloc(1, sizeof *t);
		*t = (struct peer_thread){p, fd, i};
		p->connections[i] = fd;
		p->nconnections++;
		if (pthread_create(&p->threads[i], NULL, peer_serve, t) != 0)
			die("cannot start a thread");
		pthread_mutex_unlock(&p->lock);
	}
}

static inline void
peer_open(struct peer *p, void (*script)(void *, const struct peer_asked *, struct peer_answer *),
	  void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	*p = (struct peer){.script = script, .arg = arg};
	pthread_mutex_init(&p->lock, NULL);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(p->fd, 128), 0);
	assert_int_equal(getsockname(p->fd, (struct sockaddr *)&a, &len), 0);
	p->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_accept, p), 0);
}

static inline void peer_close(struct peer *p)
{
	shutdown(p->fd, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	for (int i = 0; i < p->nconnections; i++) {
		shutdown(p->connections[i], SHUT_RDWR);
		pthread_join(p->threads[i], NULL);
		close(p->connections[i]);
	}
	close(p->fd);
	for (size_t i = 0; i < p->n; i++) {
		xfree(p->asked[i].method);
		xfree(p->asked[i].target);
		xfree(p->asked[i].head);
		xfree(p->asked[i].body);
	}
	xfree(p->asked);
	pthread_mutex_destroy(&p->lock);
}

/* How many requests of a method ("" = any) whose target holds these characters came. */
static inline int peer_count(struct peer *p, const char *method, const char *part)
{
	int n = 0;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++)
		n += (!*method || strcmp(p->asked[i].method, method) == 0) &&
		     strstr(p->asked[i].target, part);
	pthread_mutex_unlock(&p->lock);
	return n;
}

static inline int peer_connections(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
	int n = p->nconnections;
	pthread_mutex_unlock(&p->lock);
	return n;
}

/* Request number i of those; what it points to stays until the peer is closed. */
static inline struct peer_asked peer_nth(struct peer *p, const char *method, const char *part,
					 int nth)
{
	struct peer_asked q = {0};
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n && !q.method; i++)
		if ((!*method || strcmp(p->asked[i].method, method) == 0) &&
		    strstr(p->asked[i].target, part) && nth-- == 0)
			q = p->asked[i];
	pthread_mutex_unlock(&p->lock);
	assert_non_null(q.method);
	return q;
}

#endif
