/*
 * No statement of a request, and none of the worker's, walks a table or sorts one: SQLite is asked
 * for the plan of each statement that runs. What is allowed is said beside it.
 */
#include "access.h"
#include "delivery.h"
#include "delivery_read.h"
#include "idem.h"
#include "jobs.h"
#include "query_list.h"
#include "webhook_secret.h"

#include <sqlite3.h>

#define ASK (&(struct job_ask){.number = NUMBER, .relist = true, .now_ms = 1000})

static struct {
	sqlite3 *handle; /* asks for plans, nothing else */
	const char *seen[400];
	size_t n, bad;
} plans;

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/*
 * A page of cases: one walk of process in its order, by an index or by row number, cut by LIMIT.
 * Only what is cut is sorted again, with its jobs.
 */
static bool is_good_page(size_t n, char *const steps[])
{
	return n == 7 && starts(steps[0], "CO-ROUTINE p") &&
	       (starts(steps[1], "SEARCH p USING INDEX") ||
		starts(steps[1], "SEARCH p USING INTEGER PRIMARY KEY") ||
		starts(steps[1], "SCAN p USING INDEX") || strcmp(steps[1], "SCAN p") == 0) &&
	       strcmp(steps[2], "SCAN p") == 0 && starts(steps[3], "SEARCH j USING INTEGER") &&
	       starts(steps[5], "SEARCH job USING COVERING INDEX") &&
	       strcmp(steps[6], "USE TEMP B-TREE FOR ORDER BY") == 0;
}

/* What may look slow and is not. */
static bool is_allowed(const char *before, const char *step)
{
	static const struct {
		const char *before, *step;
	} allowed[] = {
		{"", "SCAN CONSTANT ROW"},
		{"SEARCH w USING INDEX", "USE TEMP B-TREE"}, /* the webhooks of one job */
		{"SEARCH f USING INDEX",
		 "USE TEMP B-TREE FOR RIGHT PART"},               /* the links of one paper */
		{"", "SCAN app_user USING INDEX app_user_admin"}, /* LIMIT 1 of all but one */
		/* What is new, cut already. */
		{"SEARCH delivery USING COVERING INDEX delivery_new", "SCAN new"},
		{"", "SCAN t"}, /* hosts of webhooks, once a minute */
		/* A claim: parts that were cut already. */
		{"SEARCH job USING COVERING INDEX job_ready", "SCAN urgent"},
		{"SCALAR SUBQUERY", "SCAN urgent"},
		{"SEARCH job USING COVERING INDEX job_ready", "SCAN level"},
		{"SCALAR SUBQUERY", "SCAN level"},
		{"SCAN level", "SCAN lower"},
		{"SEARCH job USING INDEX job_leased", "SCAN expired"},
		{"SCAN expired", "SCAN ready"},
		{"SCAN ready", "USE TEMP B-TREE"},
		{"USE TEMP B-TREE", "SCAN found"},
	};
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
		if (starts(before, allowed[i].before) && starts(step, allowed[i].step))
			return true;
	return false;
}

static bool is_good_plan(size_t n, char *const steps[])
{
	for (size_t i = 0; i < n; i++) {
		bool slow = starts(steps[i], "SCAN") || strstr(steps[i], "TEMP B-TREE") ||
			    strstr(steps[i], "AUTOMATIC");
		if (slow && !is_allowed(i ? steps[i - 1] : "", steps[i]))
			return false;
	}
	return true;
}

static void check_plan(const char *sql)
{
	char *text = xasprintf("EXPLAIN QUERY PLAN %s", sql), *steps[40];
	size_t n = 0;
	sqlite3_stmt *stmt;
	char *words = db_words(&db_sqlite, text);
	assert_int_equal(sqlite3_prepare_v2(plans.handle, words ? words : text, -1, &stmt, NULL),
			 SQLITE_OK);
	xfree(words);
	for (; sqlite3_step(stmt) == SQLITE_ROW; n++) {
		assert_true(n < sizeof steps / sizeof *steps);
		steps[n] = xstrdup((const char *)sqlite3_column_text(stmt, 3));
	}
	sqlite3_finalize(stmt);
	xfree(text);
	bool page = strstr(sql, "FROM (SELECT p.* FROM process p WHERE") != NULL;
	bool good = page ? is_good_page(n, steps) : is_good_plan(n, steps);
	if (!good)
		print_error("plan of: %s\n", sql);
	for (size_t i = 0; i < n; i++) {
		if (!good)
			print_error("  %s\n", steps[i]);
		xfree(steps[i]);
	}
	plans.bad += !good;
}

