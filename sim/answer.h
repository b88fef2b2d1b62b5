/*
 * answer - the JSON that the portal answers for a case and for a search.
 *
 * Texts are made once per case file and kept in it. The members, their types and their absences
 * follow what was observed of the portal.
 */
#ifndef SIM_ANSWER_H
#define SIM_ANSWER_H

#include "cases.h"

#include <jansson.h>

/* What GET /processos asked for; NULL where a parameter is missing. */
struct search {
	const char *number, *oab, *cpf, *size, *cursor;
};

/* The text belongs to the case file. */
const char *answer_detail(struct catalog *c, struct dossier *d);

/*
 * One page of a search. Returns the status: 200 with *text set (free with xfree), or 404 with *text
 * NULL when the portal answers its JSON error.
 */
int answer_search(struct catalog *c, const struct search *q, char **text);

/* Pieces that both answers share; the caller owns the result. */
json_t *answer_id(const struct dossier *d, uint64_t value, unsigned salt);
json_t *answer_parties(const struct dossier *d);
json_t *answer_court(const struct court *court);
json_t *answer_class(const struct dossier *d);
json_t *answer_subject(const struct dossier *d);

/* The OAB number of the lawyer in a plain case, "SP999001" to "SP999005". */
void answer_oab(unsigned id, char out[static 16]);

#endif
