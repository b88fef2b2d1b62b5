/*
 * build - makes entries as the portal lists them: repeated names, gaps in the sequence, sizes that
 * are mostly small, `arquivo` that is mostly missing. Never decides which cases exist.
 */
#include "build.h"

#include "mix.h"
#include "sys.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PURPOSE_ID = 1, PURPOSE_STAMP, PURPOSE_LISTING, PURPOSE_PLAIN, PURPOSE_SIZE };

static const struct court courts[] = {
	{"TJSP", "Tribunal de Justiça do Estado de São Paulo", "JUSTICA_ESTADUAL", "826", "0100"},
	{"TRF3", "Tribunal Regional Federal da 3ª Região", "JUSTICA_FEDERAL", "403", "6100"},
	{"TJRJ", "Tribunal de Justiça do Estado do Rio de Janeiro", "JUSTICA_ESTADUAL", "819",
	 "0001"},
	{"TRT2", "Tribunal Regional do Trabalho da 2ª Região", "JUSTICA_TRABALHO", "502", "0001"},
};

static const struct {
	const char *type;
	int code;
	const char *name;
} papers[] = {
	{"Petição Inicial", 12, "Petição Inicial.pdf"},
	{"Procuração", 161, "procuracao.pdf"},
	{"Documento de Identificação", 58, "RG e CPF - parte sintetica.pdf"},
	{"Documento", 57, "Documento.pdf"},
	{"Comprovante", 60, "comprovante de residência 1/2.pdf"},
	{"Despacho", 73, "Despacho"},
	{"Decisão", 64, "Decisão"},
	{"Ato Ordinatório", 75, "Ato Ordinatório"},
	{"Certidão", 51, "Certidão de Publicação de Relação "},
	{"Petição", 32, "PETIÇÃO - juntada; 50% (réplica).pdf"},
	{"Contestação", 36, "contestacao.pdf"},
	{"Laudo Pericial", 99, "Laudo Pericial.pdf"},
	{"Sentença", 62, "Sentença"},
	{"Mandado", 83, "Mandado.rtf.pdf"},
	{"Ata de Audiência", 68, "Ata de Audiência"},
};
enum { PAPERS = sizeof papers / sizeof papers[0] };

const struct court *court_at(unsigned i)
{
	return &courts[i % (sizeof courts / sizeof courts[0])];
}

const struct court *court_of(unsigned id)
{
	return id < PLAIN_FIRST ? &courts[0] : court_at(id - PLAIN_FIRST);
}

unsigned build_proceeding(struct dossier *d, const struct court *court, int degree, int source)
{
	static const char *const instances[] = {"PRIMEIRO_GRAU", "SEGUNDO_GRAU"};
	static const char *const degrees[] = {"G1", "G2"};
	assert(d->nproceedings < PROCEEDINGS_MAX && degree >= 1 && degree <= 2);
	d->proceedings[d->nproceedings] = (struct proceeding){
		.court = court,
		.degree = degrees[degree - 1],
		.instance = instances[degree - 1],
		.number = degree,
		.source = source,
	};
	return d->nproceedings++;
}

/*
 * A UUID that looks like version 5 and says which document it is: the last 48 bits are the case id
 * and the index, covered by a function of the first 64.
 */
static void make_uuid(uint64_t seed, unsigned id, unsigned index, char out[static 37])
{
	uint64_t high = mix_of(seed, id, index, PURPOSE_ID);
	uint64_t low = ((uint64_t)id << 20 | index) ^ (mix64(high >> 32) & 0xffffffffffffULL);
	high = (high & 0xffffffffffff0fffULL) | 0x5000;
	snprintf(out, 37, "%08llx-%04llx-%04llx-%04llx-%012llx", (unsigned long long)(high >> 32),
		 (unsigned long long)(high >> 16 & 0xffff), (unsigned long long)(high & 0xffff),
		 (unsigned long long)(0x8000 | (mix64(high) & 0x3fff)),
		 (unsigned long long)(low & 0xffffffffffffULL));
}

static struct entry *append(const struct catalog *c, struct dossier *d, unsigned proceeding)
{
	d->entries = xrealloc(d->entries, (d->nentries + 1) * sizeof *d->entries);
	struct entry *e = &d->entries[d->nentries];
	memset(e, 0, sizeof *e);
	e->index = d->nentries++;
	e->proceeding = proceeding;
	make_uuid(c->seed, d->id, e->index, e->uuid);
	return e;
}

/* Median about 26 KB, a tenth between 100 and 500 KB, few up to 1.5 MB. */
static uint64_t draw_size(struct mix *m, bool small)
{
	uint64_t p = mix_below(m, 1000);
	if (small || p < 500)
		return 4000 + mix_below(m, 22000);
	if (p < 880)
		return 26000 + mix_below(m, 74000);
	if (p < 985)
		return 100000 + mix_below(m, 400000);
	return 500000 + mix_below(m, 1000000);
}

