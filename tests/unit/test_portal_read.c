/*
 * The two JSON answers: every shape that was met, every shape that must not be believed. All data
 * is made up.
 */
#include "portal.h"

#include "buf.h"
#include "sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define NUMBER "\"numeroProcesso\":\"00000013920248260100\""
#define MASKED "\"numeroProcesso\":\"0000001-39.2024.8.26.0100\""
#define OTHER "\"numeroProcesso\":\"12345676420234036100\""
#define U(n) "00000000-0000-5000-8000-00000000000" #n
#define HREF(n) "/processos/0000001-39.2024.8.26.0100/documentos/" U(n) "/binario"

static const struct cnj number = {
	.digits = "00000013920248260100", .masked = "0000001-39.2024.8.26.0100", .court = "TJSP"};

/* ---- The list ---- */

static const struct {
	const char *json, *previous;
	bool found;
	int secrecy;
	const char *cursor;
} lists[] = {
	{"{\"total\":1,\"content\":[{" NUMBER ",\"nivelSigilo\":0}]}", NULL, true, 0, NULL},
	{"{\"data\":[{" MASKED ",\"nivelSigilo\":\"SIGILO_MEDIO\"}]}", NULL, true, 3, NULL},
	{"[{" NUMBER ",\"nivelSigilo\":\"1\"}]", NULL, true, 1, NULL},
	{"{" NUMBER "}", NULL, true, 0, NULL},
	{"{\"content\":{" NUMBER "}}", NULL, true, 0, NULL},
	{"{\"content\":[{\"numeroProcesso\":13920248260100}]}", NULL, true, 0, NULL},
	{"{\"content\":[{\"numeroProcesso\":100000013920248260100}]}", NULL, false, 0, NULL},
	{"{\"content\":[{\"numeroProcesso\":{}},7,null,[]]}", NULL, false, 0, NULL},
	{"{\"content\":[{" NUMBER ",\"tramitacoes\":[{\"nivelSigilo\":0},{\"nivelSigilo\":2}]}]}",
	 NULL, true, 2, NULL},
	{"{\"content\":[{" NUMBER ",\"nivelSigilo\":true}]}", NULL, true, 5, NULL},
	{"{\"content\":[{" OTHER "}]}", NULL, false, 0, NULL},
	{"{\"content\":[]}", NULL, false, 0, NULL},
	{"[]", NULL, false, 0, NULL},
	{"{\"total\":0}", NULL, false, 0, NULL},
	{"{\"total\":{\"value\":0},\"content\":null}", NULL, false, 0, NULL},
	/* paging */
	{"{\"content\":[{" OTHER "}],\"searchAfter\":[1718000000000,\"TJSP_1\"]}", NULL, false, 0,
	 "1718000000000,TJSP_1"},
	{"{\"content\":[{" NUMBER "}],\"search_after\":[9223372036854775808,1.10,-5]}", NULL, true,
	 0, "9223372036854775808,1.10,-5"},
	{"{\"content\":[{" OTHER "}],\"nextSearchAfter\":\"abc,d\"}", NULL, false, 0, "abc,d"},
	{"{\"content\":[{" OTHER "}],\"searchAfter\":null,\"search_after\":[1]}", NULL, false, 0,
	 "1"},
	{"{\"content\":[{" OTHER "}],\"searchAfter\":[1,\"a\"]}", "1,a", false, 0, NULL},
	{"{\"content\":[{" OTHER "}],\"searchAfter\":[2,\"a\"]}", "1,a", false, 0, "2,a"},
	{"{\"content\":[],\"searchAfter\":[1]}", NULL, false, 0, NULL},
	{"{\"content\":[{" OTHER "}],\"searchAfter\":[]}", NULL, false, 0, NULL},
	{"{\"content\":[{" OTHER "}],\"searchAfter\":\"\"}", NULL, false, 0, NULL},
	{"{\"content\":[{" OTHER "}],\"searchAfter\":{\"a\":1}}", NULL, false, 0, NULL},
	{"{\"content\":[{" OTHER "}],\"searchAfter\":[[1]]}", NULL, false, 0, NULL},
	{"{\"content\":[{" OTHER "}],\"maxElementsSize\":100,\"searchAfter\":[1]}", NULL, false, 0,
	 NULL},
	{"{\"content\":[{" OTHER "}],\"maxElementsSize\":1,\"searchAfter\":[1]}", NULL, false, 0,
	 "1"},
	{"{\"content\":[{" OTHER "}],\"maxElementsSize\":\"x\",\"searchAfter\":[1]}", NULL, false,
	 0, "1"},
	{"\xef\xbb\xbf{\"content\":[{" NUMBER "}]}", NULL, true, 0, NULL},
};

