/*
 * The life of a job: one active job a case, leases with an epoch, listings, results, ends, retries;
 * and after every step the events of each job are numbered 1 to n.
 */
#include "jobs.h"

/* ---- Asking ---- */

static void test_request_and_adopt(void **state)
{
	struct room *r = *state;
	struct job_ticket a = request(r->db, NUMBER), b = request(r->db, NUMBER),
			  c = request(r->db, OTHER);
	assert_false(a.adopted);
	assert_true(b.adopted);
	assert_int_equal(a.job_id, b.job_id);
	assert_false(c.adopted);
	assert_int_not_equal(a.job_id, c.job_id);
	claim(r->db, a.job_id, 1000);
	b = request(r->db, NUMBER); /* also while somebody works on it */
	assert_true(b.adopted);
	assert_int_equal(a.job_id, b.job_id);
	/* The database itself allows no second active job. */
	struct err e = {0};
	assert_false(db_exec(r->db, NULL, &e,
			     "INSERT INTO job (process_id, state, run_at_ms, created_ms) SELECT "
			     "process_id, 'pending', 0, 0 FROM job WHERE id = $1",
			     db_i(a.job_id)));
	assert_says(&e, r->db->ops->exclusive ? "UNIQUE" : "unique");
	job_is(r->db, "processing  0/0/0");
}

static void test_request_after_the_end(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), got(r->db, "b"),
				   lost(r->db, "c", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 3));
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_PARTIAL, "", 4000, &e)));
	struct job_ticket t = request(r->db, NUMBER);
	assert_false(t.adopted);
	assert_int_not_equal(t.job_id, l.job_id);
	check_counters(r->db, t.job_id);
	job_is(r->db, "pending  3/2/0");
	document_is(r->db, "a", "available  1 1");
	document_is(r->db, "c", "processing  1 3");
}

static void test_outcome_names(void **state)
{
	(void)state;
	for (int o = OUTCOME_NONE; o <= OUTCOME_LIMITED; o++)
		assert_int_equal(outcome_parse(outcome_name((enum outcome)o)), o);
	assert_string_equal(outcome_name(OUTCOME_NONE), "");
	assert_string_equal(outcome_name(OUTCOME_NOT_FOUND), "not_found");
	assert_int_equal(outcome_parse("nonsense"), OUTCOME_NONE);
}

/* ---- Leases ---- */

