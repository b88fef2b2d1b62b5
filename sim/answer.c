/*
 * answer - the detail of a case as JSON. Knows the portal's members; decides nothing about faults.
 */
#include "answer.h"

#include "build.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void set(json_t *o, const char *key, json_t *value)
{
	int failed = json_object_set_new(o, key, value);
	assert(!failed);
}

json_t *answer_id(const struct dossier *d, uint64_t value, unsigned salt)
{
	bool text = d->ids == IDS_STRINGS || (d->ids == IDS_MIXED && (value + salt) % 3 == 0);
	if (!text)
		return json_integer((json_int_t)value);
	return json_sprintf("%llu", (unsigned long long)value);
}

json_t *answer_court(const struct court *court)
{
	return json_pack("{s:s,s:s,s:s,s:s}", "sigla", court->sigla, "nome", court->name,
			 "segmento", court->segment, "jtr", court->jtr);
}

json_t *answer_class(const struct dossier *d)
{
	return json_pack("[{s:o,s:s}]", "codigo", answer_id(d, 7, 2), "descricao",
			 "Procedimento Comum Cível");
}

json_t *answer_subject(const struct dossier *d)
{
	return json_pack("[{s:o,s:s,s:s}]", "codigo", answer_id(d, 10433, 1), "descricao",
			 "Indenização por Dano Moral", "hierarquia",
			 "(10433) Indenização por Dano Moral | (10431) Responsabilidade Civil | "
			 "(899) DIREITO CIVIL");
}

void answer_oab(unsigned id, char out[static 16])
{
	snprintf(out, 16, "SP%06u", 999001 + id % 5);
}

static json_t *lawyer(const struct dossier *d, unsigned which)
{
	char cpf[12], oab[16];
	text_cpf(d->id % 5, 5 + which, cpf);
	answer_oab(d->id, oab);
	json_t *number = d->numeric_parties || which ? json_integer(strtoll(cpf, NULL, 10))
						     : json_string(cpf);
	return json_pack("{s:s,s:o,s:s,s:[{s:s,s:s}],s:[{s:o,s:s}]}", "tipoRepresentacao",
			 "ADVOGADO", "nome",
			 json_sprintf("ADVOGADA SINTETICA %03u", d->id % 5 * 2 + which), "situacao",
			 "ATIVO", "oab", "numero", oab + 2, "uf", "SP", "cadastroReceitaFederal",
			 "numero", number, "tipo", "CPF");
}

static json_t *party(const struct dossier *d, unsigned which, const char *pole)
{
	char cpf[12];
	text_cpf(which ? d->id : d->id % 5, which, cpf);
	json_t *number =
		d->numeric_parties ? json_integer(strtoll(cpf, NULL, 10)) : json_string(cpf);
	return json_pack("{s:s,s:s,s:o,s:[],s:s,s:b,s:b,s:[{s:o,s:s}],s:[o]}", "polo", pole,
			 "tipoParte", which ? "REU" : "AUTOR", "nome",
			 json_sprintf("PARTE SINTETICA %05u-%u", which ? d->id : d->id % 5, which),
			 "outrosNomes", "tipoPessoa", "FISICA", "sigilosa", 0,
			 "assistenciaJudiciariaGratuita", which == 0, "documentosPrincipais",
			 "numero", number, "tipo", "CPF", "representantes", lawyer(d, which));
}

json_t *answer_parties(const struct dossier *d)
{
	json_t *list = json_pack("[o,o]", party(d, 0, "ATIVO"), party(d, 1, "PASSIVO"));
	json_t *company =
		json_pack("{s:s,s:s,s:s,s:s,s:b,s:[{s:s,s:s}]}", "polo", "PASSIVO", "tipoParte",
			  "REU", "nome", "EMPRESA SINTETICA LTDA", "tipoPessoa", "JURIDICA",
			  "sigilosa", 0, "documentosPrincipais", "numero",
			  d->numeric_parties ? "00SINTET0001ZZ" : "00000000000100", "tipo", "CNPJ");
	json_array_append_new(list, company);
	if (d->numeric_parties) /* a secret party has no name */
		json_array_append_new(list,
				      json_pack("{s:s,s:b}", "polo", "TERCEIRO", "sigilosa", 1));
	assert(list && json_array_size(list) >= 3);
	return list;
}

