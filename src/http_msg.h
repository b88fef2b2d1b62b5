/*
 * http_msg - an HTTP question and its answer as plain values.
 *
 * The pure rooms fill an http_req and read an http_res; only `http` moves the bytes between the
 * two. Nothing here does I/O, so every protocol can be tested with bytes alone.
 */
#ifndef AUTOS_HTTP_MSG_H
#define AUTOS_HTTP_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEADERS_MAX = 16, HTTP_EDGE = 4096, HTTP_WANT_MAX = 5, HTTP_WANT_SIZE = 160 };

/* Gives up to cap bytes of a body on its way out, from the place `at`; the number, -1 on an error.
 * May be asked again for what it gave before. */
typedef long http_source(void *arg, int64_t at, void *out, size_t cap);

/* Takes bytes of a good answer's body as they come; false cuts the exchange (HTTP_FAULT_LOCAL). */
typedef bool http_sink(void *arg, const void *data, size_t len);

struct http_req {
	const char *method;              /* static string; "GET" when NULL */
	char *url;                       /* owned */
	char *headers[HTTP_HEADERS_MAX]; /* owned, "Name: value" */
	size_t nheaders;
	const char *body; /* borrowed until the exchange is over; NULL = none, else it is a POST */
	size_t body_len;
	http_source *source; /* NULL = none; else the body is `source_len` bytes of it */
	void *source_arg;
	int64_t source_len;
	http_sink *sink; /* NULL = the body is kept; else the body of a 2xx answer goes there */
	void *sink_arg;
	const char
		*want[HTTP_WANT_MAX]; /* static, lower case, without colon: more headers to keep */
	bool no_body;                 /* the answer has none (HEAD) */
	bool fresh;                   /* not over a connection that is open already */
	bool patient;                 /* the peer may be silent until total_ms is over */
	int64_t total_ms; /* whole exchange; 0 = no limit, the low-speed rule alone decides */
	int64_t max_body; /* bytes; the transfer is cut beyond it */
	bool in_memory;   /* the whole body stays in memory, up to max_body */
};

/* Why an exchange ended without a complete answer. */
enum http_fault {
	HTTP_FAULT_NONE,
	HTTP_FAULT_CONNECT,   /* no connection: refused, unreachable, unknown host, TLS refused */
	HTTP_FAULT_RESET,     /* the connection broke before or between header and end of body */
	HTTP_FAULT_SHORT,     /* fewer bytes than Content-Length or the chunk framing announced */
	HTTP_FAULT_TIMEOUT,   /* nothing, or too little, came for too long */
	HTTP_FAULT_TOO_LARGE, /* more than max_body, announced or sent */
	HTTP_FAULT_PROTOCOL,  /* not HTTP, or HTTP that we refuse to read */
	HTTP_FAULT_LOCAL,     /* our own disk or memory: the body could not be kept */
};

/*
 * What came back. `head` and `tail` are the first and last bytes of the body (at most HTTP_EDGE of
 * each; they overlap in small bodies). `body` is the whole body when it was small enough to stay in
 * memory, else NULL. All pointers belong to whoever owns the exchange.
 */
struct http_res {
	int status; /* 0: no status line arrived */
	enum http_fault fault;
	char fault_text[160];   /* for a human, when fault is not NONE */
	char content_type[128]; /* as sent, "" when absent */
	char content_encoding[32];
	char location[1024];
	char retry_after[64];
	char want[HTTP_WANT_MAX][HTTP_WANT_SIZE]; /* values of req.want, "" when absent */
	int64_t content_length;                   /* as announced, -1 when absent */
	int64_t received;                         /* bytes of body that arrived */
	const char *head;
	size_t head_len;
	const char *tail;
	size_t tail_len;
	const char *body;
	size_t body_len;
};

/* "http reset" and so on: a stable name for logs and tests. */
const char *http_fault_name(enum http_fault fault);

/* Adds a header made by printf; the request owns it. Asserts that there is room. */
void http_req_header(struct http_req *q, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void http_req_release(struct http_req *q);

/*
 * Retry-After (RFC 9110, section 10.2.3): seconds or an HTTP date, as milliseconds from now_ms
 * (wall clock). -1 when absent or not understood; a date in the past gives 0.
 */
int64_t http_retry_after_ms(const char *value, int64_t now_ms);

#endif
