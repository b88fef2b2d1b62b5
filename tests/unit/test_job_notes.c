/*
 * What each step notes for those who listen: a job is ready or a case has changed, once, and
 * nothing when nothing did or it was undone.
 */
#include "asks.h"

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
	const struct CMUnitTest tests[] = {
		TEST(test_notes),
	};
	return database_run(tests);
}
