/*
 * The chain of custody: canonical form, its hash, duplicates, totals, and reading it back.
 */
#include "manifest.h"

#include "scratch.h"

#include <jansson.h>

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

enum { DOCS = 5 };

/* A case: two equal papers, one of equal bytes only, one with an alias, one that failed. */
struct sample {
	struct case_view view;
	struct doc_view docs[DOCS];
	struct ref_view refs[DOCS + 1];
};

static void fill(struct sample *s)
{
	static const char *const ids[DOCS] = {"d1", "d2", "d3", "d4", "d5"};
	for (size_t i = 0; i < DOCS; i++) {
		s->refs[i] = (struct ref_view){.id = ids[i], .href = "/documentos/x/binario"};
		s->docs[i] = (struct doc_view){
			.row = (int64_t)i + 10,
			.position = (int64_t)i + 1,
			.doc_id = ids[i],
			.origin_id = "",
			.name = "Peti\xc3\xa7\xc3\xa3o",
			.type = "Peti\xc3\xa7\xc3\xa3o",
			.type_code = "",
			.filed_at = "2024-05-06T07:08:09",
			.court = "TJSP",
			.degree = "G1",
			.declared_type = "",
			.declared_size = -1,
			.sequence = -1,
			.listed = true,
			.state = "available",
			.reason = "",
			.error = "",
			.tries = 1,
			.source_id = ids[i],
			.sha256 = HASH_A,
			.size = 100,
			.mime = "application/pdf",
			.ext = "pdf",
			.object_key = "k/a.pdf",
			.note = "",
			.started_ms = 1700000000000,
			.finished_ms = 1700000001500,
			.refs = &s->refs[i],
			.nrefs = 1,
		};
	}
	s->docs[2].name = "Another name";
	s->docs[3].sha256 = HASH_B;
	s->docs[3].size = 7;
	s->docs[3].object_key = "k/b.pdf";
	s->docs[3].nrefs = 2;
	s->docs[3].source_id = "alias";
	s->docs[4].state = "failed";
	s->docs[4].reason = "denied";
	s->docs[4].error = "the portal says no";
	s->docs[4].source_id = s->docs[4].sha256 = s->docs[4].mime = s->docs[4].ext = "";
	s->docs[4].object_key = "";
	s->docs[4].size = -1;
	s->docs[4].listed = false;
	s->refs[DOCS] = s->refs[4];
	s->refs[4] = (struct ref_view){.id = "alias", .href = "/other/way"};
	s->docs[4].refs = &s->refs[DOCS];
	s->view = (struct case_view){
		.process_id = 1,
		.number = "99000015520248260100",
		.court = "TJSP",
		.subject = "",
		.class_name = "Classe",
		.secrecy = 1,
		.proceedings = 2,
		.created_ms = 1,
		.updated_ms = 2,
		.consulted_ms = 1700000000000,
		.job_id = 3,
		.job_state = "failed",
		.outcome = "partial",
		.error = "1 of 5 documents could not be had",
		.last_event = 9,
		.job_created_ms = 1700000000000,
		.docs = s->docs,
		.ndocs = DOCS,
		.available = 4,
		.failed = 1,
	};
}

static char *make(const struct case_view *v, char *const *files)
{
	return manifest_make(v, &(struct manifest_options){.portal_url = "https://portal/api/v2",
							   .files = files,
							   .now_ms = 1700000002000});
}

static json_t *parsed(const char *json)
{
	json_error_t why;
	json_t *j = json_loads(json, JSON_REJECT_DUPLICATES, &why);
	if (!j)
		print_error("%s\n", why.text);
	assert_non_null(j);
	return j;
}

static const char *text_at(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "(none)";
}

static int64_t number_at(json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return json_integer_value(json_object_get(o, key));
}

/* ---- Canonical form, by a reader of its own ---- */

static const char *skip_string(const char *s)
{
	assert_int_equal(*s, '"');
	for (s++; *s != '"'; s++) {
		assert_true((unsigned char)*s >= 0x20);
		if (*s != '\\')
			continue;
		s++;
		assert_non_null(strchr("\"\\bfnrtu", *s));
		if (*s == 'u') { /* only what has no shorter way, in lower case */
			assert_int_equal(strncmp(s + 1, "00", 2), 0);
			assert_true(s[3] == '0' || s[3] == '1');
			assert_non_null(strchr("0123456789abcdef", s[4]));
			s += 4;
		}
	}
	return s + 1;
}