static json_t *href_value(const struct catalog *c, const struct dossier *d, const struct entry *e,
			  const char *leaf)
{
	const char *host = e->href == HREF_ABSOLUTE ? c->address : c->foreign;
	bool absolute = e->href == HREF_ABSOLUTE || e->href == HREF_FOREIGN;
	bool prefixed = absolute || e->href == HREF_PREFIXED;
	return json_sprintf("%s%s%s/processos/%s/documentos/%s/%s", absolute ? "http://" : "",
			    absolute ? host : "", prefixed ? "/api/v2" : "", d->number.masked,
			    e->uuid, leaf);
}

static json_t *file_value(const struct entry *e)
{
	bool wrong = e->declared == DECLARED_WRONG;
	const char *type = wrong ? "text/html" : paper_declared_type(e->kind);
	json_int_t size = (json_int_t)(wrong ? e->size * 3 + 17 : e->size);
	return json_pack("{s:s,s:I,s:I,s:i,s:i}", "tipo", type, "tamanho", size, "tamanhoTexto",
			 (json_int_t)(size / 12), "quantidadePaginas", 0, "quantidadeImagens", 0);
}

static json_t *type_value(const struct dossier *d, const struct entry *e)
{
	json_t *type = json_pack("{s:s,s:o,s:s}", "nome", e->type, "idCodex",
				 answer_id(d, 900 + (unsigned)e->type_code, 0), "idOrigem",
				 e->type_code ? "sint" : "0");
	if (e->type_code)
		set(type, "codigo", answer_id(d, (unsigned)e->type_code, e->index));
	return type;
}

static json_t *document(const struct catalog *c, const struct dossier *d, const struct entry *e)
{
	json_t *o = json_object();
	set(o, "sequencia", json_integer(e->sequence));
	set(o, "dataHoraJuntada", json_string(e->date));
	set(o, "idCodex", answer_id(d, e->codex, e->index));
	if (d->ids == IDS_NUMBERS)
		set(o, "idOrigem", json_integer(900000000 + (json_int_t)e->paper));
	else if (e->origin[0])
		set(o, "idOrigem", json_string(e->origin));
	if (e->name || e->name_null)
		set(o, "nome", e->name ? json_string(e->name) : json_null());
	if (e->level != LEVEL_ABSENT)
		set(o, "nivelSigilo",
		    e->level == LEVEL_TEXT ? json_string(e->level_text) : json_integer(e->level));
	set(o, "tipo", type_value(d, e));
	if (e->href != HREF_NONE && e->href != HREF_TEXT_ONLY)
		set(o, "hrefBinario", href_value(c, d, e, "binario"));
	if (e->href != HREF_NONE)
		set(o, "hrefTexto", href_value(c, d, e, "texto"));
	if (e->declared != DECLARED_NONE)
		set(o, "arquivo", file_value(e));
	return o;
}

/* The documents of one proceeding, highest sequence first. */
static json_t *documents(const struct catalog *c, const struct dossier *d, unsigned proceeding)
{
	json_t *list = json_array();
	for (unsigned i = d->nentries; i-- > 0;)
		if (d->entries[i].proceeding == proceeding)
			json_array_append_new(list, document(c, d, &d->entries[i]));
	return list;
}

static json_t *movements(const struct dossier *d)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < 12; i++)
		json_array_append_new(
			list, json_pack("{s:o,s:s}", "dataHora",
					json_sprintf("2024-%02u-11T1%u:22:33.%u", 12 - i, i % 10,
						     (d->id + i) % 1000),
					"descricao",
					i % 2 ? "Juntada de Petição" : "Conclusos para Despacho"));
	return list;
}

