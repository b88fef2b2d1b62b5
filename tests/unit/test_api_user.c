/*
 * Users and keys over the API: who may change what, what is said about mistakes, and that a key is
 * shown once and works until it is revoked.
 */
#include "api_rig.h"
#include "contract.h"

#define USERS "/api/v1/users"

static struct rig rig;
static struct contract contract;
static char admin[ACCESS_KEY_SIZE], user[ACCESS_KEY_SIZE], reader[ACCESS_KEY_SIZE];
static int64_t admin_id, user_id, reader_id;

static int begin(void **state)
{
	(void)state;
	rig_open(&rig, NULL);
	contract_open(&contract);
	admin_id = rig_user(&rig, "root", ROLE_ADMIN, admin);
	user_id = rig_user(&rig, "clerk", ROLE_USER, user);
	reader_id = rig_user(&rig, "reader", ROLE_READONLY, reader);
	return 0;
}

static int end(void **state)
{
	(void)state;
	contract_close(&contract);
	rig_close(&rig);
	return 0;
}

/* The answer's status; the answer is dropped. */
static int status_of(const char *method, const char *target, const char *key, const char *body)
{
	struct rig_answer a = rig_ask(&rig, method, target, key, body);
	int status = a.status;
	rig_drop(&a);
	return status;
}

static void assert_problem(struct rig_answer *a, int status, const char *name)
{
	const char *type = rig_text(a, "type");
	assert_contract(&contract, "Problem", a->json);
	if (a->status != status)
		print_error("%d: %s\n", a->status, a->text);
	assert_int_equal(a->status, status);
	assert_string_equal(rig_header(a, "Content-Type"), "application/problem+json");
	assert_true(strlen(type) > strlen(name));
	assert_string_equal(type + strlen(type) - strlen(name), name);
	rig_drop(a);
}

static char *of_user(int64_t id, const char *more)
{
	return xasprintf(USERS "/%lld%s", (long long)id, more);
}

/* Asks about one user. */
static struct rig_answer ask_user(const char *method, int64_t id, const char *more, const char *key,
				  const char *body)
{
	char *target = of_user(id, more);
	struct rig_answer a = rig_ask(&rig, method, target, key, body);
	xfree(target);
	return a;
}

/* ---- Making users ---- */

static void a_new_user_has_a_key(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "POST", USERS, admin,
				      "{\"username\":\"ana\",\"email\":\"ana@example.org\","
				      "\"rate_limit_requests\":7}");
	assert_int_equal(a.status, 200);
	assert_contract(&contract, "UserCreated", a.json);
	assert_string_equal(rig_text(&a, "user/username"), "ana");
	assert_string_equal(rig_text(&a, "user/email"), "ana@example.org");
	assert_string_equal(rig_text(&a, "user/role"), "user");
	assert_int_equal(rig_int(&a, "user/rate_limit_requests"), 7);
	assert_true(json_is_null(rig_get(&a, "user/rate_limit_window")));
	assert_true(json_is_null(rig_get(&a, "user/last_access")));
	assert_true(json_is_true(rig_get(&a, "user/active")));
	assert_int_equal(strlen(rig_text(&a, "api_key")), ACCESS_KEY_SIZE - 1);
	struct rig_answer me = rig_ask(&rig, "GET", USERS "/me", rig_text(&a, "api_key"), NULL);
	assert_int_equal(me.status, 200);
	assert_contract(&contract, "User", me.json);
	assert_true(json_equal(rig_get(&me, "id"), rig_get(&a, "user/id")));
	assert_string_equal(rig_header(&me, "X-RateLimit-Limit"), "7");
	rig_drop(&me);
	rig_drop(&a);
}

static void names_are_unique(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "POST", USERS, admin, "{\"username\":\"clerk\"}");
	assert_problem(&a, 400, "/username-taken");
}

