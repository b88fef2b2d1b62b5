/*
 * delivery_turn - new leases of deliveries, and what became of attempts; how a target that keeps
 * failing is paused. A pause ends with one delivery that tries whether the target is back.
 */
#include "delivery.h"

#include "delivery_target.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

enum { TARGETS_A_TURN = 256, NEWS_A_TURN = 500 };

/* ---- Results ---- */

/* The first pause, doubled for each failure beyond, up to the longest. */
static int64_t pause_of(const struct delivery_limits *l, int64_t failures)
{
	int64_t ms = l->pause_ms;
	for (int64_t i = l->pause_after; i < failures && ms < l->pause_max_ms; i++)
		ms *= 2;
	return ms < l->pause_max_ms ? ms : l->pause_max_ms;
}

/* What fails while its target is paused was under way before, and says nothing new. */
static bool record_failure(struct db *db, const struct delivery_turn *t, struct delivery_result *x,
			   struct err *e)
{
	const struct delivery_limits *l = t->limits;
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE webhook_target SET proven = 0, failures = failures + 1"
			  " WHERE id = $1 AND (failures < $2 OR paused_until_ms <= $3)"
			  " RETURNING failures",
			  db_i(x->lease->target_id), db_i(l->pause_after), db_i(t->now_ms));
	bool counts = ok && r.rows;
	int64_t failures = counts ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	x->pauses = counts && failures >= l->pause_after;
	x->paused = !counts || x->pauses;
	return ok &&
	       (!x->pauses ||
		db_exec(db, NULL, e, "UPDATE webhook_target SET paused_until_ms = $1 WHERE id = $2",
			db_i(t->now_ms + pause_of(l, failures)), db_i(x->lease->target_id)));
}

static bool record_target(struct db *db, const struct delivery_turn *t, struct delivery_result *x,
			  struct err *e)
{
	const struct webhook_verdict *v = &x->verdict;
	if (v->class == WEBHOOK_BLOCKED)
		return true;
	if (v->target_failed)
		return record_failure(db, t, x, e);
	return db_exec(db, NULL, e,
		       "UPDATE webhook_target SET proven = 1, failures = 0, paused_until_ms = 0"
		       " WHERE id = $1 AND (proven = 0 OR failures > 0)",
		       db_i(x->lease->target_id));
}

static bool record_attempt(struct db *db, const struct delivery_result *x, struct err *e)
{
	const struct delivery_lease *l = x->lease;
	return db_exec(
		db, NULL, e,
		"INSERT INTO delivery_attempt (delivery_id, n, manual, at_ms, duration_ms, address,"
		" status, class, error, answer, why, next_ms)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		db_i(l->id), db_i(l->attempts + 1), db_i(l->manual), db_i(x->at_ms),
		db_i(x->duration_ms), db_s(x->address), db_i(x->status),
		db_s(webhook_class_name(x->verdict.class)), db_s(x->verdict.error), db_s(x->answer),
		db_s(x->verdict.why), db_i(x->next_ms));
}

static const char *state_of(enum webhook_fate fate)
{
	switch (fate) {
	case WEBHOOK_DELIVERED:
		return "delivered";
	case WEBHOOK_AGAIN:
		return "pending";
	case WEBHOOK_FAILED:
		return "failed";
	case WEBHOOK_CANCELLED:
		break;
	}
	return "cancelled";
}

/* The fenced write; *mine is false when somebody else has the lease. */
static bool record_state(struct db *db, const struct delivery_turn *t, struct delivery_result *x,
			 bool *mine, struct err *e)
{
	const struct delivery_lease *l = x->lease;
	const struct webhook_verdict *v = &x->verdict;
	struct db_rows r;
	bool again = v->fate == WEBHOOK_AGAIN;
	x->next_ms = again ? t->now_ms + v->wait_ms : 0;
	bool ok = db_exec(db, &r, e,
			  "UPDATE delivery SET state = $1, manual = 0, attempts = attempts + 1,"
			  " tries = tries + 1, next_ms = $2, class = $3, error = $4, owner = '',"
			  " lease_until_ms = 0, ended_ms = $5"
			  " WHERE id = $6 AND epoch = $7 AND state = 'delivering'",
			  db_s(state_of(v->fate)), db_i(x->next_ms),
			  db_s(webhook_class_name(v->class)), db_s(v->error),
			  db_i(again ? 0 : t->now_ms), db_i(l->id), db_i(l->epoch));
	*mine = ok && r.changed == 1;
	db_rows_release(&r);
	return ok;
}

