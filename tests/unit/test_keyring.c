/*
 * Keys in memory: who is let in, that a change in the database is known to the next request, and
 * that the use of a key is reported at most once a minute.
 */
#include "keyring.h"

#include "ledger.h"
#include "database.h"

#include <pthread.h>
#include <stdatomic.h>

struct room {
	char *dir, *url;
	struct ledger *ledger;
	struct keyring *keyring;
	int64_t admin, user;
};

/* ---- Changing users and keys ---- */

struct change {
	enum { ADD_USER, ADD_KEY, REVOKE, REVOKE_ALL, SWITCH_OFF, DELETE, USED } what;
	struct user_facts facts;
	int64_t user_id, key_id, expires_ms, now_ms;
	char key[ACCESS_KEY_SIZE];
};

static bool apply(struct db *db, void *arg, struct err *e)
{
	struct change *c = arg;
	struct user_change off = {.rate_limit = -1, .rate_window_s = -1, .active = 0};
	switch (c->what) {
	case ADD_USER:
		return access_create_user(db, &c->facts, c->now_ms, &c->user_id, e);
	case ADD_KEY:
		return access_create_key(db, c->user_id, "", c->now_ms, c->expires_ms, c->key,
					 &c->key_id, e);
	case REVOKE:
		return access_revoke_key(db, c->user_id, c->key_id, c->now_ms, e);
	case REVOKE_ALL:
		return access_revoke_all(db, c->user_id, c->now_ms, e);
	case SWITCH_OFF:
		return access_change_user(db, c->user_id, &off, c->now_ms, e);
	case DELETE:
		return access_delete_user(db, c->user_id, e);
	case USED:
		return access_used(db, c->key_id, c->now_ms, e);
	}
	return false;
}

static void change(struct room *r, struct change *c)
{
	struct err e;
	c->now_ms = c->now_ms ? c->now_ms : sys_wall_ms();
	assert_true(ledger_write(r->ledger, apply, c, &e));
}

static struct change key_of(struct room *r, int64_t user_id, int64_t expires_ms)
{
	struct change c = {.what = ADD_KEY, .user_id = user_id, .expires_ms = expires_ms};
	change(r, &c);
	return c;
}

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	struct change admin = {.facts = {.username = "admin",
					 .email = "",
					 .role = ROLE_ADMIN,
					 .rate_limit = 5,
					 .rate_window_s = 7,
					 .active = true}};
	struct change user = {
		.facts = {.username = "user", .email = "", .role = ROLE_USER, .active = true}};
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->ledger = ledger_open(r->url, &e);
	assert_non_null(r->ledger);
	r->keyring = keyring_new(r->url, &e);
	assert_non_null(r->keyring);
	ledger_watch(r->ledger, keyring_notes, r->keyring);
	change(r, &admin);
	change(r, &user);
	r->admin = admin.user_id;
	r->user = user.user_id;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	ledger_close(r->ledger);
	keyring_free(r->keyring);
	scratch_remove(r->dir);
	database_drop(r->url);
	xfree(r);
	return 0;
}

/* ERR_NONE: known. */
static void finds(struct room *r, const char *key, enum err_kind kind)
{
	struct grant g;
	struct err e = {0};
	bool use;
	assert_int_equal(keyring_find(r->keyring, key, &g, &use, &e), kind == ERR_NONE);
	if (kind != ERR_NONE)
		assert_error(&e, kind);
}

static bool used(struct room *r, const char *key)
{
	struct grant g;
	struct err e;
	bool use;
	assert_true(keyring_find(r->keyring, key, &g, &use, &e));
	return use;
}

/* ---- Who is let in ---- */

static void test_known(void **state)
{
	struct room *r = *state;
	struct grant g;
	struct err e;
	bool use;
	assert_int_equal(keyring_count(r->keyring), 0);
	struct change a = key_of(r, r->admin, 0), b = key_of(r, r->user, 0);
	assert_int_equal(keyring_count(r->keyring), 2);
	assert_true(keyring_find(r->keyring, a.key, &g, &use, &e));
	assert_int_equal(g.user_id, r->admin);
	assert_int_equal(g.key_id, a.key_id);
	assert_int_equal(g.role, ROLE_ADMIN);
	assert_int_equal(g.rate_limit, 5);
	assert_int_equal(g.rate_window_s, 7);
	assert_string_equal(g.username, "admin");
	assert_true(keyring_find(r->keyring, b.key, &g, &use, &e));
	assert_int_equal(g.role, ROLE_USER);
	assert_string_equal(g.username, "user");
}

