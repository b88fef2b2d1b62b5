/*
 * body - see body.h. The only room that sees zlib.
 */
#include "body.h"

#include "sys.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <zlib.h>

enum { LEVEL = 5, GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8, GZIP_MIN = 20 };

struct body {
	atomic_size_t owners;
	const char *data;
	size_t len;
	char *own;   /* data, when it must be freed */
	size_t room; /* bytes allocated for it */

	pthread_mutex_t lock; /* held by whoever makes the gzip */
	atomic_bool asked;    /* gzip has its final value */
	struct body *gzip;    /* owned */
};

static struct body *body_new(char *own, size_t room, const char *data, size_t len)
{
	struct body *b = xcalloc(1, sizeof *b);
	atomic_init(&b->owners, 1);
	pthread_mutex_init(&b->lock, NULL);
	b->own = own;
	b->room = room;
	b->data = data;
	b->len = len;
	return b;
}

struct body *body_from(const void *data, size_t len)
{
	char *own = xstrndup(data, len);
	return body_new(own, len + 1, own, len);
}

struct body *body_take(struct buf *b)
{
	size_t len = b->len;
	/* a buffer grows by doubling; a body that is kept does not need what is left over */
	char *own = xrealloc(buf_detach(b), len + 1);
	return body_new(own, len + 1, own, len);
}

struct body *body_static(const void *data, size_t len)
{
	return body_new(NULL, 0, data, len);
}

struct body *body_hold(struct body *b)
{
	atomic_fetch_add_explicit(&b->owners, 1, memory_order_relaxed);
	return b;
}

void body_drop(struct body *b)
{
	if (!b || atomic_fetch_sub_explicit(&b->owners, 1, memory_order_acq_rel) > 1)
		return;
	body_drop(b->gzip);
	pthread_mutex_destroy(&b->lock);
	xfree(b->own);
	xfree(b);
}

const char *body_data(const struct body *b)
{
	return b->data;
}

size_t body_len(const struct body *b)
{
	return b->len;
}

/* ---- gzip ---- */

static void *zlib_alloc(void *state, unsigned n, unsigned size)
{
	(void)state;
	return xcalloc(n, size);
}

static void zlib_free(void *state, void *p)
{
	(void)state;
	xfree(p);
}

/* A body that is smaller, or NULL. The output has room for less than the input: when it does not
 * end there, it is not worth it. */
static struct body *compress_body(const struct body *b)
{
	if (b->len <= GZIP_MIN || b->len > UINT_MAX)
		return NULL;
	z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
	if (deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		die("zlib %s cannot be used", zlibVersion());
	char *own = xmalloc(b->len);
	z.next_in = (z_const Bytef *)b->data;
	z.avail_in = (uInt)b->len;
	z.next_out = (Bytef *)own;
	z.avail_out = (uInt)(b->len - 1);
	bool smaller = deflate(&z, Z_FINISH) == Z_STREAM_END;
	size_t len = b->len - 1 - z.avail_out;
	deflateEnd(&z);
	if (!smaller) {
		xfree(own);
		return NULL;
	}
	own = xrealloc(own, len);
	struct body *out = body_new(own, len, own, len);
	atomic_store_explicit(&out->asked, true, memory_order_relaxed); /* no gzip of a gzip */
	return out;
}

struct body *body_gzip(struct body *b)
{
	if (!atomic_load_explicit(&b->asked, memory_order_acquire)) {
		pthread_mutex_lock(&b->lock);
		if (!atomic_load_explicit(&b->asked, memory_order_relaxed)) {
			b->gzip = compress_body(b);
			atomic_store_explicit(&b->asked, true, memory_order_release);
		}
		pthread_mutex_unlock(&b->lock);
	}
	return b->gzip;
}

size_t body_weight(const struct body *b)
{
	size_t n = sizeof *b + b->room;
	if (atomic_load_explicit(&b->asked, memory_order_acquire) && b->gzip)
		n += body_weight(b->gzip);
	return n;
}
