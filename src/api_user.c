/*
 * api_user - users over HTTP. Their keys are the business of api_key.
 */
#include "api_user.h"

#include "sys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { USERS_LIMIT = 100, USERS_MAX = 1000 };

static void free_work(void *state)
{
	struct user_work *w = state;
	user_list_release(&w->users);
	key_list_release(&w->keys);
	xfree(w);
}

struct user_work *user_work_of(struct api_call *c)
{
	if (!c->state) {
		c->state = xcalloc(1, sizeof(struct user_work));
		c->state_free = free_work;
	}
	return c->state;
}

/* ---- Users and keys as JSON ---- */

static json_t *limit_json(int64_t n)
{
	return n ? json_integer(n) : json_null();
}

static json_t *user_json(const struct user_view *u)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(u->id));
	json_object_set_new(o, "username", json_string(u->username));
	json_object_set_new(o, "email", json_value_text(u->email));
	json_object_set_new(o, "role", json_string(role_name(u->role)));
	json_object_set_new(o, "rate_limit_requests", limit_json(u->rate_limit));
	json_object_set_new(o, "rate_limit_window", limit_json(u->rate_window_s));
	json_object_set_new(o, "created_at", json_value_time(u->created_ms));
	json_object_set_new(o, "updated_at", json_value_time(u->updated_ms));
	json_object_set_new(o, "last_access", json_value_time(u->last_access_ms));
	json_object_set_new(o, "active", json_boolean(u->active));
	return o;
}

enum api_step user_answer_message(struct api_call *c, const char *message)
{
	json_t *o = json_object();
	json_object_set_new(o, "message", json_string(message));
	return api_json(c, 200, o);
}

enum api_step user_answer_key(struct api_call *c, const char *name, json_t *value)
{
	const struct user_work *w = c->state;
	json_t *o = json_object();
	json_object_set_new(o, name, value);
	json_object_set_new(o, "api_key", json_string(w->key));
	c->secret_answer = true;
	return api_json(c, 200, o);
}

enum api_step user_answer_failure(struct api_call *c, const char *busy)
{
	return api_error_as(c, &c->write.err, "user-not-found", busy);
}

/* ---- Lists ---- */

static bool read_users(struct api_call *c, struct db *db, int64_t below, int64_t skip,
		       int64_t limit)
{
	struct err e;
	bool ok = access_users(db, below, skip, limit, &user_work_of(c)->users, &e);
	if (!ok)
		api_error_as(c, &e, "user-not-found", "last-admin");
	return ok;
}

enum api_step route_list_users(struct api_call *c)
{
	int64_t skip, limit, below = 0;
	char cursor[256];
	struct err e;
	if (!api_int_parameter(c, "skip", 0, 0, INT32_MAX, &skip) ||
	    !api_int_parameter(c, "limit", USERS_LIMIT, 1, USERS_MAX, &limit) ||
	    !api_cursor_parameter(c, cursor) || (*cursor && !api_cursor_number(c, cursor, &below)))
		return API_DONE;
	struct db *db = api_reader(c->api, &e);
	if (!db)
		return api_error_as(c, &e, "user-not-found", "last-admin");
	bool ok = read_users(c, db, below, skip, limit + 1);
	api_reader_back(c->api, db);
	if (!ok)
		return API_DONE;
	const struct user_list *l = &user_work_of(c)->users;
	json_t *out = json_array();
	for (size_t i = 0; i < l->n && i < (size_t)limit; i++)
		json_array_append_new(out, user_json(&l->users[i]));
	if (l->n > (size_t)limit) {
		char *next = api_cursor_make("%" PRId64, l->users[limit - 1].id);
		api_next_link(c, next);
		xfree(next);
	}
	return api_json(c, 200, out);
}

/* ---- What the client wants of a user ---- */

