/*
 * store - where documents stay: a struct of functions, a folder today.
 *
 * Objects are named by keys such as processos/<20 digits>/documentos/<id>.<ext>, of the characters
 * A-Z a-z 0-9 . _ - and /. A key is visible with all its bytes or not at all. All functions may be
 * called from several threads.
 */
#ifndef AUTOS_STORE_H
#define AUTOS_STORE_H

#include "err.h"
#include "spool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One object on its way in, and what became of it. */
struct put {
	char *key;          /* owned by whoever made the put */
	struct spool *body; /* borrowed */
	void *owner;        /* the caller's */
	bool ok;
	struct err err;
	struct put *next; /* used by the putter's queues */
};

/* Gets the bytes of an object in order; false stops the reading. */
typedef bool store_sink(void *arg, const void *data, size_t len, struct err *e);

struct store;

struct store_ops {
	const char *scheme;
	struct store *(*open)(const char *where, bool write, struct err *e);
	/* Stores n objects durably, as one group; each put tells its own fate. */
	void (*put)(struct store *, struct put **puts, size_t n);
	/* ERR_ABSENT when there is no such object. */
	bool (*read)(struct store *, const char *key, store_sink *sink, void *arg, struct err *e);
	/* Makes the object's bytes the file `path`, which must not exist; shares disk space if it
	 * can. */
	bool (*copy_out)(struct store *, const char *key, const char *path, struct err *e);
	/* A descriptor to read the object from, and its size; the caller closes it. NULL for stores
	 * that clients reach themselves. */
	bool (*open_object)(struct store *, const char *key, int *fd, int64_t *size, struct err *e);
	/* Removes every object whose key begins with this folder ("processos/<20 digits>/") and
	 * makes that durable. None is fine. */
	bool (*erase)(struct store *, const char *folder, struct err *e);
	/* Whether an object could be stored now: ERR_FAIL says why not. Leaves nothing behind. */
	bool (*check)(struct store *, struct err *e);
	void (*close)(struct store *);
};

struct store {
	const struct store_ops *ops;
};

extern const struct store_ops store_dir;

/* "dir:PATH". With `write`, creates what is missing. NULL on failure. */
struct store *store_open(const char *url, bool write, struct err *e);
void store_close(struct store *s); /* accepts NULL */
void store_put(struct store *s, struct put **puts, size_t n);
[[nodiscard]] bool store_read(struct store *s, const char *key, store_sink *sink, void *arg,
			      struct err *e);
[[nodiscard]] bool store_copy_out(struct store *s, const char *key, const char *path,
				  struct err *e);
[[nodiscard]] bool store_open_object(struct store *s, const char *key, int *fd, int64_t *size,
				     struct err *e);
[[nodiscard]] bool store_erase(struct store *s, const char *folder, struct err *e);
[[nodiscard]] bool store_check(struct store *s, struct err *e);

#endif