static struct db_ops watching;

static bool watching_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
			 struct db_rows *out, struct err *e)
{
	bool known = false;
	for (size_t i = 0; i < plans.n; i++)
		known = known || plans.seen[i] == sql;
	if (!known && strncmp(sql, "BEGIN", 5) != 0 && strncmp(sql, "COMMIT", 6) != 0) {
		assert_true(plans.n < sizeof plans.seen / sizeof *plans.seen);
		plans.seen[plans.n++] = sql;
		check_plan(sql);
	}
	return db_sqlite.run(db, sql, args, nargs, out, e);
}

static void watch(struct room *r)
{
	memset(&plans, 0, sizeof plans);
	assert_int_equal(sqlite3_open_v2(r->url + strlen("sqlite:"), &plans.handle,
					 SQLITE_OPEN_READONLY, NULL),
			 SQLITE_OK);
	watching = db_sqlite;
	watching.run = watching_run;
	r->db->ops = &watching;
}

static void unwatch(struct room *r, size_t at_least)
{
	r->db->ops = &db_sqlite;
	sqlite3_close(plans.handle);
	assert_true(plans.n >= at_least);
	assert_int_equal(plans.bad, 0);
}

/* Steps without the looks of jobs.h, which are none of a request's. */
#define DO(call)                                                                                   \
	do {                                                                                       \
		assert_true(db_begin(r->db, &e));                                                  \
		assert_true(call);                                                                 \
		assert_true(db_commit(r->db, &e));                                                 \
	} while (0)

static void test_jobs(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_ticket t;
	struct job_lease l;
	bool over;
	size_t n = 1;
	struct portal_ref refs[2][3];
	struct portal_doc docs[] = {doc(refs[0], "a", "a", NULL, NULL),
				    doc(refs[1], "b", "b", "b2", NULL)};
	struct job_ask told = *ASK, some = *ASK;
	told.webhook_url = "https://x/";
	some.scope = SCOPE_LIST;
	watch(r);
	DO(job_request(r->db, &some, &t, &e));
	DO(job_request(r->db, &told, &t, &e)); /* widens */
	DO(job_claim_ready(r->db, "me", 1000, LEASE, NULL, &l, &n, &e));
	assert_int_equal(n, 1);
	DO(list(r->db, &l, docs, 2, &e));
	DO(list(r->db, &l, docs, 1, &e));
	DO(list(r->db, &l, docs, 2, &e));
	r->db->ops = &db_sqlite;
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_EMPTY)};
	r->db->ops = &watching;
	DO(job_record_results(r->db, &l, res, 2, 9000, &e));
	DO(job_renew(r->db, &l, 9000, &e));
	DO(job_hand_back(r->db, &l, 2000, &e));
	DO(job_claim(r->db, l.job_id, "me", 2000, LEASE, &l, &e));
	DO(job_finish(r->db, &l, OUTCOME_PARTIAL, "", 3000, &over, &e));
	DO(job_retry_id(r->db, l.job_id, 4000, &t, &e));
	DO(job_cancel(r->db, l.job_id, 4000, &e));
	DO(job_let_go(r->db, l.job_id, "me", &e));
	DO(job_choose(r->db, ASK, "b2", &t, &e));
	DO(job_claim(r->db, t.job_id, "me", 2000, LEASE, &l, &e));
	DO(job_ensure(r->db, &told, 1000, &t, &e));
	DO(job_finish(r->db, &l, OUTCOME_LIMITED, "", 3000, &over, &e));
	assert_false(over);
	DO(job_cancel(r->db, l.job_id, 4000, &e));
	DO(job_erase(r->db, NUMBER, 5000, &e));
	int64_t mark;
	DO(job_erasing(r->db, NUMBER, 5000, &mark, &e));
	DO(job_erased(r->db, NUMBER, mark, &e));
	struct batch_entry entries[] = {{.number = NUMBER}};
	int64_t batch;
	DO(job_request_batch(r->db, ASK, 1000, 1, entries, 1, &batch, &e));
	unwatch(r, 25);
}