/* Null says "none": the empty text, and for limits the setting's. */
static void settle_nulls(struct api_call *c)
{
	static const char *const numbers[] = {"rate_limit_requests", "rate_limit_window"};
	if (json_is_null(json_object_get(c->json, "email")))
		json_object_set_new(c->json, "email", json_string(""));
	for (size_t i = 0; i < 2; i++)
		if (json_is_null(json_object_get(c->json, numbers[i])))
			json_object_set_new(c->json, numbers[i], json_integer(0));
}

static void add_wrong(json_t *errors, const char *pointer, const char *detail)
{
	json_array_append_new(errors,
			      json_pack("{s:s, s:s}", "pointer", pointer, "detail", detail));
}

/* What is wrong with one member: facts that hold nothing else that could be. */
static void check_one(json_t *errors, const char *pointer, struct user_facts facts)
{
	struct err e;
	if (!access_check_user(&facts, &e))
		add_wrong(errors, pointer, e.text);
}

static const struct user_facts blank = {
	.username = "a", .email = "", .role = ROLE_USER, .active = true};

static bool check_facts(struct api_call *c, const struct user_facts *f, const char *role)
{
	json_t *errors = json_array();
	struct user_facts one = blank;
	one.username = f->username;
	check_one(errors, "/username", one);
	one = blank;
	one.email = f->email;
	check_one(errors, "/email", one);
	one = blank;
	one.rate_limit = f->rate_limit;
	check_one(errors, "/rate_limit_requests", one);
	one = blank;
	one.rate_window_s = f->rate_window_s;
	check_one(errors, "/rate_limit_window", one);
	if (role && role_parse(role) == ROLE_NONE)
		add_wrong(errors, "/role", "role must be admin, user or readonly");
	if (json_array_size(errors)) {
		api_invalid(c, "invalid-body", errors);
		return false;
	}
	json_decref(errors);
	return true;
}

/* ---- POST /users ---- */

static bool read_new_user(struct api_call *c, struct user_facts *f)
{
	const char *role = NULL;
	*f = blank;
	const struct member members[] = {
		{"username", MEMBER_TEXT, true, 0, INT32_MAX, &f->username},
		{"email", MEMBER_TEXT, false, 0, INT32_MAX, &f->email},
		{"role", MEMBER_TEXT, false, 0, INT32_MAX, &role},
		{"rate_limit_requests", MEMBER_INT, false, 0, INT32_MAX, &f->rate_limit},
		{"rate_limit_window", MEMBER_INT, false, 0, INT32_MAX, &f->rate_window_s},
	};
	settle_nulls(c);
	if (!api_members(c, members, sizeof members / sizeof *members, false) ||
	    !check_facts(c, f, role))
		return false;
	if (role)
		f->role = role_parse(role);
	return true;
}

static bool write_new_user(struct db *db, struct api_call *c, struct err *e)
{
	struct user_work *w = c->state;
	int64_t now = sys_wall_ms();
	user_list_release(&w->users); /* of a run that was undone */
	return access_create_user(db, &w->facts, now, &w->id, e) &&
	       access_create_key(db, w->id, "", now, 0, w->key, &w->key_id, e) &&
	       access_user(db, w->id, NULL, &w->users, e);
}

static enum api_step answer_new_user(struct api_call *c)
{
	const struct user_work *w = c->state;
	if (!c->write.ok)
		return user_answer_failure(c, "username-taken");
	return user_answer_key(c, "user", user_json(&w->users.users[0]));
}

enum api_step route_create_user(struct api_call *c)
{
	if (!read_new_user(c, &user_work_of(c)->facts))
		return API_DONE;
	return api_write(c, write_new_user, answer_new_user);
}

/* ---- The own user ---- */

/* Over the control socket an admin speaks who is no user. */
static bool has_user(struct api_call *c)
{
	if (c->who.user_id)
		return true;
	api_problem(c, "not-found", "the control socket belongs to no user");
	return false;
}