static void test_claim(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l, other;
	struct job_ticket t = request(r->db, NUMBER);
	l = claim(r->db, t.job_id, 1000);
	assert_int_equal(l.epoch, 1);
	assert_true(l.relist);
	assert_string_equal(l.number, NUMBER);
	assert_true(l.process_id > 0);
	assert_false(STEP(r->db,
			  job_claim(r->db, t.job_id, "you", 1000 + LEASE - 1, LEASE, &other, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(STEP(r->db, job_claim(r->db, 4711, "you", 1000, LEASE, &other, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_renew(r->db, &l, 50000, &e)));
	assert_false(STEP(r->db, job_claim(r->db, t.job_id, "you", 49999, LEASE, &other, &e)));
	other = claim(r->db, t.job_id, 50000);
	assert_int_equal(other.epoch, 2);
}

static void test_hand_back(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l = listed(r->db), other;
	assert_true(STEP(r->db, job_hand_back(r->db, &l, 1, &e)));
	job_is(r->db, "pending  3/0/0");
	STALE(r->db, job_hand_back(r->db, &l, 1, &e));
	other = claim(r->db, l.job_id, 1001); /* at once, and nothing is asked again */
	assert_int_equal(other.epoch, 2);
	assert_false(other.relist);
}

/* I4: whoever lost the lease changes nothing any more. */
static void test_stale_owner(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease old = listed(r->db), now = claim(r->db, old.job_id, 1000 + LEASE);
	struct portal_ref refs[3];
	struct portal_doc docs[] = {doc(refs, "z", "z", NULL, NULL)};
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_EMPTY)};
	assert_int_equal(now.epoch, old.epoch + 1);
	STALE(r->db, job_renew(r->db, &old, 99999, &e));
	STALE(r->db, list(r->db, &old, docs, 1, &e));
	STALE(r->db, job_record_results(r->db, &old, res, 2, 99999, &e));
	STALE(r->db, finish(r->db, &old, OUTCOME_COMPLETE, "", 5000, &e));
	STALE(r->db, job_hand_back(r->db, &old, 1, &e));
	/* The new owner is not disturbed. */
	assert_true(record(r->db, &now, res, 2));
	assert_true(STEP(r->db, finish(r->db, &now, OUTCOME_PARTIAL, "x", 5000, &e)));
	/* After the end even the last owner changes nothing. */
	STALE(r->db, job_renew(r->db, &now, 99999, &e));
	STALE(r->db, list(r->db, &now, docs, 1, &e));
	STALE(r->db, job_record_results(r->db, &now, res, 2, 99999, &e));
	STALE(r->db, finish(r->db, &now, OUTCOME_COMPLETE, "", 5000, &e));
	STALE(r->db, job_hand_back(r->db, &now, 1, &e));
}

/* A clock that stands before 1970 gives times below 0; a lease is one all the same. */
static void test_clock_before_1970(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_lease l = claim(r->db, request(r->db, NUMBER).job_id, -90000);
	assert_true(STEP(r->db, job_renew(r->db, &l, -70000, &e)));
	assert_true(STEP(r->db, job_renew(r->db, &l, 70000, &e)));
	assert_true(STEP(r->db, job_hand_back(r->db, &l, 60000, &e)));
}

static void test_release_all(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l = listed(r->db), again;
	struct job_ticket t = request(r->db, OTHER);
	assert_true(STEP(r->db, job_release_all(r->db, 1, &e)));
	job_is(r->db, "pending  3/0/0");
	STALE(r->db, job_renew(r->db, &l, 99999, &e));
	again = claim(r->db, l.job_id, 1001);
	assert_int_equal(again.epoch, l.epoch + 1);
	claim(r->db, t.job_id, 1001);
	assert_true(STEP(r->db, finish(r->db, &again, OUTCOME_EMPTY, "", 5000, &e)));
	assert_true(STEP(r->db, job_release_all(r->db, 1, &e)));
	job_is(r->db, "completed empty 3/0/0"); /* what is final stays */
}

/* ---- Listings ---- */

static void test_first_listing(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct job_lease l = listed(r->db);
	assert_true(query_case(r->db, NUMBER, &v, &e));
	assert_string_equal(v.court, "TJSP");
	assert_string_equal(v.class_name, "Class");
	assert_int_equal(v.secrecy, 1);
	assert_int_equal(v.proceedings, 2);
	assert_int_equal(v.consulted_ms, 2000);
	assert_int_equal(v.job_id, l.job_id);
	assert_string_equal(v.job_state, "processing");
	assert_int_equal(v.ndocs, 3);
	assert_int_equal(v.pending, 3);
	assert_int_equal(v.available + v.failed, 0);
	static const char *const ids[] = {"a", "b", "c"};
	for (size_t i = 0; i < 3; i++) {
		const struct doc_view *d = &v.docs[i];
		assert_string_equal(d->doc_id, ids[i]);
		assert_int_equal(d->position, i + 1);
		assert_true(d->listed);
		assert_string_equal(d->state, "processing");
		assert_string_equal(d->origin_id, "");
		assert_string_equal(d->sha256, "");
		assert_int_equal(d->size, -1);
		assert_int_equal(d->sequence, -1);
		assert_int_equal(d->finished_ms, 0);
		assert_int_equal(d->nrefs, i == 1 ? 2 : 1);
		assert_string_equal(d->refs[0].id, ids[i]);
	}
	assert_string_equal(v.docs[1].refs[1].id, "b2");
	case_view_release(&v);
	case_view_release(&v);
	char *body = text_of(r->db, "SELECT body FROM answer WHERE call = $1", "detail");
	assert_string_equal(body, "{\"d\":1}");
	xfree(body);
	assert_false(query_case(r->db, OTHER, &v, &e));
	assert_error(&e, ERR_ABSENT);
	case_view_release(&v);
}

/* Joined as one paper once, listed as two now: neither may swallow the other. */
static void test_listed_apart(void **state)
{
	struct room *r = *state;
	struct err e;
	struct portal_ref refs[3][3];
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "b")};
	int64_t row_b = row_of(r->db, "b");
	assert_true(record(r->db, &l, res, 1));
	struct portal_doc apart[] = {doc(refs[0], "b2", "b2", NULL, NULL),
				     doc(refs[1], "b", "b", NULL, NULL)};
	assert_true(STEP(r->db, list(r->db, &l, apart, 2, &e)));
	check_counters(r->db, l.job_id);
	document_is(r->db, "b2", "processing  1 1");
	document_is(r->db, "b", "available  1 2");
	assert_int_equal(row_of(r->db, "b"), row_b);
}

