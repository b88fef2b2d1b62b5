/*
 * db - what all drivers share: values, results, transactions, and the choice of a driver.
 */
#include "db.h"

#include "sys.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct db_ops *const drivers[] = {&db_sqlite, &db_pg};

struct db_value db_i(int64_t i)
{
	return (struct db_value){.kind = DB_INT, .i = i};
}

struct db_value db_s(const char *s)
{
	if (!s)
		return (struct db_value){.kind = DB_NULL};
	return (struct db_value){.kind = DB_TEXT, .s = s, .len = strlen(s)};
}

void db_rows_release(struct db_rows *r)
{
	xfree(r->cells);
	xfree(r->text);
	*r = (struct db_rows){0};
}

static const struct db_value *cell(const struct db_rows *r, size_t row, size_t col)
{
	assert(row < r->rows && col < r->cols);
	return &r->cells[row * r->cols + col];
}

int64_t db_int(const struct db_rows *r, size_t row, size_t col)
{
	const struct db_value *v = cell(r, row, col);
	assert(v->kind != DB_TEXT);
	return v->i;
}

const char *db_text(const struct db_rows *r, size_t row, size_t col)
{
	const struct db_value *v = cell(r, row, col);
	assert(v->kind != DB_INT);
	return v->s ? v->s : "";
}

bool db_is_null(const struct db_rows *r, size_t row, size_t col)
{
	return cell(r, row, col)->kind == DB_NULL;
}

const struct db_ops *db_driver(const char *url)
{
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
		for (const char *const *scheme = drivers[i]->schemes; *scheme; scheme++) {
			size_t n = strlen(*scheme);
			if (strncmp(url, *scheme, n) == 0 && url[n] == ':')
				return drivers[i];
		}
	return NULL;
}

struct db *db_open(const char *url, enum db_mode mode, struct err *e)
{
	const struct db_ops *ops = db_driver(url);
	if (ops)
		return ops->open(url, mode, e);
	int scheme = (int)text_scheme(url);
	fail(e, ERR_INPUT, "database_url: %s%.*s%smust be sqlite:PATH or postgres://...",
	     scheme ? "no driver for '" : "", scheme, url, scheme ? "': " : "");
	return NULL;
}

char *db_words(const struct db_ops *ops, const char *sql)
{
	const struct {
		const char *mark, *word;
	} all[] = {{"%SERIAL%", ops->serial_key},
		   {"%UNLOGGED%", ops->unlogged},
		   {"%SKIP_LOCKED%", ops->skip_locked},
		   {"%LOCK%", ops->lock}};
	char *text = NULL;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (const char *from = text ? text : sql, *at; (at = strstr(from, all[i].mark));
		     from = text) {
			char *more = xasprintf("%.*s%s%s", (int)(at - from), from, all[i].word,
					       at + strlen(all[i].mark));
			xfree(text);
			text = more;
		}
	return text;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	xfree(db->notes);
	db->ops->close(db);
}

void db_note(struct db *db, struct db_note note)
{
	if (!db->in_transaction)
		return;
	if (db->nnotes) {
		const struct db_note *last = &db->notes[db->nnotes - 1];
		if (last->kind == note.kind && last->process_id == note.process_id &&
		    last->job_id == note.job_id)
			return;
	}
	db->notes = xgrow(db->notes, db->nnotes, &db->notes_cap, sizeof *db->notes);
	db->notes[db->nnotes++] = note;
}

bool db_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
	    struct db_rows *out, struct err *e)
{
	if (out)
		*out = (struct db_rows){0};
	db->transient = db->out_of_time = false;
	return db->ops->run(db, sql, args, nargs, out, e);
}

bool db_run_once(struct db *db, const char *sql, struct err *e)
{
	return db->ops->run_once(db, sql, e);
}

bool db_begin(struct db *db, struct err *e)
{
	assert(!db->in_transaction);
	if (!db_run(db, "BEGIN", NULL, 0, NULL, e))
		return false;
	db->in_transaction = true;
	db->nnotes = 0;
	return true;
}

bool db_commit(struct db *db, struct err *e)
{
	assert(db->in_transaction);
	db->transient = false;
	if (!(db->ops->commit ? db->ops->commit(db, e) : db_run(db, "COMMIT", NULL, 0, NULL, e))) {
		db_rollback(db);
		return false;
	}
	db->in_transaction = false;
	return true;
}

void db_rollback(struct db *db)
{
	struct err ignored;
	bool transient = db->transient, out_of_time = db->out_of_time;
	if (db->in_transaction && !db_run(db, "ROLLBACK", NULL, 0, NULL, &ignored))
		db->in_transaction = false;
	db->in_transaction = false;
	db->transient = transient; /* what made us roll back is the news */
	db->out_of_time = out_of_time;
	db->nnotes = 0;
}
