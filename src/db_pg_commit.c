/*
 * db_pg_commit - the end of a transaction on PostgreSQL, and what became of it when nobody heard
 * the answer. Owns the table commit_mark.
 */
#include "db_pg.h"

#include "sys.h"

#include <poll.h>

/*
 * A transaction of whoever set `marks` leaves a row of its own, its mark. When the connection
 * breaks while the commit is under way, the mark is put there once more: whoever is the primary now
 * says that it is there already (committed), takes it (the first one can be no more), or, while
 * that one is still running, makes us wait. The number of the transaction would not do: a server
 * that crashed before it was written gives it to another one.
 */
static bool ask_fate(struct db_pg *db, bool *committed, struct err *e)
{
	struct db_rows r = {0};
	const struct db_value v[] = {db_i(db->base.doubt), db_i(sys_wall_ms())};
	bool ok = pg_run(db,
			 "INSERT INTO commit_mark AS m (id, at_ms, asked) VALUES ($1, $2, 1)"
			 " ON CONFLICT (id) DO UPDATE SET asked = m.asked RETURNING asked",
			 v, 2, &r, e);
	*committed = ok && r.rows && db_int(&r, 0, 0) == 0;
	ok = ok && r.rows == 1;
	db_rows_release(&r);
	if (ok) {
		db->last_mark = db->base.doubt;
		db->base.doubt = 0;
	}
	return ok;
}

bool pg_settle(struct db *base, struct err *e)
{
	bool ignored;
	return ask_fate((struct db_pg *)base, &ignored, e);
}

static bool was_committed(struct db_pg *db, int64_t mark, struct err *e)
{
	struct err why;
	bool committed;
	db->base.in_transaction = false;
	db->base.doubt = mark;
	for (int64_t end = sys_mono_ms() + PG_FATE_MS; sys_mono_ms() < end;) {
		poll(NULL, 0, PG_AGAIN_MS);
		if (!ask_fate(db, &committed, &why))
			continue;
		db->base.transient = !committed;
		return committed ||
		       fail(e, ERR_BUSY,
			    "database: the connection was lost, and nothing was committed");
	}
	db->base.transient = false;
	return fail(e, ERR_FAIL,
		    "database: the connection was lost during a commit; whether it "
		    "was done is not known");
}

/* One that changed something; what was sent before is answered with it. The mark before is of no
 * use any more. */
static bool leave_mark(struct db_pg *db, int64_t *mark, struct err *e)
{
	struct db_rows r = {0};
	if (!db->next_mark) {
		sys_random(&db->next_mark, sizeof db->next_mark);
		db->next_mark &= INT64_MAX >> 1;
	}
	const struct db_value v[] = {db_i(++db->next_mark), db_i(sys_wall_ms())};
	bool ok = pg_run(db,
			 "INSERT INTO commit_mark (id, at_ms) SELECT $1, $2"
			 " WHERE pg_current_xact_id_if_assigned() IS NOT NULL RETURNING id",
			 v, 2, &r, e);
	*mark = ok && r.rows ? db->next_mark : 0;
	db_rows_release(&r);
	const struct db_value before = db_i(db->last_mark);
	return ok && (!*mark || !db->last_mark ||
		      pg_run(db, "DELETE FROM commit_mark WHERE id = $1", &before, 1, NULL, e));
}

/* The answers to all that was sent before come first: a loss before the commit is no doubt. */
bool pg_commit(struct db *base, struct err *e)
{
	struct db_pg *db = (struct db_pg *)base;
	struct db_rows none = {0};
	int64_t mark = 0;
	bool ok =
		base->marks ? leave_mark(db, &mark, e) : pg_run(db, "SELECT 1", NULL, 0, &none, e);
	db_rows_release(&none);
	if (!ok)
		return false;
	ok = pg_run(db, "COMMIT", NULL, 0, &none, e);
	db_rows_release(&none);
	if (ok && mark)
		db->last_mark = mark;
	if (ok || db->link || (base->marks && !mark))
		return ok;
	if (mark)
		return was_committed(db, mark, e);
	base->transient = false;
	return fail(e, ERR_FAIL,
		    "database: the connection was lost during a commit; whether it was "
		    "done is not known");
}