static void test_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct portal_page p;
		struct err e;
		const char *json = lists[i].json;
		if (!portal_read_list(&number, lists[i].previous, json, strlen(json), &p, &e))
			fail_msg("%s: %s", json, e.text);
		if (p.found != lists[i].found || p.secrecy != lists[i].secrecy ||
		    strcmp(p.cursor ? p.cursor : "-", lists[i].cursor ? lists[i].cursor : "-") != 0)
			fail_msg("%s: found %d, secrecy %d, cursor %s", json, p.found, p.secrecy,
				 p.cursor ? p.cursor : "-");
		portal_page_release(&p);
		portal_page_release(&p);
	}
}

static const struct {
	const char *json, *says;
} no_lists[] = {
	{"", "not JSON: cut off at line 1"},
	{"null", "not JSON"},
	{"7", "not JSON"},
	{"\"x\"", "not JSON"},
	{"<html></html>", "not JSON: malformed at line 1"},
	{"{\"content\":[", "not JSON: cut off at line 1, byte 12"},
	{"{\"content\":[1.2.3]}", "not JSON: malformed"},
	{"{\"content\":[01]}", "not JSON: malformed"},
	{"{\"content\":[]}x", "not JSON: followed by something else"},
	{"{\"content\":[\"\xff\"]}", "not JSON: not UTF-8 at line 1"},
	{"{}", "holds no list of cases"},
	{"{\"content\":7}", "holds no list of cases"},
	{"{\"total\":3}", "holds no list of cases"},
	{"{\"status\":500,\"error\":\"Fulano de Tal\",\"message\":\"Fulano\"}", "an error object"},
};

static void test_no_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_lists / sizeof *no_lists; i++) {
		struct portal_page p;
		struct err e = {0};
		const char *json = no_lists[i].json;
		assert_false(portal_read_list(&number, NULL, json, strlen(json), &p, &e));
		assert_int_equal(e.kind, ERR_FAIL);
		if (!strstr(e.text, no_lists[i].says))
			fail_msg("%s: %s", json, e.text);
		assert_null(strstr(e.text, "Fulano"));
		assert_null(p.cursor);
	}
}

/* The position named is the one in what was sent, numbers that were kept as text or not. */
static void test_error_position(void **state)
{
	(void)state;
	static const char json[] = "[1.5,1.5,12345678901234567890,x]";
	struct portal_page p;
	struct err e;
	assert_false(portal_read_list(&number, NULL, json, strlen(json), &p, &e));
	assert_non_null(strstr(e.text, "line 1, byte "));
	int byte = 0;
	assert_int_equal(sscanf(strstr(e.text, "byte "), "byte %d", &byte), 1);
	assert_true(byte >= 29 && byte <= 33);
}

static void test_long_cursor(void **state)
{
	(void)state;
	char *json = xasprintf("{\"content\":[{" OTHER "}],\"searchAfter\":[\"%05000d\"]}", 1);
	struct portal_page p;
	struct err e;
	assert_true(portal_read_list(&number, NULL, json, strlen(json), &p, &e));
	assert_null(p.cursor);
	xfree(json);
}

static void test_secrecy(void **state)
{
	(void)state;
	assert_int_equal(portal_secrecy(NULL), 0);
	assert_int_equal(portal_secrecy(""), 0);
	assert_int_equal(portal_secrecy("PUBLICO"), 0);
	assert_int_equal(portal_secrecy("0"), 0);
	assert_int_equal(portal_secrecy("4"), 4);
	assert_int_equal(portal_secrecy("6"), 5);
	assert_int_equal(portal_secrecy("-1"), 5);
	assert_int_equal(portal_secrecy("00"), 5);
	assert_int_equal(portal_secrecy("SEGREDO_JUSTICA"), 1);
	assert_int_equal(portal_secrecy("sigilo_minimo"), 2);
	assert_int_equal(portal_secrecy("SIGILO_INTENSO"), 4);
	assert_int_equal(portal_secrecy("SIGILO_ABSOLUTO"), 5);
	assert_int_equal(portal_secrecy("???"), 5);
}

/* ---- The case file ---- */

static struct portal_case read_ok(const char *json)
{
	struct portal_case c;
	struct err e;
	if (!portal_read_detail(&number, json, strlen(json), &c, &e))
		fail_msg("%s: %s", json, e.text);
	return c;
}