/* Turns of the sender, and looks at what it did. */
static void test_deliveries(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_ticket t;
	struct job_lease l;
	bool over;
	size_t n;
	struct delivery_list rows;
	struct attempt_list attempts;
	struct delivery_lease leases[5];
	struct webhook_secret_view secrets[WEBHOOK_SECRETS_MAX];
	struct delivery_limits limits = {2, 4, 1, 1000, 1000};
	struct job_ask told = *ASK;
	told.webhook_url = "https://x/";
	watch(r);
	DO(job_request(r->db, &told, &t, &e));
	DO(job_claim(r->db, t.job_id, "me", 1000, LEASE, &l, &e));
	DO(job_finish(r->db, &l, OUTCOME_EMPTY, "", 2000, &over, &e));
	struct delivery_turn turn = {.limits = &limits,
				     .owner = "me",
				     .now_ms = 3000,
				     .lease_ms = 1000,
				     .rescue = true,
				     .room = 4,
				     .room_proven = 4,
				     .room_unproven = 4,
				     .leases = leases};
	DO(delivery_turn(r->db, &turn, &e));
	assert_int_equal(turn.nleases, 1);
	struct delivery_lease lease = leases[0];
	turn.nleases = 0; /* it is ours */
	turn.held = (struct delivery_held[]){{.lease = &lease}};
	turn.nheld = 1;
	static const enum webhook_fate fates[] = {WEBHOOK_AGAIN, WEBHOOK_DELIVERED};
	for (size_t i = 0; i < 2; i++) {
		struct delivery_result x = {.lease = &lease,
					    .verdict = {.class = i ? WEBHOOK_OK : WEBHOOK_DNS,
							.fate = fates[i],
							.target_failed = !i},
					    .address = "",
					    .answer = ""};
		lease.attempts = (int64_t)i;
		turn.results = &x;
		turn.nresults = 1;
		DO(delivery_turn(r->db, &turn, &e));
		assert_false(x.stale);
		turn.nresults = 0;
		turn.now_ms += 2000; /* behind the pause */
		DO(delivery_turn(r->db, &turn, &e));
		assert_int_equal(turn.nleases, !i);
		lease.epoch++;
		for (size_t k = 0; k < turn.nleases; k++)
			delivery_lease_release(&leases[k]);
	}
	struct delivery_result back = {.lease = &lease, .unsent = true};
	turn.results = &back;
	turn.nresults = 1;
	turn.room = 0;
	DO(delivery_turn(r->db, &turn, &e));
	DO(delivery_sweep(r->db, 1, 1, 9000, &n, &e));
	DO(delivery_failed_again(r->db, 0, -1, 10, 9000, &n, &e));
	DO(delivery_again(r->db, lease.event_id, -1, 9000, &e));
	for (int i = 0; i < 8; i++) {
		struct delivery_filter f = {.user_id = i & 1 ? 0 : -1,
					    .state = i & 2 ? "failed" : NULL,
					    .job_id = i & 4 ? t.job_id : 0,
					    .limit = 10};
		assert_true(delivery_list(r->db, &f, &rows, &e));
		delivery_list_release(&rows);
	}
	assert_true(delivery_one(r->db, lease.event_id, -1, &rows, &e));
	assert_true(delivery_attempts(r->db, rows.rows[0].id, &attempts, &e));
	assert_int_equal(attempts.n, 2);
	attempt_list_release(&attempts);
	delivery_list_release(&rows);
	char text[WEBHOOK_KEY_TEXT];
	int64_t id, until;
	DO(webhook_secret_rotate(r->db, 0, WEBHOOK_HMAC, 9000, 1000, &id, text, &until, &e));
	assert_true(webhook_secrets(r->db, 0, 9000, secrets, &n, &e));
	DO(webhook_secret_retire(r->db, 0, secrets[1].id, 9000, &e));
	DO(delivery_forget_user(r->db, 0, 9000, &e));
	delivery_lease_release(&lease);
	unwatch(r, 40);
}

