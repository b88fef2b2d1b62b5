/*
 * spool - memory first, then a nameless file. Never makes anything visible: that is the store's
 * duty.
 */
#include "spool.h"

#include "http_msg.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Write-back is asked for in steps of this size, so that the final sync finds little to do. */
enum { FLUSH_STEP = 8 << 20 };

/* More than this is not taken on the word of a peer. */
enum { EXPECT_MAX = 1 << 20 };

void spool_init(struct spool *s, const char *dir, size_t memory)
{
	assert(memory >= HTTP_EDGE);
	*s = (struct spool){.dir = dir, .memory = memory, .fd = -1, .hash = sha256_new()};
}

void spool_release(struct spool *s)
{
	xfree(s->mem);
	xfree(s->head);
	sha256_free(s->hash);
	if (s->dir && s->fd >= 0)
		close(s->fd);
	*s = (struct spool){.fd = -1};
}

static int open_nameless(const char *dir, struct err *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
		fail_errno(e, "cannot create a spool file in %s", dir);
		return -1;
	}
	char *path = xasprintf("%s/spool-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fail_errno(e, "cannot create a spool file in %s", dir);
	else
		unlink(path);
	xfree(path);
	return fd;
}

void spool_expect(struct spool *s, int64_t size)
{
	if (s->mem || size <= 0 || size > EXPECT_MAX || (size_t)size > s->memory)
		return;
	s->mem_cap = (size_t)size;
	s->mem = xmalloc(s->mem_cap);
}

static void keep(struct spool *s, const void *data, size_t len)
{
	if (s->mem_len + len > s->mem_cap) {
		size_t cap = s->mem_cap ? s->mem_cap : 16384;
		while (cap < s->mem_len + len)
			cap *= 2;
		if (cap > s->memory)
			cap = s->memory;
		s->mem = xrealloc(s->mem, cap);
		s->mem_cap = cap;
	}
	memcpy(s->mem + s->mem_len, data, len);
	s->mem_len += len;
}

/* The first bytes stay in memory, however they came: answers are named by them. */
static void keep_head(struct spool *s, const char *more, size_t len)
{
	size_t have = s->mem_len < HTTP_EDGE ? s->mem_len : HTTP_EDGE;
	size_t rest = HTTP_EDGE - have;
	assert(rest <= len);
	s->head = xmalloc(HTTP_EDGE);
	if (have)
		memcpy(s->head, s->mem, have);
	memcpy(s->head + have, more, rest);
}

/* Bytes go to the file in pieces as large as the memory allows: few large writes cost least. */
static bool write_out(struct spool *s, struct err *e)
{
	if (!sys_write_all(s->fd, s->mem, s->mem_len, "spool file", e))
		return false;
	s->written += (int64_t)s->mem_len;
	s->mem_len = 0;
	if (s->written - s->flushed >= FLUSH_STEP) {
		sync_file_range(s->fd, s->flushed, s->written - s->flushed, SYNC_FILE_RANGE_WRITE);
		s->flushed = s->written;
	}
	return true;
}

bool spool_add(struct spool *s, const void *data, size_t len, struct err *e)
{
	const char *p = data;
	if (len == 0)
		return true;
	sha256_add(s->hash, p, len);
	s->size += (int64_t)len;
	if (s->fd < 0 && s->mem_len + len > s->memory) {
		keep_head(s, p, len);
		s->fd = open_nameless(s->dir, e);
		if (s->fd < 0)
			return false;
	}
	while (len) {
		size_t room = s->memory - s->mem_len, n = len < room ? len : room;
		keep(s, p, n);
		p += n;
		len -= n;
		if (s->mem_len == s->memory && s->fd >= 0 && !write_out(s, e))
			return false;
	}
	return true;
}

bool spool_end(struct spool *s, struct err *e)
{
	sha256_end(s->hash, s->sha256);
	if (s->fd < 0)
		return true;
	bool ok = write_out(s, e);
	xfree(s->mem);
	s->mem = NULL;
	s->mem_cap = 0;
	return ok;
}

ssize_t spool_read(const struct spool *s, int64_t at, void *out, size_t cap)
{
	if (at >= s->size)
		return 0;
	if (s->fd < 0) {
		size_t n = s->mem_len - (size_t)at;
		if (n > cap)
			n = cap;
		memcpy(out, s->mem + at, n);
		return (ssize_t)n;
	}
	ssize_t n;
	do
		n = pread(s->fd, out, cap, at);
	while (n < 0 && errno == EINTR);
	return n;
}