static const char full[] =
	"[{\"nivelSigilo\":1,\"siglaTribunal\":\"TJSP\"," MASKED ",\"tramitacaoAtual\":{"
	"\"tribunal\":{\"sigla\":\"TJSP\"},\"grau\":{\"sigla\":\"G1\",\"numero\":1},"
	"\"instancia\":\"PRIMEIRO_GRAU\",\"assunto\":[{\"descricao\":\"Dano moral\"}],"
	"\"classe\":[{\"codigo\":7,\"descricao\":\"Procedimento Comum\"}],\"documentos\":["
	"{\"sequencia\":2,\"dataHoraJuntada\":\"2024-01-03T09:10:52.632\",\"idCodex\":4294967297123,"
	"\"idOrigem\":\"PG5_2\",\"nome\":\"a/b.pdf\",\"nivelSigilo\":\"SIGILO_MINIMO\","
	"\"tipo\":{\"codigo\":\"60\",\"nome\":\"Peti\xc3\xa7\xc3\xa3o\"},\"hrefBinario\":\"" HREF(
		2) "\","
		   "\"arquivo\":{\"tipo\":\"application/pdf\",\"tamanho\":123,\"quantidadePaginas\":0}},"
		   "{\"sequencia\":1,\"dataHoraJuntada\":\"2024-01-02T10:00:00\",\"nome\":\"c\\u0000d\","
		   "\"tipo\":{\"codigo\":5},\"hrefTexto\":\"/processos/x/documentos/" U(
			   1) "/texto\"}]},"
			      "\"tramitacoes\":[{\"nivelSigilo\":3,\"instancia\":\"SEGUNDO_GRAU\","
			      "\"documentos\":[{\"idOrigem\":77,\"tipo\":\"Ac\xc3\xb3rd\xc3\xa3o\"}]}]}]";

static void test_full(void **state)
{
	(void)state;
	struct portal_case c = read_ok(full);
	assert_string_equal(c.court, "TJSP");
	assert_string_equal(c.subject, "Dano moral");
	assert_string_equal(c.class_name, "Procedimento Comum");
	assert_int_equal(c.secrecy, 1);
	assert_int_equal(c.proceedings, 2);
	assert_int_equal(c.listed, 3);
	assert_int_equal(c.ndocs, 3);

	const struct portal_doc *d = &c.docs[0];
	assert_string_equal(d->id, U(1));
	assert_int_equal(d->nrefs, 1);
	assert_string_equal(d->refs[0].href,
			    "/processos/00000013920248260100/documentos/" U(1) "/binario");
	assert_string_equal(d->name, "c d");
	assert_string_equal(d->type, "");
	assert_string_equal(d->type_code, "5");
	assert_null(d->origin_id);
	assert_null(d->declared_type);
	assert_int_equal(d->declared_size, -1);
	assert_int_equal(d->secrecy, 1);

	d = &c.docs[1];
	assert_string_equal(d->id, U(2));
	assert_string_equal(d->refs[0].id, U(2));
	assert_string_equal(d->refs[0].href, HREF(2));
	assert_string_equal(d->origin_id, "PG5_2");
	assert_string_equal(d->name, "a/b.pdf");
	assert_string_equal(d->type, "Peti\xc3\xa7\xc3\xa3o");
	assert_string_equal(d->type_code, "60");
	assert_string_equal(d->filed_at, "2024-01-03T09:10:52.632");
	assert_int_equal(d->sequence, 2);
	assert_int_equal(d->secrecy, 2);
	assert_string_equal(d->declared_type, "application/pdf");
	assert_int_equal(d->declared_size, 123);
	assert_string_equal(d->court, "TJSP");
	assert_string_equal(d->degree, "G1");
	assert_int_equal(d->proceeding, 0);

	d = &c.docs[2];
	assert_string_equal(d->id, "origem-77");
	assert_int_equal(d->nrefs, 0);
	assert_string_equal(d->type, "Ac\xc3\xb3rd\xc3\xa3o");
	assert_string_equal(d->filed_at, "");
	assert_int_equal(d->sequence, -1);
	assert_int_equal(d->secrecy, 3);
	assert_string_equal(d->court, "");
	assert_string_equal(d->degree, "SEGUNDO_GRAU");
	assert_int_equal(d->proceeding, 1);
	portal_case_release(&c);
	portal_case_release(&c);
}

