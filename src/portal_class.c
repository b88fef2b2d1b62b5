/*
 * portal_class - the table that names every answer of the portal.
 *
 * The status alone is ambiguous: 401 may be a dead token or a sealed case, 200 may be a document,
 * a log-in page or an error. So transport comes first, then what the body says, then the status.
 * The first row that fits decides, and the last one fits everything. On a document call nothing
 * that a document's own bytes say may pause the portal: such rows only try again.
 */
#include "portal.h"

#include "portal_body.h"

#include <assert.h>

enum { ANY = 0, JSON = 1, DOC = 2 };

#define USE PORTAL_ACT_USE
#define RETRY PORTAL_ACT_RETRY
#define GIVE_UP PORTAL_ACT_GIVE_UP
#define RENEW PORTAL_ACT_RENEW
#define HOLD PORTAL_ACT_HOLD
#define FINE PORTAL_LOAD_FINE
#define HALVE PORTAL_LOAD_HALVE
#define NEUTRAL PORTAL_LOAD_NEUTRAL
#define DENIED DOC_REASON_DENIED
#define UPSTREAM DOC_REASON_UNAVAILABLE_UPSTREAM
#define INVALID DOC_REASON_INVALID_CONTENT
#define FAULT(name) (1U << HTTP_FAULT_##name)

struct rule {
	const char *name;
	int calls;        /* JSON, DOC; ANY = both */
	unsigned faults;  /* FAULT bits; 0 = any */
	int low, high;    /* status, inclusive */
	unsigned kinds;   /* BODY bits; 0 = any */
	const char *says; /* patterns of portal_says; NULL = any */
	enum portal_meaning meaning;
	enum portal_act act;
	enum portal_load load;
	enum doc_reason reason;
	const char *text;
};

