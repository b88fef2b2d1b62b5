/*
 * job_batch - many numbers asked for at once, and the list of them written down.
 */
#include "job.h"

#include "job_event.h"

static bool insert_batch(struct db *db, int64_t user_id, int64_t now_ms, int64_t *id, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "INSERT INTO batch (user_id, created_ms) VALUES ($1, $2) RETURNING id",
			  db_i(user_id), db_i(now_ms));
	*id = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

bool job_request_batch(struct db *db, const struct job_ask *ask, int64_t max_age_ms,
		       int64_t user_id, struct batch_entry *entries, size_t n, int64_t *batch_id,
		       struct err *e)
{
	*batch_id = 0;
	if (n == 0)
		return true;
	if (!insert_batch(db, user_id, ask->now_ms, batch_id, e))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct batch_entry *b = &entries[i];
		struct job_ask one = *ask;
		one.number = b->number;
		if (!job_ensure(db, &one, max_age_ms, &b->ticket, e) ||
		    !db_exec(db, NULL, e,
			     "INSERT INTO batch_item (batch_id, position, number, job_id)"
			     " VALUES ($1, $2, $3, $4)",
			     db_i(*batch_id), db_i((int64_t)i + 1), db_s(b->number),
			     db_i(b->ticket.idle ? 0 : b->ticket.job_id)))
			return false;
	}
	return true;
}