static const char *skip_value(const char *s)
{
	if (*s == '"')
		return skip_string(s);
	if (*s == '[') {
		if (s[1] == ']')
			return s + 2;
		do
			s = skip_value(s + 1);
		while (*s == ',');
		assert_int_equal(*s, ']');
		return s + 1;
	}
	if (*s != '{') { /* a number or a word, without blanks */
		size_t n = strspn(s, "-0123456789truefalsn");
		assert_true(n > 0);
		return s + n;
	}
	const char *last = NULL;
	size_t last_len = 0;
	if (s[1] == '}')
		return s + 2;
	do {
		const char *key = s + 1;
		s = skip_string(key);
		size_t len = (size_t)(s - key);
		if (last) {
			size_t common = len < last_len ? len : last_len;
			int c = memcmp(last + 1, key + 1, common - 2);
			assert_true(c < 0 || (c == 0 && last_len < len));
		}
		last = key;
		last_len = len;
		assert_int_equal(*s, ':');
		s = skip_value(s + 1);
	} while (*s == ',');
	assert_int_equal(*s, '}');
	return s + 1;
}

/* Cuts the member out of the text and hashes what is left, as anybody could. */
static void check_hash(const char *json)
{
	static const char mark[] = "\"manifest_sha256\":\"";
	const char *at = strstr(json, mark);
	assert_non_null(at);
	const char *hex = at + sizeof mark - 1;
	assert_int_equal(strspn(hex, "0123456789abcdef"), 64);
	assert_int_equal(strncmp(hex + 64, "\",", 2), 0);
	char *rest = xasprintf("%.*s%s", (int)(at - json), json, hex + 66), want[65];
	sha256_hex(rest, strlen(rest), want);
	assert_memory_equal(hex, want, 64);
	xfree(rest);
}

static void test_canonical_form(void **state)
{
	(void)state;
	struct sample s;
	fill(&s);
	char *json = make(&s.view, NULL);
	assert_null(strchr(json, '\n'));
	assert_int_equal(*skip_value(json), '\0');
	check_hash(json);
	json_decref(parsed(json));
	xfree(json);
}

/* The same by way of a JSON library: take the member out, write the rest, hash it. */
static void test_hash_with_a_library(void **state)
{
	(void)state;
	struct sample s;
	char want[65];
	fill(&s);
	char *json = make(&s.view, NULL);
	json_t *o = parsed(json);
	char *said = xstrdup(text_at(o, "manifest_sha256"));
	assert_int_equal(json_object_del(o, "manifest_sha256"), 0);
	char *rest = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	sha256_hex(rest, strlen(rest), want);
	assert_string_equal(said, want);
	free(rest);
	json_decref(o);
	xfree(said);
	xfree(json);
	/* Another case, another hash. */
	char *one = make(&s.view, NULL);
	s.docs[0].size++;
	char *two = make(&s.view, NULL);
	assert_string_not_equal(strstr(one, "\"manifest_sha256\""),
				strstr(two, "\"manifest_sha256\""));
	xfree(one);
	xfree(two);
}

static void test_nasty_texts(void **state)
{
	(void)state;
	static const char name[] = "q\" b\\ s/ n\n t\t e\x1b u\x1f d\x7f z\xc2\x80 "
				   "\xe2\x80\xa8 \xf0\x9f\x93\x84 \\u001F \\U";
	struct sample s;
	fill(&s);
	s.docs[0].name = name;
	s.docs[1].name = "broken \xff\xc3";
	s.view.error = "\x01\x0b\x0c";
	char *json = make(&s.view, NULL);
	assert_int_equal(*skip_value(json), '\0');
	check_hash(json);
	assert_non_null(strstr(json, "e\\u001b u\\u001f"));
	assert_non_null(strstr(json, "s/ n\\n t\\t"));
	assert_non_null(strstr(json, "\\\\u001F \\\\U")); /* a text that looks like an escape */
	assert_non_null(strstr(json, "\\u0001\\u000b\\f"));
	json_t *o = parsed(json), *docs = json_object_get(o, "documents");
	assert_string_equal(text_at(json_array_get(docs, 0), "name"), name);
	json_decref(o);
	xfree(json);
}

