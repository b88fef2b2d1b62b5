/*
 * Every row of the portal's table has a case here, and what must never be confused is not.
 */
#include "portal.h"

#include "sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define ERROR_JSON(status, error, message)                                                         \
	"{\"timestamp\":\"2026-01-02T03:04:05.000+00:00\",\"status\":" #status                     \
	",\"error\":\"" error "\",\"message\":\"" message "\",\"path\":\"/api/v2/processos\"}"

static const char shell[] =
	"<!DOCTYPE html><html lang=\"pt-br\"><head><title>Portal de Servi\xc3\xa7os</title>"
	"<base href=\"/\"></head><body><app-root></app-root>"
	"<script src=\"main.1.js\" type=\"module\"></script></body></html>";
static const char login[] =
	"<!DOCTYPE html><html><head><title>Sign in to pje</title></head><body><form "
	"id=\"kc-form-login\" action=\"https://sso.example/auth/realms/pje/login-actions/"
	"authenticate?x=1\"></form></body></html>";
static const char forbidden[] =
	"<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>";
static const char maintenance[] =
	"<html><head><title>Sistema em manuten\xc3\xa7\xc3\xa3o</title></head><body>Voltamos "
	"j\xc3\xa1</body></html>";
static const char native[] =
	"<div class=\"texto\"><p>Vistos. A parte n\xc3\xa3o possui acesso ao processo "
	"f\xc3\xadsico.</p></div>";
static const char pdf[] = "%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF\n";
static const char denied[] =
	ERROR_JSON(401, "Unauthorized", "Usu\xc3\xa1rio n\xc3\xa3o possui acesso ao processo");
static const char codex[] =
	ERROR_JSON(500, "Internal Server Error", "Erro interno na API do Codex.");

struct sample {
	const char *rule; /* expected */
	enum portal_call call;
	int status;
	const char *type;
	const char *body; /* NULL = none */
	enum http_fault fault;
	const char *location;
	const char *encoding;
	int64_t length; /* Content-Length; 0 = as long as the body */
	bool spilled;   /* not in memory as a whole */
};

#define LIST PORTAL_LIST
#define DETAIL PORTAL_DETAIL
#define DOC PORTAL_DOCUMENT

#define S(rule_, call_, status_, type_, body_, ...)                                                \
	{                                                                                          \
		.rule = rule_, .call = call_, .status = status_, .type = type_,                    \
		.body = body_ __VA_OPT__(, ) __VA_ARGS__                                           \
	}

