/*
 * folder - what the unit tests of the folder store share: a store in a directory of its own with a
 * folder for spools beside it, puts in few words, and looking at what is there.
 */
#ifndef AUTOS_FOLDER_H
#define AUTOS_FOLDER_H

#include "store.h"

#include "scratch.h"

enum { MEMORY = 4096, BIG = 300000 };

struct room {
	char *dir, *root, *url, *spools;
	struct store *store;
};

static inline int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->root = xasprintf("%s/data/objects", r->dir);
	r->url = xasprintf("dir:%s", r->root);
	r->spools = xasprintf("%s/spool", r->dir);
	assert_int_equal(mkdir(r->spools, 0700), 0);
	r->store = store_open(NULL, r->url, STORE_WRITE, &e);
	assert_non_null(r->store);
	*state = r;
	return 0;
}

static inline int teardown(void **state)
{
	struct room *r = *state;
	store_close(r->store);
	scratch_remove(r->dir);
	xfree(r->root);
	xfree(r->url);
	xfree(r->spools);
	xfree(r);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- Doing ---- */

/* With the hash of what is there now. */
static inline bool copy_out(struct room *r, const char *key, const char *path, struct err *e)
{
	char *object = xasprintf("%s/%s", r->root, key), *data = NULL, sha256[65] = "";
	size_t len;
	struct err ignored;
	if (sys_read_file(object, 64 << 20, &data, &len, &ignored))
		sha256_hex(data, len, sha256);
	char *draft = xasprintf("%s.draft", path);
	bool ok = store_copy_out(r->store, key, sha256, path, draft, e);
	xfree(draft);
	xfree(object);
	xfree(data);
	return ok;
}

/* Text of `size` bytes that depends on `seed`. */
static inline char *made(size_t size, uint64_t seed)
{
	char *data = xmalloc(size + 1);
	seed = seed * 7919 + 1;
	for (size_t i = 0; i < size; i++)
		data[i] = (char)('a' + scratch_random(&seed) % 26);
	data[size] = '\0';
	return data;
}

static inline void spool_of(struct room *r, struct spool *s, const char *data, size_t len)
{
	struct err e;
	spool_init(s, r->spools, MEMORY);
	for (size_t at = 0; at < len; at += 3000)
		assert_true(spool_add(s, data + at, len - at < 3000 ? len - at : 3000, &e));
	assert_true(spool_end(s, &e));
}

static inline bool put(struct room *r, const char *key, const char *data, size_t len, struct err *e)
{
	struct spool s;
	spool_of(r, &s, data, len);
	struct put p = {.key = (char *)(uintptr_t)key, .body = &s}, *one = &p;
	store_put(r->store, &one, 1);
	spool_release(&s);
	if (!p.ok)
		*e = p.err;
	return p.ok;
}

/* ---- Looking ---- */

struct seen {
	char *data;
	size_t len, stop_at;
};

static inline bool gather(void *arg, const void *data, size_t len, struct err *e)
{
	struct seen *s = arg;
	s->data = xrealloc(s->data, s->len + len);
	memcpy(s->data + s->len, data, len);
	s->len += len;
	return !s->stop_at || s->len < s->stop_at || fail(e, ERR_DENIED, "enough");
}

static inline void holds(struct room *r, const char *key, const char *data, size_t len)
{
	struct seen s = {0};
	struct err e;
	assert_true(store_read(r->store, key, gather, &s, &e));
	assert_int_equal(s.len, len);
	if (len)
		assert_memory_equal(s.data, data, len);
	xfree(s.data);
}

static inline void absent(struct room *r, const char *key)
{
	struct seen s = {0};
	struct err e = {0};
	assert_false(store_read(r->store, key, gather, &s, &e));
	assert_error(&e, ERR_ABSENT);
	assert_says(&e, key);
	assert_null(s.data);
}

static inline size_t in_tmp(struct room *r)
{
	char *tmp = xasprintf("%s/tmp", r->root);
	size_t n = scratch_count(tmp);
	xfree(tmp);
	return n;
}

static inline struct stat stat_of(struct room *r, const char *key)
{
	struct stat st;
	char *path = xasprintf("%s/%s", r->root, key);
	assert_int_equal(stat(path, &st), 0);
	xfree(path);
	return st;
}

static inline bool is_there(struct room *r, const char *path)
{
	char *full = xasprintf("%s/%s", r->root, path);
	bool there = access(full, F_OK) == 0;
	xfree(full);
	return there;
}

#endif
