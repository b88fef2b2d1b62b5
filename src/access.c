/*
 * access - users, keys and secrets, written down. What is read is in access_read.c.
 */
#include "access.h"

#include "delivery.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

enum {
	NAME_MAX_LEN = 100,
	EMAIL_MAX_LEN = 254, /* RFC 5321, section 4.5.3.1.3: a path of 256 with its brackets */
	LABEL_MAX_LEN = 200,
	LIMIT_MAX = 1000000,
	WINDOW_MAX_S = 86400,
	HINT_LEN = 12,
};

#define KEY_PREFIX "autos_"

static const char *const role_names[] = {
	[ROLE_NONE] = "",
	[ROLE_READONLY] = "readonly",
	[ROLE_USER] = "user",
	[ROLE_ADMIN] = "admin",
};

const char *role_name(enum role r)
{
	return role_names[r];
}

enum role role_parse(const char *name)
{
	for (size_t i = 0; i < sizeof role_names / sizeof *role_names; i++)
		if (strcmp(role_names[i], name) == 0)
			return (enum role)i;
	return ROLE_NONE;
}

static void changed(struct db *db)
{
	db_note(db, (struct db_note){.kind = NOTE_ACCESS});
}

/* ---- Checks ---- */

static bool check_name(const char *s, struct err *e)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-";
	size_t n = strlen(s);
	if (n == 0 || n > NAME_MAX_LEN)
		return fail(e, ERR_INPUT, "a user name has 1 to %d characters", NAME_MAX_LEN);
	if (strspn(s, allowed) != n)
		return fail(e, ERR_INPUT,
			    "a user name consists of letters without accents, digits and . _ @ -");
	return true;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

/* Looks for mistakes of typing only: whether an address works is known by writing to it. */
static bool check_email(const char *s, struct err *e)
{
	const char *at = strchr(s, '@');
	if (*s == '\0')
		return true;
	if (!at || at == s || at[1] == '\0' || strchr(at + 1, '@') || strchr(s, ' ') ||
	    has_control(s) || strlen(s) > EMAIL_MAX_LEN)
		return fail(e, ERR_INPUT, "this is not an e-mail address");
	return true;
}

static bool check_limits(int64_t limit, int64_t window_s, struct err *e)
{
	if (limit < 0 || limit > LIMIT_MAX)
		return fail(e, ERR_INPUT, "a rate limit is 0 (the setting's) to %d", LIMIT_MAX);
	if (window_s < 0 || window_s > WINDOW_MAX_S)
		return fail(e, ERR_INPUT, "a rate window is 0 (the setting's) to %d seconds",
			    WINDOW_MAX_S);
	return true;
}

bool access_check_user(const struct user_facts *u, struct err *e)
{
	return check_name(u->username, e) && check_email(u->email, e) &&
	       check_limits(u->rate_limit, u->rate_window_s, e) &&
	       (u->role != ROLE_NONE ||
		fail(e, ERR_INPUT, "a role is one of readonly, user, admin"));
}

/* ---- Users ---- */

bool access_create_user(struct db *db, const struct user_facts *u, int64_t now_ms, int64_t *id,
			struct err *e)
{
	struct db_rows r;
	*id = 0;
	if (!access_check_user(u, e))
		return false;
	bool ok = db_exec(
		db, &r, e,
		"INSERT INTO app_user (username, email, role, rate_limit, rate_window_s, active,"
		" created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
		" ON CONFLICT (username) DO NOTHING RETURNING id",
		db_s(u->username), db_s(u->email), db_s(role_name(u->role)), db_i(u->rate_limit),
		db_i(u->rate_window_s), db_i(u->active), db_i(now_ms), db_i(now_ms));
	if (ok && r.rows == 0)
		ok = fail(e, ERR_BUSY, "there is a user of this name already");
	if (ok) {
		*id = db_int(&r, 0, 0);
		changed(db);
	}
	db_rows_release(&r);
	return ok;
}

struct user_now {
	enum role role;
	bool active;
};

static bool read_user(struct db *db, int64_t id, struct user_now *out, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT role, active FROM app_user WHERE id = $1", db_i(id));
	if (ok && r.rows == 0)
		ok = fail(e, ERR_ABSENT, "there is no such user");
	if (ok)
		*out = (struct user_now){role_parse(db_text(&r, 0, 0)), db_int(&r, 0, 1) != 0};
	db_rows_release(&r);
	return ok;
}

/* Somebody must be left who can make others admins. */
static bool keep_an_admin(struct db *db, int64_t id, const struct user_now *was, bool stays,
			  struct err *e)
{
	struct db_rows r = {0};
	if (was->role != ROLE_ADMIN || !was->active || stays)
		return true;
	/* All of them, so that two cannot go at the same moment, each for the other's sake. */
	bool ok = db_exec(db, NULL, e,
			  "SELECT 1 FROM app_user WHERE role = 'admin' AND active = 1 ORDER BY id"
			  " %LOCK%") &&
		  db_exec(db, &r, e,
			  "SELECT 1 FROM app_user WHERE role = 'admin' AND active = 1"
			  " AND id <> $1 LIMIT 1",
			  db_i(id));
	if (ok && r.rows == 0)
		ok = fail(e, ERR_BUSY, "this is the last active admin");
	db_rows_release(&r);
	return ok;
}

