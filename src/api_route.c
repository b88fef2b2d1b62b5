/*
 * api_route - which function answers which path, and who may ask. The table is the list of routes
 * of docs/openapi.json; a test compares the two.
 */
#include "api_call.h"

#include <stdio.h>
#include <string.h>

#define V1 "/api/v1"

const struct api_route api_routes[] = {
	{"get_status", "GET", V1 "/processes/{}/status", ROLE_READONLY, 0, route_get_status},
	{"get_process", "GET", V1 "/processes/{}", ROLE_READONLY, 0, route_get_process},
	{"post_job", "POST", V1 "/processes/{}/jobs", ROLE_USER, ROUTE_BODY | ROUTE_CREATES,
	 route_post_job},
	{"delete_process", "DELETE", V1 "/processes/{}", ROLE_ADMIN, 0, route_delete_process},
	{"list_processes", "GET", V1 "/processes", ROLE_USER, 0, route_list_processes},
	{"search", "POST", V1 "/processes/search", ROLE_USER, ROUTE_BODY | ROUTE_CREATES,
	 route_search},
	{"get_batch", "GET", V1 "/processes/batches/{}", ROLE_USER, 0, route_get_batch},
	{"get_files", "GET", V1 "/processes/{}/files", ROLE_READONLY, 0, route_get_files},
	{"get_manifest", "GET", V1 "/processes/{}/manifest", ROLE_READONLY, 0, route_get_manifest},
	{"get_events", "GET", V1 "/processes/{}/events", ROLE_READONLY, 0, route_get_events},
	{"get_content", "GET", V1 "/processes/{}/documents/{}/content", ROLE_READONLY, 0,
	 route_get_content},
	{"refresh", "POST", V1 "/processes/{}/refresh", ROLE_USER, ROUTE_CREATES, route_refresh},
	{"download_documents", "POST", V1 "/processes/{}/download-documents", ROLE_USER,
	 ROUTE_CREATES, route_download_documents},
	{"download_document", "POST", V1 "/processes/{}/download-document/{}", ROLE_USER,
	 ROUTE_CREATES, route_download_document},
	{"download_all", "POST", V1 "/processes/{}/download-all-documents", ROLE_USER,
	 ROUTE_CREATES, route_download_all},

	{"list_jobs", "GET", V1 "/jobs", ROLE_USER, 0, route_list_jobs},
	{"get_job", "GET", V1 "/jobs/{}", ROLE_USER, 0, route_get_job},
	{"cancel_job", "POST", V1 "/jobs/{}/cancel", ROLE_USER, ROUTE_CREATES, route_cancel_job},
	{"retry_job", "POST", V1 "/jobs/{}/retry", ROLE_USER, ROUTE_CREATES, route_retry_job},

	{"webhook_validate", "POST", V1 "/webhooks/webhook-validate", ROLE_USER, ROUTE_BODY,
	 route_webhook_validate},
	{"webhook_connectivity", "POST", V1 "/webhooks/webhook-test-connectivity", ROLE_USER,
	 ROUTE_BODY, route_webhook_connectivity},
	{"webhook_send_test", "POST", V1 "/webhooks/webhook-send-test", ROLE_USER, ROUTE_BODY,
	 route_webhook_send_test},
	{"webhook_receiver", "POST", V1 "/webhooks/webhook-test-receiver", ROLE_NONE, ROUTE_BODY,
	 route_webhook_receiver},
	{"list_deliveries", "GET", V1 "/webhooks/deliveries", ROLE_USER, 0, route_list_deliveries},
	{"get_delivery", "GET", V1 "/webhooks/deliveries/{}", ROLE_USER, 0, route_get_delivery},
	{"redeliver", "POST", V1 "/webhooks/deliveries/{}/redeliver", ROLE_USER, ROUTE_CREATES,
	 route_redeliver},
	{"redeliver_failed", "POST", V1 "/webhooks/deliveries/redeliver-failed", ROLE_USER,
	 ROUTE_BODY | ROUTE_CREATES, route_redeliver_failed},
	{"list_secrets", "GET", V1 "/webhooks/secrets", ROLE_USER, 0, route_list_secrets},
	{"rotate_secret", "POST", V1 "/webhooks/secrets", ROLE_USER, ROUTE_BODY,
	 route_rotate_secret},
	{"retire_secret", "DELETE", V1 "/webhooks/secrets/{}", ROLE_USER, 0, route_retire_secret},

	{"list_users", "GET", V1 "/users", ROLE_ADMIN, 0, route_list_users},
	{"create_user", "POST", V1 "/users", ROLE_ADMIN, ROUTE_BODY | ROUTE_CREATES,
	 route_create_user},
	{"get_me", "GET", V1 "/users/me", ROLE_READONLY, 0, route_get_me},
	{"put_me", "PUT", V1 "/users/me", ROLE_READONLY, ROUTE_BODY, route_put_me},
	{"put_user", "PUT", V1 "/users/{}", ROLE_ADMIN, ROUTE_BODY, route_put_user},
	{"delete_user", "DELETE", V1 "/users/{}", ROLE_ADMIN, 0, route_delete_user},
	{"regenerate_key", "POST", V1 "/users/{}/regenerate-api-key", ROLE_ADMIN, ROUTE_CREATES,
	 route_regenerate_key},
	{"list_keys", "GET", V1 "/users/{}/keys", ROLE_ADMIN, 0, route_list_keys},
	{"create_key", "POST", V1 "/users/{}/keys", ROLE_ADMIN, ROUTE_BODY | ROUTE_CREATES,
	 route_create_key},
	{"revoke_key", "DELETE", V1 "/users/{}/keys/{}", ROLE_ADMIN, 0, route_revoke_key},

	{"monitor_status", "GET", V1 "/monitoring/status", ROLE_ADMIN, 0, route_monitor_status},
	{"monitor_metrics", "GET", V1 "/monitoring/metrics", ROLE_ADMIN, 0, route_monitor_metrics},
	{"monitor_performance", "GET", V1 "/monitoring/performance", ROLE_ADMIN, 0,
	 route_monitor_performance},
	{"monitor_health", "GET", V1 "/monitoring/health/detailed", ROLE_ADMIN, 0,
	 route_monitor_health},
	{"monitor_alerts", "GET", V1 "/monitoring/alerts", ROLE_ADMIN, 0, route_monitor_alerts},
	{"monitor_dashboard", "GET", V1 "/monitoring/dashboard", ROLE_ADMIN, 0,
	 route_monitor_dashboard},
	{"monitor_history", "GET", V1 "/monitoring/metrics/historical", ROLE_ADMIN, 0,
	 route_monitor_history},

	{"get_file", "GET", "/files/{*}", ROLE_NONE, ROUTE_UNLIMITED, route_get_file},
	{"index", "GET", "/", ROLE_NONE, 0, route_index},
	{"health", "GET", "/health", ROLE_NONE, 0, route_health},
	{"api_info", "GET", "/api-info", ROLE_NONE, 0, route_api_info},
	{"livez", "GET", "/livez", ROLE_NONE, ROUTE_UNLIMITED, route_livez},
	{"readyz", "GET", "/readyz", ROLE_NONE, ROUTE_UNLIMITED, route_readyz},
	{"metrics", "GET", "/metrics", ROLE_NONE, 0, route_metrics},
	{"openapi", "GET", "/openapi.json", ROLE_NONE, 0, route_openapi},
	{"docs", "GET", "/docs", ROLE_NONE, 0, route_docs},
	{"docs_file", "GET", "/docs/{}", ROLE_NONE, 0, route_docs_file},
	{"get_problem", "GET", "/problems/{}", ROLE_NONE, 0, route_get_problem},
};

