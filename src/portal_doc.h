/*
 * portal_doc - the documents of one case while its answer is being read; private to portal_*.c.
 *
 * Entries are added one by one as the portal lists them; doc_list_finish turns them into documents.
 * No entry is ever dropped: it becomes a document, or one more way to a document, or an error.
 */
#ifndef AUTOS_PORTAL_DOC_H
#define AUTOS_PORTAL_DOC_H

#include "cnj.h"
#include "err.h"
#include "portal.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { DOC_LIST_MAX = 20000, DOC_ID_MAX = 100 };

/* What an entry takes from the proceeding that lists it; borrowed. */
struct doc_place {
	const struct cnj *number;
	const char *court;
	const char *degree;
	int secrecy; /* highest of proceeding and case */
	int proceeding;
};

struct doc_entry {
	struct portal_doc doc; /* until the end a ref's id is NULL when its link names none */
	char *seen;            /* the UUID, or the data lake's id; NULL when there is neither */
	size_t position;       /* in its list, from the end: 1 is the oldest paper */
	bool spans;            /* already stands for entries of several proceedings */
	bool gone;             /* became a part of another one */
};

struct doc_list {
	struct doc_entry *at;
	size_t n, cap;
};

/* Reads one entry, which is an object. ERR_FAIL when there are too many. */
[[nodiscard]] bool doc_list_add(struct doc_list *l, const struct doc_place *place,
				const json_t *entry, size_t position, struct err *e);

/* Joins twins, sorts, gives every document its id and hands all over to *out. */
void doc_list_finish(struct doc_list *l, struct portal_case *out);

void doc_list_release(struct doc_list *l);

void portal_doc_release(struct portal_doc *d);

#endif
