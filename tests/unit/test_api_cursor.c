/*
 * Cursors: whoever follows the links of a list sees everything once, in every order; what is no
 * cursor is refused.
 */
#include "calls.h"

static bool ask_for_many(struct db *db, void *arg, struct err *e)
{
	const int n = *(const int *)arg;
	for (int i = 0; i < n; i++) {
		char number[21];
		struct job_ticket t;
		snprintf(number, sizeof number, "%020d", i);
		struct job_ask ask = {.number = number, .relist = true, .now_ms = 1000 + i / 3};
		if (!job_request(db, &ask, &t, e))
			return false;
	}
	return true;
}

/* Walks a list to its end; gives the values of a member in the order in which they came. */
static char *walk(const char *target, const char *member)
{
	struct buf all;
	buf_init(&all, 1 << 20);
	char *at = xstrdup(target);
	for (int pages = 0; at && pages < 100; pages++) {
		struct rig_answer a = rig_ask(&rig, "GET", at, admin, NULL);
		json_t *list = json_is_array(a.json) ? a.json : rig_get(&a, "jobs"), *one;
		size_t i;
		assert_int_equal(a.status, 200);
		assert_non_null(list);
		assert_true(json_array_size(list) <= 7);
		json_array_foreach(list, i, one)
		{
			json_t *v = json_object_get(one, member);
			if (json_is_string(v))
				buf_addf(&all, "%s\n", json_string_value(v));
			else
				buf_addf(&all, "%lld\n", (long long)json_integer_value(v));
		}
		xfree(at);
		at = next_page(&a);
		rig_drop(&a);
	}
	assert_null(at);
	char *text = xstrdup(buf_str(&all));
	buf_release(&all);
	return text;
}

static size_t lines_of(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* Every case once, in both directions, by every order. */
static void test_cursors_of_cases(void **state)
{
	enum { N = 45 };
	static const char *const sorts[] = {"updated_at", "created_at", "last_consultation",
					    "process_number", "court"};
	(void)state;
	struct err e;
	int n = N;
	assert_true(ledger_write(rig.ledger, ask_for_many, &n, &e));
	for (size_t i = 0; i < 10; i++) {
		char target[120], number[22];
		snprintf(target, sizeof target,
			 "/api/v1/processes?limit=7&sort_by=%s&sort_order=%s", sorts[i / 2],
			 i % 2 ? "asc" : "desc");
		char *all = walk(target, "process_number");
		assert_int_equal(lines_of(all), N);
		for (int k = 0; k < N; k++) {
			snprintf(number, sizeof number, "%020d\n", k);
			assert_non_null(strstr(all, number));
		}
		xfree(all);
	}
}

static void test_cursors_of_jobs_and_users(void **state)
{
	enum { N = 21 };
	(void)state;
	struct err e;
	int n = N;
	assert_true(ledger_write(rig.ledger, ask_for_many, &n, &e));
	for (int i = 0; i < N - 3; i++) {
		char name[20], key[ACCESS_KEY_SIZE];
		snprintf(name, sizeof name, "u%d", i);
		rig_user(&rig, name, ROLE_USER, key);
	}
	char *jobs = walk("/api/v1/jobs?limit=7", "job_id");
	char *users = walk("/api/v1/users?limit=7", "username");
	assert_int_equal(lines_of(jobs), N);
	assert_int_equal(lines_of(users), N);
	assert_non_null(strstr(users, "root\n"));
	xfree(jobs);
	xfree(users);
}

static void test_what_is_no_cursor(void **state)
{
	static const char *const lists[] = {"/api/v1/processes", "/api/v1/users"};
	static const char *const bad[] = {"*", "!!!!", "a%20b", "AAAA", "%C3%A7"};
	(void)state;
	for (size_t i = 0; i < 10; i++) {
		char target[80];
		snprintf(target, sizeof target, "%s?cursor=%s", lists[i / 5], bad[i % 5]);
		struct rig_answer a = rig_ask(&rig, "GET", target, admin, NULL);
		is_problem(&a, 400, "invalid-parameter");
		rig_drop(&a);
	}
	struct rig_answer a = rig_ask(&rig, "GET", "/api/v1/users?cursor=", admin, NULL);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cursors_of_cases),
		TEST(test_cursors_of_jobs_and_users),
		TEST(test_what_is_no_cursor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