static void test_second_listing(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct portal_ref refs[3][3];
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_TIMEOUT)};
	int64_t row_b = row_of(r->db, "b");
	assert_true(record(r->db, &l, res, 2));
	/* b is known by its alias and now preferred by another link, d is new, a and c are gone. */
	struct portal_doc docs[] = {doc(refs[0], "d", "d", NULL, NULL),
				    doc(refs[1], "b2", "b2", "b3", NULL)};
	docs[1].name = T("New name");
	assert_true(STEP(r->db, list(r->db, &l, docs, 2, &e)));
	check_counters(r->db, l.job_id);
	job_is(r->db, "processing  4/1/1");
	document_is(r->db, "a", "available  0 3"); /* equal dates: behind what is listed */
	document_is(r->db, "b", "processing  1 2");
	document_is(r->db, "c", "failed unavailable_upstream 0 4");
	document_is(r->db, "d", "processing  1 1");
	assert_true(query_case(r->db, NUMBER, &v, &e));
	assert_int_equal(v.ndocs, 4);
	for (size_t i = 0; i < v.ndocs; i++) {
		const struct doc_view *d = &v.docs[i];
		if (d->row != row_b)
			continue;
		assert_string_equal(d->name, "New name");
		assert_int_equal(d->tries, 0);
		assert_string_equal(d->error, "");
		/* The preferred link of today comes first; b stays known as an alias. */
		assert_int_equal(d->nrefs, 3);
		assert_string_equal(d->refs[0].id, "b2");
		assert_string_equal(d->refs[1].id, "b3");
		assert_string_equal(d->refs[2].id, "b");
	}
	case_view_release(&v);
	/* Listed again: what failed only for not being listed is tried. */
	struct portal_doc all[] = {doc(refs[0], "a", "a", NULL, NULL),
				   doc(refs[1], "b", "b", "b2", NULL),
				   doc(refs[2], "c", "c", NULL, NULL)};
	assert_true(STEP(r->db, list(r->db, &l, all, 3, &e)));
	check_counters(r->db, l.job_id);
	document_is(r->db, "a", "available  1 1");
	document_is(r->db, "c", "processing  1 3");
	document_is(r->db, "d", "failed unavailable_upstream 0 4");
	assert_int_equal(row_of(r->db, "b"), row_b);
}

/* A paper without any link is a document too. */
static void test_listing_without_links(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct job_lease l = claim(r->db, request(r->db, NUMBER).job_id, 1000);
	struct portal_ref refs[3];
	struct portal_doc docs[] = {doc(NULL, "sem-id-0-1", NULL, NULL, NULL),
				    doc(refs, "a", "a", NULL, NULL)};
	for (int i = 0; i < 2; i++) {
		assert_true(STEP(r->db, list(r->db, &l, docs, 2, &e)));
		check_counters(r->db, l.job_id);
		assert_true(query_case(r->db, NUMBER, &v, &e));
		assert_int_equal(v.ndocs, 2);
		assert_int_equal(v.docs[0].nrefs, 0);
		assert_int_equal(v.docs[1].nrefs, 1);
		assert_string_equal(v.docs[1].refs[0].id, "a");
		case_view_release(&v);
	}
	assert_true(STEP(r->db, list(r->db, &l, NULL, 0, &e)));
	document_is(r->db, "a", "failed unavailable_upstream 0 2");
}

