/*
 * api_guard - who asks, what they may do, and how often. Counts nothing in the database but the
 * last use of a key.
 */
#include "api_call.h"

#include "config_service.h"
#include "log.h"
#include "metrics.h"
#include "sys.h"
#include "text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The client's address ---- */

/*
 * Behind trusted proxies the client is the last address of X-Forwarded-For that is none of them;
 * what stands before it could be anybody's invention.
 */
static void find_client(struct api_call *c)
{
	const char *trusted = c->api->config->trusted_proxies, *peer = c->request->peer;
	const char *list = api_request_header(c->request, "X-Forwarded-For");
	unsigned char ignored[16];
	snprintf(c->client, sizeof c->client, "%s", peer);
	if (!*trusted || !list || !text_in_list(trusted, peer, strlen(peer)))
		return;
	for (const char *end = list + strlen(list); end > list;) {
		const char *start = end;
		while (start > list && start[-1] != ',')
			start--;
		const char *word = start + strspn(start, " ");
		size_t n = (size_t)(end - word);
		while (n && word[n - 1] == ' ')
			n--;
		char one[64];
		snprintf(one, sizeof one, "%.*s", (int)(n < 63 ? n : 63), word);
		if (inet_pton(AF_INET, one, ignored) != 1 && inet_pton(AF_INET6, one, ignored) != 1)
			return;
		snprintf(c->client, sizeof c->client, "%s", one);
		if (!text_in_list(trusted, one, strlen(one)))
			return;
		end = start > list ? start - 1 : list;
	}
}

/* ---- Rates ---- */

static bool too_many(struct api_call *c, const char *policy)
{
	int64_t wait_s = (c->rate.reset_ms + 999) / 1000;
	metric_add(METRIC_rate_limited, 1);
	api_header(c, "Retry-After", "%lld", (long long)(wait_s < 1 ? 1 : wait_s));
	api_problem(c, "quota-exceeded", "more than %lld requests in %lld s (%s)",
		    (long long)c->rate.limit, (long long)c->rate_window_s, policy);
	return false;
}

/* False: refused, the answer is made. */
static bool spend(struct api_call *c, const char *who, const char *what, int64_t limit,
		  int64_t window_s)
{
	struct rate_state s =
		rate_take(c->api->rates, rate_id(who, what), limit, window_s * 1000, sys_mono_ms());
	/* The tightest of the limits that apply is the one the client is told. */
	if (!c->rated || !s.allowed || s.remaining < c->rate.remaining) {
		c->rate = s;
		c->rate_window_s = window_s;
	}
	c->rated = true;
	return s.allowed || too_many(c, what);
}

static bool limit_anonymous(struct api_call *c)
{
	const struct config *cf = c->api->config;
	if (!cf->rate_limit_anonymous || c->request->control)
		return true;
	return spend(c, c->client, "without a key", cf->rate_limit_anonymous,
		     cf->rate_limit_window / 1000);
}

bool api_limit(struct api_call *c)
{
	const struct config *cf = c->api->config;
	char who[32];
	int64_t limit, window_s;
	if (c->request->control || c->route->flags & ROUTE_UNLIMITED)
		return true;
	if (c->who.role == ROLE_NONE)
		return limit_anonymous(c);
	snprintf(who, sizeof who, "key %lld", (long long)c->who.key_id);
	limit = c->who.rate_limit ? c->who.rate_limit : cf->rate_limit;
	window_s = c->who.rate_window_s ? c->who.rate_window_s : cf->rate_limit_window / 1000;
	if (limit && !spend(c, who, "all routes", limit, window_s))
		return false;
	if (!config_route_limit(cf->rate_limit_routes, c->route->name, &limit, &window_s))
		return true;
	return spend(c, who, c->route->name, limit, window_s);
}

bool api_check_limits(const char *text, struct err *e)
{
	char name[64];
	for (const char *p = text; config_route_limit_name(&p, name);) {
		size_t i = 0;
		while (i < api_nroutes && strcmp(api_routes[i].name, name) != 0)
			i++;
		if (i == api_nroutes)
			return fail(e, ERR_INPUT,
				    "rate_limit_routes: there is no route '%s'; routes are named "
				    "by the operationId in /openapi.json",
				    name);
	}
	return true;
}

/* ---- Keys ---- */

static bool refuse(struct api_call *c, const char *name, const char *detail)
{
	if (!c->request->control && !limit_anonymous(c))
		return false;
	api_header(c, "WWW-Authenticate", "Bearer realm=\"autos\"");
	api_problem(c, name, "%s", detail);
	return false;
}

static const char *key_of(struct api_call *c, const char **wrong)
{
	const char *bearer = api_request_header(c->request, "Authorization");
	const char *plain = api_request_header(c->request, "X-API-Key");
	*wrong = NULL;
	if (!bearer)
		return plain;
	const char *key = head_bearer(bearer);
	if (!key)
		*wrong = "the Authorization header must be: Bearer <API key>";
	return key;
}

bool api_authenticate(struct api_call *c)
{
	struct grant g;
	struct err e;
	const char *wrong;
	bool use;
	find_client(c);
	if (c->request->control) {
		c->who = (struct api_who){.role = ROLE_ADMIN, .username = "control"};
		return true;
	}
	const char *key = key_of(c, &wrong);
	if (c->route->role == ROLE_NONE && (!key || c->route->flags & ROUTE_UNLIMITED))
		return true; /* such routes look at the key themselves, if they care */
	if (!key)
		return refuse(c, "authentication-required", wrong ? wrong : "an API key is needed");
	if (!keyring_find(c->api->keyring, key, &g, &use, &e)) {
		if (c->route->role == ROLE_NONE)
			return true; /* as anybody */
		if (e.kind == ERR_FAIL) {
			api_error(c, &e);
			return false;
		}
		return refuse(c, "invalid-key", e.text);
	}
	c->who = (struct api_who){.role = g.role,
				  .user_id = g.user_id,
				  .key_id = g.key_id,
				  .rate_limit = g.rate_limit,
				  .rate_window_s = g.rate_window_s};
	memcpy(c->who.username, g.username, sizeof c->who.username);
	c->key_used = use;
	return true;
}

bool api_authorize(struct api_call *c)
{
	if (c->route->role == ROLE_NONE || c->who.role >= c->route->role)
		return true;
	api_problem(c, "role-required", "this needs the role %s; the key has the role %s",
		    role_name(c->route->role), role_name(c->who.role));
	return false;
}

/* ---- Last use ---- */

struct use {
	struct write write;
	int64_t key_id;
};

static bool write_use(struct db *db, void *arg, struct err *e)
{
	struct use *u = arg;
	return access_used(db, u->key_id, sys_wall_ms(), e);
}

static void use_written(struct write *w)
{
	if (!w->ok)
		log_warn("key use not written", "why=\"%s\"", w->err.text);
	xfree(w->owner);
}

void api_write_use(struct api_call *c)
{
	if (!c->key_used)
		return;
	struct use *u = xcalloc(1, sizeof *u);
	u->key_id = c->who.key_id;
	u->write = (struct write){.fn = write_use, .arg = u, .done = use_written, .owner = u};
	ledger_submit(c->api->o.ledger, &u->write);
}
