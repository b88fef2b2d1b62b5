/*
 * Users and keys: what is refused, what a key looks like and who may use it, and that somebody is
 * always left who can let others in.
 */
#include "access.h"

#include "schema.h"
#include "database.h"

struct room {
	char *dir, *url;
	struct db *db;
};

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
	assert_true(schema_migrate(r->db, NULL, &e));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	scratch_remove(r->dir);
	database_drop(r->url);
	xfree(r);
	return 0;
}

/* A step that changes something leaves one note; one that fails is undone. */
static bool end(struct db *db, bool ok)
{
	struct err e;
	if (!ok) {
		db_rollback(db);
		return false;
	}
	assert_int_equal(db->nnotes, 1);
	assert_int_equal(db->notes[0].kind, NOTE_ACCESS);
	assert_true(db_commit(db, &e));
	return true;
}

#define STEP(db, call)                                                                             \
	({                                                                                         \
		struct err begin_;                                                                 \
		assert_true(db_begin((db), &begin_));                                              \
		end((db), (call));                                                                 \
	})

static int64_t add_user(struct db *db, const char *name, enum role role)
{
	struct err e = {0};
	int64_t id;
	struct user_facts u = {.username = name, .email = "", .role = role, .active = true};
	if (!STEP(db, access_create_user(db, &u, 1000, &id, &e)))
		print_error("%s\n", e.text);
	assert_true(id > 0);
	return id;
}

static int64_t add_key(struct db *db, int64_t user, int64_t expires,
		       char key[static ACCESS_KEY_SIZE])
{
	struct err e = {0};
	int64_t id;
	assert_true(STEP(db, access_create_key(db, user, "label", 2000, expires, key, &id, &e)));
	assert_true(id > 0);
	return id;
}

static const struct user_change none = {.rate_limit = -1, .rate_window_s = -1, .active = -1};

/* ---- Users ---- */

static void test_roles(void **state)
{
	(void)state;
	for (int i = ROLE_NONE; i <= ROLE_ADMIN; i++)
		assert_int_equal(role_parse(role_name((enum role)i)), i);
	assert_string_equal(role_name(ROLE_NONE), "");
	assert_int_equal(role_parse("Admin"), ROLE_NONE);
	assert_true(ROLE_READONLY < ROLE_USER && ROLE_USER < ROLE_ADMIN);
}

static void test_check_user(void **state)
{
	char name[102], mail[300];
	memset(name, 'a', sizeof name);
	name[101] = '\0';
	memset(mail, 'a', sizeof mail);
	snprintf(mail + 243, sizeof mail - 243, "@example.com");
	const struct {
		const char *username, *email;
		enum role role;
		int64_t limit, window;
		bool ok;
	} t[] = {{"a", "", ROLE_USER, 0, 0, true},
		 {"Ana.B_c@d-9", "a@b", ROLE_ADMIN, 1000000, 86400, true},
		 {name + 1, "x+y@example.com", ROLE_READONLY, 1, 1, true},
		 {"", "", ROLE_USER, 0, 0, false},
		 {name, "", ROLE_USER, 0, 0, false},
		 {"a b", "", ROLE_USER, 0, 0, false},
		 {"jos\xc3\xa9", "", ROLE_USER, 0, 0, false},
		 {"a\n", "", ROLE_USER, 0, 0, false},
		 {"a", "", ROLE_NONE, 0, 0, false},
		 {"a", "nobody", ROLE_USER, 0, 0, false},
		 {"a", "@b", ROLE_USER, 0, 0, false},
		 {"a", "a@", ROLE_USER, 0, 0, false},
		 {"a", "a@b@c", ROLE_USER, 0, 0, false},
		 {"a", "a b@c", ROLE_USER, 0, 0, false},
		 {"a", "a@b\r\nX: y", ROLE_USER, 0, 0, false},
		 {"a", mail, ROLE_USER, 0, 0, false},
		 {"a", "", ROLE_USER, -1, 0, false},
		 {"a", "", ROLE_USER, 1000001, 0, false},
		 {"a", "", ROLE_USER, 0, -1, false},
		 {"a", "", ROLE_USER, 0, 86401, false}};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct err e = {0};
		struct user_facts u = {.username = t[i].username,
				       .email = t[i].email,
				       .role = t[i].role,
				       .rate_limit = t[i].limit,
				       .rate_window_s = t[i].window};
		assert_int_equal(access_check_user(&u, &e), t[i].ok);
		if (!t[i].ok)
			assert_error(&e, ERR_INPUT);
	}
}

