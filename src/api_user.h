/*
 * api_user - what the routes about users and keys share. Nobody else includes this.
 */
#ifndef AUTOS_API_USER_H
#define AUTOS_API_USER_H

#include "api_call.h"

/* What one of these requests needs from its beginning to its answer. */
struct user_work {
	struct user_facts facts;
	struct user_change change;
	const char *label;
	int64_t id, key_id, expires_ms;
	char key[ACCESS_KEY_SIZE];
	struct user_list users;
	struct key_list keys;
};

/* The call's, made when first asked for and freed with it. */
struct user_work *user_work_of(struct api_call *c);

/* {message}. */
enum api_step user_answer_message(struct api_call *c, const char *message);

/* An object whose member `name` is `value` (taken over), with the new key: shown now and never
 * again. */
enum api_step user_answer_key(struct api_call *c, const char *name, json_t *value);

/* Why a write failed; `busy` is the problem's type for ERR_BUSY. */
enum api_step user_answer_failure(struct api_call *c, const char *busy);

#endif
