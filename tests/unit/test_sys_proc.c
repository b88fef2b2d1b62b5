/*
 * What this process takes of the machine: figures that move with what it does.
 */
#include "scratch.h"

static void files_are_counted(void **state)
{
	(void)state;
	int64_t before = sys_open_files();
	assert_true(before >= 3);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(sys_open_files(), before + 1);
	close(fd);
	assert_int_equal(sys_open_files(), before);
}

static void memory_is_measured(void **state)
{
	enum { MORE = 64 << 20 };
	int64_t before, after, limit;
	(void)state;
	sys_memory(&before, &limit);
	assert_true(before > 0 && before < limit);
	char *p = xmalloc(MORE);
	memset(p, 1, MORE);
	sys_memory(&after, &limit);
	assert_true(after - before >= MORE / 2);
	xfree(p);
}

static void work_is_measured(void **state)
{
	(void)state;
	int64_t before = sys_cpu_us(), sum = 0;
	volatile int64_t *seen = &sum;
	while (sys_cpu_us() - before < 2000)
		*seen += 1;
	assert_true(sys_cpu_us() > before);
	assert_true(sys_cpus() >= 1);
}

static void space_is_measured(void **state)
{
	(void)state;
	char *dir = scratch_make();
	assert_true(sys_free_space(dir) > 0);
	scratch_remove(dir);
	assert_int_equal(sys_free_space("/no/such/place"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_counted),
		cmocka_unit_test(memory_is_measured),
		cmocka_unit_test(work_is_measured),
		cmocka_unit_test(space_is_measured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
