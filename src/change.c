/*
 * change - rows of the table of the same name. Knows nobody who waits for them.
 */
#include "change.h"

#include "fleet.h"
#include "buf.h"
#include "sys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	NOTES_MAX = 4 << 20,    /* bytes of one array */
	SNAPSHOT_MAX = 4 << 20, /* a number for each transaction of the server */
	LATE_MS = 60000,
};

#define CHANNEL "autos_change"
#define NOTHING_NEW "0:9223372036854775807:" /* a snapshot that saw all there will be */

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
bool change_write(struct db *db, const char *owner, struct err *e)
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
		" SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT),"
		" " FLEET_CLOCK ", $1,"
		" n.kind, n.process_id, n.job_id FROM unnest(CAST($2 AS BIGINT[]),"
		" CAST($3 AS BIGINT[]), CAST($4 AS BIGINT[])) AS n(kind, process_id, job_id)",
		db_s(owner), db_s(buf_str(&kinds)), db_s(buf_str(&cases)), db_s(buf_str(&jobs)));
	buf_release(&kinds);
	buf_release(&cases);
	buf_release(&jobs);
	return ok;
}

/* ---- Reading ---- */

/*
 * A snapshot is "xmin:xmax:a,b,...": what is below xmax had ended, but for those in the list
 * (PostgreSQL manual, 9.27.6). Gives xmax, and the list as an array.
 */
static int64_t not_seen_yet(const char *snapshot, struct buf *running)
{
	const char *max = strchr(snapshot, ':') + 1;
	buf_addf(running, "{%s}", strchr(max, ':') + 1);
	return strtoll(max, NULL, 10);
}

static bool look(struct db *db, const struct change_place *at, const char *owner, struct db_rows *r,
		 struct err *e)
{
	struct buf running;
	buf_init(&running, SNAPSHOT_MAX);
	int64_t max = not_seen_yet(at->snapshot ? at->snapshot : NOTHING_NEW, &running);
	bool ok = db_exec(
		db, r, e,
		"SELECT CAST(pg_current_snapshot() AS TEXT), CAST(pg_backend_pid() AS BIGINT),"
		" " FLEET_CLOCK ","
		" CAST(NULL AS BIGINT)"
		" UNION ALL SELECT NULL, kind, process_id, job_id FROM change"
		"  WHERE xid >= $1 AND owner <> $2"
		" UNION ALL SELECT NULL, kind, process_id, job_id FROM change"
		"  WHERE xid = ANY(CAST($3 AS BIGINT[])) AND owner <> $4",
		db_i(max), db_s(owner), db_s(buf_str(&running)), db_s(owner));
	buf_release(&running);
	return ok;
}

/* Moves to the place that row i of an answer tells, unless something may be missing before it. */
static bool move_on(struct change_place *at, const struct db_rows *r, size_t i, struct err *e)
{
	int64_t backend = db_int(r, i, 1), now = db_int(r, i, 2);
	if (at->snapshot && at->backend != backend)
		return fail(e, ERR_FAIL, "database: it is another connection now");
	if (at->snapshot && now - at->read_ms > CHANGE_KEPT_MS / 3)
		return fail(e, ERR_FAIL, "nothing was read for %lld s",
			    (long long)(now - at->read_ms) / 1000);
	xfree(at->snapshot);
	*at = (struct change_place){
		.snapshot = xstrdup(db_text(r, i, 0)), .backend = backend, .read_ms = now};
	return true;
}

static bool take(struct change_place *at, const struct db_rows *r, struct db_note *notes, size_t *n,
		 struct err *e)
{
	for (size_t i = 0; i < r->rows; i++)
		if (!db_is_null(r, i, 0)) {
			if (!move_on(at, r, i, e))
				return false;
		} else {
			notes[(*n)++] = (struct db_note){.kind = (enum db_note_kind)db_int(r, i, 1),
							 .process_id = db_int(r, i, 2),
							 .job_id = db_int(r, i, 3)};
		}
	return true;
}

bool change_read(struct db *db, struct change_place *at, const char *owner, struct db_note **notes,
		 size_t *n, struct err *e)
{
	struct db_rows r;
	*notes = NULL;
	*n = 0;
	bool ok = look(db, at, owner, &r, e);
	if (ok) {
		*notes = xcalloc(r.rows, sizeof **notes);
		ok = take(at, &r, *notes, n, e);
		if (!ok) {
			xfree(*notes);
			*notes = NULL;
			*n = 0;
		}
	}
	db_rows_release(&r);
	return ok;
}

void change_place_release(struct change_place *at)
{
	xfree(at->snapshot);
	*at = (struct change_place){0};
}

/* ---- Hints and the end ---- */

bool change_hint(struct db *db, struct err *e)
{
	return db_exec(db, NULL, e, "NOTIFY " CHANNEL);
}

bool change_listen(struct db *db, struct err *e)
{
	return db->ops->listen(db, CHANNEL, e);
}

/* Much older than what the last call left there can only be what was committed late. */
bool change_trim(struct db *db, int64_t before_ms, struct err *e)
{
	return db_exec(db, NULL, e, "DELETE FROM change WHERE at_ms < $1 AND at_ms >= $2",
		       db_i(before_ms), db_i(before_ms - LATE_MS)) &&
	       db_exec(db, NULL, e, "UPDATE change SET at_ms = $1 WHERE at_ms < $2",
		       db_i(before_ms), db_i(before_ms - LATE_MS));
}
