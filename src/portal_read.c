/*
 * portal_read - the two JSON answers: the list of a search, and the case file.
 *
 * Nobody has promised us their shape, so every shape that was met is read, members of a wrong type
 * count as absent, and what could hide papers (a list that is none, an entry that is none, an
 * answer for another case) is an error. Error lines carry positions and numbers, never what was
 * read.
 */
#include "portal.h"

#include "buf.h"
#include "portal_doc.h"
#include "portal_json.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CURSOR_MAX = 2048 };

int portal_secrecy(const char *value)
{
	static const char *const names[] = {"PUBLICO",      "SEGREDO_JUSTICA", "SIGILO_MINIMO",
					    "SIGILO_MEDIO", "SIGILO_INTENSO",  "SIGILO_ABSOLUTO"};
	if (!value || !*value)
		return 0;
	if (*value >= '0' && *value <= '5' && !value[1])
		return *value - '0';
	for (int i = 0; i < 5; i++)
		if (strcasecmp(value, names[i]) == 0)
			return i;
	return 5;
}

/* ---- Shapes both answers share ---- */

/*
 * Finds the list of cases in an answer: the answer itself, its content or data, or itself as the
 * only one. NULL with ERR_FAIL when it is none of these.
 */
static const json_t *find_cases(const json_t *root, struct err *e)
{
	static const char *const names[] = {"content", "data"};
	if (json_is_array(root))
		return root;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const json_t *list = json_object_get(root, names[i]);
		if (json_is_array(list) || json_is_object(list))
			return list;
	}
	if (json_object_get(root, "numeroProcesso"))
		return root;
	if (portal_json_is_error(root))
		fail(e, ERR_FAIL, "the portal answered with an error object in place of a case");
	else
		fail(e, ERR_FAIL, "the portal's answer holds no list of cases");
	return NULL;
}

