/*
 * api_key - the keys of users over HTTP. The text of a key leaves here once, in the answer that
 * makes it; hashes never do.
 */
#include "api_user.h"

#include "sys.h"

enum { LABEL_MAX = 100 };

static const int64_t key_life_min_s = 60, key_life_max_s = INT64_C(3650) * 86400;

static json_t *key_json(const struct key_view *k)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(k->id));
	json_object_set_new(o, "user_id", json_integer(k->user_id));
	json_object_set_new(o, "label", json_value_text(k->label));
	json_object_set_new(o, "hint", json_string(k->hint));
	json_object_set_new(o, "created_at", json_value_time(k->created_ms));
	json_object_set_new(o, "expires_at", json_value_time(k->expires_ms));
	json_object_set_new(o, "revoked_at", json_value_time(k->revoked_ms));
	json_object_set_new(o, "last_used_at", json_value_time(k->last_used_ms));
	return o;
}

enum api_step route_list_keys(struct api_call *c)
{
	int64_t id;
	struct err e;
	if (!api_id_argument(c, 0, &id))
		return API_DONE;
	struct user_work *w = user_work_of(c);
	struct db *db = api_reader(c->api, &e);
	if (!db)
		return api_error_as(c, &e, "user-not-found", "last-admin");
	bool ok = access_user(db, id, NULL, &w->users, &e) && access_keys(db, id, &w->keys, &e);
	api_reader_back(c->api, db);
	if (!ok)
		return api_error_as(c, &e, "user-not-found", "last-admin");
	json_t *out = json_array();
	for (size_t i = 0; i < w->keys.n; i++)
		json_array_append_new(out, key_json(&w->keys.keys[i]));
	return api_json(c, 200, out);
}

static bool write_regenerate(struct db *db, struct api_call *c, struct err *e)
{
	struct user_work *w = c->state;
	int64_t now = sys_wall_ms();
	user_list_release(&w->users); /* of a run that was undone */
	return access_user(db, w->id, NULL, &w->users, e) && access_revoke_all(db, w->id, now, e) &&
	       access_create_key(db, w->id, "", now, 0, w->key, &w->key_id, e);
}

static enum api_step answer_regenerate(struct api_call *c)
{
	if (!c->write.ok)
		return user_answer_failure(c, "last-admin");
	return user_answer_key(c, "message",
			       json_string("The earlier keys of this user are revoked."));
}

enum api_step route_regenerate_key(struct api_call *c)
{
	int64_t id;
	if (!api_id_argument(c, 0, &id))
		return API_DONE;
	user_work_of(c)->id = id;
	return api_write(c, write_regenerate, answer_regenerate);
}

static bool read_new_key(struct api_call *c, struct user_work *w)
{
	int64_t life_s = 0;
	const struct member members[] = {
		{"label", MEMBER_TEXT, false, 0, LABEL_MAX, &w->label},
		{"expires_in", MEMBER_INT, false, key_life_min_s, key_life_max_s, &life_s},
	};
	for (size_t i = 0; i < 2; i++)
		if (json_is_null(json_object_get(c->json, members[i].name)))
			json_object_del(c->json, members[i].name);
	w->label = "";
	if (!api_members(c, members, 2, true))
		return false;
	w->expires_ms = life_s ? sys_wall_ms() + life_s * 1000 : 0;
	return true;
}

static bool write_new_key(struct db *db, struct api_call *c, struct err *e)
{
	struct user_work *w = c->state;
	key_list_release(&w->keys);
	return access_create_key(db, w->id, w->label, sys_wall_ms(), w->expires_ms, w->key,
				 &w->key_id, e) &&
	       access_keys(db, w->id, &w->keys, e);
}

static enum api_step answer_new_key(struct api_call *c)
{
	const struct user_work *w = c->state;
	if (!c->write.ok)
		return user_answer_failure(c, "last-admin");
	size_t i = 0;
	while (i < w->keys.n && w->keys.keys[i].id != w->key_id)
		i++;
	return user_answer_key(c, "key", i < w->keys.n ? key_json(&w->keys.keys[i]) : json_null());
}

enum api_step route_create_key(struct api_call *c)
{
	struct user_work *w = user_work_of(c);
	if (!api_id_argument(c, 0, &w->id) || !read_new_key(c, w))
		return API_DONE;
	return api_write(c, write_new_key, answer_new_key);
}

static bool write_revoke(struct db *db, struct api_call *c, struct err *e)
{
	struct user_work *w = c->state;
	return access_revoke_key(db, w->id, w->key_id, sys_wall_ms(), e);
}

static enum api_step answer_revoke(struct api_call *c)
{
	if (!c->write.ok)
		return api_error_as(c, &c->write.err, "key-not-found", "last-admin");
	return user_answer_message(c, "The key is revoked.");
}

enum api_step route_revoke_key(struct api_call *c)
{
	struct user_work *w = user_work_of(c);
	if (!api_id_argument(c, 0, &w->id) || !api_id_argument(c, 1, &w->key_id))
		return API_DONE;
	return api_write(c, write_revoke, answer_revoke);
}