const size_t api_nroutes = sizeof api_routes / sizeof *api_routes;

size_t api_route_count(void)
{
	return api_nroutes;
}

const char *api_route_name(size_t i)
{
	return api_routes[i].name;
}

const char *api_route_method(size_t i)
{
	return api_routes[i].method;
}

const char *api_route_path(size_t i)
{
	return api_routes[i].path;
}

/* Most routes begin with the same two segments, which are compared once for a request. */
static bool is_under_v1(const struct target *t)
{
	return t->nsegments > 2 && strcmp(t->segments[0], "api") == 0 &&
	       strcmp(t->segments[1], "v1") == 0;
}

/* Compares segment by segment; the values of {} go to `args`. */
static bool matches(const char *path, const struct target *t, bool v1, const char *args[2])
{
	static const char prefix[] = V1 "/";
	size_t nargs = 0, i = v1 ? 2 : 0;
	if ((strncmp(path, prefix, sizeof prefix - 1) == 0) != v1)
		return false;
	for (const char *p = path + (v1 ? sizeof prefix - 1 : 1); *p; i++) {
		size_t n = strcspn(p, "/");
		if (i == t->nsegments)
			return false;
		if (n == 3 && memcmp(p, "{*}", 3) == 0)
			return true;
		if (n == 2 && memcmp(p, "{}", 2) == 0)
			args[nargs++] = t->segments[i];
		else if (strncmp(p, t->segments[i], n) != 0 || t->segments[i][n] != '\0')
			return false;
		p += n + (p[n] == '/');
	}
	return i == t->nsegments;
}

