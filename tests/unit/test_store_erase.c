/*
 * Erasing in the folder store: one case goes and no other, what is durable afterwards, what
 * somebody else who erases finds, and what was never the store's.
 */
#include "folder.h"

#include <pthread.h>
#include <sys/syscall.h>

/* ---- Which files were synced ---- */

static struct {
	char paths[64][256];
	_Atomic size_t n;
} synced;

/* In place of libc's. */
int fsync(int fd)
{
	char self[40];
	size_t at = synced.n++ % 64;
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(self, synced.paths[at], sizeof synced.paths[at] - 1);
	synced.paths[at][n > 0 ? n : 0] = '\0';
	return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(struct room *r, const char *folder)
{
	char *path = xasprintf("%s/%s", r->root, folder);
	bool found = false;
	for (size_t i = 0; i < synced.n && i < 64; i++)
		found = found || strcmp(synced.paths[i], path) == 0;
	xfree(path);
	return found;
}

/* ---- Alone ---- */

/* One case goes, with its folders; a case whose number begins the same stays. */
static void test_erase(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	assert_true(put(r, "processos/1/documentos/a.pdf", "a", 1, &e));
	assert_true(put(r, "processos/1/documentos/b.pdf", "b", 1, &e));
	assert_true(put(r, "processos/1/more/deep/c.pdf", "c", 1, &e));
	assert_true(put(r, "processos/12/documentos/a.pdf", "other", 5, &e));
	char *exported = xasprintf("%s/exported", r->dir), *text = NULL;
	assert_true(copy_out(r, "processos/1/documentos/a.pdf", exported, &e));
	assert_true(store_erase(r->store, "processos/1/", NULL, &e));
	absent(r, "processos/1/documentos/a.pdf");
	assert_false(is_there(r, "processos/1"));
	assert_true(is_there(r, "processos"));
	holds(r, "processos/12/documentos/a.pdf", "other", 5);
	assert_true(sys_read_file(exported, 10, &text, NULL, &e)); /* people's own files stay */
	assert_string_equal(text, "a");
	xfree(text);
	xfree(exported);
}

/* The folders were known to be durable; they are made again. */
static void test_put_after_erase(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	for (int i = 0; i < 3; i++) {
		assert_true(put(r, "processos/1/documentos/a.pdf", "a", 1, &e));
		assert_true(put(r, "processos/1/documentos/b.pdf", "b", 1, &e));
		holds(r, "processos/1/documentos/a.pdf", "a", 1);
		assert_true(store_erase(r->store, "processos/1/", NULL, &e));
		assert_false(is_there(r, "processos/1"));
	}
}

static void test_erase_nothing(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	assert_true(store_erase(r->store, "processos/1/", NULL, &e)); /* not even its parent */
	assert_true(put(r, "processos/2/documentos/a.pdf", "a", 1, &e));
	assert_true(store_erase(r->store, "processos/1/", NULL, &e));
	holds(r, "processos/2/documentos/a.pdf", "a", 1);
}

static void test_erase_refused(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char *folder = xasprintf("%s/processos/1/documentos", r->root);
	assert_true(put(r, "processos/1/documentos/a.pdf", "a", 1, &e));
	assert_int_equal(chmod(folder, 0555), 0);
	bool root = geteuid() == 0;
	if (root) /* whom no mode stops */
		assert_int_equal(seteuid(65534), 0);
	bool ok = store_erase(r->store, "processos/1/", NULL, &e);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(folder, 0700), 0);
	assert_false(ok);
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "processos/1/");
	holds(r, "processos/1/documentos/a.pdf", "a", 1);
	assert_true(store_erase(r->store, "processos/1/", NULL, &e));
	assert_false(is_there(r, "processos/1"));
	xfree(folder);
}

static void test_open_object_that_is_none(void **state)
{
	static const char *const keys[] = {"nothing", "d", "d/nothing", "d/a/below", "e/f/g"};
	struct room *r = *state;
	struct err e;
	assert_true(put(r, "d/a", "x", 1, &e));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		int fd = 99;
		int64_t size;
		e = (struct err){0};
		assert_false(store_open_object(r->store, keys[i], &fd, &size, &e));
		assert_error(&e, ERR_ABSENT);
		assert_int_equal(fd, -1);
	}
}

