/*
 * api_rig - the API over a fresh SQLite database and folder store, without socket or worker: a
 * request in, an answer out. Calls that sleep are driven to their end. For unit tests and fuzz
 * targets, so it knows neither cmocka nor replay; what cannot fail ends the program when it does.
 */
#ifndef AUTOS_API_RIG_H
#define AUTOS_API_RIG_H

#include "access.h"
#include "api.h"
#include "api_call.h"
#include "err.h"
#include "sys.h"

#include <ftw.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct rig {
	char *dir;
	struct config config;
	struct ledger *ledger;
	struct store *store;
	struct api *api;
	struct api_work work; /* what the API is told of the worker; tests change it */
};

struct rig_answer {
	int status;
	const char *route; /* its name, NULL when the request came to none */
	size_t nheaders;
	struct {
		const char *name;
		char *value;
	} headers[API_HEADERS];
	char *text; /* the body, or the part of a file; "" when there is none */
	size_t len;
	json_t *json; /* the body parsed, NULL when it is no JSON */
	struct api_stream *stream;
};

/* ---- Life ---- */

static inline void rig_work(void *arg, struct api_work *out)
{
	*out = ((struct rig *)arg)->work;
}

static inline void rig_config(struct rig *r, const char *const *settings)
{
	struct err e;
	config_init(&r->config);
	char *database = xasprintf("sqlite:%s/autos.db", r->dir);
	char *objects = xasprintf("dir:%s/objects", r->dir);
	const char *preset[] = {"data_dir",  r->dir,  "database_url", database,
				"store_url", objects, "public_url",   "http://127.0.0.1:8000",
				NULL};
	for (const char *const *s = preset; *s; s += 2)
		if (!config_set(&r->config, s[0], s[1], CONFIG_COMMAND_LINE, &e))
			die("rig: %s", e.text);
	for (const char *const *s = settings; s && *s; s += 2)
		if (!config_set(&r->config, s[0], s[1], CONFIG_COMMAND_LINE, &e))
			die("rig: %s", e.text);
	xfree(database);
	xfree(objects);
}

/* `settings`: key, value, key, value, NULL; or NULL. */
static inline void rig_open(struct rig *r, const char *const *settings)
{
	struct err e;
	const char *base = getenv("TMPDIR");
	char unknown[7] = "";
	memset(r, 0, sizeof *r);
	memset(unknown, 'X', 6);
	r->dir = xasprintf("%s/autos-rig-%s", base && *base ? base : "/tmp", unknown);
	if (!mkdtemp(r->dir))
		die("rig: no directory %s", r->dir);
	rig_config(r, settings);
	r->work = (struct api_work){.limit = 3, .token_expires_ms = -1, .turned_ms = sys_wall_ms()};
	r->ledger = ledger_open(r->config.database_url, &e);
	r->store = r->ledger ? store_open(&r->config, r->config.store_url, STORE_WRITE, &e) : NULL;
	if (!r->store)
		die("rig: %s", e.text);
	struct api_options o = {.config = &r->config,
				.ledger = r->ledger,
				.store = r->store,
				.work = rig_work,
				.arg = r};
	r->api = api_new(&o, &e);
	if (!r->api)
		die("rig: %s", e.text);
}

static inline int rig_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void rig_close(struct rig *r)
{
	api_drain(r->api);
	ledger_close(r->ledger); /* its watchers live in the api */
	api_free(r->api);
	store_close(r->store);
	config_release(&r->config);
	if (nftw(r->dir, rig_unlink, 16, FTW_DEPTH | FTW_PHYS) != 0)
		die("rig: cannot remove %s", r->dir);
	xfree(r->dir);
}

/* ---- Users ---- */

struct rig_new_user {
	struct user_facts facts;
	int64_t id;
	char key[ACCESS_KEY_SIZE];
};

static inline bool rig_write_user(struct db *db, void *arg, struct err *e)
{
	struct rig_new_user *u = arg;
	int64_t key_id, now = sys_wall_ms();
	return access_create_user(db, &u->facts, now, &u->id, e) &&
	       access_create_key(db, u->id, "rig", now, 0, u->key, &key_id, e);
}

/* A user and a key of it; gives the id. */
static inline int64_t rig_user(struct rig *r, const char *name, enum role role,
			       char key[static ACCESS_KEY_SIZE])
{
	struct err e;
	struct rig_new_user u = {
		.facts = {.username = name, .email = "", .role = role, .active = true}};
	if (!ledger_write(r->ledger, rig_write_user, &u, &e))
		die("rig: %s", e.text);
	memcpy(key, u.key, ACCESS_KEY_SIZE);
	return u.id;
}

/* ---- Requests ---- */

struct rig_bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	bool on;
};