static void draw_date(struct mix *m, unsigned index, char out[static 32])
{
	static const char *const fractions[] = {"", ".6", ".63", ".632", ".632104"};
	int n = snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02u", 2024 + index / 360 % 2,
			 1 + index / 28 % 12, 1 + index % 28, 8 + (unsigned)mix_below(m, 11),
			 (unsigned)mix_below(m, 60), (unsigned)mix_below(m, 60));
	assert(n == 19);
	snprintf(out + n, 32 - (size_t)n, "%s", fractions[mix_below(m, 5)]);
}

struct entry *build_entry(const struct catalog *c, struct dossier *d, unsigned proceeding,
			  enum kind kind, uint64_t size)
{
	struct entry *e = append(c, d, proceeding);
	struct mix m = {.state = mix_of(c->seed, d->id, e->index, PURPOSE_LISTING)};
	unsigned which = (unsigned)mix_below(&m, PAPERS);
	e->paper = d->npapers++;
	e->kind = kind;
	e->stamp = mix_of(c->seed, d->id, e->index, PURPOSE_STAMP);
	e->target = size ? size : draw_size(&m, true);
	draw_date(&m, e->paper, e->date);
	e->type = papers[which].type;
	e->type_code = mix_below(&m, 3) ? papers[which].code : 0;
	build_name(e, papers[which].name);
	e->level = LEVEL_TEXT;
	e->level_text = "PUBLICO";
	e->codex = 5000000000ULL + ((uint64_t)d->id << 20) + e->index;
	snprintf(e->origin, sizeof e->origin, "PG5SINT%05u_%u_%u", d->id, e->index + 1,
		 (unsigned)mix_below(&m, 9) + 1);
	e->declared = mix_below(&m, 100) < 15 ? DECLARED_TRUE : DECLARED_NONE;
	return e;
}

struct entry *build_twin(const struct catalog *c, struct dossier *d, unsigned of,
			 unsigned proceeding)
{
	struct entry *e = append(c, d, proceeding);
	const struct entry *first = &d->entries[of];
	e->paper = first->paper;
	e->kind = first->kind;
	e->stamp = first->stamp;
	e->target = first->target;
	e->sequence = first->sequence;
	memcpy(e->date, first->date, sizeof e->date);
	memcpy(e->origin, first->origin, sizeof e->origin);
	e->type = first->type;
	e->type_code = first->type_code;
	e->level = first->level;
	e->level_text = first->level_text;
	e->codex = 6000000000ULL + ((uint64_t)d->id << 20) + e->index;
	build_name(e, first->name);
	return e;
}

static enum kind draw_kind(struct mix *m, const char *type)
{
	uint64_t p = mix_below(m, 100);
	if (strcmp(type, "Mandado") == 0)
		return KIND_RTF;
	if (strcmp(type, "Despacho") == 0 || strcmp(type, "Decisão") == 0 ||
	    strcmp(type, "Sentença") == 0 || strcmp(type, "Ato Ordinatório") == 0)
		return p < 60   ? KIND_HTML_FRAGMENT
		       : p < 85 ? KIND_HTML
		       : p < 95 ? KIND_HTML_127
				: KIND_HTML_21;
	return p == 0 ? KIND_JPEG : p == 1 ? KIND_PNG : KIND_PDF;
}

void build_plain(const struct catalog *c, struct dossier *d, unsigned n, bool small)
{
	unsigned first = build_proceeding(d, court_of(d->id), 1, 1);
	unsigned second = build_proceeding(d, court_of(d->id), 2, 1);
	for (unsigned i = 0; i < n; i++) {
		struct mix m = {.state = mix_of(c->seed, d->id, i, PURPOSE_PLAIN)};
		struct entry *e = build_entry(c, d, i < n - n / 3 ? first : second, KIND_PDF, 0);
		if (small)
			continue;
		if (c->size) { /* as asked for, give or take a tenth; only PDF has every size */
			e->target = c->size - c->size / 10 + mix_below(&m, c->size / 5 + 1);
			continue;
		}
		e->kind = draw_kind(&m, e->type);
		e->target = draw_size(&m, false);
	}
}

void build_name(struct entry *e, const char *name)
{
	char *copy = xstrdup(name); /* first: `name` may be the old one's */
	xfree(e->name);
	e->name = copy;
}

void build_fault(struct entry *e, const char *fault)
{
	e->fault = fault_find(fault);
	assert(e->fault);
	e->reason = e->fault->reason;
}

void build_finish(struct dossier *d)
{
	for (unsigned i = 0; i < d->nentries; i++) {
		struct entry *e = &d->entries[i];
		/* Twins copy the number of their first; the others count papers, with a gap
		 * after every seventh. */
		if (e->sequence == 0)
			e->sequence = (int)(1 + e->paper + e->paper / 7);
		struct body b;
		entry_body(e, &b);
		e->size = body_size(&b);
		body_release(&b);
	}
}
