/*
 * store_dir - objects as files below one folder.
 *
 * An object is written to a file in tmp/ (or its spool file is linked there), synced, renamed to
 * its key, and the folder it went to is synced: then it is stored. A group shares its syncs: all
 * files are written before the first is waited for, many are synced by one call, each folder once.
 * Objects are read-only files, since an exported document may be a hard link to one.
 */
#include "store.h"

#include "sys.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BUFFER = 256 << 10, GROUP_MAX = 64, OBJECT_MODE = 0444, FOLDERS_KNOWN = 64 };
enum { SYNC_TOGETHER = 6 }; /* so many files and more are synced by one call */

struct store_dir {
	struct store base;
	char *root, *tmp;
	_Atomic uint64_t puts;      /* makes names in tmp/ unique */
	pthread_mutex_t folders;    /* held while folders are made */
	char *known[FOLDERS_KNOWN]; /* folders whose names are durable, as a ring */
	size_t next_known;
};

/* ---- Opening ---- */

/* Files left in tmp/ by a crash. The writer is alone, so they belong to nobody. */
static void sweep(const char *tmp)
{
	DIR *d = opendir(tmp);
	if (!d)
		return;
	for (struct dirent *f; (f = readdir(d));)
		if (strncmp(f->d_name, "put-", 4) == 0)
			unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
}

static struct store *open_dir(const char *where, bool write, struct err *e)
{
	char *tmp = xasprintf("%s/tmp", where);
	struct store_dir *s = NULL;
	if (write && !sys_mkdirs(tmp, 0700, e)) {
		err_prefix(e, "store_url: ");
	} else if (write && access(tmp, W_OK | X_OK) != 0) {
		fail_errno(e, "store_url: cannot write to %s", tmp);
	} else {
		if (write)
			sweep(tmp);
		s = xcalloc(1, sizeof *s);
		s->base.ops = &store_dir;
		s->root = xstrdup(where);
		s->tmp = xstrdup(tmp);
		pthread_mutex_init(&s->folders, NULL);
	}
	xfree(tmp);
	return s ? &s->base : NULL;
}

static void close_dir(struct store *base)
{
	struct store_dir *s = (struct store_dir *)base;
	for (size_t i = 0; i < FOLDERS_KNOWN; i++)
		xfree(s->known[i]);
	pthread_mutex_destroy(&s->folders);
	xfree(s->root);
	xfree(s->tmp);
	xfree(s);
}

/* No part of it is empty or begins with a dot; dots inside, also two in a row, are part of ids. */
static void check_key(const char *key)
{
	char before = '/';
	for (; *key; before = *key++) {
		assert((*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z') ||
		       (*key >= '0' && *key <= '9') || strchr("._-/", *key));
		assert(before != '/' || (*key != '/' && *key != '.'));
	}
	assert(before != '/');
}

/* ---- Putting ---- */

/* One file of a group. */
struct file {
	char *tmp, *path;
	int fd;
	bool renamed; /* `tmp` is gone, `path` is there */
};

static bool copy_spool(const struct spool *body, int fd, struct err *e)
{
	if (body->fd < 0)
		return sys_write_all(fd, body->mem, body->mem_len, "object", e);
	char *buffer = xmalloc(COPY_BUFFER);
	bool ok = true;
	for (int64_t at = 0; ok && at < body->size;) {
		ssize_t n = spool_read(body, at, buffer, COPY_BUFFER);
		ok = n > 0 ? sys_write_all(fd, buffer, (size_t)n, "object", e)
			   : fail(e, ERR_FAIL, "cannot read the spool file back");
		at += n;
	}
	xfree(buffer);
	return ok;
}

/* Gives a nameless spool file its name in tmp/; false (without error) when it must be copied. */
static bool adopt_spool(const struct spool *body, struct file *f)
{
	char self[64];
	if (body->fd < 0)
		return false;
	snprintf(self, sizeof self, "/proc/self/fd/%d", body->fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, f->tmp, AT_SYMLINK_FOLLOW) != 0)
		return false;
	f->fd = fcntl(body->fd, F_DUPFD_CLOEXEC, 0);
	if (f->fd >= 0 && fchmod(f->fd, OBJECT_MODE) == 0)
		return true;
	unlink(f->tmp);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	return false;
}

static bool create(struct store_dir *s, struct file *f, struct err *e)
{
	f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, OBJECT_MODE);
	return f->fd >= 0 || fail_errno(e, "cannot create an object in %s", s->tmp);
}

/* Writes the bytes and lets the kernel start on them. */
static bool stage(struct store_dir *s, const struct put *p, struct file *f, struct err *e)
{
	f->tmp = xasprintf("%s/put-%d-%" PRIu64, s->tmp, (int)getpid(),
			   atomic_fetch_add(&s->puts, 1));
	f->path = xasprintf("%s/%s", s->root, p->key);
	if (!adopt_spool(p->body, f) && (!create(s, f, e) || !copy_spool(p->body, f->fd, e)))
		return false;
	sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return true;
}

/* Creates a folder and those above it, and makes their names durable, up to the root. */
static bool make_folders(struct store_dir *s, const char *dir, struct err *e)
{
	char *up = xstrdup(dir);
	*strrchr(up, '/') = '\0';
	bool ok = strlen(up) <= strlen(s->root) || make_folders(s, up, e);
	if (ok && mkdir(dir, 0700) != 0 && errno != EEXIST)
		ok = fail_errno(e, "cannot create directory %s", dir);
	ok = ok && sys_fsync_dir(up, e);
	xfree(up);
	return ok;
}

