/*
 * Case files: reading is repeatable, ids are unique and fit to be keys, and no listed paper is
 * lost: every id found by an independent walk over the JSON is a way to exactly one document.
 */
#include "replay.h"

#include "portal.h"
#include "sys.h"

#include <jansson.h>
#include <string.h>

static const struct cnj number = {
	.digits = "00000013920248260100", .masked = "0000001-39.2024.8.26.0100", .court = "TJSP"};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_sorted_unique(char **x, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (strcmp(x[i - 1], x[i]) >= 0)
			return false;
	return true;
}

static void check_doc(const struct portal_doc *d, const struct portal_case *c)
{
	CHECK(d->name && d->type && d->filed_at && d->court && d->degree);
	CHECK(d->secrecy >= 0 && d->secrecy <= 5);
	CHECK(d->sequence >= -1 && d->declared_size >= -1);
	CHECK(d->proceeding >= 0);
	CHECK(!d->origin_id || *d->origin_id);
	size_t n = strlen(d->id);
	CHECK(n >= 1 && n <= 100 && d->id[0] != '.');
	CHECK(strspn(d->id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	      n);
	for (size_t i = 0; i < d->nrefs; i++) {
		CHECK(*d->refs[i].id && *d->refs[i].href);
		for (const char *s = d->refs[i].id; *s; s++)
			CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
	}
	CHECK(c->ndocs <= c->listed);
}

/* Sorted ids of all ways; *n says how many. The strings stay the case's. */
static char **all_refs(const struct portal_case *c, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < c->ndocs; i++)
		*n += c->docs[i].nrefs;
	char **ids = xcalloc(*n, sizeof *ids);
	size_t k = 0;
	for (size_t i = 0; i < c->ndocs; i++)
		for (size_t r = 0; r < c->docs[i].nrefs; r++)
			ids[k++] = c->docs[i].refs[r].id;
	qsort(ids, *n, sizeof *ids, by_text);
	return ids;
}

/* Plain ids only: what was seen with odd bytes is kept in another form. */
static bool is_plain(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") ==
			     strlen(s);
}

/* Walks one list of documents; counts them and looks each id up. */
static size_t walk_docs(const json_t *list, char **ids, size_t n)
{
	size_t count = 0, i;
	const json_t *entry;
	if (json_is_object(list)) {
		json_t *one = json_pack("[O]", list);
		count = walk_docs(one, ids, n);
		json_decref(one);
		return count;
	}
	json_array_foreach(list, i, entry)
	{
		count++;
		const json_t *link = json_object_get(entry, "hrefBinario");
		const char *href = json_string_value(link);
		const char *at = href ? strstr(href, "/documentos/") : NULL;
		if (!at || strlen(href) != json_string_length(link)) /* a NUL ends it for us only */
			continue;
		char *id = xstrndup(at + 12, strcspn(at + 12, "/?#"));
		if (is_plain(id))
			CHECK(bsearch(&id, ids, n, sizeof *ids, by_text));
		xfree(id);
	}
	return count;
}

static size_t walk_proceedings(const json_t *list, char **ids, size_t n)
{
	size_t count = 0, i;
	const json_t *p;
	if (json_is_object(list))
		return walk_docs(json_object_get(list, "documentos"), ids, n);
	json_array_foreach(list, i, p) count += walk_docs(json_object_get(p, "documentos"), ids, n);
	return count;
}

/* Only where the answer is a list with one case: that is how the portal sends it. */
static void check_nothing_lost(const struct portal_case *c, const char *json, size_t size)
{
	json_t *root = json_loadb(json, size, JSON_ALLOW_NUL, NULL);
	const json_t *item = json_array_get(root, 0);
	if (json_array_size(root) == 1 && json_is_object(item)) {
		size_t n;
		char **ids = all_refs(c, &n);
		size_t count = walk_proceedings(json_object_get(item, "tramitacaoAtual"), ids, n);
		count += walk_proceedings(json_object_get(item, "tramitacoes"), ids, n);
		count += walk_docs(json_object_get(item, "documentos"), ids, n);
		CHECK(count == c->listed);
		xfree(ids);
	}
	json_decref(root);
}

static void check_ids(const struct portal_case *c)
{
	size_t n;
	char **ids = all_refs(c, &n);
	xfree(ids);
	ids = xcalloc(c->ndocs, sizeof *ids);
	for (size_t i = 0; i < c->ndocs; i++)
		ids[i] = c->docs[i].id;
	qsort(ids, c->ndocs, sizeof *ids, by_text);
	CHECK(is_sorted_unique(ids, c->ndocs));
	xfree(ids);
	for (size_t i = 0; i < c->ndocs; i++) {
		const struct portal_doc *d = &c->docs[i];
		char **refs = xcalloc(d->nrefs, sizeof *refs);
		for (size_t r = 0; r < d->nrefs; r++)
			refs[r] = d->refs[r].id;
		qsort(refs, d->nrefs, sizeof *refs, by_text);
		CHECK(is_sorted_unique(refs, d->nrefs));
		xfree(refs);
	}
}

static bool same_case(const struct portal_case *a, const struct portal_case *b)
{
	if (a->ndocs != b->ndocs || a->listed != b->listed || a->secrecy != b->secrecy ||
	    a->proceedings != b->proceedings || strcmp(a->subject, b->subject) != 0)
		return false;
	for (size_t i = 0; i < a->ndocs; i++)
		if (strcmp(a->docs[i].id, b->docs[i].id) != 0 ||
		    a->docs[i].nrefs != b->docs[i].nrefs)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *)data;
	struct portal_case c, again;
	struct err e = {0};
	if (!portal_read_detail(&number, json, size, &c, &e)) {
		CHECK((e.kind == ERR_FAIL || e.kind == ERR_ABSENT) && *e.text && !c.docs);
		return 0;
	}
	for (size_t i = 0; i < c.ndocs; i++)
		check_doc(&c.docs[i], &c);
	check_ids(&c);
	check_nothing_lost(&c, json, size);
	CHECK(portal_read_detail(&number, json, size, &again, NULL));
	CHECK(same_case(&c, &again));
	portal_case_release(&again);
	portal_case_release(&c);
	return 0;
}