/* clang-format off */
static const struct rule rules[] = {
	/* ---- Transport ---- */
	{"local-disk", ANY, FAULT(LOCAL), 0, 999, 0, NULL,
	 PORTAL_LOCAL, RETRY, NEUTRAL, DOC_REASON_STORAGE,
	 "This machine could not keep the answer: its spool directory is full or not writable."},
	{"rate-limit", ANY, 0, 429, 429, 0, NULL,
	 PORTAL_RATE_LIMITED, HOLD, HALVE, UPSTREAM,
	 "The portal asks this account to slow down (429); all requests pause for a while."},
	{"no-connection", ANY, FAULT(CONNECT), 0, 999, 0, NULL,
	 PORTAL_UNREACHABLE, HOLD, NEUTRAL, UPSTREAM,
	 "No connection to the portal: check network, proxy, name resolution and certificates."},
	{"time-out", ANY, FAULT(TIMEOUT), 0, 999, 0, NULL,
	 PORTAL_TIMEOUT, RETRY, HALVE, DOC_REASON_TIMEOUT,
	 "The portal took too long to answer."},
	{"connection-reset", ANY, FAULT(RESET), 0, 999, 0, NULL,
	 PORTAL_TRUNCATED, RETRY, NEUTRAL, UPSTREAM,
	 "The connection to the portal broke before the answer was complete."},
	{"short-body", ANY, FAULT(SHORT), 0, 999, 0, NULL,
	 PORTAL_TRUNCATED, RETRY, NEUTRAL, UPSTREAM,
	 "The portal sent fewer bytes than it had announced."},
	{"too-large", ANY, FAULT(TOO_LARGE), 0, 299, 0, NULL,
	 PORTAL_TOO_LARGE, GIVE_UP, NEUTRAL, DOC_REASON_TOO_LARGE,
	 "The answer is larger than the configured limit."},
	{"not-http", ANY, FAULT(PROTOCOL), 0, 999, 0, NULL,
	 PORTAL_UNKNOWN, RETRY, NEUTRAL, UPSTREAM,
	 "What the portal sent could not be read as HTTP."},

	/* ---- Redirects; they are never followed, the token must not leave ---- */
	{"redirect-to-login", ANY, 0, 300, 399, 0, "login",
	 PORTAL_LOGIN, RENEW, NEUTRAL, UPSTREAM,
	 "The portal sends us to its log-in page: the token has ended and must be renewed."},
	{"redirect", ANY, 0, 300, 399, 0, NULL,
	 PORTAL_REDIRECT, GIVE_UP, NEUTRAL, UPSTREAM,
	 "The portal points to another address, which is not followed to protect the token."},

	/* ---- Messages ---- */
	{"no-access", ANY, 0, 200, 599, 0, "n*o possui acesso",
	 PORTAL_SEALED, GIVE_UP, NEUTRAL, DENIED,
	 "The portal says that the token's holder has no access to this case: it is sealed, or the "
	 "holder takes no part in it."},
	{"no-record", ANY, 0, 200, 599, 0,
	 "n*o foram encontrados registros|registron*oencontradoexception",
	 PORTAL_NOT_INDEXED, GIVE_UP, NEUTRAL, UPSTREAM,
	 "The portal has no record of it: not there yet, or hidden because of secrecy; it may "
	 "appear later."},
	{"codex-without-bytes", DOC, 0, 200, 599, 0, "erro interno na api do codex",
	 PORTAL_MISSING_CONTENT, RETRY, NEUTRAL, UPSTREAM,
	 "The document is listed, but the national data lake does not deliver its content."},
	{"codex-error", JSON, 0, 200, 599, 0, "erro interno na api do codex",
	 PORTAL_GATEWAY, RETRY, HALVE, UPSTREAM,
	 "The national data lake behind the portal reports an internal error."},
	{"codex-slow", ANY, 0, 200, 599, 0, "excedeu o limite",
	 PORTAL_OVERLOAD, RETRY, HALVE, UPSTREAM,
	 "The national data lake behind the portal is too slow at the moment."},
	{"maintenance-message", ANY, 0, 500, 599, 0,
	 "em manutencao|manutencao programada|under maintenance|down for maintenance",
	 PORTAL_MAINTENANCE, HOLD, NEUTRAL, UPSTREAM,
	 "The portal says that it is under maintenance."},

	/* ---- Refusals ---- */
	{"login-page", JSON, 0, 200, 499, BODY_LOGIN, NULL,
	 PORTAL_LOGIN, RENEW, NEUTRAL, UPSTREAM,
	 "The portal answered with its log-in page: the token must be renewed."},
	{"login-page-refusal", DOC, 0, 401, 403, BODY_LOGIN, NULL,
	 PORTAL_LOGIN, RENEW, NEUTRAL, UPSTREAM,
	 "The portal refused the token with its log-in page: the token must be renewed."},
	{"login-page-document", DOC, 0, 200, 499, BODY_LOGIN, NULL,
	 PORTAL_LOGIN, RETRY, NEUTRAL, INVALID,
	 "The portal sent its log-in page in place of the document."},
	{"token-refused", ANY, 0, 401, 401, 0, NULL,
	 PORTAL_TOKEN_DEAD, RENEW, NEUTRAL, UPSTREAM,
	 "The portal refuses the token: it has ended, is damaged, or was made for something else."},
	{"closed", ANY, 0, 403, 403, BODY_ERROR | BODY_JSON, NULL,
	 PORTAL_SEALED, GIVE_UP, NEUTRAL, DENIED,
	 "The portal refused access to this and gave no reason; most likely it is sealed."},
	{"firewall", ANY, 0, 403, 403, 0, NULL,
	 PORTAL_WAF, HOLD, HALVE, UPSTREAM,
	 "A firewall in front of the portal refuses us: check the address we call from (Brazil), "
	 "the pace and the request headers."},
	{"block-page", ANY, 0, 400, 499, BODY_BLOCK, NULL,
	 PORTAL_WAF, HOLD, HALVE, UPSTREAM,
	 "A firewall in front of the portal answered with its block page."},
	{"block-page-json", JSON, 0, 200, 299, BODY_BLOCK, NULL,
	 PORTAL_WAF, HOLD, HALVE, UPSTREAM,
	 "A firewall in front of the portal answered with its block page, dressed as success."},
	{"block-page-document", DOC, 0, 200, 299, BODY_BLOCK, NULL,
	 PORTAL_WAF, RETRY, NEUTRAL, INVALID,
	 "A firewall's block page came in place of the document."},

	/* ---- Pages where something else belongs ---- */
	{"shell", JSON, 0, 200, 404, BODY_SHELL, NULL,
	 PORTAL_SHELL, RETRY, NEUTRAL, UPSTREAM,
	 "The portal's web application came in place of data: check that portal_url ends in /api/v2."},
	{"shell-document", DOC, 0, 200, 404, BODY_SHELL, NULL,
	 PORTAL_SHELL, RETRY, NEUTRAL, INVALID,
	 "The portal's web application came in place of the document; it is asked for again in case "
	 "this passes."},
	{"bad-request", ANY, 0, 400, 400, 0, NULL,
	 PORTAL_BAD_REQUEST, GIVE_UP, NEUTRAL, UPSTREAM,
	 "The portal does not accept this request (400)."},
	{"page-for-json", JSON, 0, 200, 404, BODY_HTML | BODY_NOTICE, NULL,
	 PORTAL_MAINTENANCE, HOLD, NEUTRAL, UPSTREAM,
	 "The portal answered with a web page in place of data; it is probably under maintenance."},
	{"notice-document", DOC, 0, 200, 299, BODY_NOTICE, NULL,
	 PORTAL_MAINTENANCE, RETRY, NEUTRAL, INVALID,
	 "A notice of maintenance or of a failing proxy came in place of the document."},

	/* ---- Status ---- */
	{"not-found", ANY, 0, 404, 404, 0, NULL,
	 PORTAL_NOT_FOUND, GIVE_UP, NEUTRAL, UPSTREAM,
	 "The portal does not know it (404)."},
	{"gone", ANY, 0, 410, 410, 0, NULL,
	 PORTAL_NOT_FOUND, GIVE_UP, NEUTRAL, UPSTREAM,
	 "The portal says that it is there no longer (410)."},
	{"proxy-login", ANY, 0, 407, 407, 0, NULL,
	 PORTAL_UNREACHABLE, HOLD, NEUTRAL, UPSTREAM,
	 "The proxy on the way to the portal asks for credentials: check portal_proxy."},
	{"request-time-out", ANY, 0, 408, 408, 0, NULL,
	 PORTAL_TIMEOUT, RETRY, HALVE, DOC_REASON_TIMEOUT,
	 "The portal gave up waiting for the request (408)."},
	{"refused-request", ANY, 0, 400, 499, 0, NULL,
	 PORTAL_BAD_REQUEST, GIVE_UP, NEUTRAL, UPSTREAM,
	 "The portal refuses this request; asking again would not help."},
	{"gateway", ANY, 0, 502, 504, 0, NULL,
	 PORTAL_GATEWAY, RETRY, HALVE, UPSTREAM,
	 "A gateway in front of the portal got no answer from it (502, 503 or 504)."},
	{"server-error", ANY, 0, 500, 599, 0, NULL,
	 PORTAL_GATEWAY, RETRY, HALVE, UPSTREAM,
	 "The portal reports an error of its own."},
	{"not-200", ANY, 0, 201, 299, 0, NULL,
	 PORTAL_UNKNOWN, RETRY, NEUTRAL, UPSTREAM,
	 "The portal answered with an unexpected kind of success, not with 200."},

	/* ---- 200: what the bytes are ---- */
	{"empty-json", JSON, 0, 200, 200, BODY_NONE, NULL,
	 PORTAL_EMPTY, RETRY, NEUTRAL, UPSTREAM,
	 "The portal answered with nothing where data belongs."},
	{"empty-document", DOC, 0, 200, 200, BODY_NONE, NULL,
	 PORTAL_EMPTY, RETRY, NEUTRAL, DOC_REASON_EMPTY,
	 "The portal delivers this document without any bytes."},
	{"encoded", ANY, 0, 200, 200, BODY_ENCODED, NULL,
	 PORTAL_MISMATCH, RETRY, NEUTRAL, INVALID,
	 "The answer came compressed, which was not asked for."},
	{"wrong-length", ANY, 0, 200, 200, BODY_PART, NULL,
	 PORTAL_TRUNCATED, RETRY, NEUTRAL, INVALID,
	 "The number of bytes differs from the one announced."},
	{"error-for-data", JSON, 0, 200, 200, BODY_ERROR, NULL,
	 PORTAL_ERROR_BODY, RETRY, NEUTRAL, UPSTREAM,
	 "The portal reported an error dressed as success."},
	{"error-for-document", DOC, 0, 200, 200, BODY_ERROR, NULL,
	 PORTAL_ERROR_BODY, RETRY, NEUTRAL, INVALID,
	 "The portal sent an error message in place of the document."},
	{"cut-json", JSON, 0, 200, 200, BODY_CUT, NULL,
	 PORTAL_TRUNCATED, RETRY, NEUTRAL, UPSTREAM,
	 "The portal's data is damaged or ends in the middle."},
	{"cut-document", DOC, 0, 200, 200, BODY_CUT, NULL,
	 PORTAL_TRUNCATED, RETRY, NEUTRAL, INVALID,
	 "The document ends in the middle: its end mark is missing."},
	{"json-too-large", JSON, 0, 200, 200, BODY_SPILLED, NULL,
	 PORTAL_TOO_LARGE, GIVE_UP, NEUTRAL, DOC_REASON_TOO_LARGE,
	 "The portal's data is too large to be read in memory."},
	{"json", JSON, 0, 200, 200, BODY_JSON, NULL,
	 PORTAL_GOOD, USE, FINE, DOC_REASON_NONE,
	 "The portal answered with data."},
	{"json-for-document", DOC, 0, 200, 200, BODY_JSON, NULL,
	 PORTAL_UNKNOWN, RETRY, NEUTRAL, INVALID,
	 "The portal sent data in place of the document."},
	{"html-document", DOC, 0, 200, 200, BODY_HTML, NULL,
	 PORTAL_GOOD, USE, FINE, DOC_REASON_NONE,
	 "The portal delivered a document in HTML."},
	{"document", DOC, 0, 200, 200, BODY_WHOLE, NULL,
	 PORTAL_GOOD, USE, FINE, DOC_REASON_NONE,
	 "The portal delivered the document."},
	{"text-document", DOC, 0, 200, 200, BODY_TEXT, NULL,
	 PORTAL_GOOD, USE, FINE, DOC_REASON_NONE,
	 "The portal delivered a document in plain text."},
	{"other-document", DOC, 0, 200, 200, BODY_BYTES, NULL,
	 PORTAL_GOOD, USE, FINE, DOC_REASON_NONE,
	 "The portal delivered a document of a kind that is not checked."},
	{"type-mismatch", DOC, 0, 200, 200, BODY_MISMATCH, NULL,
	 PORTAL_MISMATCH, RETRY, NEUTRAL, INVALID,
	 "The bytes are not what their type says, and nothing that we know."},
	{"nameless-bytes", DOC, 0, 200, 200, BODY_NAMELESS, NULL,
	 PORTAL_UNKNOWN, RETRY, NEUTRAL, INVALID,
	 "Bytes came without a type, and they are nothing that we know."},
	{"unknown", ANY, 0, 0, 0x7fffffff, 0, NULL,
	 PORTAL_UNKNOWN, RETRY, NEUTRAL, INVALID,
	 "The portal's answer is like none that we know, and was refused."},
};
/* clang-format on */