/* It was never sent: it waits, or is withdrawn, and that was no attempt. */
static bool record_unmade(struct db *db, const struct delivery_turn *t, struct delivery_result *x,
			  bool *mine, struct err *e)
{
	const struct webhook_verdict *v = &x->verdict;
	struct db_rows r;
	bool again = v->fate == WEBHOOK_AGAIN;
	x->next_ms = again ? t->now_ms + v->wait_ms : 0;
	bool ok = db_exec(db, &r, e,
			  "UPDATE delivery SET state = $1, next_ms = $2, class = $3, error = $4,"
			  " owner = '', lease_until_ms = 0, ended_ms = $5"
			  " WHERE id = $6 AND epoch = $7 AND state = 'delivering'",
			  db_s(state_of(v->fate)), db_i(x->next_ms),
			  db_s(webhook_class_name(v->class)), db_s(v->error),
			  db_i(again ? 0 : t->now_ms), db_i(x->lease->id), db_i(x->lease->epoch));
	*mine = ok && r.changed == 1;
	db_rows_release(&r);
	return ok;
}

static bool hand_back(struct db *db, const struct delivery_result *x, bool *mine, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "UPDATE delivery SET state = 'pending', owner = '', lease_until_ms = 0"
			  " WHERE id = $1 AND epoch = $2 AND state = 'delivering'",
			  db_i(x->lease->id), db_i(x->lease->epoch));
	*mine = ok && r.changed == 1;
	db_rows_release(&r);
	return ok;
}

static bool record(struct db *db, const struct delivery_turn *t, struct delivery_result *x,
		   struct err *e)
{
	const struct delivery_lease *l = x->lease;
	bool mine;
	x->stale = x->paused = x->pauses = false;
	bool local = !x->unsent && x->verdict.class == WEBHOOK_LOCAL;
	if (!(x->unsent ? hand_back(db, x, &mine, e)
	      : local   ? record_unmade(db, t, x, &mine, e)
			: record_state(db, t, x, &mine, e)))
		return false;
	x->stale = !mine;
	if (!mine || x->unsent)
		return true;
	if (x->verdict.fate == WEBHOOK_DELIVERED &&
	    !db_exec(db, NULL, e,
		     "UPDATE job_webhook SET delivered_ms = $1 WHERE job_id = $2 AND url = $3"
		     " AND user_id = $4",
		     db_i(t->now_ms), db_i(l->job_id), db_s(l->url), db_i(l->user_id)))
		return false;
	if (x->verdict.fate != WEBHOOK_AGAIN)
		db_note(db, (struct db_note){NOTE_SENT, l->process_id, l->job_id});
	return local || (record_attempt(db, x, e) && record_target(db, t, x, e));
}

/* ---- What is new ---- */

/* Deliveries that were written since, by whomever: their targets hear of them; `wanted` are those
 * of deliveries that somebody sends by hand. */
static bool hear(struct db *db, struct touched *touched, struct touched *wanted, bool *more,
		 struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "WITH new AS MATERIALIZED (SELECT id FROM delivery"
			  " WHERE lease_until_ms = -1 ORDER BY id LIMIT $1 %SKIP_LOCKED%)"
			  " UPDATE delivery SET lease_until_ms = 0"
			  " WHERE id IN (SELECT id FROM new LIMIT 500) RETURNING target_id, manual",
			  db_i(NEWS_A_TURN));
	for (size_t i = 0; ok && i < r.rows; i++) {
		touch(touched, db_int(&r, i, 0));
		if (db_int(&r, i, 1))
			touch(wanted, db_int(&r, i, 0));
	}
	*more = ok && r.rows == NEWS_A_TURN;
	db_rows_release(&r);
	return ok;
}

/* Whatever was found out about these targets, somebody wants them tried now. */
static bool end_pauses(struct db *db, const struct touched *wanted, struct err *e)
{
	bool ok = true;
	for (size_t i = 0; ok && i < wanted->n; i++)
		ok = db_exec(db, NULL, e,
			     "UPDATE webhook_target SET paused_until_ms = 0 WHERE id = $1"
			     " AND paused_until_ms > 0",
			     db_i(wanted->ids[i]));
	return ok;
}

/* ---- Room ---- */

/* Places that are left for targets of one kind. */
static size_t room_left(const struct delivery_turn *t, bool proven)
{
	size_t left = proven ? t->room_proven : t->room_unproven, all = t->room - t->nleases;
	for (size_t i = 0; i < t->nleases; i++)
		left -= t->leases[i].proven == proven;
	return left < all ? left : all;
}

static struct delivery_limits without_ahead(const struct delivery_limits *l)
{
	struct delivery_limits few = *l;
	few.target_ahead = l->target_parallel;
	return few;
}

/* By which it is decided whether a target is due: one that would be given nothing is not. */
static bool refresh(struct db *db, const struct delivery_turn *t, struct touched *touched,
		    struct err *e)
{
	struct delivery_limits few = without_ahead(t->limits);
	bool spare = room_left(t, true) > t->room_kept;
	return touched_refresh(db, spare ? t->limits : &few, touched, e);
}