enum api_step route_get_me(struct api_call *c)
{
	struct err e;
	if (!has_user(c))
		return API_DONE;
	struct user_work *w = user_work_of(c);
	struct db *db = api_reader(c->api, &e);
	if (!db)
		return api_error_as(c, &e, "user-not-found", "last-admin");
	bool ok = access_user(db, c->who.user_id, NULL, &w->users, &e);
	api_reader_back(c->api, db);
	return ok ? api_json(c, 200, user_json(&w->users.users[0]))
		  : api_error_as(c, &e, "user-not-found", "last-admin");
}

/* ---- PUT: changing users ---- */

static bool read_change(struct api_call *c, struct user_change *change)
{
	const char *role = NULL;
	bool active = false;
	struct user_facts f = blank;
	*change = (struct user_change){.rate_limit = -1, .rate_window_s = -1, .active = -1};
	const struct member members[] = {
		{"email", MEMBER_TEXT, false, 0, INT32_MAX, &change->email},
		{"role", MEMBER_TEXT, false, 0, INT32_MAX, &role},
		{"rate_limit_requests", MEMBER_INT, false, 0, INT32_MAX, &change->rate_limit},
		{"rate_limit_window", MEMBER_INT, false, 0, INT32_MAX, &change->rate_window_s},
		{"active", MEMBER_FLAG, false, 0, 0, &active},
	};
	settle_nulls(c);
	if (!api_members(c, members, sizeof members / sizeof *members, false))
		return false;
	f.email = change->email ? change->email : "";
	f.rate_limit = change->rate_limit < 0 ? 0 : change->rate_limit;
	f.rate_window_s = change->rate_window_s < 0 ? 0 : change->rate_window_s;
	if (!check_facts(c, &f, role))
		return false;
	if (json_object_get(c->json, "active"))
		change->active = active;
	change->role = role ? role_parse(role) : ROLE_NONE;
	return true;
}

static bool write_change(struct db *db, struct api_call *c, struct err *e)
{
	struct user_work *w = c->state;
	user_list_release(&w->users);
	return access_change_user(db, w->id, &w->change, sys_wall_ms(), e) &&
	       access_user(db, w->id, NULL, &w->users, e);
}

static enum api_step answer_change(struct api_call *c)
{
	const struct user_work *w = c->state;
	if (!c->write.ok)
		return user_answer_failure(c, "last-admin");
	return api_json(c, 200, user_json(&w->users.users[0]));
}

static enum api_step change_user(struct api_call *c, int64_t id)
{
	struct user_work *w = user_work_of(c);
	w->id = id;
	if (!read_change(c, &w->change))
		return API_DONE;
	return api_write(c, write_change, answer_change);
}

enum api_step route_put_user(struct api_call *c)
{
	int64_t id;
	if (!api_id_argument(c, 0, &id))
		return API_DONE;
	return change_user(c, id);
}

enum api_step route_put_me(struct api_call *c)
{
	static const char *const reserved[] = {"role", "active", "rate_limit_requests",
					       "rate_limit_window"};
	if (!has_user(c))
		return API_DONE;
	for (size_t i = 0; i < 4 && c->who.role != ROLE_ADMIN; i++)
		if (json_object_get(c->json, reserved[i]))
			return api_problem(c, "role-required", "only an admin may change %s",
					   reserved[i]);
	return change_user(c, c->who.user_id);
}

/* ---- DELETE ---- */

static bool write_delete_user(struct db *db, struct api_call *c, struct err *e)
{
	return access_delete_user(db, user_work_of(c)->id, e);
}

static enum api_step answer_delete_user(struct api_call *c)
{
	if (!c->write.ok)
		return user_answer_failure(c, "last-admin");
	return user_answer_message(c, "The user and the user's keys are deleted.");
}

enum api_step route_delete_user(struct api_call *c)
{
	int64_t id;
	if (!api_id_argument(c, 0, &id))
		return API_DONE;
	if (id == c->who.user_id)
		return api_problem(c, "self-deletion", "nobody can delete their own user");
	user_work_of(c)->id = id;
	return api_write(c, write_delete_user, answer_delete_user);
}
