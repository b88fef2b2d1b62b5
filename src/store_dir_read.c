/*
 * store_dir_read - objects of the folder store on their way out: as bytes, as descriptors, as files
 * of somebody else. Changes nothing in the store.
 */
#include "store_dir.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_object(struct store_dir *s, const char *key, struct err *e)
{
	char *path = xasprintf("%s/%s", s->root, key);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		fail(e, ERR_ABSENT, "object %s is missing", key);
	else if (fd < 0)
		fail_errno(e, "object %s", key);
	xfree(path);
	return fd;
}

bool store_dir_open_object(struct store *base, const char *key, int *fd, int64_t *size,
			   struct err *e)
{
	struct stat st;
	*fd = open_object((struct store_dir *)base, key, e);
	if (*fd < 0)
		return false;
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*size = st.st_size;
		return true;
	}
	close(*fd);
	*fd = -1;
	return fail(e, ERR_ABSENT, "object %s is missing", key);
}

/* From one file to a sink, in order. */
static bool pump(int fd, const char *key, store_sink *sink, void *arg, struct err *e)
{
	char *buffer = xmalloc(STORE_DIR_BUFFER);
	bool ok = true;
	for (;;) {
		ssize_t n = read(fd, buffer, STORE_DIR_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ok = fail_errno(e, "cannot read object %s", key);
		if (n <= 0)
			break;
		if (!(ok = sink(arg, buffer, (size_t)n, e)))
			break;
	}
	xfree(buffer);
	return ok;
}

bool store_dir_read(struct store *base, const char *key, store_sink *sink, void *arg, struct err *e)
{
	int fd = open_object((struct store_dir *)base, key, e);
	if (fd < 0)
		return false;
	bool ok = pump(fd, key, sink, arg, e);
	close(fd);
	return ok;
}

bool store_dir_find(struct store *base, const char *key, int64_t *size, char sha256[static 65],
		    struct err *e)
{
	int fd;
	sha256[0] = '\0';
	if (!store_dir_open_object(base, key, &fd, size, e))
		return false;
	close(fd);
	return true;
}

/* A hard link costs nothing and cannot be torn; across file systems, blocks may be shared. */
static bool clone_file(const char *object, const char *path)
{
	int in = open(object, O_RDONLY | O_CLOEXEC);
	int out = in < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool ok = out >= 0 && ioctl(out, FICLONE, in) == 0 && fsync(out) == 0;
	if (out >= 0)
		close(out);
	if (out >= 0 && !ok)
		unlink(path);
	if (in >= 0)
		close(in);
	return ok;
}

bool store_dir_link_out(struct store *base, const char *key, const char *path)
{
	struct store_dir *s = (struct store_dir *)base;
	char *object = xasprintf("%s/%s", s->root, key);
	bool ok = link(object, path) == 0 || (errno == EXDEV && clone_file(object, path));
	xfree(object);
	return ok;
}
