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

static bool write_sink(void *arg, const void *data, size_t len, struct err *e)
{
	return sys_write_all(*(int *)arg, data, len, "document", e);
}

/* Some file systems (NFS, many in user space) know no flags of renaming. */
static bool rename_new(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return true;
	struct stat st;
	return errno == EINVAL && lstat(to, &st) != 0 && errno == ENOENT && rename(from, to) == 0;
}

/*
 * Through a hidden file beside `path`, so that a copy that was cut off is not taken for one. Errors
 * do not say `path`: people's names for documents belong in no log.
 */
static bool copy_bytes(struct store_dir *s, const char *key, const char *path, struct err *e)
{
	int in = open_object(s, key, e);
	if (in < 0)
		return false;
	bool ok = false;
	const char *slash = strrchr(path, '/');
	char *folder = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	char *part = xasprintf("%s/.autos-copy", folder);
	int out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		fail_errno(e, "cannot create a copy in %s", folder);
	else
		ok = ioctl(out, FICLONE, in) == 0 || pump(in, key, write_sink, &out, e);
	if (ok && fsync(out) != 0)
		ok = fail_errno(e, "cannot sync %s", folder);
	if (out >= 0 && close(out) != 0 && ok)
		ok = fail_errno(e, "cannot write a copy in %s", folder);
	if (ok && !rename_new(part, path))
		ok = fail_errno(e, "cannot name a copy in %s", folder);
	if (!ok && out >= 0)
		unlink(part);
	xfree(part);
	xfree(folder);
	close(in);
	return ok;
}

/* A hard link costs nothing and cannot be torn; across file systems the bytes are copied. */
bool store_dir_copy_out(struct store *base, const char *key, const char *path, struct err *e)
{
	struct store_dir *s = (struct store_dir *)base;
	char *object = xasprintf("%s/%s", s->root, key);
	bool ok = link(object, path) == 0;
	int why = errno;
	xfree(object);
	if (!ok && why == EEXIST)
		return fail(e, ERR_FAIL, "cannot copy object %s: its new name exists", key);
	return ok || copy_bytes(s, key, path, e);
}
