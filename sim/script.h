/*
 * script - rules that say which calls go wrong and how; the format is in docs/simulator.md.
 *
 * A script is read as a whole or refused as a whole. Safe from any thread once read.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "cases.h"
#include "stats.h"

struct script;

/* One call that rules are held against. */
struct script_call {
	enum route route;
	const struct dossier *dossier; /* NULL: none */
	const struct entry *entry;     /* NULL: not a document's call */
};

/*
 * Reads rules from text; ERR_INPUT names the line. body-file is understood only when `files`.
 * Free with script_free, which accepts NULL.
 */
struct script *script_new(const char *text, uint64_t seed, bool files, struct err *e);
void script_free(struct script *s);

/* Counts the call and gives the first rule's recipe and name, or false. They live in the script. */
bool script_match(struct script *s, const struct script_call *call, struct recipe *recipe,
		  const char **name);

void script_reset(struct script *s);

#endif
