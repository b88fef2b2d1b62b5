/*
 * cmd_verify - `autos verify`: reads stored objects back and compares size and SHA-256 with the
 * manifest. Changes nothing.
 */
#include "cmd.h"

#include "query.h"
#include "schema.h"
#include "store.h"
#include "sys.h"
#include "term.h"
#include "walk.h"

#include <inttypes.h>
#include <string.h>

enum { THREADS = 8 };

struct check {
	struct sha256 *hash;
	int64_t size;
};

static bool add(void *arg, const void *data, size_t len, struct err *e)
{
	(void)e;
	struct check *c = arg;
	sha256_add(c->hash, data, len);
	c->size += (int64_t)len;
	return true;
}

/* WALK_BAD: the object is missing, or its bytes came and are others. */
static enum walk_result compare(struct store *s, const struct doc_view *d, struct err *e)
{
	struct check c = {.hash = sha256_new()};
	char hex[65];
	bool ok = store_read(s, d->object_key, add, &c, e);
	sha256_end(c.hash, hex);
	sha256_free(c.hash);
	if (!ok)
		return e->kind == ERR_ABSENT ? WALK_BAD : WALK_UNREAD;
	if (c.size != d->size)
		fail(e, ERR_FAIL, "size is %" PRId64 ", the manifest says %" PRId64, c.size,
		     d->size);
	else if (strcmp(hex, d->sha256) != 0)
		fail(e, ERR_FAIL, "SHA-256 is %s, the manifest says %s", hex, d->sha256);
	else
		return WALK_GOOD;
	return WALK_BAD;
}

/* What all cases share. */
struct verify {
	struct store *store;
	int status;
	bool any; /* an object could be read, of any case */
};

/* What was damaged on the way only is read again before it is called damaged. */
static enum walk_result verify_object(void *arg, const struct case_view *v,
				      const struct doc_view *d, struct err *e)
{
	struct store *s = ((struct verify *)arg)->store;
	(void)v;
	enum walk_result found = compare(s, d, e);
	return found == WALK_BAD && e->kind != ERR_ABSENT ? compare(s, d, e) : found;
}

/* Whoever does not answer, or refuses, does so for all. */
static bool is_away(const struct err *e)
{
	return e->kind == ERR_BUSY || e->kind == ERR_DENIED;
}

static bool show_case(void *arg, const struct case_view *v, const struct walk_found *found)
{
	struct verify *all = arg;
	struct cnj n;
	struct err e;
	size_t good = 0, bad = 0, unread = 0;
	bool away = false;
	if (!cnj_parse(v->number, strlen(v->number), &n, &e)) {
		all->status = cmd_worse(all->status, cmd_fail(&e, EXIT_TROUBLE));
		return true;
	}
	for (size_t i = 0; i < v->ndocs; i++) {
		const struct walk_found *f = &found[i];
		good += f->result == WALK_GOOD;
		bad += f->result == WALK_BAD;
		if (f->result == WALK_BAD || (f->result == WALK_UNREAD && unread == 0))
			term_error("%s: document %s: %s", n.masked, v->docs[i].doc_id, f->err.text);
		unread += f->result == WALK_UNREAD;
		away = away || (f->result == WALK_UNREAD && is_away(&f->err));
	}
	term_out("%s  %s  %zu good, %zu bad, %zu not stored", n.masked,
		 bad      ? "DAMAGED"
		 : unread ? "NOT READ"
			  : "ok",
		 good, bad, v->ndocs - good - bad - unread);
	term_out(unread ? ", %zu not read\n" : "\n", unread);
	all->status = cmd_worse(all->status, unread ? EXIT_TROUBLE
					     : bad  ? EXIT_PARTIAL
						    : EXIT_COMPLETE);
	/* A store of which nothing can be read is away for the rest, too. A single object that a
	 * disk does not give back is not the end. */
	all->any = all->any || good + bad > 0;
	return !unread || (!away && all->any);
}

static bool show_unknown(void *arg, const char *number, const struct err *e)
{
	struct verify *all = arg;
	struct cnj n;
	struct err why = *e, ignored;
	bool known = cnj_parse(number, strlen(number), &n, &ignored);
	err_prefix(&why, "%s: ", known ? n.masked : number);
	all->status = cmd_worse(
		all->status, cmd_fail(&why, e->kind == ERR_ABSENT ? EXIT_NOT_FOUND : EXIT_TROUBLE));
	return true;
}

static int verify(struct db *db, struct store *s, const struct cnj *numbers, size_t n)
{
	struct verify all = {.store = s, .status = EXIT_COMPLETE};
	const struct walk w = {.db = db,
			       .threads = THREADS,
			       .object = verify_object,
			       .over = show_case,
			       .unknown = show_unknown,
			       .arg = &all};
	struct err e;
	if (!numbers) {
		if (!walk_all(&w, &e))
			return cmd_fail(&e, EXIT_TROUBLE);
		return all.status;
	}
	const char **digits = xcalloc(n, sizeof *digits);
	for (size_t i = 0; i < n; i++)
		digits[i] = numbers[i].digits;
	walk_cases(&w, digits, n);
	xfree(digits);
	return all.status;
}

static int run(const struct cmd_line *l, struct config *c)
{
	struct cnj *numbers = NULL;
	size_t n = 0;
	struct db *db = NULL;
	struct store *s = NULL;
	struct err e;
	int status = EXIT_USAGE;
	if (!cmd_numbers(l, &numbers, &n))
		goto out;
	if ((n == 0) != l->all) {
		term_error("verify takes case numbers, or --all");
		goto out;
	}
	db = db_open(c->database_url, DB_READ, &e);
	if (!db || !schema_check(db, &e) || !(s = store_open(c, c->store_url, STORE_READ, &e))) {
		status = cmd_fail(&e, e.kind == ERR_ABSENT ? EXIT_NOT_FOUND : EXIT_TROUBLE);
		goto out;
	}
	status = verify(db, s, l->all ? NULL : numbers, n);
out:
	store_close(s);
	db_close(db);
	xfree(numbers);
	return status;
}

const struct cmd cmd_verify = {
	.name = "verify",
	.usage = "NUMBER... | --all",
	.summary = "reads stored documents back and compares them with the manifest",
	.help = "      --all            every case that is known here\n\n"
		"Reads the store, not the folders of `autos get`. Changes nothing, asks the portal "
		"nothing.\n"
		"Exit status: 0 all good, 1 the store cannot be read, 3 something is missing or "
		"differs, 4 case\nnot known here.\n",
	.options = "a",
	.run = run,
};
