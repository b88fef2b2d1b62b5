/*
 * api_fuzz - what the fuzz targets of the API share: one service for the whole process with a few
 * cases, users and keys that never change, and what must be true of every answer. After a request
 * that wrote, the database is put back, so that an input does the same wherever it stands.
 *
 * No request opens a connection: the thread that asks clients' addresses is stopped at the
 * beginning, and refuses every ask from then on.
 */
#ifndef AUTOS_API_FUZZ_H
#define AUTOS_API_FUZZ_H

#include "replay.h"

#include "../unit/api_rig.h"

#include "api_call.h"
#include "metrics.h"
#include "probe.h"

#define FUZZ_BASE "https://autos.example"
#define FUZZ_ACTIVE "99000015520248260100"  /* documents in every state; its job runs */
#define FUZZ_FAILED "99000024020248260100"  /* its job failed, one document is not stored */
#define FUZZ_UNKNOWN "99000032520248260100" /* the portal does not know it */
#define FUZZ_WAITING "99000041020248260100" /* never consulted, its job waits */
#define FUZZ_WHOLE "99000059220248260100"   /* complete */
#define FUZZ_KEY_ADMIN "autos_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define FUZZ_KEY_USER "autos_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
#define FUZZ_KEY_READER "autos_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
#define FUZZ_KEY_EXPIRED "autos_DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD"

enum { FUZZ_TABLES = 40, FUZZ_MS = 1000 };

struct fuzz_world {
	struct rig rig;
	bool open;
	char *tables[FUZZ_TABLES]; /* names */
	char *clear[FUZZ_TABLES], *fill[FUZZ_TABLES];
	size_t ntables;
	int64_t changes; /* of the writing connection, when the database was last as it should be */
	char *link;      /* path and query of a good link */
	json_t *description;
};

static struct fuzz_world fuzz_world;

static const char *const fuzz_keys[] = {FUZZ_KEY_ADMIN, FUZZ_KEY_USER, FUZZ_KEY_READER,
					FUZZ_KEY_EXPIRED};

/* ---- What is in the database ---- */

