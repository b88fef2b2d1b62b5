/*
 * delivery_read - see delivery_read.h. Changes nothing.
 */
#include "delivery_read.h"

#include "sys.h"

#define DELIVERY                                                                                   \
	"SELECT d.id, d.event_id, p.number, d.url, d.state, d.class, d.error, d.job_id,"           \
	" d.user_id, d.attempts, d.thin, d.created_ms, d.next_ms, d.ended_ms"                      \
	" FROM delivery d JOIN process p ON p.id = d.process_id WHERE "
#define NEWEST(limit) " ORDER BY d.id DESC LIMIT " limit
#define OF_STATE(a, b) " AND (CAST(" a " AS TEXT) IS NULL OR d.state = " b ")"

static void fill(struct delivery_list *l)
{
	const struct db_rows *r = &l->cells;
	l->rows = xcalloc(r->rows, sizeof *l->rows);
	l->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		l->rows[i] = (struct delivery_row){.id = db_int(r, i, 0),
						   .event_id = db_text(r, i, 1),
						   .number = db_text(r, i, 2),
						   .url = db_text(r, i, 3),
						   .state = db_text(r, i, 4),
						   .class = db_text(r, i, 5),
						   .error = db_text(r, i, 6),
						   .job_id = db_int(r, i, 7),
						   .user_id = db_int(r, i, 8),
						   .attempts = db_int(r, i, 9),
						   .thin = db_int(r, i, 10) != 0,
						   .created_ms = db_int(r, i, 11),
						   .next_ms = db_int(r, i, 12),
						   .ended_ms = db_int(r, i, 13)};
}

static bool read(struct db *db, const struct delivery_filter *f, struct db_rows *r, struct err *e)
{
	struct db_value below = db_i(f->below_id ? f->below_id : INT64_MAX), limit = db_i(f->limit);
	struct db_value state = db_s(f->state), user = db_i(f->user_id);
	if (f->job_id)
		return db_exec(db, r, e,
			       DELIVERY "d.job_id = $1 AND d.id < $2"
					" AND (CAST($3 AS BIGINT) < 0 OR d.user_id = $4)" OF_STATE(
						"$5", "$6") NEWEST("$7"),
			       db_i(f->job_id), below, user, user, state, state, limit);
	if (f->user_id >= 0)
		return db_exec(db, r, e,
			       DELIVERY "d.user_id = $1 AND d.id < $2" OF_STATE("$3", "$4")
				       NEWEST("$5"),
			       user, below, state, state, limit);
	if (f->state)
		return db_exec(db, r, e, DELIVERY "d.state = $1 AND d.id < $2" NEWEST("$3"), state,
			       below, limit);
	return db_exec(db, r, e, DELIVERY "d.id < $1" NEWEST("$2"), below, limit);
}

bool delivery_list(struct db *db, const struct delivery_filter *f, struct delivery_list *out,
		   struct err *e)
{
	*out = (struct delivery_list){0};
	if (!read(db, f, &out->cells, e))
		return false;
	fill(out);
	return true;
}

bool delivery_one(struct db *db, const char *event_id, int64_t user_id, struct delivery_list *out,
		  struct err *e)
{
	*out = (struct delivery_list){0};
	if (!db_exec(db, &out->cells, e, DELIVERY "d.event_id = $1", db_s(event_id)))
		return false;
	fill(out);
	return (out->n && (user_id < 0 || out->rows[0].user_id == user_id)) ||
	       fail(e, ERR_ABSENT, "there is no such delivery");
}

void delivery_list_release(struct delivery_list *l)
{
	db_rows_release(&l->cells);
	xfree(l->rows);
	*l = (struct delivery_list){0};
}

bool delivery_attempts(struct db *db, int64_t delivery_id, struct attempt_list *out, struct err *e)
{
	struct db_rows *r = &out->cells;
	*out = (struct attempt_list){0};
	if (!db_exec(db, r, e,
		     "SELECT n, at_ms, duration_ms, status, next_ms, manual, address, class, error,"
		     " answer, why FROM delivery_attempt WHERE delivery_id = $1"
		     " AND n > (SELECT attempts FROM delivery WHERE id = $2) - 100 ORDER BY n",
		     db_i(delivery_id), db_i(delivery_id)))
		return false;
	out->rows = xcalloc(r->rows, sizeof *out->rows);
	out->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		out->rows[i] = (struct attempt_row){.n = db_int(r, i, 0),
						    .at_ms = db_int(r, i, 1),
						    .duration_ms = db_int(r, i, 2),
						    .status = db_int(r, i, 3),
						    .next_ms = db_int(r, i, 4),
						    .manual = db_int(r, i, 5) != 0,
						    .address = db_text(r, i, 6),
						    .class = db_text(r, i, 7),
						    .error = db_text(r, i, 8),
						    .answer = db_text(r, i, 9),
						    .why = db_text(r, i, 10)};
	return true;
}

void attempt_list_release(struct attempt_list *l)
{
	db_rows_release(&l->cells);
	xfree(l->rows);
	*l = (struct attempt_list){0};
}
