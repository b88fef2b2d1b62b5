/*
 * Lists: every order in both directions, in pages by cursor and by skipping, filtered; jobs, events
 * and sums. The pages of a list are compared with a list that is sorted here.
 */
#include "query_list.h"

#include "jobs.h"

enum { CASES = 60 };

static const char *const courts[] = {"TJSP", "tjsp", "TRF3", "", "TJMG"};

/* Cases with few different values, so that the order among equals matters. */
static void fill(struct db *db)
{
	uint64_t seed = 7;
	struct err e;
	assert_true(db_begin(db, &e));
	for (int i = 0; i < CASES; i++) {
		char number[21];
		snprintf(number, sizeof number, "%020d", (i * 37) % CASES);
		struct db_value consulted = scratch_random(&seed) % 3
						    ? db_i((int64_t)(scratch_random(&seed) % 5) + 1)
						    : db_s(NULL);
		assert_true(db_exec(
			db, NULL, &e,
			"INSERT INTO process (number, court, subject, class_name, created_ms,"
			" updated_ms, consulted_ms, documents)"
			" VALUES ($1, $2, 'S', 'C', $3, $4, $5, $6)",
			db_s(number), db_s(courts[scratch_random(&seed) % 5]), db_i(i),
			db_i((int64_t)(scratch_random(&seed) % 4)), consulted,
			db_i((int64_t)(scratch_random(&seed) % 3))));
	}
	assert_true(db_commit(db, &e));
}

/* ---- The same list, sorted here ---- */

static const struct case_filter *by;

static int compare_number(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare(const void *x, const void *y)
{
	const struct case_row *a = x, *b = y;
	int d = 0;
	switch (by->sort) {
	case SORT_UPDATED:
		d = compare_number(a->updated_ms, b->updated_ms);
		break;
	case SORT_CREATED:
		break;
	case SORT_CONSULTED:
		d = compare_number(a->consulted_ms, b->consulted_ms);
		break;
	case SORT_NUMBER:
		d = strcmp(a->number, b->number);
		break;
	case SORT_COURT:
		d = strcasecmp(a->court, b->court);
		break;
	}
	d = d ? d : compare_number(a->id, b->id);
	return by->ascending ? d : -d;
}

static size_t expected(const struct case_list *all, const struct case_filter *f,
		       struct case_row out[static CASES])
{
	size_t n = 0;
	for (size_t i = 0; i < all->n; i++) {
		const struct case_row *c = &all->cases[i];
		if ((f->court && strcasecmp(c->court, f->court) != 0) ||
		    (f->has_documents >= 0 && (c->documents > 0) != f->has_documents))
			continue;
		out[n++] = *c;
	}
	by = f;
	qsort(out, n, sizeof *out, compare);
	return n;
}

/* Walks the whole list in pages and compares. */
static void check_list(struct db *db, const struct case_list *all, struct case_filter f,
		       bool cursor)
{
	struct case_row want[CASES];
	size_t n = expected(all, &f, want), seen = 0;
	char *last = NULL;
	for (;;) {
		struct case_list page;
		struct err e;
		assert_true(query_cases(db, &f, &page, &e));
		for (size_t i = 0; i < page.n; i++, seen++) {
			assert_true(seen < n);
			assert_int_equal(page.cases[i].id, want[seen].id);
		}
		bool end = page.n < (size_t)f.limit;
		if (page.n && cursor) {
			const struct case_row *c = &page.cases[page.n - 1];
			f.after_id = c->id;
			f.after_ms = f.sort == SORT_UPDATED ? c->updated_ms : c->consulted_ms;
			xfree(last);
			last = xstrdup(f.sort == SORT_NUMBER ? c->number : c->court);
			f.after_text = last;
		} else {
			f.skip += f.limit;
		}
		case_list_release(&page);
		if (end)
			break;
	}
	xfree(last);
	assert_int_equal(seen, n);
}

static void test_orders(void **state)
{
	static const char *const filters[] = {NULL, "TJSP", "tRf3", "TJXX"};
	struct room *r = *state;
	struct case_list all;
	struct err e;
	fill(r->db);
	assert_true(query_cases(r->db, &(struct case_filter){.has_documents = -1, .limit = 1000},
				&all, &e));
	assert_int_equal(all.n, CASES);
	for (int sort = SORT_UPDATED; sort <= SORT_COURT; sort++)
		for (int k = 0; k < 2 * 2 * 3 * 4; k++)
			check_list(r->db, &all,
				   (struct case_filter){.sort = (enum case_sort)sort,
							.ascending = k & 1,
							.court = filters[k / 12],
							.has_documents = k / 4 % 3 - 1,
							.limit = 7},
				   k & 2);
	case_list_release(&all);
	case_list_release(&all);
}

static void test_case_row(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_list l;
	struct job_lease lease = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_EMPTY)};
	assert_true(record(r->db, &lease, res, 2));
	assert_true(STEP(r->db, finish(r->db, &lease, OUTCOME_PARTIAL, "", 4000, &e)));
	assert_true(query_case_row(r->db, NUMBER, &l, &e));
	const struct case_row *c = l.cases;
	assert_int_equal(l.n, 1);
	assert_string_equal(c->number, NUMBER);
	assert_string_equal(c->court, "TJSP");
	assert_string_equal(c->subject, "Subject");
	assert_string_equal(c->class_name, "Class");
	assert_int_equal(c->created_ms, 1000);
	assert_int_equal(c->updated_ms, 2000);
	assert_int_equal(c->consulted_ms, 2000);
	assert_int_equal(c->documents, 3);
	assert_int_equal(c->available, 1);
	assert_int_equal(c->job_id, lease.job_id);
	assert_string_equal(c->job_state, "failed");
	assert_string_equal(c->outcome, "partial");
	int64_t process = c->id;
	case_list_release(&l);
	assert_false(query_case_row(r->db, OTHER, &l, &e));
	assert_error(&e, ERR_ABSENT);
	case_list_release(&l);

	struct db_rows rows;
	assert_true(query_answer(r->db, process, "detail", &rows, &e));
	assert_int_equal(rows.rows, 1);
	assert_string_equal(db_text(&rows, 0, 0), "{\"d\":1}");
	assert_int_equal(db_int(&rows, 0, 1), 2000);
	db_rows_release(&rows);
	assert_true(query_answer(r->db, process + 1, "detail", &rows, &e));
	assert_int_equal(rows.rows, 0);
	db_rows_release(&rows);
}

