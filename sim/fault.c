/*
 * fault - the table of the portal's misbehaviours, each with the name that tests use.
 *
 * A row says which calls it concerns and what comes back. Rows that end (`last` > 0) are passing:
 * a client that asks again gets the true answer. It never says where a fault applies; the
 * catalogue of cases and the script do.
 */
#include "recipe.h"

#include <string.h>

#define HTML "text/html"
#define JSON "application/json"
#define UNAVAILABLE "unavailable_upstream"
#define NO_ACCESS "Usuário não possui acesso ao processo "
#define NO_RECORD "Não foram encontrados registros para o processo "
#define CODEX "Erro interno na API do Codex."
#define CODEX_SLOW "O tempo de resposta do serviço Codex excedeu o limite"
#define SSO                                                                                        \
	"https://sso.cloud.pje.jus.br/auth/realms/pje/protocol/openid-connect/auth?client_id=portalexterno-frontend"

#define ERROR_BODY(code, message)                                                                  \
	{                                                                                          \
		.status = (code), .content = CONTENT_ERROR, .text = (message)                      \
	}
#define LAKE_BODY(code, message)                                                                   \
	{                                                                                          \
		.status = (code), .content = CONTENT_ERROR_LAKE, .text = (message)                 \
	}
#define GATEWAY_BODY(code)                                                                         \
	{                                                                                          \
		.status = (code), .content = CONTENT_GATEWAY                                       \
	}
#define FOREVER .first = 1, .last = 0
#define ONCE .first = 1, .last = 1
#define TWICE .first = 1, .last = 2

