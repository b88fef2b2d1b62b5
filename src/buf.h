/*
 * buf - a growing byte buffer that is born with a maximum.
 *
 * Every buffer that holds bytes of somebody else has a limit from the settings, so no peer can
 * make us grow without bound. Going over the limit sets `overflow`, keeps what was there and makes
 * every later append a no-op that returns false: a writer may append many times and check once.
 */
#ifndef AUTOS_BUF_H
#define AUTOS_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* owned; always followed by a NUL once something was appended */
	size_t len;
	size_t cap;
	size_t max; /* len never exceeds this */
	bool overflow;
};

/* Allocates nothing. max must be greater than 0. */
void buf_init(struct buf *b, size_t max);

/* Frees the bytes and makes *b all zero; may be called twice and on zeroed memory. */
void buf_release(struct buf *b);

/* Empties the buffer, keeps its memory and its maximum. */
void buf_clear(struct buf *b);

/* False once the maximum would be passed. */
bool buf_add(struct buf *b, const void *data, size_t len);
bool buf_adds(struct buf *b, const char *s);
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The bytes as a C string; "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *b);

/* Hands the bytes over to the caller (free with xfree) and leaves *b empty. Never NULL. */
char *buf_detach(struct buf *b);

#endif
