/*
 * hook - a small HTTP server on the loopback address, as somebody's webhook: answers with the
 * statuses it is told, one after the other, and keeps what it was sent.
 */
#ifndef AUTOS_HOOK_H
#define AUTOS_HOOK_H

#include "scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

enum { HOOK_ASKED = 8, HOOK_HELD = 128, HOOK_SIZE = 8192, HOOK_SILENT = -1 };

struct hook {
	int fd, port;
	pthread_t thread;
	const int *statuses; /* ended by 0; the last one is repeated; HOOK_SILENT: never answers */
	const char *body;    /* of its answers */
	int held[HOOK_HELD];
	size_t nheld;
	_Atomic size_t asked;
	char requests[HOOK_ASKED][HOOK_SIZE];
};

/* Reads one request, up to the end of its body. */
static inline void hook_read(int fd, char *out)
{
	size_t len = 0;
	for (;;) {
		ssize_t n = read(fd, out + len, HOOK_SIZE - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		out[len] = '\0';
		const char *end = strstr(out, "\r\n\r\n");
		const char *length = strcasestr(out, "content-length:");
		size_t want = length ? strtoul(length + 15, NULL, 10) : 0;
		if (end && len >= (size_t)(end + 4 - out) + want)
			break;
	}
	out[len] = '\0';
}

static inline void *hook_main(void *arg)
{
	struct hook *h = arg;
	const int *status = h->statuses;
	for (;;) {
		int fd = accept(h->fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		if (*status == HOOK_SILENT) {
			if (h->nheld < HOOK_HELD)
				h->held[h->nheld++] = fd;
			else
				close(fd);
			continue;
		}
		size_t i = h->asked < HOOK_ASKED ? h->asked : HOOK_ASKED - 1;
		hook_read(fd, h->requests[i]);
		h->asked++;
		char *answer = xasprintf("HTTP/1.1 %d Whatever\r\nLocation: http://127.0.0.1:1/\r\n"
					 "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
					 *status, strlen(h->body), h->body);
		ssize_t n = write(fd, answer, strlen(answer));
		(void)n; /* whoever asked may be gone */
		xfree(answer);
		close(fd);
		if (status[1])
			status++;
	}
}

static inline void hook_open(struct hook *h, const int *statuses, const char *body)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	memset(h, 0, sizeof *h);
	h->statuses = statuses;
	h->body = body;
	h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(h->fd >= 0);
	assert_int_equal(bind(h->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(h->fd, 128), 0);
	assert_int_equal(getsockname(h->fd, (struct sockaddr *)&a, &len), 0);
	h->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&h->thread, NULL, hook_main, h), 0);
}

static inline void hook_close(struct hook *h)
{
	shutdown(h->fd, SHUT_RDWR);
	pthread_join(h->thread, NULL);
	for (size_t i = 0; i < h->nheld; i++)
		close(h->held[i]);
	close(h->fd);
}

/* A port of the loopback address at which nobody listens. */
static inline int hook_dead_port(void)
{
	struct hook h;
	hook_open(&h, (const int[]){200, 0}, "");
	hook_close(&h);
	return h.port;
}

#endif
