/*
 * search - the list answers: by number, by lawyer, by party, or of everything when the portal does
 * not understand what it was asked. Knows cursors and page shapes; never a document.
 */
#include "answer.h"

#include "build.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_ELEMENTS = 100, MOVEMENTS = 12, STRANGER = 900, FOUND_MAX = CASE_IDS };

/* The first half of a cursor is this plus a position: it looks like a moment in milliseconds. */
static const long long CURSOR_BASE = 1718000000000LL;

struct page {
	json_t *items; /* owned */
	long long total;
	long long next; /* position of the next page, -1 at the end */
	unsigned max;   /* maxElementsSize */
};

static json_t *movement(const struct dossier *d, unsigned i)
{
	json_t *o = json_pack("{s:i,s:o,s:s,s:{s:s,s:s,s:s,s:[{s:s,s:s,s:{s:o,s:s}}]},s:{s:s,s:s}}",
			      "sequencia", (int)(MOVEMENTS - i), "dataHora",
			      json_sprintf("2024-%02u-11T1%u:22:33", 12 - i, i % 10), "descricao",
			      i % 2 ? "Juntada de Petição" : "Conclusos para Despacho", "tipo",
			      "nome", i % 2 ? "Petição" : "Conclusão", "descricao", "Ato simulado",
			      "hierarquia", "Serventuário | Escrivão", "complementos", "nome",
			      "tipo_de_peticao", "categoria", "TABELADO", "valor", "codigo",
			      answer_id(d, 57 + i, i), "descricao", "Petição (outras)", "usuario",
			      "nome", "SERVIDOR SINTETICO", "login", "sintetico");
	if (i < d->nentries && i % 2)
		json_object_set_new(o, "idDocumento", json_string(d->entries[i].uuid));
	return o;
}

static json_t *list_proceeding(const struct dossier *d, unsigned i)
{
	const struct proceeding *p = &d->proceedings[i];
	json_t *moves = json_array();
	for (unsigned k = 0; k < MOVEMENTS; k++)
		json_array_append_new(moves, movement(d, k));
	return json_pack("{s:o,s:o,s:b,s:b,s:i,s:s,s:s,s:f,s:o,s:{s:o,s:s},s:o,s:o,s:{s:s,s:s},s:o,"
			 "s:o,s:b}",
			 "idCodex", answer_id(d, 7000000000ULL + i, 0), "idFonteDadosCodex",
			 answer_id(d, (unsigned)p->source, 1), "ativo", 1, "liminar", 0,
			 "nivelSigilo", d->level, "dataHoraAjuizamento", "2024-01-02T10:00:00.5",
			 "dataHoraUltimaDistribuicao", "2024-01-02T10:00:00", "valorAcao", 1000.5,
			 "tribunal", answer_court(p->court), "orgaoJulgador", "id",
			 answer_id(d, 1000 + (unsigned)p->number, 0), "nome", "1ª Vara Sintética",
			 "classe", answer_class(d), "assunto", answer_subject(d), "ultimoMovimento",
			 "dataHora", "2024-12-11T10:22:33", "descricao", "Conclusos para Despacho",
			 "movimentos", moves, "partes", answer_parties(d), "permitePeticionar", 0);
}

static json_t *item(const struct dossier *d)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < d->nproceedings; i++)
		json_array_append_new(list, list_proceeding(d, i));
	return json_pack("{s:s,s:i,s:o,s:s,s:o}", "numeroProcesso", d->number.digits, "nivelSigilo",
			 d->level, "idCodexTribunal", answer_id(d, 26, 2), "siglaTribunal",
			 d->proceedings[0].court->sigla, "tramitacoes", list);
}

/* The item of a number that is not the one asked for. */
static json_t *stranger(unsigned which)
{
	struct cnj other;
	case_number(STRANGER + which, &other);
	return json_pack("{s:s,s:i,s:s,s:[]}", "numeroProcesso", other.digits, "nivelSigilo", 0,
			 "siglaTribunal", "TJSP", "tramitacoes");
}

static void release_page(struct page *p)
{
	json_decref(p->items);
}

/* What a page of a number's list holds from position `at` on. */
static void fill_number_page(const struct dossier *d, long long at, struct page *p)
{
	enum { PAGED = 5, LATE_STRANGERS = 4 };
	p->total = 1;
	switch (d->list_shape) {
	case LIST_PAGED:
	case LIST_PAGED_LATE:
		p->max = 2;
		p->total = PAGED;
		break;
	case LIST_CURSOR_UNDERSCORE:
	case LIST_CURSOR_NEXT:
		p->max = 1;
		p->total = 2;
		break;
	case LIST_CURSOR_LOOP:
		p->max = 1;
		p->total = 1000;
		break;
	case LIST_IGNORES_FILTER:
		p->total = 3;
		break;
	case LIST_EMPTY:
		p->total = 0;
		break;
	case LIST_OBJECT:
	case LIST_BARE:
	case LIST_CONTENT:
	case LIST_DATA:
	case LIST_TOTAL_OBJECT:
		break;
	}
	for (unsigned i = 0; i < p->max && at + i < p->total; i++) {
		bool other = d->list_shape == LIST_IGNORES_FILTER ||
			     (d->list_shape == LIST_PAGED_LATE && at + i < LATE_STRANGERS);
		json_array_append_new(p->items, other ? stranger((unsigned)(at + i)) : item(d));
	}
	p->next = json_array_size(p->items) ? at + (long long)json_array_size(p->items) : -1;
	if (d->list_shape == LIST_CURSOR_LOOP)
		p->next = 1;
}