static inline void rig_ring(void *owner)
{
	struct rig_bell *b = owner;
	pthread_mutex_lock(&b->lock);
	b->on = true;
	pthread_cond_signal(&b->rung);
	pthread_mutex_unlock(&b->lock);
}

static inline void rig_await(struct rig_bell *b)
{
	pthread_mutex_lock(&b->lock);
	while (!b->on)
		pthread_cond_wait(&b->rung, &b->lock);
	b->on = false;
	pthread_mutex_unlock(&b->lock);
}

static inline void rig_take_body(struct rig_answer *a, struct api_response *res)
{
	if (res->fd >= 0) {
		a->len = (size_t)res->length;
		a->text = xcalloc(a->len + 1, 1);
		if (pread(res->fd, a->text, a->len, res->offset) != (ssize_t)a->len)
			die("rig: the file is shorter than its answer says");
		close(res->fd);
		res->fd = -1;
	} else {
		a->len = res->body ? body_len(res->body) : 0;
		a->text = xcalloc(a->len + 1, 1);
		if (a->len)
			memcpy(a->text, body_data(res->body), a->len);
	}
	a->json = json_loadb(a->text, a->len, JSON_REJECT_DUPLICATES, NULL);
}

/* Any request; the answer belongs to the caller (rig_drop). */
static inline struct rig_answer rig_run(struct rig *r, const struct api_request *q)
{
	struct rig_answer a = {0};
	struct rig_bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
	struct api_call *c = api_begin(r->api, q, rig_ring, &bell);
	for (enum api_step step = api_run(c); step == API_SLEEP; step = api_resume(c)) {
		api_launch(c);
		rig_await(&bell);
	}
	struct api_response *res = api_response(c);
	a.status = res->status;
	a.route = c->route ? c->route->name : NULL;
	a.nheaders = res->nheaders;
	for (size_t i = 0; i < res->nheaders; i++) {
		a.headers[i].name = res->headers[i].name;
		a.headers[i].value = xstrdup(api_header_value(res, i));
	}
	a.stream = res->stream;
	res->stream = NULL;
	rig_take_body(&a, res);
	api_end(c);
	return a;
}

/* A request with a key (NULL: none; "control": over the control socket) and a JSON body (NULL:
 * none). `name` and `value` are one header more, or NULL. */
static inline struct rig_answer rig_ask_with(struct rig *r, const char *method, const char *target,
					     const char *key, const char *body, const char *name,
					     const char *value)
{
	struct api_pair headers[3];
	struct api_request q = {.method = method, .target = target, .headers = headers};
	q.control = key && strcmp(key, "control") == 0;
	q.peer = q.control ? "" : "192.0.2.1";
	q.body = body ? body : "";
	q.body_len = strlen(q.body);
	char *bearer = xasprintf("Bearer %s", key ? key : "");
	if (key && !q.control)
		headers[q.nheaders++] = (struct api_pair){"Authorization", bearer};
	if (body)
		headers[q.nheaders++] = (struct api_pair){"Content-Type", "application/json"};
	if (name)
		headers[q.nheaders++] = (struct api_pair){name, value};
	struct rig_answer a = rig_run(r, &q);
	xfree(bearer);
	return a;
}

static inline struct rig_answer rig_ask(struct rig *r, const char *method, const char *target,
					const char *key, const char *body)
{
	return rig_ask_with(r, method, target, key, body, NULL, NULL);
}

/* ---- Answers ---- */

static inline const char *rig_header(const struct rig_answer *a, const char *name)
{
	for (size_t i = 0; i < a->nheaders; i++)
		if (strcasecmp(a->headers[i].name, name) == 0)
			return a->headers[i].value;
	return NULL;
}

/* A member of the body: "a" or "a/b/0". NULL when there is none. */
static inline json_t *rig_get(const struct rig_answer *a, const char *path)
{
	json_t *at = a->json;
	for (const char *p = path; at && *p;) {
		char name[64];
		size_t n = strcspn(p, "/");
		snprintf(name, sizeof name, "%.*s", (int)n, p);
		at = json_is_array(at) ? json_array_get(at, (size_t)strtoul(name, NULL, 10))
				       : json_object_get(at, name);
		p += n + (p[n] == '/');
	}
	return at;
}

/* A text member, "" when it is none. */
static inline const char *rig_text(const struct rig_answer *a, const char *path)
{
	const char *s = json_string_value(rig_get(a, path));
	return s ? s : "";
}

static inline int64_t rig_int(const struct rig_answer *a, const char *path)
{
	return json_integer_value(rig_get(a, path));
}

static inline void rig_drop(struct rig_answer *a)
{
	for (size_t i = 0; i < a->nheaders; i++)
		xfree(a->headers[i].value);
	api_stream_free(a->stream);
	json_decref(a->json);
	xfree(a->text);
	*a = (struct rig_answer){0};
}

#endif
