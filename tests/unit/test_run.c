/*
 * How a held case ends: what its documents say of the whole, where not all of them were asked for,
 * and where more was asked for meanwhile.
 */
#include "flow.h"

#include "jobs.h"
#include "metrics.h"

/* A new job, of three documents: a is available, b failed, c was never fetched. */
static void known_case(struct db *db)
{
	struct err e = {0};
	struct job_lease l = listed(db);
	struct doc_result found[] = {got(db, "a"), lost(db, "b", DOC_REASON_TIMEOUT)};
	assert_true(record(db, &l, found, 2));
	assert_true(STEP(db, job_cancel(db, l.job_id, 3500, &e)));
	assert_true(STEP(db, job_let_go(db, l.job_id, "me", &e)));
}

static struct job_lease ask(struct db *db, enum job_scope scope)
{
	struct job_ticket t;
	struct err e = {0};
	assert_true(STEP(
		db,
		job_request(db, &(struct job_ask){.number = NUMBER, .now_ms = 4000, .scope = scope},
			    &t, &e)));
	return claim(db, t.job_id, 4000);
}

static struct job_lease choose(struct db *db, const char *doc_id)
{
	struct job_ticket t;
	struct err e = {0};
	assert_true(STEP(db, job_choose(db,
					&(struct job_ask){.number = NUMBER,
							  .now_ms = 4000,
							  .scope = SCOPE_CHOSEN},
					doc_id, &t, &e)));
	return claim(db, t.job_id, 4000);
}

static struct run *load(struct db *db, const struct job_lease *l)
{
	struct err e;
	struct job_lease valid = *l; /* the numbers of jobs.h have no right check digits */
	snprintf(valid.number, sizeof valid.number, "00000013920248260100");
	struct run *r = run_new(&valid);
	r->lease = *l;
	r->stage = RUN_LOAD;
	assert_true(run_load(r, db, &e));
	assert_int_equal(r->stage, RUN_DOCUMENTS);
	return r;
}

/* As if its bytes had come and been stored, or not. */
static void settle(struct run *r, const char *doc_id, bool available)
{
	for (size_t i = 0; i < r->ndocs; i++) {
		struct run_doc *d = &r->docs[i];
		if (strcmp(d->view->doc_id, doc_id) != 0)
			continue;
		assert_int_equal(d->place, DOC_WAITING);
		d->place = DOC_SETTLED;
		d->available = available;
		d->reason = available ? DOC_REASON_NONE : DOC_REASON_DENIED;
		d->error = xstrdup("a sentence");
		d->key = xstrdup("k/1.pdf");
		d->kind = (struct doc_kind){.mime = "application/pdf", .ext = "pdf"};
		r->open--;
		r->settled++;
	}
}

/* Writes the end down. */
static void end_run(struct db *db, struct run *r, const char *job)
{
	struct err e = {0};
	assert_int_equal(r->open, 0);
	assert_true(run_has_news(r));
	if (!STEP(db, run_write(r, db, LEASE, &e)))
		print_error("%s\n", e.text);
	assert_true(run_written(r));
	job_is(db, job);
	run_free(r);
}

static void test_all(void **state)
{
	struct room *room = *state;
	known_case(room->db);
	struct job_lease l = ask(room->db, SCOPE_DOCUMENTS);
	struct run *r = load(room->db, &l);
	assert_int_equal(r->open, 2);
	settle(r, "b", true);
	settle(r, "c", true);
	end_run(room->db, r, "completed complete 3/3/0");
}

static void test_all_but_one(void **state)
{
	struct room *room = *state;
	known_case(room->db);
	struct job_lease l = ask(room->db, SCOPE_DOCUMENTS);
	struct run *r = load(room->db, &l);
	settle(r, "b", true);
	settle(r, "c", false);
	end_run(room->db, r, "failed partial 3/2/1");
}

/* The list was asked for and nothing else: what failed before is not this job's failure. */
static void test_list_only(void **state)
{
	struct room *room = *state;
	known_case(room->db);
	struct job_lease l = ask(room->db, SCOPE_LIST);
	struct run *r = load(room->db, &l);
	assert_int_equal(r->open, 0);
	end_run(room->db, r, "completed limited 3/1/1");
}

