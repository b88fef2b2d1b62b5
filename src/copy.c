/*
 * copy - walks each table by its key, page by page. Knows names and keys of the tables; columns are
 * asked of the database.
 */
#include "copy.h"

#include "buf.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

enum { PAGE = 500, COLUMNS_MAX = 32, SQL_MAX = 8192, KEYS_MAX = 3 };

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

/* What is known of a table while it is copied. Its statements live until the connections close. */
struct table {
	const char *name;
	size_t ncols, nkeys, key_at[KEYS_MAX];
	char *first, *next, *insert, *find, *count, *reset;
};

struct copy {
	const struct copy_options *o;
	struct copy_progress p;
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

static void make_statements(struct table *t, const char *cols, const char *const *key)
{
	struct buf b, list;
	buf_init(&b, SQL_MAX);
	buf_init(&list, SQL_MAX);
	for (size_t i = 0; i < t->nkeys; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", key[i]);
	const char *by = buf_str(&list);
	buf_addf(&b, "SELECT %s FROM %s ORDER BY %s LIMIT %d", cols, t->name, by, PAGE);
	t->first = take(&b);
	buf_addf(&b, "SELECT %s FROM %s WHERE (%s) > (", cols, t->name, by);
	add_marks(&b, t->nkeys);
	buf_addf(&b, ") ORDER BY %s LIMIT %d", by, PAGE);
	t->next = take(&b);
	buf_addf(&b, "INSERT INTO %s (%s) VALUES (", t->name, cols);
	add_marks(&b, t->ncols);
	buf_adds(&b, ")");
	t->insert = take(&b);
	buf_addf(&b, "SELECT %s FROM %s WHERE (%s) = (", cols, t->name, by);
	add_marks(&b, t->nkeys);
	buf_adds(&b, ")");
	t->find = take(&b);
	buf_addf(&b, "SELECT COUNT(*) FROM %s", t->name);
	t->count = take(&b);
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
		make_statements(t, buf_str(&cols), keys[at]);
	db_rows_release(&r);
	buf_release(&cols);
	return ok;
}

static void release(struct copy *c)
{
	for (size_t i = 0; i < sizeof c->tables / sizeof *c->tables; i++) {
		struct table *t = &c->tables[i];
		xfree(t->first);
		xfree(t->next);
		xfree(t->insert);
		xfree(t->find);
		xfree(t->count);
		xfree(t->reset);
	}
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

/* Every row of a table of the source, by its key. */
static bool walk(struct copy *c, const struct table *t, row_fn *fn, struct err *e)
{
	struct db_rows page = {0};
	struct db_value key[KEYS_MAX];
	bool ok = db_run(c->o->from, t->first, NULL, 0, &page, e);
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
		key_of(t, &page, page.rows - 1, key);
		ok = ok && db_run(c->o->from, t->next, key, t->nkeys, &next, e);
		db_rows_release(&page);
		page = next;
	}
	db_rows_release(&page);
	return ok;
}

static bool count(struct db *db, const char *sql, int64_t *n, struct err *e)
{
	struct db_rows r;
	bool ok = db_run(db, sql, NULL, 0, &r, e);
	*n = ok ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

/* ---- The whole ---- */

static bool is_empty(struct copy *c, struct err *e)
{
	for (size_t i = 0; copy_tables[i]; i++) {
		int64_t n;
		if (!count(c->o->to, c->tables[i].count, &n, e))
			return false;
		if (n)
			return fail(e, ERR_INPUT,
				    "the target's table %s holds %lld rows: copy into a new, empty "
				    "database",
				    c->tables[i].name, (long long)n);
	}
	return true;
}

static bool compare(struct copy *c, struct err *e)
{
	c->p.comparing = true;
	for (size_t i = 0; copy_tables[i]; i++) {
		const struct table *t = &c->tables[i];
		int64_t there;
		if (!walk(c, t, compare_row, e) || !count(c->o->to, t->count, &there, e))
			return false;
		if (there != c->p.rows)
			return fail(e, ERR_FAIL, "table %s: %lld rows here, %lld in the target",
				    t->name, (long long)c->p.rows, (long long)there);
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
	if (!is_empty(c, e))
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
	if (ok)
		ok = db_commit(o->to, e);
	else
		db_rollback(o->to);
	o->to->lazy = false;
	if (own)
		db_rollback(o->from);
	*rows = c->p.all_rows;
	/* Prepared statements are known by their text's place: nobody may use these again. */
	release(c);
	return ok;
}