/* Does a case carry this number? It comes masked or bare, and as a number without leading zeros. */
static bool has_number(const json_t *item, const struct cnj *number)
{
	char *text = portal_json_member(item, "numeroProcesso");
	char digits[21];
	size_t n = 0;
	for (const char *s = text; *s && n < sizeof digits; s++)
		if (*s >= '0' && *s <= '9')
			digits[n++] = *s;
	xfree(text);
	if (n == 0 || n > 20)
		return false;
	size_t zeros = 20 - n;
	return strspn(number->digits, "0") >= zeros &&
	       memcmp(number->digits + zeros, digits, n) == 0;
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

/* ---- The list ---- */

/* The cursor as the portal wants it back: elements joined by commas. NULL at the end. */
static char *join_cursor(const json_t *cursor)
{
	struct buf b;
	bool some = false, readable = true;
	buf_init(&b, CURSOR_MAX);
	for (size_t i = 0; i < portal_json_count(cursor); i++) {
		char *text = portal_json_text(portal_json_at(cursor, i));
		readable = readable && text;
		some = some || (text && *text);
		if (i)
			buf_adds(&b, ",");
		buf_adds(&b, text ? text : "");
		xfree(text);
	}
	char *s = some && readable && !b.overflow ? buf_detach(&b) : NULL;
	buf_release(&b);
	return s;
}

static char *next_cursor(const json_t *root, const json_t *cases, const char *previous)
{
	static const char *const names[] = {"searchAfter", "search_after", "nextSearchAfter"};
	size_t n = portal_json_count(cases);
	int64_t full = portal_json_int(json_object_get(root, "maxElementsSize"), -1);
	if (!n || (full > 0 && (int64_t)n < full))
		return NULL;
	char *cursor = NULL;
	for (size_t i = 0; !cursor && i < sizeof names / sizeof *names; i++)
		cursor = join_cursor(json_object_get(root, names[i]));
	if (cursor && previous && strcmp(cursor, previous) == 0) {
		xfree(cursor);
		cursor = NULL;
	}
	return cursor;
}

/* {"total": 0} and {"total": {"value": 0}} without a list say that there is nothing. */
static bool says_nothing_found(const json_t *root)
{
	const json_t *total = json_object_get(root, "total");
	const json_t *list = json_object_get(root, "content");
	if (json_is_object(total))
		total = json_object_get(total, "value");
	return portal_json_int(total, -1) == 0 && (!list || json_is_null(list)) &&
	       !json_object_get(root, "data") && !json_object_get(root, "numeroProcesso");
}

/* Secrecy of a listed case; where it says none, the highest of its proceedings. */
static int listed_secrecy(const json_t *item)
{
	const json_t *own = json_object_get(item, "nivelSigilo");
	if (own && !json_is_null(own))
		return portal_json_secrecy(item);
	const json_t *list = json_object_get(item, "tramitacoes");
	int level = portal_json_secrecy(json_object_get(item, "tramitacaoAtual"));
	for (size_t i = 0; i < portal_json_count(list); i++)
		level = max_int(level, portal_json_secrecy(portal_json_at(list, i)));
	return level;
}

bool portal_read_list(const struct cnj *number, const char *previous, const char *json, size_t len,
		      struct portal_page *out, struct err *e)
{
	*out = (struct portal_page){0};
	json_t *root = portal_json_load(json, len, e);
	if (!root)
		return false;
	bool ok = says_nothing_found(root);
	const json_t *cases = ok ? NULL : find_cases(root, e);
	if (!cases)
		goto out;
	for (size_t i = 0; i < portal_json_count(cases); i++) {
		const json_t *item = portal_json_at(cases, i);
		if (!has_number(item, number))
			continue;
		out->found = true;
		out->secrecy = max_int(out->secrecy, listed_secrecy(item));
	}
	if (json_is_object(root))
		out->cursor = next_cursor(root, cases, previous);
	ok = true;
out:
	json_decref(root);
	return ok;
}

void portal_page_release(struct portal_page *p)
{
	xfree(p->cursor);
	*p = (struct portal_page){0};
}

/* ---- The case file ---- */

/* The case being read. */
struct reader {
	const struct cnj *number;
	struct portal_case *out;
	struct doc_list docs;
	int next; /* index of the next proceeding */
};

/* First element's descricao of classe or assunto, unless *to is known already. */
static void take_description(char **to, const json_t *list)
{
	if (**to || !portal_json_count(list))
		return;
	xfree(*to);
	*to = portal_json_member(portal_json_at(list, 0), "descricao");
}

/* Sigla of an object, or the text that stands in its place; NULL when there is neither. */
static char *sigla(const json_t *value)
{
	char *s = portal_json_text(json_is_object(value) ? json_object_get(value, "sigla") : value);
	if (s && *s)
		return s;
	xfree(s);
	return NULL;
}

static bool read_documents(struct reader *r, const struct doc_place *place, const json_t *list,
			   struct err *e)
{
	if (list && !json_is_array(list) && !json_is_object(list) && !json_is_null(list))
		return fail(e, ERR_FAIL, "documentos of proceeding %d is not a list",
			    place->proceeding);
	size_t n = portal_json_count(list);
	for (size_t i = 0; i < n; i++) {
		const json_t *entry = portal_json_at(list, i);
		if (!json_is_object(entry))
			return fail(e, ERR_FAIL, "document %zu of proceeding %d is not an object",
				    i + 1, place->proceeding);
		if (!doc_list_add(&r->docs, place, entry, n - i, e))
			return false;
	}
	return true;
}

static bool read_proceeding(struct reader *r, const json_t *p, struct err *e)
{
	int index = r->next++;
	if (!json_is_object(p))
		return fail(e, ERR_FAIL, "proceeding %d is not an object", index);
	char *court = sigla(json_object_get(p, "tribunal"));
	char *degree = sigla(json_object_get(p, "grau"));
	if (!degree)
		degree = portal_json_member(p, "instancia");
	struct doc_place place = {
		.number = r->number,
		.court = court ? court : "",
		.degree = degree,
		.secrecy = max_int(r->out->secrecy, portal_json_secrecy(p)),
		.proceeding = index,
	};
	take_description(&r->out->subject, json_object_get(p, "assunto"));
	take_description(&r->out->class_name, json_object_get(p, "classe"));
	r->out->proceedings++;
	bool ok = read_documents(r, &place, json_object_get(p, "documentos"), e);
	xfree(court);
	xfree(degree);
	return ok;
}

static bool read_proceedings(struct reader *r, const json_t *list, const char *name, struct err *e)
{
	if (list && !json_is_array(list) && !json_is_object(list) && !json_is_null(list))
		return fail(e, ERR_FAIL, "%s of the case is not a list of proceedings", name);
	for (size_t i = 0; i < portal_json_count(list); i++)
		if (!read_proceeding(r, portal_json_at(list, i), e))
			return false;
	return true;
}

/* One element of the answer that carries our number. */
static bool read_case(struct reader *r, const json_t *item, struct err *e)
{
	char *court = portal_json_member(item, "siglaTribunal");
	if (*court && !*r->out->court) {
		xfree(r->out->court);
		r->out->court = court;
		court = NULL;
	}
	xfree(court);
	if (!read_proceedings(r, json_object_get(item, "tramitacaoAtual"), "tramitacaoAtual", e))
		return false;
	if (!r->next)
		r->next = 1; /* 0 is the current one, even when it is missing */
	if (!read_proceedings(r, json_object_get(item, "tramitacoes"), "tramitacoes", e))
		return false;
	/* The data lake's older form hangs the papers on the case itself. */
	if (!portal_json_count(json_object_get(item, "documentos")))
		return true;
	return read_proceeding(r, item, e);
}

static bool read_cases(struct reader *r, const json_t *cases, struct err *e)
{
	size_t n = portal_json_count(cases), matches = 0;
	if (!n)
		return fail(e, ERR_ABSENT, "the portal answered with an empty case");
	for (size_t i = 0; i < n; i++) {
		const json_t *item = portal_json_at(cases, i);
		if (!json_is_object(item))
			return fail(e, ERR_FAIL, "entry %zu of the answer is not a case", i + 1);
		if (!has_number(item, r->number))
			continue;
		matches++;
		r->out->secrecy = max_int(r->out->secrecy, portal_json_secrecy(item));
	}
	if (!matches && portal_json_is_error(portal_json_at(cases, 0)))
		return fail(e, ERR_FAIL,
			    "the portal answered with an error object in place of a case");
	if (!matches)
		return fail(e, ERR_FAIL,
			    "the portal answered with another case than the one asked for");
	for (size_t i = 0; i < n; i++) {
		const json_t *item = portal_json_at(cases, i);
		if (has_number(item, r->number) && !read_case(r, item, e))
			return false;
	}
	return true;
}

bool portal_read_detail(const struct cnj *number, const char *json, size_t len,
			struct portal_case *out, struct err *e)
{
	*out = (struct portal_case){
		.court = xstrdup(""), .subject = xstrdup(""), .class_name = xstrdup("")};
	struct reader r = {.number = number, .out = out};
	bool ok = false;
	json_t *root = portal_json_load(json, len, e);
	const json_t *cases = root ? find_cases(root, e) : NULL;
	if (!cases || !read_cases(&r, cases, e))
		goto out;
	doc_list_finish(&r.docs, out);
	ok = true;
out:
	json_decref(root);
	doc_list_release(&r.docs);
	if (!ok)
		portal_case_release(out);
	return ok;
}

void portal_case_release(struct portal_case *c)
{
	for (size_t i = 0; i < c->ndocs; i++)
		portal_doc_release(&c->docs[i]);
	xfree(c->docs);
	xfree(c->court);
	xfree(c->subject);
	xfree(c->class_name);
	*c = (struct portal_case){0};
}
