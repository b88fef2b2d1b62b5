/*
 * Errors: one line, kept kind, no line break whoever wrote it.
 */
#include "err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#undef fail /* cmocka has a macro of that name */

static void test_fail(void **state)
{
	(void)state;
	struct err e = {.kind = ERR_BUSY, .wait_ms = 7};
	assert_false(fail(&e, ERR_INPUT, "bad %s: %d", "thing", 3));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(e.wait_ms, 0);
	assert_string_equal(e.text, "bad thing: 3");
	assert_false(fail(NULL, ERR_FAIL, "nobody listens"));
	/* its own line may be a part of the new one */
	assert_false(fail(&e, ERR_FAIL, "again: %s", e.text));
	assert_string_equal(e.text, "again: bad thing: 3");
}

static void test_one_line(void **state)
{
	(void)state;
	struct err e;
	assert_false(fail(&e, ERR_FAIL, "a\r\nb\x1b[31m\x7f%c", 1));
	assert_string_equal(e.text, "a  b [31m  ");
	char text[2000];
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	assert_false(fail(&e, ERR_FAIL, "%s", text));
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void test_errno(void **state)
{
	(void)state;
	struct err e;
	errno = ENOENT;
	assert_false(fail_errno(&e, "open %s", "x"));
	assert_int_equal(e.kind, ERR_FAIL);
	assert_string_equal(e.text, "open x: No such file or directory");
}

static void test_prefix(void **state)
{
	(void)state;
	struct err e;
	(void)fail(&e, ERR_BUSY, "slow");
	e.wait_ms = 9;
	assert_false(err_prefix(&e, "store %d: ", 1));
	assert_string_equal(e.text, "store 1: slow");
	assert_int_equal(e.kind, ERR_BUSY);
	assert_int_equal(e.wait_ms, 9);
	assert_false(err_prefix(&e, "%0500d", 1));
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	assert_false(err_prefix(NULL, "x"));
}

static void test_kind_names(void **state)
{
	(void)state;
	for (int i = ERR_NONE; i <= ERR_FAIL; i++) {
		assert_string_not_equal(err_kind_name((enum err_kind)i), "?");
		for (int k = ERR_NONE; k < i; k++)
			assert_string_not_equal(err_kind_name((enum err_kind)i),
						err_kind_name((enum err_kind)k));
	}
}

static void test_die(void **state)
{
	(void)state;
	int out[2], status;
	char line[200] = "";
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		die("no\n%s", "way");
	}
	close(out[1]);
	assert_true(read(out[0], line, sizeof line - 1) > 0);
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_string_equal(line, "autos: no way\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail),       cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_errno),      cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_kind_names), cmocka_unit_test(test_die),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