/* ---- Members ---- */

static void test_members(void **state)
{
	(void)state;
	struct sample s;
	fill(&s);
	char *json = make(&s.view, NULL);
	json_t *o = parsed(json), *docs = json_object_get(o, "documents");
	assert_int_equal(number_at(o, "manifest_version"), 1);
	assert_string_equal(text_at(o, "generator"), "autos " AUTOS_VERSION);
	assert_string_equal(text_at(o, "created_at"), "2023-11-14T22:13:22.000Z");
	assert_string_equal(text_at(o, "consulted_at"), "2023-11-14T22:13:20.000Z");
	assert_string_equal(text_at(o, "process_number"), "99000015520248260100");
	assert_string_equal(text_at(o, "masked_number"), "9900001-55.2024.8.26.0100");
	assert_string_equal(text_at(o, "portal_url"), "https://portal/api/v2");
	assert_true(json_is_null(json_object_get(o, "subject")));
	json_t *job = json_object_get(o, "job");
	assert_int_equal(number_at(job, "id"), 3);
	assert_string_equal(text_at(job, "outcome"), "partial");
	assert_true(json_is_null(json_object_get(job, "completed_at")));
	assert_int_equal(json_array_size(docs), DOCS);
	json_t *good = json_array_get(docs, 0), *alias = json_array_get(docs, 3),
	       *bad = json_array_get(docs, 4);
	assert_int_equal(number_at(good, "position"), 1);
	assert_int_equal(number_at(good, "size"), 100);
	assert_string_equal(text_at(good, "fetched_at"), "2023-11-14T22:13:21.500Z");
	assert_true(json_is_null(json_object_get(good, "declared_size")));
	assert_true(json_is_true(json_object_get(good, "listed")));
	assert_null(json_object_get(good, "file"));
	assert_int_equal(json_array_size(json_object_get(good, "aliases")), 0);
	assert_int_equal(json_array_size(json_object_get(alias, "aliases")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(alias, "aliases"), 0)),
			    "alias");
	assert_string_equal(text_at(alias, "portal_reference"), "/other/way");
	assert_string_equal(text_at(bad, "status"), "failed");
	assert_string_equal(text_at(bad, "reason"), "denied");
	assert_string_equal(text_at(bad, "error_message"), "the portal says no");
	static const char *const unknown[] = {"size",       "sha256",     "mime_type",
					      "object_key", "fetched_at", "source_id"};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
		assert_true(json_is_null(json_object_get(bad, unknown[i])));
	assert_true(json_is_false(json_object_get(bad, "listed")));
	json_decref(o);
	xfree(json);
}

static size_t duplicate_of(const struct case_view *v, size_t i)
{
	size_t *same = manifest_duplicates(v), found = same[i];
	xfree(same);
	return found;
}

static void test_duplicate_of(void **state)
{
	(void)state;
	struct sample s;
	fill(&s);
	assert_int_equal(duplicate_of(&s.view, 0), 0);
	assert_int_equal(duplicate_of(&s.view, 1), 0);
	assert_int_equal(duplicate_of(&s.view, 2), 2); /* another name */
	assert_int_equal(duplicate_of(&s.view, 3), 3); /* other bytes */
	assert_int_equal(duplicate_of(&s.view, 4), 4); /* no bytes */
	char *json = make(&s.view, NULL);
	json_t *o = parsed(json), *docs = json_object_get(o, "documents");
	assert_true(json_is_null(json_object_get(json_array_get(docs, 0), "duplicate_of")));
	assert_string_equal(text_at(json_array_get(docs, 1), "duplicate_of"), "d1");
	json_decref(o);
	xfree(json);
	s.docs[1].filed_at = "2024-05-06T07:08:10";
	assert_int_equal(duplicate_of(&s.view, 1), 1);
	fill(&s);
	s.docs[1].type = "Other";
	assert_int_equal(duplicate_of(&s.view, 1), 1);
	fill(&s);
	s.docs[1].sequence = 7;
	assert_int_equal(duplicate_of(&s.view, 1), 1);
	/* Papers without bytes are never the same one. */
	fill(&s);
	s.docs[3] = s.docs[4];
	assert_int_equal(duplicate_of(&s.view, 4), 4);
}

