/*
 * From listed entries to documents: papers that two sources list, filing order, ids. All data is
 * made up.
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

#define MASKED "\"numeroProcesso\":\"0000001-39.2024.8.26.0100\""
#define U(n) "00000000-0000-5000-8000-00000000000" #n
#define HREF(n) "/processos/0000001-39.2024.8.26.0100/documentos/" U(n) "/binario"

static const struct cnj number = {
	.digits = "00000013920248260100", .masked = "0000001-39.2024.8.26.0100", .court = "TJSP"};

static struct portal_case read_ok(const char *json)
{
	struct portal_case c;
	struct err e;
	if (!portal_read_detail(&number, json, strlen(json), &c, &e))
		fail_msg("%s: %s", json, e.text);
	return c;
}

static struct portal_case read_docs(const char *current, const char *others)
{
	char *json =
		xasprintf("[{" MASKED ",\"tramitacaoAtual\":{\"tribunal\":{\"sigla\":\"TJSP\"},"
			  "\"grau\":{\"sigla\":\"G1\"},\"documentos\":[%s]},\"tramitacoes\":[%s]}]",
			  current, others);
	struct portal_case c = read_ok(json);
	xfree(json);
	return c;
}

#define SAME_PLACE "{\"tribunal\":{\"sigla\":\"TJSP\"},\"grau\":{\"sigla\":\"G1\"},\"documentos\":["

/* ---- Twins ---- */

#define TWIN(uuid, date, rest)                                                                     \
	"{\"idOrigem\":\"O1\",\"nome\":\"n\",\"dataHoraJuntada\":\"" date                          \
	"\",\"hrefBinario\":\"" HREF(uuid) "\"" rest "}"

static void test_twins_join(void **state)
{
	(void)state;
	struct portal_case c = read_docs(
		TWIN(1, "2024-01-02T10:00:00.1", ",\"sequencia\":4"),
		SAME_PLACE TWIN(2, "2024-01-02T10:00:00",
				",\"nivelSigilo\":2,\"tipo\":{\"nome\":\"t\",\"codigo\":9},"
				"\"arquivo\":{\"tipo\":\"text/html\",\"tamanho\":5}") "]}");
	assert_int_equal(c.listed, 2);
	assert_int_equal(c.ndocs, 1);
	const struct portal_doc *d = &c.docs[0];
	assert_int_equal(d->nrefs, 2);
	assert_string_equal(d->refs[0].id, U(1));
	assert_string_equal(d->refs[1].id, U(2));
	assert_string_equal(d->id, U(1));
	assert_int_equal(d->proceeding, 0);
	assert_int_equal(d->sequence, 4);
	assert_int_equal(d->secrecy, 2);
	assert_string_equal(d->type, "t");
	assert_string_equal(d->type_code, "9");
	assert_string_equal(d->declared_type, "text/html");
	assert_int_equal(d->declared_size, 5);
	assert_string_equal(d->filed_at, "2024-01-02T10:00:00.1");
	portal_case_release(&c);
}

static void test_three_sources_join(void **state)
{
	(void)state;
	struct portal_case c =
		read_docs(TWIN(1, "2024-01-02T10:00:00", ""),
			  SAME_PLACE TWIN(2, "2024-01-02T10:00:00", "") "]}," SAME_PLACE TWIN(
				  3, "2024-01-02T10:00:00", "") "]}");
	assert_int_equal(c.ndocs, 1);
	assert_int_equal(c.docs[0].nrefs, 3);
	portal_case_release(&c);
}

static void test_no_twins(void **state)
{
	(void)state;
	static const char *const current = TWIN(1, "2024-01-02T10:00:00", "");
	static const char *const others[] = {
		/* another second, name, idOrigem, court, degree; no idOrigem */
		SAME_PLACE TWIN(2, "2024-01-02T10:00:01", "") "]}",
		SAME_PLACE "{\"idOrigem\":\"O1\",\"nome\":\"m\",\"dataHoraJuntada\":"
			   "\"2024-01-02T10:00:00\"}]}",
		SAME_PLACE "{\"idOrigem\":\"O2\",\"nome\":\"n\",\"dataHoraJuntada\":"
			   "\"2024-01-02T10:00:00\"}]}",
		SAME_PLACE "{\"nome\":\"n\",\"dataHoraJuntada\":\"2024-01-02T10:00:00\"}]}",
		"{\"tribunal\":{\"sigla\":\"TJRJ\"},\"grau\":{\"sigla\":\"G1\"},\"documentos\":[" TWIN(
			2, "2024-01-02T10:00:00", "") "]}",
		"{\"tribunal\":{\"sigla\":\"TJSP\"},\"grau\":{\"sigla\":\"G2\"},\"documentos\":[" TWIN(
			2, "2024-01-02T10:00:00", "") "]}",
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct portal_case c = read_docs(current, others[i]);
		assert_int_equal(c.ndocs, 2);
		portal_case_release(&c);
	}
}

/* Where one proceeding lists the same set twice, nobody knows which one is the twin. */
static void test_ambiguous_twins_stay_apart(void **state)
{
	(void)state;
	struct portal_case c = read_docs(TWIN(1, "2024-01-02T10:00:00", ""),
					 SAME_PLACE TWIN(2, "2024-01-02T10:00:00", "") "," TWIN(
						 3, "2024-01-02T10:00:00", "") "]}");
	assert_int_equal(c.ndocs, 3);
	portal_case_release(&c);

	c = read_docs(TWIN(1, "2024-01-02T10:00:00", "") "," TWIN(2, "2024-01-02T10:00:00", ""),
		      "");
	assert_int_equal(c.ndocs, 2);
	portal_case_release(&c);
}