static void test_list_only_and_nothing_stored(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	struct job_lease l = listed(room->db);
	struct doc_result denied[] = {lost(room->db, "a", DOC_REASON_DENIED),
				      lost(room->db, "b", DOC_REASON_DENIED),
				      lost(room->db, "c", DOC_REASON_DENIED)};
	assert_true(record(room->db, &l, denied, 3));
	assert_true(
		STEP(room->db, finish(room->db, &l, OUTCOME_ACCESS_DENIED, "denied", 3500, &e)));
	l = ask(room->db, SCOPE_LIST);
	end_run(room->db, load(room->db, &l), "completed limited 3/0/3");
}

static void test_list_only_of_an_empty_case(void **state)
{
	struct room *room = *state;
	struct err e;
	struct job_lease l = ask(room->db, SCOPE_LIST);
	assert_true(STEP(room->db, list(room->db, &l, NULL, 0, &e)));
	end_run(room->db, load(room->db, &l), "completed empty 0/0/0");
}

static void test_list_only_of_a_whole_case(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	struct job_lease l = listed(room->db);
	struct doc_result all[] = {got(room->db, "a"), got(room->db, "b"), got(room->db, "c")};
	assert_true(record(room->db, &l, all, 3));
	assert_true(STEP(room->db, finish(room->db, &l, OUTCOME_COMPLETE, "", 3500, &e)));
	l = ask(room->db, SCOPE_LIST);
	end_run(room->db, load(room->db, &l), "completed complete 3/3/0");
}

static void test_chosen(void **state)
{
	struct room *room = *state;
	known_case(room->db);
	struct job_lease l = choose(room->db, "c");
	struct run *r = load(room->db, &l);
	assert_int_equal(r->open, 1);
	settle(r, "c", true);
	end_run(room->db, r, "completed limited 3/2/1");
}

static void test_chosen_is_not_had(void **state)
{
	struct room *room = *state;
	known_case(room->db);
	struct job_lease l = choose(room->db, "c");
	struct run *r = load(room->db, &l);
	settle(r, "c", false);
	end_run(room->db, r, "failed partial 3/1/2");
	char *why = text_of(room->db,
			    "SELECT j.error FROM job j JOIN process p ON p.id = j.process_id"
			    " WHERE p.number = $1 AND j.outcome = 'partial'",
			    NUMBER);
	assert_string_equal(why, "1 of 3 documents could not be had");
	xfree(why);
}

/* More was asked for while the case was held: the run is over, the job is not. */
static void test_another_round(void **state)
{
	struct room *room = *state;
	struct job_ticket t;
	struct err e = {0};
	known_case(room->db);
	struct job_lease l = choose(room->db, "c");
	struct run *r = load(room->db, &l);
	assert_true(STEP(room->db, job_choose(room->db,
					      &(struct job_ask){.number = NUMBER,
								.now_ms = 4100,
								.scope = SCOPE_CHOSEN},
					      "b", &t, &e)));
	assert_int_equal(t.job_id, l.job_id);
	settle(r, "c", true);
	int64_t finished = metric_get(METRIC_jobs_finished);
	int64_t ended = metric_counted(FAMILY_jobs_ended, NULL);
	end_run(room->db, r, "pending  3/2/0");
	assert_int_equal(metric_get(METRIC_jobs_finished), finished);
	assert_int_equal(metric_counted(FAMILY_jobs_ended, NULL), ended);
	l = claim(room->db, l.job_id, 5000);
	r = load(room->db, &l);
	assert_int_equal(r->open, 1);
	settle(r, "b", true);
	end_run(room->db, r, "completed complete 3/3/0");
	assert_int_equal(metric_get(METRIC_jobs_finished), finished + 1);
	assert_int_equal(metric_counted(FAMILY_jobs_ended, NULL), ended + 1);
}

/* Cancelled while it was held: the fence refuses, nothing changes. */
static void test_cancelled(void **state)
{
	struct room *room = *state;
	struct err e = {0};
	known_case(room->db);
	struct job_lease l = choose(room->db, "c");
	struct run *r = load(room->db, &l);
	settle(r, "c", true);
	assert_true(STEP(room->db, job_cancel(room->db, l.job_id, 4200, &e)));
	STALE(room->db, run_write(r, room->db, LEASE, &e));
	job_is(room->db, "cancelled  3/1/1");
	run_free(r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_all),
		TEST(test_all_but_one),
		TEST(test_list_only),
		TEST(test_list_only_and_nothing_stored),
		TEST(test_list_only_of_an_empty_case),
		TEST(test_list_only_of_a_whole_case),
		TEST(test_chosen),
		TEST(test_chosen_is_not_had),
		TEST(test_another_round),
		TEST(test_cancelled),
	};
	return database_run(tests);
}
