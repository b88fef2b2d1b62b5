/*
 * api_secret - the secrets that webhook messages are signed with. A new shared secret leaves here
 * once, in the answer that makes it; a key pair's secret half never does.
 */
#include "api_call.h"

#include "log.h"
#include "sys.h"
#include "webhook_secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OVERLAP_PRESET_S = 86400, OVERLAP_MAX_S = 30 * 86400 };

struct secret_work {
	int64_t user_id;
	enum webhook_key_kind kind;
	int64_t overlap_s;
	int64_t id, until_ms;
	char text[WEBHOOK_KEY_TEXT];
	struct webhook_secret_view all[WEBHOOK_SECRETS_MAX];
	size_t n;
};

static struct secret_work *work_of(struct api_call *c)
{
	if (!c->state) {
		c->state = xcalloc(1, sizeof(struct secret_work));
		c->state_free = xfree;
	}
	return c->state;
}

/* An admin may speak for others. False: the answer is made. */
static bool find_user(struct api_call *c, int64_t given, int64_t *out)
{
	*out = given < 0 ? c->who.user_id : given;
	if (*out == c->who.user_id || c->who.role == ROLE_ADMIN)
		return true;
	api_problem(c, "role-required", "the secrets of others are for admins");
	return false;
}

static json_t *secret_json(const struct webhook_secret_view *v)
{
	char public[WEBHOOK_KEY_TEXT];
	json_t *o = json_object();
	webhook_key_public(&v->key, public);
	json_object_set_new(o, "id", json_integer(v->id));
	json_object_set_new(o, "kind", json_string(webhook_secret_kind_name(v->kind)));
	json_object_set_new(o, "public_key", json_value_text(public));
	json_object_set_new(o, "created_at", json_value_time(v->created_ms));
	json_object_set_new(o, "expires_at", json_value_time(v->expires_ms));
	return o;
}

/* ---- GET /webhooks/secrets ---- */

enum api_step route_list_secrets(struct api_call *c)
{
	int64_t user;
	struct err e;
	struct secret_work *w = work_of(c);
	if (!api_int_parameter(c, "user_id", -1, 0, INT64_MAX, &user) ||
	    !find_user(c, user, &w->user_id))
		return API_DONE;
	struct db *db = api_reader(c->api, &e);
	bool ok = db && webhook_secrets(db, w->user_id, sys_wall_ms(), w->all, &w->n, &e);
	api_reader_back(c->api, db);
	if (!ok)
		return api_error(c, &e);
	json_t *list = json_array();
	for (size_t i = 0; i < w->n; i++)
		json_array_append_new(list, secret_json(&w->all[i]));
	return api_json(c, 200, json_pack("{s:o}", "secrets", list));
}

/* ---- POST /webhooks/secrets ---- */

static bool write_rotate(struct db *db, struct api_call *c, struct err *e)
{
	struct secret_work *w = c->state;
	int64_t now = sys_wall_ms();
	struct user_list u = {0};
	bool ok = !w->user_id || access_user(db, w->user_id, NULL, &u, e);
	user_list_release(&u);
	return ok &&
	       webhook_secret_rotate(db, w->user_id, w->kind, now, w->overlap_s * 1000, &w->id,
				     w->text, &w->until_ms, e) &&
	       webhook_secrets(db, w->user_id, now, w->all, &w->n, e);
}

static enum api_step answer_rotate(struct api_call *c)
{
	struct secret_work *w = c->state;
	if (!c->write.ok && c->write.err.kind == ERR_BUSY) {
		char until[25];
		sys_format_utc(w->until_ms, until);
		return api_problem(c, "secret-rotating",
				   "two secrets are live until %s; retire the older one first",
				   until);
	}
	if (!c->write.ok)
		return api_error_as(c, &c->write.err, "user-not-found", "secret-rotating");
	log_info("webhook secret made", "request_id=%s user=%" PRId64 " kind=%s by=%" PRId64,
		 c->request_id, w->user_id, webhook_secret_kind_name(w->kind), c->who.user_id);
	json_t *o = NULL;
	for (size_t i = 0; i < w->n; i++)
		if (w->all[i].id == w->id)
			o = secret_json(&w->all[i]);
	if (!o)
		die("a secret that was just made is not there");
	json_object_set_new(o, "secret",
			    w->kind == WEBHOOK_HMAC ? json_string(w->text) : json_null());
	memset(w->text, 0, sizeof w->text);
	return api_json(c, 200, o);
}

enum api_step route_rotate_secret(struct api_call *c)
{
	struct secret_work *w = work_of(c);
	const char *kind = "hmac";
	int64_t user = -1;
	const struct member members[] = {
		{"kind", MEMBER_TEXT, false, 1, 20, &kind},
		{"overlap", MEMBER_INT, false, 0, OVERLAP_MAX_S, &w->overlap_s},
		{"user_id", MEMBER_INT, false, 0, INT64_MAX, &user},
	};
	w->overlap_s = OVERLAP_PRESET_S;
	if (!api_members(c, members, sizeof members / sizeof *members, true))
		return API_DONE;
	if (strcmp(kind, "hmac") != 0 && strcmp(kind, "ed25519") != 0)
		return api_invalid(c, "invalid-body",
				   json_pack("[{s:s, s:s}]", "pointer", "/kind", "detail",
					     "kind must be hmac or ed25519"));
	w->kind = strcmp(kind, "hmac") == 0 ? WEBHOOK_HMAC : WEBHOOK_ED25519;
	return find_user(c, user, &w->user_id) ? api_write(c, write_rotate, answer_rotate)
					       : API_DONE;
}

/* ---- DELETE /webhooks/secrets/{id} ---- */

static bool write_retire(struct db *db, struct api_call *c, struct err *e)
{
	struct secret_work *w = c->state;
	return webhook_secret_retire(db, w->user_id, w->id, sys_wall_ms(), e);
}

static enum api_step answer_retire(struct api_call *c)
{
	const struct secret_work *w = c->state;
	if (!c->write.ok)
		return api_error_as(c, &c->write.err, "secret-not-found", "last-secret");
	log_info("webhook secret retired", "request_id=%s user=%" PRId64 " by=%" PRId64,
		 c->request_id, w->user_id, c->who.user_id);
	return api_json(c, 200, json_pack("{s:s}", "message", "The secret is not live any more."));
}

enum api_step route_retire_secret(struct api_call *c)
{
	int64_t user;
	struct secret_work *w = work_of(c);
	if (!api_id_argument(c, 0, &w->id) ||
	    !api_int_parameter(c, "user_id", -1, 0, INT64_MAX, &user) ||
	    !find_user(c, user, &w->user_id))
		return API_DONE;
	return api_write(c, write_retire, answer_retire);
}