static void test_shapes(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		int proceedings;
		size_t docs;
	} rows[] = {
		{"{" NUMBER "}", 0, 0},
		{"{\"content\":[{" NUMBER ",\"tramitacaoAtual\":{}}]}", 1, 0},
		{"{\"data\":{" NUMBER ",\"tramitacaoAtual\":null,\"tramitacoes\":null}}", 0, 0},
		{"[{" NUMBER ",\"tramitacoes\":{\"documentos\":{\"id\":\"a\"}}}]", 1, 1},
		{"[{" OTHER ",\"tramitacaoAtual\":{\"documentos\":[{},{}]}},{" NUMBER
		 ",\"tramitacaoAtual\":{\"documentos\":[{}]}}]",
		 1, 1},
		{"[{" MASKED
		 ",\"tramitacaoAtual\":{\"documentos\":[{\"id\":\"a\"},{\"id\":\"b\"}]}},{" NUMBER
		 ",\"tramitacaoAtual\":{\"documentos\":[{\"id\":\"b\"},{\"id\":\"c\"}]}}]",
		 2, 3},
		{"[{" NUMBER ",\"tramitacaoAtual\":{\"documentos\":[{\"id\":\"a\"}]},"
		 "\"documentos\":[{\"id\":\"b\"},{\"id\":\"a\"}]}]",
		 2, 2},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct portal_case c = read_ok(rows[i].json);
		assert_int_equal(c.proceedings, rows[i].proceedings);
		assert_int_equal(c.ndocs, rows[i].docs);
		portal_case_release(&c);
	}
}

static const struct {
	const char *json;
	enum err_kind kind;
	const char *says;
} no_details[] = {
	{"[]", ERR_ABSENT, "empty"},
	{"{\"content\":[]}", ERR_ABSENT, "empty"},
	{"[{" OTHER "}]", ERR_FAIL, "another case"},
	{"[{}]", ERR_FAIL, "another case"},
	{"{}", ERR_FAIL, "no list of cases"},
	{"[7]", ERR_FAIL, "entry 1 of the answer is not a case"},
	{"[null]", ERR_FAIL, "entry 1"},
	{"{\"status\":500,\"message\":\"x\"}", ERR_FAIL, "error object"},
	{"[{\"status\":500,\"message\":\"x\"}]", ERR_FAIL, "error object"},
	{"[{" NUMBER ",\"tramitacaoAtual\":\"x\"}]", ERR_FAIL,
	 "tramitacaoAtual of the case is not"},
	{"[{" NUMBER ",\"tramitacoes\":7}]", ERR_FAIL, "tramitacoes of the case is not"},
	{"[{" NUMBER ",\"tramitacoes\":[{},8]}]", ERR_FAIL, "proceeding 2 is not an object"},
	{"[{" NUMBER ",\"tramitacaoAtual\":{\"documentos\":\"x\"}}]", ERR_FAIL,
	 "documentos of proceeding 0 is not a list"},
	{"[{" NUMBER ",\"tramitacaoAtual\":{\"documentos\":[{},7]}}]", ERR_FAIL,
	 "document 2 of proceeding 0 is not an object"},
	{"[{" NUMBER ",\"tramitacoes\":[{\"documentos\":[null]}]}]", ERR_FAIL,
	 "document 1 of proceeding 1 is not an object"},
	{"[{" NUMBER, ERR_FAIL, "not JSON"},
};

static void test_no_details(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_details / sizeof *no_details; i++) {
		struct portal_case c;
		struct err e = {0};
		const char *json = no_details[i].json;
		assert_false(portal_read_detail(&number, json, strlen(json), &c, &e));
		if (e.kind != no_details[i].kind || !strstr(e.text, no_details[i].says))
			fail_msg("%s: %s", json, e.text);
		assert_null(c.docs);
		assert_null(c.court);
	}
}

static void test_too_many(void **state)
{
	(void)state;
	struct buf b;
	struct portal_case c;
	struct err e;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "[{" NUMBER ",\"tramitacaoAtual\":{\"documentos\":[{}");
	for (int i = 1; i < 20000; i++)
		buf_adds(&b, ",{}");
	buf_adds(&b, "]}}]");
	assert_true(portal_read_detail(&number, b.data, b.len, &c, &e));
	assert_int_equal(c.ndocs, 20000);
	portal_case_release(&c);
	b.len -= 4;
	buf_adds(&b, ",{}]}}]");
	assert_false(portal_read_detail(&number, b.data, b.len, &c, &e));
	assert_non_null(strstr(e.text, "more than 20000"));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),          cmocka_unit_test(test_no_lists),
		cmocka_unit_test(test_error_position), cmocka_unit_test(test_long_cursor),
		cmocka_unit_test(test_secrecy),        cmocka_unit_test(test_full),
		cmocka_unit_test(test_shapes),         cmocka_unit_test(test_no_details),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
