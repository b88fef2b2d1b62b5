/*
 * query_jobs - lists of jobs and events, batches, and sums over all of it.
 */
#include "query_list.h"

#include "sys.h"

/* ---- Jobs ---- */

#define JOB                                                                                        \
	"SELECT j.id, j.process_id, p.number, j.state, j.outcome, j.error, j.scope, j.priority,"   \
	" j.epoch, j.last_event, j.total, j.available, j.failed, j.created_ms, j.started_ms,"      \
	" j.finished_ms, (SELECT url FROM job_webhook w WHERE w.job_id = j.id"                     \
	"  ORDER BY created_ms, url, user_id LIMIT 1), j.request_id"                               \
	" FROM job j JOIN process p ON p.id = j.process_id WHERE "
#define NEWEST(limit, skip) " ORDER BY j.id DESC LIMIT " limit " OFFSET " skip
#define OF_CASE(number) " AND j.process_id = (SELECT id FROM process WHERE number = " number ")"

static void fill_jobs(struct job_list *l)
{
	const struct db_rows *r = &l->rows;
	l->jobs = xcalloc(r->rows, sizeof *l->jobs);
	l->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		l->jobs[i] = (struct job_row){.id = db_int(r, i, 0),
					      .process_id = db_int(r, i, 1),
					      .number = db_text(r, i, 2),
					      .state = db_text(r, i, 3),
					      .outcome = db_text(r, i, 4),
					      .error = db_text(r, i, 5),
					      .scope = db_text(r, i, 6),
					      .priority = db_int(r, i, 7),
					      .epoch = db_int(r, i, 8),
					      .last_event = db_int(r, i, 9),
					      .total = db_int(r, i, 10),
					      .available = db_int(r, i, 11),
					      .failed = db_int(r, i, 12),
					      .created_ms = db_int(r, i, 13),
					      .started_ms = db_int(r, i, 14),
					      .finished_ms = db_int(r, i, 15),
					      .webhook_url = db_text(r, i, 16),
					      .request_id = db_text(r, i, 17)};
}

static bool read_jobs(struct db *db, const struct job_filter *f, struct db_rows *r, struct err *e)
{
	struct db_value below = db_i(f->below_id ? f->below_id : INT64_MAX), limit = db_i(f->limit),
			skip = db_i(f->skip);
	if (f->state && f->number)
		return db_exec(db, r, e,
			       JOB "j.id < $1 AND j.state = $2" OF_CASE("$3") NEWEST("$4", "$5"),
			       below, db_s(f->state), db_s(f->number), limit, skip);
	if (f->state)
		return db_exec(db, r, e, JOB "j.id < $1 AND j.state = $2" NEWEST("$3", "$4"), below,
			       db_s(f->state), limit, skip);
	if (f->number)
		return db_exec(db, r, e, JOB "j.id < $1" OF_CASE("$2") NEWEST("$3", "$4"), below,
			       db_s(f->number), limit, skip);
	return db_exec(db, r, e, JOB "j.id < $1" NEWEST("$2", "$3"), below, limit, skip);
}

bool query_jobs(struct db *db, const struct job_filter *f, struct job_list *out, struct err *e)
{
	*out = (struct job_list){0};
	if (!read_jobs(db, f, &out->rows, e))
		return false;
	fill_jobs(out);
	return true;
}

bool query_job(struct db *db, int64_t id, struct job_list *out, struct err *e)
{
	*out = (struct job_list){0};
	if (!db_exec(db, &out->rows, e, JOB "j.id = $1", db_i(id)))
		return false;
	if (out->rows.rows == 0)
		return fail(e, ERR_ABSENT, "there is no job %lld", (long long)id);
	fill_jobs(out);
	return true;
}

void job_list_release(struct job_list *l)
{
	db_rows_release(&l->rows);
	xfree(l->jobs);
	*l = (struct job_list){0};
}

/* ---- Events ---- */

