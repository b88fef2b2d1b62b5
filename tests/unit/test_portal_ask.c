/*
 * Questions to the portal: addresses, headers, and every address the bearer must not go to.
 */
#include "portal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define BASE "https://portal.example/api/v2"
#define UUID "11111111-2222-5333-8444-555555555555"
#define PAPER "/processos/0000001-39.2024.8.26.0100/documentos/" UUID "/binario"

static const struct cnj number = {
	.digits = "00000013920248260100", .masked = "0000001-39.2024.8.26.0100", .court = "TJSP"};

static const struct portal_site site = {
	.base_url = BASE,
	.hosts = "lake.example, second.example:8443",
	.user_agent = "Mozilla/5.0 test",
	.headers = "",
	.json_timeout_ms = 30000,
	.json_max_bytes = 1000,
	.document_max_bytes = 2000,
};

static const char *header(const struct http_req *q, const char *name)
{
	const char *found = NULL;
	size_t n = strlen(name);
	for (size_t i = 0; i < q->nheaders; i++) {
		if (strncmp(q->headers[i], name, n) != 0 || q->headers[i][n] != ':')
			continue;
		assert_null(found); /* once */
		found = q->headers[i] + n + 2;
	}
	return found ? found : "(none)";
}

static void test_list(void **state)
{
	(void)state;
	struct http_req q;
	portal_ask_list(&site, "tok.en.x", &number, NULL, &q);
	assert_string_equal(q.url, BASE "/processos?numeroProcesso=00000013920248260100");
	assert_string_equal(q.method, "GET");
	assert_int_equal(q.total_ms, 30000);
	assert_int_equal(q.max_body, 1000);
	assert_string_equal(header(&q, "Authorization"), "Bearer tok.en.x");
	assert_string_equal(header(&q, "User-Agent"), "Mozilla/5.0 test");
	assert_string_equal(header(&q, "Accept"), "application/json, text/plain, */*");
	assert_string_equal(header(&q, "Accept-Language"), "pt-BR,pt;q=0.9");
	assert_string_equal(header(&q, "Origin"), "https://portal.example");
	assert_string_equal(header(&q, "Referer"), "https://portal.example/consulta");
	assert_string_equal(header(&q, "sec-fetch-mode"), "cors");
	http_req_release(&q);

	portal_ask_list(&site, "t", &number, "1718000000000,TJSP_1 a&b", &q);
	assert_string_equal(q.url, BASE "/processos?numeroProcesso=00000013920248260100"
					"&searchAfter=1718000000000%2CTJSP_1%20a%26b");
	http_req_release(&q);
	portal_ask_list(&site, "t", &number, "", &q);
	assert_null(strstr(q.url, "searchAfter"));
	http_req_release(&q);
}

static void test_detail(void **state)
{
	(void)state;
	struct http_req q;
	portal_ask_detail(&site, "t", &number, &q);
	assert_string_equal(q.url, BASE "/processos/00000013920248260100");
	assert_int_equal(q.total_ms, 30000);
	http_req_release(&q);
}

static void test_document(void **state)
{
	(void)state;
	struct http_req q;
	struct err e;
	assert_true(portal_ask_document(&site, "t", &number, PAPER, &q, &e));
	assert_string_equal(q.url, BASE PAPER);
	assert_int_equal(q.total_ms, 0);
	assert_int_equal(q.max_body, 2000);
	assert_string_equal(header(&q, "Accept"), "*/*");
	assert_string_equal(header(&q, "Referer"),
			    "https://portal.example/consulta/autosdigitais?processo="
			    "0000001-39.2024.8.26.0100");
	http_req_release(&q);
}

static const struct {
	const char *href, *url;
} good[] = {
	{"/processos/1/documentos/2/binario", BASE "/processos/1/documentos/2/binario"},
	{"/api/v2/processos/1/documentos/2/binario", BASE "/processos/1/documentos/2/binario"},
	{"/api/v2/api/v2/processos/1", BASE "/processos/1"},
	{"/api/v2/other", BASE "/other"},
	{"https://portal.example/processos/1", BASE "/processos/1"},
	{"HTTPS://PORTAL.example:443/processos/1", "HTTPS://PORTAL.example:443/api/v2/processos/1"},
	{"https://portal.example/api/v2/processos/1", BASE "/processos/1"},
	{"https://portal.example/api/v3/x", "https://portal.example/api/v3/x"},
	{"https://lake.example/processo-api/api/v1/processos/1/documentos/2/binario?n=1&i=%2F",
	 "https://lake.example/processo-api/api/v1/processos/1/documentos/2/binario?n=1&i=%2F"},
	{"https://lake.example:443/processos/1", "https://lake.example:443/api/v2/processos/1"},
	{"https://second.example:8443/x", "https://second.example:8443/x"},
	{"/processos/1/documentos/2/bin\xc3\xa1rio x\"<>",
	 BASE "/processos/1/documentos/2/bin%C3%A1rio%20x%22%3C%3E"},
	{"/processos/a%20b", BASE "/processos/a%20b"},
	{"/processos/...", BASE "/processos/..."},
	{"/processos/x@y:1", BASE "/processos/x@y:1"},
	{"/processos//x", BASE "/processos//x"},
};

