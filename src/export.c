/*
 * export - writes the folder. Reads objects through the store only, and never changes one.
 */
#include "export.h"

#include "cnj.h"
#include "filename.h"
#include "manifest.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_MAX = 256 << 20, HELPERS = 8 };

struct export
{
	const struct case_view *view;
	struct store *store;
	char *folder;
	char **files;              /* by document; NULL where there is none */
	struct manifest_file *old; /* what an earlier export left */
	size_t nold;
};

static int digits_for(size_t n)
{
	int width = FILE_DIGITS;
	for (size_t limit = 9999; n > limit; limit = limit * 10 + 9)
		width++;
	return width;
}

static void name_files(struct export *x)
{
	const struct case_view *v = x->view;
	int width = digits_for(v->ndocs);
	size_t *same = manifest_duplicates(v);
	x->files = xcalloc(v->ndocs, sizeof *x->files);
	for (size_t i = 0; i < v->ndocs; i++) {
		const struct doc_view *d = &v->docs[i];
		if (*d->sha256 && same[i] == i)
			x->files[i] = filename_make(i + 1, width, d->name, d->type, d->ext);
	}
	xfree(same);
}

static void read_old(struct export *x)
{
	char *path = xasprintf("%s/manifest.json", x->folder), *json = NULL;
	size_t len = 0;
	struct err ignored;
	if (sys_read_file(path, MANIFEST_MAX, &json, &len, &ignored))
		x->old = manifest_files(json, len, &x->nold);
	xfree(json);
	xfree(path);
}

/* The same name with the same bytes stands there from an earlier export. */
static bool is_there(const struct export *x, const char *file, const struct doc_view *d,
		     const struct stat *st)
{
	for (size_t i = 0; i < x->nold; i++)
		if (strcmp(x->old[i].name, file) == 0)
			return strcmp(x->old[i].sha256, d->sha256) == 0 && S_ISREG(st->st_mode) &&
			       st->st_size == d->size;
	return false;
}

/* The two hidden files of a helper: a copy being written, a document that is to take a place. */
static char *draft_name(const struct export *x, const char *what, int helper)
{
	return xasprintf("%s/.autos-%s-%d", x->folder, what, helper);
}

static bool write_document(const struct export *x, size_t i, int helper, struct err *e)
{
	const struct doc_view *d = &x->view->docs[i];
	char *path = xasprintf("%s/%s", x->folder, x->files[i]);
	char *part = draft_name(x, "part", helper), *draft = draft_name(x, "copy", helper);
	bool ok = true;
	struct stat st;
	if (lstat(path, &st) != 0) {
		ok = store_copy_out(x->store, d->object_key, d->sha256, path, draft, e);
	} else if (!is_there(x, x->files[i], d, &st)) {
		unlink(part);
		ok = store_copy_out(x->store, d->object_key, d->sha256, part, draft, e);
		if (ok && rename(part, path) != 0)
			ok = fail_errno(e, "cannot name document %zu in %s", i + 1, x->folder);
		unlink(part); /* renaming one link of a file onto another leaves both */
	}
	xfree(draft);
	xfree(part);
	xfree(path);
	return ok;
}

/* ---- Several documents at once: what is far away is waited for together ---- */

struct crew {
	struct export *export;
	_Atomic size_t next;
	_Atomic int helpers;
	_Atomic bool failed;
	pthread_mutex_t lock;
	struct err err; /* the first */
};

static void *help(void *arg)
{
	struct crew *c = arg;
	struct export *x = c->export;
	int helper = atomic_fetch_add(&c->helpers, 1);
	size_t i;
	while (!atomic_load(&c->failed) && (i = atomic_fetch_add(&c->next, 1)) < x->view->ndocs) {
		struct err e;
		if (!x->files[i] || write_document(x, i, helper, &e))
			continue;
		pthread_mutex_lock(&c->lock);
		if (!atomic_exchange(&c->failed, true))
			c->err = e;
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

/* What a killed export left. */
static void remove_drafts(const struct export *x)
{
	for (int i = 0; i < HELPERS; i++) {
		char *part = draft_name(x, "part", i), *draft = draft_name(x, "copy", i);
		unlink(part);
		unlink(draft);
		xfree(part);
		xfree(draft);
	}
}

static bool write_documents(struct export *x, struct err *e)
{
	struct crew c = {.export = x, .lock = PTHREAD_MUTEX_INITIALIZER};
	/* Links of files are made in no time. */
	int n = x->store->ops->link_out ? 1 : HELPERS;
	pthread_t threads[HELPERS];
	remove_drafts(x);
	for (int i = 1; i < n; i++)
		if (pthread_create(&threads[i], NULL, help, &c) != 0)
			die("cannot start a thread");
	help(&c);
	for (int i = 1; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&c.lock);
	if (atomic_load(&c.failed))
		*e = c.err;
	return !atomic_load(&c.failed);
}

static bool is_new(const struct export *x, const char *name)
{
	for (size_t i = 0; i < x->view->ndocs; i++)
		if (x->files[i] && strcmp(x->files[i], name) == 0)
			return true;
	return false;
}

static void remove_old(const struct export *x)
{
	for (size_t i = 0; i < x->nold; i++) {
		if (!filename_is_plain(x->old[i].name) || is_new(x, x->old[i].name))
			continue;
		char *path = xasprintf("%s/%s", x->folder, x->old[i].name);
		unlink(path);
		xfree(path);
	}
}

static bool write_manifest(const struct export *x, const char *text, struct err *e)
{
	char *path = xasprintf("%s/manifest.json", x->folder);
	char *part = xasprintf("%s/.manifest-part", x->folder);
	bool ok = false;
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		fail_errno(e, "cannot create %s", path);
		goto out;
	}
	if (!sys_write_all(fd, text, strlen(text), path, e) || !sys_write_all(fd, "\n", 1, path, e))
		goto out;
	if (fsync(fd) != 0 || rename(part, path) != 0) {
		fail_errno(e, "cannot write %s", path);
		goto out;
	}
	ok = sys_fsync_dir(x->folder, e);
out:
	if (fd >= 0)
		close(fd);
	if (!ok)
		unlink(part);
	xfree(part);
	xfree(path);
	return ok;
}

static void release(struct export *x)
{
	for (size_t i = 0; x->files && i < x->view->ndocs; i++)
		xfree(x->files[i]);
	xfree(x->files);
	manifest_files_free(x->old, x->nold);
	xfree(x->folder);
}

bool export_case(const struct case_view *v, struct store *s, const char *dir,
		 const char *portal_url, struct export_result *out, struct err *e)
{
	struct export x = {.view = v, .store = s};
	struct cnj n;
	bool ok = false;
	*out = (struct export_result){0};
	if (!cnj_parse(v->number, strlen(v->number), &n, e))
		return false;
	x.folder = xasprintf("%s/%s", dir, n.masked);
	if (!sys_mkdirs(x.folder, 0755, e))
		goto out;
	name_files(&x);
	read_old(&x);
	if (!write_documents(&x, e))
		goto out;
	remove_old(&x);
	out->manifest = manifest_make(v, &(struct manifest_options){.portal_url = portal_url,
								    .files = x.files,
								    .now_ms = sys_wall_ms()});
	if (!write_manifest(&x, out->manifest, e))
		goto out;
	out->folder = xstrdup(x.folder);
	ok = true;
out:
	release(&x);
	if (!ok)
		export_result_release(out);
	return ok;
}

void export_result_release(struct export_result *r)
{
	xfree(r->folder);
	xfree(r->manifest);
	*r = (struct export_result){0};
}
