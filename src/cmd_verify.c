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

#include <inttypes.h>
#include <string.h>

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

/* True when the object is what the manifest says. */
static bool verify_document(struct store *s, const struct doc_view *d, struct err *e)
{
	struct check c = {.hash = sha256_new()};
	char hex[65];
	bool ok = store_read(s, d->object_key, add, &c, e);
	sha256_end(c.hash, hex);
	sha256_free(c.hash);
	if (!ok)
		return false;
	if (c.size != d->size)
		return fail(e, ERR_FAIL, "size is %" PRId64 ", the manifest says %" PRId64, c.size,
			    d->size);
	if (strcmp(hex, d->sha256) != 0)
		return fail(e, ERR_FAIL, "SHA-256 is %s, the manifest says %s", hex, d->sha256);
	return true;
}

static int verify_case(struct db *db, struct store *s, const char *number)
{
	struct case_view v = {0};
	struct cnj n;
	struct err e;
	int status = EXIT_TROUBLE;
	size_t good = 0, bad = 0;
	if (!cnj_parse(number, strlen(number), &n, &e))
		return cmd_fail(&e, EXIT_TROUBLE);
	if (!query_case(db, number, &v, &e)) {
		err_prefix(&e, "%s: ", n.masked);
		status = cmd_fail(&e, e.kind == ERR_ABSENT ? EXIT_NOT_FOUND : EXIT_TROUBLE);
		goto out;
	}
	for (size_t i = 0; i < v.ndocs; i++) {
		const struct doc_view *d = &v.docs[i];
		if (strcmp(d->state, "available") != 0)
			continue;
		if (verify_document(s, d, &e)) {
			good++;
			continue;
		}
		bad++;
		term_error("%s: document %s: %s", n.masked, d->doc_id, e.text);
	}
	term_out("%s  %s  %zu good, %zu bad, %zu not stored\n", n.masked, bad ? "DAMAGED" : "ok",
		 good, bad, v.ndocs - good - bad);
	status = bad ? EXIT_PARTIAL : EXIT_COMPLETE;
out:
	case_view_release(&v);
	return status;
}

static int verify_all(struct db *db, struct store *s)
{
	struct db_rows r;
	struct err e;
	int status = EXIT_COMPLETE;
	if (!query_numbers(db, &r, &e)) {
		db_rows_release(&r);
		return cmd_fail(&e, EXIT_TROUBLE);
	}
	for (size_t i = 0; i < r.rows; i++)
		status = cmd_worse(status, verify_case(db, s, db_text(&r, i, 0)));
	db_rows_release(&r);
	return status;
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
	if (!db || !schema_check(db, &e) || !(s = store_open(c->store_url, false, &e))) {
		status = cmd_fail(&e, e.kind == ERR_ABSENT ? EXIT_NOT_FOUND : EXIT_TROUBLE);
		goto out;
	}
	status = l->all ? verify_all(db, s) : EXIT_COMPLETE;
	for (size_t i = 0; i < n; i++)
		status = cmd_worse(status, verify_case(db, s, numbers[i].digits));
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
		"Exit status: 0 all good, 3 something is missing or differs, 4 case not known "
		"here.\n",
	.options = "a",
	.run = run,
};