/* How many more it is given of the places that are left: leases ahead only of those to spare, so
 * that a slow target with a long queue does not have the places of others. */
static int64_t share_of(const struct delivery_turn *t, const struct target *g, int64_t held,
			int64_t left)
{
	struct delivery_limits few = without_ahead(t->limits);
	int64_t spare = left - (int64_t)t->room_kept;
	int64_t n = target_parallel_of(g, t->limits) - held;
	int64_t least = target_parallel_of(g, &few) - held;
	if (n > spare)
		n = spare;
	if (n < least)
		n = least;
	return n < left ? n : left;
}

/* ---- New leases ---- */

static void fill(struct delivery_lease *l, const struct db_rows *r)
{
	*l = (struct delivery_lease){
		.id = db_int(r, 0, 0),
		.epoch = db_int(r, 0, 1),
		.job_id = db_int(r, 0, 2),
		.process_id = db_int(r, 0, 3),
		.target_id = db_int(r, 0, 4),
		.user_id = db_int(r, 0, 5),
		.attempts = db_int(r, 0, 6),
		.tries = db_int(r, 0, 7),
		.round_ms = db_int(r, 0, 8),
		.created_ms = db_int(r, 0, 9),
		.manual = db_int(r, 0, 10) != 0,
		.thin = db_int(r, 0, 11) != 0,
		.url = xstrdup(db_text(r, 0, 13)),
		.seq = db_int(r, 0, 14),
		.total = db_int(r, 0, 15),
		.available = db_int(r, 0, 16),
		.failed = db_int(r, 0, 17),
		.finished_ms = db_int(r, 0, 18),
		.job_error = xstrdup(db_text(r, 0, 21)),
	};
	snprintf(l->event_id, sizeof l->event_id, "%s", db_text(r, 0, 12));
	snprintf(l->job_state, sizeof l->job_state, "%s", db_text(r, 0, 19));
	snprintf(l->outcome, sizeof l->outcome, "%s", db_text(r, 0, 20));
}

static bool read_case(struct db *db, struct delivery_lease *l, struct err *e)
{
	struct db_rows r;
	bool ok =
		db_exec(db, &r, e,
			"SELECT p.number, j.trace FROM job j JOIN process p ON p.id = j.process_id"
			" WHERE j.id = $1",
			db_i(l->job_id));
	if (ok && r.rows) {
		snprintf(l->number, sizeof l->number, "%s", db_text(&r, 0, 0));
		snprintf(l->trace, sizeof l->trace, "%s", db_text(&r, 0, 1));
	}
	db_rows_release(&r);
	return ok;
}

/* *n grows when it could be had; somebody else may have been faster. */
static bool take(struct db *db, struct delivery_turn *t, int64_t id, bool proven, struct err *e)
{
	struct db_rows r;
	bool ok =
		db_exec(db, &r, e,
			"UPDATE delivery SET state = 'delivering', owner = $1,"
			" epoch = epoch + 1, lease_until_ms = $2"
			" WHERE id = $3 AND state = 'pending' RETURNING id, epoch, job_id,"
			" process_id, target_id, user_id, attempts, tries, round_ms, created_ms,"
			" manual, thin, event_id, url, seq, total, available, failed, finished_ms,"
			" job_state, outcome, job_error",
			db_s(t->owner), db_i(t->now_ms + t->lease_ms), db_i(id));
	if (ok && r.rows) {
		struct delivery_lease *l = &t->leases[t->nleases++];
		fill(l, &r);
		l->proven = proven;
		ok = read_case(db, l, e);
	}
	db_rows_release(&r);
	return ok;
}

/* *mine is false when another process is at it, or was: then it is not looked at. */
static bool lock_target(struct db *db, const struct delivery_turn *t, struct target *g, bool *mine,
			struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT failures, paused_until_ms, proven FROM webhook_target"
			  " WHERE id = $1 AND due_ms <= $2 %SKIP_LOCKED%",
			  db_i(g->id), db_i(t->now_ms));
	*mine = ok && r.rows;
	if (*mine) {
		g->failures = db_int(&r, 0, 0);
		g->paused_until_ms = db_int(&r, 0, 1);
		*mine = g->proven == (db_int(&r, 0, 2) != 0);
	}
	db_rows_release(&r);
	return ok;
}