static void test_unknown(void **state)
{
	struct room *r = *state;
	char longer[2000];
	finds(r, "autos_x", ERR_DENIED); /* while there is none at all */
	struct change a = key_of(r, r->admin, 0);
	memset(longer, 'x', sizeof longer);
	memcpy(longer, a.key, strlen(a.key));
	longer[sizeof longer - 1] = '\0';
	finds(r, "", ERR_DENIED);
	finds(r, "autos_", ERR_DENIED);
	finds(r, longer, ERR_DENIED);
	longer[strlen(a.key) + 1] = '\0';
	finds(r, longer, ERR_DENIED); /* one character more */
	a.key[strlen(a.key) - 1] ^= 1;
	finds(r, a.key, ERR_DENIED);
}

static void test_revoked(void **state)
{
	struct room *r = *state;
	struct change a = key_of(r, r->admin, 0), b = key_of(r, r->admin, 0);
	finds(r, a.key, ERR_NONE);
	a.what = REVOKE;
	change(r, &a);
	finds(r, a.key, ERR_DENIED);
	finds(r, b.key, ERR_NONE);
	b.what = REVOKE_ALL;
	change(r, &b);
	finds(r, b.key, ERR_DENIED);
	assert_int_equal(keyring_count(r->keyring), 0);
}

static void test_user_is_gone(void **state)
{
	struct room *r = *state;
	struct change a = key_of(r, r->user, 0);
	finds(r, a.key, ERR_NONE);
	change(r, &(struct change){.what = SWITCH_OFF, .user_id = r->user});
	finds(r, a.key, ERR_DENIED);
	change(r, &(struct change){.what = DELETE, .user_id = r->user});
	finds(r, a.key, ERR_DENIED);
}

static void test_expired(void **state)
{
	struct room *r = *state;
	struct change over = key_of(r, r->admin, sys_wall_ms() - 1);
	struct change good = key_of(r, r->admin, sys_wall_ms() + 60000);
	finds(r, over.key, ERR_INPUT);
	finds(r, good.key, ERR_NONE);
	assert_int_equal(keyring_count(r->keyring), 1); /* those that may be used */
}

/* Only what the ledger tells makes it read again: knowing a key costs no query. */
static void test_no_query_without_news(void **state)
{
	struct room *r = *state;
	struct change a = key_of(r, r->admin, 0);
	struct db_note note = {.kind = NOTE_CHANGED, .process_id = 1};
	finds(r, a.key, ERR_NONE);
	/* A change that nobody tells. */
	struct err e;
	assert_true(db_run_once(ledger_db(r->ledger), "DELETE FROM api_key", &e));
	keyring_notes(r->keyring, &note, 1);
	finds(r, a.key, ERR_NONE);
	note.kind = NOTE_ACCESS;
	keyring_notes(r->keyring, &note, 1);
	finds(r, a.key, ERR_DENIED);
}

static void test_many_keys(void **state)
{
	enum { N = 200 };
	struct room *r = *state;
	char(*keys)[ACCESS_KEY_SIZE] = xcalloc(N, sizeof *keys);
	for (int i = 0; i < N; i++) {
		struct change c = key_of(r, i % 2 ? r->admin : r->user, 0);
		memcpy(keys[i], c.key, sizeof *keys);
	}
	assert_int_equal(keyring_count(r->keyring), N);
	for (int i = 0; i < N; i++) {
		struct grant g;
		struct err e;
		bool use;
		assert_true(keyring_find(r->keyring, keys[i], &g, &use, &e));
		assert_int_equal(g.user_id, i % 2 ? r->admin : r->user);
		keys[i][8] ^= 1;
		finds(r, keys[i], ERR_DENIED);
	}
	xfree(keys);
}

/* ---- The database fails ---- */

static void test_no_database(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	char *none = xasprintf("sqlite:%s/none.db", r->dir);
	assert_null(keyring_new(none, &e));
	assert_error(&e, ERR_ABSENT);
	xfree(none);
	keyring_free(NULL);
}

