/*
 * The folder store: groups, adoption of spool files, reading, handing out, and opening, which
 * sweeps what a crash left.
 */
#include "folder.h"

/* ---- Putting and reading ---- */

static void test_put_one(void **state)
{
	struct room *r = *state;
	struct err e;
	absent(r, "processos/1/documentos/a.pdf");
	assert_true(put(r, "processos/1/documentos/a.pdf", "bytes", 5, &e));
	holds(r, "processos/1/documentos/a.pdf", "bytes", 5);
	assert_int_equal(in_tmp(r), 0);
	struct stat st = stat_of(r, "processos/1/documentos/a.pdf");
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_nlink, 1);
	assert_true(put(r, "empty", "", 0, &e));
	holds(r, "empty", "", 0);
}

/* Every id that the portal's room calls fit for a key is one. */
static void test_keys(void **state)
{
	static const char *const keys[] = {"a",        "a..b.pdf",
					   "x/y..pdf", "x/a...b..",
					   "-/_.z",    "processos/0/documentos/h-0.bin"};
	struct room *r = *state;
	struct err e;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_true(put(r, keys[i], keys[i], strlen(keys[i]), &e));
		holds(r, keys[i], keys[i], strlen(keys[i]));
	}
}

static void test_put_group(void **state)
{
	enum { N = 100 };
	struct room *r = *state;
	struct spool bodies[N];
	struct put puts[N], *group[N];
	char *data[N];
	for (size_t i = 0; i < N; i++) {
		size_t len = i % 7 == 0 ? BIG / 10 : i * 13;
		data[i] = made(len, i);
		spool_of(r, &bodies[i], data[i], len);
		puts[i] =
			(struct put){.key = xasprintf("processos/%zu/documentos/%zu.txt", i % 9, i),
				     .body = &bodies[i]};
		group[i] = &puts[i];
	}
	store_put(r->store, group, N);
	for (size_t i = 0; i < N; i++) {
		assert_true(puts[i].ok);
		holds(r, puts[i].key, data[i], strlen(data[i]));
		spool_release(&bodies[i]);
		xfree(puts[i].key);
		xfree(data[i]);
	}
	assert_int_equal(in_tmp(r), 0);
	store_put(r->store, group, 0);
}

/* A group tells each put its own fate. */
static void test_put_group_with_one_failure(void **state)
{
	enum { N = 5 };
	struct room *r = *state;
	struct spool bodies[N];
	struct put puts[N], *group[N];
	static const char *const keys[N] = {"f/0", "f/1", "f/1/below-a-file", "g/3", "f/4"};
	struct err e;
	assert_true(put(r, "f/1", "old", 3, &e));
	for (size_t i = 0; i < N; i++) {
		spool_of(r, &bodies[i], keys[i], strlen(keys[i]));
		puts[i] = (struct put){.key = (char *)(uintptr_t)keys[i], .body = &bodies[i]};
		group[i] = &puts[i];
	}
	store_put(r->store, group, N);
	for (size_t i = 0; i < N; i++) {
		spool_release(&bodies[i]);
		assert_int_equal(puts[i].ok, i != 2);
		if (puts[i].ok)
			holds(r, keys[i], keys[i], strlen(keys[i]));
		else
			assert_error(&puts[i].err, ERR_FAIL);
	}
	assert_int_equal(in_tmp(r), 0);
}

/* Can this file system give a nameless file a name? */
static bool can_link_nameless(const char *dir)
{
	char self[64], *path = xasprintf("%s/probe", dir);
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	bool ok = fd >= 0 && linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
	if (ok)
		unlink(path);
	if (fd >= 0)
		close(fd);
	xfree(path);
	return ok;
}

static void test_spool_file_is_adopted(void **state)
{
	struct room *r = *state;
	struct spool s;
	struct stat spooled;
	char *data = made(BIG, 1);
	spool_of(r, &s, data, BIG);
	assert_true(s.fd >= 0);
	assert_int_equal(fstat(s.fd, &spooled), 0);
	char key[] = "processos/1/documentos/big.pdf";
	struct put p = {.key = key, .body = &s}, *one = &p;
	store_put(r->store, &one, 1);
	assert_true(p.ok);
	struct stat st = stat_of(r, key);
	if (can_link_nameless(r->spools))
		assert_int_equal(st.st_ino, spooled.st_ino);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_size, BIG);
	spool_release(&s);
	holds(r, key, data, BIG);
	assert_int_equal(in_tmp(r), 0);
	assert_int_equal(scratch_count(r->spools), 0);
	xfree(data);
}

