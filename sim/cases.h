/*
 * cases - the catalogue of synthetic case files: which numbers exist and what each one holds.
 *
 * A case file is made when somebody first asks for it and kept until the end. Once made it does not
 * change, except for its counters. Case ids: 1 to 999 are the oddities (sequence 9900000 + id, the
 * same for every seed), from PLAIN_FIRST on the plain cases. Safe from any thread.
 */
#ifndef SIM_CASES_H
#define SIM_CASES_H

#include "body.h"
#include "cnj.h"
#include "paper.h"
#include "recipe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SEQUENCE_BASE = 9900000, PLAIN_FIRST = 10000, CASE_IDS = 100000, PROCEEDINGS_MAX = 4 };

enum href {
	HREF_BOTH, /* hrefBinario and hrefTexto, relative and without /api/v2, as the portal does */
	HREF_TEXT_ONLY,
	HREF_NONE,
	HREF_PREFIXED, /* already /api/v2/... */
	HREF_ABSOLUTE, /* http://this host/api/v2/... */
	HREF_FOREIGN,  /* another host, which must never see the bearer */
};

enum declared { DECLARED_NONE, DECLARED_TRUE, DECLARED_WRONG };

enum { LEVEL_ABSENT = -1, LEVEL_TEXT = -2 };

/* One document as one proceeding lists it. Entries of the same paper give the same bytes. */
struct entry {
	char uuid[37];
	unsigned index;      /* position in the case file, from 0 */
	unsigned paper;      /* which distinct paper this is */
	unsigned proceeding; /* 0 = tramitacaoAtual, 1.. = tramitacoes[] */
	enum kind kind;
	uint64_t stamp;            /* kind, stamp and target decide the bytes */
	uint64_t target;           /* the size asked of the generator */
	uint64_t size;             /* the size it gave */
	const struct fault *fault; /* NULL: well behaved */
	const char *reason;        /* why a client cannot have it; NULL: it can */

	int sequence;
	char date[32];
	char *name;     /* owned; NULL: the member is missing */
	bool name_null; /* the member is there and null */
	const char *type;
	int type_code; /* 0: absent */
	int level;     /* a number, LEVEL_ABSENT or LEVEL_TEXT */
	const char *level_text;
	char origin[40]; /* "": absent */
	uint64_t codex;
	enum href href;
	enum declared declared;

	atomic_uint_fast64_t calls; /* binario calls that passed the token check */
	char sha256[65];            /* guarded by the case file's lock; "" until computed */
};

struct proceeding {
	const struct court *court;
	const char *degree, *instance; /* NULL: absent */
	int number;
	int source; /* idFonteDadosCodex */
};

enum list_shape {
	LIST_OBJECT,
	LIST_BARE,
	LIST_CONTENT,
	LIST_DATA,
	LIST_TOTAL_OBJECT,
	LIST_CURSOR_UNDERSCORE,
	LIST_CURSOR_NEXT,
	LIST_PAGED,
	LIST_PAGED_LATE,
	LIST_CURSOR_LOOP,
	LIST_IGNORES_FILTER,
	LIST_EMPTY,
};

enum detail_shape {
	DETAIL_ARRAY,
	DETAIL_OBJECT,
	DETAIL_CONTENT,
	DETAIL_EMPTY_ARRAY,
	DETAIL_OTHER_NUMBER,
};

enum id_form { IDS_MIXED, IDS_STRINGS, IDS_NUMBERS };

struct dossier {
	unsigned id;
	struct cnj number;
	const struct oddity *oddity; /* NULL: a plain case */
	const char *outcome;         /* what a careful client ends with */
	struct proceeding proceedings[PROCEEDINGS_MAX];
	unsigned nproceedings;
	bool without_current; /* no tramitacaoAtual: all are in tramitacoes[] */
	int level;            /* nivelSigilo of the case */
	enum list_shape list_shape;
	enum detail_shape detail_shape;
	enum id_form ids;
	bool numeric_parties;
	const struct fault *list_fault, *detail_fault;
	struct entry *entries; /* owned; in the order of the listing */
	unsigned nentries;
	unsigned npapers;

	atomic_uint_fast64_t list_calls, detail_calls;
	pthread_mutex_t lock;
	char *detail; /* owned; the answer's text once somebody asked for it */
	char *list;   /* owned; the one item of a list */
};

/* One of the fixed misbehaving cases; the table is in oddity.c. */
struct catalog;
struct oddity {
	unsigned id;
	const char *name, *about, *outcome;
	const char *list_fault, *detail_fault, *document_fault;  /* names of faults, or NULL */
	void (*build)(const struct catalog *, struct dossier *); /* NULL: a small plain case */
};

struct catalog {
	uint64_t seed;
	unsigned cases;     /* plain cases */
	unsigned documents; /* in each of them */
	uint64_t size;      /* of each document; 0 = as on the portal */
	char address[64];   /* host:port of this server, for absolute links */
	char foreign[64];   /* host:port of a host that is none of the portal's */
	pthread_mutex_t lock;
	_Atomic(struct dossier *) *slots; /* owned; CASE_IDS of them */
};

void catalog_init(struct catalog *c);
void catalog_release(struct catalog *c);

/* NULL when no case has this id or number. */
struct dossier *catalog_case(struct catalog *c, unsigned id);
struct dossier *catalog_by_number(struct catalog *c, const struct cnj *number);
struct entry *catalog_document(struct catalog *c, const char *uuid, struct dossier **d);

/* As catalog_case, but never makes one: NULL when nobody asked for it yet. */
struct dossier *catalog_made(struct catalog *c, unsigned id);

/* The ids that exist, ascending: after 0 comes the first; 0 means the end. */
unsigned catalog_next(const struct catalog *c, unsigned id);

/* The case number an id has, whether or not there is such a case. */
void case_number(unsigned id, struct cnj *out);

/* Makes the true bytes. */
void entry_body(const struct entry *e, struct body *out);

/* The SHA-256 of the true bytes, computed once. */
void entry_sha256(struct dossier *d, struct entry *e, char hex[static 65]);

void catalog_reset_counters(struct catalog *c);

const struct oddity *oddity_at(size_t i); /* NULL behind the last */
const struct oddity *oddity_by_id(unsigned id);

#endif
