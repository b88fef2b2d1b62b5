/*
 * http - libcurl's multi interface behind five calls. Owns the sockets and the easy handles.
 *
 * Decides nothing about what an answer means: transport faults become enum http_fault, all the rest
 * is copied into http_res.
 */
#include "http.h"

#include "http_fault.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RECEIVE_BUFFER = 128 << 10, SEND_BUFFER = 128 << 10, IDLE_MAX = 64 };

struct http {
	struct http_options o;
	CURLM *multi;
	int wake; /* eventfd */
	int64_t received;
	struct http_exchange *done_head, **done_tail;
	CURL *idle[IDLE_MAX]; /* easy handles to use again */
	size_t nidle;
};

const char *http_library(void)
{
	return curl_version();
}

struct http *http_new(const struct http_options *o, struct err *e)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		fail(e, ERR_FAIL, "libcurl does not start");
		return NULL;
	}
	struct http *h = xcalloc(1, sizeof *h);
	h->o = *o;
	h->done_tail = &h->done_head;
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->multi = curl_multi_init();
	if (h->wake < 0 || !h->multi) {
		fail(e, ERR_FAIL, "cannot prepare network transfers");
		http_free(h);
		return NULL;
	}
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)o->connections);
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->nidle; i++)
		curl_easy_cleanup(h->idle[i]);
	if (h->multi)
		curl_multi_cleanup(h->multi);
	if (h->wake >= 0)
		close(h->wake);
	xfree(h);
	curl_global_cleanup();
}

void http_wake(struct http *h)
{
	uint64_t one = 1;
	ssize_t n = write(h->wake, &one, sizeof one);
	(void)n; /* a full counter wakes as well */
}

int64_t http_received(const struct http *h)
{
	return h->received;
}

/* ---- Callbacks of libcurl ---- */

static void set_fault(struct http_exchange *x, enum http_fault fault, const char *text)
{
	if (x->res.fault != HTTP_FAULT_NONE)
		return;
	x->res.fault = fault;
	snprintf(x->res.fault_text, sizeof x->res.fault_text, "%.*s",
		 (int)sizeof x->res.fault_text - 1, text);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_exchange *x = arg;
	size_t len = size * n;
	struct err e;
	x->http->received += (int64_t)len;
	if (x->req.sink && x->res.status / 100 == 2) {
		x->sunk += (int64_t)len;
		if (x->req.sink(x->req.sink_arg, data, len))
			return len;
		set_fault(x, HTTP_FAULT_LOCAL, "the bytes could not be taken");
		return 0;
	}
	if (x->body.size + (int64_t)len > x->req.max_body) {
		set_fault(x, HTTP_FAULT_TOO_LARGE, "larger than the limit");
		return 0;
	}
	if (!spool_add(&x->body, data, len, &e)) {
		set_fault(x, HTTP_FAULT_LOCAL, e.text);
		return 0;
	}
	return len;
}

static void name_address(struct http_exchange *x, const struct sockaddr *a)
{
	char ip[INET6_ADDRSTRLEN] = "";
	struct sockaddr_in in = {0};
	struct sockaddr_in6 in6 = {0};
	bool four = a->sa_family == AF_INET;
	if (four)
		memcpy(&in, a, sizeof in);
	else if (a->sa_family == AF_INET6)
		memcpy(&in6, a, sizeof in6);
	else
		return;
	inet_ntop(a->sa_family, four ? (void *)&in.sin_addr : (void *)&in6.sin6_addr, ip,
		  sizeof ip);
	snprintf(x->res.address, sizeof x->res.address, "%s %d", ip,
		 ntohs(four ? in.sin_port : in6.sin6_port));
}

/* The next bytes of a body on its way out. */
static size_t on_read(char *out, size_t size, size_t n, void *arg)
{
	struct http_exchange *x = arg;
	int64_t left = x->req.source_len - x->sent_at;
	size_t cap = size * n;
	if (left < (int64_t)cap)
		cap = (size_t)left;
	if (cap == 0)
		return 0;
	long got = x->req.source(x->req.source_arg, x->sent_at, out, cap);
	if (got <= 0) {
		set_fault(x, HTTP_FAULT_LOCAL, "the bytes to send cannot be read");
		return CURL_READFUNC_ABORT;
	}
	x->sent_at += got;
	return (size_t)got;
}

