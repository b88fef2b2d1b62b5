/*
 * body - the bytes of one answer, of any size, never whole in memory.
 *
 * A body is a head, a mass of filler and a tail. Head and tail are small and owned; the mass is a
 * pure function of (stamp, offset), so any range of a file of hundreds of megabytes can be made at
 * any time, at the speed of memcpy. Immutable once made: may be read from several threads.
 */
#ifndef SIM_BODY_H
#define SIM_BODY_H

#include "buf.h"

#include <stddef.h>
#include <stdint.h>

enum body_fill {
	BODY_FILL_TEXT,  /* words and line breaks, ASCII */
	BODY_FILL_BYTES, /* looks random */
};

enum { BODY_STAMP_EVERY = 64 * 1024, BODY_STAMP_LEN = 24 };

struct body {
	char *head; /* owned */
	size_t head_len;
	char *tail; /* owned */
	size_t tail_len;
	uint64_t mass;  /* bytes of filler between head and tail */
	uint64_t stamp; /* written into the filler every BODY_STAMP_EVERY bytes */
	enum body_fill fill;
};

/* Takes over the bytes of *head and *tail (tail may be NULL), which become empty. */
void body_init(struct body *b, struct buf *head, uint64_t mass, enum body_fill fill, uint64_t stamp,
	       struct buf *tail);
void body_init_text(struct body *b, const char *text);              /* copies */
void body_init_bytes(struct body *b, const void *data, size_t len); /* copies */
void body_release(struct body *b);

uint64_t body_size(const struct body *b);

/* Copies up to len bytes from `at` on; returns how many, 0 at the end. */
size_t body_read(const struct body *b, uint64_t at, void *out, size_t len);

void body_sha256(const struct body *b, char hex[static 65]);

/* Wraps the body in a gzip stream without compressing it. Only for bodies below 16 MiB. */
void body_gzip(struct body *b);

/* CRC-32 (IEEE) continued from `crc`, which is 0 at the start. */
uint32_t crc32_add(uint32_t crc, const void *data, size_t len);

#endif