/* Each folder that was made again is synced, and the one above it. */
static void test_put_after_erase_is_durable(void **state)
{
	struct room *r = *state;
	struct err e;
	static const char *const folders[] = {"processos", "processos/1", "processos/1/documentos"};
	assert_true(put(r, "processos/1/documentos/a.pdf", "a", 1, &e));
	synced.n = 0;
	assert_true(store_erase(r->store, "processos/1/", NULL, &e));
	assert_true(was_synced(r, "processos"));
	synced.n = 0;
	assert_true(put(r, "processos/1/documentos/a.pdf", "a", 1, &e));
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		assert_true(was_synced(r, folders[i]));
	synced.n = 0; /* and when nothing is new, the last one only */
	assert_true(put(r, "processos/1/documentos/b.pdf", "b", 1, &e));
	assert_false(was_synced(r, "processos/1"));
	assert_true(was_synced(r, "processos/1/documentos"));
}

/* What was exported is the person's own. */
static void test_erase_leaves_copies(void **state)
{
	struct room *r = *state;
	struct err e;
	char *copy = xasprintf("%s/copy.pdf", r->dir), *data;
	size_t len;
	assert_true(put(r, "p/a", "bytes", 5, &e));
	assert_true(copy_out(r, "p/a", copy, &e));
	assert_true(store_erase(r->store, "p/", NULL, &e));
	assert_true(sys_read_file(copy, 100, &data, &len, &e));
	assert_int_equal(len, 5);
	xfree(data);
	xfree(copy);
}

/* A link in the folder is removed, not followed. */
static void test_erase_follows_no_link(void **state)
{
	struct room *r = *state;
	struct err e;
	char *outside = xasprintf("%s/outside", r->dir), *file = xasprintf("%s/f", outside);
	char *link = xasprintf("%s/p/link", r->root);
	assert_int_equal(mkdir(outside, 0700), 0);
	scratch_write(file, "x", 1);
	assert_true(put(r, "p/a", "x", 1, &e));
	assert_int_equal(symlink(outside, link), 0);
	assert_true(store_erase(r->store, "p/", NULL, &e));
	assert_int_equal(access(file, F_OK), 0);
	assert_false(is_there(r, "p/a"));
	xfree(link);
	xfree(file);
	xfree(outside);
}

/* ---- In company ---- */

/* Two who erase the same folder: to each it is gone when it is told so. */
struct eraser {
	pthread_t thread;
	struct store *store;
	const char *folder;
	pthread_barrier_t *start;
	int wrong;
};

static void *erase_one(void *arg)
{
	struct eraser *me = arg;
	struct err e;
	pthread_barrier_wait(me->start);
	me->wrong += !store_erase(me->store, "p/1/", NULL, &e);
	me->wrong += access(me->folder, F_OK) == 0;
	return NULL;
}

static void test_erase_together(void **state)
{
	enum { ROUNDS = 20, FILES = 40 };
	struct room *r = *state;
	struct store *second;
	struct err e;
	pthread_barrier_t start;
	char key[40], *folder = xasprintf("%s/p/1", r->root);
	second = store_open(NULL, r->url, STORE_WRITE,
			    &e); /* with a lock of its own, as another process */
	assert_non_null(second);
	assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
	assert_true(put(r, "p/2/a", "x", 1, &e));
	for (int round = 0; round < ROUNDS; round++) {
		struct eraser a[2];
		for (int i = 0; i < FILES; i++) {
			snprintf(key, sizeof key, "p/1/%d/%d", i % 5, i);
			assert_true(put(r, key, "x", 1, &e));
		}
		for (int i = 0; i < 2; i++) {
			a[i] = (struct eraser){
				.store = i ? second : r->store, .folder = folder, .start = &start};
			assert_int_equal(pthread_create(&a[i].thread, NULL, erase_one, &a[i]), 0);
		}
		for (int i = 0; i < 2; i++) {
			assert_int_equal(pthread_join(a[i].thread, NULL), 0);
			assert_int_equal(a[i].wrong, 0);
		}
	}
	assert_true(is_there(r, "p/2/a"));
	pthread_barrier_destroy(&start);
	store_close(second);
	xfree(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_erase),
		TEST(test_put_after_erase),
		TEST(test_erase_nothing),
		TEST(test_erase_refused),
		TEST(test_open_object_that_is_none),
		TEST(test_put_after_erase_is_durable),
		TEST(test_erase_leaves_copies),
		TEST(test_erase_follows_no_link),
		TEST(test_erase_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
