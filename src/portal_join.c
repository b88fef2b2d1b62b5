/*
 * portal_join - makes documents out of listed entries: joins twins, sorts, names.
 *
 * Two data sources may list the same paper under different UUIDs. Joining too much would lose a
 * paper for ever; joining too little only fetches one twice. So what is not certain stays apart:
 * equal court, degree, idOrigem, name and filing second join only where that set occurs once in
 * each proceeding. Everything is done by sorting, so twenty thousand entries cost no more than
 * twenty thousand times a few.
 */
#include "portal_doc.h"

#include "sys.h"

#include <stdlib.h>
#include <string.h>

/* ---- Filing order ---- */

enum { SECONDS = 19 }; /* length of 2024-01-02T10:00:00 */

/* Length of the part of a date up to its seconds. */
static size_t seconds_len(const char *date)
{
	size_t n = strcspn(date, ".,");
	return n < SECONDS ? n : SECONDS;
}

static int compare_seconds(const char *a, const char *b)
{
	size_t na = seconds_len(a), nb = seconds_len(b);
	for (size_t i = 0; i < na && i < nb; i++) {
		char x = a[i] == ' ' ? 'T' : a[i], y = b[i] == ' ' ? 'T' : b[i];
		if (x != y)
			return (unsigned char)x < (unsigned char)y ? -1 : 1;
	}
	return (na > nb) - (na < nb);
}

