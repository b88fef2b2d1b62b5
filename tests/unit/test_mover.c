/*
 * Copying all documents to another store: between two folders, and where a bucket refuses.
 */
#include "mover.h"

#include "bucket.h"
#include "cases.h"

enum { CASES = 3, DOCS = 4 };

struct room {
	char *dir, *old_store, *new_store;
	const char *from, *to; /* addresses */
	struct config config;
	struct db *db;
	char *numbers[CASES];
	struct mover_progress progress;
	int told;
	int failures;
	char failed_key[100];
	struct err why;
};

/* A file below a folder, with its folders. */
static void write_object(const char *root, const char *key, const char *data)
{
	struct err e;
	char *path = xasprintf("%s/%s", root, key), *slash = strrchr(path, '/');
	*slash = '\0';
	assert_true(sys_mkdirs(path, 0700, &e));
	*slash = '/';
	scratch_write(path, data, strlen(data));
	xfree(path);
}

static void object_is(const char *root, const char *key, const char *wanted)
{
	char *path = xasprintf("%s/%s", root, key), *data = NULL;
	struct err e = {0};
	bool ok = sys_read_file(path, 1 << 20, &data, NULL, &e);
	if (!wanted)
		assert_false(ok);
	else if (!ok)
		fail_msg("%s", e.text);
	else
		assert_string_equal(data, wanted);
	xfree(data);
	xfree(path);
}

static const char *root(const char *url)
{
	return url + strlen("dir:");
}

static void set(struct room *r, const char *key, const char *value)
{
	struct err e;
	if (!config_set(&r->config, key, value, CONFIG_FILE, &e))
		fail_msg("%s", e.text);
}

/* Each document's bytes are its key. */
static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	r->dir = scratch_make();
	r->from = r->old_store = xasprintf("dir:%s/from", r->dir);
	r->to = r->new_store = xasprintf("dir:%s/to", r->dir);
	r->db = case_open(r->dir);
	config_init(&r->config);
	set(r, "data_dir", r->dir);
	char *url = xasprintf("sqlite:%s/autos.db", r->dir);
	set(r, "database_url", url);
	xfree(url);
	for (int i = 0; i < CASES; i++) {
		r->numbers[i] = case_number(i);
		case_add(r->db, r->numbers[i]);
		for (int d = 1; d <= DOCS; d++) {
			char *key = case_key(r->numbers[i], d), hex[65];
			sha256_hex(key, strlen(key), hex);
			case_document(r->db, r->numbers[i], d, d == 2 ? "failed" : "available", key,
				      hex, (int64_t)strlen(key));
			if (d != 2)
				write_object(root(r->from), key, key);
			xfree(key);
		}
	}
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	scratch_remove(r->dir);
	for (int i = 0; i < CASES; i++)
		xfree(r->numbers[i]);
	config_release(&r->config);
	xfree(r->old_store);
	xfree(r->new_store);
	xfree(r);
	return 0;
}

static void on_progress(void *arg, const struct mover_progress *p)
{
	struct room *r = arg;
	assert_true(p->copied >= r->progress.copied && p->there >= r->progress.there);
	r->progress = *p;
	r->told++;
}

static void on_failure(void *arg, const char *key, const struct err *e)
{
	struct room *r = arg;
	r->failures++;
	snprintf(r->failed_key, sizeof r->failed_key, "%s", key);
	r->why = *e;
}

static bool move(struct room *r, struct mover_progress *p, struct err *e)
{
	r->progress = (struct mover_progress){0};
	r->told = r->failures = 0;
	*e = (struct err){0};
	return mover_run(&(struct mover_options){.config = &r->config,
						 .from = r->from,
						 .to = r->to,
						 .on_progress = on_progress,
						 .on_failure = on_failure,
						 .arg = r},
			 p, e);
}