static void test_same_uuid_joins_anywhere(void **state)
{
	(void)state;
	struct portal_case c =
		read_docs("{\"hrefBinario\":\"" HREF(1) "\"},{\"hrefTexto\":\"/x/documentos/" U(
				  1) "/texto\",\"nome\":\"n\"}",
			  "{\"documentos\":[{\"id\":\"" U(1) "\",\"idOrigem\":\"O9\"}]}");
	assert_int_equal(c.listed, 3);
	assert_int_equal(c.ndocs, 1);
	assert_int_equal(c.docs[0].nrefs, 1);
	assert_string_equal(c.docs[0].name, "n");
	assert_string_equal(c.docs[0].origin_id, "O9");
	assert_string_equal(c.docs[0].refs[0].href, HREF(1));
	portal_case_release(&c);
}

/* ---- Order and ids ---- */

static void check_ids(const struct portal_case *c, const char *const *ids, size_t n)
{
	assert_int_equal(c->ndocs, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(c->docs[i].id, ids[i]);
}

static void test_order(void **state)
{
	(void)state;
	static const char *const wanted[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
	struct portal_case c = read_docs(
		"{\"id\":\"j\"},{\"id\":\"i\"},"
		"{\"id\":\"g\",\"dataHoraJuntada\":\"2024-01-02T10:00:01\",\"sequencia\":2},"
		"{\"id\":\"f\",\"dataHoraJuntada\":\"2024-01-02T10:00:01\",\"sequencia\":\"1\"},"
		"{\"id\":\"e\",\"dataHoraJuntada\":\"2024-01-02 10:00:00.63\",\"sequencia\":0},"
		"{\"id\":\"d\",\"dataHoraJuntada\":\"2024-01-02T10:00:00.6299\",\"sequencia\":9},"
		"{\"id\":\"c\",\"dataHoraJuntada\":\"2024-01-02T10:00:00.0\",\"sequencia\":8},"
		"{\"id\":\"b\",\"dataHoraJuntada\":\"2024-01-02T10:00:00\",\"sequencia\":7}",
		"{\"documentos\":[{\"id\":\"h\",\"dataHoraJuntada\":\"2024-01-02T10:00:01\","
		"\"sequencia\":2},{\"id\":\"a\",\"dataHoraJuntada\":\"2023-12-31T23:59:59.999999\"}]}");
	check_ids(&c, wanted, sizeof wanted / sizeof *wanted);
	portal_case_release(&c);
}

static void test_ids(void **state)
{
	(void)state;
	static const char *const wanted[] = {"sem-id-0-1",         "sem-id-0-2", "origem-a_b-c.d_e",
					     "origem-a_b-c.d_e-2", "x",          "x-2"};
	struct portal_case c =
		read_docs("{\"id\":\"x-2\"},{\"id\":\"x\"},{\"idOrigem\":\"a/b-c.d~e\"},"
			  "{\"idOrigem\":\"a b-c.d e\"},{},{\"idOrigem\":\"\"}",
			  "");
	check_ids(&c, wanted, sizeof wanted / sizeof *wanted);
	portal_case_release(&c);

	/* names that cannot be keys: a path, a hidden name, too long; what was seen stays in the
	 * ref */
	c = read_docs("{\"hrefBinario\":\"/processos/1/documentos/.x/binario\"},{\"hrefBinario\":"
		      "\"/processos/1/documentos/a\\nb/binario\"},{\"id\":\"../../etc\"}",
		      "");
	assert_int_equal(c.ndocs, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(strlen(c.docs[i].id), 34);
		assert_memory_equal(c.docs[i].id, "h-", 2);
	}
	assert_int_equal(c.docs[0].nrefs, 0);
	assert_string_equal(c.docs[1].refs[0].id, "a_b");
	assert_string_equal(c.docs[2].refs[0].id, ".x");
	portal_case_release(&c);

	/* a link that names nothing is a link all the same */
	c = read_docs("{\"hrefBinario\":\"/processos/1/x\",\"idOrigem\":\"7\"},"
		      "{\"hrefBinario\":\"/processos/1/y\",\"idOrigem\":\"7\"}",
		      "");
	assert_int_equal(c.ndocs, 2);
	assert_string_equal(c.docs[0].refs[0].id, "origem-7");
	assert_string_equal(c.docs[1].refs[0].id, "origem-7-2");
	portal_case_release(&c);
}

/* New ids may meet real ones; all end up different, and none too long. */
static void test_ids_are_unique(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "{\"id\":\"origem-7-2\"},{\"id\":\"origem-7-2-2\"},{\"id\":\"origem-7\"}");
	for (int i = 0; i < 300; i++)
		buf_adds(&b, ",{\"idOrigem\":7}");
	for (int i = 0; i < 3; i++)
		buf_addf(&b, ",{\"idOrigem\":\"%093d\"}", 1);
	struct portal_case c = read_docs(b.data, "");
	assert_int_equal(c.ndocs, 306);
	for (size_t i = 0; i < c.ndocs; i++) {
		assert_true(strlen(c.docs[i].id) <= 100);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(c.docs[i].id, c.docs[k].id);
	}
	portal_case_release(&c);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_twins_join),
		cmocka_unit_test(test_three_sources_join),
		cmocka_unit_test(test_no_twins),
		cmocka_unit_test(test_ambiguous_twins_stay_apart),
		cmocka_unit_test(test_same_uuid_joins_anywhere),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_ids_are_unique),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
