/*
 * What a failure leaves in the folder store: nothing half-written is visible, each put hears of it,
 * and whether an object could be stored is told beforehand.
 */
#include "folder.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

/* ---- When it fails ---- */

/* A root that cannot be written to: every put says so, and nothing is visible. */
static void test_read_only_root(void **state)
{
	enum { N = 3 };
	struct room *r = *state;
	struct spool bodies[N];
	struct put puts[N], *group[N];
	char *tmp = xasprintf("%s/tmp", r->root);
	static const char *const keys[N] = {"a/0", "a/1", "b/2"};
	char *data = made(BIG, 6);
	for (size_t i = 0; i < N; i++) {
		spool_of(r, &bodies[i], data, i == 1 ? BIG : 100);
		puts[i] = (struct put){.key = (char *)(uintptr_t)keys[i], .body = &bodies[i]};
		group[i] = &puts[i];
	}
	assert_int_equal(chmod(tmp, 0555), 0);
	assert_int_equal(chmod(r->root, 0555), 0);
	bool root = geteuid() == 0;
	if (root) /* whom no mode stops */
		assert_int_equal(seteuid(65534), 0);
	store_put(r->store, group, N);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(r->root, 0700), 0);
	assert_int_equal(chmod(tmp, 0700), 0);
	for (size_t i = 0; i < N; i++) {
		spool_release(&bodies[i]);
		assert_false(puts[i].ok);
		assert_error(&puts[i].err, ERR_FAIL);
		absent(r, keys[i]);
	}
	assert_int_equal(in_tmp(r), 0);
	assert_int_equal(scratch_count(r->root), 1);
	xfree(data);
	xfree(tmp);
}

static void test_tmp_vanished(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char *tmp = xasprintf("%s/tmp", r->root), *data = made(BIG, 7);
	assert_int_equal(rmdir(tmp), 0);
	assert_false(put(r, "a/0", "x", 1, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, r->root);
	assert_false(put(r, "a/0", data, BIG, &e));
	assert_error(&e, ERR_FAIL);
	assert_int_equal(scratch_count(r->root), 0);
	xfree(data);
	xfree(tmp);
}

/* The disk takes the first bytes of an object and not the others. */
static void test_half_written(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct rlimit old, small;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	struct spool s;
	char *data = made(4000, 8), key[] = "a/half";
	spool_of(r, &s, data, 4000);
	struct put p = {.key = key, .body = &s}, *one = &p;
	assert_true(put(r, key, "old", 3, &e));
	assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	store_put(r->store, &one, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
	assert_false(p.ok);
	assert_error(&p.err, ERR_FAIL);
	assert_says(&p.err, "object");
	assert_int_equal(in_tmp(r), 0);
	holds(r, key, "old", 3);
	store_put(r->store, &one, 1); /* and later there is room again */
	assert_true(p.ok);
	holds(r, key, data, 4000);
	spool_release(&s);
	xfree(data);
}

/* ---- Whether an object could be stored ---- */

static uint64_t little; /* bytes that are said to be free; 0 = the truth */

/* In place of the C library's. */
int statvfs(const char *path, struct statvfs *v)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fstatvfs(fd, v);
	if (fd >= 0)
		close(fd);
	if (result == 0 && little)
		v->f_bavail = little / v->f_frsize;
	return result;
}

static void test_check(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	assert_true(store_check(r->store, &e));
	assert_int_equal(in_tmp(r), 0);
	little = 15 << 20;
	assert_false(store_check(r->store, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "only 15 MiB are free");
	assert_says(&e, r->root);
	little = 16 << 20;
	assert_true(store_check(r->store, &e));
	little = 0;
	assert_int_equal(in_tmp(r), 0);
}

static void test_check_cannot_write(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct rlimit old, none;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	bool ok = store_check(r->store, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
	assert_false(ok);
	assert_error(&e, ERR_FAIL);
	assert_int_equal(in_tmp(r), 0);
	char *tmp = xasprintf("%s/tmp", r->root);
	assert_int_equal(rmdir(tmp), 0);
	assert_false(store_check(r->store, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, tmp);
	xfree(tmp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_only_root), TEST(test_tmp_vanished),       TEST(test_half_written),
		TEST(test_check),          TEST(test_check_cannot_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
