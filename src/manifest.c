/*
 * manifest - builds and reads manifests. Facts in, text out; touches no file.
 */
#include "manifest.h"

#include "cnj.h"
#include "json_value.h"
#include "sys.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool same_bytes(const struct doc_view *a, const struct doc_view *b)
{
	return *a->sha256 && a->size == b->size && strcmp(a->sha256, b->sha256) == 0;
}

static bool same_paper(const struct doc_view *a, const struct doc_view *b)
{
	return same_bytes(a, b) && strcmp(a->filed_at, b->filed_at) == 0 &&
	       strcmp(a->name, b->name) == 0 && strcmp(a->type, b->type) == 0 &&
	       a->sequence == b->sequence;
}

/* By content, then by place. */
static int by_bytes(const void *va, const void *vb)
{
	const struct doc_view *a = *(const struct doc_view *const *)va;
	const struct doc_view *b = *(const struct doc_view *const *)vb;
	int c = strcmp(a->sha256, b->sha256);
	return c ? c : (a > b) - (a < b);
}

/* The documents so that equal bytes stand together, earlier ones first. */
static const struct doc_view **sort_by_bytes(const struct case_view *v)
{
	const struct doc_view **sorted = xcalloc(v->ndocs, sizeof *sorted);
	for (size_t i = 0; i < v->ndocs; i++)
		sorted[i] = &v->docs[i];
	qsort(sorted, v->ndocs, sizeof *sorted, by_bytes);
	return sorted;
}

size_t *manifest_duplicates(const struct case_view *v)
{
	const struct doc_view **sorted = sort_by_bytes(v);
	size_t *first = xcalloc(v->ndocs, sizeof *first);
	for (size_t i = 0, group = 0; i < v->ndocs; i++) {
		if (!same_bytes(sorted[group], sorted[i]))
			group = i;
		size_t k = group;
		while (k < i && !same_paper(sorted[k], sorted[i]))
			k++;
		first[sorted[i] - v->docs] = (size_t)(sorted[k] - v->docs);
	}
	xfree(sorted);
	return first;
}

static const char *reference(const struct doc_view *d)
{
	for (size_t i = 0; i < d->nrefs; i++)
		if (!*d->source_id || strcmp(d->refs[i].id, d->source_id) == 0)
			return d->refs[i].href;
	return "";
}

static json_t *aliases(const struct doc_view *d)
{
	json_t *list = json_array();
	for (size_t i = 0; i < d->nrefs; i++)
		if (strcmp(d->refs[i].id, d->doc_id) != 0)
			json_array_append_new(list, json_string(d->refs[i].id));
	return list;
}

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static json_t *document(const struct case_view *v, size_t i, size_t same,
			const struct manifest_options *m)
{
	const struct doc_view *d = &v->docs[i];
	json_t *o = json_object();
	set(o, "position", json_integer((json_int_t)i + 1));
	set(o, "id", json_value_text(d->doc_id));
	set(o, "aliases", aliases(d));
	set(o, "origin_id", json_value_text(d->origin_id));
	set(o, "name", json_value_text(d->name));
	set(o, "type", json_value_text(d->type));
	set(o, "type_code", json_value_text(d->type_code));
	set(o, "filed_at", json_value_text(d->filed_at));
	set(o, "sequence", json_value_count(d->sequence));
	set(o, "secrecy", json_integer(d->secrecy));
	set(o, "court", json_value_text(d->court));
	set(o, "degree", json_value_text(d->degree));
	set(o, "listed", json_boolean(d->listed));
	set(o, "declared_type", json_value_text(d->declared_type));
	set(o, "declared_size", json_value_count(d->declared_size));
	set(o, "status", json_value_text(d->state));
	set(o, "reason", json_value_text(d->reason));
	set(o, "error_message", json_value_text(d->error));
	set(o, "attempts", json_integer(d->tries));
	set(o, "source_id", json_value_text(d->source_id));
	set(o, "portal_reference", json_value_text(reference(d)));
	set(o, "size", json_value_count(d->size));
	set(o, "sha256", json_value_text(d->sha256));
	set(o, "mime_type", json_value_text(d->mime));
	set(o, "object_key", json_value_text(d->object_key));
	set(o, "note", json_value_text(d->note));
	set(o, "duplicate_of", same == i ? json_null() : json_value_text(v->docs[same].doc_id));
	set(o, "started_at", json_value_time(d->started_ms));
	set(o, "fetched_at", *d->sha256 ? json_value_time(d->finished_ms) : json_null());
	if (m->files)
		set(o, "file", m->files[i] ? json_string(m->files[i]) : json_null());
	return o;
}

