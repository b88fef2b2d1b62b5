/*
 * cmd_access - `autos user`, `autos key` and `autos cancel`: through the running service when there
 * is one, else in the database itself.
 */
#include "cmd.h"

#include "access.h"
#include "cmd_place.h"
#include "control.h"
#include "job.h"
#include "ledger.h"
#include "sys.h"
#include "term.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Making users and keys ---- */

struct making {
	struct user_facts facts; /* of a new user */
	int64_t user_id;         /* of a key for one that is there */
	const char *label;
	int64_t expires_ms; /* 0 = never */
	char key[ACCESS_KEY_SIZE];
};

static bool make(struct db *db, void *arg, struct err *e)
{
	struct making *m = arg;
	int64_t now = sys_wall_ms(), user = m->user_id, id;
	if (!user && !access_create_user(db, &m->facts, now, &user, e))
		return false;
	return access_create_key(db, user, m->label, now, m->expires_ms, m->key, &id, e);
}

static bool take_key(json_t *answer, struct making *m, struct err *e)
{
	const char *key = json_string_value(json_object_get(answer, "api_key"));
	bool ok = key && strlen(key) < sizeof m->key;
	if (ok)
		snprintf(m->key, sizeof m->key, "%s", key);
	json_decref(answer);
	return ok || fail(e, ERR_FAIL, "the service gave no key");
}

static bool user_create(struct place *p, const struct cmd_line *l, struct err *e)
{
	struct making m = {.facts = {.username = l->words[1],
				     .email = l->email ? l->email : "",
				     .role = role_parse(l->role ? l->role : "user"),
				     .active = true},
			   .label = ""};
	if (m.facts.role == ROLE_NONE)
		return fail(e, ERR_INPUT, "--role %s: must be admin, user or readonly", l->role);
	if (!access_check_user(&m.facts, e))
		return false;
	if (p->ledger) {
		if (!ledger_write(p->ledger, make, &m, e))
			return false;
	} else {
		json_t *answer;
		json_t *body = json_pack("{s:s, s:s*, s:s}", "username", m.facts.username, "email",
					 l->email, "role", role_name(m.facts.role));
		if (!control_ask(p->control, "POST", "/api/v1/users", body, &answer, e) ||
		    !take_key(answer, &m, e))
			return false;
	}
	term_out("%s\n", m.key);
	return true;
}

static bool key_create(struct place *p, const struct cmd_line *l, struct err *e)
{
	struct making m = {.label = l->label ? l->label : ""};
	int64_t life = 0;
	if (l->expires && (!config_duration(l->expires, &life) || life < 60000))
		return fail(e, ERR_INPUT, "--expires %s: must be a time such as 90d, at least 1m",
			    l->expires);
	if (!place_find_user(p, l->words[1], &m.user_id, e))
		return false;
	if (p->ledger) {
		m.expires_ms = life ? sys_wall_ms() + life : 0;
		if (!ledger_write(p->ledger, make, &m, e))
			return false;
	} else {
		char path[80];
		json_t *answer, *body = json_pack("{s:s}", "label", m.label);
		if (life)
			json_object_set_new(body, "expires_in", json_integer(life / 1000));
		snprintf(path, sizeof path, "/api/v1/users/%" PRId64 "/keys", m.user_id);
		if (!control_ask(p->control, "POST", path, body, &answer, e) ||
		    !take_key(answer, &m, e))
			return false;
	}
	term_out("%s\n", m.key);
	return true;
}

/* ---- Lists: read only, so always from the database ---- */

static const char *when(int64_t ms, char out[static 25])
{
	if (ms)
		sys_format_utc(ms, out);
	else
		snprintf(out, 25, "-");
	return out;
}

