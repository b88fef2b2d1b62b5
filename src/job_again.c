/*
 * job_again - what people do to jobs that are there: try again, cancel, erase.
 */
#include "job.h"

#include "delivery.h"
#include "fleet.h"
#include "job_event.h"

/* ---- Trying again ---- */

static bool retry_case(struct db *db, const struct job_case *c, int64_t now_ms,
		       struct job_ticket *out, struct err *e)
{
	struct db_rows r;
	*out = (struct job_ticket){.job_id = c->job_id, .process_id = c->process_id};
	/* Nothing is asked again that was answered: the list only if this job never had it, or if
	 * there is none. */
	bool ok = db_exec(db, &r, e,
			  "UPDATE job SET state = 'pending', outcome = '', error = '',"
			  " finished_ms = NULL, run_at_ms = $1, ready_ms = $2,"
			  " relist = CASE WHEN total = 0 THEN 1 ELSE relist END WHERE id = $3",
			  db_i(now_ms), db_i(now_ms), db_i(c->job_id));
	db_rows_release(&r);
	ok = ok && db_exec(db, NULL, e,
			   "UPDATE job_webhook SET delivered_ms = 0 WHERE job_id = $1"
			   " AND delivered_ms <> 0",
			   db_i(c->job_id));
	return ok && job_reopen(db, c->process_id, c->job_id, e) &&
	       job_event(db, c->job_id, "job", "", "pending", now_ms, e);
}

bool job_retry(struct db *db, const char *number, int64_t now_ms, struct job_ticket *out,
	       struct err *e)
{
	struct job_case c;
	*out = (struct job_ticket){0};
	if (!job_case_read(db, number, &c, e))
		return false;
	if (c.active) {
		*out = (struct job_ticket){
			.job_id = c.job_id, .process_id = c.process_id, .adopted = true};
		return true;
	}
	if (!c.failed)
		return fail(e, ERR_ABSENT, "nothing to try again: %s",
			    c.process_id ? "the last job of this case did not fail"
					 : "this case is not known here");
	return retry_case(db, &c, now_ms, out, e);
}

bool job_retry_id(struct db *db, int64_t job_id, int64_t now_ms, struct job_ticket *out,
		  struct err *e)
{
	struct job_case c = {0};
	struct db_rows r;
	*out = (struct job_ticket){0};
	bool ok = db_exec(
		db, &r, e,
		"SELECT p.number FROM job j JOIN process p ON p.id = j.process_id WHERE j.id = $1",
		db_i(job_id));
	if (ok && r.rows == 0)
		ok = fail(e, ERR_ABSENT, "there is no job %lld", (long long)job_id);
	ok = ok && job_case_read(db, db_text(&r, 0, 0), &c, e);
	db_rows_release(&r);
	if (!ok)
		return false;
	if (c.job_id != job_id)
		return fail(e, ERR_BUSY, "this case has a later job, %lld", (long long)c.job_id);
	if (!c.failed)
		return fail(e, ERR_BUSY, "nothing to try again: this job did not fail");
	return retry_case(db, &c, now_ms, out, e);
}

/* ---- Giving up ---- */

static bool is_there(struct db *db, int64_t job_id, bool *yes, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT 1 FROM job WHERE id = $1", db_i(job_id));
	*yes = ok && r.rows;
	db_rows_release(&r);
	return ok;
}

/* The owner stays until it says that nothing of this job is in flight any more (job_let_go). */
bool job_cancel(struct db *db, int64_t job_id, int64_t now_ms, struct err *e)
{
	struct db_rows r;
	bool there = true;
	bool ok = db_exec(db, &r, e,
			  "UPDATE job SET state = 'cancelled', epoch = epoch + 1,"
			  " lease_until_ms = 0, finished_ms = $1, last_event = last_event + 1"
			  " WHERE id = $2 AND state IN ('pending', 'processing')"
			  " RETURNING process_id, last_event",
			  db_i(now_ms), db_i(job_id));
	if (ok && r.rows == 0)
		ok = is_there(db, job_id, &there, e) &&
		     (there ? fail(e, ERR_BUSY, "job %lld is over", (long long)job_id)
			    : fail(e, ERR_ABSENT, "there is no job %lld", (long long)job_id));
	ok = ok &&
	     db_exec(db, NULL, e,
		     "UPDATE document SET state = 'pending' WHERE process_id = $1"
		     " AND state = 'processing'",
		     db_i(db_int(&r, 0, 0))) &&
	     job_event_at(db, db_int(&r, 0, 0), job_id, db_int(&r, 0, 1), "done", "", "cancelled",
			  now_ms, e) &&
	     delivery_job_ended(db, job_id, now_ms, e);
	db_rows_release(&r);
	return ok;
}

