/*
 * delivery - the outbox: messages that are to be sent, and sent again. Leasing and results are in
 * delivery_turn.c.
 */
#include "delivery.h"

#include "sys.h"
#include "webhook.h"
#include "webhook_secret.h"

#include <stdio.h>
#include <string.h>

enum { SWEEP_MAX = 500 };

/* ---- Targets ---- */

/* A known target is not touched: jobs that end at the same time never wait for each other here. */
static bool find_target(struct db *db, const char *url, int64_t now_ms, int64_t *id, struct err *e)
{
	char origin[WEBHOOK_ORIGIN_MAX];
	struct db_rows r;
	webhook_origin(url, origin);
	bool ok =
		db_exec(db, &r, e, "SELECT id FROM webhook_target WHERE origin = $1", db_s(origin));
	if (ok && r.rows == 0) {
		db_rows_release(&r);
		ok = db_exec(db, &r, e,
			     "INSERT INTO webhook_target (origin, due_ms, created_ms)"
			     " VALUES ($1, $2, $3) ON CONFLICT (origin) DO UPDATE"
			     " SET origin = excluded.origin RETURNING id",
			     db_s(origin), db_i(DELIVERY_NEVER), db_i(now_ms));
	}
	*id = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

/* ---- The outbox ---- */

struct ended {
	int64_t job_id, process_id, seq, total, available, failed, finished_ms;
	const char *state, *outcome, *error;
};

/* False: *e. Rows hold the strings. */
static bool read_end(struct db *db, int64_t job_id, struct ended *out, struct db_rows *r,
		     struct err *e)
{
	if (!db_exec(db, r, e,
		     "SELECT process_id, last_event, total, available, failed, finished_ms, state,"
		     " outcome, error FROM job WHERE id = $1",
		     db_i(job_id)))
		return false;
	if (r->rows == 0)
		return fail(e, ERR_ABSENT, "there is no job %lld", (long long)job_id);
	*out = (struct ended){.job_id = job_id,
			      .process_id = db_int(r, 0, 0),
			      .seq = db_int(r, 0, 1),
			      .total = db_int(r, 0, 2),
			      .available = db_int(r, 0, 3),
			      .failed = db_int(r, 0, 4),
			      .finished_ms = db_int(r, 0, 5),
			      .state = db_text(r, 0, 6),
			      .outcome = db_text(r, 0, 7),
			      .error = db_text(r, 0, 8)};
	return true;
}

static bool insert(struct db *db, const struct ended *j, const char *url, int64_t user_id,
		   int64_t thin, int64_t now_ms, struct err *e)
{
	char event_id[DELIVERY_EVENT_SIZE] = "msg_";
	int64_t target_id;
	sys_random_hex(event_id + 4, 32);
	return webhook_secret_ensure(db, user_id, now_ms, e) &&
	       find_target(db, url, now_ms, &target_id, e) &&
	       db_exec(db, NULL, e,
		       "INSERT INTO delivery (event_id, job_id, process_id, target_id, user_id, url,"
		       " thin, seq, job_state, outcome, job_error, total, available, failed,"
		       " finished_ms, state, lease_until_ms, round_ms, next_ms, created_ms) VALUES"
		       " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
		       " 'pending', -1, $16, $17, $18)",
		       db_s(event_id), db_i(j->job_id), db_i(j->process_id), db_i(target_id),
		       db_i(user_id), db_s(url), db_i(thin), db_i(j->seq), db_s(j->state),
		       db_s(j->outcome), db_s(j->error), db_i(j->total), db_i(j->available),
		       db_i(j->failed), db_i(j->finished_ms), db_i(now_ms), db_i(now_ms),
		       db_i(now_ms)) &&
	       db_exec(db, NULL, e,
		       "UPDATE job_webhook SET delivered_ms = 0 WHERE job_id = $1 AND url = $2"
		       " AND user_id = $3 AND delivered_ms <> 0",
		       db_i(j->job_id), db_s(url), db_i(user_id));
}

static void note(struct db *db, const struct ended *j)
{
	db_note(db, (struct db_note){NOTE_DELIVERY, j->process_id, j->job_id});
}

bool delivery_job_ended(struct db *db, int64_t job_id, int64_t now_ms, struct err *e)
{
	struct db_rows hooks, r = {0};
	struct ended j;
	bool ok = db_exec(db, &hooks, e,
			  "SELECT url, user_id, thin FROM job_webhook WHERE job_id = $1",
			  db_i(job_id));
	if (ok && hooks.rows) {
		ok = read_end(db, job_id, &j, &r, e);
		for (size_t i = 0; ok && i < hooks.rows; i++)
			ok = insert(db, &j, db_text(&hooks, i, 0), db_int(&hooks, i, 1),
				    db_int(&hooks, i, 2), now_ms, e);
		if (ok)
			note(db, &j);
	}
	db_rows_release(&r);
	db_rows_release(&hooks);
	return ok;
}

bool delivery_job_is_over(struct db *db, int64_t job_id, const char *url, int64_t user_id,
			  int64_t now_ms, struct err *e)
{
	struct db_rows w, r = {0};
	struct ended j;
	bool ok =
		db_exec(db, &w, e,
			"SELECT thin, (SELECT COUNT(*) FROM delivery d WHERE d.job_id = w.job_id"
			"  AND d.url = w.url AND d.user_id = w.user_id"
			"  AND d.state IN ('pending', 'delivering'))"
			" FROM job_webhook w WHERE w.job_id = $1 AND w.url = $2 AND w.user_id = $3",
			db_i(job_id), db_s(url), db_i(user_id));
	if (ok && w.rows && db_int(&w, 0, 1) == 0) {
		ok = read_end(db, job_id, &j, &r, e) &&
		     insert(db, &j, url, user_id, db_int(&w, 0, 0), now_ms, e);
		if (ok)
			note(db, &j);
	}
	db_rows_release(&r);
	db_rows_release(&w);
	return ok;
}

bool delivery_forget_user(struct db *db, int64_t user_id, int64_t now_ms, struct err *e)
{
	return db_exec(db, NULL, e, "DELETE FROM job_webhook WHERE user_id = $1", db_i(user_id)) &&
	       db_exec(db, NULL, e,
		       "UPDATE delivery SET state = 'cancelled', epoch = epoch + 1, owner = '',"
		       " lease_until_ms = 0, error = 'the user is gone or not active', ended_ms = $1"
		       " WHERE user_id = $2 AND state IN ('pending', 'delivering')",
		       db_i(now_ms), db_i(user_id));
}

/* ---- Sending again ---- */

/* As a new one: the turn that finds it ends the pause of its target. */
static bool set_going(struct db *db, int64_t id, int64_t now_ms, struct err *e)
{
	return db_exec(
		db, NULL, e,
		"UPDATE delivery SET state = 'pending', manual = 1, tries = 0, round_ms = $1,"
		" next_ms = $2, ended_ms = 0, lease_until_ms = -1 WHERE id = $3",
		db_i(now_ms), db_i(now_ms), db_i(id));
}

bool delivery_again(struct db *db, const char *event_id, int64_t user_id, int64_t now_ms,
		    struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT id, state, process_id, job_id, user_id FROM delivery"
			  " WHERE event_id = $1 %LOCK%",
			  db_s(event_id));
	if (ok && (r.rows == 0 || (user_id >= 0 && db_int(&r, 0, 4) != user_id)))
		ok = fail(e, ERR_ABSENT, "there is no such delivery");
	if (ok && strcmp(db_text(&r, 0, 1), "delivering") == 0)
		ok = fail(e, ERR_BUSY, "it is being sent at this moment");
	ok = ok && set_going(db, db_int(&r, 0, 0), now_ms, e);
	if (ok)
		db_note(db, (struct db_note){NOTE_DELIVERY, db_int(&r, 0, 2), db_int(&r, 0, 3)});
	db_rows_release(&r);
	return ok;
}

