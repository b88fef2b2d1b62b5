/*
 * Asking for cases: scopes and how they widen, while a job waits and while it is worked on; ages of
 * lists, choosing, trying again, cancelling, erasing, batches, the order of leases, notes.
 */
#include "jobs.h"

#include "query_list.h"

enum { MINUTE = 60000, QUARTER = 15 * MINUTE };

/* A request for everything, with what is given in place of that. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define ASK(...)                                                                                   \
	(&(struct job_ask){.number = NUMBER, .relist = true, .now_ms = 1000, ##__VA_ARGS__})

static struct job_ticket ask(struct db *db, const struct job_ask *a)
{
	struct job_ticket t;
	struct err e = {0};
	if (!STEP(db, job_request(db, a, &t, &e)))
		print_error("request: %s\n", e.text);
	assert_true(t.process_id > 0 && t.job_id > 0);
	return t;
}

static struct job_ticket ensure(struct db *db, const struct job_ask *a, int64_t max_age)
{
	struct job_ticket t;
	struct err e = {0};
	if (!STEP(db, job_ensure(db, a, max_age, &t, &e)))
		print_error("ensure: %s\n", e.text);
	assert_true(t.process_id > 0 && t.job_id > 0);
	return t;
}

static struct job_ticket choose(struct db *db, const char *doc_id, int64_t now)
{
	struct job_ticket t;
	struct err e = {0};
	if (!STEP(db, job_choose(db, ASK(.now_ms = now), doc_id, &t, &e)))
		print_error("choose: %s\n", e.text);
	return t;
}

/* Ends a round. Gives whether the job is over. */
static bool round_ends(struct db *db, const struct job_lease *l, enum outcome o, int64_t now)
{
	struct err e = {0};
	bool over = false;
	assert_true(STEP(db, job_finish(db, l, o, "", now, &over, &e)));
	return over;
}

static void list_abc(struct db *db, const struct job_lease *l)
{
	struct portal_ref refs[3][3];
	struct portal_doc docs[] = {doc(refs[0], "a", "a", NULL, NULL),
				    doc(refs[1], "b", "b", "b2", NULL),
				    doc(refs[2], "c", "c", NULL, NULL)};
	struct err e;
	assert_true(STEP(db, list(db, l, docs, 3, &e)));
	check_counters(db, l->job_id);
}

/* "a:state+ b:state ..." with + for what is wanted. */
static void documents_are(struct db *db, const char *want)
{
	struct case_view v;
	struct err e;
	char is[300] = "";
	assert_true(query_case(db, NUMBER, &v, &e));
	for (size_t i = 0; i < v.ndocs; i++)
		snprintf(is + strlen(is), sizeof is - strlen(is), "%s%s:%s%s", i ? " " : "",
			 v.docs[i].doc_id, v.docs[i].state, v.docs[i].wanted ? "+" : "");
	case_view_release(&v);
	assert_string_equal(is, want);
}

static void scope_is(struct db *db, const char *want)
{
	struct case_view v;
	struct err e;
	assert_true(query_case_head(db, NUMBER, &v, &e));
	assert_string_equal(v.job_scope, want);
	case_view_release(&v);
}

