/*
 * admin - the /_sim routes: numbers, the catalogue with what to expect, true bytes, switches.
 * Needs no token and is not counted.
 */
#include "serve.h"

#include "sys.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

static const uint64_t HASH_MAX =
	16 * 1024 * 1024; /* larger papers are hashed when asked by number */

static void answer_json(struct call *c, int status, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	assert(text);
	c->status = status;
	c->type = "application/json";
	body_init_text(&c->body, text);
	xfree(text);
	json_decref(value);
}

static void answer_problem(struct call *c, int status, const char *text)
{
	answer_json(c, status, json_pack("{s:s}", "error", text));
}

static void add_fetches(struct catalog *all, json_t *o)
{
	for (unsigned id = 0; (id = catalog_next(all, id)) != 0;) {
		struct dossier *d = catalog_made(all, id);
		for (unsigned i = 0; d && i < d->nentries; i++) {
			uint64_t n = atomic_load(&d->entries[i].calls);
			if (n)
				json_object_set_new(o, d->entries[i].uuid,
						    json_integer((json_int_t)n));
		}
	}
}

static void get_stats(struct call *c)
{
	json_t *o = stats_value(), *documents = json_object();
	add_fetches(&c->server->catalog, documents);
	json_object_set_new(o, "documents", documents);
	answer_json(c, 200, o);
}

/* What a careful client has in the end of paper `paper`, whose first entry is `e`. */
static json_t *paper_value(struct dossier *d, struct entry *e, bool hash_all)
{
	json_t *ids = json_array();
	bool available = false;
	for (unsigned i = e->index; i < d->nentries; i++) {
		if (d->entries[i].paper != e->paper)
			continue;
		if (d->entries[i].href != HREF_NONE) /* else no client can know it */
			json_array_append_new(ids, json_string(d->entries[i].uuid));
		available |= d->entries[i].reason == NULL;
	}
	char sha256[65] = "";
	if (hash_all ? available : e->size <= HASH_MAX)
		entry_sha256(d, e, sha256);
	json_t *o = json_pack("{s:o,s:s,s:s?,s:I,s:s?,s:s,s:s,s:s,s:s?,s:s?,s:i,s:s,s:s}", "ids",
			      ids, "result", available ? "available" : "failed", "reason",
			      available ? NULL : e->reason, "size", (json_int_t)e->size, "sha256",
			      sha256[0] ? sha256 : NULL, "mime", paper_mime(e->kind), "ext",
			      paper_ext(e->kind), "kind", paper_kind_name(e->kind), "name", e->name,
			      "fault", e->fault ? e->fault->name : NULL, "sequence", e->sequence,
			      "date", e->date, "origin", e->origin);
	assert(o);
	return o;
}

static json_t *papers_value(struct dossier *d, bool hash_all)
{
	json_t *list = json_array();
	char *seen = xcalloc(d->npapers + 1, 1);
	for (unsigned i = 0; i < d->nentries; i++) {
		struct entry *e = &d->entries[i];
		if (!seen[e->paper])
			json_array_append_new(list, paper_value(d, e, hash_all));
		seen[e->paper] = 1;
	}
	xfree(seen);
	return list;
}

static json_t *case_value(struct dossier *d, bool papers, bool hash_all)
{
	const struct oddity *o = d->oddity;
	json_t *value =
		json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:s?,s:s?}", "number", d->number.masked,
			  "digits", d->number.digits, "oddity", o ? o->name : "plain",
			  "description", o ? o->about : "a plain case", "outcome", d->outcome,
			  "listed", (int)d->nentries, "distinct", (int)d->npapers, "list_fault",
			  d->list_fault ? d->list_fault->name : NULL, "detail_fault",
			  d->detail_fault ? d->detail_fault->name : NULL);
	if (papers)
		json_object_set_new(value, "papers", papers_value(d, hash_all));
	return value;
}

/* All cases, or the one that ?number= names; ?papers=0 leaves the papers out. */
static void get_cases(struct call *c)
{
	struct catalog *all = &c->server->catalog;
	const char *number =
		MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, "number");
	const char *papers =
		MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, "papers");
	bool with = !papers || strcmp(papers, "0") != 0;
	json_t *list = json_array();
	if (number) {
		struct cnj n;
		struct dossier *d = NULL;
		if (cnj_parse(number, strlen(number), &n, NULL))
			d = catalog_by_number(all, &n);
		if (d)
			json_array_append_new(list, case_value(d, with, true));
	} else {
		for (unsigned id = 0; (id = catalog_next(all, id)) != 0;)
			json_array_append_new(list, case_value(catalog_case(all, id), with, false));
	}
	answer_json(c, 200, json_pack("{s:I,s:o}", "seed", (json_int_t)all->seed, "cases", list));
}

static void get_document(struct call *c, const char *uuid)
{
	struct dossier *d;
	struct entry *e = catalog_document(&c->server->catalog, uuid, &d);
	if (!e) {
		answer_problem(c, 404, "no such document");
		return;
	}
	c->status = 200;
	c->type = paper_mime(e->kind);
	entry_body(e, &c->body);
}

static void post_reset(struct call *c)
{
	stats_reset();
	catalog_reset_counters(&c->server->catalog);
	script_reset(server_script(c->server));
	answer_json(c, 200, json_object());
}

static void post_token(struct call *c)
{
	json_t *j = json_loadb(buf_str(&c->upload), c->upload.len, 0, NULL);
	json_t *revoked = json_object_get(j, "revoked");
	json_int_t status = json_integer_value(json_object_get(j, "status"));
	if (!json_is_boolean(revoked) || (status && status != 401 && status != 500)) {
		json_decref(j);
		answer_problem(c, 400,
			       "expected {\"revoked\": true or false, \"status\": 401 or 500}");
		return;
	}
	int refuse = json_is_true(revoked) ? (status ? (int)status : 401) : 0;
	atomic_store(&c->server->refuse_status, refuse);
	json_decref(j);
	answer_json(c, 200, json_pack("{s:b}", "revoked", refuse != 0));
}

static void post_script(struct call *c)
{
	struct err e = {0};
	if (memchr(buf_str(&c->upload), '\0', c->upload.len)) {
		answer_problem(c, 400, "a script is text");
		return;
	}
	struct script *script = script_new(buf_str(&c->upload), c->server->catalog.seed, false, &e);
	if (!script) {
		answer_problem(c, 400, e.text);
		return;
	}
	server_use_script(c->server, script);
	answer_json(c, 200, json_object());
}

void admin_decide(struct call *c, const char *method)
{
	const char *name = c->path + strlen("/_sim");
	bool get = strcmp(method, "GET") == 0, post = strcmp(method, "POST") == 0;
	if (get && strcmp(name, "/stats") == 0)
		get_stats(c);
	else if (get && strcmp(name, "/cases") == 0)
		get_cases(c);
	else if (get && strncmp(name, "/document/", 10) == 0)
		get_document(c, name + 10);
	else if (post && strcmp(name, "/reset") == 0)
		post_reset(c);
	else if (post && strcmp(name, "/token") == 0)
		post_token(c);
	else if (post && strcmp(name, "/script") == 0)
		post_script(c);
	else
		answer_problem(c, get || post ? 404 : 405, "no such route");
}
