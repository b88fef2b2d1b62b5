/*
 * walk - goes over the stored documents of many cases, several at once.
 *
 * Cases are read in batches, so that memory is bounded and stores that are far away are asked in
 * parallel. Reads the database; what is done with an object is the caller's.
 */
#ifndef AUTOS_WALK_H
#define AUTOS_WALK_H

#include "query.h"

#include <stdbool.h>
#include <stddef.h>

enum walk_result {
	WALK_NOT_STORED,
	WALK_GOOD,
	WALK_BAD,
	WALK_UNREAD, /* the store did not say */
};

/* What became of each document of a case; same order. */
struct walk_found {
	enum walk_result result;
	struct err err; /* WALK_BAD, WALK_UNREAD */
};

struct walk {
	struct db *db;
	int threads;
	/* For each document that is available, on any thread; *e when it is not WALK_GOOD. */
	enum walk_result (*object)(void *arg, const struct case_view *v, const struct doc_view *d,
				   struct err *e);
	/* After each case, in order, on the caller's thread; false ends the walk. */
	bool (*over)(void *arg, const struct case_view *v, const struct walk_found *found);
	/* A case that is not known here or cannot be read; false ends the walk. May be NULL. */
	bool (*unknown)(void *arg, const char *number, const struct err *e);
	void *arg;
};

/* Goes over these cases (20 digits each). */
void walk_cases(const struct walk *w, const char *const *numbers, size_t n);

/* Goes over all cases of the database. */
[[nodiscard]] bool walk_all(const struct walk *w, struct err *e);

#endif