static void test_users(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct user_list l;
	int64_t id;
	struct user_facts u = {.username = "ana",
			       .email = "ana@example.com",
			       .role = ROLE_USER,
			       .rate_limit = 10,
			       .rate_window_s = 60,
			       .active = true};
	assert_true(STEP(r->db, access_create_user(r->db, &u, 1000, &id, &e)));
	assert_false(STEP(r->db, access_create_user(r->db, &u, 1000, &id, &e)));
	assert_error(&e, ERR_BUSY);
	u.username = "";
	assert_false(STEP(r->db, access_create_user(r->db, &u, 1000, &id, &e)));
	assert_error(&e, ERR_INPUT);
	assert_true(access_user(r->db, 0, "ana", &l, &e));
	const struct user_view *v = l.users;
	assert_int_equal(l.n, 1);
	assert_string_equal(v->username, "ana");
	assert_string_equal(v->email, "ana@example.com");
	assert_int_equal(v->role, ROLE_USER);
	assert_int_equal(v->rate_limit, 10);
	assert_int_equal(v->rate_window_s, 60);
	assert_true(v->active);
	assert_int_equal(v->created_ms, 1000);
	assert_int_equal(v->updated_ms, 1000);
	assert_int_equal(v->last_access_ms, 0);
	id = v->id;
	user_list_release(&l);
	user_list_release(&l);
	assert_false(access_user(r->db, 0, "eva", &l, &e));
	assert_error(&e, ERR_ABSENT);
	user_list_release(&l);
	assert_false(access_user(r->db, id + 1, NULL, &l, &e));
	user_list_release(&l);

	/* What is not named stays. */
	assert_true(STEP(r->db, access_change_user(r->db, id, &none, 2000, &e)));
	assert_true(access_user(r->db, id, NULL, &l, &e));
	assert_string_equal(l.users->email, "ana@example.com");
	assert_int_equal(l.users->role, ROLE_USER);
	assert_int_equal(l.users->rate_limit, 10);
	assert_int_equal(l.users->rate_window_s, 60);
	assert_true(l.users->active);
	assert_int_equal(l.users->updated_ms, 2000);
	user_list_release(&l);
	struct user_change c = {
		.email = "", .role = ROLE_READONLY, .rate_limit = 0, .rate_window_s = 5};
	assert_true(STEP(r->db, access_change_user(r->db, id, &c, 3000, &e)));
	assert_true(access_user(r->db, id, NULL, &l, &e));
	assert_string_equal(l.users->email, "");
	assert_int_equal(l.users->role, ROLE_READONLY);
	assert_int_equal(l.users->rate_limit, 0);
	assert_int_equal(l.users->rate_window_s, 5);
	assert_false(l.users->active);
	user_list_release(&l);
	c.email = "nonsense";
	assert_false(STEP(r->db, access_change_user(r->db, id, &c, 3000, &e)));
	assert_error(&e, ERR_INPUT);
	assert_false(STEP(r->db, access_change_user(r->db, 4711, &none, 3000, &e)));
	assert_error(&e, ERR_ABSENT);
}

static void test_user_pages(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	struct room *r = *state;
	struct err e;
	struct user_list l;
	for (size_t i = 0; i < 5; i++)
		add_user(r->db, names[i], ROLE_USER);
	assert_true(access_users(r->db, 0, 0, 2, &l, &e));
	assert_int_equal(l.n, 2);
	assert_string_equal(l.users[0].username, "e");
	assert_string_equal(l.users[1].username, "d");
	int64_t below = l.users[1].id;
	user_list_release(&l);
	assert_true(access_users(r->db, below, 0, 10, &l, &e));
	assert_int_equal(l.n, 3);
	assert_string_equal(l.users[0].username, "c");
	user_list_release(&l);
	assert_true(access_users(r->db, 0, 4, 10, &l, &e));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.users[0].username, "a");
	user_list_release(&l);
	assert_true(access_users(r->db, 1, 0, 10, &l, &e));
	assert_int_equal(l.n, 0);
	user_list_release(&l);
}

