/*
 * quota - one transaction: the row of the account is taken, the lane's rules are applied to what
 * was seen, and the share is cut anew.
 */
#include "quota.h"

#include "sys.h"

#include <string.h>

enum {
	ROTATE_MS = 5000, /* who has one more than others changes so often */
	LIST_AHEAD_MS = 2000,
};

#define CLOCK "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"

/* Gives the server's time. */
static bool read_lane(struct db *db, const struct quota_ask *a, struct lane *l, int64_t *now,
		      struct err *e)
{
	struct db_rows r = {0};
	bool ok = db_exec(db, NULL, e,
			  "INSERT INTO quota (account, limit_milli) VALUES ($1, $2)"
			  " ON CONFLICT (account) DO NOTHING",
			  db_s(a->account), db_i(a->options.start * INT64_C(1000))) &&
		  db_exec(db, &r, e,
			  "SELECT limit_milli, paused_until_ms, next_list_ms, halved_ms, holds"
			  " FROM quota WHERE account = $1 %LOCK%",
			  db_s(a->account));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_FAIL, "the quota of account %s is gone", a->account);
	if (ok) {
		lane_init(l, &a->options);
		l->limit = (double)db_int(&r, 0, 0) / 1000;
		l->limit = l->limit < a->options.min ? a->options.min : l->limit;
		l->limit = l->limit > a->options.max ? a->options.max : l->limit;
		l->paused_until = db_int(&r, 0, 1);
		l->next_list = db_int(&r, 0, 2);
		l->halved_at = db_int(&r, 0, 3);
		l->holds = (int)db_int(&r, 0, 4);
	}
	db_rows_release(&r);
	/* After the row was waited for. */
	ok = ok && db_exec(db, &r, e, "SELECT " CLOCK);
	*now = ok ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

static void apply(struct lane *l, const struct quota_ask *a, int64_t now, struct quota_share *out)
{
	int64_t pause;
	for (int i = 0; i < a->good; i++)
		lane_good(l);
	if (a->overload)
		lane_halve(l, now);
	if (a->held)
		out->paused_anew = lane_hold(l, now, a->wait_ms, &pause);
	if (a->held && a->untimed)
		lane_hold(l, now, -1, &pause); /* whichever is longer */
	out->pause_ms = l->paused_until > now ? l->paused_until - now : 0;
	out->list_in_ms = -1;
	if (l->o.pace_ms == 0) {
		out->list_in_ms = 0;
	} else if (a->wants_list && l->next_list - now <= LIST_AHEAD_MS) {
		int64_t at = l->next_list > now ? l->next_list : now;
		out->list_in_ms = at - now;
		/* Whoever has this turn may use it late by the window; the next one comes after. */
		l->next_list = at + l->o.pace_ms + QUOTA_WINDOW_MS;
	}
}

/* Among those with work: how many they are, and the how-manieth we are. */
static bool read_others(struct db *db, const struct quota_ask *a, int64_t now, int *others,
			int *sharers, int *rank, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT owner, granted, wants FROM quota_share WHERE account = $1"
			  " AND until_ms > $2 ORDER BY owner",
			  db_s(a->account), db_i(now));
	*others = *rank = 0;
	*sharers = a->wants;
	for (size_t i = 0; ok && i < r.rows; i++) {
		int order = strcmp(db_text(&r, i, 0), a->owner);
		if (order == 0)
			continue;
		*others += (int)db_int(&r, i, 1);
		*sharers += db_int(&r, i, 2) != 0;
		*rank += order < 0 && db_int(&r, i, 2) != 0;
	}
	db_rows_release(&r);
	return ok;
}

/* An equal part for everybody; what is left over goes round. */
static int fair_part(int whole, int sharers, int rank, int64_t now)
{
	int turn = (int)((now / ROTATE_MS + rank) % sharers);
	return whole / sharers + (turn < whole % sharers);
}

static bool write_back(struct db *db, const struct quota_ask *a, const struct lane *l,
		       const struct quota_share *s, int64_t now, struct err *e)
{
	/* What is in flight cannot be taken back. */
	int reserved = s->granted > a->active ? s->granted : a->active;
	return db_exec(db, NULL, e,
		       "UPDATE quota SET limit_milli = $1, paused_until_ms = $2, next_list_ms = $3,"
		       " halved_ms = $4, holds = $5 WHERE account = $6",
		       db_i((int64_t)(l->limit * 1000)), db_i(l->paused_until), db_i(l->next_list),
		       db_i(l->halved_at), db_i(l->holds), db_s(a->account)) &&
	       db_exec(db, NULL, e,
		       "INSERT INTO quota_share (account, owner, granted, wants, until_ms)"
		       " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, owner) DO UPDATE SET"
		       " granted = excluded.granted, wants = excluded.wants,"
		       " until_ms = excluded.until_ms",
		       db_s(a->account), db_s(a->owner), db_i(reserved), db_i(a->wants),
		       db_i(now + a->lease_ms));
}

bool quota_sync(struct db *db, const struct quota_ask *a, struct quota_share *out, struct err *e)
{
	struct lane l;
	int64_t now;
	int others, rank;
	*out = (struct quota_share){0};
	if (!read_lane(db, a, &l, &now, e))
		return false;
	apply(&l, a, now, out);
	if (!read_others(db, a, now, &others, &out->sharers, &rank, e))
		return false;
	out->whole = (int)l.limit;
	int part = a->wants ? fair_part(out->whole, out->sharers, rank, now) : 0;
	int left = out->whole - others;
	out->granted = part < left ? part : left;
	if (out->granted < 0)
		out->granted = 0;
	if (a->held && out->paused_anew)
		db_note(db, (struct db_note){.kind = NOTE_QUOTA});
	return write_back(db, a, &l, out, now, e);
}
