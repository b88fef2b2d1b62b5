/*
 * store - the choice of a driver, and what every store does the same way.
 */
#include "store.h"

#include "sys.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READS_MAX = 3 }; /* of an object that does not come as it should */

static const struct store_ops *const drivers[] = {&store_dir, &store_s3};

struct store *store_open(const struct config *c, const char *url, enum store_mode mode,
			 struct err *e)
{
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
		size_t n = strlen(drivers[i]->scheme);
		if (strncmp(url, drivers[i]->scheme, n) == 0 && url[n] == ':')
			return drivers[i]->open(c, url + n + 1, mode, e);
	}
	int scheme = (int)text_scheme(url);
	fail(e, ERR_INPUT, "store_url: %s%.*s%smust be dir:PATH or s3://BUCKET/PREFIX",
	     scheme ? "no driver for '" : "", scheme, url, scheme ? "': " : "");
	return NULL;
}

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

/* ---- Putting and waiting ---- */

struct group {
	pthread_mutex_t lock;
	pthread_cond_t over;
	size_t left;
};

static void one_less(struct put *p)
{
	struct group *g = p->finished_arg;
	pthread_mutex_lock(&g->lock);
	if (--g->left == 0)
		pthread_cond_signal(&g->over);
	pthread_mutex_unlock(&g->lock);
}

void store_put(struct store *s, struct put **puts, size_t n)
{
	if (!s->ops->start) {
		s->ops->put(s, puts, n);
		return;
	}
	struct group g = {.left = n};
	pthread_mutex_init(&g.lock, NULL);
	pthread_cond_init(&g.over, NULL);
	for (size_t i = 0; i < n; i++) {
		puts[i]->finished = one_less;
		puts[i]->finished_arg = &g;
		s->ops->start(s, puts[i]);
	}
	pthread_mutex_lock(&g.lock);
	while (g.left)
		pthread_cond_wait(&g.over, &g.lock);
	pthread_mutex_unlock(&g.lock);
	pthread_cond_destroy(&g.over);
	pthread_mutex_destroy(&g.lock);
}

/* ---- Copies for people ---- */

struct copy {
	int fd;
	struct sha256 *hash;
};

static bool write_copy(void *arg, const void *data, size_t len, struct err *e)
{
	struct copy *c = arg;
	sha256_add(c->hash, data, len);
	return sys_write_all(c->fd, data, len, "document", e);
}

/* `damaged`: the bytes came, and are not those. */
static bool fill_copy(struct store *s, const char *key, const char *sha256, int fd, bool *damaged,
		      struct err *e)
{
	struct copy c = {.fd = fd, .hash = sha256_new()};
	char hex[65];
	bool ok = store_read(s, key, write_copy, &c, e);
	sha256_end(c.hash, hex);
	sha256_free(c.hash);
	*damaged = ok && strcmp(hex, sha256) != 0;
	if (*damaged)
		return fail(e, ERR_FAIL, "object %s is damaged: its SHA-256 is %s, not %s", key,
			    hex, sha256);
	return ok;
}

/* What was damaged on the way only comes right the next time. */
static bool fill_right(struct store *s, const char *key, const char *sha256, int fd, struct err *e)
{
	bool damaged;
	for (int i = 1; !fill_copy(s, key, sha256, fd, &damaged, e); i++) {
		if (!damaged || i == READS_MAX)
			return false;
		if (lseek(fd, 0, SEEK_SET) != 0 || ftruncate(fd, 0) != 0)
			return fail_errno(e, "cannot write a copy again");
	}
	return true;
}

/* Some file systems (NFS, many in user space) know no flags of renaming. */
static bool rename_new(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return true;
	struct stat st;
	return errno == EINVAL && lstat(to, &st) != 0 && errno == ENOENT && rename(from, to) == 0;
}

bool store_copy_out(struct store *s, const char *key, const char *sha256, const char *path,
		    const char *draft, struct err *e)
{
	if (s->ops->link_out && s->ops->link_out(s, key, path))
		return true;
	if (access(path, F_OK) == 0)
		return fail(e, ERR_FAIL, "cannot copy object %s: its new name exists", key);
	bool ok = false;
	int out = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		fail_errno(e, "cannot create %s", draft);
	else
		ok = fill_right(s, key, sha256, out, e);
	if (ok && fsync(out) != 0)
		ok = fail_errno(e, "cannot sync %s", draft);
	if (out >= 0 && close(out) != 0 && ok)
		ok = fail_errno(e, "cannot write %s", draft);
	if (ok && !rename_new(draft, path))
		ok = fail_errno(e, "cannot rename %s to its document's name", draft);
	if (!ok && out >= 0)
		unlink(draft);
	return ok;
}

/* ---- The driver's own ---- */

bool store_read(struct store *s, const char *key, store_sink *sink, void *arg, struct err *e)
{
	return s->ops->read(s, key, sink, arg, e);
}

bool store_find(struct store *s, const char *key, int64_t *size, char sha256[static 65],
		struct err *e)
{
	return s->ops->find(s, key, size, sha256, e);
}

bool store_open_object(struct store *s, const char *key, int *fd, int64_t *size, struct err *e)
{
	return s->ops->open_object(s, key, fd, size, e);
}

static bool always(void *arg, int64_t *until_ms, struct err *e)
{
	(void)arg;
	(void)e;
	*until_ms = INT64_MAX;
	return true;
}

bool store_erase(struct store *s, const char *folder, const struct store_guard *guard,
		 struct err *e)
{
	return s->ops->erase(s, folder, guard ? guard : &(struct store_guard){.may = always}, e);
}

bool store_check(struct store *s, struct err *e)
{
	return s->ops->check(s, e);
}

void store_describe(struct store *s, struct buf *out)
{
	s->ops->describe(s, out);
}