static const struct sample samples[] = {
	/* transport */
	S("local-disk", DOC, 200, "application/pdf", "%PDF", .fault = HTTP_FAULT_LOCAL),
	S("no-connection", LIST, 0, "", NULL, .fault = HTTP_FAULT_CONNECT),
	S("time-out", DOC, 0, "", NULL, .fault = HTTP_FAULT_TIMEOUT),
	S("time-out", DOC, 200, "application/pdf", "%PDF", .fault = HTTP_FAULT_TIMEOUT),
	S("connection-reset", DETAIL, 0, "", NULL, .fault = HTTP_FAULT_RESET),
	S("connection-reset", DOC, 401, "", NULL, .fault = HTTP_FAULT_RESET),
	S("short-body", DOC, 200, "application/pdf", pdf, .fault = HTTP_FAULT_SHORT),
	S("too-large", DOC, 200, "video/mp4", NULL, .fault = HTTP_FAULT_TOO_LARGE),
	S("gateway", DOC, 503, "text/html", NULL, .fault = HTTP_FAULT_TOO_LARGE),
	S("not-http", LIST, 0, "", NULL, .fault = HTTP_FAULT_PROTOCOL),
	/* rate limit: any body, even a broken one */
	S("rate-limit", LIST, 429, "", NULL),
	S("rate-limit", DOC, 429, "text/html", forbidden),
	S("rate-limit", DOC, 429, "application/json", denied),
	S("rate-limit", DOC, 429, "", NULL, .fault = HTTP_FAULT_RESET),
	/* redirects */
	S("redirect-to-login", LIST, 302, "", NULL,
	  .location =
		  "https://sso.cloud.pje.jus.br/auth/realms/pje/protocol/openid-connect/auth?a=b"),
	S("redirect-to-login", DOC, 307, "", NULL, .location = "https://other.example/login?to=x"),
	S("redirect-to-login", DOC, 303, "text/html", login, .location = "/openid-connect/auth"),
	S("redirect", DOC, 302, "", NULL, .location = "https://files.example/x?login=no"),
	S("redirect", LIST, 301, "", NULL, .location = ""),
	S("redirect", LIST, 304, "", NULL),
	/* access */
	S("no-access", DETAIL, 401, "application/json", denied),
	S("no-access", DOC, 403, "application/json", denied),
	S("no-access", LIST, 403, "text/plain", "USUARIO NAO POSSUI ACESSO"),
	S("no-access", LIST, 403, "text/plain", "usu\xe1rio n\xe3o possui acesso"),
	S("no-access", LIST, 403, "text/plain", "usua\xcc\x81rio na\xcc\x83o possui acesso"),
	S("no-access", LIST, 403, "text/html", "<p>n&atilde;o possui acesso</p>"),
	S("no-access", LIST, 403, "text/plain", "n\xc3\x83\xc2\xa3o possui acesso"),
	S("no-access", LIST, 403, "text/plain", "n\xef\xbf\xbdo possui acesso"),
	S("no-access", LIST, 403, "application/json", "{\"mensagem\":\"n\\u00e3o possui acesso\"}"),
	S("no-access", DOC, 200, "application/json", denied),
	S("firewall", LIST, 403, "text/plain", "este usuario possui acesso"),
	/* no record */
	S("no-record", DETAIL, 404, "application/json",
	  ERROR_JSON(404, "Not Found", "N\xc3\xa3o foram encontrados registros")),
	S("no-record", DOC, 500, "application/json",
	  ERROR_JSON(500, "x", "br.jus.RegistroNaoEncontradoException: x")),
	S("no-record", LIST, 200, "application/json",
	  ERROR_JSON(404, "x", "Nao foram encontrados registros")),
	/* the data lake */
	S("codex-without-bytes", DOC, 500, "application/json", codex),
	S("codex-without-bytes", DOC, 200, "application/json", codex),
	S("codex-error", DETAIL, 500, "application/json", codex),
	S("codex-slow", DOC, 504, "application/json",
	  ERROR_JSON(504, "x", "O tempo de resposta do servi\xc3\xa7o Codex excedeu o limite")),
	S("codex-slow", LIST, 500, "text/plain", "O tempo de resposta do servico excedeu o limite"),
	S("maintenance-message", LIST, 503, "text/html", maintenance),
	/* log-in pages */
	S("login-page", LIST, 200, "text/html", login),
	S("login-page", DETAIL, 401, "text/html", login),
	S("login-page-refusal", DOC, 401, "text/html", login),
	S("login-page-document", DOC, 200, "text/html", login),
	/* refusals */
	S("token-refused", LIST, 401, "", NULL),
	S("token-refused", DOC, 401, "application/json", ERROR_JSON(401, "Unauthorized", "")),
	S("token-refused", DOC, 401, "text/html", forbidden),
	S("closed", DOC, 403, "application/json", ERROR_JSON(403, "Forbidden", "")),
	S("closed", DETAIL, 403, "application/json", ERROR_JSON(403, "Forbidden", "Forbidden")),
	S("firewall", LIST, 403, "text/html", forbidden),
	S("firewall", DOC, 403, "text/html", forbidden),
	S("firewall", DOC, 403, "", NULL),
	S("firewall", DOC, 403, "text/plain", "error code: 1020"),
	S("block-page", LIST, 406, "text/html",
	  "<html><head><title>Request Rejected</title></head></html>"),
	S("block-page-json", LIST, 200, "text/html",
	  "<html><body>The requested URL was rejected. Please consult</body></html>"),
	S("block-page-document", DOC, 200, "text/html", forbidden),
	/* pages */
	S("shell", DETAIL, 200, "text/html", shell),
	S("shell", LIST, 404, "text/html", shell),
	S("shell-document", DOC, 200, "text/html", shell),
	S("shell-document", DOC, 200, "application/pdf", shell),
	S("shell-document", DOC, 200, "text/html",
	  "\xef\xbb\xbf\n<!-- x --><html ng-version=\"17\"><body></body></html>"),
	S("page-for-json", LIST, 200, "text/html", maintenance),
	S("page-for-json", LIST, 200, "application/json", "<html><body>x</body></html>"),
	S("page-for-json", DETAIL, 404, "text/html", "<html><title>404 Not Found</title></html>"),
	S("notice-document", DOC, 200, "text/html", maintenance),
	S("notice-document", DOC, 200, "text/html",
	  "<title>Manuten\xc3\xa7\xc3\xa3o</title><p>Volte"),
	S("notice-document", DOC, 200, "text/html",
	  "<html><h1>Sistema em manuten&ccedil;&atilde;o</h1>"),
	S("html-document", DOC, 200, "text/html",
	  "<title>Manuten\xc3\xa7\xc3\xa3o de posse</title><p>Ato"),
	S("html-document", DOC, 200, "text/html",
	  "<p>O sistema estava em manuten\xc3\xa7\xc3\xa3o</p>"),
	/* status */
	S("bad-request", LIST, 400, "text/html", "<html><title>400 Bad Request</title></html>"),
	S("bad-request", DOC, 400, "application/json", ERROR_JSON(400, "Bad Request", "")),
	S("not-found", DETAIL, 404, "application/json", ERROR_JSON(404, "Not Found", "")),
	S("not-found", LIST, 404, "", NULL),
	S("not-found", DOC, 404, "text/html", "<html><title>404 Not Found</title></html>"),
	S("gone", DOC, 410, "", NULL),
	S("proxy-login", LIST, 407, "text/html", "<html></html>"),
	S("request-time-out", LIST, 408, "", NULL),
	S("refused-request", LIST, 422, "application/json", ERROR_JSON(422, "x", "y")),
	S("refused-request", DOC, 416, "", NULL),
	S("gateway", LIST, 502, "text/html", "<html><title>502 Bad Gateway</title></html>"),
	S("gateway", DOC, 503, "", NULL),
	S("gateway", DOC, 504, "text/html", shell),
	S("server-error", LIST, 500, "application/json", ERROR_JSON(500, "x", "")),
	S("server-error", DOC, 599, "", NULL),
	S("not-200", DOC, 202, "", NULL),
	S("not-200", DOC, 204, "", NULL),
	S("not-200", DOC, 206, "application/pdf", pdf),
	/* 200 on data calls */
	S("empty-json", LIST, 200, "application/json", NULL),
	S("error-for-data", LIST, 200, "application/json", ERROR_JSON(500, "x", "y")),
	S("error-for-data", DETAIL, 200, "application/json", "{\"message\":\"x\"}"),
	S("cut-json", DETAIL, 200, "application/json", "[{\"numeroProcesso\":\"1"),
	S("cut-json", DETAIL, 200, "application/json", "[{\"numeroProcesso\":}]"),
	S("json-too-large", DETAIL, 200, "application/json", "[{\"numeroProcesso\":\"1\"}",
	  .spilled = true),
	S("json", LIST, 200, "application/json", "{\"total\":0,\"content\":[]}"),
	S("json", DETAIL, 200, "text/plain", " [{\"numeroProcesso\":\"1\",\"error\":\"x\"}]\n"),
	S("json", DETAIL, 200, "", "\xef\xbb\xbf[]"),
	S("unknown", LIST, 200, "text/plain", "OK"),
	S("unknown", DETAIL, 200, "application/pdf", pdf),
	/* 200 on documents */
	S("empty-document", DOC, 200, "application/pdf", NULL),
	S("encoded", DOC, 200, "application/pdf", "\x1f\x8b\x08zzz", .encoding = "gzip"),
	S("encoded", LIST, 200, "application/json", "\x1f\x8b\x08zzz", .encoding = "br"),
	S("document", DOC, 200, "application/pdf", pdf, .encoding = "identity"),
	S("wrong-length", DOC, 200, "application/pdf", pdf, .length = 9999),
	S("wrong-length", LIST, 200, "application/json", "[]", .length = 3),
	S("error-for-document", DOC, 200, "application/pdf", ERROR_JSON(500, "x", "y")),
	S("error-for-document", DOC, 200, "application/json", "{\"externalUrlService\":\"x\"}"),
	S("error-for-document", DOC, 200, "", "{\"timestamp\":1,\"path\":\"/x\"}"),
	S("json-for-document", DOC, 200, "application/json", "{\"a\":1}"),
	S("json-for-document", DOC, 200, "application/json", "[]"),
	S("cut-document", DOC, 200, "application/pdf", "%PDF-1.4\n1 0 obj"),
	S("cut-document", DOC, 200, "image/jpeg", "\xff\xd8\xff\xe0zzzz"),
	S("cut-document", DOC, 200, "image/png", "\x89PNG\r\n\x1a\nzzzz"),
	S("cut-document", DOC, 200, "application/json", "{\"a\":[1,2"),
	S("document", DOC, 200, "application/pdf", pdf),
	S("document", DOC, 200, "application/octet-stream", pdf),
	S("document", DOC, 200, "", pdf),
	S("document", DOC, 200, "text/html", pdf),
	S("document", DOC, 200, "image/jpeg", "\xff\xd8\xff\xe0zz\xff\xd9"),
	S("document", DOC, 200, "image/png", "\x89PNG\r\n\x1a\nzzzIEND\xae\x42\x60\x82"),
	S("document", DOC, 200, "application/pdf", "{\\rtf1 Vistos.}"),
	S("document", DOC, 200, "text/richtext", "{\\rtf1 Vistos.}"),
	S("html-document", DOC, 200, "text/html", native),
	S("html-document", DOC, 200, "application/pdf", native),
	S("html-document", DOC, 200, "text/html", "<div>Certidao.</div>\n"),
	S("html-document", DOC, 200, "text/html", "Certidao sem etiqueta"),
	S("html-document", DOC, 200, "text/html",
	  "<html><head><title>Manuten\xc3\xa7\xc3\xa3o de posse</title></head></html>"),
	S("text-document", DOC, 200, "text/plain", "Vistos."),
	S("text-document", DOC, 200, "application/octet-stream", "Vistos."),
	S("other-document", DOC, 200, "application/octet-stream", "\x01\x02\x03\x04"),
	S("other-document", DOC, 200, "audio/amr", "\x01\x02\x03\x04"),
	S("type-mismatch", DOC, 200, "application/pdf", "\x01\x02\x03\x04"),
	S("type-mismatch", DOC, 200, "text/html", "\x01\x02\x03\x04"),
	S("type-mismatch", DOC, 200, "application/pdf", "upstream connect error"),
	S("nameless-bytes", DOC, 200, "", "\x01\x02\x03\x04"),
	S("nameless-bytes", DOC, 200, "", "upstream connect error"),
	S("unknown", DOC, 0, "", NULL),
	S("unknown", DOC, 101, "", NULL),
	S("unknown", DOC, 999, "", NULL),
};