/* A request over a connection that the peer had just closed is sent again from its begin. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_exchange *x = arg;
	if (origin != SEEK_SET || offset < 0 || offset > x->req.source_len)
		return CURL_SEEKFUNC_FAIL;
	x->sent_at = offset;
	return CURL_SEEKFUNC_OK;
}

/* Without room for one more descriptor it is not the portal that is out of reach. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_exchange *x = arg;
	(void)purpose;
	const struct http_options *o = &x->http->o;
	const char *why = "not allowed";
	name_address(x, &a->addr);
	if (o->may_connect && !o->may_connect(o->may_arg, &a->addr, &why)) {
		x->refused = why;
		return CURL_SOCKET_BAD;
	}
	x->tried = true;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	if (fd >= 0)
		return fd;
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		char text[128];
		snprintf(text, sizeof text, "cannot open a connection: %s", strerror(errno));
		set_fault(x, HTTP_FAULT_LOCAL, text);
	}
	return CURL_SOCKET_BAD;
}

static void copy_value(char *out, size_t cap, const char *v, size_t len)
{
	while (len && (*v == ' ' || *v == '\t')) {
		v++;
		len--;
	}
	while (len && (v[len - 1] == '\r' || v[len - 1] == '\n' || v[len - 1] == ' '))
		len--;
	if (len >= cap)
		len = cap - 1;
	memcpy(out, v, len);
	out[len] = '\0';
}

/* "200 OK" as 200, 0 for what is no status. */
static int read_status(const char *s)
{
	int v = 0;
	for (int i = 0; i < 3; i++) {
		if (s[i] < '0' || s[i] > '9')
			return 0;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

static void keep_wanted(struct http_exchange *x, const char *line, size_t len)
{
	for (size_t i = 0; i < HTTP_WANT_MAX && x->req.want[i]; i++) {
		size_t k = strlen(x->req.want[i]);
		if (len > k && line[k] == ':' && strncasecmp(line, x->req.want[i], k) == 0)
			copy_value(x->res.want[i], HTTP_WANT_SIZE, line + k + 1, len - k - 1);
	}
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_exchange *x = arg;
	struct http_res *r = &x->res;
	size_t len = size * n;
	const struct {
		const char *name;
		char *out;
		size_t cap;
	} wanted[] = {
		{"content-type:", r->content_type, sizeof r->content_type},
		{"content-encoding:", r->content_encoding, sizeof r->content_encoding},
		{"location:", r->location, sizeof r->location},
		{"retry-after:", r->retry_after, sizeof r->retry_after},
	};
	if (len > 5 && strncmp(line, "HTTP/", 5) == 0) { /* a 100 may come before the real one */
		for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
			wanted[i].out[0] = '\0';
		memset(r->want, 0, sizeof r->want);
		const char *blank = memchr(line, ' ', len);
		r->status = blank && len - (size_t)(blank - line) > 3 ? read_status(blank + 1) : 0;
		return len;
	}
	keep_wanted(x, line, len);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		size_t k = strlen(wanted[i].name);
		if (len > k && strncasecmp(line, wanted[i].name, k) == 0)
			copy_value(wanted[i].out, wanted[i].cap, line + k, len - k);
	}
	if (len > 15 && strncasecmp(line, "content-length:", 15) == 0) {
		char digits[32];
		copy_value(digits, sizeof digits, line + 15, len - 15);
		int64_t announced = strtoll(digits, NULL, 10);
		bool sunk = x->req.sink && r->status / 100 == 2;
		if (sunk || x->req.no_body)
			return len;
		spool_expect(&x->body, announced);
		if (announced > x->req.max_body) {
			set_fault(x, HTTP_FAULT_TOO_LARGE, "announced as larger than the limit");
			return 0;
		}
	}
	return len;
}

/* ---- Starting ---- */

static CURL *easy_take(struct http *h)
{
	if (h->nidle)
		return h->idle[--h->nidle];
	CURL *c = curl_easy_init();
	if (!c)
		die("libcurl: no more handles");
	return c;
}

static void easy_give(struct http *h, CURL *c)
{
	if (h->nidle == IDLE_MAX) {
		curl_easy_cleanup(c);
		return;
	}
	curl_easy_reset(c);
	h->idle[h->nidle++] = c;
}

static void set_options(struct http *h, struct http_exchange *x, CURL *c)
{
	curl_easy_setopt(c, CURLOPT_URL, x->req.url);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L); /* what was signed or judged is what is sent */
	if (x->req.source) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->req.source_len);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(c, CURLOPT_READDATA, x);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, x);
		curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
	} else if (x->req.body) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, x->req.body);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->req.body_len);
	}
	if (x->req.no_body)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, (long)(x->req.fresh || h->o.fresh));
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, x->req.method);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(c, CURLOPT_PRIVATE, x);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE,
			 h->o.receive_buffer ? (long)h->o.receive_buffer : (long)RECEIVE_BUFFER);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, (long)h->o.fresh);
	if (h->o.fresh)
		curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, h->o.proxy); /* "" also shuts out the environment's */
	if (h->o.unix_socket)
		curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, h->o.unix_socket);
	if (*h->o.ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, h->o.ca_file);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)h->o.connect_timeout_ms);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, x->req.patient ? 0L : (long)h->o.low_speed);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)h->o.low_speed_time_s);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)x->req.total_ms);
}