/* A path without {} goes before one with it: /users/me before /users/{}. */
static const struct api_route *best(const struct api_route *a, const struct api_route *b)
{
	return a && !strchr(a->path, '{') ? a : b && !strchr(b->path, '{') ? b : a ? a : b;
}

static bool same_method(const char *route, const char *asked)
{
	return strcmp(route, asked) == 0 ||
	       (strcmp(asked, "HEAD") == 0 && strcmp(route, "GET") == 0);
}

/* CORS preflight (Fetch standard): api_finish adds the allowed origin, if it is one. */
static void answer_options(struct api_call *c, const char *allow)
{
	c->res.status = 204;
	api_header(c, "Allow", "%s", allow);
	if (!api_request_header(c->request, "Access-Control-Request-Method"))
		return;
	api_header(c, "Access-Control-Allow-Methods", "%s", allow);
	api_header(c, "Access-Control-Allow-Headers",
		   "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-None-Match, "
		   "If-Range, Last-Event-ID, Prefer, Range, X-Request-ID, traceparent");
	api_header(c, "Access-Control-Max-Age", "600");
}

/* Where clients are served elsewhere, only what tells of the process is answered. */
static bool is_closed(const struct api_call *c, const struct api_route *r)
{
	bool tells = r->run == route_livez || r->run == route_readyz || r->run == route_metrics ||
		     r->run == route_health;
	return c->api->o.closed && !c->request->control && !tells;
}

const struct api_route *api_find_route(struct api_call *c)
{
	const struct api_route *found = NULL, *any = NULL;
	const char *args[2] = {0};
	char allow[128] = "";
	size_t len = 0;
	bool v1 = is_under_v1(&c->target);
	for (size_t i = 0; i < api_nroutes; i++) {
		const struct api_route *r = &api_routes[i];
		if (!matches(r->path, &c->target, v1, args))
			continue;
		any = best(any, r);
		if (same_method(r->method, c->request->method)) {
			if (best(found, r) == r)
				memcpy(c->args, args, sizeof args);
			found = best(found, r);
		}
	}
	if (found && is_closed(c, found)) {
		api_problem(c, "not-found",
			    "this process only works on cases; another one answers clients");
		return NULL;
	}
	if (found && (!any || strchr(any->path, '{') || !strchr(found->path, '{')))
		return found;
	for (size_t i = 0; i < api_nroutes && any; i++) {
		if (!matches(api_routes[i].path, &c->target, v1, args) ||
		    (!strchr(any->path, '{') && strchr(api_routes[i].path, '{')))
			continue;
		bool get = strcmp(api_routes[i].method, "GET") == 0;
		len += (size_t)snprintf(allow + len, sizeof allow - len, "%s%s", len ? ", " : "",
					get ? "GET, HEAD" : api_routes[i].method);
	}
	if (!any) {
		api_problem(c, "not-found", "there is nothing at this address");
	} else if (strcmp(c->request->method, "OPTIONS") == 0) {
		answer_options(c, allow);
	} else {
		api_header(c, "Allow", "%s", allow);
		api_problem(c, "method-not-allowed", "this address takes %s", allow);
	}
	return NULL;
}