static const char *const refused[] = {
	"",
	"processos/1",
	"binario",
	"//evil.example/processos/1",
	"///evil.example/processos/1",
	"/",
	"/processos",
	"/other/1",
	"/api/v3/processos/1",
	"/api/v2",
	"/api/v2x/processos/1",
	"/processosx/1",
	"/processos/1#x",
	"/processos/1\\..\\x",
	"\\\\evil.example\\x",
	"/processos/1\r\nX: y",
	"/processos/\t1",
	"/processos/1\x7f",
	"/processos/../admin",
	"/processos/./1",
	"/processos/1/..",
	"/processos/1/..?x",
	"/processos/%2e%2e/admin",
	"/processos/.%2E/admin",
	"/processos/%2e/x",
	"/processos/1%2f..%2fx",
	"/processos/1%5cx",
	"/processos/1%00",
	"/processos/1%0d%0aX:y",
	"/processos/%252e%252e/x",
	"/processos/1%",
	"/processos/1%2",
	"/processos/1%zz",
	"/api/v2/../processos/1",
	"http://portal.example/processos/1",
	"https://portal.example:8443/processos/1",
	"https://portal.example.evil.example/processos/1",
	"https://evil.example/processos/1",
	"https://portal.example@evil.example/processos/1",
	"https://user:pass@portal.example/processos/1",
	"https://portal.example",
	"https://portal.example?x",
	"https://portal.example:/processos/1",
	"https://portal.example:443x/processos/1",
	"https:///processos/1",
	"https:/portal.example/processos/1",
	"https://portal.example./processos/1",
	"https://portal.ex\xc3\xa1mple/processos/1",
	"http://lake.example/processos/1",
	"https://lake.example:444/x",
	"https://second.example/x",
	"https://xlake.example/x",
	"ftp://portal.example/processos/1",
	"file:///etc/passwd",
	"javascript:alert(1)",
	"data:text/html,x",
	"https://portal.example/processos/../x",
};

static void test_hrefs(void **state)
{
	(void)state;
	struct http_req q;
	struct err e;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (!portal_ask_document(&site, "t", &number, good[i].href, &q, &e))
			fail_msg("%s: %s", good[i].href, e.text);
		assert_string_equal(q.url, good[i].url);
		http_req_release(&q);
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		if (portal_ask_document(&site, "t", &number, refused[i], &q, &e))
			fail_msg("not refused: %s -> %s", refused[i], q.url);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_null(q.url);
		assert_int_equal(q.nheaders, 0);
	}
}

static void test_long_href(void **state)
{
	(void)state;
	char href[9000];
	struct http_req q;
	struct err e;
	memset(href, ' ', sizeof href);
	memcpy(href, "/processos/", 11);
	href[4096] = '\0';
	assert_true(portal_ask_document(&site, "t", &number, href, &q, &e));
	http_req_release(&q);
	memset(href, 'x', sizeof href);
	memcpy(href, "/processos/", 11);
	href[sizeof href - 1] = '\0';
	assert_false(portal_ask_document(&site, "t", &number, href, &q, &e));
}

static void test_other_bases(void **state)
{
	(void)state;
	static const struct {
		const char *base, *href, *url;
	} rows[] = {
		{"http://127.0.0.1:8080/api/v2", "/processos/1",
		 "http://127.0.0.1:8080/api/v2/processos/1"},
		{"http://127.0.0.1:8080/api/v2", "http://127.0.0.1:8080/processos/1",
		 "http://127.0.0.1:8080/api/v2/processos/1"},
		{"http://[::1]:8080/api/v2", "/processos/1",
		 "http://[::1]:8080/api/v2/processos/1"},
		{"http://[::1]:8080/api/v2", "http://[::1]:8080/api/v2/processos/1",
		 "http://[::1]:8080/api/v2/processos/1"},
		{"https://lake.example/processo-api/api/v1", "/processos/1",
		 "https://lake.example/processo-api/api/v1/processos/1"},
		{"https://portal.example", "/processos/1", "https://portal.example/processos/1"},
		{"https://portal.example", "/other", NULL},
		{"https://portal.example/api/v2/", "/processos/1", BASE "/processos/1"},
		{"portal.example", "/processos/1", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct portal_site s = site;
		struct http_req q;
		struct err e;
		s.base_url = rows[i].base;
		assert_int_equal(portal_ask_document(&s, "t", &number, rows[i].href, &q, &e),
				 rows[i].url != NULL);
		if (rows[i].url)
			assert_string_equal(q.url, rows[i].url);
		http_req_release(&q);
	}
}

static void test_configured_headers(void **state)
{
	(void)state;
	struct portal_site s = site;
	struct http_req q;
	s.headers =
		" X-PDPJ-CPF-USUARIO-OPERADOR: 0 |nonsense|:x||referer:https://a.example/|A:1\r\nB:2";
	portal_ask_detail(&s, "t", &number, &q);
	assert_string_equal(header(&q, "X-PDPJ-CPF-USUARIO-OPERADOR"), "0 ");
	assert_string_equal(header(&q, "Referer"), "(none)");
	assert_string_equal(header(&q, "referer"), "https://a.example/");
	assert_string_equal(header(&q, "A"), "1");
	assert_string_equal(header(&q, "B"), "2");
	assert_string_equal(header(&q, "Authorization"), "Bearer t");
	http_req_release(&q);

	s.headers = "a:1|b:1|c:1|d:1|e:1|f:1|g:1|h:1|i:1|Origin: https://b.example";
	portal_ask_detail(&s, "a\r\nX: y", &number, &q);
	assert_int_equal(q.nheaders, HTTP_HEADERS_MAX);
	assert_string_equal(header(&q, "Authorization"), "Bearer aX: y");
	assert_string_equal(header(&q, "g"), "1");
	assert_string_equal(header(&q, "Origin"), "https://b.example");
	http_req_release(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_detail),
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_hrefs),
		cmocka_unit_test(test_long_href),
		cmocka_unit_test(test_other_bases),
		cmocka_unit_test(test_configured_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