bool delivery_failed_again(struct db *db, int64_t since_ms, int64_t user_id, int64_t limit,
			   int64_t now_ms, size_t *n, struct err *e)
{
	struct db_rows r;
	*n = 0;
	bool ok = db_exec(db, &r, e,
			  "SELECT id, process_id, job_id FROM delivery"
			  " WHERE state = 'failed' AND ended_ms >= $1"
			  " AND (CAST($2 AS BIGINT) < 0 OR user_id = $3)"
			  " ORDER BY ended_ms, id LIMIT $4 %LOCK%",
			  db_i(since_ms), db_i(user_id), db_i(user_id), db_i(limit));
	for (size_t i = 0; ok && i < r.rows; i++) {
		ok = set_going(db, db_int(&r, i, 0), now_ms, e);
		db_note(db, (struct db_note){NOTE_DELIVERY, db_int(&r, i, 1), db_int(&r, i, 2)});
	}
	*n = ok ? r.rows : 0;
	db_rows_release(&r);
	return ok;
}

/* ---- Housekeeping ---- */

/* A target that had all leases it may have is due again when one of them comes back. Those of a
 * user or a case that is gone never do. Hosts are walked over here, and no queue. */
static bool free_targets(struct db *db, int64_t now_ms, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT id FROM webhook_target t WHERE due_ms = 9223372036854775807"
			  " AND (SELECT MIN(d.next_ms) FROM delivery d WHERE d.target_id = t.id"
			  "  AND d.state = 'pending') IS NOT NULL"
			  " AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.target_id = t.id"
			  "  AND d.state = 'delivering')"
			  " ORDER BY id LIMIT $1 %SKIP_LOCKED%",
			  db_i(SWEEP_MAX));
	for (size_t i = 0; ok && i < r.rows; i++)
		ok = db_exec(db, NULL, e, "UPDATE webhook_target SET due_ms = $1 WHERE id = $2",
			     db_i(now_ms), db_i(db_int(&r, i, 0)));
	db_rows_release(&r);
	return ok;
}