static struct http_res answer(const struct sample *s)
{
	struct http_res r = {.status = s->status, .fault = s->fault, .content_length = -1};
	size_t n = s->body ? strlen(s->body) : 0;
	size_t edge = n < HTTP_EDGE ? n : HTTP_EDGE;
	snprintf(r.content_type, sizeof r.content_type, "%s", s->type);
	snprintf(r.location, sizeof r.location, "%s", s->location ? s->location : "");
	snprintf(r.content_encoding, sizeof r.content_encoding, "%s",
		 s->encoding ? s->encoding : "");
	r.content_length = s->length ? s->length : s->fault ? -1 : (int64_t)n;
	r.received = (int64_t)n + (s->spilled ? 1 << 20 : 0);
	if (s->spilled)
		r.content_length = r.received;
	r.head = s->body ? s->body : "";
	r.head_len = edge;
	r.tail = r.head + n - edge;
	r.tail_len = edge;
	r.body = s->spilled ? NULL : r.head;
	r.body_len = s->spilled ? 0 : n;
	return r;
}

static struct portal_verdict judge(const struct sample *s)
{
	struct http_res r = answer(s);
	return portal_classify(s->call, &r);
}

static void test_every_sample(void **state)
{
	(void)state;
	int wrong = 0;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		struct portal_verdict v = judge(&samples[i]);
		if (strcmp(v.rule, samples[i].rule) == 0)
			continue;
		wrong++;
		print_error("sample %zu: %s, expected %s\n", i, v.rule, samples[i].rule);
	}
	assert_int_equal(wrong, 0);
}