/* A spool on another file system is copied. */
static void test_spool_file_from_elsewhere(void **state)
{
	struct room *r = *state;
	struct stat here, there;
	if (stat("/dev/shm", &there) != 0 || access("/dev/shm", W_OK) != 0)
		skip();
	assert_int_equal(stat(r->root, &here), 0);
	if (here.st_dev == there.st_dev)
		skip();
	struct spool s;
	struct err e;
	char *data = made(BIG, 2), key[] = "elsewhere";
	spool_init(&s, "/dev/shm", MEMORY);
	assert_true(spool_add(&s, data, BIG, &e));
	assert_true(spool_end(&s, &e));
	assert_true(s.fd >= 0);
	struct put p = {.key = key, .body = &s}, *one = &p;
	store_put(r->store, &one, 1);
	spool_release(&s);
	assert_true(p.ok);
	holds(r, key, data, BIG);
	assert_int_equal(stat_of(r, key).st_mode & 07777, 0444);
	xfree(data);
}

/* An overwritten object is another file: whoever exported the old one keeps it. */
static void test_overwrite(void **state)
{
	struct room *r = *state;
	struct err e;
	char *old = xasprintf("%s/exported", r->dir), *text = NULL;
	size_t len;
	assert_true(put(r, "k/doc.txt", "old", 3, &e));
	assert_true(copy_out(r, "k/doc.txt", old, &e));
	assert_true(put(r, "k/doc.txt", "newer", 5, &e));
	holds(r, "k/doc.txt", "newer", 5);
	assert_true(sys_read_file(old, 100, &text, &len, &e));
	assert_string_equal(text, "old");
	xfree(text);
	char *data = made(BIG, 3);
	assert_true(put(r, "k/doc.txt", data, BIG, &e));
	holds(r, "k/doc.txt", data, BIG);
	assert_int_equal(in_tmp(r), 0);
	xfree(data);
	xfree(old);
}

static void test_sink_may_stop(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct seen s = {.stop_at = 1};
	char *data = made(2 << 20, 4);
	assert_true(put(r, "long", data, 2 << 20, &e));
	assert_false(store_read(r->store, "long", gather, &s, &e));
	assert_error(&e, ERR_DENIED);
	assert_true(s.len < 2 << 20);
	xfree(s.data);
	xfree(data);
}

static void test_reading_a_folder(void **state)
{
	struct room *r = *state;
	struct seen s = {0};
	struct err e = {0};
	assert_true(put(r, "k/doc.txt", "x", 1, &e));
	assert_false(store_read(r->store, "k", gather, &s, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "object k");
	xfree(s.data);
}

/* ---- Handing out ---- */

static void test_copy_out_links(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct stat st;
	char *path = xasprintf("%s/out.pdf", r->dir);
	assert_true(put(r, "k/doc.pdf", "bytes", 5, &e));
	assert_true(copy_out(r, "k/doc.pdf", path, &e));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_ino, stat_of(r, "k/doc.pdf").st_ino);
	assert_int_equal(st.st_nlink, 2);
	xfree(path);
	path = xasprintf("%s/none/out.pdf", r->dir);
	assert_false(copy_out(r, "k/doc.pdf", path, &e));
	assert_error(&e, ERR_FAIL);
	xfree(path);
}

static void test_copy_out_missing(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char *path = xasprintf("%s/out.pdf", r->dir);
	assert_false(copy_out(r, "k/none.pdf", path, &e));
	assert_error(&e, ERR_ABSENT);
	assert_says(&e, "k/none.pdf");
	assert_int_not_equal(access(path, F_OK), 0);
	xfree(path);
}

