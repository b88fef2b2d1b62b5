/*
 * Asking for cases: scopes and how they widen, while a job waits and while it is worked on;
 * choosing documents; ages of lists.
 */
#include "asks.h"
#include "query_list.h"

enum { MINUTE = 60000, QUARTER = 15 * MINUTE };

static struct job_ticket ensure(struct db *db, const struct job_ask *a, int64_t max_age)
{
	struct job_ticket t;
	struct err e = {0};
	if (!STEP(db, job_ensure(db, a, max_age, &t, &e)))
		print_error("ensure: %s\n", e.text);
	assert_true(t.process_id > 0 && t.job_id > 0);
	return t;
}

static void scope_is(struct db *db, const char *want)
{
	struct case_view v;
	struct err e;
	assert_true(query_case_head(db, NUMBER, &v, &e));
	assert_string_equal(v.job_scope, want);
	case_view_release(&v);
}

/* ---- The first request ---- */

static void test_first(void **state)
{
	struct room *r = *state;
	struct job_list jobs;
	struct err e;
	struct job_ticket t = ask(r->db, ASK(.relist = false, .priority = 3, .request_id = "req",
					     .trace = "00-1-2-01", .webhook_url = "https://x/1"));
	assert_true(t.first);
	assert_false(t.adopted || t.idle);
	struct job_ticket again = ask(r->db, ASK(.priority = 1, .webhook_url = "https://x/2"));
	assert_false(again.first);
	assert_true(again.adopted);
	assert_int_equal(again.process_id, t.process_id);
	ask(r->db, ASK(.webhook_url = "https://x/1")); /* told once */
	assert_true(query_job(r->db, t.job_id, &jobs, &e));
	assert_int_equal(jobs.jobs[0].priority, 3); /* a lower one does not count */
	assert_string_equal(jobs.jobs[0].request_id, "req");
	assert_string_equal(jobs.jobs[0].webhook_url, "https://x/1");
	assert_string_equal(jobs.jobs[0].scope, "documents");
	assert_int_equal(jobs.jobs[0].last_event, 1);
	job_list_release(&jobs);
	struct case_view v;
	assert_true(query_case_head(r->db, NUMBER, &v, &e));
	assert_string_equal(v.webhook_url, "https://x/1");
	case_view_release(&v);
	char *n = text_of(r->db, "SELECT COUNT(*) || '' FROM job_webhook WHERE url <> $1", "");
	assert_string_equal(n, "2");
	xfree(n);
	ask(r->db, ASK(.priority = 7));
	assert_true(query_job(r->db, t.job_id, &jobs, &e));
	assert_int_equal(jobs.jobs[0].priority, 7);
	job_list_release(&jobs);
	struct job_lease l = claim(r->db, t.job_id, 4500);
	assert_true(l.relist); /* there is no list yet, whatever was said */
	assert_int_equal(l.scope, SCOPE_DOCUMENTS);
	assert_int_equal(l.waited_ms, 3500);
	assert_string_equal(l.trace, "00-1-2-01");
	/* With somebody waiting to be told, documents begin as pending. */
	list_abc(r->db, &l);
	documents_are(r->db, "a:pending+ b:pending+ c:pending+");
}

/* ---- Scopes ---- */

static void test_scopes_of_a_listing(void **state)
{
	struct room *r = *state;
	done(r->db, SCOPE_LIST, OUTCOME_LIMITED);
	job_is(r->db, "completed limited 3/0/0");
	documents_are(r->db, "a:pending b:pending c:pending");
	/* The whole case later, listed again or not. */
	struct job_ticket t = ask(r->db, ASK(.relist = false, .now_ms = 5000));
	assert_false(t.adopted || t.first);
	documents_are(r->db, "a:processing+ b:processing+ c:processing+");
	struct job_lease l = claim(r->db, t.job_id, 5000);
	assert_false(l.relist);
	list_abc(r->db, &l);
	documents_are(r->db, "a:processing+ b:processing+ c:processing+");
}

/* What a cancelled job wanted is not wanted by a list job that follows. */
static void test_list_after_documents(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 2));
	assert_true(STEP(r->db, job_cancel(r->db, l.job_id, 4000, &e)));
	documents_are(r->db, "a:available+ b:failed+ c:pending+");
	struct job_ticket t = ask(r->db, ASK(.scope = SCOPE_LIST, .now_ms = 5000));
	documents_are(r->db, "a:available+ b:failed c:pending");
	l = claim(r->db, t.job_id, 5000);
	assert_int_equal(l.scope, SCOPE_LIST);
	list_abc(r->db, &l);
	documents_are(r->db, "a:available+ b:failed c:pending");
	assert_true(round_ends(r->db, &l, OUTCOME_LIMITED, 6000));
}

