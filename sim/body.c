/*
 * body - makes any range of a body. Does no I/O and knows no file format.
 *
 * The filler is one block of a mebibyte, made once, repeated; a stamp with the document's identity
 * and the position is laid over it every 64 KiB, so neither two documents nor two ranges of one
 * document that somebody mixed up are equal.
 */
#include "body.h"

#include "mix.h"
#include "sys.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 1024 * 1024, GZIP_MAX = 16 * 1024 * 1024, STORED_MAX = 65535 };

static char text_block[BLOCK];
static char byte_block[BLOCK];
static pthread_once_t blocks_once = PTHREAD_ONCE_INIT;

static void fill_text(void)
{
	static const char *const words[] = {"autos", "parte",   "prazo",  "juntada",
					    "termo", "sintese", "folhas", "conclusos",
					    "vista", "processo"};
	struct mix m = {.state = 1};
	size_t at = 0, column = 0;
	while (at < BLOCK) {
		const char *w = words[mix_below(&m, sizeof words / sizeof words[0])];
		size_t n = strlen(w);
		if (n > BLOCK - at)
			n = BLOCK - at;
		memcpy(text_block + at, w, n);
		at += n;
		column += n + 1;
		if (at < BLOCK)
			text_block[at++] = column > 72 ? '\n' : ' ';
		if (column > 72)
			column = 0;
	}
}

static void fill_blocks(void)
{
	struct mix m = {.state = 2};
	for (size_t i = 0; i < BLOCK; i += 8) {
		uint64_t v = mix_next(&m);
		memcpy(byte_block + i, &v, 8);
	}
	fill_text();
}

void body_init(struct body *b, struct buf *head, uint64_t mass, enum body_fill fill, uint64_t stamp,
	       struct buf *tail)
{
	pthread_once(&blocks_once, fill_blocks);
	*b = (struct body){.mass = mass, .fill = fill, .stamp = stamp};
	assert(!head->overflow && !(tail && tail->overflow));
	b->head_len = head->len;
	b->head = buf_detach(head);
	if (tail) {
		b->tail_len = tail->len;
		b->tail = buf_detach(tail);
	}
}

void body_init_bytes(struct body *b, const void *data, size_t len)
{
	*b = (struct body){.head = xmalloc(len + 1), .head_len = len};
	if (len)
		memcpy(b->head, data, len);
}

void body_init_text(struct body *b, const char *text)
{
	body_init_bytes(b, text, strlen(text));
}

void body_release(struct body *b)
{
	xfree(b->head);
	xfree(b->tail);
	*b = (struct body){0};
}

uint64_t body_size(const struct body *b)
{
	return b->head_len + b->mass + b->tail_len;
}

/* Lays the stamps that touch mass bytes [at, at + len) over them. */
static void lay_stamps(const struct body *b, uint64_t at, char *out, size_t len)
{
	uint64_t k = at / BODY_STAMP_EVERY;
	for (;; k++) {
		uint64_t start = k * BODY_STAMP_EVERY;
		if (start >= at + len)
			return;
		char stamp[BODY_STAMP_LEN + 1];
		snprintf(stamp, sizeof stamp, "[%016llx%06x]", (unsigned long long)b->stamp,
			 (unsigned)(k & 0xffffff));
		for (size_t i = 0; i < BODY_STAMP_LEN; i++)
			if (start + i >= at && start + i < at + len)
				out[start + i - at] = stamp[i];
	}
}

static void read_mass(const struct body *b, uint64_t at, char *out, size_t len)
{
	const char *block = b->fill == BODY_FILL_TEXT ? text_block : byte_block;
	for (size_t done = 0; done < len;) {
		size_t from = (size_t)((at + done) % BLOCK);
		size_t n = BLOCK - from < len - done ? BLOCK - from : len - done;
		memcpy(out + done, block + from, n);
		done += n;
	}
	lay_stamps(b, at, out, len);
}

size_t body_read(const struct body *b, uint64_t at, void *out, size_t len)
{
	char *p = out;
	size_t done = 0;
	uint64_t size = body_size(b);
	if (at >= size)
		return 0;
	if (len > size - at)
		len = (size_t)(size - at);
	while (done < len) {
		uint64_t pos = at + done;
		size_t want = len - done;
		if (pos < b->head_len) {
			size_t n = b->head_len - pos < want ? (size_t)(b->head_len - pos) : want;
			memcpy(p + done, b->head + pos, n);
			done += n;
		} else if (pos < b->head_len + b->mass) {
			uint64_t off = pos - b->head_len;
			size_t n = b->mass - off < want ? (size_t)(b->mass - off) : want;
			read_mass(b, off, p + done, n);
			done += n;
		} else {
			memcpy(p + done, b->tail + (pos - b->head_len - b->mass), want);
			done += want;
		}
	}
	return len;
}

void body_sha256(const struct body *b, char hex[static 65])
{
	struct sha256 *h = sha256_new();
	size_t cap = 256 * 1024;
	char *piece = xmalloc(cap);
	uint64_t at = 0;
	for (size_t n; (n = body_read(b, at, piece, cap)) > 0; at += n)
		sha256_add(h, piece, n);
	sha256_end(h, hex);
	sha256_free(h);
	xfree(piece);
}

uint32_t crc32_add(uint32_t crc, const void *data, size_t len)
{
	const unsigned char *p = data;
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1)));
	}
	return ~crc;
}

static void add_le(struct buf *out, uint32_t v, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		char c = (char)((v >> (8 * i)) & 0xff);
		buf_add(out, &c, 1);
	}
}

void body_gzip(struct body *b)
{
	uint64_t size = body_size(b);
	assert(size < GZIP_MAX);
	struct buf z;
	buf_init(&z, GZIP_MAX + GZIP_MAX / 1024 + 64);
	buf_add(&z, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
	char *piece = xmalloc(STORED_MAX);
	uint32_t crc = 0;
	uint64_t at = 0;
	do { /* stored blocks: a flag byte, the length, its complement, the bytes */
		size_t n = body_read(b, at, piece, STORED_MAX);
		crc = crc32_add(crc, piece, n);
		at += n;
		add_le(&z, at >= size, 1);
		add_le(&z, (uint32_t)n, 2);
		add_le(&z, ~(uint32_t)n & 0xffff, 2);
		buf_add(&z, piece, n);
	} while (at < size);
	add_le(&z, crc, 4);
	add_le(&z, (uint32_t)size, 4);
	xfree(piece);
	body_release(b);
	body_init(b, &z, 0, BODY_FILL_TEXT, 0, NULL);
}
