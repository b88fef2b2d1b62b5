/*
 * build - the pieces of which case files are made: proceedings, entries, plausible listings.
 *
 * Used by the catalogue for plain cases and by the oddities, which change what they need to. Pure
 * but for memory; works on a case file that nobody else sees yet.
 */
#ifndef SIM_BUILD_H
#define SIM_BUILD_H

#include "cases.h"

struct court {
	const char *sigla, *name, *segment;
	const char *jtr;    /* J and TR, as in tribunal.jtr */
	const char *origin; /* OOOO */
};

/* The court whose J and TR an id's number carries. */
const struct court *court_of(unsigned id);
const struct court *court_at(unsigned i); /* wraps around */

unsigned build_proceeding(struct dossier *d, const struct court *court, int degree, int source);

/*
 * Appends one well-behaved entry with a paper of its own. `size` 0 draws one as on the portal, up
 * to a few dozen kilobytes. The pointer is valid until the next entry is added.
 */
struct entry *build_entry(const struct catalog *c, struct dossier *d, unsigned proceeding,
			  enum kind kind, uint64_t size);

/* Appends another listing of the paper of entry `of`, in another proceeding. */
struct entry *build_twin(const struct catalog *c, struct dossier *d, unsigned of,
			 unsigned proceeding);

/* n entries with kinds, names and sizes as on the portal, the last third in a second proceeding. */
void build_plain(const struct catalog *c, struct dossier *d, unsigned n, bool small);

void build_name(struct entry *e, const char *name); /* copies; NULL removes it */
void build_fault(struct entry *e,
		 const char *fault); /* a name of the table; also sets the reason */

/* Numbers the sequences downwards within each proceeding, computes sizes. To be called last. */
void build_finish(struct dossier *d);

#endif