static const struct fault faults[] = {
	{"token-401-empty", ONCE, .recipe = {.status = 401, .content = CONTENT_NONE}},
	{"token-401-json", ONCE,
	 .recipe = {.status = 401,
		    .content = CONTENT_TEXT,
		    .type = JSON,
		    .text = "{\"status\":401,\"error\":\"Unauthorized\",\"message\":\"\"}"}},
	{"denied-401-json", FOREVER, .reason = "denied", .recipe = ERROR_BODY(401, NO_ACCESS)},
	{"denied-403-json", FOREVER, .reason = "denied", .recipe = ERROR_BODY(403, NO_ACCESS)},
	{"waf-403-html", TWICE, .recipe = {.status = 403, .content = CONTENT_WAF}},
	{"not-found-404-json", FOREVER, .reason = UNAVAILABLE, .recipe = ERROR_BODY(404, "")},
	{"not-found-404-iso", FOREVER, .reason = UNAVAILABLE,
	 .recipe = {.status = 404, .content = CONTENT_ERROR_ISO, .text = ""}},
	{"not-indexed-404", FOREVER, .reason = UNAVAILABLE, .recipe = ERROR_BODY(404, NO_RECORD)},
	{"not-indexed-500", FOREVER, .reason = UNAVAILABLE,
	 .recipe = LAKE_BODY(500, "br.jus.cnj.codex.RegistroNaoEncontradoException: " NO_RECORD)},
	{"codex-500", FOREVER, .reason = UNAVAILABLE, .recipe = LAKE_BODY(500, CODEX)},
	{"codex-500-then-ok", TWICE, .recipe = LAKE_BODY(500, CODEX)},
	{"codex-overload", TWICE, .recipe = LAKE_BODY(504, CODEX_SLOW)},
	{"codex-overload-500", TWICE, .recipe = LAKE_BODY(500, CODEX_SLOW)},
	{"rate-429-plain", ONCE, .recipe = ERROR_BODY(429, "Too Many Requests")},
	{"rate-429-seconds", TWICE,
	 .recipe = {.status = 429,
		    .content = CONTENT_NONE,
		    .retry_form = RETRY_SECONDS,
		    .retry_s = 1}},
	{"rate-429-date", ONCE,
	 .recipe = {.status = 429,
		    .content = CONTENT_ERROR,
		    .text = "Too Many Requests",
		    .retry_form = RETRY_DATE,
		    .retry_s = 1}},
	{"error-500", TWICE, .recipe = ERROR_BODY(500, "")},
	{"gateway-502", TWICE, .recipe = GATEWAY_BODY(502)},
	{"gateway-503", TWICE, .recipe = GATEWAY_BODY(503)},
	{"gateway-504", TWICE, .recipe = GATEWAY_BODY(504)},
	{"gateway-503-forever", FOREVER, .reason = UNAVAILABLE, .recipe = GATEWAY_BODY(503)},
	{"maintenance-200", FOREVER, .reason = "invalid_content",
	 .recipe = {.status = 200, .content = CONTENT_MAINTENANCE}},
	{"maintenance-200-then-ok", TWICE,
	 .recipe = {.status = 200, .content = CONTENT_MAINTENANCE}},
	{"shell-200", FOREVER, .reason = "invalid_content",
	 .recipe = {.status = 200, .content = CONTENT_SHELL}},
	{"shell-200-then-ok", TWICE, .recipe = {.status = 200, .content = CONTENT_SHELL}},
	{"login-200", FOREVER, .reason = "invalid_content",
	 .recipe = {.status = 200, .content = CONTENT_LOGIN}},
	{"login-200-then-ok", ONCE, .recipe = {.status = 200, .content = CONTENT_LOGIN}},
	{"json-error-200", FOREVER, .reason = UNAVAILABLE, .recipe = LAKE_BODY(200, CODEX)},
	{"redirect-302-sso", ONCE,
	 .recipe = {.status = 302, .content = CONTENT_NONE, .location = SSO}},
	{"redirect-302-other", FOREVER, .reason = UNAVAILABLE,
	 .recipe = {.status = 302,
		    .content = CONTENT_NONE,
		    .location = "http://arquivos.invalid/elsewhere"}},
	{"bad-request-400", FOREVER, .reason = UNAVAILABLE,
	 .recipe = ERROR_BODY(400, "Bad Request")},
	{"empty-200", FOREVER, .reason = "empty",
	 .recipe = {.status = 200, .content = CONTENT_NONE, .type = "application/pdf"}},
	{"empty-then-ok", TWICE,
	 .recipe = {.status = 200, .content = CONTENT_NONE, .type = "application/pdf"}},
	{"truncated-length", FOREVER, .reason = UNAVAILABLE,
	 .recipe = {.ending = ENDING_CUT, .place = PLACE_PERCENT, .at = 60}},
	{"truncated-length-then-ok", TWICE,
	 .recipe = {.ending = ENDING_CUT, .place = PLACE_PERCENT, .at = 60}},
	{"truncated-pdf", FOREVER, .reason = "invalid_content",
	 .recipe = {.ending = ENDING_SHORT, .place = PLACE_PERCENT, .at = 70, .chunked = true}},
	{"cut-chunked", FOREVER, .reason = UNAVAILABLE,
	 .recipe = {.ending = ENDING_CUT, .place = PLACE_PERCENT, .at = 50, .chunked = true}},
	{"cut-chunked-then-ok", TWICE,
	 .recipe = {.ending = ENDING_CUT, .place = PLACE_PERCENT, .at = 50, .chunked = true}},
	{"wrong-length", FOREVER, .reason = "invalid_content", .recipe = {.length_percent = 50}},
	{"reset-start", TWICE, .recipe = {.drop = true}},
	{"reset-middle", TWICE,
	 .recipe = {.ending = ENDING_RESET, .place = PLACE_PERCENT, .at = 50}},
	{"reset-forever", FOREVER, .reason = UNAVAILABLE, .recipe = {.drop = true}},
	{"stall", FOREVER, .reason = "timeout",
	 .recipe = {.ending = ENDING_STALL, .place = PLACE_PERCENT, .at = 50}},
	{"stall-then-ok", ONCE,
	 .recipe = {.ending = ENDING_STALL, .place = PLACE_PERCENT, .at = 50}},
	{"stall-header", FOREVER, .reason = "timeout", .recipe = {.mute = true}},
	{"stall-header-then-ok", ONCE, .recipe = {.mute = true}},
	{"drip", FOREVER, .recipe = {.drip_bytes = 2048, .drip_ms = 50}},
	{"chunked", FOREVER, .recipe = {.chunked = true}},
	{"slow-headers", FOREVER, .recipe = {.slow_headers = true}},
	{"gzip-encoded", FOREVER, .reason = "invalid_content", .recipe = {.gzip = true}},
	{"mismatch", FOREVER, .reason = "invalid_content",
	 .recipe = {.status = 200, .content = CONTENT_JUNK, .type = "application/pdf"}},
};

size_t fault_count(void)
{
	return sizeof faults / sizeof faults[0];
}

const struct fault *fault_at(size_t i)
{
	return &faults[i];
}

const struct fault *fault_find(const char *name)
{
	for (size_t i = 0; i < fault_count(); i++)
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	return NULL;
}

bool fault_concerns(const struct fault *f, uint64_t n)
{
	return n >= f->first && (f->last == 0 || n <= f->last);
}