static bool user_list(struct db *db, const struct cmd_line *l, struct err *e)
{
	struct user_list list = {0};
	char last[25];
	(void)l;
	bool ok = access_users(db, 0, 0, INT64_C(100000), &list, e);
	if (ok)
		term_out("%-6s  %-24s  %-8s  %-6s  %s\n", "ID", "NAME", "ROLE", "ACTIVE",
			 "LAST ACCESS");
	for (size_t i = 0; ok && i < list.n; i++) {
		const struct user_view *u = &list.users[i];
		term_out("%-6" PRId64 "  %-24s  %-8s  %-6s  %s\n", u->id, u->username,
			 role_name(u->role), u->active ? "yes" : "no",
			 when(u->last_access_ms, last));
	}
	user_list_release(&list);
	return ok;
}

static bool key_list(struct db *db, const struct cmd_line *l, struct err *e)
{
	struct user_list user = {0};
	struct key_list list = {0};
	char made[25], ends[25], used[25];
	bool ok = l->nwords < 2 || place_read_user(db, l->words[1], &user, e);
	ok = ok && access_keys(db, l->nwords < 2 ? 0 : user.users[0].id, &list, e);
	if (ok)
		term_out("%-6s  %-24s  %-12s  %-24s  %-24s  %-24s  %s\n", "ID", "USER", "KEY",
			 "MADE", "EXPIRES", "LAST USED", "LABEL");
	for (size_t i = 0; ok && i < list.n; i++) {
		const struct key_view *k = &list.keys[i];
		term_out("%-6" PRId64 "  %-24s  %-12s  %-24s  %-24s  %-24s  %s%s\n", k->id,
			 k->username, k->hint, when(k->created_ms, made), when(k->expires_ms, ends),
			 when(k->last_used_ms, used), k->label, k->revoked_ms ? "  revoked" : "");
	}
	key_list_release(&list);
	user_list_release(&user);
	return ok;
}

/* ---- Revoking and cancelling ---- */

struct by_id {
	int64_t id;
};

static bool revoke(struct db *db, void *arg, struct err *e)
{
	return access_revoke_key(db, 0, ((struct by_id *)arg)->id, sys_wall_ms(), e);
}

static bool cancel(struct db *db, void *arg, struct err *e)
{
	return job_cancel(db, ((struct by_id *)arg)->id, sys_wall_ms(), e);
}

static bool read_id(const char *word, int64_t *id, struct err *e)
{
	size_t n = strlen(word);
	if (n == 0 || n > 18 || strspn(word, "0123456789") != n)
		return fail(e, ERR_INPUT, "'%.40s' is no id", word);
	*id = strtoll(word, NULL, 10);
	return true;
}

/* Which user has a key matters to the service's route only. */
static bool revoke_remote(struct place *p, const struct config *c, int64_t id, struct err *e)
{
	struct key_list list = {0};
	struct db *db = db_open(c->database_url, DB_READ, e);
	bool ok = db && access_keys(db, 0, &list, e);
	int64_t user_id = 0;
	for (size_t i = 0; ok && i < list.n; i++)
		if (list.keys[i].id == id)
			user_id = list.keys[i].user_id;
	key_list_release(&list);
	db_close(db);
	if (!ok)
		return false;
	if (!user_id)
		return fail(e, ERR_ABSENT, "there is no key %" PRId64, id);
	char path[96];
	json_t *answer;
	snprintf(path, sizeof path, "/api/v1/users/%" PRId64 "/keys/%" PRId64, user_id, id);
	ok = control_ask(p->control, "DELETE", path, NULL, &answer, e);
	json_decref(answer);
	return ok;
}

static bool key_revoke(struct place *p, const struct config *c, const char *word, struct err *e)
{
	struct by_id by;
	if (!read_id(word, &by.id, e))
		return false;
	return p->ledger ? ledger_write(p->ledger, revoke, &by, e) : revoke_remote(p, c, by.id, e);
}

