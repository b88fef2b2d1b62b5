/*
 * copy - walks each table by its key, page by page. Knows names and keys of the tables, and which
 * columns are large; the others are asked of the database.
 */
#include "copy.h"

#include "buf.h"
#include "fleet.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

enum {
	SIZES = 10, /* of pages: 1, 2, 4, ... rows; how many stands in the statement, for its plan
		     */
	PAGE = 1 << (SIZES - 1),
	PAGE_BYTES = 8 << 20, /* of a table with a large column, unless one row has more */
	COLUMNS_MAX = 32,
	SQL_MAX = 8192,
	KEYS_MAX = 3,
};

/* Each after those that it refers to. The tables of a fleet are of no use elsewhere. */
const char *const copy_tables[] = {
	"process",        "answer", "job",         "job_webhook",    "document", "result",
	"document_ref",   "event",  "batch",       "batch_item",     "erasure",  "app_user",
	"api_key",        "secret", "idempotency", "webhook_target", "delivery", "delivery_attempt",
	"webhook_secret", NULL};

/* By table: its key. The first of several need not be unique. */
static const char *const keys[][KEYS_MAX] = {
	{"id"},
	{"process_id", "call"},
	{"id"},
	{"job_id", "url", "user_id"},
	{"id"},
	{"document_id"},
	{"process_id", "ref_id"},
	{"job_id", "seq"},
	{"id"},
	{"batch_id", "position"},
	{"number"},
	{"id"},
	{"id"},
	{"name"},
	{"user_id", "idem_key"},
	{"id"},
	{"id"},
	{"delivery_id", "n"},
	{"id"},
};

/* Columns whose values may have megabytes. */
static const struct {
	const char *table, *column;
} large[] = {{"answer", "body"}, {"idempotency", "body"}};

/* What is known of a table while it is copied. Its statements live until the connections close. */
struct table {
	const char *name;
	size_t ncols, nkeys, key_at[KEYS_MAX];
	char *first[SIZES], *next[SIZES];    /* the larger ones alone, if no column is large */
	char *fits_first, *fits_next;        /* how many rows PAGE_BYTES hold; else NULL */
	char *keys_first, *keys_next, *some; /* keys of a page; whether there is any row */
	char *insert, *find, *reset;
};

/* A walk over the keys that the target holds. */
struct tally {
	struct db_rows page; /* the last one */
	int64_t rows;
	bool over;
};

struct copy {
	const struct copy_options *o;
	struct copy_progress p;
	struct tally there;
	struct table tables[sizeof keys / sizeof *keys];
};

/* ---- Statements ---- */

static void add_marks(struct buf *b, size_t n)
{
	for (size_t i = 1; i <= n; i++)
		buf_addf(b, "%s$%zu", i > 1 ? ", " : "", i);
}

static char *take(struct buf *b)
{
	char *text = xstrdup(buf_str(b));
	buf_release(b);
	buf_init(b, SQL_MAX);
	return text;
}

/* So many rows of a table in the order of its key, from the first one or behind a key. */
static void add_page(struct buf *b, const struct table *t, const char *what, const char *by,
		     bool first, int rows)
{
	buf_addf(b, "SELECT %s FROM %s ", what, t->name);
	if (!first) {
		buf_addf(b, "WHERE (%s) > (", by);
		add_marks(b, t->nkeys);
		buf_adds(b, ") ");
	}
	buf_addf(b, "ORDER BY %s LIMIT %d", by, rows);
}

static char *page_of(struct buf *b, const struct table *t, const char *what, const char *by,
		     bool first, int rows)
{
	add_page(b, t, what, by, first, rows);
	return take(b);
}

static char *fits_of(struct buf *b, const struct table *t, const char *size, const char *by,
		     bool first)
{
	char *what = xasprintf("%s, %s AS size", by, size);
	buf_addf(b, "SELECT COUNT(*) FROM (SELECT SUM(size) OVER (ORDER BY %s) AS bytes FROM (",
		 by);
	add_page(b, t, what, by, first, PAGE);
	buf_addf(b, ") AS page) AS sums WHERE bytes <= %d", PAGE_BYTES);
	xfree(what);
	return take(b);
}

