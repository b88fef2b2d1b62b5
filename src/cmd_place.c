/*
 * cmd_place - see cmd_place.h.
 */
#include "cmd_place.h"

#include "cmd.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

bool place_open(struct place *p, const struct config *c, struct err *e)
{
	*p = (struct place){.control = control_open(c, e)};
	if (p->control)
		return true;
	if (e->kind != ERR_ABSENT)
		return false;
	if (!sys_mkdirs(c->data_dir, 0700, e))
		return err_prefix(e, "data_dir: ");
	p->ledger = ledger_open(c->database_url, e);
	return p->ledger != NULL;
}

void place_close(struct place *p)
{
	control_close(p->control);
	ledger_close(p->ledger);
}

int place_status(const struct err *e)
{
	return e->kind == ERR_ABSENT                         ? EXIT_NOT_FOUND
	       : e->kind == ERR_INPUT || e->kind == ERR_BUSY ? EXIT_USAGE
							     : EXIT_TROUBLE;
}

/* ---- Finding a user ---- */

bool place_read_user(struct db *db, const char *name, struct user_list *l, struct err *e)
{
	return access_user(db, 0, name, l, e) ||
	       (e->kind == ERR_ABSENT ? fail(e, ERR_ABSENT, "there is no user '%.100s'", name)
				      : false);
}

/* Users through the service are JSON, in the database rows: both as id and name. */
bool place_find_user(struct place *p, const char *name, int64_t *id, struct err *e)
{
	if (p->ledger) {
		struct user_list l = {0};
		bool ok = place_read_user(ledger_db(p->ledger), name, &l, e);
		*id = ok ? l.users[0].id : 0;
		user_list_release(&l);
		return ok;
	}
	for (int skip = 0;; skip += 1000) {
		char path[80];
		json_t *all, *one;
		size_t i;
		snprintf(path, sizeof path, "/api/v1/users?limit=1000&skip=%d", skip);
		if (!control_ask(p->control, "GET", path, NULL, &all, e))
			return false;
		size_t n = json_array_size(all);
		*id = 0;
		json_array_foreach(all, i, one)
		{
			const char *is = json_string_value(json_object_get(one, "username"));
			if (is && strcmp(is, name) == 0)
				*id = json_integer_value(json_object_get(one, "id"));
		}
		json_decref(all);
		if (*id)
			return true;
		if (n < 1000)
			return fail(e, ERR_ABSENT, "there is no user '%.100s'", name);
	}
}