static inline char *fuzz_text(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* The portal's list: documents a, b, c, d. */
static inline bool fuzz_list(struct db *db, const struct job_lease *l, struct err *e)
{
	static const char *const ids[] = {"a", "b", "c", "d"};
	struct portal_ref refs[4];
	struct portal_doc docs[4];
	for (size_t i = 0; i < 4; i++) {
		refs[i] = (struct portal_ref){.id = fuzz_text(ids[i]), .href = fuzz_text(ids[i])};
		docs[i] = (struct portal_doc){.refs = &refs[i],
					      .nrefs = 1,
					      .id = fuzz_text(ids[i]),
					      .name = fuzz_text("Peti\xc3\xa7\xc3\xa3o \"1\""),
					      .type = fuzz_text("Peti\xc3\xa7\xc3\xa3o"),
					      .filed_at = fuzz_text("2024-05-06T07:08:09"),
					      .sequence = -1,
					      .declared_size = -1,
					      .court = fuzz_text("TJSP"),
					      .degree = fuzz_text("G1")};
	}
	struct portal_case found = {.court = fuzz_text("TJSP"),
				    .subject = fuzz_text("Subject"),
				    .class_name = fuzz_text("Class"),
				    .proceedings = 1,
				    .listed = 4,
				    .docs = docs,
				    .ndocs = 4};
	struct job_listing listing = {
		.found = &found, .list_json = "[]", .detail_json = "{\"n\":1}", .now_ms = FUZZ_MS};
	return job_record_listing(db, l, &listing, e);
}

static inline bool fuzz_result(struct db *db, const struct job_lease *l, const char *id, bool got,
			       struct err *e)
{
	struct db_rows r;
	char key[80], hash[65];
	sha256_hex("%PDF-1.7 synthetic", 18, hash);
	snprintf(key, sizeof key, "processos/%s/documentos/%s.pdf", l->number, id);
	if (!db_exec(db, &r, e, "SELECT id FROM document WHERE process_id = $1 AND doc_id = $2",
		     db_i(l->process_id), db_s(id)))
		return false;
	struct doc_result one = {.row = db_int(&r, 0, 0),
				 .doc_id = id,
				 .available = got,
				 .reason = got ? DOC_REASON_NONE : DOC_REASON_TIMEOUT,
				 .error = got ? "" : "no answer within 60 s",
				 .tries = 1,
				 .source_id = id,
				 .size = 18,
				 .sha256 = hash,
				 .mime = "application/pdf",
				 .ext = "pdf",
				 .object_key = key,
				 .note = "",
				 .started_ms = FUZZ_MS,
				 .finished_ms = FUZZ_MS + 1};
	db_rows_release(&r);
	return job_record_results(db, l, &one, 1, FUZZ_MS + 60000, e);
}

static inline bool fuzz_claim(struct db *db, const struct job_ask *ask, struct job_lease *l,
			      struct err *e)
{
	struct job_ticket t;
	return job_request(db, ask, &t, e) &&
	       job_claim(db, t.job_id, "worker", FUZZ_MS, 60000, l, e);
}

static inline bool fuzz_active_case(struct db *db, struct err *e)
{
	static const char *const chosen[] = {"a", "b", "c"};
	struct job_ask ask = {.number = FUZZ_ACTIVE, .scope = SCOPE_LIST, .now_ms = FUZZ_MS};
	struct job_lease l;
	struct job_ticket t;
	bool over;
	if (!fuzz_claim(db, &ask, &l, e) || !fuzz_list(db, &l, e) ||
	    !job_finish(db, &l, OUTCOME_LIMITED, "", FUZZ_MS, &over, e))
		return false;
	ask.scope = SCOPE_CHOSEN;
	for (size_t i = 0; i < 3; i++)
		if (!job_choose(db, &ask, chosen[i], &t, e))
			return false;
	return job_claim(db, t.job_id, "worker", FUZZ_MS, 60000, &l, e) &&
	       fuzz_result(db, &l, "a", true, e) && fuzz_result(db, &l, "b", false, e);
}

static inline bool fuzz_other_cases(struct db *db, struct err *e)
{
	struct job_lease l;
	struct job_ticket t;
	bool over;
	struct job_ask ask = {.number = FUZZ_WHOLE, .relist = true, .now_ms = FUZZ_MS};
	if (!fuzz_claim(db, &ask, &l, e) || !fuzz_list(db, &l, e))
		return false;
	for (const char *id = "a\0b\0c\0d\0"; *id; id += 2)
		if (!fuzz_result(db, &l, id, true, e))
			return false;
	if (!job_finish(db, &l, OUTCOME_COMPLETE, "", FUZZ_MS, &over, e))
		return false;
	ask.number = FUZZ_FAILED;
	if (!fuzz_claim(db, &ask, &l, e) || !fuzz_list(db, &l, e))
		return false;
	for (const char *id = "a\0b\0c\0d\0"; *id; id += 2)
		if (!fuzz_result(db, &l, id, *id != 'd', e))
			return false;
	if (!job_finish(db, &l, OUTCOME_PARTIAL, "one document failed", FUZZ_MS, &over, e))
		return false;
	ask.number = FUZZ_UNKNOWN;
	if (!fuzz_claim(db, &ask, &l, e) ||
	    !job_finish(db, &l, OUTCOME_NOT_FOUND, "the portal knows no such case", FUZZ_MS, &over,
			e))
		return false;
	ask.number = FUZZ_WAITING;
	ask.webhook_url = "https://client.example/hook";
	return job_request(db, &ask, &t, e);
}

static inline bool fuzz_users(struct db *db, struct err *e)
{
	static const struct user_facts users[] = {
		{"admin", "admin@example.org", ROLE_ADMIN, 0, 0, true},
		{"user", "", ROLE_USER, 0, 0, true},
		{"reader", "", ROLE_READONLY, 0, 0, true},
		{"late", "", ROLE_ADMIN, 0, 0, true},
	};
	for (size_t i = 0; i < 4; i++) {
		char unused[ACCESS_KEY_SIZE], hash[65];
		int64_t id, key_id;
		sha256_hex(fuzz_keys[i], strlen(fuzz_keys[i]), hash);
		if (!access_create_user(db, &users[i], FUZZ_MS, &id, e) ||
		    !access_create_key(db, id, "rig", FUZZ_MS, i == 3 ? 2 * FUZZ_MS : 0, unused,
				       &key_id, e) ||
		    !db_exec(db, NULL, e, "UPDATE api_key SET hash = $1 WHERE id = $2", db_s(hash),
			     db_i(key_id)))
			return false;
	}
	return true;
}

static inline bool fuzz_fill(struct db *db, void *arg, struct err *e)
{
	struct batch_entry entries[] = {{.number = FUZZ_WHOLE}, {.number = FUZZ_WAITING}};
	struct job_ask ask = {.scope = SCOPE_LIST, .now_ms = FUZZ_MS};
	int64_t batch;
	(void)arg;
	return fuzz_active_case(db, e) && fuzz_other_cases(db, e) && fuzz_users(db, e) &&
	       job_request_batch(db, &ask, JOB_ANY_AGE, 1, entries, 2, &batch, e);
}

/* ---- Putting the database back ---- */

static inline bool fuzz_count_changes(struct db *db, int64_t *out, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT total_changes()");
	*out = ok ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

/* A copy of every table, which lives as long as the connection. */
static inline bool fuzz_copy(struct db *db, void *arg, struct err *e)
{
	struct fuzz_world *w = arg;
	struct db_rows r;
	if (!db_exec(db, &r, e, "SELECT name FROM sqlite_master WHERE type = 'table'"))
		return false;
	for (size_t i = 0; i < r.rows; i++) {
		const char *name = db_text(&r, i, 0);
		CHECK(w->ntables < FUZZ_TABLES);
		char *copy = xasprintf("CREATE TEMP TABLE base_%s AS SELECT * FROM %s", name, name);
		bool ok = db_run_once(db, copy, e);
		xfree(copy);
		if (!ok)
			return false;
		w->clear[w->ntables] = xasprintf("DELETE FROM main.%s", name);
		w->fill[w->ntables] =
			xasprintf("INSERT INTO main.%s SELECT * FROM base_%s", name, name);
		w->tables[w->ntables++] = xstrdup(name);
	}
	db_rows_release(&r);
	return fuzz_count_changes(db, &w->changes, e);
}

static inline bool fuzz_tell(struct db *db, struct err *e)
{
	struct db_rows r;
	if (!db_exec(db, &r, e, "SELECT id FROM process"))
		return false;
	for (size_t i = 0; i < r.rows; i++)
		db_note(db, (struct db_note){.kind = NOTE_CHANGED, .process_id = db_int(&r, i, 0)});
	db_rows_release(&r);
	db_note(db, (struct db_note){.kind = NOTE_ACCESS});
	return true;
}

static inline bool fuzz_restore(struct db *db, void *arg, struct err *e)
{
	struct fuzz_world *w = arg;
	int64_t changes;
	if (!fuzz_count_changes(db, &changes, e))
		return false;
	if (changes == w->changes)
		return true;
	if (!db_exec(db, NULL, e, "PRAGMA defer_foreign_keys = ON") || !fuzz_tell(db, e))
		return false;
	for (size_t i = 0; i < w->ntables; i++)
		if (!db_run(db, w->clear[i], NULL, 0, NULL, e))
			return false;
	for (size_t i = 0; i < w->ntables; i++)
		if (!db_run(db, w->fill[i], NULL, 0, NULL, e))
			return false;
	return fuzz_tell(db, e) && fuzz_count_changes(db, &w->changes, e);
}

static inline void fuzz_put(struct fuzz_world *w, const char *number, const char *id)
{
	struct spool s;
	struct err e;
	struct put p = {.key = xasprintf("processos/%s/documentos/%s.pdf", number, id), .body = &s};
	struct put *one = &p;
	int fd;
	int64_t size;
	if (store_open_object(w->rig.store, p.key, &fd, &size, &e)) {
		CHECK(size == 18);
		close(fd);
	} else {
		spool_init(&s, "", 4096);
		CHECK(spool_add(&s, "%PDF-1.7 synthetic", 18, &e) && spool_end(&s, &e));
		store_put(w->rig.store, &one, 1);
		CHECK(p.ok);
		spool_release(&s);
	}
	xfree(p.key);
}

static inline void fuzz_settle(struct fuzz_world *w)
{
	struct err e;
	int64_t before = w->changes;
	if (!ledger_write(w->rig.ledger, fuzz_restore, w, &e))
		die("fuzz: %s", e.text);
	if (w->changes == before)
		return;
	fuzz_put(w, FUZZ_ACTIVE, "a");
	fuzz_put(w, FUZZ_WHOLE, "a");
}

/* ---- The service ---- */

static inline void fuzz_close(void)
{
	struct fuzz_world *w = &fuzz_world;
	rig_close(&w->rig);
	for (size_t i = 0; i < w->ntables; i++) {
		xfree(w->tables[i]);
		xfree(w->clear[i]);
		xfree(w->fill[i]);
	}
	xfree(w->link);
	json_decref(w->description);
}

/* Signed with a fixed secret for a fixed time, so that it may stand in a corpus. */
static inline void fuzz_make_link(struct fuzz_world *w)
{
	struct api *a = w->rig.api;
	memset(a->link_secret, 'k', sizeof a->link_secret);
	w->link = link_make("", a->link_secret,
			    &(struct link){.key = "processos/" FUZZ_WHOLE "/documentos/a.pdf",
					   .name = "0001 \xc3\xa7.pdf",
					   .mime = "application/pdf",
					   .expires_s = INT64_C(9000000000)});
}

static inline struct fuzz_world *fuzz_open(void)
{
	static const char *const settings[] = {"public_url",
					       FUZZ_BASE,
					       "wait_default",
					       "1ms",
					       "wait_max",
					       "1ms",
					       "rate_limit",
					       "0",
					       "rate_limit_anonymous",
					       "0",
					       "cors_origins",
					       "https://app.example",
					       "trusted_proxies",
					       "192.0.2.1",
					       "metrics_public",
					       "yes",
					       NULL};
	struct fuzz_world *w = &fuzz_world;
	struct err e;
	w->rig.work.turned_ms = sys_wall_ms(); /* the worker lives */
	if (w->open)
		return w;
	rig_open(&w->rig, settings);
	probe_stop(w->rig.api->probe);
	fuzz_make_link(w);
	if (!ledger_write(w->rig.ledger, fuzz_fill, NULL, &e) ||
	    !ledger_write(w->rig.ledger, fuzz_copy, w, &e))
		die("fuzz: %s", e.text);
	fuzz_put(w, FUZZ_ACTIVE, "a");
	fuzz_put(w, FUZZ_WHOLE, "a");
	w->open = true;
	atexit(fuzz_close);
	struct rig_answer a = rig_ask(&w->rig, "GET", "/openapi.json", NULL, NULL);
	w->description = json_incref(a.json);
	rig_drop(&a);
	CHECK(json_object_get(w->description, "paths"));
	return w;
}

/* ---- What is true of every answer ---- */

static inline bool fuzz_has(const char *text, size_t len, const char *what)
{
	return memmem(text, len, what, strlen(what)) != NULL;
}

static inline bool fuzz_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* Names are unique but for those that are lists; values hold nothing that ends a line. */
static inline void fuzz_check_headers(const struct rig_answer *a)
{
	for (size_t i = 0; i < a->nheaders; i++) {
		const char *name = a->headers[i].name;
		CHECK(fuzz_printable(a->headers[i].value));
		for (size_t k = 0; k < i; k++)
			CHECK(strcasecmp(a->headers[k].name, name) != 0 ||
			      strcmp(name, "Vary") == 0);
		if (strcmp(name, "Location") == 0)
			CHECK(strncmp(a->headers[i].value, FUZZ_BASE "/", strlen(FUZZ_BASE) + 1) ==
			      0);
		if (strcmp(name, "Link") == 0)
			CHECK(strncmp(a->headers[i].value, "<" FUZZ_BASE "/",
				      strlen(FUZZ_BASE) + 2) == 0);
	}
	CHECK(rig_header(a, "X-Request-ID") && rig_header(a, "X-Content-Type-Options"));
	CHECK(rig_header(a, "Content-Security-Policy") && rig_header(a, "Cache-Control"));
	CHECK(!a->len || rig_header(a, "Content-Type"));
}

static inline void fuzz_check_problem(const struct rig_answer *a)
{
	CHECK(strcmp(rig_header(a, "Content-Type"), "application/problem+json") == 0);
	CHECK(strncmp(rig_text(a, "type"), FUZZ_BASE "/problems/",
		      strlen(FUZZ_BASE "/problems/")) == 0);
	CHECK(*rig_text(a, "title") && *rig_text(a, "detail") && *rig_text(a, "instance") == '/');
	CHECK(rig_int(a, "status") == a->status);
	size_t i;
	json_t *one;
	json_array_foreach(rig_get(a, "errors"), i, one)
	{
		CHECK(json_is_string(json_object_get(one, "pointer")) ||
		      json_is_string(json_object_get(one, "parameter")));
		CHECK(json_is_string(json_object_get(one, "detail")));
	}
}

/* Links that the service makes lead to itself. */
static inline void fuzz_check_links(const json_t *j)
{
	size_t i;
	const char *name;
	json_t *v;
	json_array_foreach(j, i, v) fuzz_check_links(v);
	if (!json_is_object(j))
		return;
	json_object_foreach((json_t *)(uintptr_t)j, name, v)
	{
		if (strcmp(name, "download_url") == 0 && json_is_string(v))
			CHECK(strncmp(json_string_value(v), FUZZ_BASE "/files/",
				      strlen(FUZZ_BASE "/files/")) == 0);
		fuzz_check_links(v);
	}
}

/* What goes wrong behind the service may be said; that the service itself failed may not. */
static inline bool fuzz_may_be(const struct rig_answer *a, const char *path)
{
	const char *type = strrchr(rig_text(a, "type"), '/');
	if (a->status < 500)
		return (a->status >= 200 && a->status < 300) || a->status == 302 ||
		       a->status == 304 || a->status >= 400;
	if (!type)
		return false;
	if (a->status == 502)
		return strcmp(type, "/portal-error") == 0 || strcmp(type, "/document-failed") == 0;
	return a->status == 503 && strcmp(type, "/overloaded") == 0 &&
	       strncmp(path, "/api/v1/webhooks/webhook-", 25) == 0;
}

/* The description of the route has the status of this answer; what is said of a request's form
 * before its route is looked at may come anywhere. */
static inline bool fuzz_described(const json_t *description, const struct rig_answer *a)
{
	const char *path, *method, *type = strrchr(rig_text(a, "type"), '/');
	if (a->status == 413 || a->status == 414 || a->status == 431 ||
	    (type && strcmp(type, "/malformed-request") == 0))
		return true;
	json_t *methods, *operation;
	char status[12];
	snprintf(status, sizeof status, "%d", a->status);
	/* one entry stands for all files of the page */
	const char *name = strncmp(a->route, "docs_", 5) == 0 ? "docs_file" : a->route;
	json_object_foreach(json_object_get(description, "paths"), path, methods)
	{
		json_object_foreach(methods, method, operation)
		{
			const char *id =
				json_string_value(json_object_get(operation, "operationId"));
			if (id && strcmp(id, name) == 0)
				return json_object_get(json_object_get(operation, "responses"),
						       status) != NULL;
		}
	}
	return false;
}

static inline void fuzz_check(struct fuzz_world *w, const struct api_request *q,
			      const struct rig_answer *a)
{
	const char *type = rig_header(a, "Content-Type");
	bool gzip = rig_header(a, "Content-Encoding") != NULL;
	if (!fuzz_may_be(a, q->target)) {
		fprintf(stderr, "%s %s: %d %s\n", q->method, q->target, a->status, a->text);
		CHECK(!"a status that may not be");
	}
	fuzz_check_headers(a);
	if (a->status == 204 || a->status == 302 || a->status == 304)
		CHECK(a->len == 0);
	if (type && strstr(type, "json") && !gzip)
		CHECK(a->json);
	if (a->status >= 400 && !gzip)
		fuzz_check_problem(a);
	if (gzip)
		CHECK(a->len > 2 && memcmp(a->text, "\x1f\x8b", 2) == 0);
	if (a->status < 400 && !json_object_get(a->json, "openapi")) /* it has examples */
		fuzz_check_links(a->json);
	/* the control socket is no part of the description */
	if (a->route && !q->control && !fuzz_described(w->description, a)) {
		fprintf(stderr, "%s answered %d\n", a->route, a->status);
		CHECK(!"a status that the description does not have");
	}
}

/* Reads a stream as far as there is something now. */
static inline void fuzz_check_stream(struct rig_answer *a)
{
	char part[512];
	if (!a->stream)
		return;
	CHECK(a->status == 200 && strcmp(rig_header(a, "Content-Type"), "text/event-stream") == 0);
	bool first = true;
	for (ssize_t n; (n = api_stream_read(a->stream, part, sizeof part)) > 0; first = false)
		CHECK(!first || strncmp(part, "retry: ", 7) == 0);
}

/* No key of somebody is in an answer, unless the request said it. */
static inline void fuzz_check_keys(const struct rig_answer *a, const char *input, size_t len)
{
	for (size_t i = 0; i < sizeof fuzz_keys / sizeof *fuzz_keys; i++) {
		if (fuzz_has(input, len, fuzz_keys[i]))
			continue;
		CHECK(!fuzz_has(a->text, a->len, fuzz_keys[i]));
		for (size_t k = 0; k < a->nheaders; k++)
			CHECK(!strstr(a->headers[k].value, fuzz_keys[i]));
	}
}

#endif
