/*
 * reply - sends one answer the way its recipe says: whole, cut, stalled, dripping, reset, or byte
 * by byte past libmicrohttpd where that is too well-behaved. It decides nothing.
 */
#include "serve.h"

#include "mix.h"
#include "sys.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	BLOCK_MAX = 64 * 1024,
	BLOCK_MIN = 512,
	RAW_MAX = 64 * 1024 * 1024,
	RAW_LINE_MS = 60, /* between two lines of a slow header */
	RETRY_RAW_MS = 2,
	LATE_MS = 1000,
};

static int socket_of(struct call *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	return info->connect_fd;
}

/*
 * Sends the reset at once: a connected TCP socket that is disconnected aborts the connection. A
 * close with linger 0 would come after libmicrohttpd's own orderly shutdown.
 */
static void reset_now(struct call *c)
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	int fd = socket_of(c);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	if (connect(fd, &nowhere, sizeof nowhere) != 0)
		shutdown(fd, SHUT_RDWR);
}

/* Where the body ends early, by what the recipe says. */
static uint64_t ending_place(const struct call *c)
{
	const struct recipe *r = &c->recipe;
	uint64_t at = c->size;
	switch (r->place) {
	case PLACE_BYTE:
		at = (uint64_t)r->at;
		break;
	case PLACE_PERCENT:
		at = c->size / 100 * (uint64_t)r->at + c->size % 100 * (uint64_t)r->at / 100;
		break;
	case PLACE_RANDOM:
		at = c->size ? c->chance % c->size : 0;
		break;
	}
	return at < c->size ? at : c->size;
}

