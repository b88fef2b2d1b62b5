/*
 * webhook_secret - all SQL about the secrets that webhook messages are signed with.
 *
 * Each user has a shared secret (hmac) and a key pair (ed25519), made when they first name a
 * webhook; 0 stands for the installation itself. While one is being changed two are live, and
 * messages are signed with both. Changing functions run inside the caller's transaction.
 */
#ifndef AUTOS_WEBHOOK_SECRET_H
#define AUTOS_WEBHOOK_SECRET_H

#include "db.h"
#include "err.h"
#include "webhook_sign.h"

#include <stdbool.h>
#include <stdint.h>

const char *webhook_secret_kind_name(enum webhook_key_kind kind); /* "hmac", "ed25519" */

/* Makes what the user has none of. */
[[nodiscard]] bool webhook_secret_ensure(struct db *db, int64_t user_id, int64_t now_ms,
					 struct err *e);

/*
 * Makes a new one, with which everything is signed from now on; the one before it stays live for
 * overlap_ms more. ERR_BUSY while two are live: *until_ms says how long.
 */
[[nodiscard]] bool webhook_secret_rotate(struct db *db, int64_t user_id, enum webhook_key_kind kind,
					 int64_t now_ms, int64_t overlap_ms, int64_t *id,
					 char text[static WEBHOOK_KEY_TEXT], int64_t *until_ms,
					 struct err *e);

/* Ends the life of the older one of two at once. ERR_ABSENT: no such secret of this user; ERR_BUSY:
 * it is the newest one. */
[[nodiscard]] bool webhook_secret_retire(struct db *db, int64_t user_id, int64_t id, int64_t now_ms,
					 struct err *e);

struct webhook_secret_view {
	int64_t id, created_ms, expires_ms; /* expires_ms 0 = the newest one */
	enum webhook_key_kind kind;
	struct webhook_key key;
};

enum { WEBHOOK_SECRETS_MAX = 4 }; /* two of each kind */

/* The live ones of a user, newest first. */
[[nodiscard]] bool webhook_secrets(struct db *db, int64_t user_id, int64_t now_ms,
				   struct webhook_secret_view out[static WEBHOOK_SECRETS_MAX],
				   size_t *n, struct err *e);

#endif
