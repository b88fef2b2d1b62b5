/*
 * copy - an installation's rows from one database to another, whatever the two are.
 *
 * All rows are copied in one transaction of the target, read back there one by one, compared and
 * counted before it is committed: an interrupted or failed copy leaves nothing. The source is seen
 * as it is at one moment and is not changed. However large a table is, each statement is short, and
 * what is held of it in memory is some megabytes, or one row.
 */
#ifndef AUTOS_COPY_H
#define AUTOS_COPY_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct copy_progress {
	const char *table;
	bool comparing;
	int64_t rows, all_rows; /* of this table, of all so far */
};

struct copy_options {
	struct db *from, *to; /* both of this program's version; `to` without any case or user */
	/* Called for each page of rows; false stops the copy. May be NULL. */
	bool (*on_progress)(void *arg, const struct copy_progress *p);
	void *arg;
};

/* ERR_INPUT when the target holds something. ERR_BUSY when processes run on either. *rows becomes
 * the number of rows copied. */
[[nodiscard]] bool copy_run(const struct copy_options *o, int64_t *rows, struct err *e);

/* The tables that are copied; NULL at the end. */
extern const char *const copy_tables[];

#endif
