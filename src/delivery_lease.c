/*
 * delivery_lease - leases of deliveries that are there: ours are renewed, and those that ran out
 * are set free, whoever had them.
 */
#include "delivery_target.h"

#include "sys.h"

#include <stdlib.h>

enum { RESCUES_A_TURN = 500 };

void delivery_lease_release(struct delivery_lease *l)
{
	xfree(l->url);
	xfree(l->job_error);
	*l = (struct delivery_lease){0};
}

/* ---- Ours ---- */

struct renewed {
	int64_t id, epoch;
};

static int by_id(const void *a, const void *b)
{
	const struct renewed *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

/* Those that end when ours do now: what is held and not among them is lost. */
static bool find_renewed(struct db *db, const struct delivery_turn *t, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT id, epoch FROM delivery WHERE state = 'delivering'"
			  " AND lease_until_ms = $1",
			  db_i(t->now_ms + t->lease_ms));
	struct renewed *all = xcalloc(r.rows + 1, sizeof *all);
	for (size_t i = 0; i < r.rows; i++)
		all[i] = (struct renewed){.id = db_int(&r, i, 0), .epoch = db_int(&r, i, 1)};
	qsort(all, r.rows, sizeof *all, by_id);
	for (size_t i = 0; ok && i < t->nheld; i++) {
		const struct renewed me = {.id = t->held[i].lease->id}, *found;
		found = bsearch(&me, all, r.rows, sizeof *all, by_id);
		t->held[i].lost = !found || found->epoch != t->held[i].lease->epoch;
	}
	xfree(all);
	db_rows_release(&r);
	return ok;
}

/* Those that are held, not all of this owner: a commit that was taken for failed, and was none,
 * leaves leases that nobody knows of. Nobody waits for each answer: what was changed is read. */
bool leases_renew(struct db *db, struct delivery_turn *t, struct err *e)
{
	bool ok = true;
	for (size_t i = 0; ok && i < t->nheld; i++)
		ok = db_exec(db, NULL, e,
			     "UPDATE delivery SET lease_until_ms = $1"
			     " WHERE id = $2 AND epoch = $3 AND state = 'delivering'",
			     db_i(t->now_ms + t->lease_ms), db_i(t->held[i].lease->id),
			     db_i(t->held[i].lease->epoch));
	return ok && (t->nheld == 0 || find_renewed(db, t, e));
}

/* ---- Anybody's ---- */

bool leases_find_lost(struct db *db, const struct delivery_turn *t, struct touched *touched,
		      struct db_rows *r, struct err *e)
{
	if (!t->rescue)
		return true;
	bool ok = db_exec(db, r, e,
			  "SELECT id, target_id FROM delivery WHERE state = 'delivering'"
			  " AND lease_until_ms < $1 ORDER BY lease_until_ms LIMIT $2",
			  db_i(t->now_ms), db_i(RESCUES_A_TURN));
	for (size_t i = 0; ok && i < r->rows; i++)
		touch(touched, db_int(r, i, 1));
	return ok;
}

bool leases_rescue(struct db *db, const struct delivery_turn *t, const struct db_rows *lost,
		   struct err *e)
{
	bool ok = true;
	for (size_t i = 0; ok && i < lost->rows; i++)
		ok = db_exec(db, NULL, e,
			     "UPDATE delivery SET state = 'pending', owner = '', lease_until_ms = 0"
			     " WHERE id = $1 AND state = 'delivering' AND lease_until_ms < $2",
			     db_i(db_int(lost, i, 0)), db_i(t->now_ms));
	return ok;
}