static void test_database_fails(void **state)
{
	struct room *r = *state;
	struct err e;
	struct db *db = ledger_db(r->ledger);
	struct db_note note = {.kind = NOTE_ACCESS};
	struct change a = key_of(r, r->admin, 0);
	finds(r, a.key, ERR_NONE);
	assert_true(db_run_once(db, "ALTER TABLE api_key RENAME TO elsewhere", &e));
	keyring_notes(r->keyring, &note, 1);
	finds(r, a.key, ERR_FAIL); /* nobody is let in by what may be out of date */
	finds(r, a.key, ERR_FAIL);
	assert_int_equal(keyring_count(r->keyring), 0);
	assert_true(db_run_once(db, "ALTER TABLE elsewhere RENAME TO api_key", &e));
	finds(r, a.key, ERR_NONE);
}

/* ---- Use ---- */

static void test_use_once_a_minute(void **state)
{
	struct room *r = *state;
	struct change a = key_of(r, r->admin, 0), b = key_of(r, r->user, 0);
	assert_true(used(r, a.key));
	assert_false(used(r, a.key));
	assert_true(used(r, b.key)); /* each by itself */
	assert_false(used(r, b.key));
	finds(r, "autos_x", ERR_DENIED);
	assert_false(used(r, a.key));
}

/* A new table, made before the use is in the database, does not report it again. */
static void test_use_survives_a_change(void **state)
{
	struct room *r = *state;
	struct change a = key_of(r, r->admin, 0);
	assert_true(used(r, a.key));
	struct change b = key_of(r, r->user, 0);
	assert_false(used(r, a.key));
	assert_true(used(r, b.key));
	key_of(r, r->user, 0);
	assert_false(used(r, a.key));
	assert_false(used(r, b.key));
}

static void test_use_that_is_written_down(void **state)
{
	struct room *r = *state;
	struct change a = key_of(r, r->admin, 0), b = key_of(r, r->admin, 0);
	a.what = b.what = USED;
	a.now_ms = sys_wall_ms();
	b.now_ms = sys_wall_ms() - 61000;
	change(r, &a);
	change(r, &b);
	key_of(r, r->user, 0); /* a new table */
	assert_false(used(r, a.key));
	assert_true(used(r, b.key));
}

/* ---- Threads ---- */

enum { THREADS = 6, ROUNDS = 150 };

struct storm {
	struct room *room;
	char steady[ACCESS_KEY_SIZE];
	_Atomic(const char *) revoked; /* told to be revoked */
	_Atomic bool over;
};

struct finder {
	pthread_t thread;
	struct storm *storm;
	int uses, wrong;
};

static void *find_many(void *arg)
{
	struct finder *me = arg;
	struct storm *s = me->storm;
	while (!atomic_load(&s->over)) {
		struct grant g;
		struct err e;
		bool use;
		const char *revoked = atomic_load(&s->revoked);
		if (!keyring_find(s->room->keyring, s->steady, &g, &use, &e))
			me->wrong++;
		me->uses += use;
		if (revoked && keyring_find(s->room->keyring, revoked, &g, &use, &e))
			me->wrong++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct room *r = *state;
	struct storm s = {.room = r};
	struct finder f[THREADS];
	struct change steady = key_of(r, r->admin, 0);
	struct change *keys = xcalloc(ROUNDS, sizeof *keys);
	memcpy(s.steady, steady.key, sizeof s.steady);
	for (int i = 0; i < THREADS; i++) {
		f[i] = (struct finder){.storm = &s};
		assert_int_equal(pthread_create(&f[i].thread, NULL, find_many, &f[i]), 0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		keys[i] = key_of(r, r->user, 0);
		finds(r, keys[i].key, ERR_NONE);
		keys[i].what = REVOKE;
		change(r, &keys[i]);
		atomic_store(&s.revoked, keys[i].key);
	}
	atomic_store(&s.over, true);
	int uses = 0;
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(f[i].thread, NULL), 0);
		assert_int_equal(f[i].wrong, 0);
		uses += f[i].uses;
	}
	assert_int_equal(uses + used(r, steady.key), 1);
	xfree(keys);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_known),
		TEST(test_unknown),
		TEST(test_revoked),
		TEST(test_user_is_gone),
		TEST(test_expired),
		TEST(test_no_query_without_news),
		TEST(test_many_keys),
		TEST(test_no_database),
		TEST(test_database_fails),
		TEST(test_use_once_a_minute),
		TEST(test_use_survives_a_change),
		TEST(test_use_that_is_written_down),
		TEST(test_threads),
	};
	return database_run(tests);
}
