/*
 * erase - removes the objects of a case whose rows are gone, then the mark that keeps its number
 * from being asked for.
 *
 * Where many processes write, several may come to erase one case. Whoever has its last mark does
 * it; the mark is renewed while that goes on, and is asked for before anything is removed. Whoever
 * could not renew it for ERASE_HOLD_MS removes nothing any more, and what he asked of the store is
 * given up; ERASE_IDLE_MS after the last renewal another one may take it over. So what is removed
 * never belongs to a case that was asked for again.
 */
#ifndef AUTOS_ERASE_H
#define AUTOS_ERASE_H

#include "ledger.h"
#include "store.h"

enum { ERASE_HOLD_MS = 60000, ERASE_IDLE_MS = 120000 };

/* Borrowed. */
struct erase_options {
	struct ledger *ledger;
	struct store *store;
	bool (*goes_on)(void *arg); /* NULL = always; asked before anything is removed */
	void *arg;
};

/*
 * `mark` is the last one that the caller knows of. Waits for ledger and store. True: the objects
 * are gone, whoever removed them. ERR_BUSY: another process has the mark, or it was stopped.
 */
[[nodiscard]] bool erase_objects(const struct erase_options *o, const char *number, int64_t mark,
				 struct err *e);

/* The same for numbers (column 0) and their marks (1), while it goes on; logs what fails. True:
 * they are all gone. */
bool erase_all(const struct erase_options *o, const struct db_rows *marks);

#endif