/* The body is over: what comes instead of more bytes. */
static ssize_t end_of_body(struct call *c, uint64_t announced)
{
	const struct recipe *r = &c->recipe;
	if (r->ending == ENDING_STALL)
		return timer_wait(&c->waiter, c->connection, -1)
			       ? 0
			       : MHD_CONTENT_READER_END_WITH_ERROR;
	stats_end(&c->flight);
	if (r->ending == ENDING_RESET)
		reset_now(c);
	if (r->ending == ENDING_CUT)
		shutdown(socket_of(c), SHUT_RDWR);
	bool whole = r->ending == ENDING_WHOLE || r->ending == ENDING_SHORT;
	if (whole && announced == MHD_SIZE_UNKNOWN)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static uint64_t announced_size(const struct call *c)
{
	const struct recipe *r = &c->recipe;
	if (r->chunked)
		return MHD_SIZE_UNKNOWN;
	if (r->length)
		return (uint64_t)r->length;
	if (r->length_percent)
		return c->size * (uint64_t)r->length_percent / 100;
	return r->ending == ENDING_SHORT ? c->limit : c->size;
}

/* libmicrohttpd asks for more of the body. */
static ssize_t on_read(void *cls, uint64_t pos, char *out, size_t max)
{
	struct call *c = cls;
	const struct recipe *r = &c->recipe;
	if (atomic_load(&c->waiter.gone))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (pos >= c->limit)
		return end_of_body(c, announced_size(c));
	if (r->drip_bytes) {
		if (c->dripped >= (uint64_t)r->drip_bytes) {
			c->dripped = 0;
			return timer_wait(&c->waiter, c->connection, r->drip_ms)
				       ? 0
				       : MHD_CONTENT_READER_END_WITH_ERROR;
		}
		if (max > (uint64_t)r->drip_bytes - c->dripped)
			max = (size_t)((uint64_t)r->drip_bytes - c->dripped);
	}
	if (max > c->limit - pos)
		max = (size_t)(c->limit - pos);
	size_t n = body_read(&c->body, pos, out, max);
	c->dripped += n;
	if (c->route != ROUTE_ADMIN)
		stats_bytes(n);
	if (pos + n == c->limit && r->ending != ENDING_STALL)
		stats_end(&c->flight);
	return (ssize_t)n;
}

static void retry_after(const struct recipe *r, char out[static 64])
{
	int64_t now = sys_wall_ms();
	if (r->retry_form == RETRY_SECONDS) {
		snprintf(out, 64, "%d", r->retry_s);
		stats_pause(now + r->retry_s * 1000LL);
		return;
	}
	time_t at = (time_t)((now + LATE_MS - 1) / 1000 + r->retry_s);
	struct tm tm;
	gmtime_r(&at, &tm);
	strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	stats_pause((int64_t)at * 1000);
}

/* Calls `add` for every header of the recipe but those about length and encoding of the body. */
static void each_header(struct call *c, void (*add)(void *to, const char *name, const char *value),
			void *to)
{
	const struct recipe *r = &c->recipe;
	char value[64];
	if (c->type)
		add(to, "Content-Type", c->type);
	if (r->location)
		add(to, "Location", r->location);
	if (r->retry_form != RETRY_NONE) {
		retry_after(r, value);
		add(to, "Retry-After", value);
	}
	if (r->gzip)
		add(to, "Content-Encoding", "gzip");
	if (c->status == 405)
		add(to, "Allow", "GET");
	for (size_t i = 0; i < RECIPE_HEADERS && r->headers[i]; i++) {
		char name[128];
		const char *colon = strchr(r->headers[i], ':');
		snprintf(name, sizeof name, "%.*s", (int)(colon - r->headers[i]), r->headers[i]);
		add(to, name, colon + 1 + strspn(colon + 1, " "));
	}
}

static void add_to_response(void *to, const char *name, const char *value)
{
	MHD_add_response_header(to, name, value);
}

static void add_to_raw(void *to, const char *name, const char *value)
{
	buf_addf(to, "%s: %s\r\n", name, value);
}

/* Writes header and body into memory, to be sent without libmicrohttpd's care. */
static enum MHD_Result start_raw(struct call *c, uint64_t announced)
{
	c->stage = STAGE_RAW;
	buf_init(&c->raw, RAW_MAX);
	buf_addf(&c->raw, "HTTP/1.1 %d %s\r\nConnection: close\r\n", c->status,
		 MHD_get_reason_phrase_for((unsigned)c->status));
	each_header(c, add_to_raw, &c->raw);
	buf_addf(&c->raw, "Content-Length: %llu\r\n\r\n", (unsigned long long)announced);
	char *piece = xmalloc(BLOCK_MAX);
	uint64_t at = 0;
	for (size_t n; at < c->limit && (n = body_read(&c->body, at, piece, BLOCK_MAX)) > 0;
	     at += n)
		buf_add(&c->raw, piece, n < c->limit - at ? n : (size_t)(c->limit - at));
	xfree(piece);
	return reply_continue_raw(c);
}

/* How much to send now: one line of a slow header, else all. */
static size_t raw_piece(const struct call *c)
{
	const char *from = c->raw.data + c->raw_sent;
	size_t left = c->raw.len - c->raw_sent;
	const char *body = memmem(c->raw.data, c->raw.len, "\r\n\r\n", 4);
	const char *line = memchr(from, '\n', left);
	if (!c->recipe.slow_headers || !body || !line || from >= body + 4)
		return left;
	return (size_t)(line + 1 - from);
}

enum MHD_Result reply_continue_raw(struct call *c)
{
	while (c->raw_sent < c->raw.len) {
		size_t piece = raw_piece(c);
		bool last = c->raw_sent + piece == c->raw.len;
		ssize_t n = send(socket_of(c), c->raw.data + c->raw_sent, piece,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return MHD_NO;
		if (n > 0)
			c->raw_sent += (size_t)n;
		if (c->raw_sent == c->raw.len)
			break;
		int64_t wait = n > 0 && !last ? RAW_LINE_MS : RETRY_RAW_MS;
		return timer_wait(&c->waiter, c->connection, wait) ? MHD_YES : MHD_NO;
	}
	stats_bytes(c->limit);
	stats_end(&c->flight);
	return MHD_NO; /* closes the connection, which is the end of the answer */
}

static enum MHD_Result queue(struct call *c, uint64_t announced)
{
	size_t block = c->limit < BLOCK_MIN   ? BLOCK_MIN
		       : c->limit < BLOCK_MAX ? (size_t)c->limit + 64
					      : BLOCK_MAX;
	struct MHD_Response *response =
		MHD_create_response_from_callback(announced, block, on_read, c, NULL);
	assert(response);
	each_header(c, add_to_response, response);
	if (announced == 0)
		stats_end(&c->flight);
	enum MHD_Result ok = MHD_queue_response(c->connection, (unsigned)c->status, response);
	MHD_destroy_response(response);
	return ok;
}

enum MHD_Result reply_send(struct call *c)
{
	const struct recipe *r = &c->recipe;
	if (r->drop) {
		stats_status(0);
		stats_end(&c->flight);
		reset_now(c);
		return MHD_NO;
	}
	if (c->route != ROUTE_ADMIN)
		stats_status(c->status);
	if (r->gzip && c->size < RAW_MAX / 8) {
		body_gzip(&c->body);
		c->size = c->limit = body_size(&c->body);
	}
	if (r->ending != ENDING_WHOLE)
		c->limit = ending_place(c);
	uint64_t announced = announced_size(c);
	if (r->slow_headers || (announced != MHD_SIZE_UNKNOWN && announced < c->limit))
		return start_raw(c, announced);
	return queue(c, announced);
}