/* ---- Results and ends ---- */

static void test_results(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct job_lease l = listed(r->db);
	struct doc_result first[] = {got(r->db, "b")};
	struct doc_result rest[] = {lost(r->db, "a", DOC_REASON_DENIED), got(r->db, "c")};
	first[0].source_id = "b2";
	first[0].note = "declared 7 bytes";
	assert_true(record(r->db, &l, first, 1));
	job_is(r->db, "processing  3/1/0");
	assert_true(record(r->db, &l, rest, 2));
	job_is(r->db, "processing  3/2/1");
	assert_true(record(r->db, &l, NULL, 0));
	assert_true(query_case(r->db, NUMBER, &v, &e));
	assert_int_equal(v.available, 2);
	assert_int_equal(v.failed, 1);
	assert_int_equal(v.pending, 0);
	assert_int_equal(v.lease_until_ms, 90000);
	assert_string_equal(v.docs[0].state, "failed");
	assert_string_equal(v.docs[0].reason, "denied");
	assert_string_equal(v.docs[0].error, "a sentence");
	assert_int_equal(v.docs[0].tries, 4);
	assert_string_equal(v.docs[1].source_id, "b2");
	assert_string_equal(v.docs[1].note, "declared 7 bytes");
	assert_string_equal(v.docs[1].sha256, "abc");
	assert_string_equal(v.docs[1].object_key, "k/1.pdf");
	assert_int_equal(v.docs[1].size, 5);
	assert_int_equal(v.docs[1].started_ms, 3000);
	assert_int_equal(v.docs[1].finished_ms, 3100);
	case_view_release(&v);
	/* Each result is an event of its own, in order. */
	char *s = text_of(
		r->db,
		database_server
			? "SELECT STRING_AGG(subject || ':' || state, ' ' ORDER BY seq) FROM event"
			  " WHERE kind = $1"
			: "SELECT GROUP_CONCAT(subject || ':' || state, ' ') FROM (SELECT * FROM "
			  "event WHERE kind = $1 ORDER BY seq)",
		"document");
	assert_string_equal(s, "b:available a:failed c:available");
	xfree(s);
}

static void test_finish(void **state)
{
	static const struct {
		enum outcome outcome;
		const char *want;
	} t[] = {{OUTCOME_COMPLETE, "completed complete 0/0/0"},
		 {OUTCOME_EMPTY, "completed empty 0/0/0"},
		 {OUTCOME_LIMITED, "completed limited 0/0/0"},
		 {OUTCOME_PARTIAL, "failed partial 0/0/0"},
		 {OUTCOME_NOT_FOUND, "failed not_found 0/0/0"},
		 {OUTCOME_ACCESS_DENIED, "failed access_denied 0/0/0"},
		 {OUTCOME_UPSTREAM_ERROR, "failed upstream_error 0/0/0"},
		 {OUTCOME_STORAGE_ERROR, "failed storage_error 0/0/0"}};
	struct room *r = *state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct err e;
		struct case_view v;
		struct job_lease l = claim(r->db, request(r->db, NUMBER).job_id, 1000);
		assert_true(STEP(r->db, finish(r->db, &l, t[i].outcome, "why", 4000, &e)));
		job_is(r->db, t[i].want);
		assert_true(query_case_head(r->db, NUMBER, &v, &e));
		assert_string_equal(v.error, "why");
		assert_string_equal(v.outcome, outcome_name(t[i].outcome));
		assert_int_equal(v.job_finished_ms, 4000);
		assert_int_equal(v.lease_until_ms, 0);
		assert_int_equal(v.last_event, 3); /* pending, processing, done */
		assert_int_equal(v.ndocs, 0);
		case_view_release(&v);
	}
}