static json_t *job(const struct case_view *v)
{
	json_t *o = json_object();
	set(o, "id", json_integer(v->job_id));
	set(o, "status", json_value_text(v->job_state));
	set(o, "outcome", json_value_text(v->outcome));
	set(o, "error", json_value_text(v->error));
	set(o, "last_event", json_integer(v->last_event));
	set(o, "created_at", json_value_time(v->job_created_ms));
	set(o, "started_at", json_value_time(v->job_started_ms));
	set(o, "completed_at", json_value_time(v->job_finished_ms));
	return o;
}

/* Bytes as the client counts them, and as they are stored: equal content once. */
static json_t *totals(const struct case_view *v)
{
	int64_t bytes = 0, stored = 0, objects = 0;
	const struct doc_view **sorted = sort_by_bytes(v);
	for (size_t i = 0; i < v->ndocs; i++) {
		const struct doc_view *d = sorted[i];
		if (!*d->sha256)
			continue;
		bool again = i > 0 && same_bytes(sorted[i - 1], d);
		bytes += d->size;
		stored += again ? 0 : d->size;
		objects += !again;
	}
	xfree(sorted);
	json_t *o = json_object();
	set(o, "documents", json_integer((json_int_t)v->ndocs));
	set(o, "available", json_integer((json_int_t)v->available));
	set(o, "failed", json_integer((json_int_t)v->failed));
	set(o, "pending", json_integer((json_int_t)v->pending));
	set(o, "bytes", json_integer(bytes));
	set(o, "objects", json_integer(objects));
	set(o, "stored_bytes", json_integer(stored));
	return o;
}

/* RFC 8785 wants \u escapes in lower case, jansson writes upper case. */
static void lower_escapes(char *s)
{
	for (; *s; s++) {
		if (*s != '\\')
			continue;
		s++;
		if (*s == 'u')
			for (int i = 1; i <= 4 && s[i]; i++)
				s[i] = (char)tolower((unsigned char)s[i]);
	}
}

static char *canonical(const json_t *o)
{
	char *s = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (!s)
		die("out of memory (manifest)");
	lower_escapes(s);
	char *copy = xstrdup(s);
	free(s);
	return copy;
}

/* Puts the hash of the text into it, where its key belongs; no string can hold this raw key. */
static char *with_hash(const char *plain)
{
	static const char next[] = "\"manifest_version\":";
	char hex[65];
	const char *at = strstr(plain, next);
	assert(at);
	sha256_hex(plain, strlen(plain), hex);
	return xasprintf("%.*s\"manifest_sha256\":\"%s\",%s", (int)(at - plain), plain, hex, at);
}

char *manifest_make(const struct case_view *v, const struct manifest_options *m)
{
	struct cnj n;
	struct err e;
	json_t *o = json_object(), *docs = json_array();
	size_t *same = manifest_duplicates(v);
	for (size_t i = 0; i < v->ndocs; i++)
		json_array_append_new(docs, document(v, i, same[i], m));
	xfree(same);
	set(o, "manifest_version", json_integer(1));
	set(o, "generator", json_string("autos " AUTOS_VERSION));
	set(o, "created_at", json_value_time(m->now_ms));
	set(o, "process_number", json_value_text(v->number));
	set(o, "masked_number",
	    cnj_parse(v->number, strlen(v->number), &n, &e) ? json_value_text(n.masked)
							    : json_null());
	set(o, "court", json_value_text(v->court));
	set(o, "subject", json_value_text(v->subject));
	set(o, "class", json_value_text(v->class_name));
	set(o, "secrecy", json_integer(v->secrecy));
	set(o, "proceedings", json_integer(v->proceedings));
	set(o, "portal_url", json_value_text(m->portal_url));
	set(o, "consulted_at", json_value_time(v->consulted_ms));
	set(o, "job", job(v));
	set(o, "totals", totals(v));
	set(o, "documents", docs);
	char *plain = canonical(o), *out = with_hash(plain);
	xfree(plain);
	json_decref(o);
	return out;
}

struct manifest_file *manifest_files(const char *json, size_t len, size_t *n)
{
	json_t *root = json_loadb(json, len, 0, NULL), *docs = json_object_get(root, "documents"),
	       *d;
	size_t i;
	struct manifest_file *files = xcalloc(json_array_size(docs), sizeof *files);
	*n = 0;
	json_array_foreach(docs, i, d)
	{
		const char *name = json_string_value(json_object_get(d, "file"));
		const char *sha = json_string_value(json_object_get(d, "sha256"));
		if (name && sha)
			files[(*n)++] = (struct manifest_file){xstrdup(name), xstrdup(sha)};
	}
	json_decref(root);
	return files;
}

void manifest_files_free(struct manifest_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		xfree(files[i].name);
		xfree(files[i].sha256);
	}
	xfree(files);
}