/* A case whose job of this scope ran to its end; listed at 2000. */
static int64_t done(struct db *db, enum job_scope scope, enum outcome outcome)
{
	struct job_lease l = claim(db, ask(db, ASK(.scope = scope)).job_id, 1000);
	list_abc(db, &l);
	if (scope == SCOPE_DOCUMENTS) {
		bool all = outcome == OUTCOME_COMPLETE;
		struct doc_result res[] = {got(db, "a"), got(db, "b"),
					   all ? got(db, "c") : lost(db, "c", DOC_REASON_TIMEOUT)};
		assert_true(record(db, &l, res, 3));
	}
	assert_true(round_ends(db, &l, outcome, 3000));
	return l.job_id;
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

/* ---- Trying again, cancelling, erasing ---- */

static void test_retry_id(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_ticket t;
	assert_false(STEP(r->db, job_retry_id(r->db, 4711, 1, &t, &e)));
	assert_error(&e, ERR_ABSENT);
	int64_t first = done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	assert_true(STEP(r->db, job_retry_id(r->db, first, 7000, &t, &e)));
	assert_int_equal(t.job_id, first);
	assert_true(t.process_id > 0);
	documents_are(r->db, "a:available+ b:available+ c:processing+");
	assert_false(STEP(r->db, job_retry_id(r->db, first, 7000, &t, &e)));
	assert_error(&e, ERR_BUSY); /* it is active */
	struct job_lease l = claim(r->db, first, 7700);
	assert_int_equal(l.waited_ms, 700);
	struct doc_result res[] = {lost(r->db, "c", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 1));
	assert_true(round_ends(r->db, &l, OUTCOME_PARTIAL, 8000));
	int64_t second = ask(r->db, ASK()).job_id;
	assert_false(STEP(r->db, job_retry_id(r->db, first, 9000, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_says(&e, "later");
	l = claim(r->db, second, 9000);
	assert_true(round_ends(r->db, &l, OUTCOME_COMPLETE, 9000));
	assert_false(STEP(r->db, job_retry_id(r->db, second, 9000, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_says(&e, "did not fail");
}

static void test_cancel(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	assert_false(STEP(r->db, job_cancel(r->db, 4711, 1, &e)));
	assert_error(&e, ERR_ABSENT);
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a")};
	assert_true(record(r->db, &l, res, 1));
	assert_true(STEP(r->db, job_cancel(r->db, l.job_id, 4000, &e)));
	job_is(r->db, "cancelled  3/1/0");
	documents_are(r->db, "a:available+ b:pending+ c:pending+");
	struct doc_result late[] = {got(r->db, "b")};
	bool over;
	STALE(r->db, job_record_results(r->db, &l, late, 1, 99999, &e));
	STALE(r->db, job_finish(r->db, &l, OUTCOME_COMPLETE, "", 5000, &over, &e));
	STALE(r->db, job_hand_back(r->db, &l, 5000, &e));
	assert_false(STEP(r->db, job_cancel(r->db, l.job_id, 4000, &e)));
	assert_error(&e, ERR_BUSY);

	/* Nothing is erased under a worker that may have bytes in flight. */
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_let_go(r->db, l.job_id, "you", &e)));
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));

	/* Tried again before the worker knew: what it lets go of then is not the new lease. */
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 6000, &t, &e)));
	assert_int_equal(t.job_id, l.job_id);
	documents_are(r->db, "a:available+ b:processing+ c:processing+");
	struct job_lease next = claim(r->db, l.job_id, 6000);
	assert_false(next.relist);
	assert_int_equal(next.epoch, l.epoch + 2);
	assert_true(STEP(r->db, job_let_go(r->db, l.job_id, "me", &e)));
	assert_true(STEP(r->db, job_cancel(r->db, l.job_id, 7000, &e)));
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));
	assert_true(STEP(r->db, job_let_go(r->db, l.job_id, "me", &e)));
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 5000, &e)));
}

/* Cancelled while it waits: nobody has bytes in flight. After a start nobody has either. */
static void test_cancel_waiting(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int64_t waiting = ask(r->db, ASK()).job_id;
	assert_true(STEP(r->db, job_cancel(r->db, waiting, 2000, &e)));
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 2000, &e)));
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, 2000, &e)));
	struct job_lease l = listed(r->db);
	assert_true(STEP(r->db, job_cancel(r->db, l.job_id, 4000, &e)));
	assert_true(STEP(r->db, job_release_all(r->db, 5000, &e)));
	job_is(r->db, "cancelled  3/0/0");
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 6000, &e)));
}

