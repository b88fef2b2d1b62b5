/*
 * webhook_secret - secrets, written down so that they can sign. What is over is deleted when the
 * next one is made.
 */
#include "webhook_secret.h"

#include <assert.h>
#include <string.h>

const char *webhook_secret_kind_name(enum webhook_key_kind kind)
{
	return kind == WEBHOOK_HMAC ? "hmac" : "ed25519";
}

/* There is one newest of each kind; *id is 0 when another process was faster to make it. */
static bool insert(struct db *db, int64_t user_id, enum webhook_key_kind kind, int64_t now_ms,
		   int64_t *id, char text[static WEBHOOK_KEY_TEXT], struct err *e)
{
	struct db_rows r;
	webhook_key_make(kind, text);
	bool ok = db_exec(db, &r, e,
			  "INSERT INTO webhook_secret (user_id, kind, value, created_ms)"
			  " VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind)"
			  " WHERE expires_ms = 0 DO NOTHING RETURNING id",
			  db_i(user_id), db_s(webhook_secret_kind_name(kind)), db_s(text),
			  db_i(now_ms));
	*id = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

bool webhook_secret_ensure(struct db *db, int64_t user_id, int64_t now_ms, struct err *e)
{
	static const enum webhook_key_kind kinds[] = {WEBHOOK_HMAC, WEBHOOK_ED25519};
	bool ok = true;
	for (size_t i = 0; ok && i < 2; i++) {
		struct db_rows r;
		char text[WEBHOOK_KEY_TEXT];
		int64_t id;
		ok = db_exec(db, &r, e,
			     "SELECT 1 FROM webhook_secret WHERE user_id = $1 AND kind = $2"
			     " AND expires_ms = 0 LIMIT 1",
			     db_i(user_id), db_s(webhook_secret_kind_name(kinds[i])));
		if (ok && r.rows == 0)
			ok = insert(db, user_id, kinds[i], now_ms, &id, text, e);
		db_rows_release(&r);
	}
	return ok;
}

bool webhook_secret_rotate(struct db *db, int64_t user_id, enum webhook_key_kind kind,
			   int64_t now_ms, int64_t overlap_ms, int64_t *id,
			   char text[static WEBHOOK_KEY_TEXT], int64_t *until_ms, struct err *e)
{
	struct db_rows r = {0};
	const char *name = webhook_secret_kind_name(kind);
	*id = *until_ms = 0;
	text[0] = '\0';
	if (!db_exec(db, NULL, e,
		     "DELETE FROM webhook_secret WHERE user_id = $1 AND expires_ms > 0"
		     " AND expires_ms <= $2",
		     db_i(user_id), db_i(now_ms)))
		return false;
	/* One at a time; whoever waited here sees the secret of the other one as the newest. */
	bool ok = db_exec(db, NULL, e,
			  "SELECT 1 FROM webhook_secret WHERE user_id = $1 AND kind = $2"
			  " ORDER BY id %LOCK%",
			  db_i(user_id), db_s(name)) &&
		  db_exec(db, &r, e,
			  "SELECT expires_ms FROM webhook_secret WHERE user_id = $1 AND kind = $2"
			  " AND expires_ms > 0",
			  db_i(user_id), db_s(name));
	if (ok && r.rows) {
		*until_ms = db_int(&r, 0, 0);
		ok = fail(e, ERR_BUSY, "two secrets are live; retire the older one first");
	}
	db_rows_release(&r);
	return ok &&
	       db_exec(db, NULL, e,
		       "UPDATE webhook_secret SET expires_ms = $1"
		       " WHERE user_id = $2 AND kind = $3 AND expires_ms = 0",
		       db_i(now_ms + (overlap_ms > 0 ? overlap_ms : 1)), db_i(user_id),
		       db_s(name)) &&
	       insert(db, user_id, kind, now_ms, id, text, e) &&
	       (*id || fail(e, ERR_BUSY, "another secret is being made at this moment"));
}

bool webhook_secret_retire(struct db *db, int64_t user_id, int64_t id, int64_t now_ms,
			   struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT expires_ms FROM webhook_secret WHERE id = $1 AND user_id = $2"
			  " AND (expires_ms = 0 OR expires_ms > $3)",
			  db_i(id), db_i(user_id), db_i(now_ms));
	if (ok && r.rows == 0)
		ok = fail(e, ERR_ABSENT, "there is no such secret");
	if (ok && db_int(&r, 0, 0) == 0)
		ok = fail(e, ERR_BUSY, "this is the newest secret: make another one first");
	db_rows_release(&r);
	return ok && db_exec(db, NULL, e, "DELETE FROM webhook_secret WHERE id = $1", db_i(id));
}

bool webhook_secrets(struct db *db, int64_t user_id, int64_t now_ms,
		     struct webhook_secret_view out[static WEBHOOK_SECRETS_MAX], size_t *n,
		     struct err *e)
{
	struct db_rows r;
	*n = 0;
	bool ok = db_exec(db, &r, e,
			  "SELECT id, kind, value, created_ms, expires_ms FROM webhook_secret"
			  " WHERE user_id = $1 AND (expires_ms = 0 OR expires_ms > $2)"
			  " ORDER BY kind DESC, id DESC",
			  db_i(user_id), db_i(now_ms));
	for (size_t i = 0; ok && i < r.rows && *n < WEBHOOK_SECRETS_MAX; i++) {
		struct webhook_secret_view *v = &out[(*n)++];
		*v = (struct webhook_secret_view){.id = db_int(&r, i, 0),
						  .created_ms = db_int(&r, i, 3),
						  .expires_ms = db_int(&r, i, 4)};
		v->kind = strcmp(db_text(&r, i, 1), "hmac") == 0 ? WEBHOOK_HMAC : WEBHOOK_ED25519;
		ok = webhook_key_parse(db_text(&r, i, 2), &v->key, e);
		if (!ok)
			ok = fail(e, ERR_FAIL, "webhook_secret %lld cannot be read",
				  (long long)v->id);
	}
	db_rows_release(&r);
	return ok;
}