static void test_widen_waiting(void **state)
{
	static const struct {
		enum job_scope have, want;
		const char *then;
	} t[] = {{SCOPE_LIST, SCOPE_LIST, "list"},
		 {SCOPE_LIST, SCOPE_DOCUMENTS, "documents"},
		 {SCOPE_LIST, SCOPE_CHOSEN, "chosen"},
		 {SCOPE_CHOSEN, SCOPE_LIST, "chosen"},
		 {SCOPE_CHOSEN, SCOPE_DOCUMENTS, "documents"},
		 {SCOPE_DOCUMENTS, SCOPE_LIST, "documents"},
		 {SCOPE_DOCUMENTS, SCOPE_CHOSEN, "documents"}};
	struct room *r = *state;
	done(r->db, SCOPE_LIST, OUTCOME_LIMITED);
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct err e;
		struct job_ticket a = ask(
			r->db, ASK(.scope = t[i].have, .relist = false, .now_ms = 2000 + MINUTE));
		assert_false(a.adopted);
		struct job_ticket b = ask(r->db, ASK(.scope = t[i].want, .now_ms = 2000 + MINUTE));
		assert_true(b.adopted);
		assert_int_equal(b.job_id, a.job_id);
		scope_is(r->db, t[i].then);
		documents_are(r->db, strcmp(t[i].then, "documents") == 0
					     ? "a:processing+ b:processing+ c:processing+"
					     : "a:pending b:pending c:pending");
		struct job_lease l = claim(r->db, a.job_id, 2000 + MINUTE);
		assert_false(l.relist); /* the list is a minute old */
		/* Nothing changed since the claim: this is the only round. */
		assert_true(round_ends(r->db, &l, OUTCOME_LIMITED, 2000 + 2 * MINUTE));
		struct job_lease none;
		assert_false(STEP(r->db, job_claim(r->db, a.job_id, "me", 1, 1, &none, &e)));
	}
}

/* Asked for everything before the list is written down: it is written down as wanted. */
static void test_widen_before_the_listing(void **state)
{
	struct room *r = *state;
	struct job_lease l = claim(r->db, ask(r->db, ASK(.scope = SCOPE_LIST)).job_id, 1000);
	assert_int_equal(l.scope, SCOPE_LIST);
	assert_true(ask(r->db, ASK()).adopted);
	list_abc(r->db, &l);
	documents_are(r->db, "a:processing+ b:processing+ c:processing+");
	assert_false(round_ends(r->db, &l, OUTCOME_LIMITED, 5000));
	job_is(r->db, "pending  3/0/0");
	struct job_lease next = claim(r->db, l.job_id, 5500);
	assert_int_equal(next.scope, SCOPE_DOCUMENTS);
	assert_int_equal(next.epoch, l.epoch + 1);
	assert_int_equal(next.waited_ms, 500); /* since the first round ended */
	assert_false(next.relist);
	assert_true(round_ends(r->db, &next, OUTCOME_COMPLETE, 6000));
}

static void test_widen_after_the_listing(void **state)
{
	struct room *r = *state;
	struct job_lease l = claim(r->db, ask(r->db, ASK(.scope = SCOPE_LIST)).job_id, 1000);
	list_abc(r->db, &l);
	documents_are(r->db, "a:pending b:pending c:pending");
	ask(r->db, ASK());
	documents_are(r->db, "a:processing+ b:processing+ c:processing+");
	assert_false(round_ends(r->db, &l, OUTCOME_LIMITED, 5000));
	l = claim(r->db, l.job_id, 5000);
	assert_true(round_ends(r->db, &l, OUTCOME_COMPLETE, 6000));
}

/* The mark belongs to a lease: the next claim knows already what is wanted. */
static void test_widened_lease_is_lost(void **state)
{
	struct room *r = *state;
	struct job_lease l = claim(r->db, ask(r->db, ASK(.scope = SCOPE_LIST)).job_id, 1000);
	ask(r->db, ASK());
	struct job_lease next = claim(r->db, l.job_id, 1000 + LEASE);
	assert_int_equal(next.scope, SCOPE_DOCUMENTS);
	list_abc(r->db, &next);
	assert_true(round_ends(r->db, &next, OUTCOME_COMPLETE, 6000));
}

/* A list that the portal refuses ends the job, whoever wanted more. */
static void test_widened_and_refused(void **state)
{
	static const enum outcome outcomes[] = {OUTCOME_NOT_FOUND, OUTCOME_ACCESS_DENIED,
						OUTCOME_UPSTREAM_ERROR, OUTCOME_STORAGE_ERROR};
	struct room *r = *state;
	for (size_t i = 0; i < 4; i++) {
		struct job_lease l =
			claim(r->db, ask(r->db, ASK(.scope = SCOPE_LIST)).job_id, 1000);
		ask(r->db, ASK());
		assert_true(round_ends(r->db, &l, outcomes[i], 5000));
	}
	/* But not what a document's end says of the whole. */
	struct job_lease l = claim(r->db, ask(r->db, ASK(.scope = SCOPE_LIST)).job_id, 1000);
	list_abc(r->db, &l);
	ask(r->db, ASK());
	assert_false(round_ends(r->db, &l, OUTCOME_UPSTREAM_ERROR, 5000));
}

