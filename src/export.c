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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_MAX = 256 << 20 };

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

static bool write_document(const struct export *x, size_t i, struct err *e)
{
	const struct doc_view *d = &x->view->docs[i];
	char *path = xasprintf("%s/%s", x->folder, x->files[i]);
	char *part = xasprintf("%s/.autos-part", x->folder);
	bool ok = true;
	struct stat st;
	if (lstat(path, &st) != 0) {
		ok = store_copy_out(x->store, d->object_key, d->sha256, path, e);
	} else if (!is_there(x, x->files[i], d, &st)) {
		unlink(part);
		ok = store_copy_out(x->store, d->object_key, d->sha256, part, e);
		if (ok && rename(part, path) != 0)
			ok = fail_errno(e, "cannot name document %zu in %s", i + 1, x->folder);
		unlink(part); /* renaming one link of a file onto another leaves both */
	}
	xfree(part);
	xfree(path);
	return ok;
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
	for (size_t i = 0; i < v->ndocs; i++)
		if (x.files[i] && !write_document(&x, i, e))
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
