/*
 * sys_proc - what this process takes of the machine, read from /proc and the control group. A
 * machine without them gives zeros.
 */
#include "sys.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SMALL_FILE = 4096 };

/* The number that is the word `at` of a file, -1 when there is none. */
static int64_t number_in(const char *path, int at)
{
	struct err ignored;
	char *text;
	int64_t value = -1;
	if (!sys_read_file(path, SMALL_FILE, &text, NULL, &ignored))
		return -1;
	const char *word = text;
	for (; at && *word; at--) {
		word += strcspn(word, " ");
		word += *word == ' ';
	}
	if (*word >= '0' && *word <= '9')
		value = strtoll(word, NULL, 10);
	xfree(text);
	return value;
}

/* The path of the control group (version 2): the line "0::/path" of /proc/self/cgroup. */
static char *group_path(void)
{
	struct err ignored;
	char *text, *out = NULL;
	if (!sys_read_file("/proc/self/cgroup", SMALL_FILE, &text, NULL, &ignored))
		return NULL;
	for (const char *line = text; *line && !out;) {
		size_t n = strcspn(line, "\n");
		if (strncmp(line, "0::/", 4) == 0)
			out = xstrndup(line + 3, n - 3);
		line += n + (line[n] == '\n');
	}
	xfree(text);
	return out;
}

/* -1 = no limit. Inside a container the group is the root of what is seen. */
static int64_t group_limit(void)
{
	int64_t limit = -1;
	char *group = group_path();
	if (group) {
		char *path = xasprintf("/sys/fs/cgroup%s/memory.max", group);
		limit = number_in(path, 0);
		xfree(path);
		xfree(group);
	}
	if (limit < 0)
		limit = number_in("/sys/fs/cgroup/memory.max", 0);
	if (limit < 0)
		limit = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes", 0);
	return limit;
}

void sys_memory(int64_t *used, int64_t *limit)
{
	int64_t page = sysconf(_SC_PAGESIZE), pages = sysconf(_SC_PHYS_PAGES);
	int64_t resident = number_in("/proc/self/statm", 1), group = group_limit();
	*used = resident > 0 ? resident * page : 0;
	*limit = pages > 0 ? pages * page : 0;
	if (group > 0 && (*limit == 0 || group < *limit))
		*limit = group;
}

int64_t sys_open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int64_t n = -1; /* the folder itself is open too */
	if (!d)
		return 0;
	for (struct dirent *f; (f = readdir(d));)
		n += f->d_name[0] != '.';
	closedir(d);
	return n;
}

int64_t sys_cpu_us(void)
{
	struct rusage u;
	if (getrusage(RUSAGE_SELF, &u) != 0)
		return 0;
	return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

int64_t sys_cpus(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) != 0)
		return 1;
	return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

int64_t sys_free_space(const char *path)
{
	struct statvfs v;
	if (statvfs(path, &v) != 0)
		return -1;
	return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}
