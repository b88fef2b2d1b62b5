/*
 * access - all SQL about users and API keys.
 *
 * A key is shown once, when it is made; the database holds its SHA-256 only. Changing functions run
 * inside the caller's transaction (see ledger) and leave a NOTE_ACCESS.
 */
#ifndef AUTOS_ACCESS_H
#define AUTOS_ACCESS_H

#include "db.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum role { ROLE_NONE, ROLE_READONLY, ROLE_USER, ROLE_ADMIN }; /* each includes those before it */

const char *role_name(enum role r);     /* "" for NONE */
enum role role_parse(const char *name); /* NONE when unknown */

enum { ACCESS_KEY_SIZE = 50 }; /* "autos_" and 43 characters, NUL included */

struct user_facts {
	const char *username; /* 1 to 100 of A-Z a-z 0-9 . _ @ - */
	const char *email;    /* "" for none */
	enum role role;
	int64_t rate_limit, rate_window_s; /* 0 = the setting's */
	bool active;
};

/* ERR_INPUT names what is wrong with a name, an address or a limit; pure. */
[[nodiscard]] bool access_check_user(const struct user_facts *u, struct err *e);

/* ERR_BUSY when the name is taken. */
[[nodiscard]] bool access_create_user(struct db *db, const struct user_facts *u, int64_t now_ms,
				      int64_t *id, struct err *e);

/* What of a user changes; members that stay are marked. */
struct user_change {
	const char *email;                 /* NULL = stays */
	enum role role;                    /* NONE = stays */
	int64_t rate_limit, rate_window_s; /* -1 = stays, 0 = the setting's */
	int active;                        /* -1 = stays, 0, 1 */
};

/* ERR_ABSENT without such a user; ERR_BUSY when the last active admin would be lost. */
[[nodiscard]] bool access_change_user(struct db *db, int64_t id, const struct user_change *c,
				      int64_t now_ms, struct err *e);
[[nodiscard]] bool access_delete_user(struct db *db, int64_t id, struct err *e);

/* Makes a key of a user; expires_ms 0 = never. `key` holds its text. ERR_ABSENT: no such user. */
[[nodiscard]] bool access_create_key(struct db *db, int64_t user_id, const char *label,
				     int64_t now_ms, int64_t expires_ms,
				     char key[static ACCESS_KEY_SIZE], int64_t *id, struct err *e);
/* ERR_ABSENT: no such key that is not revoked yet (of this user, unless user_id is 0). */
[[nodiscard]] bool access_revoke_key(struct db *db, int64_t user_id, int64_t key_id, int64_t now_ms,
				     struct err *e);
[[nodiscard]] bool access_revoke_all(struct db *db, int64_t user_id, int64_t now_ms, struct err *e);

/* A key was used. The caller asks at most once a minute for each key. Leaves no note: nothing that
 * decides about access has changed. */
[[nodiscard]] bool access_used(struct db *db, int64_t key_id, int64_t now_ms, struct err *e);

struct user_view {
	int64_t id;
	const char *username, *email;
	enum role role;
	int64_t rate_limit, rate_window_s; /* 0 = the setting's */
	bool active;
	int64_t created_ms, updated_ms, last_access_ms; /* 0 = never */
};

struct key_view {
	int64_t id, user_id;
	const char *username, *label, *hint;                      /* the key's first characters */
	int64_t created_ms, expires_ms, revoked_ms, last_used_ms; /* 0 = never */
};

struct user_list {
	struct user_view *users;
	size_t n;
	struct db_rows rows; /* private: what the strings point into */
};

struct key_list {
	struct key_view *keys;
	size_t n;
	struct db_rows rows;
};

/* Newest first, below_id 0 = from the newest; at most `limit`. Release in any case. */
[[nodiscard]] bool access_users(struct db *db, int64_t below_id, int64_t skip, int64_t limit,
				struct user_list *out, struct err *e);
/* One user by id, or by name when id is 0. ERR_ABSENT. */
[[nodiscard]] bool access_user(struct db *db, int64_t id, const char *username,
			       struct user_list *out, struct err *e);
void user_list_release(struct user_list *l);

/* Of one user, or of all when user_id is 0; newest first. */
[[nodiscard]] bool access_keys(struct db *db, int64_t user_id, struct key_list *out, struct err *e);
void key_list_release(struct key_list *l);

/* Everything that is needed to know a key again, for the table in memory: live keys of active
 * users. */
struct grant {
	char hash[65]; /* SHA-256 of the key, hexadecimal */
	int64_t key_id, user_id;
	enum role role;
	int64_t rate_limit, rate_window_s;
	int64_t expires_ms, last_used_ms;
	char username[101];
};

/* All grants; free with xfree. */
[[nodiscard]] bool access_grants(struct db *db, struct grant **out, size_t *n, struct err *e);

/* Named secrets of the installation: made when first asked for, 32 random bytes as 64 digits. */
[[nodiscard]] bool access_secret(struct db *db, const char *name, char hex[static 65],
				 struct err *e);

#endif
