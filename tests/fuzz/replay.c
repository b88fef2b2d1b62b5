/*
 * replay - runs a fuzz target over files, in place of the fuzzer: every input of the corpora, and
 * so every finding of the past, is a regression test. Arguments are files or directories.
 */
#include "replay.h"

#include "sys.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUT_MAX = 16 << 20 };

static size_t replayed;

static bool replay_file(const char *path)
{
	char *data;
	size_t len;
	struct err e;
	if (!sys_read_file(path, INPUT_MAX, &data, &len, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return false;
	}
	/* an exact copy, so that the sanitizer sees a read of one byte too many */
	char *exact = xstrndup(data, len);
	exact = xrealloc(exact, len ? len : 1);
	xfree(data);
	LLVMFuzzerTestOneInput((const uint8_t *)exact, len);
	xfree(exact);
	replayed++;
	return true;
}

static bool replay_dir(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir) {
		perror(path);
		return false;
	}
	bool ok = true;
	for (struct dirent *d; (d = readdir(dir));) {
		if (d->d_name[0] == '.')
			continue;
		char *file = xasprintf("%s/%s", path, d->d_name);
		ok = replay_file(file) && ok;
		xfree(file);
	}
	closedir(dir);
	return ok;
}

int main(int argc, char **argv)
{
	bool ok = true;
	for (int i = 1; i < argc; i++) {
		struct stat st;
		bool is_dir = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
		ok = (is_dir ? replay_dir(argv[i]) : replay_file(argv[i])) && ok;
	}
	printf("replayed %zu inputs\n", replayed);
	return ok ? 0 : 1;
}