/* Every wrong member is named, with a place in the body. */
static void wrong_members_are_named(void **state)
{
	static const struct {
		const char *body, *pointer;
	} wrong[] = {
		{"{}", "/username"},
		{"{\"username\":7}", "/username"},
		{"{\"username\":\"\"}", "/username"},
		{"{\"username\":\"two words\"}", "/username"},
		{"{\"username\":\"b\",\"email\":\"no address\"}", "/email"},
		{"{\"username\":\"b\",\"role\":\"owner\"}", "/role"},
		{"{\"username\":\"b\",\"rate_limit_requests\":-1}", "/rate_limit_requests"},
		{"{\"username\":\"b\",\"rate_limit_window\":\"60\"}", "/rate_limit_window"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct rig_answer a = rig_ask(&rig, "POST", USERS, admin, wrong[i].body);
		if (strcmp(rig_text(&a, "errors/0/pointer"), wrong[i].pointer) != 0)
			print_error("%s: %s\n", wrong[i].body, a.text);
		assert_string_equal(rig_text(&a, "errors/0/pointer"), wrong[i].pointer);
		assert_int_equal(json_array_size(rig_get(&a, "errors")), 1);
		assert_problem(&a, 422, "/invalid-body");
	}
	struct rig_answer a = rig_ask(&rig, "POST", USERS, admin,
				      "{\"username\":\"a b\",\"email\":\"x\",\"role\":\"y\"}");
	assert_int_equal(json_array_size(rig_get(&a, "errors")), 3);
	rig_drop(&a);
}

static void a_replayed_answer_has_no_key(void **state)
{
	static const char body[] = "{\"username\":\"once\"}";
	(void)state;
	struct rig_answer a =
		rig_ask_with(&rig, "POST", USERS, admin, body, "Idempotency-Key", "k1");
	struct rig_answer b =
		rig_ask_with(&rig, "POST", USERS, admin, body, "Idempotency-Key", "k1");
	assert_int_equal(a.status, 200);
	assert_int_equal(b.status, 200);
	assert_string_equal(rig_header(&b, "Idempotency-Replayed"), "true");
	assert_true(json_is_string(rig_get(&a, "api_key")));
	assert_true(json_is_null(rig_get(&b, "api_key")));
	assert_true(json_equal(rig_get(&a, "user"), rig_get(&b, "user")));
	rig_drop(&a);
	rig_drop(&b);
}

static void only_admins_manage_users(void **state)
{
	(void)state;
	const char *const keys[] = {user, reader};
	char *one = of_user(user_id, ""), *keys_of = of_user(user_id, "/keys");
	char *again = of_user(user_id, "/regenerate-api-key");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(status_of("GET", USERS, keys[i], NULL), 403);
		assert_int_equal(status_of("POST", USERS, keys[i], "{\"username\":\"x\"}"), 403);
		assert_int_equal(status_of("PUT", one, keys[i], "{}"), 403);
		assert_int_equal(status_of("DELETE", one, keys[i], NULL), 403);
		assert_int_equal(status_of("GET", keys_of, keys[i], NULL), 403);
		assert_int_equal(status_of("POST", keys_of, keys[i], "{}"), 403);
		assert_int_equal(status_of("POST", again, keys[i], NULL), 403);
		assert_int_equal(status_of("GET", USERS "/me", keys[i], NULL), 200);
	}
	assert_int_equal(status_of("GET", USERS, NULL, NULL), 401);
	assert_int_equal(status_of("GET", USERS "/me", NULL, NULL), 401);
	xfree(one);
	xfree(keys_of);
	xfree(again);
}

/* ---- Lists ---- */

static void lists_are_paged(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "GET", USERS "?limit=2", admin, NULL);
	assert_int_equal(a.status, 200);
	assert_int_equal(json_array_size(a.json), 2);
	assert_string_equal(rig_text(&a, "0/username"), "reader");
	assert_string_equal(rig_text(&a, "1/username"), "clerk");
	const char *link = rig_header(&a, "Link");
	assert_non_null(link);
	const char *at = strstr(link, USERS);
	assert_non_null(at);
	char *next = xstrndup(at, strcspn(at, ">"));
	struct rig_answer b = rig_ask(&rig, "GET", next, admin, NULL);
	assert_int_equal(json_array_size(b.json), 1);
	assert_string_equal(rig_text(&b, "0/username"), "root");
	assert_null(rig_header(&b, "Link"));
	xfree(next);
	rig_drop(&a);
	rig_drop(&b);
	a = rig_ask(&rig, "GET", USERS "?skip=1&limit=1", admin, NULL);
	assert_int_equal(json_array_size(a.json), 1);
	assert_string_equal(rig_text(&a, "0/username"), "clerk");
	rig_drop(&a);
	assert_int_equal(status_of("GET", USERS "?limit=0", admin, NULL), 400);
	assert_int_equal(status_of("GET", USERS "?limit=1001", admin, NULL), 400);
	assert_int_equal(status_of("GET", USERS "?cursor=eA", admin, NULL), 400); /* "x" */
}

/* ---- Changing users ---- */