/* The statements that read pages of the source. PostgreSQL knows a size without reading the value,
 * SQLite the one of bytes only. */
static void make_pages(struct table *t, const char *cols, const char *by, bool exclusive)
{
	struct buf b;
	buf_init(&b, SQL_MAX);
	for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
		if (strcmp(large[i].table, t->name) != 0)
			continue;
		char *size = xasprintf(exclusive ? "LENGTH(CAST(%s AS BLOB))" : "OCTET_LENGTH(%s)",
				       large[i].column);
		t->fits_first = fits_of(&b, t, size, by, true);
		t->fits_next = fits_of(&b, t, size, by, false);
		xfree(size);
	}
	for (int i = t->fits_first ? 0 : SIZES - 1; i < SIZES; i++) {
		t->first[i] = page_of(&b, t, cols, by, true, 1 << i);
		t->next[i] = page_of(&b, t, cols, by, false, 1 << i);
	}
	buf_release(&b);
}

static void make_statements(struct table *t, const char *cols, const char *const *key,
			    bool exclusive)
{
	struct buf b, list;
	buf_init(&b, SQL_MAX);
	buf_init(&list, SQL_MAX);
	for (size_t i = 0; i < t->nkeys; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", key[i]);
	const char *by = buf_str(&list);
	make_pages(t, cols, by, exclusive);
	t->keys_first = page_of(&b, t, by, by, true, PAGE);
	t->keys_next = page_of(&b, t, by, by, false, PAGE);
	buf_addf(&b, "INSERT INTO %s (%s) VALUES (", t->name, cols);
	add_marks(&b, t->ncols);
	buf_adds(&b, ")");
	t->insert = take(&b);
	buf_addf(&b, "SELECT %s FROM %s WHERE (%s) = (", cols, t->name, by);
	add_marks(&b, t->nkeys);
	buf_adds(&b, ")");
	t->find = take(&b);
	buf_addf(&b, "SELECT 1 FROM %s LIMIT 1", t->name);
	t->some = take(&b);
	buf_addf(&b,
		 "SELECT setval(pg_get_serial_sequence('%s', 'id'),"
		 " COALESCE((SELECT MAX(id) FROM %s), 0) + 1, false)",
		 t->name, t->name);
	t->reset = take(&b);
	buf_release(&b);
	buf_release(&list);
}

static bool describe(struct copy *c, size_t at, struct err *e)
{
	struct table *t = &c->tables[at];
	struct db *db = c->o->from;
	struct db_rows r;
	struct buf cols;
	struct db_value name = db_s(copy_tables[at]);
	t->name = copy_tables[at];
	buf_init(&cols, SQL_MAX);
	bool ok = db_run(db, db->ops->columns, &name, 1, &r, e);
	if (ok && (r.rows == 0 || r.rows > COLUMNS_MAX))
		ok = fail(e, ERR_FAIL, "table %s: has %zu columns", t->name, r.rows);
	while (t->nkeys < KEYS_MAX && keys[at][t->nkeys])
		t->nkeys++;
	t->ncols = ok ? r.rows : 0;
	for (size_t i = 0; i < t->ncols; i++) {
		const char *col = db_text(&r, i, 0);
		buf_addf(&cols, "%s%s", i ? ", " : "", col);
		for (size_t k = 0; k < t->nkeys; k++)
			if (strcmp(col, keys[at][k]) == 0)
				t->key_at[k] = i;
	}
	if (ok)
		make_statements(t, buf_str(&cols), keys[at], db->ops->exclusive);
	db_rows_release(&r);
	buf_release(&cols);
	return ok;
}

static void release(struct copy *c)
{
	for (size_t i = 0; i < sizeof c->tables / sizeof *c->tables; i++) {
		struct table *t = &c->tables[i];
		char *all[] = {t->fits_first, t->fits_next, t->keys_first, t->keys_next,
			       t->some,       t->insert,    t->find,       t->reset};
		for (size_t k = 0; k < sizeof all / sizeof *all; k++)
			xfree(all[k]);
		for (size_t k = 0; k < SIZES; k++) {
			xfree(t->first[k]);
			xfree(t->next[k]);
		}
	}
	db_rows_release(&c->there.page);
	xfree(c);
}

/* ---- Rows ---- */

static void key_of(const struct table *t, const struct db_rows *r, size_t row,
		   struct db_value key[KEYS_MAX])
{
	for (size_t k = 0; k < t->nkeys; k++)
		key[k] = r->cells[row * r->cols + t->key_at[k]];
}

static bool insert_row(struct copy *c, const struct table *t, const struct db_rows *r, size_t row,
		       struct err *e)
{
	return db_run(c->o->to, t->insert, &r->cells[row * r->cols], r->cols, NULL, e);
}

static bool same_cell(const struct db_value *a, const struct db_value *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == DB_TEXT  ? a->len == b->len && memcmp(a->s, b->s, a->len) == 0
	       : a->kind == DB_INT ? a->i == b->i
				   : true;
}

static bool compare_row(struct copy *c, const struct table *t, const struct db_rows *r, size_t row,
			struct err *e)
{
	struct db_value key[KEYS_MAX];
	struct db_rows there;
	key_of(t, r, row, key);
	bool ok = db_run(c->o->to, t->find, key, t->nkeys, &there, e);
	bool same = ok && there.rows == 1 && there.cols == r->cols;
	for (size_t i = 0; same && i < r->cols; i++)
		same = same_cell(&r->cells[row * r->cols + i], &there.cells[i]);
	if (ok && !same)
		ok = fail(e, ERR_FAIL, "table %s: a row is not in the target as it is here",
			  t->name);
	db_rows_release(&there);
	return ok;
}

typedef bool row_fn(struct copy *c, const struct table *t, const struct db_rows *r, size_t row,
		    struct err *e);

/* The next page of the source, behind a key or (NULL) from the first row on. */
static bool read_page(struct copy *c, const struct table *t, const struct db_value *key,
		      struct db_rows *page, struct err *e)
{
	size_t nkeys = key ? t->nkeys : 0, at = SIZES - 1;
	const char *fits = key ? t->fits_next : t->fits_first;
	struct db_rows r = {0};
	*page = (struct db_rows){0};
	bool ok = !fits || db_run(c->o->from, fits, key, nkeys, &r, e);
	while (ok && fits && at > 0 && db_int(&r, 0, 0) < INT64_C(1) << at)
		at--;
	db_rows_release(&r);
	return ok && db_run(c->o->from, key ? t->next[at] : t->first[at], key, nkeys, page, e);
}

/* Counts what one more page of keys holds. Page by page: one count of a large table takes longer
 * than a statement may, and longer than the source's transaction may be idle. */
static bool tally_page(struct copy *c, const struct table *t, struct err *e)
{
	struct tally *all = &c->there;
	struct db_rows next = {0};
	if (all->over)
		return true;
	bool ok = all->page.rows ? db_run(c->o->to, t->keys_next,
					  &all->page.cells[(all->page.rows - 1) * t->nkeys],
					  t->nkeys, &next, e)
				 : db_run(c->o->to, t->keys_first, NULL, 0, &next, e);
	all->over = next.rows < PAGE;
	all->rows += (int64_t)next.rows;
	db_rows_release(&all->page);
	all->page = next;
	return ok;
}

/* Every row of a table of the source, by its key. */
static bool walk(struct copy *c, const struct table *t, row_fn *fn, struct err *e)
{
	struct db_rows page;
	struct db_value key[KEYS_MAX];
	bool ok = read_page(c, t, NULL, &page, e);
	c->p.table = t->name;
	c->p.rows = 0;
	while (ok && page.rows) {
		struct db_rows next = {0};
		for (size_t i = 0; ok && i < page.rows; i++)
			ok = fn(c, t, &page, i, e);
		c->p.rows += (int64_t)page.rows;
		c->p.all_rows += c->p.comparing ? 0 : (int64_t)page.rows;
		if (ok && c->o->on_progress && !c->o->on_progress(c->o->arg, &c->p))
			ok = fail(e, ERR_BUSY, "stopped; the target is as it was");
		ok = ok && (!c->p.comparing || tally_page(c, t, e));
		key_of(t, &page, page.rows - 1, key);
		ok = ok && read_page(c, t, key, &next, e);
		db_rows_release(&page);
		page = next;
	}
	db_rows_release(&page);
	return ok;
}

/* ---- The whole ---- */

static bool is_empty(struct copy *c, struct err *e)
{
	for (size_t i = 0; copy_tables[i]; i++) {
		struct db_rows r;
		bool ok = db_run(c->o->to, c->tables[i].some, NULL, 0, &r, e);
		bool some = ok && r.rows;
		db_rows_release(&r);
		if (some)
			fail(e, ERR_INPUT,
			     "the target's table %s holds rows: copy into a new, empty database",
			     c->tables[i].name);
		if (!ok || some)
			return false;
	}
	return true;
}

/* What they write while rows are copied would be lost, or in the way. One process has SQLite for
 * itself, and that is us. */
static bool nobody_runs(struct db *db, const char *which, struct err *e)
{
	int64_t n = 0;
	if (db->ops->exclusive)
		return true;
	if (!fleet_living(db, &n, e))
		return false;
	return n == 0 ||
	       fail(e, ERR_BUSY,
		    "the %s is in use by %lld autos processes: stop all of them first (one that was "
		    "killed counts for 15 s more)",
		    which, (long long)n);
}

static bool compare(struct copy *c, struct err *e)
{
	c->p.comparing = true;
	for (size_t i = 0; copy_tables[i]; i++) {
		const struct table *t = &c->tables[i];
		db_rows_release(&c->there.page);
		c->there = (struct tally){0};
		bool ok = walk(c, t, compare_row, e);
		while (ok && !c->there.over && c->there.rows <= c->p.rows)
			ok = tally_page(c, t, e);
		if (!ok)
			return false;
		if (c->there.rows != c->p.rows)
			return fail(e, ERR_FAIL, "table %s: %lld rows here, %s in the target",
				    t->name, (long long)c->p.rows,
				    c->there.rows > c->p.rows ? "more" : "fewer");
	}
	return true;
}

/* Row numbers that the target will give go on where the source was. SQLite sees to it itself. */
static bool reset_numbers(struct copy *c, struct err *e)
{
	for (size_t i = 0; copy_tables[i] && !c->o->to->ops->exclusive; i++) {
		const struct table *t = &c->tables[i];
		struct db_rows r = {0};
		bool serial = t->nkeys == 1 && strcmp(keys[i][0], "id") == 0;
		if (serial && !db_run(c->o->to, t->reset, NULL, 0, &r, e))
			return false;
		db_rows_release(&r);
	}
	return true;
}

static bool copy_all(struct copy *c, struct err *e)
{
	for (size_t i = 0; copy_tables[i]; i++)
		if (!describe(c, i, e))
			return false;
	if (!nobody_runs(c->o->from, "source", e) || !nobody_runs(c->o->to, "target", e) ||
	    !is_empty(c, e))
		return false;
	for (size_t i = 0; copy_tables[i]; i++)
		if (!walk(c, &c->tables[i], insert_row, e))
			return false;
	return reset_numbers(c, e) && compare(c, e);
}

bool copy_run(const struct copy_options *o, int64_t *rows, struct err *e)
{
	struct copy *c = xcalloc(1, sizeof *c);
	c->o = o;
	bool own = !o->from->in_transaction;
	bool ok = (!own || db_begin(o->from, e));
	o->to->lazy = true;
	ok = ok && db_begin(o->to, e) && copy_all(c, e);
	if (own)
		db_rollback(o->from);
	/* Who began meanwhile is seen only now: the transaction showed one moment. */
	ok = ok && nobody_runs(o->from, "source", e);
	if (ok)
		ok = db_commit(o->to, e);
	else
		db_rollback(o->to);
	o->to->lazy = false;
	*rows = c->p.all_rows;
	/* Prepared statements are known by their text's place: nobody may use these again. */
	release(c);
	return ok;
}