static void test_every_rule_has_a_sample(void **state)
{
	(void)state;
	for (size_t i = 0; i < portal_rule_count(); i++) {
		bool hit = false;
		for (size_t k = 0; k < sizeof samples / sizeof *samples; k++)
			hit = hit || strcmp(judge(&samples[k]).rule, portal_rule_name(i)) == 0;
		if (!hit)
			fail_msg("no sample for rule %s", portal_rule_name(i));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(portal_rule_name(i), portal_rule_name(k));
	}
}

static void test_verdicts_are_complete(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		struct portal_verdict v = judge(&samples[i]);
		assert_true(v.text && strlen(v.text) > 20 && v.text[strlen(v.text) - 1] == '.');
		bool good = v.meaning == PORTAL_GOOD;
		assert_int_equal(good, v.act == PORTAL_ACT_USE);
		assert_int_equal(good, v.reason == DOC_REASON_NONE);
		assert_int_equal(good, v.load == PORTAL_LOAD_FINE);
	}
}

/* What the bytes of a document say must not stop every other case. */
static void test_no_document_pauses_the_portal(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		if (samples[i].call != DOC || samples[i].status != 200 || samples[i].fault)
			continue;
		struct portal_verdict v = judge(&samples[i]);
		assert_true(v.act != PORTAL_ACT_HOLD && v.act != PORTAL_ACT_RENEW);
	}
}

