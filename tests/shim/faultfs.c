/*
 * faultfs - preloaded into a program, counts its calls that change the disk and makes the n-th one
 * fail or slow, or kills the program there.
 *
 * - FAULT_CALL=KIND[,KIND]: which calls, of write fsync rename renameat2 open link mkdir unlink
 * - FAULT_AT=N: the N-th of them, from 1
 * - FAULT_ERRNO=NAME: what it fails with, of EIO (default) ENOSPC EDQUOT EROFS EMFILE EACCES EINVAL
 * - FAULT_STICKY=1: all of them from the N-th on
 * - FAULT_KILL=before|after: instead of failing, SIGKILL just before or after the N-th
 * - FAULT_DELAY=MS: instead of failing, it takes so much longer
 * - FAULT_PATH=TEXT: only calls on paths that hold this text
 * - FAULT_COUNT_FILE=PATH: at exit, "KIND COUNT" lines for all kinds are written there
 *
 * write: write, pwrite, on regular files. fsync: fsync, fdatasync, syncfs. rename: rename,
 * renameat. open: those that may write or create. unlink: unlink, remove. Calls that libc makes
 * inside itself are not seen. Keeps no lock: counters are atomic.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { WRITE, FSYNC, RENAME, RENAME2, OPEN, LINK, MKDIR, UNLINK, KINDS };

static const char *const names[KINDS] = {"write", "fsync", "rename", "renameat2",
					 "open",  "link",  "mkdir",  "unlink"};

static struct {
	bool chosen[KINDS];
	unsigned long at;
	int error;
	int delay_ms;
	bool sticky, before, after;
	const char *path, *count_file;
} plan = {.error = EIO};

static atomic_ulong seen[KINDS], hits;

/* ---- The plan ---- */

_Noreturn static void refuse(const char *what)
{
	dprintf(STDERR_FILENO, "faultfs: %s\n", what);
	_exit(125);
}

static int error_named(const char *name)
{
	static const struct {
		const char *name;
		int value;
	} errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
		      {"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EINVAL", EINVAL}};
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].value;
	refuse("FAULT_ERRNO names no known error");
}

static void choose(const char *list)
{
	while (*list) {
		size_t n = strcspn(list, ","), k = 0;
		while (k < KINDS && (strlen(names[k]) != n || strncmp(names[k], list, n) != 0))
			k++;
		if (k == KINDS)
			refuse("FAULT_CALL names no known call");
		plan.chosen[k] = true;
		list += n + (list[n] == ',');
	}
}

__attribute__((constructor)) static void read_plan(void)
{
	const char *call = getenv("FAULT_CALL"), *at = getenv("FAULT_AT");
	const char *error = getenv("FAULT_ERRNO"), *sticky = getenv("FAULT_STICKY");
	const char *kill_when = getenv("FAULT_KILL"), *delay = getenv("FAULT_DELAY");
	choose(call ? call : "");
	plan.at = at ? strtoul(at, NULL, 10) : 0;
	plan.error = error_named(error ? error : "EIO");
	plan.delay_ms = delay ? (int)strtol(delay, NULL, 10) : 0;
	plan.sticky = sticky && strcmp(sticky, "1") == 0;
	plan.after = kill_when && strcmp(kill_when, "after") == 0;
	plan.before = kill_when && *kill_when && !plan.after;
	plan.path = getenv("FAULT_PATH");
	plan.count_file = getenv("FAULT_COUNT_FILE");
}

/* Past the counted functions, so that the report does not count itself. */
__attribute__((destructor)) static void report(void)
{
	if (!plan.count_file)
		return;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, plan.count_file, O_WRONLY | O_CREAT | O_TRUNC,
			      0600);
	if (fd < 0)
		refuse("cannot write FAULT_COUNT_FILE");
	for (size_t k = 0; k < KINDS; k++)
		dprintf(fd, "%s %lu\n", names[k], atomic_load(&seen[k]));
	close(fd);
}

/* ---- One call ---- */

enum fate { PASS, FAIL, PASS_AND_DIE };

static void die_here(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static enum fate count(enum kind k)
{
	atomic_fetch_add(&seen[k], 1);
	if (!plan.chosen[k] || plan.at == 0)
		return PASS;
	unsigned long n = atomic_fetch_add(&hits, 1) + 1;
	if (n != plan.at && !(plan.sticky && n > plan.at))
		return PASS;
	if (plan.before)
		die_here();
	if (plan.after)
		return PASS_AND_DIE;
	if (plan.delay_ms > 0) {
		poll(NULL, 0, plan.delay_ms);
		return PASS;
	}
	errno = plan.error;
	return FAIL;
}

static bool wanted_path(const char *path)
{
	return !plan.path || strstr(path, plan.path);
}

static bool wanted_fd(int fd)
{
	char link[64], path[4096];
	if (!plan.path)
		return true;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return wanted_path(path);
}

static enum fate fate_of_write(int fd)
{
	struct stat st;
	int keep = errno;
	bool counts = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && wanted_fd(fd);
	errno = keep;
	return counts ? count(WRITE) : PASS;
}

static enum fate fate_of_sync(int fd)
{
	return wanted_fd(fd) ? count(FSYNC) : PASS;
}

static enum fate fate_of_open(const char *path, int flags)
{
	bool counts = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) ||
		      (flags & O_TMPFILE) == O_TMPFILE;
	return counts && wanted_path(path) ? count(OPEN) : PASS;
}