static bool job_cancel_word(struct place *p, const char *word, struct err *e)
{
	struct by_id by;
	char path[80];
	json_t *answer = NULL;
	if (!read_id(word, &by.id, e))
		return false;
	if (p->ledger)
		return ledger_write(p->ledger, cancel, &by, e);
	snprintf(path, sizeof path, "/api/v1/jobs/%" PRId64 "/cancel", by.id);
	bool ok = control_ask(p->control, "POST", path, NULL, &answer, e);
	json_decref(answer);
	return ok;
}

/* ---- The commands ---- */

static int usage(const char *name, const char *what)
{
	term_error("%s: %s; see `autos %s --help`", name, what, name);
	return EXIT_USAGE;
}

static int show_list(const struct cmd_line *l, const struct config *c,
		     bool (*list)(struct db *, const struct cmd_line *, struct err *))
{
	struct err e;
	struct db *db = db_open(c->database_url, DB_READ, &e);
	int status = EXIT_COMPLETE;
	if (!db || !list(db, l, &e))
		status = cmd_fail(&e, place_status(&e));
	db_close(db);
	return status;
}

static int run_user(const struct cmd_line *l, struct config *c)
{
	struct place p = {0};
	struct err e;
	int status = EXIT_COMPLETE;
	if (l->nwords == 1 && strcmp(l->words[0], "list") == 0)
		return show_list(l, c, user_list);
	if (l->nwords != 2 || strcmp(l->words[0], "create") != 0)
		return usage("user", "create NAME or list");
	if (!place_open(&p, c, &e) || !user_create(&p, l, &e))
		status = cmd_fail(&e, place_status(&e));
	place_close(&p);
	return status;
}

static int run_key(const struct cmd_line *l, struct config *c)
{
	struct place p = {0};
	struct err e;
	const char *verb = l->nwords ? l->words[0] : "";
	bool create = strcmp(verb, "create") == 0, gone = strcmp(verb, "revoke") == 0;
	int status = EXIT_COMPLETE;
	if (strcmp(verb, "list") == 0 && l->nwords <= 2)
		return show_list(l, c, key_list);
	if (l->nwords != 2 || (!create && !gone))
		return usage("key", "create NAME, list [NAME] or revoke ID");
	if (!place_open(&p, c, &e) ||
	    !(create ? key_create(&p, l, &e) : key_revoke(&p, c, l->words[1], &e)))
		status = cmd_fail(&e, place_status(&e));
	place_close(&p);
	return status;
}

static int run_cancel(const struct cmd_line *l, struct config *c)
{
	struct place p = {0};
	struct err e;
	int status = EXIT_COMPLETE;
	if (l->nwords != 1)
		return usage("cancel", "one job id");
	if (!place_open(&p, c, &e) || !job_cancel_word(&p, l->words[0], &e))
		status = cmd_fail(&e, place_status(&e));
	place_close(&p);
	return status;
}

const struct cmd cmd_user = {
	.name = "user",
	.usage = "create NAME [--role ROLE] [--email ADDRESS] | list",
	.summary = "users of the service; create prints the new user's API key, once",
	.help = "      --role ROLE      admin, user (default) or readonly\n"
		"      --email ADDRESS\n\n"
		"Works with and without a running service. Only the key's hash is kept.\n",
	.options = "re",
	.run = run_user,
};

const struct cmd cmd_key = {
	.name = "key",
	.usage = "create NAME [--expires TIME] [--label TEXT] | list [NAME] | revoke ID",
	.summary = "API keys of a user; create prints the key, once",
	.help = "      --expires TIME   life of the key, such as 90d (default: no end)\n"
		"      --label TEXT     what it is for\n\n"
		"Works with and without a running service.\n",
	.options = "xb",
	.run = run_key,
};

const struct cmd cmd_cancel = {
	.name = "cancel",
	.usage = "JOB",
	.summary = "ends a job; what is stored stays",
	.help = "JOB is the id that the API and its answers give. `autos retry` takes the case up "
		"again.\n",
	.options = "",
	.run = run_cancel,
};
