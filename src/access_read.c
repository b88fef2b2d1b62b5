/*
 * access_read - users and keys, read: for lists, and for the table in memory.
 */
#include "access.h"

#include "sys.h"

#include <stdio.h>

/* ---- Users ---- */

#define USER_COLUMNS                                                                               \
	"SELECT id, username, email, role, rate_limit, rate_window_s, active, created_ms,"         \
	" updated_ms, last_access_ms FROM app_user"

static void fill_users(struct user_list *l)
{
	const struct db_rows *r = &l->rows;
	l->users = xcalloc(r->rows, sizeof *l->users);
	l->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		l->users[i] = (struct user_view){.id = db_int(r, i, 0),
						 .username = db_text(r, i, 1),
						 .email = db_text(r, i, 2),
						 .role = role_parse(db_text(r, i, 3)),
						 .rate_limit = db_int(r, i, 4),
						 .rate_window_s = db_int(r, i, 5),
						 .active = db_int(r, i, 6) != 0,
						 .created_ms = db_int(r, i, 7),
						 .updated_ms = db_int(r, i, 8),
						 .last_access_ms = db_int(r, i, 9)};
}

bool access_users(struct db *db, int64_t below_id, int64_t skip, int64_t limit,
		  struct user_list *out, struct err *e)
{
	*out = (struct user_list){0};
	if (!db_exec(db, &out->rows, e,
		     USER_COLUMNS " WHERE id < $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
		     db_i(below_id ? below_id : INT64_MAX), db_i(limit), db_i(skip)))
		return false;
	fill_users(out);
	return true;
}

bool access_user(struct db *db, int64_t id, const char *username, struct user_list *out,
		 struct err *e)
{
	*out = (struct user_list){0};
	if (!(id ? db_exec(db, &out->rows, e, USER_COLUMNS " WHERE id = $1", db_i(id))
		 : db_exec(db, &out->rows, e, USER_COLUMNS " WHERE username = $1", db_s(username))))
		return false;
	if (out->rows.rows == 0)
		return fail(e, ERR_ABSENT, "there is no such user");
	fill_users(out);
	return true;
}

void user_list_release(struct user_list *l)
{
	db_rows_release(&l->rows);
	xfree(l->users);
	*l = (struct user_list){0};
}

/* ---- Keys ---- */

#define KEY_COLUMNS                                                                                \
	"SELECT k.id, k.user_id, u.username, k.label, k.hint, k.created_ms, k.expires_ms,"         \
	" k.revoked_ms, k.last_used_ms FROM api_key k JOIN app_user u ON u.id = k.user_id"

bool access_keys(struct db *db, int64_t user_id, struct key_list *out, struct err *e)
{
	struct db_rows *r = &out->rows;
	*out = (struct key_list){0};
	if (!(user_id ? db_exec(db, r, e, KEY_COLUMNS " WHERE k.user_id = $1 ORDER BY k.id DESC",
				db_i(user_id))
		      : db_exec(db, r, e, KEY_COLUMNS " ORDER BY k.id DESC")))
		return false;
	out->keys = xcalloc(r->rows, sizeof *out->keys);
	out->n = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		out->keys[i] = (struct key_view){.id = db_int(r, i, 0),
						 .user_id = db_int(r, i, 1),
						 .username = db_text(r, i, 2),
						 .label = db_text(r, i, 3),
						 .hint = db_text(r, i, 4),
						 .created_ms = db_int(r, i, 5),
						 .expires_ms = db_int(r, i, 6),
						 .revoked_ms = db_int(r, i, 7),
						 .last_used_ms = db_int(r, i, 8)};
	return true;
}

void key_list_release(struct key_list *l)
{
	db_rows_release(&l->rows);
	xfree(l->keys);
	*l = (struct key_list){0};
}

/* ---- Grants ---- */

bool access_grants(struct db *db, struct grant **out, size_t *n, struct err *e)
{
	struct db_rows r;
	*out = NULL;
	*n = 0;
	bool ok = db_exec(
		db, &r, e,
		"SELECT k.hash, k.id, u.id, u.role, u.rate_limit, u.rate_window_s, k.expires_ms,"
		" k.last_used_ms, u.username FROM api_key k JOIN app_user u ON u.id = k.user_id"
		" WHERE k.revoked_ms = 0 AND u.active = 1 ORDER BY k.id");
	if (ok) {
		*out = xcalloc(r.rows, sizeof **out);
		*n = r.rows;
	}
	for (size_t i = 0; ok && i < r.rows; i++) {
		struct grant *g = &(*out)[i];
		*g = (struct grant){.key_id = db_int(&r, i, 1),
				    .user_id = db_int(&r, i, 2),
				    .role = role_parse(db_text(&r, i, 3)),
				    .rate_limit = db_int(&r, i, 4),
				    .rate_window_s = db_int(&r, i, 5),
				    .expires_ms = db_int(&r, i, 6),
				    .last_used_ms = db_int(&r, i, 7)};
		snprintf(g->hash, sizeof g->hash, "%s", db_text(&r, i, 0));
		snprintf(g->username, sizeof g->username, "%s", db_text(&r, i, 8));
	}
	db_rows_release(&r);
	return ok;
}