enum { RULES = sizeof rules / sizeof *rules };

static bool fits(const struct rule *r, int call, const struct http_res *res,
		 const struct portal_facts *f)
{
	if (r->calls && !(r->calls & call))
		return false;
	if (r->faults && !(r->faults & 1U << res->fault))
		return false;
	if (res->status < r->low || res->status > r->high)
		return false;
	if (r->kinds && !(r->kinds & f->kind))
		return false;
	return !r->says || portal_says(f->said, r->says);
}

struct portal_verdict portal_classify(enum portal_call call, const struct http_res *res)
{
	struct portal_facts f;
	int bit = call == PORTAL_DOCUMENT ? DOC : JSON;
	portal_facts_read(&f, call, res);
	size_t i = 0;
	while (i < RULES - 1 && !fits(&rules[i], bit, res, &f))
		i++;
	portal_facts_release(&f);
	const struct rule *r = &rules[i];
	return (struct portal_verdict){.rule = r->name,
				       .meaning = r->meaning,
				       .act = r->act,
				       .load = r->load,
				       .reason = r->reason,
				       .text = r->text};
}

size_t portal_rule_count(void)
{
	return RULES;
}

const char *portal_rule_name(size_t i)
{
	assert(i < RULES);
	return rules[i].name;
}

const char *portal_meaning_name(enum portal_meaning meaning)
{
	static const char *const names[] = {
		[PORTAL_GOOD] = "good",
		[PORTAL_TOKEN_DEAD] = "token_dead",
		[PORTAL_SEALED] = "sealed",
		[PORTAL_WAF] = "waf",
		[PORTAL_NOT_FOUND] = "not_found",
		[PORTAL_NOT_INDEXED] = "not_indexed",
		[PORTAL_MISSING_CONTENT] = "missing_content",
		[PORTAL_OVERLOAD] = "overload",
		[PORTAL_RATE_LIMITED] = "rate_limited",
		[PORTAL_GATEWAY] = "gateway",
		[PORTAL_MAINTENANCE] = "maintenance",
		[PORTAL_SHELL] = "shell",
		[PORTAL_LOGIN] = "login",
		[PORTAL_ERROR_BODY] = "error_body",
		[PORTAL_EMPTY] = "empty",
		[PORTAL_TRUNCATED] = "truncated",
		[PORTAL_TIMEOUT] = "timeout",
		[PORTAL_UNREACHABLE] = "unreachable",
		[PORTAL_TOO_LARGE] = "too_large",
		[PORTAL_MISMATCH] = "mismatch",
		[PORTAL_REDIRECT] = "redirect",
		[PORTAL_BAD_REQUEST] = "bad_request",
		[PORTAL_LOCAL] = "local",
		[PORTAL_UNKNOWN] = "unknown",
	};
	static_assert(sizeof names / sizeof *names == PORTAL_UNKNOWN + 1);
	return names[meaning];
}

const char *doc_reason_name(enum doc_reason reason)
{
	static const char *const names[] = {
		[DOC_REASON_NONE] = "",
		[DOC_REASON_DENIED] = "denied",
		[DOC_REASON_UNAVAILABLE_UPSTREAM] = "unavailable_upstream",
		[DOC_REASON_EMPTY] = "empty",
		[DOC_REASON_INVALID_CONTENT] = "invalid_content",
		[DOC_REASON_TOO_LARGE] = "too_large",
		[DOC_REASON_TIMEOUT] = "timeout",
		[DOC_REASON_STORAGE] = "storage",
	};
	static_assert(sizeof names / sizeof *names == DOC_REASON_STORAGE + 1);
	return names[reason];
}
