/*
 * asks - what the unit tests of asking for cases share: requests in few words, rounds of a job, and
 * what they leave of the documents.
 */
#ifndef AUTOS_ASKS_H
#define AUTOS_ASKS_H

#include "jobs.h"

/* A request for everything, with what is given in place of that. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define ASK(...)                                                                                   \
	(&(struct job_ask){.number = NUMBER, .relist = true, .now_ms = 1000, ##__VA_ARGS__})

static inline struct job_ticket ask(struct db *db, const struct job_ask *a)
{
	struct job_ticket t;
	struct err e = {0};
	if (!STEP(db, job_request(db, a, &t, &e)))
		print_error("request: %s\n", e.text);
	assert_true(t.process_id > 0 && t.job_id > 0);
	return t;
}

static inline struct job_ticket choose(struct db *db, const char *doc_id, int64_t now)
{
	struct job_ticket t;
	struct err e = {0};
	if (!STEP(db, job_choose(db, ASK(.now_ms = now), doc_id, &t, &e)))
		print_error("choose: %s\n", e.text);
	return t;
}

/* Ends a round. Gives whether the job is over. */
static inline bool round_ends(struct db *db, const struct job_lease *l, enum outcome o, int64_t now)
{
	struct err e = {0};
	bool over = false;
	assert_true(STEP(db, job_finish(db, l, o, "", now, &over, &e)));
	return over;
}

static inline void list_abc(struct db *db, const struct job_lease *l)
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
static inline void documents_are(struct db *db, const char *want)
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

/* A case whose job of this scope ran to its end; listed at 2000. */
static inline int64_t done(struct db *db, enum job_scope scope, enum outcome outcome)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
