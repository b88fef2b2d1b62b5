/*
 * cases - owns the case files that were made, finds them by number and by document. The oddities'
 * contents are built elsewhere; this file never writes an answer.
 */
#include "cases.h"

#include "build.h"
#include "mix.h"
#include "sys.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void catalog_init(struct catalog *c)
{
	pthread_mutex_init(&c->lock, NULL);
	c->slots = xcalloc(CASE_IDS, sizeof *c->slots);
}

static void dossier_free(struct dossier *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->nentries; i++)
		xfree(d->entries[i].name);
	xfree(d->entries);
	xfree(d->detail);
	xfree(d->list);
	pthread_mutex_destroy(&d->lock);
	xfree(d);
}

void catalog_release(struct catalog *c)
{
	for (unsigned id = 0; c->slots && id < CASE_IDS; id++)
		dossier_free(atomic_load(&c->slots[id]));
	xfree(c->slots);
	c->slots = NULL;
	pthread_mutex_destroy(&c->lock);
}

void case_number(unsigned id, struct cnj *out)
{
	const struct court *court = court_of(id);
	unsigned year = id < PLAIN_FIRST ? 2024 : 2024 + id / 2 % 2;
	char digits[32];
	snprintf(digits, sizeof digits, "%07u00%04u%s%s", SEQUENCE_BASE + id % CASE_IDS, year,
		 court->jtr, court->origin);
	int dd = cnj_check_digits(digits);
	digits[7] = (char)('0' + dd / 10);
	digits[8] = (char)('0' + dd % 10);
	struct err e;
	if (!cnj_parse(digits, strlen(digits), out, &e))
		die("%s", e.text);
}

static bool exists(const struct catalog *c, unsigned id)
{
	if (id >= PLAIN_FIRST)
		return id - PLAIN_FIRST < c->cases;
	return oddity_by_id(id) != NULL;
}

unsigned catalog_next(const struct catalog *c, unsigned id)
{
	if (id < PLAIN_FIRST) {
		const struct oddity *o;
		for (size_t i = 0; (o = oddity_at(i)); i++)
			if (o->id > id)
				return o->id;
		id = PLAIN_FIRST - 1;
	}
	return exists(c, id + 1) ? id + 1 : 0;
}

static void build_odd(const struct catalog *c, struct dossier *d)
{
	const struct oddity *o = d->oddity;
	d->outcome = o->outcome;
	if (o->build)
		o->build(c, d);
	else
		build_plain(c, d, 6, true);
	if (o->list_fault)
		d->list_fault = fault_find(o->list_fault);
	if (o->detail_fault)
		d->detail_fault = fault_find(o->detail_fault);
	for (int i = 0; o->document_fault && i < 2; i++) {
		struct entry *e = build_entry(c, d, 0, KIND_PDF, 40000);
		build_fault(e, o->document_fault);
	}
}

static struct dossier *make(const struct catalog *c, unsigned id)
{
	struct dossier *d = xcalloc(1, sizeof *d);
	d->id = id;
	d->oddity = oddity_by_id(id);
	d->outcome = "complete";
	pthread_mutex_init(&d->lock, NULL);
	case_number(id, &d->number);
	if (d->oddity)
		build_odd(c, d);
	else
		build_plain(c, d, c->documents, false);
	build_finish(d);
	return d;
}

struct dossier *catalog_made(struct catalog *c, unsigned id)
{
	return id < CASE_IDS ? atomic_load(&c->slots[id]) : NULL;
}

struct dossier *catalog_case(struct catalog *c, unsigned id)
{
	if (id >= CASE_IDS || !exists(c, id))
		return NULL;
	struct dossier *d = atomic_load(&c->slots[id]);
	if (d)
		return d;
	pthread_mutex_lock(&c->lock);
	d = atomic_load(&c->slots[id]);
	if (!d) {
		d = make(c, id);
		atomic_store(&c->slots[id], d);
	}
	pthread_mutex_unlock(&c->lock);
	return d;
}

struct dossier *catalog_by_number(struct catalog *c, const struct cnj *number)
{
	char seq[8];
	memcpy(seq, number->digits, 7);
	seq[7] = '\0';
	unsigned long n = strtoul(seq, NULL, 10);
	if (n < SEQUENCE_BASE || n >= SEQUENCE_BASE + CASE_IDS)
		return NULL;
	struct cnj right;
	case_number((unsigned)(n - SEQUENCE_BASE), &right);
	if (strcmp(right.digits, number->digits) != 0)
		return NULL;
	return catalog_case(c, (unsigned)(n - SEQUENCE_BASE));
}

struct entry *catalog_document(struct catalog *c, const char *uuid, struct dossier **d)
{
	unsigned long long a, b, v, r, low;
	int end = 0;
	if (sscanf(uuid, "%8llx-%4llx-%4llx-%4llx-%12llx%n", &a, &b, &v, &r, &low, &end) != 5 ||
	    end != 36 || uuid[36] != '\0')
		return NULL;
	uint64_t key = low ^ (mix64(a) & 0xffffffffffffULL);
	*d = catalog_case(c, (unsigned)(key >> 20 & 0xfffffff));
	unsigned index = (unsigned)(key & 0xfffff);
	if (!*d || index >= (*d)->nentries)
		return NULL;
	struct entry *e = &(*d)->entries[index];
	return strcasecmp(e->uuid, uuid) == 0 ? e : NULL;
}

void entry_body(const struct entry *e, struct body *out)
{
	paper_make(e->kind, e->stamp, e->target, out);
}

void entry_sha256(struct dossier *d, struct entry *e, char hex[static 65])
{
	char made[65] = "";
	pthread_mutex_lock(&d->lock);
	memcpy(hex, e->sha256, 65);
	pthread_mutex_unlock(&d->lock);
	if (hex[0])
		return;
	struct body b;
	entry_body(e, &b);
	body_sha256(&b, made);
	body_release(&b);
	memcpy(hex, made, sizeof made);
	pthread_mutex_lock(&d->lock);
	memcpy(e->sha256, made, 65);
	pthread_mutex_unlock(&d->lock);
}

void catalog_reset_counters(struct catalog *c)
{
	for (unsigned id = 0; id < CASE_IDS; id++) {
		struct dossier *d = catalog_made(c, id);
		if (!d)
			continue;
		atomic_store(&d->list_calls, 0);
		atomic_store(&d->detail_calls, 0);
		for (unsigned i = 0; i < d->nentries; i++)
			atomic_store(&d->entries[i].calls, 0);
	}
}