static void a_user_changes_only_the_own_address(void **state)
{
	static const char *const refused[] = {"{\"role\":\"admin\"}", "{\"active\":false}",
					      "{\"rate_limit_requests\":100000}",
					      "{\"rate_limit_window\":null}"};
	(void)state;
	struct rig_answer a =
		rig_ask(&rig, "PUT", USERS "/me", user, "{\"email\":\"clerk@example.org\"}");
	assert_int_equal(a.status, 200);
	assert_string_equal(rig_text(&a, "email"), "clerk@example.org");
	rig_drop(&a);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		a = rig_ask(&rig, "PUT", USERS "/me", user, refused[i]);
		assert_problem(&a, 403, "/role-required");
	}
	a = rig_ask(&rig, "PUT", USERS "/me", user, "{\"email\":null}");
	assert_true(json_is_null(rig_get(&a, "email")));
	assert_string_equal(rig_text(&a, "role"), "user");
	rig_drop(&a);
}

static void an_admin_changes_everything(void **state)
{
	(void)state;
	struct rig_answer a = ask_user(
		"PUT", user_id, "", admin,
		"{\"role\":\"readonly\",\"rate_limit_requests\":5,\"rate_limit_window\":9}");
	assert_int_equal(a.status, 200);
	assert_string_equal(rig_text(&a, "role"), "readonly");
	assert_int_equal(rig_int(&a, "rate_limit_requests"), 5);
	assert_int_equal(rig_int(&a, "rate_limit_window"), 9);
	rig_drop(&a);
	a = ask_user("PUT", user_id, "", admin, "{\"rate_limit_requests\":null}");
	assert_true(json_is_null(rig_get(&a, "rate_limit_requests")));
	assert_int_equal(rig_int(&a, "rate_limit_window"), 9);
	assert_string_equal(rig_text(&a, "role"), "readonly");
	rig_drop(&a);
	a = ask_user("PUT", user_id, "", admin, "{\"active\":false}");
	assert_true(json_is_false(rig_get(&a, "active")));
	rig_drop(&a);
	assert_int_equal(status_of("GET", USERS "/me", user, NULL), 401);
	a = ask_user("PUT", user_id, "", admin, "{\"active\":true}");
	rig_drop(&a);
	assert_int_equal(status_of("GET", USERS "/me", user, NULL), 200);
	a = ask_user("PUT", 999, "", admin, "{\"active\":true}");
	assert_problem(&a, 404, "/user-not-found");
}

static void the_last_admin_stays(void **state)
{
	(void)state;
	struct rig_answer a = ask_user("PUT", admin_id, "", admin, "{\"role\":\"user\"}");
	assert_problem(&a, 409, "/last-admin");
	a = rig_ask(&rig, "PUT", USERS "/me", admin, "{\"active\":false}");
	assert_problem(&a, 409, "/last-admin");
	a = ask_user("DELETE", admin_id, "", admin, NULL);
	assert_problem(&a, 400, "/self-deletion");
	a = ask_user("DELETE", admin_id, "", "control", NULL);
	assert_problem(&a, 409, "/last-admin");
	assert_int_equal(status_of("GET", USERS, admin, NULL), 200);
}

static void a_deleted_user_is_gone(void **state)
{
	(void)state;
	struct rig_answer a = ask_user("DELETE", user_id, "", admin, NULL);
	assert_int_equal(a.status, 200);
	assert_true(rig_text(&a, "message")[0] != '\0');
	rig_drop(&a);
	assert_int_equal(status_of("GET", USERS "/me", user, NULL), 401);
	a = ask_user("DELETE", user_id, "", admin, NULL);
	assert_problem(&a, 404, "/user-not-found");
	assert_int_equal(status_of("DELETE", USERS "/x", admin, NULL), 404);
}

static void the_control_socket_is_no_user(void **state)
{
	(void)state;
	assert_int_equal(status_of("GET", USERS "/me", "control", NULL), 404);
	assert_int_equal(status_of("PUT", USERS "/me", "control", "{}"), 404);
	assert_int_equal(status_of("POST", USERS, "control", "{\"username\":\"made\"}"), 200);
}

/* ---- Keys ---- */

static void a_new_key_replaces_all(void **state)
{
	(void)state;
	struct rig_answer a = ask_user("POST", user_id, "/regenerate-api-key", admin, NULL);
	assert_int_equal(a.status, 200);
	assert_contract(&contract, "KeyRegenerated", a.json);
	assert_int_equal(status_of("GET", USERS "/me", user, NULL), 401);
	assert_int_equal(status_of("GET", USERS "/me", rig_text(&a, "api_key"), NULL), 200);
	rig_drop(&a);
	a = ask_user("POST", 999, "/regenerate-api-key", admin, NULL);
	assert_problem(&a, 404, "/user-not-found");
	assert_int_equal(status_of("GET", USERS "/me", reader, NULL), 200);
}

