/*
 * What every store does the same way, with a store of the test's own: groups that are waited for,
 * copies for people that are compared on the way, and which driver an address means.
 */
#include "store.h"

#include "scratch.h"

#include <pthread.h>

static const char text[] = "the bytes of a document";

/* Gives `bytes` in pieces, then fails if told so; begins puts on a thread of its own. */
struct fake {
	struct store base;
	const char *bytes;
	size_t len;
	bool breaks;
	pthread_t threads[32];
	struct put *puts[32];
	int nthreads;
	const char *links; /* the file that link_out makes, NULL = it cannot */
};

struct room {
	char *dir, *path;
	struct fake fake;
	char sha256[65];
};

static bool read_fake(struct store *base, const char *key, store_sink *sink, void *arg,
		      struct err *e)
{
	const struct fake *f = (struct fake *)base;
	if (strcmp(key, "absent") == 0)
		return fail(e, ERR_ABSENT, "object %s is missing", key);
	for (size_t at = 0; at < f->len; at += 5)
		if (!sink(arg, f->bytes + at, f->len - at < 5 ? f->len - at : 5, e))
			return false;
	return !f->breaks || fail(e, ERR_BUSY, "the connection broke");
}

static void *run_put(void *arg)
{
	struct put *p = arg;
	p->ok = strcmp(p->key, "bad") != 0 || fail(&p->err, ERR_FAIL, "bad");
	p->finished(p);
	return NULL;
}

static void start_fake(struct store *base, struct put *p)
{
	struct fake *f = (struct fake *)base;
	if (f->nthreads < 16)
		assert_int_equal(pthread_create(&f->threads[f->nthreads++], NULL, run_put, p), 0);
	else
		run_put(p);
}

static bool link_fake(struct store *base, const char *key, const char *path)
{
	const struct fake *f = (struct fake *)base;
	(void)key;
	if (!f->links)
		return false;
	scratch_write(path, f->links, strlen(f->links));
	return true;
}

static const struct store_ops ops = {.scheme = "fake", .read = read_fake, .start = start_fake};
static const struct store_ops linking = {
	.scheme = "fake", .read = read_fake, .link_out = link_fake};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	r->dir = scratch_make();
	r->path = xasprintf("%s/document.pdf", r->dir);
	r->fake = (struct fake){.base = {&ops}, .bytes = text, .len = strlen(text)};
	sha256_hex(text, strlen(text), r->sha256);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	scratch_remove(r->dir);
	xfree(r->path);
	xfree(r);
	return 0;
}

static void file_is(const char *path, const char *wanted)
{
	char *data = NULL;
	struct err e;
	if (!sys_read_file(path, 1 << 20, &data, NULL, &e))
		fail_msg("%s", e.text);
	assert_string_equal(data, wanted);
	xfree(data);
}

/* ---- Copies ---- */

/* With a draft beside the copy. */
static bool copy_out(struct room *r, const char *key, const char *sha256, const char *path,
		     struct err *e)
{
	char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	char *draft = xasprintf("%s/.autos-copy", folder);
	bool ok = store_copy_out(&r->fake.base, key, sha256, path, draft, e);
	xfree(draft);
	xfree(folder);
	return ok;
}

