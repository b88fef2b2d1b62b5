/*
 * api_service - what runs here and whether it works: for people, load balancers and whoever starts
 * and stops the service.
 */
#include "api_call.h"

#include "api_watch.h"
#include "sys.h"

#include <string.h>

static double uptime_s(const struct api_call *c)
{
	int64_t ms = sys_wall_ms() - c->api->started_ms;
	return ms > 0 ? (double)ms / 1000.0 : 0.0; /* the wall clock may be set back */
}

/* What /, /health and /api-info share. */
static json_t *common(const struct api_call *c)
{
	json_t *o = json_object();
	json_object_set_new(o, "environment", json_string(c->api->config->environment));
	json_object_set_new(o, "timestamp", json_value_time(sys_wall_ms()));
	json_object_set_new(o, "request_id", json_string(c->request_id));
	return o;
}

static json_t *with_health(const struct api_call *c)
{
	struct api_check checks[CHECKS];
	json_t *o = common(c);
	api_checks(c->api, checks);
	json_object_set_new(o, "status", json_string(api_health_word(checks)));
	json_object_set_new(o, "version", json_string(AUTOS_VERSION));
	json_object_set_new(o, "uptime_seconds", json_real(uptime_s(c)));
	return o;
}

enum api_step route_index(struct api_call *c)
{
	json_t *o = with_health(c);
	json_object_set_new(o, "message", json_string("autos"));
	json_object_set_new(o, "docs_url", json_string("/docs"));
	json_object_set_new(o, "monitoring_url", json_string("/api/v1/monitoring/dashboard"));
	return api_json(c, 200, o);
}

enum api_step route_health(struct api_call *c)
{
	return api_json(c, 200, with_health(c));
}

enum api_step route_api_info(struct api_call *c)
{
	json_t *o = common(c);
	json_object_set_new(
		o, "api",
		json_pack("{s:s, s:s, s:s, s:s}", "title", "autos", "version", AUTOS_VERSION,
			  "description",
			  "Case files from the national portal, downloaded, stored and proven.",
			  "prefix", "/api/v1"));
	json_object_set_new(o, "routers",
			    json_pack("{s:{s:s, s:[s,s,s,s,s], s:b}, s:{s:s, s:[], s:b, s:b}}",
				      "versioned", "prefix", "/api/v1", "routers", "processes",
				      "jobs", "webhooks", "users", "monitoring", "enabled", 1,
				      "legacy", "prefix", "/legacy", "routers", "enabled", 0,
				      "in_schema", 0));
	json_object_set_new(o, "debug", json_false());
	return api_json(c, 200, o);
}

enum api_step route_livez(struct api_call *c)
{
	static const char ok[] = "ok";
	return api_bytes(c, 200, "text/plain; charset=utf-8", body_from(ok, 2));
}

enum api_step route_readyz(struct api_call *c)
{
	struct api_check checks[CHECKS];
	json_t *o = json_object(), *list = json_array();
	api_checks(c->api, checks);
	bool ready = api_is_ready(checks);
	for (size_t i = 0; i < CHECKS; i++) {
		json_t *one = json_object();
		json_object_set_new(one, "name", json_string(checks[i].name));
		json_object_set_new(one, "ok", json_boolean(checks[i].ok));
		json_object_set_new(one, "required", json_boolean(checks[i].required));
		json_object_set_new(one, "detail", json_string(checks[i].detail));
		json_array_append_new(list, one);
	}
	json_object_set_new(o, "status", json_string(ready ? "ready" : "not_ready"));
	json_object_set_new(o, "checks", list);
	return api_json(c, ready ? 200 : 503, o);
}
