/*
 * delivery_target - when a target is due. Its row is written by whoever has it locked.
 */
#include "delivery_target.h"

#include "sys.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

void touch(struct touched *t, int64_t id)
{
	if (t->n && t->ids[t->n - 1] == id)
		return;
	t->ids = xgrow(t->ids, t->n, &t->cap, sizeof *t->ids);
	t->ids[t->n++] = id;
}

bool touched_lock(struct db *db, struct touched *t, struct err *e)
{
	bool ok = true;
	size_t n = 0;
	if (t->n)
		qsort(t->ids, t->n, sizeof *t->ids, by_id);
	for (size_t i = 0; i < t->n; i++)
		if (i == 0 || t->ids[i] != t->ids[i - 1])
			t->ids[n++] = t->ids[i];
	t->n = n;
	for (size_t i = 0; ok && !db->ops->exclusive && i < n; i++)
		ok = db_exec(db, NULL, e, "UPDATE webhook_target SET due_ms = due_ms WHERE id = $1",
			     db_i(t->ids[i]));
	return ok;
}

int64_t target_parallel_of(const struct target *g, const struct delivery_limits *l)
{
	return g->failures >= l->pause_after ? 1 : g->proven ? l->target_ahead : l->target_parallel;
}

static bool refresh(struct db *db, const struct delivery_limits *l, int64_t id, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"SELECT t.failures, t.paused_until_ms, t.due_ms,"
		" (SELECT COUNT(*) FROM delivery d WHERE d.target_id = t.id"
		"   AND d.state = 'delivering'),"
		" (SELECT MIN(d.next_ms) FROM delivery d WHERE d.target_id = t.id"
		"   AND d.state = 'pending'), t.proven FROM webhook_target t WHERE t.id = $1",
		db_i(id));
	if (ok && r.rows) {
		struct target g = {.failures = db_int(&r, 0, 0), .proven = db_int(&r, 0, 5) != 0};
		int64_t paused = db_int(&r, 0, 1), was = db_int(&r, 0, 2), next = db_int(&r, 0, 4);
		int64_t due = next > paused ? next : paused;
		if (db_is_null(&r, 0, 4) || db_int(&r, 0, 3) >= target_parallel_of(&g, l))
			due = DELIVERY_NEVER;
		ok = due == was ||
		     db_exec(db, NULL, e, "UPDATE webhook_target SET due_ms = $1 WHERE id = $2",
			     db_i(due), db_i(id));
	}
	db_rows_release(&r);
	return ok;
}

bool touched_refresh(struct db *db, const struct delivery_limits *l, struct touched *t,
		     struct err *e)
{
	bool ok = true;
	for (size_t i = 0; ok && i < t->n; i++)
		ok = refresh(db, l, t->ids[i], e);
	t->n = 0;
	return ok;
}
