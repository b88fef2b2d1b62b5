/*
 * query_list - lists of cases. Each order has statements of its own that walk one index, so that a
 * page costs the same in a list of a million. Jobs, events, batches and sums are in query_jobs.c.
 */
#include "query_list.h"

#include "sys.h"

/* ---- Statements ---- */

#define ROW                                                                                        \
	"SELECT p.id, p.number, p.court, p.subject, p.class_name, p.created_ms, p.updated_ms,"     \
	" p.consulted_ms, p.documents, j.available, j.id, j.state, j.outcome FROM "
#define LATEST_JOB " p LEFT JOIN job j ON j.id = (SELECT MAX(id) FROM job WHERE process_id = p.id)"

/* The page is cut before its jobs are looked up. $1: has_documents. */
#define HEAD ROW "(SELECT p.* FROM process p WHERE ($1 < 0 OR (p.documents > 0) = ($1 = 1))"
#define TAIL(key, dir, limit, skip)                                                                \
	" ORDER BY " key " " dir ", p.id " dir " LIMIT " limit " OFFSET " skip ")" LATEST_JOB      \
	" ORDER BY " key " " dir ", p.id " dir
#define OF_COURT " AND LOWER(p.court) = LOWER($2) AND p.court <> ''"
#define AFTER(key, cmp, value, id) " AND (" key ", p.id) " cmp " (" value ", " id ")"

#define AS_IS(x) x
#define LOWERED(x) "LOWER(" x ")"

/* [with a court][with a cursor]; `form` is what the cursor's value goes through. */
#define SHAPES(key, form, dir, cmp)                                                                \
	{                                                                                          \
		{HEAD TAIL(key, dir, "$2", "$3"),                                                  \
		 HEAD AFTER(key, cmp, form("$2"), "$3") TAIL(key, dir, "$4", "$5")},               \
		{                                                                                  \
			HEAD OF_COURT TAIL(key, dir, "$3", "$4"),                                  \
				HEAD OF_COURT AFTER(key, cmp, form("$3"), "$4")                    \
					TAIL(key, dir, "$5", "$6")                                 \
		}                                                                                  \
	}
#define ORDER(key, form)                                                                           \
	{                                                                                          \
		SHAPES(key, form, "DESC", "<"), SHAPES(key, form, "ASC", ">")                      \
	}

/* [sort][ascending][with a court][with a cursor]. Ids are given in the order of creation. */
static const char *const statements[][2][2][2] = {
	[SORT_UPDATED] = ORDER("p.updated_ms", AS_IS),
	[SORT_CREATED] = ORDER("p.id", AS_IS),
	[SORT_CONSULTED] = ORDER("COALESCE(p.consulted_ms, 0)", AS_IS),
	[SORT_NUMBER] = ORDER("p.number", AS_IS),
	[SORT_COURT] = ORDER("LOWER(p.court)", LOWERED),
};

/* ---- Cases ---- */

static void fill_cases(struct case_list *l)
{
	const struct db_rows *r = &l->rows;
	l->cases = xcalloc(r->rows, sizeof *l->cases);
	l->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		l->cases[i] = (struct case_row){.id = db_int(r, i, 0),
						.number = db_text(r, i, 1),
						.court = db_text(r, i, 2),
						.subject = db_text(r, i, 3),
						.class_name = db_text(r, i, 4),
						.created_ms = db_int(r, i, 5),
						.updated_ms = db_int(r, i, 6),
						.consulted_ms = db_int(r, i, 7),
						.documents = db_int(r, i, 8),
						.available = db_int(r, i, 9),
						.job_id = db_int(r, i, 10),
						.job_state = db_text(r, i, 11),
						.outcome = db_text(r, i, 12)};
}

static struct db_value cursor_value(const struct case_filter *f, enum case_sort sort)
{
	switch (sort) {
	case SORT_UPDATED:
	case SORT_CONSULTED:
		return db_i(f->after_ms);
	case SORT_CREATED:
		return db_i(f->after_id);
	case SORT_NUMBER:
	case SORT_COURT:
		break;
	}
	return db_s(f->after_text ? f->after_text : "");
}

bool query_cases(struct db *db, const struct case_filter *f, struct case_list *out, struct err *e)
{
	struct db_value args[6];
	size_t n = 0;
	bool court = f->court, cursor = f->after_id != 0;
	/* Within one court the order by court is that of the ids. */
	enum case_sort sort = court && f->sort == SORT_COURT ? SORT_CREATED : f->sort;
	*out = (struct case_list){0};
	args[n++] = db_i(f->has_documents);
	if (court)
		args[n++] = db_s(f->court);
	if (cursor) {
		args[n++] = cursor_value(f, sort);
		args[n++] = db_i(f->after_id);
	}
	args[n++] = db_i(f->limit);
	args[n++] = db_i(f->skip);
	if (!db_run(db, statements[sort][f->ascending][court][cursor], args, n, &out->rows, e))
		return false;
	fill_cases(out);
	return true;
}

bool query_case_row(struct db *db, const char *number, struct case_list *out, struct err *e)
{
	*out = (struct case_list){0};
	if (!db_exec(db, &out->rows, e, ROW "process" LATEST_JOB " WHERE p.number = $1",
		     db_s(number)))
		return false;
	if (out->rows.rows == 0)
		return fail(e, ERR_ABSENT, "this case is not known here");
	fill_cases(out);
	return true;
}

void case_list_release(struct case_list *l)
{
	db_rows_release(&l->rows);
	xfree(l->cases);
	*l = (struct case_list){0};
}

bool query_answer(struct db *db, int64_t process_id, const char *call, struct db_rows *out,
		  struct err *e)
{
	return db_exec(db, out, e,
		       "SELECT body, received_ms FROM answer WHERE process_id = $1 AND call = $2",
		       db_i(process_id), db_s(call));
}