/* ---- Trying again ---- */

static void test_retry(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_TIMEOUT),
				   lost(r->db, "c", DOC_REASON_EMPTY)};
	assert_true(record(r->db, &l, res, 3));
	/* An active job is adopted. */
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_true(t.adopted);
	assert_int_equal(t.job_id, l.job_id);
	document_is(r->db, "b", "failed timeout 1 2");
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_PARTIAL, "2 missing", 4000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_false(t.adopted);
	assert_int_equal(t.job_id, l.job_id);
	check_counters(r->db, t.job_id);
	job_is(r->db, "pending  3/1/0");
	document_is(r->db, "a", "available  1 1");
	document_is(r->db, "b", "processing  1 2");
	document_is(r->db, "c", "processing  1 3");
	l = claim(r->db, t.job_id, 5000);
	assert_int_equal(l.epoch, 2);
	assert_false(l.relist); /* the list was answered */
}

static void test_retry_of_nothing(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	assert_false(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_says(&e, "not known here");
	struct job_lease l = listed(r->db);
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_COMPLETE, "", 4000, &e)));
	assert_false(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_says(&e, "did not fail");
	assert_false(STEP(r->db, job_retry(r->db, OTHER, 5000, &t, &e)));
	assert_says(&e, "not known here");
}

/* What was asked and not answered is asked again: also the list of a case that has documents. */
static void test_retry_asks_for_the_list_again(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	struct job_lease l = claim(r->db, request(r->db, NUMBER).job_id, 1000);
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 4000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	l = claim(r->db, t.job_id, 5000);
	assert_true(l.relist);
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 6000, &e)));

	l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), got(r->db, "b"), got(r->db, "c")};
	assert_true(record(r->db, &l, res, 3));
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_COMPLETE, "", 7000, &e)));
	l = claim(r->db, request(r->db, NUMBER).job_id, 8000);
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 9000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 9500, &t, &e)));
	l = claim(r->db, t.job_id, 9500);
	assert_true(l.relist);
}

/* A paper that is not listed any more is not asked for again. */
static void test_retry_leaves_unlisted_alone(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	struct portal_ref refs[3];
	struct portal_doc one[] = {doc(refs, "a", "a", NULL, NULL)};
	struct job_lease l = listed(r->db);
	assert_true(STEP(r->db, list(r->db, &l, one, 1, &e)));
	struct doc_result res[] = {lost(r->db, "a", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 1));
	assert_true(STEP(r->db, finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 4000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	document_is(r->db, "a", "processing  1 1");
	document_is(r->db, "b", "failed unavailable_upstream 0 2");
	check_counters(r->db, t.job_id);
}

static void test_numbers(void **state)
{
	struct room *r = *state;
	struct err e;
	struct db_rows rows;
	request(r->db, OTHER);
	request(r->db, NUMBER);
	assert_true(query_numbers(r->db, &rows, &e));
	assert_int_equal(rows.rows, 2);
	assert_string_equal(db_text(&rows, 0, 0), NUMBER);
	assert_string_equal(db_text(&rows, 1, 0), OTHER);
	db_rows_release(&rows);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_request_and_adopt),
		TEST(test_request_after_the_end),
		cmocka_unit_test(test_outcome_names),
		TEST(test_claim),
		TEST(test_hand_back),
		TEST(test_stale_owner),
		TEST(test_clock_before_1970),
		TEST(test_release_all),
		TEST(test_first_listing),
		TEST(test_listed_apart),
		TEST(test_second_listing),
		TEST(test_listing_without_links),
		TEST(test_results),
		TEST(test_finish),
		TEST(test_retry),
		TEST(test_retry_of_nothing),
		TEST(test_retry_asks_for_the_list_again),
		TEST(test_retry_leaves_unlisted_alone),
		TEST(test_numbers),
	};
	return database_run(tests);
}