/* A job of chosen documents does not look at the list: whoever wants a list gets a young one. */
static void test_list_on_chosen(void **state)
{
	struct room *r = *state;
	int64_t late = 2000 + QUARTER + 1;
	done(r->db, SCOPE_LIST, OUTCOME_LIMITED);
	struct job_lease l = claim(r->db, choose(r->db, "b", 5000).job_id, 5000);
	assert_false(l.relist);
	ask(r->db, ASK(.scope = SCOPE_LIST, .now_ms = late - 1)); /* young enough */
	assert_true(round_ends(r->db, &l, OUTCOME_LIMITED, late));

	l = claim(r->db, choose(r->db, "c", 5000).job_id, 5000);
	ask(r->db, ASK(.scope = SCOPE_LIST, .now_ms = late));
	scope_is(r->db, "chosen");
	documents_are(r->db, "a:pending b:pending c:processing+");
	assert_false(round_ends(r->db, &l, OUTCOME_LIMITED, late));
	l = claim(r->db, l.job_id, late);
	assert_true(l.relist);
	list_abc(r->db, &l);
	documents_are(r->db, "a:pending b:pending c:processing+");
	assert_true(round_ends(r->db, &l, OUTCOME_LIMITED, late));
}

/* ---- Choosing ---- */

static void test_choose(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_ticket t;
	assert_false(STEP(r->db, job_choose(r->db, ASK(), "a", &t, &e)));
	assert_error(&e, ERR_ABSENT);
	int64_t first = done(r->db, SCOPE_LIST, OUTCOME_LIMITED);
	assert_false(STEP(r->db, job_choose(r->db, ASK(), "z", &t, &e)));
	assert_error(&e, ERR_ABSENT);
	t = choose(r->db, "b2", 5000); /* an alias of b */
	assert_false(t.adopted || t.idle);
	assert_int_not_equal(t.job_id, first);
	documents_are(r->db, "a:pending b:processing+ c:pending");
	t = choose(r->db, "a", 5000);
	assert_true(t.adopted);
	documents_are(r->db, "a:processing+ b:processing+ c:pending");
	struct job_lease l = claim(r->db, t.job_id, 5000);
	assert_int_equal(l.scope, SCOPE_CHOSEN);
	choose(r->db, "a", 5100); /* it is being fetched: nothing more to do */
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_EMPTY)};
	assert_true(record(r->db, &l, res, 2));
	assert_true(choose(r->db, "a", 5200).idle);
	assert_true(round_ends(r->db, &l, OUTCOME_LIMITED, 6000));

	/* A new choice leaves the failure of the other alone. */
	t = choose(r->db, "c", 7000);
	documents_are(r->db, "a:available+ b:failed c:processing+");
	l = claim(r->db, t.job_id, 7000);
	choose(r->db, "b", 7100); /* chosen while the job is worked on */
	documents_are(r->db, "a:available+ b:processing+ c:processing+");
	check_counters(r->db, l.job_id);
	struct doc_result c[] = {got(r->db, "c")}, b[] = {got(r->db, "b")};
	assert_true(record(r->db, &l, c, 1));
	assert_false(round_ends(r->db, &l, OUTCOME_LIMITED, 8000));
	l = claim(r->db, t.job_id, 8000);
	assert_true(record(r->db, &l, b, 1));
	assert_true(round_ends(r->db, &l, OUTCOME_COMPLETE, 9000));
	t = choose(r->db, "b", 9500);
	assert_true(t.idle);
	assert_int_equal(t.job_id, l.job_id);
}

/* ---- Ensuring ---- */

static void test_ensure_whole(void **state)
{
	struct room *r = *state;
	struct job_list jobs;
	struct err e;
	struct job_ticket t = ensure(r->db, ASK(), 0);
	assert_true(t.first);
	struct job_lease l = claim(r->db, t.job_id, 1000);
	list_abc(r->db, &l);
	assert_true(ensure(r->db, ASK(), JOB_ANY_AGE).adopted);
	struct doc_result res[] = {got(r->db, "a"), got(r->db, "b"), got(r->db, "c")};
	assert_true(record(r->db, &l, res, 3));
	assert_true(round_ends(r->db, &l, OUTCOME_COMPLETE, 3000));

	t = ensure(r->db, ASK(.now_ms = 2000 + QUARTER * 99, .webhook_url = "https://x/"),
		   JOB_ANY_AGE);
	assert_true(t.idle);
	assert_int_equal(t.job_id, l.job_id);
	assert_true(query_job(r->db, t.job_id, &jobs, &e));
	assert_string_equal(jobs.jobs[0].webhook_url, "https://x/");
	job_list_release(&jobs);
	assert_true(ensure(r->db, ASK(.now_ms = 2000 + 500), 500).idle);
	/* A millisecond older than allowed. */
	t = ensure(r->db, ASK(.now_ms = 2000 + 501), 500);
	assert_false(t.idle || t.adopted || t.first);
	assert_true(claim(r->db, t.job_id, 3000).relist);
}