static void test_totals(void **state)
{
	(void)state;
	struct sample s;
	fill(&s);
	char *json = make(&s.view, NULL);
	json_t *o = parsed(json), *t = json_object_get(o, "totals");
	assert_int_equal(number_at(t, "documents"), 5);
	assert_int_equal(number_at(t, "available"), 4);
	assert_int_equal(number_at(t, "failed"), 1);
	assert_int_equal(number_at(t, "pending"), 0);
	assert_int_equal(number_at(t, "bytes"), 307);
	assert_int_equal(number_at(t, "objects"), 2);
	assert_int_equal(number_at(t, "stored_bytes"), 107);
	json_decref(o);
	xfree(json);
}

static void test_empty_case(void **state)
{
	(void)state;
	struct case_view v = {.number = "99000015520248260100",
			      .court = "",
			      .subject = "",
			      .class_name = "",
			      .job_state = "",
			      .outcome = "",
			      .error = ""};
	char *json = make(&v, NULL);
	assert_int_equal(*skip_value(json), '\0');
	check_hash(json);
	json_t *o = parsed(json);
	assert_int_equal(json_array_size(json_object_get(o, "documents")), 0);
	assert_true(json_is_null(json_object_get(o, "consulted_at")));
	assert_int_equal(number_at(json_object_get(o, "totals"), "bytes"), 0);
	json_decref(o);
	xfree(json);
}

/* ---- Reading ---- */

static void test_files(void **state)
{
	(void)state;
	struct sample s;
	char *names[DOCS] = {xstrdup("0001-a.pdf"), NULL, xstrdup("0003-\xc3\xa7.pdf"),
			     xstrdup("0004-b.pdf"), NULL};
	size_t n;
	fill(&s);
	char *json = make(&s.view, names);
	check_hash(json);
	json_t *o = parsed(json);
	json_t *second = json_array_get(json_object_get(o, "documents"), 1);
	assert_true(json_is_null(json_object_get(second, "file")));
	json_decref(o);
	struct manifest_file *f = manifest_files(json, strlen(json), &n);
	assert_int_equal(n, 3);
	assert_string_equal(f[0].name, "0001-a.pdf");
	assert_string_equal(f[0].sha256, HASH_A);
	assert_string_equal(f[1].name, "0003-\xc3\xa7.pdf");
	assert_string_equal(f[2].name, "0004-b.pdf");
	assert_string_equal(f[2].sha256, HASH_B);
	manifest_files_free(f, n);
	/* Without files it names none; cut off it is no manifest. */
	f = manifest_files(json, strlen(json) - 1, &n);
	assert_int_equal(n, 0);
	manifest_files_free(f, n);
	xfree(json);
	json = make(&s.view, NULL);
	f = manifest_files(json, strlen(json), &n);
	assert_int_equal(n, 0);
	manifest_files_free(f, n);
	xfree(json);
	for (size_t i = 0; i < DOCS; i++)
		xfree(names[i]);
}

static void test_files_of_other_json(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"nonsense",
		"{",
		"null",
		"3",
		"\"documents\"",
		"[]",
		"{}",
		"[{\"file\":\"a\",\"sha256\":\"b\"}]",
		"{\"documents\":null}",
		"{\"documents\":\"x\"}",
		"{\"documents\":{\"file\":\"a\",\"sha256\":\"b\"}}",
		"{\"documents\":[1,null,[],{},\"x\",{\"file\":1,\"sha256\":2}]}",
		"{\"documents\":[{\"file\":\"a\"},{\"sha256\":\"b\"}]}",
		"{\"documents\":[{\"file\":null,\"sha256\":\"b\"}]}",
		"\xff\xfe\x00"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		size_t n = 77;
		struct manifest_file *f = manifest_files(texts[i], strlen(texts[i]), &n);
		assert_int_equal(n, 0);
		manifest_files_free(f, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical_form),
		cmocka_unit_test(test_hash_with_a_library),
		cmocka_unit_test(test_nasty_texts),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_duplicate_of),
		cmocka_unit_test(test_totals),
		cmocka_unit_test(test_empty_case),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_files_of_other_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
