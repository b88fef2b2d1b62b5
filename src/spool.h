/*
 * spool - one body on its way from the network to the store.
 *
 * Bytes are kept in memory up to a limit, then in a file without a name (O_TMPFILE, or created and
 * unlinked at once), so a crash leaves nothing behind. Size and SHA-256 are taken on the way. A
 * spool belongs to one thread at a time.
 */
#ifndef AUTOS_SPOOL_H
#define AUTOS_SPOOL_H

#include "err.h"
#include "sys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool {
	const char *dir; /* borrowed; where the nameless file goes */
	size_t memory;   /* bytes that stay in memory */
	char *mem;       /* owned; all bytes until the spool spills, then those not yet written */
	size_t mem_len;
	size_t mem_cap;
	char *head; /* owned; the first HTTP_EDGE bytes once it has spilled, else NULL */
	int fd;     /* -1 until it spills */
	int64_t size;
	int64_t written; /* bytes in the file */
	int64_t flushed; /* bytes whose write-back has been asked for */
	struct sha256 *hash;
	char sha256[65]; /* set by spool_end */
};

void spool_init(struct spool *s, const char *dir, size_t memory);
void spool_release(struct spool *s);

/* So many bytes are announced: memory for them is taken at once, if they are to stay in memory. */
void spool_expect(struct spool *s, int64_t size);

[[nodiscard]] bool spool_add(struct spool *s, const void *data, size_t len, struct err *e);

/* Writes what is left and closes the hash. No byte may be added afterwards. */
[[nodiscard]] bool spool_end(struct spool *s, struct err *e);

/* After spool_end: copies up to cap bytes from the place `at`; the number copied, -1 on an error.
 */
ssize_t spool_read(const struct spool *s, int64_t at, void *out, size_t cap);

#endif
