/*
 * store_dir - what the two files of the folder store share. Nobody else includes this.
 */
#ifndef AUTOS_STORE_DIR_H
#define AUTOS_STORE_DIR_H

#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

enum { STORE_DIR_BUFFER = 256 << 10, FOLDERS_KNOWN = 64 };

struct store_dir {
	struct store base;
	char *root, *tmp;
	_Atomic uint64_t puts;      /* makes names in tmp/ unique */
	pthread_mutex_t folders;    /* held while folders are made */
	char *known[FOLDERS_KNOWN]; /* folders whose names are durable, as a ring */
	size_t next_known;
};

/* Members of struct store_ops. */
bool store_dir_read(struct store *base, const char *key, store_sink *sink, void *arg,
		    struct err *e);
bool store_dir_find(struct store *base, const char *key, int64_t *size, char sha256[static 65],
		    struct err *e);
bool store_dir_link_out(struct store *base, const char *key, const char *path);
bool store_dir_open_object(struct store *base, const char *key, int *fd, int64_t *size,
			   struct err *e);

#endif