static json_t *cursor_value(const struct page *p)
{
	return json_pack("[I,o]", (json_int_t)(CURSOR_BASE + p->next),
			 json_sprintf("TJSP_%lld", p->next));
}

static json_t *page_value(enum list_shape shape, struct page *p)
{
	json_t *items = json_incref(p->items);
	if (shape == LIST_BARE)
		return items;
	if (shape == LIST_CONTENT)
		return json_pack("{s:o}", "content", items);
	const char *cursor = shape == LIST_CURSOR_UNDERSCORE ? "search_after"
			     : shape == LIST_CURSOR_NEXT     ? "nextSearchAfter"
							     : "searchAfter";
	json_t *total =
		shape == LIST_TOTAL_OBJECT
			? json_pack("{s:I,s:s}", "value", (json_int_t)p->total, "relation", "eq")
			: json_integer(p->total);
	json_t *o = json_pack("{s:o,s:i,s:i}", "total", total, "numberOfElements",
			      (int)json_array_size(items), "maxElementsSize", (int)p->max);
	if (p->next >= 0)
		json_object_set_new(o, cursor, cursor_value(p));
	json_object_set_new(o, shape == LIST_DATA ? "data" : "content", items);
	return o;
}

static char *page_text(enum list_shape shape, struct page *p)
{
	json_t *value = page_value(shape, p);
	char *made = json_dumps(value, JSON_COMPACT);
	assert(made);
	char *text = xstrdup(made);
	xfree(made);
	json_decref(value);
	return text;
}

/* "1718000000123,TJSP_123" to 123; -1 when it is not such a cursor. */
static long long cursor_position(const char *cursor)
{
	char *end = NULL;
	long long ms = strtoll(cursor, &end, 10);
	if (end == cursor || *end != ',' || ms < CURSOR_BASE || ms > CURSOR_BASE + FOUND_MAX)
		return -1;
	return ms - CURSOR_BASE;
}

static int search_number(struct catalog *c, const char *number, long long at, char **text)
{
	struct cnj parsed;
	struct err e;
	struct page p = {.items = json_array(), .next = -1, .max = PAGE_ELEMENTS};
	struct dossier *d = NULL;
	if (cnj_parse(number, strlen(number), &parsed, &e))
		d = catalog_by_number(c, &parsed);
	if (d && d->list_shape == LIST_OBJECT && at == 0) { /* the usual case: made once */
		pthread_mutex_lock(&d->lock);
		if (!d->list) {
			fill_number_page(d, at, &p);
			d->list = page_text(d->list_shape, &p);
		}
		pthread_mutex_unlock(&d->lock);
		*text = xstrdup(d->list);
	} else {
		if (d)
			fill_number_page(d, at, &p);
		*text = page_text(d ? d->list_shape : LIST_OBJECT, &p);
	}
	release_page(&p);
	return 200;
}

static bool matches(const struct search *q, unsigned id)
{
	if (!q->oab && !q->cpf)
		return true;
	if (id < PLAIN_FIRST)
		return false;
	if (q->oab) {
		char oab[16];
		answer_oab(id, oab);
		return strcmp(oab, q->oab) == 0;
	}
	unsigned a = 0, b = 0;
	if (!text_cpf_read(q->cpf, &a, &b))
		return false;
	return b == 0 ? a == id % 5 : b == 1 && a == id;
}

static int search_many(struct catalog *c, const struct search *q, unsigned after, char **text)
{
	struct page p = {.items = json_array(), .next = -1, .max = PAGE_ELEMENTS};
	unsigned long size = q->size ? strtoul(q->size, NULL, 10) : PAGE_ELEMENTS;
	if (size > 0 && size < PAGE_ELEMENTS)
		p.max = (unsigned)size;
	for (unsigned id = 0; (id = catalog_next(c, id)) != 0;) {
		if (!matches(q, id))
			continue;
		p.total++;
		if (id <= after || json_array_size(p.items) == p.max)
			continue;
		json_array_append_new(p.items, item(catalog_case(c, id)));
		p.next = id;
	}
	/* Behind its last page a search by lawyer ends with 404, the others with an empty page. */
	bool absent = q->oab && json_array_size(p.items) == 0;
	if (!absent)
		*text = page_text(LIST_OBJECT, &p);
	release_page(&p);
	return absent ? 404 : 200;
}

int answer_search(struct catalog *c, const struct search *q, char **text)
{
	long long at = 0;
	*text = NULL;
	if (q->cursor && (at = cursor_position(q->cursor)) < 0)
		return 404;
	if (q->number)
		return search_number(c, q->number, at, text);
	return search_many(c, q, (unsigned)at, text);
}
