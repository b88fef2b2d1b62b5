/*
 * store - where documents stay: a struct of functions, for a folder or for S3.
 *
 * Objects are named by keys such as processos/<20 digits>/documentos/<id>.<ext>, of the characters
 * A-Z a-z 0-9 . _ - and /. A key is visible with all its bytes or not at all. All functions may be
 * called from several threads.
 */
#ifndef AUTOS_STORE_H
#define AUTOS_STORE_H

#include "buf.h"
#include "config.h"
#include "err.h"
#include "spool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One object on its way in, and what became of it. */
struct put {
	char *key;          /* owned by whoever made the put; the store may choose another */
	struct spool *body; /* borrowed */
	const char *mime;   /* borrowed; what and as what it is shown to whoever reads the store */
	const char *name;   /* without us; a store of files needs neither */
	void *owner;        /* the caller's */
	bool ok;
	struct err err;

	/* used while it is under way */
	struct put *next;
	void (*finished)(struct put *);
	void *finished_arg;
};

/* Gets the bytes of an object in order; false stops the reading. */
typedef bool store_sink(void *arg, const void *data, size_t len, struct err *e);

/* Asked right before something is removed: whether it still may be, and until when (monotonic ms;
 * whatever is asked of a server is given up then). From the thread that removes. */
struct store_guard {
	bool (*may)(void *arg, int64_t *until_ms, struct err *e);
	void *arg;
};

struct store;

enum store_mode {
	STORE_READ,  /* nothing is created */
	STORE_WRITE, /* objects will be put */
	STORE_SERVE, /* the same; a store that does not answer now may do so later */
};

struct store_ops {
	const char *scheme;
	/* `where` is what follows the scheme. Creates or probes what putting needs. */
	struct store *(*open)(const struct config *c, const char *where, enum store_mode mode,
			      struct err *e);
	/* Stores n objects durably, as one group; each put tells its own fate. NULL if `start` is
	 * there. */
	void (*put)(struct store *, struct put **puts, size_t n);
	/* Begins to store one object and returns at once; put->finished is called, from any thread,
	 * when its fate is told. */
	void (*start)(struct store *, struct put *);
	/* Lets what was started end soon, with ERR_BUSY. NULL where puts do not last. */
	void (*cut)(struct store *);
	/* ERR_ABSENT when there is no such object. */
	bool (*read)(struct store *, const char *key, store_sink *sink, void *arg, struct err *e);
	/* The size of an object and its SHA-256 as the store remembers it, "" if it does not.
	 * ERR_ABSENT when there is no such object. */
	bool (*find)(struct store *, const char *key, int64_t *size, char sha256[static 65],
		     struct err *e);
	/* Makes the object the file `path`, which must not exist, without copying its bytes; false
	 * when that cannot be done. NULL for stores without files. */
	bool (*link_out)(struct store *, const char *key, const char *path);
	/* A descriptor to read the object from, and its size; the caller closes it. NULL for stores
	 * that clients reach themselves. */
	bool (*open_object)(struct store *, const char *key, int *fd, int64_t *size, struct err *e);
	/* A link under which clients read the object from start_s on for ttl_s; owned by the
	 * caller. NULL where we hand the bytes out ourselves. */
	char *(*link)(struct store *, const char *key, const char *name, const char *mime,
		      int64_t start_s, int64_t ttl_s);
	/* Removes every object whose key begins with this folder ("processos/<20 digits>/") and
	 * makes that durable. None is fine. Ends when the guard says no, with its error. */
	bool (*erase)(struct store *, const char *folder, const struct store_guard *guard,
		      struct err *e);
	/* Whether an object could be stored now: why not otherwise. Leaves nothing behind. */
	bool (*check)(struct store *, struct err *e);
	/* What is known of the store, one line each "what  words": for people. */
	void (*describe)(struct store *, struct buf *out);
	/* Finds out anew what the store can do, whatever is remembered; before anything is put.
	 * NULL where there is nothing to find out. */
	bool (*probe)(struct store *, struct err *e);
	/* In one line what is known of what the store can do, nothing while that is not known; from
	 * any thread. NULL where there is nothing to find out. */
	void (*facts)(struct store *, struct buf *out);
	void (*close)(struct store *);
};

struct store {
	const struct store_ops *ops;
};

extern const struct store_ops store_dir, store_s3;

/* "dir:PATH" or "s3://...". The settings are borrowed for the store's life. NULL on failure. */
struct store *store_open(const struct config *c, const char *url, enum store_mode mode,
			 struct err *e);
void store_close(struct store *s); /* accepts NULL; nothing may be under way */

/* Stores n objects and waits for all. */
void store_put(struct store *s, struct put **puts, size_t n);

[[nodiscard]] bool store_read(struct store *s, const char *key, store_sink *sink, void *arg,
			      struct err *e);

/*
 * Makes the object's bytes the file `path`, which must not exist; shares disk space if it can.
 * Bytes that are copied are compared with the SHA-256, in the file `draft` of the same folder,
 * which is written over. Errors do not say `path`: people's names for documents belong in no log.
 */
[[nodiscard]] bool store_copy_out(struct store *s, const char *key, const char *sha256,
				  const char *path, const char *draft, struct err *e);
[[nodiscard]] bool store_find(struct store *s, const char *key, int64_t *size,
			      char sha256[static 65], struct err *e);
[[nodiscard]] bool store_open_object(struct store *s, const char *key, int *fd, int64_t *size,
				     struct err *e);
/* `guard` NULL: nobody else puts objects there. */
[[nodiscard]] bool store_erase(struct store *s, const char *folder, const struct store_guard *guard,
			       struct err *e);
[[nodiscard]] bool store_check(struct store *s, struct err *e);
void store_describe(struct store *s, struct buf *out);

#endif