static void test_copy(void **state)
{
	struct room *r = *state;
	struct err e;
	struct stat st;
	assert_true(copy_out(r, "k", r->sha256, r->path, &e));
	file_is(r->path, text);
	assert_int_equal(scratch_count(r->dir), 1);
	assert_int_equal(stat(r->path, &st), 0);
	assert_int_equal(st.st_mode & 0600, 0600);
	/* a name that is taken is refused, and what is there stays */
	r->fake.bytes = "other";
	r->fake.len = 5;
	assert_false(copy_out(r, "k", r->sha256, r->path, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "cannot copy object k: its new name exists");
	assert_null(strstr(e.text, "document.pdf"));
	file_is(r->path, text);
	assert_int_equal(scratch_count(r->dir), 1);
}

static void refused(struct room *r, const char *key, const char *sha256, enum err_kind kind,
		    const char *says)
{
	struct err e = {0};
	assert_false(copy_out(r, key, sha256, r->path, &e));
	assert_error(&e, kind);
	assert_says(&e, says);
	assert_null(strstr(e.text, "document.pdf"));
	assert_int_equal(scratch_count(r->dir), 0);
}

/* Nothing of what is not right stays, under no name. */
static void test_copy_refused(void **state)
{
	struct room *r = *state;
	refused(r, "absent", r->sha256, ERR_ABSENT, "object absent is missing");
	r->fake.breaks = true;
	refused(r, "k", r->sha256, ERR_BUSY, "the connection broke");
	r->fake.breaks = false;
	r->fake.len--;
	refused(r, "k", r->sha256, ERR_FAIL, "object k is damaged: its SHA-256 is ");
	r->fake.bytes = "The bytes of a document";
	r->fake.len++;
	refused(r, "k", r->sha256, ERR_FAIL, r->sha256);
	r->fake.len = 0;
	refused(r, "k", r->sha256, ERR_FAIL, "is damaged");
	refused(r, "k", "", ERR_FAIL, "is damaged");
}

/* A draft that a crash left is written over, also by something shorter. */
static void test_copy_over_draft(void **state)
{
	struct room *r = *state;
	struct err e;
	char *draft = xasprintf("%s/.autos-copy", r->dir);
	char junk[200];
	memset(junk, 'j', sizeof junk);
	scratch_write(draft, junk, sizeof junk);
	assert_true(copy_out(r, "k", r->sha256, r->path, &e));
	file_is(r->path, text);
	assert_int_equal(scratch_count(r->dir), 1);
	xfree(draft);
}

static void test_copy_nowhere(void **state)
{
	struct room *r = *state;
	struct err e;
	char *path = xasprintf("%s/none/document.pdf", r->dir);
	assert_false(copy_out(r, "k", r->sha256, path, &e));
	assert_error(&e, ERR_FAIL);
	assert_says(&e, "cannot create ");
	assert_null(strstr(e.text, "document.pdf"));
	xfree(path);
}

/* A broken symbolic link is a name that is taken, too. */
static void test_copy_onto_link(void **state)
{
	struct room *r = *state;
	struct err e;
	assert_int_equal(symlink("nowhere", r->path), 0);
	assert_false(copy_out(r, "k", r->sha256, r->path, &e));
	assert_error(&e, ERR_FAIL);
	assert_int_equal(scratch_count(r->dir), 1);
}

static void test_link_out(void **state)
{
	struct room *r = *state;
	struct err e;
	r->fake.base.ops = &linking;
	r->fake.links = "linked";
	assert_true(copy_out(r, "absent", r->sha256, r->path, &e));
	file_is(r->path, "linked");
	assert_int_equal(unlink(r->path), 0);
	r->fake.links = NULL; /* it cannot: bytes are copied */
	assert_true(copy_out(r, "k", r->sha256, r->path, &e));
	file_is(r->path, text);
}

/* ---- Groups ---- */

static void test_put(void **state)
{
	struct room *r = *state;
	char good[] = "good", bad[] = "bad";
	struct put puts[32];
	struct put *all[32];
	for (size_t i = 0; i < 32; i++) {
		puts[i] = (struct put){.key = i % 7 ? good : bad};
		all[i] = &puts[i];
	}
	store_put(&r->fake.base, all, 32);
	for (size_t i = 0; i < 32; i++) {
		assert_int_equal(puts[i].ok, i % 7 != 0);
		assert_int_equal(puts[i].err.kind, i % 7 ? ERR_NONE : ERR_FAIL);
	}
	for (int i = 0; i < r->fake.nthreads; i++)
		pthread_join(r->fake.threads[i], NULL);
	store_put(&r->fake.base, all, 0);
}

/* ---- Drivers ---- */

static const char *const unknown[] = {
	"",       "dir",      "s3",           "ftp://host/key:hunter2",
	"dirs:x", "/objects", "DIR:/objects", "key=hunter2"};

static void test_drivers(void **state)
{
	(void)state;
	struct config c;
	config_init(&c);
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		struct err e = {0};
		assert_null(store_open(&c, unknown[i], STORE_READ, &e));
		assert_error(&e, ERR_INPUT);
		assert_says(&e, "must be dir:PATH or s3://BUCKET/PREFIX");
		assert_null(strstr(e.text, "hunter2"));
	}
	struct err e = {0};
	assert_null(store_open(&c, "s3:bucket", STORE_READ, &e));
	assert_says(&e, "must be s3://BUCKET/PREFIX");
	assert_null(store_open(&c, "s3://bucket", STORE_READ, &e));
	assert_says(&e, "set s3_access_key and s3_secret_key");
	assert_true(config_set(&c, "s3_access_key", "a", CONFIG_FILE, &e));
	assert_null(store_open(&c, "s3://bucket", STORE_READ, &e));
	assert_says(&e, "set s3_secret_key (");
	store_close(NULL);
	config_release(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_copy),         TEST(test_copy_refused),   TEST(test_copy_over_draft),
		TEST(test_copy_nowhere), TEST(test_copy_onto_link), TEST(test_link_out),
		TEST(test_put),          TEST(test_drivers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