/* What was made later than now, before the clock was put back: it is made now, as a new one. */
static bool bring_forward(struct db *db, int64_t now_ms, size_t *n, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT id FROM delivery WHERE state = 'pending' AND round_ms > $1"
			  " AND tries = 0 ORDER BY round_ms LIMIT $2 %SKIP_LOCKED%",
			  db_i(now_ms), db_i(SWEEP_MAX));
	for (size_t i = 0; ok && i < r.rows; i++)
		ok = db_exec(db, NULL, e,
			     "UPDATE delivery SET round_ms = $1, next_ms = $2, lease_until_ms = -1"
			     " WHERE id = $3",
			     db_i(now_ms), db_i(now_ms), db_i(db_int(&r, i, 0)));
	*n += ok ? r.rows : 0;
	db_rows_release(&r);
	return ok;
}

bool delivery_sweep(struct db *db, int64_t given_up_ms, int64_t kept_ms, int64_t now_ms, size_t *n,
		    struct err *e)
{
	struct db_rows r = {0}, old = {0};
	*n = 0;
	bool ok = db_exec(db, &r, e,
			  "SELECT id FROM delivery d WHERE state = 'pending' AND round_ms < $1"
			  " AND (SELECT paused_until_ms FROM webhook_target t"
			  "  WHERE t.id = d.target_id) > $2"
			  " ORDER BY round_ms LIMIT $3 %SKIP_LOCKED%",
			  db_i(given_up_ms), db_i(now_ms), db_i(SWEEP_MAX));
	for (size_t i = 0; ok && i < r.rows; i++)
		ok = db_exec(
			db, NULL, e,
			"UPDATE delivery SET state = 'failed', ended_ms = $1, lease_until_ms = 0,"
			" error = 'its target did not answer for too long' WHERE id = $2",
			db_i(now_ms), db_i(db_int(&r, i, 0)));
	ok = ok && db_exec(db, &old, e,
			   "SELECT id FROM delivery WHERE ended_ms > 0 AND ended_ms < $1"
			   " ORDER BY ended_ms LIMIT $2 %SKIP_LOCKED%",
			   db_i(kept_ms), db_i(SWEEP_MAX));
	for (size_t i = 0; ok && i < old.rows; i++)
		ok = db_exec(db, NULL, e, "DELETE FROM delivery WHERE id = $1",
			     db_i(db_int(&old, i, 0)));
	*n = ok ? r.rows + old.rows : 0;
	db_rows_release(&old);
	db_rows_release(&r);
	return ok && bring_forward(db, now_ms, n, e) && free_targets(db, now_ms, e);
}
