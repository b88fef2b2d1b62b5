/*
 * vacuum - the server's statistics about our tables, and what is remembered of them. A table counts
 * as of no use when more than half of its dead rows are still there after a vacuum.
 */
#include "vacuum.h"

#include "sys.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
	TABLES = 64,
	NAME = 132,    /* two names of 63 bytes, a dot and quotes */
	LOOKS = 10,    /* for the statistics to tell of a vacuum: up to PostgreSQL 14 */
	LOOK_MS = 100, /* they come half a second late */
};

struct futile {
	char name[NAME];
	int64_t left, at_ms;
};

struct vacuum {
	struct futile tables[TABLES];
	size_t n;
};

struct vacuum *vacuum_new(void)
{
	return xcalloc(1, sizeof(struct vacuum));
}

void vacuum_free(struct vacuum *v)
{
	xfree(v);
}

/* ---- Memory ---- */

static struct futile *find(struct vacuum *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->tables[i].name, name) == 0)
			return &v->tables[i];
	return NULL;
}

static void forget(struct vacuum *v, const char *name)
{
	struct futile *f = find(v, name);
	if (f)
		*f = v->tables[--v->n];
}

static void remember(struct vacuum *v, const char *name, int64_t left, int64_t now_ms)
{
	struct futile *f = find(v, name);
	if (!f && v->n < TABLES)
		f = &v->tables[v->n++];
	if (!f)
		return;
	snprintf(f->name, sizeof f->name, "%s", name);
	f->left = left;
	f->at_ms = now_ms;
}

static bool is_worthwhile(struct vacuum *v, const char *name, int64_t dead,
			  const struct vacuum_turn *t)
{
	const struct futile *f = find(v, name);
	return !f || dead >= 2 * f->left || t->now_ms - f->at_ms >= VACUUM_AGAIN_MS ||
	       t->released_ms > f->at_ms;
}

/* ---- The server ---- */

#define TABLE "quote_ident(schemaname) || '.' || quote_ident(relname)"

/* What the statistics tell after a vacuum; *left is -1 when they do not know of it. */
static bool read_left(struct db *db, const char *name, int64_t counted, int64_t *left,
		      struct err *e)
{
	*left = -1;
	for (int i = 0; i < LOOKS && *left < 0; i++) {
		struct db_rows r;
		if (i)
			poll(NULL, 0, LOOK_MS);
		if (!db_exec(db, &r, e,
			     "SELECT n_dead_tup, vacuum_count FROM pg_stat_user_tables"
			     " WHERE schemaname = current_schema() AND " TABLE " = $1",
			     db_s(name)))
			return false;
		if (r.rows && db_int(&r, 0, 1) > counted)
			*left = db_int(&r, 0, 0);
		db_rows_release(&r);
	}
	return true;
}

static bool vacuum_table(struct vacuum *v, struct db *db, const char *name, int64_t dead,
			 int64_t counted, int64_t now_ms, struct err *e)
{
	int64_t left;
	char *sql = xasprintf("VACUUM (SKIP_LOCKED, ANALYZE) %s", name);
	bool ok = db_run_once(db, sql, e);
	xfree(sql);
	if (!ok || !read_left(db, name, counted, &left, e))
		return false;
	if (left > dead / 2)
		remember(v, name, left, now_ms);
	else
		forget(v, name);
	return true;
}

bool vacuum_run(struct vacuum *v, struct db *db, const struct vacuum_turn *t, int64_t *done,
		struct err *e)
{
	struct db_rows r;
	*done = 0;
	bool ok = db_exec(db, &r, e,
			  "SELECT " TABLE ", n_dead_tup, vacuum_count FROM pg_stat_user_tables"
			  " WHERE schemaname = current_schema()"
			  " AND n_dead_tup > 1000 + n_live_tup / 50 ORDER BY n_dead_tup DESC");
	for (size_t i = 0; ok && i < r.rows; i++) {
		const char *name = db_text(&r, i, 0);
		if (!is_worthwhile(v, name, db_int(&r, i, 1), t))
			continue;
		if (t->goes_on && !t->goes_on(t->arg))
			break;
		ok = vacuum_table(v, db, name, db_int(&r, i, 1), db_int(&r, i, 2), t->now_ms, e);
		*done += ok;
	}
	db_rows_release(&r);
	return ok;
}