static void test_lists(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_list cases;
	struct job_list jobs;
	struct event_list events;
	struct batch_list batch;
	struct case_view v;
	struct db_rows rows;
	struct job_lease l = listed(r->db);
	struct batch_entry entries[] = {{.number = NUMBER}};
	int64_t id;
	assert_true(STEP(r->db, job_request_batch(r->db, ASK, 1000, 1, entries, 1, &id, &e)));
	watch(r);
	for (int i = 0; i < 40; i++) {
		struct case_filter f = {.sort = (enum case_sort)(i / 8),
					.ascending = i & 1,
					.court = i & 2 ? "TJSP" : NULL,
					.has_documents = -1,
					.limit = 10,
					.after_id = i & 4 ? 7 : 0};
		assert_true(query_cases(r->db, &f, &cases, &e));
		case_list_release(&cases);
	}
	assert_true(query_case_row(r->db, NUMBER, &cases, &e));
	case_list_release(&cases);
	assert_true(query_case(r->db, NUMBER, &v, &e));
	case_view_release(&v);
	assert_true(query_answer(r->db, l.process_id, "list", &rows, &e));
	db_rows_release(&rows);
	for (int i = 0; i < 4; i++) {
		struct job_filter f = {.state = i & 1 ? "failed" : NULL,
				       .number = i & 2 ? NUMBER : NULL,
				       .limit = 10};
		assert_true(query_jobs(r->db, &f, &jobs, &e));
		job_list_release(&jobs);
	}
	assert_true(query_job(r->db, l.job_id, &jobs, &e));
	job_list_release(&jobs);
	assert_true(query_events(r->db, l.job_id, 0, 10, &events, &e));
	event_list_release(&events);
	assert_true(query_batch(r->db, id, &batch, &e));
	batch_list_release(&batch);
	unwatch(r, 49);
}

static void test_people(void **state)
{
	struct room *r = *state;
	struct err e;
	enum idem_found found;
	struct idem_answer answer;
	struct user_list users;
	struct key_list keys;
	char key[ACCESS_KEY_SIZE], hex[65];
	int64_t a, b, k;
	struct user_facts u = {.username = "a", .email = "", .role = ROLE_ADMIN, .active = true};
	struct user_change down = {.role = ROLE_USER, .rate_limit = -1, .active = -1};
	watch(r);
	DO(access_create_user(r->db, &u, 1, &a, &e));
	u.username = "b";
	DO(access_create_user(r->db, &u, 1, &b, &e));
	DO(access_change_user(r->db, b, &down, 1, &e));
	DO(access_create_key(r->db, b, "", 1, 0, key, &k, &e));
	DO(access_used(r->db, k, 1, &e));
	DO(access_users(r->db, 0, 0, 10, &users, &e));
	user_list_release(&users);
	DO(access_user(r->db, a, NULL, &users, &e));
	user_list_release(&users);
	DO(access_user(r->db, 0, "a", &users, &e));
	user_list_release(&users);
	DO(access_keys(r->db, b, &keys, &e));
	key_list_release(&keys);
	DO(access_revoke_key(r->db, b, k, 1, &e));
	DO(access_revoke_all(r->db, b, 1, &e));
	DO(access_delete_user(r->db, b, &e));
	DO(access_secret(r->db, "x", hex, &e));
	memset(hex, 'a', 64);
	DO(idem_begin(r->db, 1, "k", hex, 1, &found, &answer, &e));
	DO(idem_begin(r->db, 1, "k", hex, 1, &found, &answer, &e));
	DO(idem_end(r->db, 1, "k", 200, NULL, "", &e));
	DO(idem_drop(r->db, 1, "k", &e));
	DO(idem_sweep(r->db, 1, &e));
	unwatch(r, 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {TEST(test_jobs), TEST(test_deliveries), TEST(test_lists),
					   TEST(test_people)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