static void moves(struct room *r, int64_t copied, int64_t there, int64_t failed)
{
	struct mover_progress p;
	struct err e;
	if (!move(r, &p, &e))
		fail_msg("%s", e.text);
	assert_int_equal(p.copied, copied);
	assert_int_equal(p.there, there);
	assert_int_equal(p.failed, failed);
	assert_int_equal(r->failures, failed);
	assert_int_equal(r->told, CASES);
	assert_memory_equal(&r->progress, &p, sizeof p);
}

/* ---- Between folders ---- */

enum { ALL = CASES * (DOCS - 1) };

static void test_copied_and_there(void **state)
{
	struct room *r = *state;
	moves(r, ALL, 0, 0);
	for (int i = 0; i < CASES; i++)
		for (int d = 1; d <= DOCS; d++) {
			char *key = case_key(r->numbers[i], d);
			object_is(root(r->to), key, d == 2 ? NULL : key);
			object_is(root(r->from), key, d == 2 ? NULL : key);
			xfree(key);
		}
	moves(r, 0, ALL, 0);
	/* cut short, and run again */
	char *key = case_key(r->numbers[1], 3), *path = xasprintf("%s/%s", root(r->to), key);
	assert_int_equal(unlink(path), 0);
	moves(r, 1, ALL - 1, 0);
	xfree(path);
	xfree(key);
}

static void test_damaged_source(void **state)
{
	struct room *r = *state;
	char *key = case_key(r->numbers[1], 3), *gone = case_key(r->numbers[2], 1);
	char *other = xstrdup(key);
	other[0] = 'P';
	write_object(root(r->from), key, other); /* equal in size */
	moves(r, ALL - 1, 0, 1);
	assert_string_equal(r->failed_key, key);
	assert_error(&r->why, ERR_FAIL);
	assert_says(&r->why, "the old store's object is damaged");
	object_is(root(r->to), key, NULL);
	write_object(root(r->from), key, "short");
	moves(r, 0, ALL - 1, 1);
	assert_says(&r->why, "the old store's object is damaged: size 5");
	object_is(root(r->to), key, NULL);
	/* and one that is not there */
	write_object(root(r->from), key, key);
	char *path = xasprintf("%s/%s", root(r->from), gone);
	char *there = xasprintf("%s/%s", root(r->to), gone);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(there), 0);
	moves(r, 1, ALL - 2, 1);
	assert_string_equal(r->failed_key, gone);
	assert_error(&r->why, ERR_ABSENT);
	xfree(there);
	xfree(path);
	xfree(gone);
	xfree(key);
	xfree(other);
}

/* What is under the key and is not ours stays. */
static void test_foreign_bytes(void **state)
{
	struct room *r = *state;
	char *key = case_key(r->numbers[0], 1), *other = xstrdup(key);
	other[0] = 'P';
	write_object(root(r->to), key, other);
	moves(r, ALL - 1, 0, 1);
	assert_string_equal(r->failed_key, key);
	assert_error(&r->why, ERR_FAIL);
	assert_says(&r->why, "the new store holds other bytes under this key");
	object_is(root(r->to), key, other);
	write_object(root(r->to), key, "short");
	moves(r, 0, ALL - 1, 1);
	object_is(root(r->to), key, "short");
	xfree(key);
	xfree(other);
}

static void cannot(struct room *r, enum err_kind kind, const char *says)
{
	struct mover_progress p;
	struct err e;
	assert_false(move(r, &p, &e));
	assert_error(&e, kind);
	assert_says(&e, says);
	assert_int_equal(p.copied + p.there + p.failed, 0);
}

static void test_cannot(void **state)
{
	struct room *r = *state;
	r->to = r->from;
	cannot(r, ERR_INPUT, "are the same store");
	r->to = "ftp://there";
	cannot(r, ERR_INPUT, "no driver for 'ftp'");
	r->to = r->new_store;
	set(r, "database_url", "sqlite:/nonexistent/autos.db");
	cannot(r, ERR_ABSENT, "/nonexistent/autos.db");
}

/* ---- To and from a bucket ---- */

static void use(struct room *r, struct bucket *b)
{
	set(r, "s3_access_key", "AKIAEXAMPLE");
	set(r, "s3_secret_key", "hunter2");
	set(r, "s3_endpoint", b->config.s3_endpoint);
	set(r, "s3_retry_delay", "0");
	set(r, "s3_retry_max", "1");
}