/* ---- Erasing ---- */

/* Fails: with BUSY when the number is being erased, else with ABSENT. */
static bool fail_marked(struct db *db, const char *number, const char *busy, const char *absent,
			struct err *e)
{
	struct db_rows r;
	if (!db_exec(db, &r, e, "SELECT 1 FROM erasure WHERE number = $1", db_s(number)))
		return false;
	bool there = r.rows > 0;
	db_rows_release(&r);
	return fail(e, there ? ERR_BUSY : ERR_ABSENT, "%s", there ? busy : absent);
}

bool job_erase(struct db *db, const char *number, int64_t now_ms, struct err *e)
{
	struct db_rows r = {0};
	bool ok = db_exec(db, NULL, e, "SELECT 1 FROM process WHERE number = $1 %LOCK%",
			  db_s(number)) &&
		  db_exec(db, &r, e,
			  "SELECT p.id, (SELECT COUNT(*) FROM job j WHERE j.process_id = p.id"
			  "  AND (j.state IN ('pending', 'processing') OR j.owner <> ''))"
			  " FROM process p WHERE p.number = $1",
			  db_s(number));
	if (ok && r.rows == 0)
		ok = fail_marked(db, number, "this case is being erased",
				 "this case is not known here", e);
	if (ok && db_int(&r, 0, 1) > 0)
		ok = fail(e, ERR_BUSY, "this case is being worked on");
	int64_t process_id = ok ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	if (!ok || !db_exec(db, NULL, e, "DELETE FROM process WHERE id = $1", db_i(process_id)) ||
	    !db_exec(db, NULL, e, "INSERT INTO erasure (number, at_ms) VALUES ($1, $2)",
		     db_s(number), db_i(now_ms)))
		return false;
	db_note(db, (struct db_note){.kind = NOTE_CHANGED, .process_id = process_id});
	return true;
}

/*
 * That the case is not known must hold until the mark is seen by all: its row is made and removed,
 * so that whoever asks for it meanwhile waits for us, and we for him.
 */
bool job_erase_late(struct db *db, const char *number, struct err *e)
{
	struct db_rows r = {0};
	bool ok = db_exec(db, &r, e,
			  "INSERT INTO process (number, created_ms, updated_ms) VALUES ($1, 0, 0)"
			  " ON CONFLICT (number) DO NOTHING RETURNING id",
			  db_s(number));
	if (ok && r.rows)
		ok = db_exec(db, NULL, e, "DELETE FROM process WHERE id = $1",
			     db_i(db_int(&r, 0, 0))) &&
		     db_exec(db, NULL, e,
			     "INSERT INTO erasure (number, at_ms) VALUES ($1, 0)"
			     " ON CONFLICT (number) DO UPDATE SET at_ms = erasure.at_ms + 1",
			     db_s(number));
	db_rows_release(&r);
	return ok;
}

/* The mark is another one, or there is none. */
static bool not_ours(struct db *db, const char *number, struct err *e)
{
	return fail_marked(db, number, "another process erases this case",
			   "this case is erased already", e);
}

bool job_erasing(struct db *db, const char *number, int64_t mark, int64_t *next, struct err *e)
{
	struct db_rows r = {0};
	int64_t now;
	bool ok =
		fleet_now(db, &now, e) &&
		db_exec(db, &r, e,
			"UPDATE erasure SET at_ms = CASE WHEN $1 > at_ms THEN $1 ELSE at_ms + 1 END"
			" WHERE number = $2 AND at_ms = $3 RETURNING at_ms",
			db_i(now), db_s(number), db_i(mark));
	bool ours = ok && r.rows == 1;
	*next = ours ? db_int(&r, 0, 0) : mark;
	db_rows_release(&r);
	return ours || (ok && not_ours(db, number, e));
}

bool job_erased(struct db *db, const char *number, int64_t mark, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "DELETE FROM erasure WHERE number = $1 AND at_ms = $2",
			  db_s(number), db_i(mark));
	bool ours = ok && r.changed == 1;
	db_rows_release(&r);
	return ours || (ok && not_ours(db, number, e));
}

bool job_erasures(struct db *db, struct db_rows *out, struct err *e)
{
	return db_exec(db, out, e, "SELECT number, at_ms FROM erasure ORDER BY at_ms, number");
}
