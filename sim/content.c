/*
 * content - the bodies that stand in for a true answer: error objects and the HTML pages of the
 * things in front of the portal. Pure; the timestamps in them are fixed so that answers repeat.
 */
#include "recipe.h"

#include "sys.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_MAX = 64 * 1024, SHELL_SIZE = 2422, JUNK_SIZE = 20000 };

#define FIXED_MS 1767236645000LL
#define FIXED_ISO "2026-01-01T03:04:05.000+00:00"
#define LAKE "https://api-processo.data-lake.pdpj.jus.br/processo-api"

static const char *status_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {{200, "OK"},
		       {400, "Bad Request"},
		       {401, "Unauthorized"},
		       {403, "Forbidden"},
		       {404, "Not Found"},
		       {405, "Method Not Allowed"},
		       {429, "Too Many Requests"},
		       {500, "Internal Server Error"},
		       {502, "Bad Gateway"},
		       {503, "Service Unavailable"},
		       {504, "Gateway Timeout"}};
	for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Error";
}

/* "/api/v2/processos/..." as the data lake sees it. */
static json_t *lake_url(const char *path)
{
	const char *rest = strstr(path, "/processos");
	char *url = xasprintf(LAKE "/api/v1%s", rest ? rest : "/");
	json_t *j = json_string(url);
	xfree(url);
	return j;
}

static void add_error(int status, enum content form, const char *message, const char *path,
		      struct body *out)
{
	/* The lake speaks of its own failure, even when a 200 is wrapped around it. */
	int inner = status == 200 ? 500 : status;
	json_t *j = json_object();
	json_object_set_new(j, "timestamp",
			    form == CONTENT_ERROR ? json_integer(FIXED_MS)
						  : json_string(FIXED_ISO));
	json_object_set_new(j, "status", json_integer(inner));
	json_object_set_new(j, "error", json_string(status_phrase(inner)));
	json_object_set_new(j, "message", json_string(message));
	json_object_set_new(j, "path", json_string(path));
	if (form == CONTENT_ERROR_LAKE)
		json_object_set_new(j, "externalUrlService", lake_url(path));
	char *text = json_dumps(j, JSON_COMPACT);
	assert(text);
	body_init_text(out, text);
	xfree(text);
	json_decref(j);
}

void content_error(int status, const char *message, const char *path, struct body *out)
{
	add_error(status, CONTENT_ERROR, message, path, out);
}

/* Exactly SHELL_SIZE bytes: the length is one of the marks by which people know this page. */
static void make_shell(struct body *out)
{
	struct buf page;
	buf_init(&page, PAGE_MAX);
	buf_adds(&page,
		 "<!DOCTYPE html><html lang=\"pt-br\"><head><meta charset=\"utf-8\">"
		 "<title>Portal de Serviços do Poder Judiciário</title><base href=\"/\">"
		 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
		 "<link rel=\"icon\" type=\"image/x-icon\" href=\"favicon.ico\">"
		 "<link rel=\"stylesheet\" href=\"styles.0000000000000000.css\"></head>"
		 "<body class=\"mat-typography\"><app-root ng-version=\"15.2.10\"></app-root>"
		 "<script src=\"runtime.0000000000000000.js\" type=\"module\"></script>"
		 "<script src=\"polyfills.0000000000000000.js\" type=\"module\"></script>"
		 "<script src=\"main.0000000000000000.js\" type=\"module\"></script><!-- ");
	static const char end[] = " --></body></html>";
	while (page.len < SHELL_SIZE - (sizeof end - 1))
		buf_adds(&page, "-");
	/* "--" may not stand inside a comment */
	for (size_t i = page.len - 1; page.data[i] == '-' && page.data[i - 1] == '-'; i--)
		page.data[i] = '.';
	buf_adds(&page, end);
	assert(page.len == SHELL_SIZE);
	body_init(out, &page, 0, BODY_FILL_TEXT, 0, NULL);
}

static const char login_page[] =
	"<!DOCTYPE html>\n<html class=\"login-pf\" lang=\"pt-BR\"><head><meta charset=\"utf-8\">"
	"<title>PJe - Autenticação</title></head><body>\n"
	"<div id=\"kc-form\"><form id=\"kc-form-login\" method=\"post\" action=\""
	"https://sso.cloud.pje.jus.br/auth/realms/pje/login-actions/authenticate?"
	"session_code=sintetico&amp;client_id=portalexterno-frontend\">\n"
	"<input id=\"username\" name=\"username\"><input id=\"password\" name=\"password\" "
	"type=\"password\"><input type=\"submit\" value=\"Entrar\"></form></div></body></html>\n";

static const char maintenance_page[] =
	"<!DOCTYPE html>\n<html lang=\"pt-br\"><head><meta charset=\"utf-8\"><title>Manutenção</title>"
	"</head><body><h1>Sistema em manutenção</h1>\n<p>O sistema está temporariamente "
	"indisponível. Tente novamente mais tarde.</p></body></html>\n";

static const char waf_page[] = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n"
			       "<center><h1>403 Forbidden</h1></center>\r\n</body>\r\n</html>\r\n";

static void make_gateway(int status, struct body *out)
{
	char *page =
		xasprintf("<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n<center>"
			  "<h1>%d %s</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n"
			  "</html>\r\n",
			  status, status_phrase(status), status, status_phrase(status));
	body_init_text(out, page);
	xfree(page);
}

static void make_junk(struct body *out)
{
	struct buf head;
	buf_init(&head, PAGE_MAX);
	buf_add(&head, "\x02\x8f\x01\xfe\x13\x00", 6);
	body_init(out, &head, JUNK_SIZE, BODY_FILL_BYTES, 0x6a756e6b, NULL);
}

static void make_message(const struct recipe *r, const char *path, const char *number,
			 struct body *out)
{
	const char *text = r->text ? r->text : "";
	size_t n = strlen(text);
	bool open = n > 0 && text[n - 1] == ' ';
	char *message = xasprintf("%s%s", text, open ? number : "");
	add_error(r->status ? r->status : 200, r->content, message, path, out);
	xfree(message);
}

void content_make(const struct recipe *r, const char *path, const char *number, struct body *out,
		  const char **type)
{
	*type = "text/html;charset=UTF-8";
	switch (r->content) {
	case CONTENT_OWN:
		assert(!"content of the route");
		break;
	case CONTENT_NONE:
		*type = NULL;
		body_init_text(out, "");
		break;
	case CONTENT_TEXT:
		*type = "text/plain";
		if (r->text_len)
			body_init_bytes(out, r->text, r->text_len);
		else
			body_init_text(out, r->text ? r->text : "");
		break;
	case CONTENT_ERROR:
	case CONTENT_ERROR_ISO:
	case CONTENT_ERROR_LAKE:
		*type = "application/json";
		make_message(r, path, number, out);
		break;
	case CONTENT_SHELL:
		*type = "text/html";
		make_shell(out);
		break;
	case CONTENT_LOGIN:
		body_init_text(out, login_page);
		break;
	case CONTENT_MAINTENANCE:
		body_init_text(out, maintenance_page);
		break;
	case CONTENT_WAF:
		*type = "text/html";
		body_init_text(out, waf_page);
		break;
	case CONTENT_GATEWAY:
		*type = "text/html";
		make_gateway(r->status, out);
		break;
	case CONTENT_JUNK:
		*type = "application/octet-stream";
		make_junk(out);
		break;
	}
	if (r->type)
		*type = r->type;
}
