/*
 * oddity - the table of fixed misbehaving cases. Ids are forever: docs and tests name the numbers
 * that follow from them, so a new row gets a new id and an old id is never given again.
 *
 * Below 100: odd shapes and listings. From 101: two documents of the case have a fault. From 201:
 * the calls for the case have one. From 301: many at once. One row a line, however long: the table
 * is read, searched and compared by line.
 */
#include "oddity_build.h"

#define COMPLETE "complete"
#define PARTIAL "partial"
#define NOT_FOUND "not_found"
#define DENIED "access_denied"
#define UPSTREAM "upstream_error"

#define SHAPE(id, name, outcome, build, about)                                                     \
	{                                                                                          \
		id, name, about, outcome, NULL, NULL, NULL, build                                  \
	}
#define PAPER(id, name, outcome, fault, about)                                                     \
	{                                                                                          \
		id, name, about, outcome, NULL, NULL, fault, NULL                                  \
	}
#define CALLS(id, name, outcome, list, detail, about)                                              \
	{                                                                                          \
		id, name, about, outcome, list, detail, NULL, NULL                                 \
	}

/* clang-format off */
static const struct oddity oddities[] = {
	SHAPE(1, "detail-array", COMPLETE, NULL, "the detail is an array with one case, as usual"),
	SHAPE(2, "detail-object", COMPLETE, odd_detail_object, "the detail is a bare object"),
	SHAPE(3, "detail-content", COMPLETE, odd_detail_content, "the detail is {\"content\": [case]}"),
	SHAPE(4, "detail-empty-array", NOT_FOUND, odd_detail_empty_array, "list and detail are empty with status 200: no such case, or hidden"),
	SHAPE(5, "list-bare-array", COMPLETE, odd_list_bare, "the list is a bare array"),
	SHAPE(6, "list-content", COMPLETE, odd_list_content, "the list is {\"content\": [...]} and nothing else"),
	SHAPE(7, "list-data", COMPLETE, odd_list_data, "the list's items are under data"),
	SHAPE(8, "list-total-object", COMPLETE, odd_list_total_object, "total is {\"value\": n, \"relation\": \"eq\"}"),
	SHAPE(9, "list-cursor-underscore", COMPLETE, odd_list_cursor_underscore, "the cursor is called search_after; two full pages"),
	SHAPE(10, "list-cursor-next", COMPLETE, odd_list_cursor_next, "the cursor is called nextSearchAfter; two full pages"),
	SHAPE(11, "list-paged", COMPLETE, odd_list_paged, "the number's items span three pages of at most two"),
	SHAPE(12, "list-paged-late", COMPLETE, odd_list_paged_late, "other numbers fill two pages, the number is on the third"),
	SHAPE(13, "list-cursor-loop", COMPLETE, odd_list_cursor_loop, "every page is full and gives the same cursor"),
	SHAPE(14, "list-ignores-filter", COMPLETE, odd_list_ignores_filter, "the list answers other numbers only; the detail is right"),
	CALLS(15, "list-404", COMPLETE, "not-found-404-json", NULL, "the list answers 404; the detail is right"),
	SHAPE(16, "list-empty", COMPLETE, odd_list_empty, "the list is empty with status 200; the detail is right"),
	SHAPE(17, "only-tramitacao-atual", COMPLETE, odd_only_current, "tramitacoes is absent"),
	SHAPE(18, "only-tramitacoes", COMPLETE, odd_only_others, "tramitacaoAtual is absent, two proceedings in tramitacoes"),
	SHAPE(19, "three-proceedings-two-sources", COMPLETE, odd_two_sources, "G1 listed twice by two sources with other uuids, plus G2; some papers can be had by one uuid only"),
	SHAPE(20, "moved-court", COMPLETE, odd_moved_court, "17 of 43 papers listed again by the old court with another idOrigem"),
	SHAPE(21, "same-content", COMPLETE, odd_same_content, "four distinct papers with equal bytes"),
	SHAPE(22, "ids-as-strings", COMPLETE, odd_ids_strings, "every numeric id is a string"),
	SHAPE(23, "ids-as-numbers", COMPLETE, odd_ids_numbers, "every id is a number, idOrigem too"),
	SHAPE(24, "no-arquivo", COMPLETE, odd_no_arquivo, "no document declares size or type"),
	SHAPE(25, "arquivo-wrong", COMPLETE, odd_arquivo_wrong, "every document declares a wrong size and type; the bodies are whole"),
	SHAPE(26, "no-documents", "empty", odd_no_documents, "a case without any document"),
	SHAPE(27, "href-missing", COMPLETE, odd_href_missing, "every other document has hrefTexto only"),
	SHAPE(28, "href-none", PARTIAL, odd_href_none, "one document has no link at all"),
	SHAPE(29, "href-prefixed", COMPLETE, odd_href_prefixed, "links already start with /api/v2"),
	SHAPE(30, "href-absolute", COMPLETE, odd_href_absolute, "links are absolute, to this very host"),
	SHAPE(31, "href-foreign", PARTIAL, odd_href_foreign, "one link leads to another host, which must never see the bearer"),
	SHAPE(32, "secrecy-mixed", PARTIAL, odd_secrecy, "levels as number, name and unknown words; three sealed papers refuse their bytes"),
	SHAPE(33, "names-wild", COMPLETE, odd_names, "slashes, controls, 300 bytes, dots, emoji, null, missing, reserved, repeated names"),
	SHAPE(34, "dates-wild", COMPLETE, odd_dates, "dates with 0 to 6 fraction digits, zones, impossible days and no date at all"),
	SHAPE(35, "big-case", COMPLETE, odd_big_case, "1000 small documents"),
	SHAPE(36, "big-document", COMPLETE, odd_big_document, "one PDF of 300 MB among small ones"),
	SHAPE(37, "kinds", COMPLETE, odd_kinds, "one document of every kind"),
	SHAPE(38, "tiny-html", COMPLETE, odd_tiny_html, "legitimate pages of 21 and 127 bytes"),
	SHAPE(39, "numeric-parties", COMPLETE, odd_numeric_parties, "CPF numbers as JSON numbers, an alphanumeric CNPJ, a party without name"),
	SHAPE(40, "detail-other-number", UPSTREAM, odd_detail_other_number, "the detail is the case file of another number: nothing of it may be kept"),
	SHAPE(41, "detail-empty-array-listed", DENIED, odd_detail_hidden, "the list has the case, the detail is [] with status 200: no access"),

	PAPER(101, "token-401-empty-document", COMPLETE, "token-401-empty", "the first call answers 401 without a body"),
	PAPER(102, "token-401-json-document", COMPLETE, "token-401-json", "the first call answers 401 with the empty JSON error"),
	PAPER(103, "denied-document-401-json", PARTIAL, "denied-401-json", "401 with the message that the user has no access"),
	PAPER(104, "denied-document-403-json", PARTIAL, "denied-403-json", "403 with the message that the user has no access"),
	PAPER(105, "waf-403-html-document", COMPLETE, "waf-403-html", "the firewall's 403 page, twice"),
	PAPER(106, "not-found-404-json-document", PARTIAL, "not-found-404-json", "404 JSON, timestamp a number"),
	PAPER(107, "not-found-404-iso-document", PARTIAL, "not-found-404-iso", "404 JSON, timestamp an ISO text"),
	PAPER(108, "not-indexed-404-document", PARTIAL, "not-indexed-404", "404 with the message that there is no record"),
	PAPER(109, "not-indexed-500-document", PARTIAL, "not-indexed-500", "500 with RegistroNaoEncontradoException"),
	PAPER(110, "codex-500", PARTIAL, "codex-500", "listed, but the data lake does not have the bytes"),
	PAPER(111, "codex-500-then-ok", COMPLETE, "codex-500-then-ok", "the same, but the third call works"),
	PAPER(112, "codex-overload", COMPLETE, "codex-overload", "504 with the message of a slow data lake, twice"),
	PAPER(113, "codex-overload-500", COMPLETE, "codex-overload-500", "500 with the message of a slow data lake, twice"),
	PAPER(114, "rate-429-plain", COMPLETE, "rate-429-plain", "429 without Retry-After, once"),
	PAPER(115, "rate-429-seconds", COMPLETE, "rate-429-seconds", "429 with Retry-After in seconds, twice"),
	PAPER(116, "rate-429-date", COMPLETE, "rate-429-date", "429 with Retry-After as a date, once"),
	PAPER(117, "error-500-document", COMPLETE, "error-500", "500 with an empty message, twice"),
	PAPER(118, "gateway-502", COMPLETE, "gateway-502", "a proxy's page, twice"),
	PAPER(119, "gateway-503", COMPLETE, "gateway-503", "a proxy's page, twice"),
	PAPER(120, "gateway-504", COMPLETE, "gateway-504", "a proxy's page, twice"),
	PAPER(121, "gateway-503-forever", PARTIAL, "gateway-503-forever", "a proxy's page, always"),
	PAPER(122, "maintenance-200-document", PARTIAL, "maintenance-200", "a maintenance page with status 200 instead of the PDF"),
	PAPER(124, "shell-200-document", PARTIAL, "shell-200", "the portal's web application instead of the PDF"),
	PAPER(126, "login-200-document", PARTIAL, "login-200", "the log-in form instead of the PDF"),
	PAPER(128, "json-error-200-document", PARTIAL, "json-error-200", "a JSON error with status 200 instead of the PDF"),
	PAPER(129, "redirect-302-sso", COMPLETE, "redirect-302-sso", "302 to the single sign-on, once"),
	PAPER(130, "redirect-302-other", PARTIAL, "redirect-302-other", "302 to an unknown host"),
	PAPER(131, "bad-request-400", PARTIAL, "bad-request-400", "400 JSON"),
	PAPER(132, "empty-200", PARTIAL, "empty-200", "200 and no bytes, always"),
	PAPER(133, "empty-then-ok", COMPLETE, "empty-then-ok", "200 and no bytes, twice"),
	PAPER(134, "truncated-length", PARTIAL, "truncated-length", "closed after 60 % of the announced length"),
	PAPER(135, "truncated-length-then-ok", COMPLETE, "truncated-length-then-ok", "the same, twice"),
	PAPER(136, "truncated-pdf", PARTIAL, "truncated-pdf", "complete chunked answer, but the PDF ends at 70 %"),
	PAPER(137, "cut-chunked", PARTIAL, "cut-chunked", "chunked answer closed without its last chunk"),
	PAPER(138, "cut-chunked-then-ok", COMPLETE, "cut-chunked-then-ok", "the same, twice"),
	PAPER(139, "wrong-length", PARTIAL, "wrong-length", "announces half of the bytes that it sends"),
	PAPER(140, "reset-start", COMPLETE, "reset-start", "connection reset before any byte, twice"),
	PAPER(141, "reset-middle", COMPLETE, "reset-middle", "connection reset after half of the body, twice"),
	PAPER(142, "reset-forever", PARTIAL, "reset-forever", "connection reset before any byte, always"),
	PAPER(143, "stall", PARTIAL, "stall", "half of the body, then nothing more, always"),
	PAPER(144, "stall-then-ok", COMPLETE, "stall-then-ok", "the same, once"),
	PAPER(145, "stall-header", PARTIAL, "stall-header", "never answers"),
	PAPER(146, "drip", COMPLETE, "drip", "slow but steady: 2 KiB every 50 ms"),
	PAPER(147, "chunked", COMPLETE, "chunked", "right bytes without Content-Length"),
	PAPER(148, "slow-headers", COMPLETE, "slow-headers", "the header comes line by line"),
	PAPER(149, "gzip-encoded", PARTIAL, "gzip-encoded", "Content-Encoding: gzip that nobody asked for"),
	PAPER(150, "html-as-pdf-mismatch", PARTIAL, "mismatch", "declared application/pdf, the body is junk"),
	SHAPE(151, "too-large", PARTIAL, odd_too_large, "announces 5 GiB"),

	CALLS(201, "token-401-empty", COMPLETE, "token-401-empty", NULL, "the list answers 401 without a body, once"),
	CALLS(202, "token-401-json", COMPLETE, NULL, "token-401-json", "the detail answers 401 with the empty JSON error, once"),
	{203, "case-sealed-401", "the detail answers 401 with the message that the user has no access", DENIED, NULL, "denied-401-json", NULL, odd_sealed},
	{204, "case-sealed-403", "the detail answers 403 with the message that the user has no access", DENIED, NULL, "denied-403-json", NULL, odd_sealed},
	CALLS(205, "waf-403-html", COMPLETE, NULL, "waf-403-html", "the detail answers the firewall's 403 page, twice"),
	CALLS(206, "not-found-404-json", NOT_FOUND, "not-found-404-json", "not-found-404-json", "list and detail answer 404, timestamp a number"),
	CALLS(207, "not-found-404-iso", NOT_FOUND, "not-found-404-iso", "not-found-404-iso", "list and detail answer 404, timestamp an ISO text"),
	CALLS(208, "not-indexed-404", NOT_FOUND, "not-indexed-404", "not-indexed-404", "list and detail say that there is no record, with 404"),
	CALLS(209, "not-indexed-500", NOT_FOUND, "not-indexed-500", "not-indexed-500", "list and detail say RegistroNaoEncontradoException, with 500"),
	CALLS(210, "case-codex-500", UPSTREAM, NULL, "codex-500", "the detail answers the data lake's internal error, always"),
	CALLS(211, "case-codex-overload", COMPLETE, NULL, "codex-overload", "the detail says that the data lake is slow, twice"),
	CALLS(212, "case-rate-429-plain", COMPLETE, "rate-429-plain", NULL, "the list answers 429 without Retry-After, once"),
	CALLS(213, "case-rate-429-seconds", COMPLETE, NULL, "rate-429-seconds", "the detail answers 429 with seconds, twice"),
	CALLS(214, "case-rate-429-date", COMPLETE, NULL, "rate-429-date", "the detail answers 429 with a date, once"),
	CALLS(215, "case-gateway-502", COMPLETE, NULL, "gateway-502", "the detail answers a proxy's page, twice"),
	CALLS(216, "case-gateway-503", COMPLETE, "gateway-503", NULL, "the list answers a proxy's page, twice"),
	CALLS(217, "case-gateway-504", COMPLETE, NULL, "gateway-504", "the detail answers a proxy's page, twice"),
	CALLS(218, "case-gateway-503-forever", UPSTREAM, NULL, "gateway-503-forever", "the detail answers a proxy's page, always"),
	CALLS(219, "maintenance-html-200", UPSTREAM, NULL, "maintenance-200", "the detail is a maintenance page with status 200, always"),
	CALLS(220, "maintenance-html-200-then-ok", COMPLETE, NULL, "maintenance-200-then-ok", "the same, twice"),
	CALLS(221, "shell-200-detail", UPSTREAM, NULL, "shell-200", "the detail is the portal's web application, always"),
	CALLS(222, "shell-200-detail-then-ok", COMPLETE, NULL, "shell-200-then-ok", "the same, twice"),
	CALLS(223, "login-200-detail", COMPLETE, NULL, "login-200-then-ok", "the detail is the log-in form, once"),
	CALLS(224, "json-error-200-detail", UPSTREAM, NULL, "json-error-200", "the detail is a JSON error with status 200"),
	CALLS(225, "redirect-302-sso-detail", COMPLETE, NULL, "redirect-302-sso", "the detail redirects to the single sign-on, once"),
	CALLS(226, "redirect-302-other-detail", UPSTREAM, NULL, "redirect-302-other", "the detail redirects to an unknown host"),
	CALLS(227, "empty-200-detail", UPSTREAM, NULL, "empty-200", "the detail is empty with status 200, always"),
	CALLS(228, "empty-detail-then-ok", COMPLETE, NULL, "empty-then-ok", "the same, twice"),
	CALLS(229, "truncated-detail", COMPLETE, NULL, "truncated-length-then-ok", "the detail is closed early, twice"),
	CALLS(230, "cut-chunked-detail", COMPLETE, NULL, "cut-chunked-then-ok", "the chunked detail is closed early, twice"),
	CALLS(231, "reset-start-detail", COMPLETE, NULL, "reset-start", "the detail's connection is reset before any byte, twice"),
	CALLS(232, "reset-middle-list", COMPLETE, "reset-middle", NULL, "the list's connection is reset in the middle, twice"),
	CALLS(233, "stall-detail", COMPLETE, NULL, "stall-then-ok", "the detail stops in the middle, once"),
	CALLS(234, "stall-header-list", COMPLETE, "stall-header-then-ok", NULL, "the list never answers, once"),
	CALLS(235, "drip-detail", COMPLETE, NULL, "drip", "the detail comes slowly but steadily"),
	CALLS(236, "slow-headers-detail", COMPLETE, NULL, "slow-headers", "the detail's header comes line by line"),
	CALLS(237, "bad-request-400-detail", UPSTREAM, NULL, "bad-request-400", "the detail answers 400"),
	CALLS(238, "error-500-detail", COMPLETE, NULL, "error-500", "the detail answers 500 with an empty message, twice"),
	CALLS(239, "stall-header-forever", UPSTREAM, NULL, "stall-header", "the detail never answers"),
	CALLS(240, "truncated-json-detail", UPSTREAM, NULL, "truncated-pdf", "the detail is complete HTTP but its JSON ends early, always"),

	SHAPE(301, "everything", PARTIAL, odd_everything, "one document of every fault that concerns only itself"),
	SHAPE(302, "everything-holds", COMPLETE, odd_everything_holds, "one document of every fault that pauses the portal or asks for another token"),
};
/* clang-format on */

const struct oddity *oddity_at(size_t i)
{
	return i < sizeof oddities / sizeof oddities[0] ? &oddities[i] : NULL;
}

const struct oddity *oddity_by_id(unsigned id)
{
	const struct oddity *o;
	for (size_t i = 0; (o = oddity_at(i)); i++)
		if (o->id == id)
			return o;
	return NULL;
}