bool access_change_user(struct db *db, int64_t id, const struct user_change *c, int64_t now_ms,
			struct err *e)
{
	struct user_now was;
	if ((c->email && !check_email(c->email, e)) ||
	    !check_limits(c->rate_limit < 0 ? 0 : c->rate_limit,
			  c->rate_window_s < 0 ? 0 : c->rate_window_s, e) ||
	    !read_user(db, id, &was, e))
		return false;
	enum role role = c->role == ROLE_NONE ? was.role : c->role;
	bool active = c->active < 0 ? was.active : c->active != 0;
	if (!keep_an_admin(db, id, &was, role == ROLE_ADMIN && active, e) ||
	    !db_exec(db, NULL, e,
		     "UPDATE app_user SET email = COALESCE($1, email), role = $2, active = $3,"
		     " rate_limit = CASE WHEN $4 < 0 THEN rate_limit ELSE $5 END,"
		     " rate_window_s = CASE WHEN $6 < 0 THEN rate_window_s ELSE $7 END,"
		     " updated_ms = $8 WHERE id = $9",
		     db_s(c->email), db_s(role_name(role)), db_i(active), db_i(c->rate_limit),
		     db_i(c->rate_limit), db_i(c->rate_window_s), db_i(c->rate_window_s),
		     db_i(now_ms), db_i(id)))
		return false;
	changed(db);
	return active || delivery_forget_user(db, id, now_ms, e);
}

bool access_delete_user(struct db *db, int64_t id, struct err *e)
{
	struct user_now was;
	if (!read_user(db, id, &was, e) || !keep_an_admin(db, id, &was, false, e) ||
	    !db_exec(db, NULL, e, "DELETE FROM app_user WHERE id = $1", db_i(id)) ||
	    !db_exec(db, NULL, e, "DELETE FROM webhook_secret WHERE user_id = $1", db_i(id)) ||
	    !delivery_forget_user(db, id, sys_wall_ms(), e))
		return false;
	changed(db);
	return true;
}

/* ---- Keys ---- */

bool access_create_key(struct db *db, int64_t user_id, const char *label, int64_t now_ms,
		       int64_t expires_ms, char key[static ACCESS_KEY_SIZE], int64_t *id,
		       struct err *e)
{
	unsigned char random[32];
	char text[BASE64URL_SIZE(sizeof random)], hash[65], hint[HINT_LEN + 1];
	struct user_now user;
	struct db_rows r;
	*id = 0;
	key[0] = '\0';
	if (!label)
		label = "";
	if (strlen(label) > LABEL_MAX_LEN || has_control(label))
		return fail(e, ERR_INPUT, "a label has at most %d bytes, none a control character",
			    LABEL_MAX_LEN);
	if (!read_user(db, user_id, &user, e))
		return false;
	sys_random(random, sizeof random);
	base64url_encode(random, sizeof random, text);
	snprintf(key, ACCESS_KEY_SIZE, KEY_PREFIX "%s", text);
	snprintf(hint, sizeof hint, "%.*s", HINT_LEN, key);
	sha256_hex(key, strlen(key), hash);
	bool ok = db_exec(db, &r, e,
			  "INSERT INTO api_key (user_id, label, hash, hint, created_ms, expires_ms)"
			  " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
			  db_i(user_id), db_s(label), db_s(hash), db_s(hint), db_i(now_ms),
			  db_i(expires_ms));
	if (ok) {
		*id = db_int(&r, 0, 0);
		changed(db);
	}
	db_rows_release(&r);
	return ok;
}

bool access_revoke_key(struct db *db, int64_t user_id, int64_t key_id, int64_t now_ms,
		       struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE api_key SET revoked_ms = $1 WHERE id = $2 AND revoked_ms = 0"
			  " AND (CAST($3 AS BIGINT) = 0 OR user_id = $4)",
			  db_i(now_ms), db_i(key_id), db_i(user_id), db_i(user_id));
	if (ok && r.changed != 1)
		ok = fail(e, ERR_ABSENT, "there is no such key, or it is revoked already");
	if (ok)
		changed(db);
	db_rows_release(&r);
	return ok;
}

bool access_revoke_all(struct db *db, int64_t user_id, int64_t now_ms, struct err *e)
{
	struct user_now user;
	if (!read_user(db, user_id, &user, e) ||
	    !db_exec(db, NULL, e,
		     "UPDATE api_key SET revoked_ms = $1 WHERE user_id = $2 AND revoked_ms = 0",
		     db_i(now_ms), db_i(user_id)))
		return false;
	changed(db);
	return true;
}

bool access_used(struct db *db, int64_t key_id, int64_t now_ms, struct err *e)
{
	return db_exec(db, NULL, e, "UPDATE api_key SET last_used_ms = $1 WHERE id = $2",
		       db_i(now_ms), db_i(key_id)) &&
	       db_exec(db, NULL, e,
		       "UPDATE app_user SET last_access_ms = $1"
		       " WHERE id = (SELECT user_id FROM api_key WHERE id = $2)",
		       db_i(now_ms), db_i(key_id));
}

/* ---- Secrets ---- */

bool access_secret(struct db *db, const char *name, char hex[static 65], struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT value FROM secret WHERE name = $1", db_s(name));
	bool there = ok && r.rows;
	if (there)
		snprintf(hex, 65, "%s", db_text(&r, 0, 0));
	db_rows_release(&r);
	if (!ok || there)
		return ok;
	sys_random_hex(hex, 64);
	/* Another process may be first: then its secret is ours. */
	ok = db_exec(db, NULL, e,
		     "INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
		     db_s(name), db_s(hex)) &&
	     db_exec(db, &r, e, "SELECT value FROM secret WHERE name = $1", db_s(name));
	if (ok)
		snprintf(hex, 65, "%s", db_text(&r, 0, 0));
	db_rows_release(&r);
	return ok;
}