void http_start(struct http *h, struct http_exchange *x)
{
	assert(!x->running && x->req.url && x->req.max_body > 0);
	struct curl_slist *list = NULL;
	for (size_t i = 0; i < x->req.nheaders; i++)
		list = curl_slist_append(list, x->req.headers[i]);
	CURL *c = easy_take(h);
	x->http = h;
	x->easy = c;
	x->headers = list;
	x->error[0] = '\0';
	x->refused = NULL;
	x->tried = false;
	x->sent_at = x->sunk = 0;
	x->res = (struct http_res){.content_length = -1};
	spool_init(&x->body, h->o.spool_dir,
		   x->req.in_memory ? (size_t)x->req.max_body : h->o.spool_memory);
	set_options(h, x, c);
	CURLMcode m = curl_multi_add_handle(h->multi, c);
	if (m != CURLM_OK)
		die("libcurl: %s", curl_multi_strerror(m));
	x->running = true;
}

/* ---- Ending ---- */

/* The views of the body. Without a file it is whole in memory, unless the file could not be made.
 */
static void set_edges(struct http_exchange *x)
{
	struct http_res *r = &x->res;
	struct spool *s = &x->body;
	r->received = s->size + x->sunk;
	r->head = s->head ? s->head : s->mem ? s->mem : "";
	r->head_len = s->size < HTTP_EDGE ? (size_t)s->size : HTTP_EDGE;
	if (s->fd < 0 && !s->head) {
		r->body = r->head;
		r->body_len = s->mem_len;
		r->tail_len = r->head_len;
		r->tail = r->body + (r->body_len - r->tail_len);
	} else if (s->fd >= 0) {
		x->tail = xmalloc(HTTP_EDGE);
		int64_t at = s->size > HTTP_EDGE ? s->size - HTTP_EDGE : 0;
		ssize_t n = spool_read(s, at, x->tail, HTTP_EDGE);
		if (n < 0)
			set_fault(x, HTTP_FAULT_LOCAL, "cannot read the spool file back");
		r->tail = x->tail;
		r->tail_len = n > 0 ? (size_t)n : 0;
	}
}

static void detach(struct http_exchange *x)
{
	curl_multi_remove_handle(x->http->multi, x->easy);
	easy_give(x->http, x->easy);
	curl_slist_free_all(x->headers);
	x->easy = NULL;
	x->headers = NULL;
	x->running = false;
}

static void finish(struct http *h, struct http_exchange *x, CURLcode code)
{
	long status = 0;
	curl_off_t length = -1;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	x->res.status = (int)status;
	x->res.content_length = length;
	enum http_fault fault = http_fault_of(x->easy, (int)code);
	if (fault == HTTP_FAULT_CONNECT)
		x->res.cause = http_cause_of(x->easy, (int)code, x->refused && !x->tried);
	if (x->res.cause == HTTP_CAUSE_REFUSED) {
		char text[160];
		snprintf(text, sizeof text, "address refused: %s", x->refused);
		set_fault(x, fault, text);
	} else if (fault != HTTP_FAULT_NONE) {
		set_fault(x, fault, x->error[0] ? x->error : curl_easy_strerror(code));
	}
	detach(x);
	struct err e;
	if (!spool_end(&x->body, &e))
		set_fault(x, HTTP_FAULT_LOCAL, e.text);
	set_edges(x);
	x->next = NULL;
	*h->done_tail = x;
	h->done_tail = &x->next;
}

/* Takes the ended transfers from libcurl; true when there was one. */
static bool collect(struct http *h)
{
	CURLMsg *msg;
	int left;
	while ((msg = curl_multi_info_read(h->multi, &left))) {
		struct http_exchange *x = NULL;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &x);
		finish(h, x, msg->data.result);
	}
	return h->done_head != NULL;
}

bool http_turn(struct http *h, int64_t timeout_ms, struct err *e)
{
	struct curl_waitfd extra = {.fd = h->wake, .events = CURL_WAIT_POLLIN};
	int running = 0;
	CURLMcode m = curl_multi_perform(h->multi, &running);
	if (m == CURLM_OK && !collect(h)) {
		m = curl_multi_poll(h->multi, &extra, 1, (int)timeout_ms, NULL);
		if (m == CURLM_OK)
			m = curl_multi_perform(h->multi, &running);
		collect(h);
	}
	uint64_t drop;
	ssize_t n = read(h->wake, &drop, sizeof drop);
	(void)n; /* EAGAIN: nobody woke us */
	if (m != CURLM_OK)
		return fail(e, ERR_FAIL, "network transfers: %s", curl_multi_strerror(m));
	return true;
}

struct http_exchange *http_done(struct http *h)
{
	struct http_exchange *x = h->done_head;
	if (!x)
		return NULL;
	h->done_head = x->next;
	if (!h->done_head)
		h->done_tail = &h->done_head;
	x->next = NULL;
	return x;
}

void http_exchange_release(struct http_exchange *x)
{
	if (x->running)
		detach(x);
	http_req_release(&x->req);
	spool_release(&x->body);
	xfree(x->tail);
	*x = (struct http_exchange){.body.fd = -1};
}