bool query_events(struct db *db, int64_t job_id, int64_t after, int64_t limit,
		  struct event_list *out, struct err *e)
{
	struct db_rows *r = &out->rows;
	*out = (struct event_list){0};
	if (!db_exec(db, r, e,
		     "SELECT seq, at_ms, kind, subject, state FROM event"
		     " WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
		     db_i(job_id), db_i(after), db_i(limit)))
		return false;
	out->events = xcalloc(r->rows, sizeof *out->events);
	out->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		out->events[i] = (struct event_row){.seq = db_int(r, i, 0),
						    .at_ms = db_int(r, i, 1),
						    .kind = db_text(r, i, 2),
						    .subject = db_text(r, i, 3),
						    .state = db_text(r, i, 4)};
	return true;
}

void event_list_release(struct event_list *l)
{
	db_rows_release(&l->rows);
	xfree(l->events);
	*l = (struct event_list){0};
}

/* ---- Batches ---- */

static bool read_batch(struct db *db, int64_t id, struct batch_list *out, struct err *e)
{
	struct db_rows *r = out->rows;
	if (!db_exec(db, &r[0], e, "SELECT id, created_ms FROM batch WHERE id = $1", db_i(id)))
		return false;
	if (r[0].rows == 0)
		return fail(e, ERR_ABSENT, "there is no batch %lld", (long long)id);
	/* The counts of a case are those of its latest job. */
	return db_exec(
		db, &r[1], e,
		"SELECT i.position, i.number, j.id, j.state, j.outcome, j.error, p.consulted_ms,"
		" l.total, l.available, l.failed FROM batch_item i"
		" LEFT JOIN job j ON j.id = i.job_id"
		" LEFT JOIN process p ON p.number = i.number"
		" LEFT JOIN job l ON l.id = (SELECT MAX(id) FROM job WHERE process_id = p.id)"
		" WHERE i.batch_id = $1 ORDER BY i.position",
		db_i(id));
}

bool query_batch(struct db *db, int64_t id, struct batch_list *out, struct err *e)
{
	*out = (struct batch_list){0};
	if (!read_batch(db, id, out, e))
		return false;
	const struct db_rows *r = &out->rows[1];
	out->id = id;
	out->created_ms = db_int(&out->rows[0], 0, 1);
	out->items = xcalloc(r->rows, sizeof *out->items);
	out->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		out->items[i] = (struct batch_row){.position = db_int(r, i, 0),
						   .number = db_text(r, i, 1),
						   .job_id = db_int(r, i, 2),
						   .job_state = db_text(r, i, 3),
						   .outcome = db_text(r, i, 4),
						   .error = db_text(r, i, 5),
						   .consulted = !db_is_null(r, i, 6),
						   .documents = db_int(r, i, 7),
						   .available = db_int(r, i, 8),
						   .failed = db_int(r, i, 9)};
	return true;
}

void batch_list_release(struct batch_list *l)
{
	for (size_t i = 0; i < sizeof l->rows / sizeof *l->rows; i++)
		db_rows_release(&l->rows[i]);
	xfree(l->items);
	*l = (struct batch_list){0};
}

/* ---- Sums ---- */

bool query_sums(struct db *db, struct queue_sums *out, struct err *e)
{
	struct db_rows r;
	*out = (struct queue_sums){0};
	bool ok = db_exec(db, &r, e,
			  "SELECT (SELECT COUNT(*) FROM job WHERE state = 'pending'),"
			  " (SELECT COUNT(*) FROM job WHERE state = 'processing'),"
			  " (SELECT MIN(run_at_ms) FROM job WHERE state = 'pending'),"
			  " (SELECT MAX(id) FROM process), (SELECT COUNT(*) FROM app_user),"
			  " (SELECT COUNT(*) FROM delivery WHERE state = 'pending'),"
			  " (SELECT MIN(round_ms) FROM delivery WHERE state = 'pending'),"
			  " (SELECT COUNT(*) FROM webhook_target WHERE paused_until_ms > 0)");
	if (ok)
		*out = (struct queue_sums){.pending = db_int(&r, 0, 0),
					   .processing = db_int(&r, 0, 1),
					   .oldest_ready_ms = db_int(&r, 0, 2),
					   .cases = db_int(&r, 0, 3),
					   .users = db_int(&r, 0, 4),
					   .deliveries = db_int(&r, 0, 5),
					   .oldest_delivery_ms = db_int(&r, 0, 6),
					   .paused_targets = db_int(&r, 0, 7)};
	db_rows_release(&r);
	return ok;
}