/* A folder that is there is not yet one that survives a power cut: only those in `known` are. */
static bool make_parents(struct store_dir *s, const char *dir, struct err *e)
{
	bool ok = false;
	pthread_mutex_lock(&s->folders);
	for (size_t i = 0; i < FOLDERS_KNOWN && !ok; i++)
		ok = s->known[i] && strcmp(s->known[i], dir) == 0;
	if (!ok && make_folders(s, dir, e)) {
		ok = true;
		xfree(s->known[s->next_known]);
		s->known[s->next_known] = xstrdup(dir);
		s->next_known = (s->next_known + 1) % FOLDERS_KNOWN;
	}
	pthread_mutex_unlock(&s->folders);
	return ok;
}

/*
 * Waits until the bytes of the group are on disk. Many small files are synced faster by one sync of
 * their file system than one by one: the disk writes each block once and flushes once. If that
 * fails it does not say for which file, so each is asked.
 */
static void sync_files(struct store_dir *s, struct put **puts, struct file *files, size_t n)
{
	size_t some = 0, staged = 0;
	for (size_t i = 0; i < n; i++)
		if (puts[i]->ok) {
			some = i;
			staged++;
		}
	bool together = staged >= SYNC_TOGETHER && syncfs(files[some].fd) == 0;
	for (size_t i = 0; i < n; i++) {
		if (!puts[i]->ok)
			continue;
		if (!together && fsync(files[i].fd) != 0)
			puts[i]->ok =
				fail_errno(&puts[i]->err, "cannot sync an object in %s", s->tmp);
	}
}

static bool publish(struct store_dir *s, struct file *f, struct err *e)
{
	char *dir = xstrdup(f->path);
	*strrchr(dir, '/') = '\0';
	bool ok = make_parents(s, dir, e);
	if (ok && rename(f->tmp, f->path) != 0)
		ok = fail_errno(e, "cannot rename an object in %s", s->root);
	f->renamed = ok;
	xfree(dir);
	return ok;
}

/* Is the file right in the folder that is the first `len` bytes of `dir`? */
static bool is_in(const char *path, const char *dir, size_t len)
{
	return strncmp(path, dir, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

/* Syncs each folder of the group once. A failed sync fails every object in that folder. */
static void sync_parents(struct put **puts, struct file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!puts[i]->ok)
			continue;
		size_t len = (size_t)(strrchr(files[i].path, '/') - files[i].path);
		bool known = false;
		for (size_t k = 0; k < i && !known; k++)
			known = puts[k]->ok && is_in(files[k].path, files[i].path, len);
		if (known)
			continue;
		char *dir = xstrndup(files[i].path, len);
		struct err e;
		if (!sys_fsync_dir(dir, &e))
			for (size_t k = i; k < n; k++)
				if (puts[k]->ok && is_in(files[k].path, dir, len)) {
					puts[k]->ok = false;
					puts[k]->err = e;
				}
		xfree(dir);
	}
}

static void put_group(struct store_dir *s, struct put **puts, size_t n)
{
	struct file files[GROUP_MAX];
	for (size_t i = 0; i < n; i++) {
		check_key(puts[i]->key);
		files[i] = (struct file){.fd = -1};
		puts[i]->ok = stage(s, puts[i], &files[i], &puts[i]->err);
	}
	sync_files(s, puts, files, n);
	for (size_t i = 0; i < n; i++)
		if (puts[i]->ok)
			puts[i]->ok = publish(s, &files[i], &puts[i]->err);
	sync_parents(puts, files, n);
	for (size_t i = 0; i < n; i++) {
		if (files[i].fd >= 0)
			close(files[i].fd);
		if (files[i].fd >= 0 && !files[i].renamed)
			unlink(files[i].tmp);
		xfree(files[i].tmp);
		xfree(files[i].path);
	}
}

static void put_dir(struct store *base, struct put **puts, size_t n)
{
	for (size_t at = 0; at < n; at += GROUP_MAX)
		put_group((struct store_dir *)base, puts + at,
			  n - at < GROUP_MAX ? n - at : GROUP_MAX);
}

/* ---- Reading ---- */

static int open_object(struct store_dir *s, const char *key, struct err *e)
{
	char *path = xasprintf("%s/%s", s->root, key);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fail(e, ERR_ABSENT, "object %s is missing", key);
	else if (fd < 0)
		fail_errno(e, "object %s", key);
	xfree(path);
	return fd;
}

/* From one file to a sink, in order. */
static bool pump(int fd, const char *key, store_sink *sink, void *arg, struct err *e)
{
	char *buffer = xmalloc(COPY_BUFFER);
	bool ok = true;
	for (;;) {
		ssize_t n = read(fd, buffer, COPY_BUFFER);
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

static bool read_dir(struct store *base, const char *key, store_sink *sink, void *arg,
		     struct err *e)
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
static bool copy_out_dir(struct store *base, const char *key, const char *path, struct err *e)
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

const struct store_ops store_dir = {
	.scheme = "dir",
	.open = open_dir,
	.put = put_dir,
	.read = read_dir,
	.copy_out = copy_out_dir,
	.close = close_dir,
};
