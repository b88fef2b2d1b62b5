/*
 * portal_doc - one entry of a list of documents, from JSON to struct.
 *
 * The portal names a document only by the UUID inside its links; the data lake gives an id. Either
 * link is enough to know the other.
 */
#include "portal_doc.h"

#include "portal_json.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

/* The UUID in ".../documentos/<uuid>/binario"; owned, NULL when there is none. */
static char *id_in_href(const char *href)
{
	static const char mark[] = "/documentos/";
	const char *at = strstr(href, mark);
	if (!at)
		return NULL;
	at += sizeof mark - 1;
	size_t n = strcspn(at, "/?#");
	return n ? xstrndup(at, n) : NULL;
}

/* May it stand in a path as it is? */
static bool is_plain(const char *id)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	return *id && *id != '.' && strspn(id, plain) == strlen(id);
}

/* Finds the id and the link of an entry. */
static void read_link(struct doc_entry *x, const struct cnj *number, const json_t *entry)
{
	char *href = portal_json_member(entry, "hrefBinario");
	char *text = portal_json_member(entry, "hrefTexto");
	char *id = portal_json_member(entry, "id");

	x->seen = id_in_href(href);
	if (!x->seen)
		x->seen = id_in_href(text);
	if (!x->seen && *id) {
		x->seen = id;
		id = NULL;
	}
	if (!*href && x->seen && is_plain(x->seen)) {
		xfree(href);
		href = xasprintf("/processos/%s/documentos/%s/binario", number->digits, x->seen);
	}
	if (*href) {
		x->doc.refs = xcalloc(1, sizeof *x->doc.refs);
		x->doc.refs[0] = (struct portal_ref){.id = xstrdup(x->seen), .href = href};
		x->doc.nrefs = 1;
		href = NULL;
	}
	xfree(href);
	xfree(text);
	xfree(id);
}

/* tipo is {nome, codigo}; only a name has been met too. */
static void read_type(struct portal_doc *d, const json_t *type)
{
	d->type = json_is_object(type) ? portal_json_member(type, "nome") : portal_json_text(type);
	if (!d->type)
		d->type = xstrdup("");
	d->type_code = portal_json_text(json_object_get(type, "codigo"));
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

bool doc_list_add(struct doc_list *l, const struct doc_place *place, const json_t *entry,
		  size_t position, struct err *e)
{
	if (l->n == DOC_LIST_MAX)
		return fail(e, ERR_FAIL, "the case lists more than %d documents", DOC_LIST_MAX);
	l->at = xgrow(l->at, l->n, &l->cap, sizeof *l->at);
	struct doc_entry *x = &l->at[l->n++];
	*x = (struct doc_entry){.position = position};
	struct portal_doc *d = &x->doc;

	read_link(x, place->number, entry);
	read_type(d, json_object_get(entry, "tipo"));
	d->origin_id = portal_json_text(json_object_get(entry, "idOrigem"));
	if (d->origin_id && !*d->origin_id) {
		xfree(d->origin_id);
		d->origin_id = NULL;
	}
	d->name = portal_json_member(entry, "nome");
	const json_t *filed = json_object_get(entry, "dataHoraJuntada");
	d->filed_at = json_is_string(filed) ? portal_json_text(filed) : xstrdup("");
	d->sequence = portal_json_int(json_object_get(entry, "sequencia"), -1);
	d->secrecy = max_int(place->secrecy, portal_json_secrecy(entry));
	const json_t *file = json_object_get(entry, "arquivo");
	d->declared_type = portal_json_text(json_object_get(file, "tipo"));
	d->declared_size = portal_json_int(json_object_get(file, "tamanho"), -1);
	d->court = xstrdup(place->court);
	d->degree = xstrdup(place->degree);
	d->proceeding = place->proceeding;
	return true;
}

void portal_doc_release(struct portal_doc *d)
{
	for (size_t i = 0; i < d->nrefs; i++) {
		xfree(d->refs[i].id);
		xfree(d->refs[i].href);
	}
	xfree(d->refs);
	xfree(d->id);
	xfree(d->origin_id);
	xfree(d->name);
	xfree(d->type);
	xfree(d->type_code);
	xfree(d->filed_at);
	xfree(d->declared_type);
	xfree(d->court);
	xfree(d->degree);
	*d = (struct portal_doc){0};
}

void doc_list_release(struct doc_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		portal_doc_release(&l->at[i].doc);
		xfree(l->at[i].seen);
	}
	xfree(l->at);
	*l = (struct doc_list){0};
}
