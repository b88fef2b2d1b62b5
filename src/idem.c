/*
 * idem - one row for each key of a user; status 0 while its request is being answered.
 */
#include "idem.h"

#include "sys.h"

#include <string.h>

static bool insert(struct db *db, int64_t user_id, const char *key, const char *fingerprint,
		   int64_t now_ms, bool *inserted, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "INSERT INTO idempotency (user_id, idem_key, fingerprint, created_ms)"
			  " VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, idem_key) DO NOTHING",
			  db_i(user_id), db_s(key), db_s(fingerprint), db_i(now_ms));
	*inserted = ok && r.changed == 1;
	db_rows_release(&r);
	return ok;
}

static void fill(struct idem_answer *a, const struct db_rows *r)
{
	a->status = (int)db_int(r, 0, 1);
	a->location = db_is_null(r, 0, 2) ? NULL : xstrdup(db_text(r, 0, 2));
	a->body = xstrdup(db_text(r, 0, 3));
}

bool idem_begin(struct db *db, int64_t user_id, const char *key, const char fingerprint[static 65],
		int64_t now_ms, enum idem_found *found, struct idem_answer *answer, struct err *e)
{
	struct db_rows r = {0};
	bool inserted;
	*answer = (struct idem_answer){0};
	*found = IDEM_NEW;
	if (!db_exec(db, NULL, e,
		     "DELETE FROM idempotency WHERE user_id = $1 AND idem_key = $2"
		     " AND (created_ms <= $3 OR (status = 0 AND created_ms <= $4))",
		     db_i(user_id), db_s(key), db_i(now_ms - IDEM_KEPT_MS),
		     db_i(now_ms - IDEM_RUNS_MS)) ||
	    !insert(db, user_id, key, fingerprint, now_ms, &inserted, e))
		return false;
	if (inserted)
		return true;
	bool ok = db_exec(db, &r, e,
			  "SELECT fingerprint, status, location, body FROM idempotency"
			  " WHERE user_id = $1 AND idem_key = $2",
			  db_i(user_id), db_s(key));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_FAIL, "an idempotency key vanished");
	if (ok && strcmp(db_text(&r, 0, 0), fingerprint) != 0) {
		*found = IDEM_OTHER;
	} else if (ok && db_int(&r, 0, 1) == 0) {
		*found = IDEM_RUNNING;
	} else if (ok) {
		*found = IDEM_DONE;
		fill(answer, &r);
	}
	db_rows_release(&r);
	return ok;
}

bool idem_end(struct db *db, int64_t user_id, const char *key, int status, const char *location,
	      const char *body, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE idempotency SET status = $1, location = $2, body = $3"
		       " WHERE user_id = $4 AND idem_key = $5",
		       db_i(status), db_s(location), db_s(body ? body : ""), db_i(user_id),
		       db_s(key));
}

bool idem_drop(struct db *db, int64_t user_id, const char *key, struct err *e)
{
	return db_exec(db, NULL, e,
		       "DELETE FROM idempotency WHERE user_id = $1 AND idem_key = $2"
		       " AND status = 0",
		       db_i(user_id), db_s(key));
}

bool idem_drop_running(struct db *db, struct err *e)
{
	return db_exec(db, NULL, e, "DELETE FROM idempotency WHERE status = 0");
}

bool idem_sweep(struct db *db, int64_t now_ms, struct err *e)
{
	return db_exec(db, NULL, e, "DELETE FROM idempotency WHERE created_ms <= $1",
		       db_i(now_ms - IDEM_KEPT_MS));
}

void idem_answer_release(struct idem_answer *a)
{
	xfree(a->location);
	xfree(a->body);
	*a = (struct idem_answer){0};
}