/* The digits behind the point, "" when there are none. */
static const char *fraction(const char *date)
{
	const char *s = date + seconds_len(date);
	return *s == '.' || *s == ',' ? s + 1 : "";
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int compare_fractions(const char *a, const char *b)
{
	while (is_digit(*a) || is_digit(*b)) {
		char x = is_digit(*a) ? *a++ : '0', y = is_digit(*b) ? *b++ : '0';
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static int compare_dates(const char *a, const char *b)
{
	if (!*a || !*b)
		return !*a - !*b; /* what has no date comes last */
	int c = compare_seconds(a, b);
	return c ? c : compare_fractions(fraction(a), fraction(b));
}

int portal_filing_order(const char *date_a, int64_t sequence_a, const char *date_b,
			int64_t sequence_b)
{
	int c = compare_dates(date_a, date_b);
	return c ? c : (sequence_a > sequence_b) - (sequence_a < sequence_b);
}

static int by_filing(const void *va, const void *vb)
{
	const struct doc_entry *a = va, *b = vb;
	int c = portal_filing_order(a->doc.filed_at, a->doc.sequence, b->doc.filed_at,
				    b->doc.sequence);
	if (!c)
		c = (a->doc.proceeding > b->doc.proceeding) -
		    (a->doc.proceeding < b->doc.proceeding);
	return c ? c : (a->position > b->position) - (a->position < b->position);
}

/* ---- Twins ---- */

/* Entries are listed by proceeding, so the address of an entry tells which comes first. */
static int by_place(const struct doc_entry *a, const struct doc_entry *b)
{
	return (a > b) - (a < b);
}

static int same_seen(const struct doc_entry *a, const struct doc_entry *b)
{
	return strcmp(a->seen, b->seen);
}

static int same_paper(const struct doc_entry *a, const struct doc_entry *b)
{
	int c = strcmp(a->doc.origin_id, b->doc.origin_id);
	if (!c)
		c = strcmp(a->doc.court, b->doc.court);
	if (!c)
		c = strcmp(a->doc.degree, b->doc.degree);
	if (!c)
		c = strcmp(a->doc.name, b->doc.name);
	return c ? c : compare_seconds(a->doc.filed_at, b->doc.filed_at);
}

typedef int compare_fn(const struct doc_entry *, const struct doc_entry *);

static int compare_entries(const void *va, const void *vb, void *arg)
{
	const struct doc_entry *a = *(struct doc_entry *const *)va;
	const struct doc_entry *b = *(struct doc_entry *const *)vb;
	compare_fn *const *same = arg;
	int c = (*same)(a, b);
	return c ? c : by_place(a, b);
}

static bool has_ref(const struct portal_doc *d, const struct portal_ref *r)
{
	for (size_t i = 0; i < d->nrefs; i++)
		if (r->id ? d->refs[i].id && strcmp(d->refs[i].id, r->id) == 0
			  : strcmp(d->refs[i].href, r->href) == 0)
			return true;
	return false;
}

static void take_text(char **to, char **from)
{
	if (*to && **to)
		return;
	char *was = *to;
	*to = *from;
	*from = was;
}

/* Moves the ways of `from` behind those of `to`, and what `to` does not say about the paper. */
static void absorb(struct doc_entry *to, struct doc_entry *from)
{
	struct portal_doc *t = &to->doc, *f = &from->doc;
	for (size_t i = 0; i < f->nrefs; i++) {
		if (has_ref(t, &f->refs[i]))
			continue;
		t->refs = xrealloc(t->refs, (t->nrefs + 1) * sizeof *t->refs);
		t->refs[t->nrefs++] = f->refs[i];
		f->refs[i] = (struct portal_ref){0};
	}
	take_text(&t->origin_id, &f->origin_id);
	take_text(&t->name, &f->name);
	take_text(&t->type, &f->type);
	take_text(&t->type_code, &f->type_code);
	take_text(&t->filed_at, &f->filed_at);
	take_text(&t->declared_type, &f->declared_type);
	if (t->declared_size < 0)
		t->declared_size = f->declared_size;
	if (t->sequence < 0)
		t->sequence = f->sequence;
	if (t->secrecy < f->secrecy)
		t->secrecy = f->secrecy;
	to->spans = to->spans || from->spans || t->proceeding != f->proceeding;
	from->gone = true;
}

static bool has_seen(const struct doc_entry *x)
{
	return x->seen != NULL;
}

static bool has_paper(const struct doc_entry *x)
{
	return !x->gone && !x->spans && x->doc.origin_id && *x->doc.filed_at;
}

/* May these n equal entries, in the order of their proceedings, be one paper? */
static bool once_in_each(struct doc_entry *const *run, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (run[i]->doc.proceeding == run[i - 1]->doc.proceeding)
			return false;
	return true;
}

static bool any_number(struct doc_entry *const *run, size_t n)
{
	(void)run;
	(void)n;
	return true;
}

/* Joins the runs of equal entries among those that `wanted` chooses and `allowed` lets join. */
static void join(struct doc_list *l, bool (*wanted)(const struct doc_entry *), compare_fn *same,
		 bool (*allowed)(struct doc_entry *const *, size_t))
{
	struct doc_entry **x = xcalloc(l->n, sizeof *x);
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++)
		if (wanted(&l->at[i]))
			x[n++] = &l->at[i];
	qsort_r(x, n, sizeof *x, compare_entries, &same);
	for (size_t i = 0, end; i < n; i = end) {
		end = i + 1;
		while (end < n && same(x[i], x[end]) == 0)
			end++;
		if (!allowed(x + i, end - i))
			continue;
		for (size_t k = i + 1; k < end; k++)
			absorb(x[i], x[k]);
	}
	xfree(x);
}

/* ---- Ids ---- */

static bool is_id_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' ||
	       c == '_' || c == '-';
}

/* As it is when it can be a storage key, else a name made from its hash. Takes s, gives an owned
 * one. */
static char *storage_id(char *s)
{
	size_t n = strlen(s);
	bool good = n > 0 && n <= DOC_ID_MAX && s[0] != '.';
	for (size_t i = 0; good && i < n; i++)
		good = is_id_byte(s[i]);
	if (good)
		return s;
	char hex[65];
	sha256_hex(s, n, hex);
	xfree(s);
	return xasprintf("h-%.32s", hex);
}

static char *made_id(const struct doc_entry *x)
{
	if (x->seen)
		return storage_id(xstrdup(x->seen));
	if (!x->doc.origin_id)
		return xasprintf("sem-id-%d-%zu", x->doc.proceeding, x->position);
	char *id = xasprintf("origem-%s", x->doc.origin_id);
	for (char *s = id; *s; s++)
		if (!is_id_byte(*s))
			*s = '_';
	return storage_id(id);
}

static int by_id(const void *va, const void *vb)
{
	const struct portal_doc *a = *(struct portal_doc *const *)va;
	const struct portal_doc *b = *(struct portal_doc *const *)vb;
	int c = strcmp(a->id, b->id);
	return c ? c : (a > b) - (a < b);
}

/*
 * Puts -2, -3 ... behind repeated ids, in filing order. A new id may meet a real one, so it is done
 * again until nothing changes; each round makes the ids in question longer, and they have an end.
 */
static void make_ids_unique(struct portal_doc *docs, size_t n)
{
	struct portal_doc **x = xcalloc(n, sizeof *x);
	for (size_t i = 0; i < n; i++)
		x[i] = &docs[i];
	bool changed = true;
	while (changed) {
		changed = false;
		qsort(x, n, sizeof *x, by_id);
		size_t first = 0;
		for (size_t i = 1; i < n; i++) {
			if (strcmp(x[i]->id, x[first]->id) != 0) {
				first = i;
				continue;
			}
			char *longer = xasprintf("%s-%zu", x[first]->id, i - first + 1);
			xfree(x[i]->id);
			x[i]->id = storage_id(longer);
			changed = true;
		}
	}
	xfree(x);
}

/* Ids of the ways: what was seen, fit for one line; the document's own where nothing was. */
static void name_refs(struct portal_doc *d)
{
	for (size_t i = 0; i < d->nrefs; i++) {
		struct portal_ref *r = &d->refs[i];
		if (!r->id)
			r->id = i ? xasprintf("%s~%zu", d->id, i + 1) : xstrdup(d->id);
		for (char *s = r->id; *s; s++)
			if ((unsigned char)*s < 0x20 || *s == 0x7f)
				*s = '_';
	}
}

void doc_list_finish(struct doc_list *l, struct portal_case *out)
{
	out->listed = l->n;
	join(l, has_seen, same_seen, any_number);
	join(l, has_paper, same_paper, once_in_each);

	size_t n = 0;
	for (size_t i = 0; i < l->n; i++) {
		struct doc_entry x = l->at[i];
		if (x.gone) {
			portal_doc_release(&x.doc);
			xfree(x.seen);
		} else {
			l->at[n++] = x;
		}
	}
	l->n = n;
	if (n)
		qsort(l->at, n, sizeof *l->at, by_filing);
	out->docs = xcalloc(n, sizeof *out->docs);
	out->ndocs = n;
	for (size_t i = 0; i < n; i++) {
		out->docs[i] = l->at[i].doc;
		out->docs[i].id = made_id(&l->at[i]);
		l->at[i].doc = (struct portal_doc){0};
	}
	make_ids_unique(out->docs, n);
	for (size_t i = 0; i < n; i++)
		name_refs(&out->docs[i]);
	doc_list_release(l);
}
