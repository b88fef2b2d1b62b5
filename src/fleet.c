/*
 * fleet - rows of node and leader, and what the server tells of its sessions.
 */
#include "fleet.h"

#include "sys.h"

#include <stdio.h>
#include <string.h>

/* Whoever asks what became of a commit asks for seconds; clocks may differ by hours. */
#define MARKS_KEPT_MS (INT64_C(24) * 3600 * 1000)

bool fleet_now(struct db *db, int64_t *now_ms, struct err *e)
{
	struct db_rows r;
	if (db->ops->exclusive) {
		*now_ms = sys_wall_ms();
		return true;
	}
	bool ok = db_exec(db, &r, e, "SELECT " FLEET_CLOCK);
	*now_ms = ok ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

/* ---- Who runs ---- */

bool fleet_beat(struct db *db, const char *owner, const char *role, int64_t now_ms,
		int64_t until_ms, struct err *e)
{
	return db_exec(
		db, NULL, e,
		"INSERT INTO node (owner, role, started_ms, until_ms) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (owner) DO UPDATE SET until_ms = excluded.until_ms",
		db_s(owner), db_s(role), db_i(now_ms), db_i(until_ms));
}

bool fleet_leave(struct db *db, const char *owner, struct err *e)
{
	return db_exec(db, NULL, e, "DELETE FROM quota_share WHERE owner = $1", db_s(owner)) &&
	       db_exec(db, NULL, e, "DELETE FROM leader WHERE owner = $1", db_s(owner)) &&
	       db_exec(db, NULL, e, "DELETE FROM node WHERE owner = $1", db_s(owner));
}

bool fleet_living(struct db *db, int64_t *n, struct err *e)
{
	struct db_rows r = {0};
	int64_t now;
	bool ok = fleet_now(db, &now, e) &&
		  db_exec(db, &r, e, "SELECT COUNT(*) FROM node WHERE until_ms > $1", db_i(now));
	*n = ok ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

bool fleet_lead(struct db *db, const char *office, const char *owner, int64_t now_ms,
		int64_t until_ms, bool *led, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "INSERT INTO leader (name, owner, until_ms) VALUES ($1, $2, $3)"
			  " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner,"
			  " until_ms = excluded.until_ms"
			  " WHERE leader.owner = excluded.owner OR leader.until_ms <= $4",
			  db_s(office), db_s(owner), db_i(until_ms), db_i(now_ms));
	*led = ok && r.changed == 1;
	db_rows_release(&r);
	return ok;
}

bool fleet_sweep(struct db *db, int64_t now_ms, struct err *e)
{
	/* A worker that died while bytes of a cancelled job were in flight will never say that they
	 * are not any more. */
	return db_exec(db, NULL, e,
		       "UPDATE job SET owner = '' WHERE owner <> '' AND state <> 'processing'"
		       " AND NOT EXISTS (SELECT 1 FROM node n WHERE n.owner = job.owner"
		       "  AND n.until_ms > $1)",
		       db_i(now_ms)) &&
	       db_exec(db, NULL, e, "DELETE FROM node WHERE until_ms <= $1",
		       db_i(now_ms - 60000)) &&
	       db_exec(db, NULL, e, "DELETE FROM quota_share WHERE until_ms <= $1",
		       db_i(now_ms - 60000)) &&
	       db_exec(db, NULL, e, "DELETE FROM commit_mark WHERE at_ms <= $1",
		       db_i(now_ms - MARKS_KEPT_MS));
}

bool fleet_erasures(struct db *db, int64_t before_ms, struct db_rows *out, struct err *e)
{
	return db_exec(db, out, e,
		       "SELECT number, at_ms FROM erasure WHERE at_ms < $1 ORDER BY at_ms",
		       db_i(before_ms));
}

/* ---- Sessions ---- */

bool fleet_session(struct db *db, int64_t *pid, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT pg_backend_pid()");
	*pid = ok ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

bool fleet_cancel_vacuum(struct db *db, int64_t pid, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1"
			  " AND usename = current_user AND state = 'active'"
			  " AND query LIKE 'VACUUM %'",
			  db_i(pid));
	db_rows_release(&r);
	return ok;
}

/* ---- Health ---- */

/* Whatever holds a snapshot. Those of other databases hold up none of our tables; slots and
 * standbys belong to no database and hold up all. */
#define HOLDERS                                                                                    \
	"SELECT 'session' AS kind, pid || ' ' || COALESCE(CAST(xact_start AS TEXT), '') AS who,"   \
	" COALESCE('session ' || application_name || ' (' || state || ', pid ' || pid"             \
	" || ')', 'session of another user') AS holder, age(backend_xmin) AS old,"                 \
	" COALESCE(CAST(EXTRACT(EPOCH FROM clock_timestamp() - xact_start) AS BIGINT), 0)"         \
	" AS seconds FROM pg_stat_activity"                                                        \
	" WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"                              \
	" AND datname = current_database()"                                                        \
	" AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)"                                \
	" UNION ALL SELECT 'prepared', gid, 'prepared transaction ' || gid, age(transaction),"     \
	" CAST(EXTRACT(EPOCH FROM clock_timestamp() - prepared) AS BIGINT)"                        \
	" FROM pg_prepared_xacts WHERE database = current_database()"                              \
	" UNION ALL SELECT 'slot', slot_name, 'replication slot ' || slot_name, age(xmin), 0"      \
	" FROM pg_replication_slots WHERE xmin IS NOT NULL"                                        \
	" UNION ALL SELECT 'standby', CAST(pid AS TEXT), 'standby ' || application_name,"          \
	" age(backend_xmin), 0 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL"

bool fleet_health(struct db *db, struct fleet_health *out, struct err *e)
{
	struct db_rows dead, old = {0};
	*out = (struct fleet_health){0};
	bool ok = db_exec(db, &dead, e,
			  "SELECT COALESCE(SUM(n_dead_tup), 0) FROM pg_stat_user_tables"
			  " WHERE schemaname = current_schema()") &&
		  db_exec(db, &old, e,
			  "SELECT kind, CAST(who AS TEXT), holder, old, seconds FROM (" HOLDERS
			  ") AS h ORDER BY old DESC, seconds DESC, kind, who LIMIT 1");
	if (ok)
		out->dead_rows = db_int(&dead, 0, 0);
	if (ok && old.rows) {
		snprintf(out->kind, sizeof out->kind, "%s", db_text(&old, 0, 0));
		snprintf(out->who, sizeof out->who, "%s %s", out->kind, db_text(&old, 0, 1));
		snprintf(out->holder, sizeof out->holder, "%s", db_text(&old, 0, 2));
		out->oldest_xmin = db_int(&old, 0, 3);
		out->oldest_s = db_int(&old, 0, 4);
	}
	db_rows_release(&dead);
	db_rows_release(&old);
	return ok;
}

void fleet_watch(struct fleet_holder *at, struct fleet_health *h, int64_t now_ms)
{
	if (!at->since_ms || strcmp(at->who, h->who) != 0) {
		snprintf(at->who, sizeof at->who, "%s", h->who);
		at->since_ms = now_ms;
	}
	int64_t seen_s = (now_ms - at->since_ms) / 1000;
	if (*h->who && h->oldest_s < seen_s)
		h->oldest_s = seen_s;
}