static void test_last_admin(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int64_t a = add_user(r->db, "a", ROLE_ADMIN), b = add_user(r->db, "b", ROLE_ADMIN);
	struct user_change down = none, off = none;
	down.role = ROLE_USER;
	off.active = 0;
	add_user(r->db, "c", ROLE_USER);
	assert_true(STEP(r->db, access_change_user(r->db, b, &off, 2000, &e)));
	/* b is an admin, but not an active one. */
	assert_false(STEP(r->db, access_change_user(r->db, a, &down, 2000, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(STEP(r->db, access_change_user(r->db, a, &off, 2000, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(STEP(r->db, access_delete_user(r->db, a, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, access_change_user(r->db, a, &none, 2000, &e)));
	off.active = 1;
	assert_true(STEP(r->db, access_change_user(r->db, b, &off, 2000, &e)));
	assert_true(STEP(r->db, access_delete_user(r->db, a, &e)));
	assert_false(STEP(r->db, access_delete_user(r->db, b, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(STEP(r->db, access_delete_user(r->db, a, &e)));
	assert_error(&e, ERR_ABSENT);
}

/* ---- Keys ---- */

static void test_key_text(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char key[ACCESS_KEY_SIZE], other[ACCESS_KEY_SIZE], hash[65], bytes[32];
	int64_t user = add_user(r->db, "ana", ROLE_USER);
	int64_t id = add_key(r->db, user, 0, key);
	add_key(r->db, user, 0, other);
	assert_int_equal(strlen(key), ACCESS_KEY_SIZE - 1);
	assert_memory_equal(key, "autos_", 6);
	assert_int_equal(base64url_decode(key + 6, 43, bytes, sizeof bytes), 32);
	assert_string_not_equal(key, other);
	/* The key itself is nowhere in the database. */
	struct db_rows rows;
	assert_true(db_exec(r->db, &rows, &e, "SELECT * FROM api_key WHERE id = $1", db_i(id)));
	for (size_t i = 0; i < rows.cols; i++)
		if (rows.cells[i].kind == DB_TEXT)
			assert_null(strstr(rows.cells[i].s, key + 12));
	db_rows_release(&rows);
	struct grant *g;
	size_t n;
	assert_true(access_grants(r->db, &g, &n, &e));
	assert_int_equal(n, 2);
	sha256_hex(key, strlen(key), hash);
	assert_string_equal(g[0].hash, hash);
	xfree(g);
	struct key_list l;
	assert_true(access_keys(r->db, user, &l, &e));
	assert_int_equal(l.n, 2);
	assert_int_equal(strlen(l.keys[1].hint), 12);
	assert_memory_equal(l.keys[1].hint, key, 12);
	assert_string_equal(l.keys[1].label, "label");
	assert_string_equal(l.keys[1].username, "ana");
	assert_int_equal(l.keys[1].user_id, user);
	assert_int_equal(l.keys[1].created_ms, 2000);
	key_list_release(&l);
	key_list_release(&l);
}

static void test_key_refused(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char key[ACCESS_KEY_SIZE], label[202];
	int64_t id, user = add_user(r->db, "ana", ROLE_USER);
	memset(label, 'x', 201);
	label[201] = '\0';
	assert_false(STEP(r->db, access_create_key(r->db, 99, "", 1, 0, key, &id, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_string_equal(key, "");
	assert_false(STEP(r->db, access_create_key(r->db, user, label, 1, 0, key, &id, &e)));
	assert_error(&e, ERR_INPUT);
	assert_false(STEP(r->db, access_create_key(r->db, user, "a\nb", 1, 0, key, &id, &e)));
	assert_error(&e, ERR_INPUT);
	assert_true(STEP(r->db, access_create_key(r->db, user, NULL, 1, 0, key, &id, &e)));
}

static void grants_are(struct db *db, size_t want)
{
	struct err e;
	struct grant *g;
	size_t n;
	assert_true(access_grants(db, &g, &n, &e));
	assert_int_equal(n, want);
	xfree(g);
}

static void test_grants(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct grant *g;
	size_t n;
	char key[ACCESS_KEY_SIZE];
	struct user_change off = none;
	int64_t a = add_user(r->db, "ana", ROLE_ADMIN), b = add_user(r->db, "bia", ROLE_USER);
	int64_t k1 = add_key(r->db, a, 9000, key), k2 = add_key(r->db, b, 0, key),
		k3 = add_key(r->db, b, 0, key);
	struct user_change limits = none;
	limits.rate_limit = 7;
	limits.rate_window_s = 8;
	assert_true(STEP(r->db, access_change_user(r->db, a, &limits, 2000, &e)));
	assert_true(db_begin(r->db, &e));
	assert_true(access_used(r->db, k1, 5000, &e));
	assert_int_equal(r->db->nnotes, 0); /* nothing that decides has changed */
	assert_true(db_commit(r->db, &e));
	assert_true(access_grants(r->db, &g, &n, &e));
	assert_int_equal(n, 3);
	assert_int_equal(g[0].key_id, k1);
	assert_int_equal(g[0].user_id, a);
	assert_int_equal(g[0].role, ROLE_ADMIN);
	assert_int_equal(g[0].rate_limit, 7);
	assert_int_equal(g[0].rate_window_s, 8);
	assert_int_equal(g[0].expires_ms, 9000);
	assert_int_equal(g[0].last_used_ms, 5000);
	assert_string_equal(g[0].username, "ana");
	assert_int_equal(g[1].last_used_ms, 0);
	xfree(g);
	struct user_list l;
	assert_true(access_user(r->db, a, NULL, &l, &e));
	assert_int_equal(l.users->last_access_ms, 5000);
	user_list_release(&l);

	assert_false(STEP(r->db, access_revoke_key(r->db, a, k2, 6000, &e))); /* another's */
	assert_error(&e, ERR_ABSENT);
	assert_true(STEP(r->db, access_revoke_key(r->db, b, k2, 6000, &e)));
	assert_false(STEP(r->db, access_revoke_key(r->db, b, k2, 6000, &e)));
	assert_error(&e, ERR_ABSENT);
	grants_are(r->db, 2);
	struct key_list keys;
	assert_true(access_keys(r->db, 0, &keys, &e));
	assert_int_equal(keys.n, 3);
	assert_int_equal(keys.keys[0].id, k3); /* newest first */
	assert_int_equal(keys.keys[1].revoked_ms, 6000);
	assert_int_equal(keys.keys[2].expires_ms, 9000);
	assert_int_equal(keys.keys[2].last_used_ms, 5000);
	key_list_release(&keys);

	off.active = 0;
	assert_true(STEP(r->db, access_change_user(r->db, b, &off, 6000, &e)));
	grants_are(r->db, 1);
	off.active = 1;
	assert_true(STEP(r->db, access_change_user(r->db, b, &off, 6000, &e)));
	grants_are(r->db, 2);
	assert_true(STEP(r->db, access_revoke_all(r->db, b, 7000, &e)));
	grants_are(r->db, 1);
	assert_false(STEP(r->db, access_revoke_all(r->db, 99, 7000, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_true(STEP(r->db, access_revoke_key(r->db, 0, k1, 6000, &e)));
	grants_are(r->db, 0);
	assert_true(STEP(r->db, access_delete_user(r->db, b, &e)));
	assert_true(access_keys(r->db, 0, &keys, &e));
	assert_int_equal(keys.n, 1); /* its keys went with it */
	key_list_release(&keys);
}

static void test_secret(void **state)
{
	struct room *r = *state;
	struct err e;
	char a[65], b[65], other[65];
	assert_true(access_secret(r->db, "link", a, &e));
	assert_true(access_secret(r->db, "link", b, &e));
	assert_true(access_secret(r->db, "webhook", other, &e));
	assert_int_equal(strlen(a), 64);
	assert_int_equal(strspn(a, "0123456789abcdef"), 64);
	assert_string_equal(a, b);
	assert_string_not_equal(a, other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_check_user),
		TEST(test_users),
		TEST(test_user_pages),
		TEST(test_last_admin),
		TEST(test_key_text),
		TEST(test_key_refused),
		TEST(test_grants),
		TEST(test_secret),
	};
	return database_run(tests);
}