static void test_copy_out_across_file_systems(void **state)
{
	struct room *r = *state;
	struct stat here, there;
	if (stat("/dev/shm", &there) != 0 || access("/dev/shm", W_OK) != 0)
		skip();
	assert_int_equal(stat(r->root, &here), 0);
	if (here.st_dev == there.st_dev)
		skip();
	struct err e = {0};
	char unknown[17], *text = NULL, *data = made(BIG, 5);
	size_t len;
	sys_random_hex(unknown, 16);
	char *folder = xasprintf("/dev/shm/autos-test-%s", unknown);
	char *path = xasprintf("%s/doc.txt", folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_true(put(r, "k/doc.txt", data, BIG, &e));
	assert_true(copy_out(r, "k/doc.txt", path, &e));
	assert_int_equal(scratch_count(folder), 1);
	bool missing = copy_out(r, "k/none.txt", "/dev/shm/none", &e);
	bool read = sys_read_file(path, BIG, &text, &len, &e);
	scratch_remove(folder);
	assert_false(missing);
	assert_true(read);
	assert_int_equal(len, BIG);
	assert_memory_equal(text, data, BIG);
	assert_int_equal(stat_of(r, "k/doc.txt").st_nlink, 1);
	xfree(text);
	xfree(path);
	xfree(data);
}

static void test_open_object(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int fd = -1;
	int64_t size = -1;
	char text[10] = "";
	assert_true(put(r, "k/doc.txt", "bytes", 5, &e));
	assert_true(store_open_object(r->store, "k/doc.txt", &fd, &size, &e));
	assert_int_equal(size, 5);
	assert_int_equal(read(fd, text, sizeof text), 5);
	assert_string_equal(text, "bytes");
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	assert_false(store_open_object(r->store, "k/none.txt", &fd, &size, &e));
	assert_error(&e, ERR_ABSENT);
	assert_false(store_open_object(r->store, "k", &fd, &size, &e)); /* a folder */
	assert_error(&e, ERR_ABSENT);
	assert_int_equal(fd, -1);
}

/* ---- Opening ---- */

static void test_sweep_at_open(void **state)
{
	struct room *r = *state;
	struct err e;
	char *left = xasprintf("%s/tmp/put-0123456789abcdef", r->root);
	char *other = xasprintf("%s/tmp/notes", r->root);
	assert_true(put(r, "a/b", "x", 1, &e));
	store_close(r->store);
	scratch_write(left, "half", 4);
	scratch_write(other, "mine", 4);
	/* A reader sweeps nothing: a writer may be at work. */
	r->store = store_open(NULL, r->url, STORE_READ, &e);
	assert_non_null(r->store);
	assert_int_equal(in_tmp(r), 2);
	holds(r, "a/b", "x", 1);
	store_close(r->store);
	r->store = store_open(NULL, r->url, STORE_WRITE, &e);
	assert_non_null(r->store);
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0);
	holds(r, "a/b", "x", 1);
	xfree(left);
	xfree(other);
}

static void test_open_errors(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char *file = xasprintf("%s/file", r->dir), *url = xasprintf("dir:%s/objects", file);
	scratch_write(file, "x", 1);
	assert_null(store_open(NULL, url, STORE_WRITE, &e));
	assert_true(e.kind == ERR_FAIL || e.kind == ERR_INPUT);
	assert_says(&e, "store_url");
	assert_says(&e, file);
	assert_null(store_open(NULL, "gs://bucket", STORE_WRITE, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "gs");
	struct config c;
	config_init(&c);
	assert_null(store_open(&c, "s3:bucket", STORE_WRITE, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "s3");
	assert_null(store_open(&c, "s3://key:hunter2@host", STORE_WRITE, &e));
	config_release(&c);
	assert_null(strstr(e.text, "hunter2"));
	assert_null(store_open(NULL, "", STORE_WRITE, &e));
	assert_error(&e, ERR_INPUT);
	store_close(NULL);
	/* A reader needs no folder and makes none. */
	char *none = xasprintf("dir:%s/none", r->dir);
	struct store *s = store_open(NULL, none, STORE_READ, &e);
	struct seen seen = {0};
	assert_non_null(s);
	assert_false(store_read(s, "a/b", gather, &seen, &e));
	assert_error(&e, ERR_ABSENT);
	store_close(s);
	assert_int_equal(access(none + 4, F_OK), -1);
	xfree(none);
	xfree(url);
	xfree(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_put_one),
		TEST(test_keys),
		TEST(test_put_group),
		TEST(test_put_group_with_one_failure),
		TEST(test_spool_file_is_adopted),
		TEST(test_spool_file_from_elsewhere),
		TEST(test_overwrite),
		TEST(test_sink_may_stop),
		TEST(test_reading_a_folder),
		TEST(test_copy_out_links),
		TEST(test_copy_out_missing),
		TEST(test_copy_out_across_file_systems),
		TEST(test_open_object),
		TEST(test_sweep_at_open),
		TEST(test_open_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