struct pair {
	struct sample one, other;
	enum portal_meaning first, second;
};

/* Confusing these has cost other clients dearly. */
static const struct pair pairs[] = {
	{S(NULL, DETAIL, 401, "application/json", ERROR_JSON(401, "Unauthorized", "")),
	 S(NULL, DETAIL, 401, "application/json", denied), PORTAL_TOKEN_DEAD, PORTAL_SEALED},
	{S(NULL, DETAIL, 403, "application/json", denied),
	 S(NULL, DETAIL, 403, "text/html", forbidden), PORTAL_SEALED, PORTAL_WAF},
	{S(NULL, DOC, 403, "text/html", forbidden), S(NULL, DOC, 500, "application/json", codex),
	 PORTAL_WAF, PORTAL_MISSING_CONTENT},
	{S(NULL, DOC, 500, "application/json", codex),
	 S(NULL, DOC, 500, "application/json", ERROR_JSON(500, "x", "")), PORTAL_MISSING_CONTENT,
	 PORTAL_GATEWAY},
	{S(NULL, DETAIL, 200, "text/html", maintenance), S(NULL, DETAIL, 200, "text/html", shell),
	 PORTAL_MAINTENANCE, PORTAL_SHELL},
	{S(NULL, DETAIL, 200, "text/html", shell), S(NULL, DETAIL, 200, "text/html", login),
	 PORTAL_SHELL, PORTAL_LOGIN},
	{S(NULL, DOC, 200, "text/html", shell), S(NULL, DOC, 200, "text/html", native),
	 PORTAL_SHELL, PORTAL_GOOD},
	{S(NULL, DETAIL, 404, "application/json", ERROR_JSON(404, "Not Found", "")),
	 S(NULL, DETAIL, 404, "application/json",
	   ERROR_JSON(404, "Not Found", "N\xc3\xa3o foram encontrados registros")),
	 PORTAL_NOT_FOUND, PORTAL_NOT_INDEXED},
	{S(NULL, LIST, 429, "", NULL), S(NULL, LIST, 503, "", NULL), PORTAL_RATE_LIMITED,
	 PORTAL_GATEWAY},
	{S(NULL, DOC, 302, "", NULL, .location = "https://sso.cloud.pje.jus.br/x"),
	 S(NULL, DOC, 302, "", NULL, .location = "https://files.example/x"), PORTAL_LOGIN,
	 PORTAL_REDIRECT},
};

static void test_pairs_differ(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		assert_int_equal(judge(&pairs[i].one).meaning, pairs[i].first);
		assert_int_equal(judge(&pairs[i].other).meaning, pairs[i].second);
	}
}