static bool take_of_target(struct db *db, struct delivery_turn *t, const struct target *g,
			   size_t left, struct err *e)
{
	struct db_rows r;
	if (g->paused_until_ms > t->now_ms)
		return true;
	bool ok = db_exec(db, &r, e,
			  "SELECT COUNT(*) FROM delivery WHERE target_id = $1"
			  " AND state = 'delivering'",
			  db_i(g->id));
	int64_t n = ok ? share_of(t, g, db_int(&r, 0, 0), (int64_t)left) : 0;
	db_rows_release(&r);
	if (!ok || n <= 0)
		return ok;
	ok = db_exec(db, &r, e,
		     "SELECT id FROM delivery WHERE target_id = $1 AND state = 'pending'"
		     " AND next_ms <= $2 ORDER BY next_ms, id LIMIT $3 %SKIP_LOCKED%",
		     db_i(g->id), db_i(t->now_ms), db_i(n));
	for (size_t i = 0; ok && i < r.rows; i++)
		ok = take(db, t, db_int(&r, i, 0), g->proven, e);
	db_rows_release(&r);
	return ok;
}

/* Targets that are due, the longest waiting first. */
static bool lease(struct db *db, struct delivery_turn *t, bool proven, struct touched *touched,
		  struct err *e)
{
	struct db_rows r;
	size_t end = t->nleases + room_left(t, proven);
	if (end == t->nleases)
		return true;
	bool ok = db_exec(db, &r, e,
			  "SELECT id FROM webhook_target"
			  " WHERE proven = $1 AND due_ms <= $2 AND due_ms < 9223372036854775807"
			  " ORDER BY due_ms LIMIT $3",
			  db_i(proven), db_i(t->now_ms), db_i(TARGETS_A_TURN));
	for (size_t i = 0; ok && i < r.rows && t->nleases < end; i++) {
		struct target g = {.id = db_int(&r, i, 0), .proven = proven};
		bool mine;
		if (!(ok = lock_target(db, t, &g, &mine, e)) || !mine)
			continue;
		touch(touched, g.id);
		ok = take_of_target(db, t, &g, end - t->nleases, e);
	}
	db_rows_release(&r);
	return ok;
}

/* ---- The transaction ---- */

/* Without room for its kind, the next result says so. */
static bool find_next(struct db *db, struct delivery_turn *t, struct err *e)
{
	t->due_ms = DELIVERY_NEVER;
	for (int proven = 0; proven < 2; proven++) {
		struct db_rows r;
		if (room_left(t, proven) == 0)
			continue;
		bool ok = db_exec(db, &r, e,
				  "SELECT MIN(due_ms) FROM webhook_target WHERE proven = $1"
				  " AND due_ms < 9223372036854775807",
				  db_i(proven));
		if (ok && !db_is_null(&r, 0, 0) && db_int(&r, 0, 0) < t->due_ms)
			t->due_ms = db_int(&r, 0, 0);
		db_rows_release(&r);
		if (!ok)
			return false;
	}
	return true;
}

static void release_leases(struct delivery_turn *t)
{
	for (size_t i = 0; i < t->nleases; i++)
		delivery_lease_release(&t->leases[i]);
	t->nleases = 0;
}

/* What became of leases, ours and those of others, and what is new. */
static bool settle(struct db *db, struct delivery_turn *t, struct touched *touched, bool *more,
		   struct err *e)
{
	struct db_rows lost = {0};
	struct touched wanted = {0};
	for (size_t i = 0; i < t->nresults; i++)
		touch(touched, t->results[i].lease->target_id);
	bool ok = leases_find_lost(db, t, touched, &lost, e) &&
		  hear(db, touched, &wanted, more, e) && touched_lock(db, touched, e);
	for (size_t i = 0; ok && i < t->nresults; i++)
		ok = record(db, t, &t->results[i], e);
	ok = ok && end_pauses(db, &wanted, e) && leases_renew(db, t, e) &&
	     leases_rescue(db, t, &lost, e) && refresh(db, t, touched, e);
	xfree(wanted.ids);
	db_rows_release(&lost);
	return ok;
}

bool delivery_turn(struct db *db, struct delivery_turn *t, struct err *e)
{
	struct touched touched = {0};
	bool more;
	release_leases(t);
	bool ok = settle(db, t, &touched, &more, e) && lease(db, t, true, &touched, e) &&
		  lease(db, t, false, &touched, e) && refresh(db, t, &touched, e) &&
		  find_next(db, t, e);
	xfree(touched.ids);
	if (ok && more)
		t->due_ms = t->now_ms;
	if (!ok)
		release_leases(t);
	return ok;
}

bool delivery_release_all(struct db *db, int64_t now_ms, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE delivery SET state = 'pending', owner = '', lease_until_ms = 0"
		       " WHERE state = 'delivering'") &&
	       db_exec(db, NULL, e,
		       "UPDATE webhook_target SET due_ms = $1 WHERE id IN"
		       " (SELECT target_id FROM delivery WHERE state = 'pending')",
		       db_i(now_ms));
}
