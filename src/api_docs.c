/*
 * api_docs - files that are part of the program, handed out as they are.
 */
#include "api_docs.h"

#include "api_call.h"
#include "embed.h"

#include "sys.h"

#include <assert.h>
#include <string.h>

static_assert(EMBED_COUNT ==
	      sizeof((struct api *)NULL)->pages / sizeof *((struct api *)NULL)->pages);

void api_pages_make(struct api *a)
{
	for (enum embed i = 0; i < EMBED_COUNT; i++) {
		char hash[65];
		sha256_hex(embed_data(i), embed_size(i), hash);
		head_etag(a->pages[i].tag, "%.32s", hash);
		a->pages[i].body = body_static(embed_data(i), embed_size(i));
	}
}

void api_pages_drop(struct api *a)
{
	for (size_t i = 0; i < EMBED_COUNT; i++)
		body_drop(a->pages[i].body);
}

/* A page may load what is ours, and nothing else. */
static enum api_step answer_page(struct api_call *c, enum embed page, const char *type)
{
	api_header(c, "Content-Security-Policy",
		   "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		   "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
		   "form-action 'none'");
	api_header(c, "Cache-Control", "no-cache");
	if (api_unchanged(c, c->api->pages[page].tag))
		return API_DONE;
	return api_bytes(c, 200, type, body_hold(c->api->pages[page].body));
}

enum api_step route_openapi(struct api_call *c)
{
	return answer_page(c, EMBED_OPENAPI, "application/json");
}

enum api_step route_docs(struct api_call *c)
{
	return answer_page(c, EMBED_DOCS_HTML, "text/html; charset=utf-8");
}

enum api_step route_docs_file(struct api_call *c)
{
	if (strcmp(c->args[0], "docs.css") == 0)
		return answer_page(c, EMBED_DOCS_CSS, "text/css; charset=utf-8");
	if (strcmp(c->args[0], "docs.js") == 0)
		return answer_page(c, EMBED_DOCS_JS, "text/javascript; charset=utf-8");
	return api_problem(c, "not-found", "there is no such file");
}

/* What the `type` of a problem leads to. */
enum api_step route_get_problem(struct api_call *c)
{
	if (!api_is_problem(c->args[0]))
		return api_problem(c, "not-found", "there is no such problem");
	api_header(c, "Location", "%s/docs#problem-%s", c->api->base, c->args[0]);
	c->res.status = 302;
	return API_DONE;
}