static void test_to_bucket_and_back(void **state)
{
	struct room *r = *state;
	struct bucket *b = bucket_open(r->dir);
	char *back = xasprintf("dir:%s/back", r->dir);
	use(r, b);
	r->to = "s3://autos/p";
	moves(r, ALL, 0, 0);
	assert_int_equal(bucket_count(b), ALL);
	char *key = case_key(r->numbers[2], 4), *full = xasprintf("p/%s", key);
	assert_true(bucket_holds(b, full, key, strlen(key)));
	moves(r, 0, ALL, 0);
	/* other bytes there, and in another hand */
	bucket_has(b, full, "other", 5);
	moves(r, 0, ALL - 1, 1);
	assert_true(bucket_holds(b, full, "other", 5));
	bucket_has(b, full, key, strlen(key));
	r->from = r->to;
	r->to = back;
	moves(r, ALL, 0, 0);
	object_is(root(back), key, key);
	bucket_close(b);
	xfree(back);
	xfree(full);
	xfree(key);
}

/* A bucket that refuses ends the work; the line says what was done and why it ended, also when the
 * document that met it stands behind cases that went well. */
static void test_refused_on_the_way(void **state)
{
	struct room *r = *state;
	struct bucket *b = bucket_open(r->dir);
	struct mover_progress p;
	struct err e;
	use(r, b);
	r->to = "s3://autos/p";
	moves(r, ALL, 0, 0); /* all are there, so the order of requests does not matter */
	bucket_rule(b, (struct bucket_rule){.method = "HEAD",
					    .part = r->numbers[CASES - 1],
					    .times = BUCKET_ALWAYS,
					    .status = 403});
	assert_false(move(r, &p, &e));
	assert_error(&e, ERR_DENIED);
	assert_says(&e, " already there, then: access key AKIAEXAMPLE may not read objects");
	assert_int_equal(p.copied, 0);
	assert_int_equal(p.failed, 0);
	assert_int_equal(r->failures, 0);
	bucket_close(b);
}

/* Where listing is not allowed, Amazon does not say that a key is free. */
static void test_to_bucket_without_lists(void **state)
{
	struct room *r = *state;
	struct bucket *b = bucket_open(r->dir);
	use(r, b);
	r->to = "s3://autos/p";
	bucket_rule(b, (struct bucket_rule){.part = "list-type", .times = 1, .status = 403});
	bucket_rule(b, (struct bucket_rule){
			       .method = "HEAD", .part = "processos", .times = ALL, .status = 403});
	moves(r, ALL, 0, 0);
	moves(r, 0, ALL, 0);
	/* and an object that is missing where they come from */
	char *key = case_key(r->numbers[2], 4), *back = xasprintf("dir:%s/back", r->dir);
	r->from = r->to;
	r->to = back;
	bucket_rule(b,
		    (struct bucket_rule){
			    .method = "GET", .part = key, .times = BUCKET_ALWAYS, .status = 403});
	moves(r, ALL - 1, 0, 1);
	assert_string_equal(r->failed_key, key);
	assert_error(&r->why, ERR_ABSENT);
	bucket_close(b);
	xfree(back);
	xfree(key);
}

/* A name that is mistyped is said once, and not of every document. */
static void test_from_no_bucket(void **state)
{
	struct room *r = *state;
	struct bucket *b = bucket_open(r->dir);
	use(r, b);
	r->from = "s3://utosa/p";
	cannot(r, ERR_DENIED, "0 copied, 0 already there, then: bucket 'utosa' does not exist");
	assert_int_equal(r->failures, 0);
	bucket_close(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_copied_and_there),        TEST(test_damaged_source),
		TEST(test_foreign_bytes),           TEST(test_cannot),
		TEST(test_to_bucket_and_back),      TEST(test_refused_on_the_way),
		TEST(test_to_bucket_without_lists), TEST(test_from_no_bucket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
