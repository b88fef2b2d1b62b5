/*
 * scratch - what the unit tests of rooms with files share: a private directory, removed at the end,
 * and words about errors. Includes cmocka, whose macro `fail` hides the function of err.h.
 */
#ifndef AUTOS_SCRATCH_H
#define AUTOS_SCRATCH_H

#include "err.h"
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail
#undef fail_msg
#define fail_msg(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

/* A new directory below TMPDIR; give it back to scratch_remove. */
static inline char *scratch_make(void)
{
	const char *base = getenv("TMPDIR");
	char unknown[7] = "";
	memset(unknown, 'X', 6);
	char *dir = xasprintf("%s/autos-test-%s", base && *base ? base : "/tmp", unknown);
	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline int scratch_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void scratch_remove(char *dir)
{
	if (!dir)
		return;
	assert_int_equal(nftw(dir, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	xfree(dir);
}

static inline void scratch_write(const char *path, const void *data, size_t len)
{
	struct err e;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_true(sys_write_all(fd, data, len, path, &e));
	assert_int_equal(close(fd), 0);
}

/* Entries of a directory, without . and .. */
static inline size_t scratch_count(const char *dir)
{
	size_t n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *f; (f = readdir(d));)
		n += strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0;
	closedir(d);
	return n;
}

/* The line of an error holds these words. */
static inline void assert_says(const struct err *e, const char *words)
{
	if (!strstr(e->text, words))
		print_error("the error says '%s', not '%s'\n", e->text, words);
	assert_non_null(strstr(e->text, words));
}

/* An error of this kind with a line. */
static inline void assert_error(const struct err *e, enum err_kind kind)
{
	if (e->kind != kind)
		print_error("the error is %s: '%s'\n", err_kind_name(e->kind), e->text);
	assert_int_equal(e->kind, kind);
	assert_true(e->text[0] != '\0');
	for (const char *s = e->text; *s; s++)
		assert_true((unsigned char)*s >= 0x20 && *s != 0x7f);
}

/* Small numbers for storms, the same in every run. */
static inline uint64_t scratch_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

#endif