static void keys_come_and_go(void **state)
{
	(void)state;
	struct rig_answer a = ask_user("POST", reader_id, "/keys", admin,
				       "{\"label\":\"office\",\"expires_in\":3600}");
	assert_int_equal(a.status, 200);
	assert_contract(&contract, "KeyCreated", a.json);
	assert_string_equal(rig_text(&a, "key/label"), "office");
	assert_int_equal(rig_int(&a, "key/user_id"), reader_id);
	assert_true(json_is_string(rig_get(&a, "key/expires_at")));
	assert_true(json_is_null(rig_get(&a, "key/revoked_at")));
	const char *hint = rig_text(&a, "key/hint"), *key = rig_text(&a, "api_key");
	assert_true(strlen(hint) >= 6 && strlen(hint) <= 16);
	assert_true(strncmp(key, hint, strlen(hint)) == 0);
	assert_int_equal(status_of("GET", USERS "/me", key, NULL), 200);

	struct rig_answer all = ask_user("GET", reader_id, "/keys", admin, NULL);
	assert_int_equal(json_array_size(all.json), 2);
	assert_true(json_equal(rig_get(&all, "0/id"), rig_get(&a, "key/id")));
	assert_null(strstr(all.text, key));
	assert_null(strstr(all.text, "hash"));
	rig_drop(&all);

	char *target = xasprintf(USERS "/%lld/keys/%lld", (long long)reader_id,
				 (long long)rig_int(&a, "key/id"));
	assert_int_equal(status_of("DELETE", target, admin, NULL), 200);
	assert_int_equal(status_of("GET", USERS "/me", key, NULL), 401);
	assert_int_equal(status_of("GET", USERS "/me", reader, NULL), 200);
	struct rig_answer again = rig_ask(&rig, "DELETE", target, admin, NULL);
	assert_problem(&again, 404, "/key-not-found");
	xfree(target);
	all = ask_user("GET", reader_id, "/keys", admin, NULL);
	assert_contract(&contract, "Key", rig_get(&all, "0"));
	assert_true(json_is_string(rig_get(&all, "0/revoked_at")));
	rig_drop(&all);
	rig_drop(&a);
}

static void keys_have_bounds(void **state)
{
	static const struct {
		const char *body, *pointer;
	} wrong[] = {
		{"{\"expires_in\":59}", "/expires_in"},
		{"{\"expires_in\":315360001}", "/expires_in"},
		{"{\"expires_in\":\"never\"}", "/expires_in"},
		{"{\"label\":7}", "/label"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct rig_answer a = ask_user("POST", user_id, "/keys", admin, wrong[i].body);
		assert_string_equal(rig_text(&a, "errors/0/pointer"), wrong[i].pointer);
		assert_problem(&a, 422, "/invalid-body");
	}
	struct rig_answer a = ask_user("POST", user_id, "/keys", admin, NULL);
	assert_int_equal(a.status, 200);
	assert_true(json_is_null(rig_get(&a, "key/expires_at")));
	assert_true(json_is_null(rig_get(&a, "key/label")));
	rig_drop(&a);
	a = ask_user("POST", 999, "/keys", admin, NULL);
	assert_problem(&a, 404, "/user-not-found");
	a = ask_user("GET", 999, "/keys", admin, NULL);
	assert_problem(&a, 404, "/user-not-found");
	/* A key of somebody else is not revoked under this user. */
	struct rig_answer mine = ask_user("GET", admin_id, "/keys", admin, NULL);
	char *target = xasprintf(USERS "/%lld/keys/%lld", (long long)user_id,
				 (long long)rig_int(&mine, "0/id"));
	assert_int_equal(status_of("DELETE", target, admin, NULL), 404);
	assert_int_equal(status_of("GET", USERS "/me", admin, NULL), 200);
	rig_drop(&mine);
	xfree(target);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_new_user_has_a_key),
		TEST(names_are_unique),
		TEST(wrong_members_are_named),
		TEST(a_replayed_answer_has_no_key),
		TEST(only_admins_manage_users),
		TEST(lists_are_paged),
		TEST(a_user_changes_only_the_own_address),
		TEST(an_admin_changes_everything),
		TEST(the_last_admin_stays),
		TEST(a_deleted_user_is_gone),
		TEST(the_control_socket_is_no_user),
		TEST(a_new_key_replaces_all),
		TEST(keys_come_and_go),
		TEST(keys_have_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