static void test_actions(void **state)
{
	(void)state;
	struct portal_verdict v = judge(&(struct sample)S(NULL, LIST, 401, "", NULL));
	assert_int_equal(v.act, PORTAL_ACT_RENEW);
	v = judge(&(struct sample)S(NULL, DOC, 401, "application/json", denied));
	assert_int_equal(v.act, PORTAL_ACT_GIVE_UP);
	assert_int_equal(v.reason, DOC_REASON_DENIED);
	v = judge(&(struct sample)S(NULL, DOC, 429, "", NULL));
	assert_int_equal(v.act, PORTAL_ACT_HOLD);
	assert_int_equal(v.load, PORTAL_LOAD_HALVE);
	v = judge(&(struct sample)S(NULL, DOC, 500, "application/json", codex));
	assert_int_equal(v.act, PORTAL_ACT_RETRY);
	assert_int_equal(v.load, PORTAL_LOAD_NEUTRAL);
	assert_int_equal(v.reason, DOC_REASON_UNAVAILABLE_UPSTREAM);
	v = judge(&(struct sample)S(NULL, DOC, 0, "", NULL, .fault = HTTP_FAULT_RESET));
	assert_int_equal(v.load, PORTAL_LOAD_NEUTRAL);
	v = judge(&(struct sample)S(NULL, DOC, 200, "application/pdf", NULL));
	assert_int_equal(v.reason, DOC_REASON_EMPTY);
}

/* A shell whose mark lies behind the first 4096 bytes, in a body that was spilled. */
static void test_marks_in_the_tail(void **state)
{
	(void)state;
	char *page = xasprintf(
		"<!doctype html><html><style>%09000d</style><app-root></app-root></html>", 7);
	struct sample s = S(NULL, DOC, 200, "text/html", page);
	assert_int_equal(judge(&s).meaning, PORTAL_SHELL);
	struct http_res r = answer(&s);
	r.body = NULL;
	r.body_len = 0;
	assert_int_equal(portal_classify(DOC, &r).meaning, PORTAL_SHELL);
	xfree(page);
}

/* Data that is not in memory as a whole cannot be read, however short it is. */
static void test_spilled_json(void **state)
{
	(void)state;
	struct http_res r = answer(&(struct sample)S(NULL, DETAIL, 200, "application/json", "[]"));
	r.body = NULL;
	r.body_len = 0;
	assert_string_equal(portal_classify(DETAIL, &r).rule, "json-too-large");
}

/* The end mark of a PDF is looked for in its tail only. */
static void test_end_mark_in_the_tail(void **state)
{
	(void)state;
	char *body = xasprintf("%s%09000d%s", "%PDF-1.4\n%%EOF\n", 7, "");
	struct sample s = S(NULL, DOC, 200, "application/pdf", body);
	assert_string_equal(judge(&s).rule, "cut-document");
	xfree(body);
	body = xasprintf("%s%09000d%s", "%PDF-1.4\n", 7, "%%EOF\r\n\r\n");
	s.body = body;
	assert_string_equal(judge(&s).rule, "document");
	xfree(body);
}

static void test_names(void **state)
{
	(void)state;
	for (int i = PORTAL_GOOD; i <= PORTAL_UNKNOWN; i++) {
		assert_true(*portal_meaning_name((enum portal_meaning)i));
		for (int k = PORTAL_GOOD; k < i; k++)
			assert_string_not_equal(portal_meaning_name((enum portal_meaning)i),
						portal_meaning_name((enum portal_meaning)k));
	}
	assert_string_equal(doc_reason_name(DOC_REASON_NONE), "");
	assert_string_equal(doc_reason_name(DOC_REASON_UNAVAILABLE_UPSTREAM),
			    "unavailable_upstream");
	assert_string_equal(doc_reason_name(DOC_REASON_STORAGE), "storage");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_sample),
		cmocka_unit_test(test_every_rule_has_a_sample),
		cmocka_unit_test(test_verdicts_are_complete),
		cmocka_unit_test(test_no_document_pauses_the_portal),
		cmocka_unit_test(test_pairs_differ),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_marks_in_the_tail),
		cmocka_unit_test(test_spilled_json),
		cmocka_unit_test(test_end_mark_in_the_tail),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