static void test_ensure_partial(void **state)
{
	struct room *r = *state;
	int64_t first = done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	struct job_ticket t = ensure(r->db, ASK(.now_ms = 2000 + QUARTER), JOB_ANY_AGE);
	assert_false(t.idle || t.adopted);
	assert_int_not_equal(t.job_id, first); /* the earlier one stays as history */
	documents_are(r->db, "a:available+ b:available+ c:processing+");
	check_counters(r->db, t.job_id);
	struct job_lease l = claim(r->db, t.job_id, 5000);
	assert_false(l.relist); /* a quarter of an hour old, not more */
	struct doc_result res[] = {lost(r->db, "c", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 1));
	assert_true(round_ends(r->db, &l, OUTCOME_PARTIAL, 6000));
	t = ensure(r->db, ASK(.now_ms = 2001 + QUARTER), JOB_ANY_AGE);
	l = claim(r->db, t.job_id, 7000);
	assert_true(l.relist);
	/* Never listed: the list is asked for, whatever its age. */
	assert_true(round_ends(r->db, &l, OUTCOME_UPSTREAM_ERROR, 8000));
	t = ensure(r->db, ASK(.number = OTHER), JOB_ANY_AGE);
	l = claim(r->db, t.job_id, 1000);
	assert_true(round_ends(r->db, &l, OUTCOME_NOT_FOUND, 2000));
	t = ensure(r->db, ASK(.number = OTHER), JOB_ANY_AGE);
	assert_false(t.idle || t.adopted);
	assert_true(claim(r->db, t.job_id, 3000).relist);
}

static void test_ensure_list(void **state)
{
	struct room *r = *state;
	int64_t first = done(r->db, SCOPE_LIST, OUTCOME_LIMITED);
	struct job_ticket t =
		ensure(r->db, ASK(.scope = SCOPE_LIST, .now_ms = 2000 + MINUTE), MINUTE);
	assert_true(t.idle);
	assert_int_equal(t.job_id, first);
	t = ensure(r->db, ASK(.scope = SCOPE_LIST, .now_ms = 2000 + QUARTER * 5), JOB_ANY_AGE);
	assert_true(t.idle);
	t = ensure(r->db, ASK(.now_ms = 2000 + MINUTE), MINUTE); /* documents: not had yet */
	assert_false(t.idle || t.adopted);
	struct job_lease l = claim(r->db, t.job_id, 3000);
	assert_false(l.relist);
	assert_true(round_ends(r->db, &l, OUTCOME_PARTIAL, 4000));
	t = ensure(r->db, ASK(.scope = SCOPE_LIST, .now_ms = 2001 + MINUTE), MINUTE);
	assert_false(t.idle);
	assert_true(claim(r->db, t.job_id, 3000).relist);
}

/* An active job that waits with a list older than is wanted asks for it again. */
static void test_ensure_adopts(void **state)
{
	struct room *r = *state;
	done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	struct job_ticket a = ask(r->db, ASK(.relist = false, .now_ms = 3000));
	struct job_ticket b = ensure(r->db, ASK(.now_ms = 2000 + MINUTE), MINUTE);
	assert_true(b.adopted);
	assert_int_equal(a.job_id, b.job_id);
	char *s = text_of(r->db, "SELECT relist || '' FROM job WHERE state = $1", "pending");
	assert_string_equal(s, "0");
	xfree(s);
	ensure(r->db, ASK(.now_ms = 2001 + MINUTE), MINUTE);
	assert_true(claim(r->db, a.job_id, 5000).relist);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first),
		TEST(test_scopes_of_a_listing),
		TEST(test_list_after_documents),
		TEST(test_widen_waiting),
		TEST(test_widen_before_the_listing),
		TEST(test_widen_after_the_listing),
		TEST(test_widened_lease_is_lost),
		TEST(test_widened_and_refused),
		TEST(test_list_on_chosen),
		TEST(test_choose),
		TEST(test_ensure_whole),
		TEST(test_ensure_partial),
		TEST(test_ensure_list),
		TEST(test_ensure_adopts),
	};
	return database_run(tests);
}