static enum fate fate_of_two(enum kind k, const char *from, const char *to)
{
	return wanted_path(from) || wanted_path(to) ? count(k) : PASS;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		refuse("a function of libc is missing");
	return f;
}

/* The call itself, as its fate wants it. */
#define CALL(verdict, expression)                                                                  \
	do {                                                                                       \
		enum fate f_ = (verdict);                                                          \
		if (f_ == FAIL)                                                                    \
			return -1;                                                                 \
		__typeof__(expression) r_ = (expression);                                          \
		if (f_ == PASS_AND_DIE)                                                            \
			die_here();                                                                \
		return r_;                                                                         \
	} while (0)

/* ---- The functions in front of libc's ---- */

ssize_t write(int fd, const void *data, size_t n)
{
	CALL(fate_of_write(fd), REAL(write)(fd, data, n));
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	CALL(fate_of_write(fd), REAL(pwrite)(fd, data, n, at));
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	CALL(fate_of_write(fd), REAL(pwrite64)(fd, data, n, at));
}

int fsync(int fd)
{
	CALL(fate_of_sync(fd), REAL(fsync)(fd));
}

int fdatasync(int fd)
{
	CALL(fate_of_sync(fd), REAL(fdatasync)(fd));
}

int syncfs(int fd)
{
	CALL(fate_of_sync(fd), REAL(syncfs)(fd));
}

int rename(const char *from, const char *to)
{
	CALL(fate_of_two(RENAME, from, to), REAL(rename)(from, to));
}

int renameat(int a, const char *from, int b, const char *to)
{
	CALL(fate_of_two(RENAME, from, to), REAL(renameat)(a, from, b, to));
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	CALL(fate_of_two(RENAME2, from, to), REAL(renameat2)(a, from, b, to, flags));
}

int link(const char *from, const char *to)
{
	CALL(fate_of_two(LINK, from, to), REAL(link)(from, to));
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
	CALL(fate_of_two(LINK, from, to), REAL(linkat)(a, from, b, to, flags));
}

int mkdir(const char *path, mode_t mode)
{
	CALL(wanted_path(path) ? count(MKDIR) : PASS, REAL(mkdir)(path, mode));
}

int mkdirat(int at, const char *path, mode_t mode)
{
	CALL(wanted_path(path) ? count(MKDIR) : PASS, REAL(mkdirat)(at, path, mode));
}

int unlink(const char *path)
{
	CALL(wanted_path(path) ? count(UNLINK) : PASS, REAL(unlink)(path));
}

int remove(const char *path)
{
	CALL(wanted_path(path) ? count(UNLINK) : PASS, REAL(remove)(path));
}

static mode_t mode_of(int flags, va_list ap)
{
	bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	return creates ? va_arg(ap, mode_t) : 0;
}

#define READ_MODE(flags)                                                                           \
	va_list ap;                                                                                \
	va_start(ap, flags);                                                                       \
	mode_t mode = mode_of(flags, ap);                                                          \
	va_end(ap)

int open(const char *path, int flags, ...)
{
	READ_MODE(flags);
	CALL(fate_of_open(path, flags), REAL(open)(path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
	READ_MODE(flags);
	CALL(fate_of_open(path, flags), REAL(open64)(path, flags, mode));
}

int openat(int at, const char *path, int flags, ...)
{
	READ_MODE(flags);
	CALL(fate_of_open(path, flags), REAL(openat)(at, path, flags, mode));
}

int openat64(int at, const char *path, int flags, ...)
{
	READ_MODE(flags);
	CALL(fate_of_open(path, flags), REAL(openat64)(at, path, flags, mode));
}

/* What a fortified program calls when it gives no mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	CALL(fate_of_open(path, flags), REAL(__open_2)(path, flags));
}

int __open64_2(const char *path, int flags)
{
	CALL(fate_of_open(path, flags), REAL(__open64_2)(path, flags));
}

int __openat_2(int at, const char *path, int flags)
{
	CALL(fate_of_open(path, flags), REAL(__openat_2)(at, path, flags));
}

int __openat64_2(int at, const char *path, int flags)
{
	CALL(fate_of_open(path, flags), REAL(__openat64_2)(at, path, flags));
}