/* ---- Jobs and events ---- */

static void jobs_are(struct db *db, const struct job_filter *f, const char *want)
{
	struct job_list l;
	struct err e;
	char is[200] = "";
	assert_true(query_jobs(db, f, &l, &e));
	for (size_t i = 0; i < l.n; i++)
		snprintf(is + strlen(is), sizeof is - strlen(is), "%s%d", i ? " " : "",
			 (int)l.jobs[i].id);
	job_list_release(&l);
	job_list_release(&l);
	assert_string_equal(is, want);
}

static void test_jobs(void **state)
{
	struct room *r = *state;
	struct err e;
	for (int i = 0; i < 3; i++) {
		struct job_lease l = listed(r->db);
		assert_true(
			STEP(r->db, finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "why", 4000, &e)));
	}
	request(r->db, OTHER);
	struct job_lease l = listed(r->db);
	jobs_are(r->db, &(struct job_filter){.limit = 10}, "5 4 3 2 1");
	jobs_are(r->db, &(struct job_filter){.limit = 2}, "5 4");
	jobs_are(r->db, &(struct job_filter){.limit = 2, .skip = 3}, "2 1");
	jobs_are(r->db, &(struct job_filter){.limit = 2, .below_id = 4}, "3 2");
	jobs_are(r->db, &(struct job_filter){.limit = 9, .state = "failed"}, "3 2 1");
	jobs_are(r->db, &(struct job_filter){.limit = 9, .state = "failed", .below_id = 3}, "2 1");
	jobs_are(r->db, &(struct job_filter){.limit = 9, .number = OTHER}, "4");
	jobs_are(r->db, &(struct job_filter){.limit = 9, .number = NUMBER}, "5 3 2 1");
	jobs_are(r->db, &(struct job_filter){.limit = 9, .number = NUMBER, .state = "failed"},
		 "3 2 1");
	jobs_are(r->db, &(struct job_filter){.limit = 9, .number = OTHER, .state = "failed"}, "");
	jobs_are(r->db, &(struct job_filter){.limit = 9, .number = "unknown"}, "");
	struct job_list j;
	assert_true(query_job(r->db, 3, &j, &e));
	assert_string_equal(j.jobs->number, NUMBER);
	assert_int_equal(j.jobs->process_id, l.process_id);
	assert_string_equal(j.jobs->state, "failed");
	assert_string_equal(j.jobs->outcome, "upstream_error");
	assert_string_equal(j.jobs->error, "why");
	assert_string_equal(j.jobs->scope, "documents");
	assert_int_equal(j.jobs->epoch, 1);
	assert_int_equal(j.jobs->total, 3);
	assert_int_equal(j.jobs->created_ms, 1000);
	assert_int_equal(j.jobs->started_ms, 1000);
	assert_int_equal(j.jobs->finished_ms, 4000);
	assert_string_equal(j.jobs->webhook_url, "");
	int64_t last = j.jobs->last_event;
	job_list_release(&j);
	assert_false(query_job(r->db, 99, &j, &e));
	assert_error(&e, ERR_ABSENT);
	job_list_release(&j);

	struct event_list v;
	assert_true(query_events(r->db, 3, 0, 100, &v, &e));
	assert_int_equal(v.n, last);
	assert_string_equal(v.events[0].kind, "job");
	assert_string_equal(v.events[0].state, "pending");
	assert_int_equal(v.events[0].at_ms, 1000);
	assert_string_equal(v.events[last - 1].kind, "done");
	event_list_release(&v);
	event_list_release(&v);
	assert_true(query_events(r->db, 3, 1, 2, &v, &e));
	assert_int_equal(v.n, 2);
	assert_int_equal(v.events[0].seq, 2);
	assert_int_equal(v.events[1].seq, 3);
	event_list_release(&v);
	assert_true(query_events(r->db, 3, last, 10, &v, &e));
	assert_int_equal(v.n, 0);
	event_list_release(&v);
}

static void test_sums(void **state)
{
	struct room *r = *state;
	struct err e;
	struct queue_sums s;
	struct job_ticket t;
	assert_true(query_sums(r->db, &s, &e));
	assert_int_equal(s.pending + s.processing + s.oldest_ready_ms + s.cases + s.users, 0);
	listed(r->db);
	request(r->db, OTHER);
	assert_true(STEP(r->db, job_request(r->db,
					    &(struct job_ask){.number = "00000000000000000001",
							      .now_ms = 500},
					    &t, &e)));
	assert_true(query_sums(r->db, &s, &e));
	assert_int_equal(s.pending, 2);
	assert_int_equal(s.processing, 1);
	assert_int_equal(s.oldest_ready_ms, 500);
	assert_int_equal(s.cases, 3);
	assert_int_equal(s.users, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_orders),
		TEST(test_case_row),
		TEST(test_jobs),
		TEST(test_sums),
	};
	return database_run(tests);
}