static json_t *distribution(const struct dossier *d, const struct proceeding *p)
{
	return json_pack("[{s:s,s:[{s:o,s:s}],s:{s:i,s:s,s:s}}]", "dataHora", "2024-01-02T10:00:00",
			 "orgaoJulgador", "id", answer_id(d, 1000 + (unsigned)p->number, 0), "nome",
			 "1ª Vara Sintética", "orgaoJulgadorLocal", "id", -1, "idOrigem", "1",
			 "nome", "1ª Vara Sintética do Foro Simulado");
}

static json_t *proceeding(const struct catalog *c, const struct dossier *d, unsigned i)
{
	const struct proceeding *p = &d->proceedings[i];
	bool current = i == 0 && !d->without_current;
	json_t *o = json_pack(
		"{s:s,s:o,s:b,s:s,s:s,s:{s:s,s:s,s:i},s:f,s:o,s:o,s:o}", "idOrigem", "SINTETICO",
		"idFonteDadosCodex", answer_id(d, (unsigned)p->source, 1), "ativo", 1,
		"dataHoraAjuizamento", "2024-01-02T10:00:00.5", "instancia", p->instance, "grau",
		"sigla", p->degree, "nome", p->number == 1 ? "1º Grau" : "2º Grau", "numero",
		p->number, "valorAcao", 1000.5, "tribunal", answer_court(p->court), "classe",
		answer_class(d), "assunto", answer_subject(d));
	assert(o);
	set(o, current ? "distribuicao" : "distribuicoes", distribution(d, p));
	set(o, "movimentos", movements(d));
	set(o, "partes", answer_parties(d));
	set(o, "documentos", documents(c, d, i));
	set(o, "processosRelacionados", json_array());
	set(o, "permitePeticionar", json_false());
	if (current)
		return o;
	set(o, "idCodex", answer_id(d, 7000000000ULL + i, 0));
	set(o, "liminar", json_false());
	set(o, "justicaGratuita", json_true());
	set(o, "nivelSigilo", json_integer(d->level));
	return o;
}

static json_t *case_value(const struct catalog *c, const struct dossier *d)
{
	struct cnj shown = d->number;
	if (d->detail_shape == DETAIL_OTHER_NUMBER)
		case_number(d->id + 1, &shown);
	json_t *o = json_pack("{s:s,s:s,s:i}", "numeroProcesso",
			      d->id % 2 ? shown.masked : shown.digits, "siglaTribunal",
			      d->proceedings[0].court->sigla, "nivelSigilo", d->level);
	unsigned i = 0;
	if (!d->without_current)
		set(o, "tramitacaoAtual", proceeding(c, d, i++));
	if (i < d->nproceedings) {
		json_t *others = json_array();
		for (; i < d->nproceedings; i++)
			json_array_append_new(others, proceeding(c, d, i));
		set(o, "tramitacoes", others);
	}
	return o;
}

static json_t *detail_value(const struct catalog *c, const struct dossier *d)
{
	switch (d->detail_shape) {
	case DETAIL_OBJECT:
		return case_value(c, d);
	case DETAIL_CONTENT:
		return json_pack("{s:[o]}", "content", case_value(c, d));
	case DETAIL_EMPTY_ARRAY:
		return json_array();
	case DETAIL_ARRAY:
	case DETAIL_OTHER_NUMBER:
		break;
	}
	return json_pack("[o]", case_value(c, d));
}

const char *answer_detail(struct catalog *c, struct dossier *d)
{
	pthread_mutex_lock(&d->lock);
	if (!d->detail) {
		json_t *value = detail_value(c, d);
		char *text = json_dumps(value, JSON_COMPACT);
		assert(text);
		d->detail = xstrdup(text);
		xfree(text);
		json_decref(value);
	}
	pthread_mutex_unlock(&d->lock);
	return d->detail;
}
