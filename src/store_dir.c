/*
 * store_dir - objects as files below one folder.
 *
 * An object is written to a file in tmp/ (or its spool file is linked there), synced, renamed to
 * its key, and the folder it went to is synced: then it is stored. A group shares its syncs: all
 * files are written before the first is waited for, many are synced by one call, each folder once.
 * Objects are read-only files, since an exported document may be a hard link to one. How they are
 * read is in store_dir_read.c.
 */
#include "store_dir.h"

#include "sys.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	GROUP_MAX = 64,
	SYNC_TOGETHER = 6, /* so many files and more are synced by one call */
	OBJECT_MODE = 0444,
	SPACE_LEAST = 16 << 20, /* bytes that must be free */
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

static struct store *open_dir(const struct config *c, const char *where, enum store_mode mode,
			      struct err *e)
{
	bool write = mode != STORE_READ;
	(void)c;
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
	char *buffer = xmalloc(STORE_DIR_BUFFER);
	bool ok = true;
	for (int64_t at = 0; ok && at < body->size;) {
		ssize_t n = spool_read(body, at, buffer, STORE_DIR_BUFFER);
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

/* ---- Erasing and checking ---- */

/* nftw hands nothing through. */
static _Thread_local struct {
	const struct store_guard *guard;
	struct err err;
} removing;

enum { FORBIDDEN = 1 };

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	int64_t until;
	(void)st;
	(void)kind;
	(void)at;
	if (!removing.guard->may(removing.guard->arg, &until, &removing.err))
		return FORBIDDEN;
	return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* A folder that is made again later must be made durable again. */
static void forget_folders(struct store_dir *s, const char *dir)
{
	size_t n = strlen(dir);
	pthread_mutex_lock(&s->folders);
	for (size_t i = 0; i < FOLDERS_KNOWN; i++) {
		const char *known = s->known[i];
		if (!known || strncmp(known, dir, n) != 0 || (known[n] && known[n] != '/'))
			continue;
		xfree(s->known[i]);
		s->known[i] = NULL;
	}
	pthread_mutex_unlock(&s->folders);
}

/* Somebody who erases the same may be faster, and the walk stumbles over what is gone. */
static bool remove_tree(const char *dir, const char *folder, const struct store_guard *guard,
			struct err *e)
{
	removing.guard = guard;
	do {
		int end = nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
		if (end == 0)
			return true;
		if (end == FORBIDDEN) {
			*e = removing.err;
			return false;
		}
	} while (errno == ENOENT && access(dir, F_OK) == 0);
	return errno == ENOENT || fail_errno(e, "cannot erase %s", folder);
}

/* Nobody puts objects into a folder that is being erased, as long as the guard says so. */
static bool erase_dir(struct store *base, const char *folder, const struct store_guard *guard,
		      struct err *e)
{
	struct store_dir *s = (struct store_dir *)base;
	char *dir = xasprintf("%s/%s", s->root, folder);
	size_t n = strlen(dir);
	assert(dir[n - 1] == '/');
	dir[n - 1] = '\0';
	check_key(dir + strlen(s->root) + 1);
	bool ok = remove_tree(dir, folder, guard, e);
	forget_folders(s, dir);
	*strrchr(dir, '/') = '\0';
	if (ok && access(dir, F_OK) == 0)
		ok = sys_fsync_dir(dir, e);
	xfree(dir);
	return ok;
}

/* A byte that reaches the disk; a full one may say so only when it is synced. */
static bool check_write(struct store_dir *s, struct err *e)
{
	char *name = xasprintf("%s/put-check-%d-%" PRIu64, s->tmp, (int)getpid(),
			       atomic_fetch_add(&s->puts, 1));
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, OBJECT_MODE);
	bool ok = (fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0) ||
		  fail_errno(e, "cannot write to %s", s->tmp);
	if (fd >= 0) {
		close(fd);
		unlink(name);
	}
	xfree(name);
	return ok;
}

static bool check_dir(struct store *base, struct err *e)
{
	struct store_dir *s = (struct store_dir *)base;
	struct statvfs v;
	if (!check_write(s, e))
		return false;
	if (statvfs(s->root, &v) != 0)
		return fail_errno(e, "%s", s->root);
	uint64_t space = (uint64_t)v.f_bavail * v.f_frsize;
	return space >= SPACE_LEAST ||
	       fail(e, ERR_FAIL, "%s: only %" PRIu64 " MiB are free", s->root, space >> 20);
}

static void describe_dir(struct store *base, struct buf *out)
{
	struct store_dir *s = (struct store_dir *)base;
	buf_addf(out, "folder  %s\n", s->root);
	buf_addf(out, "space  %.1f GB free\n", (double)sys_free_space(s->root) / 1e9);
}

const struct store_ops store_dir = {
	.scheme = "dir",
	.open = open_dir,
	.put = put_dir,
	.read = store_dir_read,
	.find = store_dir_find,
	.link_out = store_dir_link_out,
	.open_object = store_dir_open_object,
	.erase = erase_dir,
	.check = check_dir,
	.describe = describe_dir,
	.close = close_dir,
};