static void test_erase(void **state)
{
	static const char *const empty[] = {
		"SELECT * FROM process",      "SELECT * FROM answer",     "SELECT * FROM job",
		"SELECT * FROM document",     "SELECT * FROM result",     "SELECT * FROM event",
		"SELECT * FROM document_ref", "SELECT * FROM job_webhook"};
	struct room *r = *state;
	struct err e = {0};
	struct db_rows rows;
	struct job_ticket t;
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 1, &e)));
	assert_error(&e, ERR_ABSENT);
	ask(r->db, ASK(.webhook_url = "https://x/"));
	assert_false(STEP(r->db, job_erase(r->db, NUMBER, 1, &e)));
	assert_error(&e, ERR_BUSY); /* a job waits */
	int64_t job = done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 9000, &e)));
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		assert_true(db_exec(r->db, &rows, &e, empty[i]));
		assert_int_equal(rows.rows, 0);
		db_rows_release(&rows);
	}
	/* Until its objects are gone the number cannot be asked for. */
	assert_true(job_erasures(r->db, &rows, &e));
	assert_int_equal(rows.rows, 1);
	assert_string_equal(db_text(&rows, 0, 0), NUMBER);
	db_rows_release(&rows);
	assert_false(STEP(r->db, job_request(r->db, ASK(), &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(STEP(r->db, job_ensure(r->db, ASK(), JOB_ANY_AGE, &t, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(ask(r->db, ASK(.number = OTHER)).first);
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, 9000, &e)));
	assert_true(job_erasures(r->db, &rows, &e));
	assert_int_equal(rows.rows, 0);
	db_rows_release(&rows);
	t = ask(r->db, ASK());
	assert_true(t.first);
	assert_true(t.job_id > job); /* numbers of jobs are never given twice */
}

/* Whoever knows the last mark erases; it is never older than the one before. */
static void test_erasing(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int64_t first, second, next;
	done(r->db, SCOPE_DOCUMENTS, OUTCOME_PARTIAL);
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, INT64_C(1) << 60, &e)));
	assert_true(STEP(r->db, job_erasing(r->db, NUMBER, INT64_C(1) << 60, &first, &e)));
	assert_int_equal(first, (INT64_C(1) << 60) + 1);
	assert_true(db_run_once(r->db, "UPDATE erasure SET at_ms = 7", &e));
	assert_true(STEP(r->db, job_erasing(r->db, NUMBER, 7, &second, &e)));
	assert_true(second > 1000000);
	assert_false(STEP(r->db, job_erasing(r->db, NUMBER, 7, &next, &e)));
	assert_error(&e, ERR_BUSY);
	assert_int_equal(next, 7);
	assert_false(STEP(r->db, job_erased(r->db, NUMBER, 7, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_erased(r->db, NUMBER, second, &e)));
	assert_false(STEP(r->db, job_erasing(r->db, NUMBER, second, &next, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_false(STEP(r->db, job_erased(r->db, NUMBER, second, &e)));
	assert_error(&e, ERR_ABSENT);
}

/* ---- Batches ---- */

static void test_batch(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct batch_list b;
	int64_t id;
	done(r->db, SCOPE_DOCUMENTS, OUTCOME_COMPLETE);
	struct batch_entry entries[] = {{.number = OTHER}, {.number = NUMBER}, {.number = OTHER}};
	assert_true(
		STEP(r->db, job_request_batch(r->db, ASK(), JOB_ANY_AGE, 7, entries, 0, &id, &e)));
	assert_int_equal(id, 0);
	assert_true(
		STEP(r->db, job_request_batch(r->db, ASK(), JOB_ANY_AGE, 7, entries, 3, &id, &e)));
	assert_true(id > 0);
	assert_true(entries[0].ticket.first);
	assert_true(entries[1].ticket.idle);
	assert_true(entries[2].ticket.adopted);
	assert_int_equal(entries[0].ticket.job_id, entries[2].ticket.job_id);
	assert_true(query_batch(r->db, id, &b, &e));
	assert_int_equal(b.id, id);
	assert_int_equal(b.created_ms, 1000);
	assert_int_equal(b.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(b.items[i].position, i + 1);
	assert_string_equal(b.items[0].number, OTHER);
	assert_int_equal(b.items[0].job_id, entries[0].ticket.job_id);
	assert_string_equal(b.items[0].job_state, "pending");
	assert_false(b.items[0].consulted);
	assert_string_equal(b.items[1].number, NUMBER);
	assert_int_equal(b.items[1].job_id, 0); /* none was needed */
	assert_string_equal(b.items[1].job_state, "");
	assert_true(b.items[1].consulted);
	assert_int_equal(b.items[1].documents, 3);
	assert_int_equal(b.items[1].available, 3);
	assert_int_equal(b.items[1].failed, 0);
	batch_list_release(&b);
	batch_list_release(&b);

	assert_true(STEP(r->db, job_cancel(r->db, entries[0].ticket.job_id, 2000, &e)));
	assert_true(STEP(r->db, job_erase(r->db, OTHER, 2000, &e)));
	assert_true(query_batch(r->db, id, &b, &e));
	assert_int_equal(b.n, 3);
	assert_string_equal(b.items[2].number, OTHER);
	assert_int_equal(b.items[2].job_id, 0);
	batch_list_release(&b);
	/* All or nothing: a number that is being erased refuses the whole. */
	assert_false(
		STEP(r->db, job_request_batch(r->db, ASK(), JOB_ANY_AGE, 7, entries, 3, &id, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(query_batch(r->db, 4711, &b, &e));
	assert_error(&e, ERR_ABSENT);
	batch_list_release(&b);
}

/* ---- The order of leases ---- */

static void number_of(int i, char out[static 21])
{
	snprintf(out, 21, "%020d", i);
}

static void test_claim_ready(void **state)
{
	static const struct {
		int priority;
		int64_t at;
	} jobs[] = {{0, 1000}, {5, 3000}, {0, 900}, {5, 2000}, {-9, 1}, {9, 9000}};
	static const size_t order[] = {3, 1, 2, 0, 4}; /* the sixth may not run yet */
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l[8];
	int64_t ids[6];
	char number[21];
	for (size_t i = 0; i < 6; i++) {
		number_of((int)i + 1, number);
		ids[i] = ask(r->db, ASK(.number = number, .priority = jobs[i].priority,
					.now_ms = jobs[i].at))
				 .job_id;
	}
	size_t n = 2;
	assert_true(STEP(r->db, job_claim_ready(r->db, "me", 5000, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 2);
	size_t rest = 6;
	assert_true(STEP(r->db, job_claim_ready(r->db, "me", 5000, LEASE, NULL, l + 2, &rest, &e)));
	assert_int_equal(rest, 3);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(l[i].job_id, ids[order[i]]);
		assert_int_equal(l[i].epoch, 1);
		assert_true(l[i].relist);
		assert_int_equal(l[i].waited_ms, 5000 - jobs[order[i]].at);
		number_of((int)order[i] + 1, number);
		assert_string_equal(l[i].number, number);
	}
	n = 6;
	assert_true(STEP(r->db, job_claim_ready(r->db, "me", 5000, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 0);
	/* Leases that ran out are as ready as what waits, and in the same order. */
	n = 3;
	assert_true(
		STEP(r->db, job_claim_ready(r->db, "you", 5000 + LEASE, LEASE, NULL, l, &n, &e)));
	assert_int_equal(n, 3);
	assert_int_equal(l[0].job_id, ids[5]);
	assert_int_equal(l[1].job_id, ids[3]);
	assert_int_equal(l[1].epoch, 2);
	assert_int_equal(l[2].job_id, ids[1]);
}

/* ---- Notes ---- */

/* The notes of one step as text, such as "R1 C1": kind and job. */
static void notes_are(struct db *db, const char *want)
{
	static const char kinds[] = {[NOTE_CHANGED] = 'C', [NOTE_READY] = 'R', [NOTE_ACCESS] = 'A'};
	char is[200] = "";
	for (size_t i = 0; i < db->nnotes; i++) {
		assert_true(db->notes[i].process_id > 0);
		snprintf(is + strlen(is), sizeof is - strlen(is), "%s%c%d", i ? " " : "",
			 kinds[db->notes[i].kind], (int)db->notes[i].job_id);
	}
	assert_string_equal(is, want);
}

static void test_notes(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_ticket t;
	ask(r->db, ASK(.scope = SCOPE_LIST));
	notes_are(r->db, "R1");
	ask(r->db, ASK(.scope = SCOPE_LIST));
	notes_are(r->db, ""); /* nothing changed */
	struct job_lease l = claim(r->db, 1, 1000);
	notes_are(r->db, "C1");
	list_abc(r->db, &l);
	notes_are(r->db, "C1");
	ask(r->db, ASK());
	notes_are(r->db, "C1"); /* widened */
	assert_false(round_ends(r->db, &l, OUTCOME_LIMITED, 4000));
	notes_are(r->db, "R1");
	l = claim(r->db, 1, 1000);
	assert_true(STEP(r->db, job_hand_back(r->db, &l, 4000, &e)));
	notes_are(r->db, "R1");
	l = claim(r->db, 1, 1000);
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_EMPTY)};
	assert_true(record(r->db, &l, res, 2));
	notes_are(r->db, "C1");
	assert_true(STEP(r->db, job_release_all(r->db, 4000, &e)));
	notes_are(r->db, "R1");
	l = claim(r->db, 1, 1000);
	assert_true(round_ends(r->db, &l, OUTCOME_PARTIAL, 4000));
	notes_are(r->db, "C1");
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	notes_are(r->db, "R1");
	assert_true(STEP(r->db, job_cancel(r->db, 1, 5000, &e)));
	notes_are(r->db, "C1");
	choose(r->db, "c", 6000);
	notes_are(r->db, "R2 C2");
	assert_true(STEP(r->db, job_cancel(r->db, 2, 6000, &e)));
	assert_true(STEP(r->db, job_erase(r->db, NUMBER, 6000, &e)));
	notes_are(r->db, "C0");
	/* Undone: nobody is told. */
	assert_false(STEP(r->db, job_request(r->db, ASK(), &t, &e)));
	notes_are(r->db, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
		TEST(test_retry_id),
		TEST(test_cancel),
		TEST(test_cancel_waiting),
		TEST(test_erase),
		TEST(test_erasing),
		TEST(test_batch),
		TEST(test_claim_ready),
		TEST(test_notes),
	};
	return database_run(tests);
}
