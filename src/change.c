/*
 * change - rows of the table of the same name. Knows nobody who waits for them.
 */
#include "change.h"

#include "buf.h"
#include "sys.h"

#include <inttypes.h>

enum {
	NOTES_MAX = 4 << 20, /* bytes of one array */
	/* No transaction of ours lives so long (see the deadlines of db_pg). */
	OVER_MS = 120000,
};

#define CHANNEL "autos_change"

static bool is_repeated(const struct db_note *notes, size_t i)
{
	size_t first = i > 32 ? i - 32 : 0;
	for (size_t k = first; k < i; k++)
		if (notes[k].kind == notes[i].kind && notes[k].process_id == notes[i].process_id &&
		    notes[k].job_id == notes[i].job_id)
			return true;
	return false;
}

/* Three arrays, so that all notes of a transaction are one statement. */
bool change_write(struct db *db, const char *owner, int64_t now_ms, struct err *e)
{
	struct buf kinds, cases, jobs;
	buf_init(&kinds, NOTES_MAX);
	buf_init(&cases, NOTES_MAX);
	buf_init(&jobs, NOTES_MAX);
	const char *comma = "{";
	for (size_t i = 0; i < db->nnotes; i++) {
		const struct db_note *n = &db->notes[i];
		if (is_repeated(db->notes, i))
			continue;
		buf_addf(&kinds, "%s%d", comma, (int)n->kind);
		buf_addf(&cases, "%s%" PRId64, comma, n->process_id);
		buf_addf(&jobs, "%s%" PRId64, comma, n->job_id);
		comma = ",";
	}
	buf_adds(&kinds, "}");
	buf_adds(&cases, "}");
	buf_adds(&jobs, "}");
	bool ok = db_exec(
		db, NULL, e,
		"INSERT INTO change (xid, at_ms, owner, kind, process_id, job_id)"
		" SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), $1, $2,"
		" n.kind, n.process_id, n.job_id FROM unnest(CAST($3 AS BIGINT[]),"
		" CAST($4 AS BIGINT[]), CAST($5 AS BIGINT[])) AS n(kind, process_id, job_id)",
		db_i(now_ms), db_s(owner), db_s(buf_str(&kinds)), db_s(buf_str(&cases)),
		db_s(buf_str(&jobs)));
	buf_release(&kinds);
	buf_release(&cases);
	buf_release(&jobs);
	return ok;
}

/* A foreign transaction may hold the place for hours; ours are over after some time. */
static void move(struct change_place *at, int64_t oldest, int64_t newest)
{
	int64_t now = sys_mono_ms();
	if (!at->floor_at || now - at->floor_at >= OVER_MS) {
		at->floor = at->floor_next;
		at->floor_next = newest;
		at->floor_at = now;
	}
	at->from = oldest > at->floor ? oldest : at->floor;
}

bool change_read(struct db *db, struct change_place *at, const char *owner, struct db_note **notes,
		 size_t *n, struct err *e)
{
	struct db_rows r;
	*notes = NULL;
	*n = 0;
	bool ok = db_exec(
		db, &r, e,
		"SELECT CAST(CAST(pg_snapshot_xmin(s.now) AS TEXT) AS BIGINT),"
		" CAST(CAST(pg_snapshot_xmax(s.now) AS TEXT) AS BIGINT), c.kind, c.process_id, c.job_id"
		" FROM (SELECT pg_current_snapshot() AS now) s LEFT JOIN change c"
		" ON c.xid >= $1 AND c.owner <> $2",
		db_i(at->from ? at->from : INT64_MAX), db_s(owner));
	if (ok) {
		*notes = xcalloc(r.rows, sizeof **notes);
		for (size_t i = 0; i < r.rows; i++)
			if (!db_is_null(&r, i, 2))
				(*notes)[(*n)++] = (struct db_note){
					.kind = (enum db_note_kind)db_int(&r, i, 2),
					.process_id = db_int(&r, i, 3),
					.job_id = db_int(&r, i, 4)};
		move(at, db_int(&r, 0, 0), db_int(&r, 0, 1));
	}
	db_rows_release(&r);
	return ok;
}

bool change_hint(struct db *db, struct err *e)
{
	return db_exec(db, NULL, e, "NOTIFY " CHANNEL);
}

bool change_listen(struct db *db, struct err *e)
{
	return db->ops->listen(db, CHANNEL, e);
}

bool change_trim(struct db *db, int64_t before_ms, struct err *e)
{
	return db_exec(db, NULL, e, "DELETE FROM change WHERE at_ms < $1", db_i(before_ms));
}
