/*
 * quota - what there is of the quota is looked at, the lane's rules are applied to what was seen,
 * and the share is cut anew. Only when that changes a row the quota's own is taken, looked at
 * again, and the change written; never by waiting for somebody else who has it.
 */
#include "quota.h"

#include "fleet.h"
#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	ROTATE_MS = 5000, /* who has one more than others changes so often */
	LIST_AHEAD_MS = 2000,
};

/* What the row of the quota says. */
struct state {
	int64_t limit_milli, paused_until, next_list, halved_at, holds;
};

/* All there is, at one moment of the server's clock. */
struct view {
	int64_t now;
	bool there; /* the quota has a row */
	struct state state;
	int others;        /* reserved for other processes */
	int sharers, rank; /* of those with work: how many, and the how-manieth we are */
	bool ours;         /* we have a row: */
	int64_t reserved;  /* ... with so much */
	bool wants;        /* ... with work */
	int64_t until;     /* ... so long */
	bool stale;        /* a row lasts longer than a lease can */
};

/* ---- Looking ---- */

/* With `take` the row is ours to the end of the transaction, and seems not to be there while
 * another process has it. */
static bool read_state(struct db *db, const struct quota_ask *a, bool take, struct view *v,
		       struct err *e)
{
#define STATE                                                                                      \
	"SELECT limit_milli, paused_until_ms, next_list_ms, halved_ms, holds, " FLEET_CLOCK        \
	" FROM quota WHERE account = $1"
	struct db_rows r;
	bool ok = take ? db_exec(db, &r, e, STATE " %SKIP_LOCKED%", db_s(a->account))
		       : db_exec(db, &r, e, STATE, db_s(a->account));
	v->there = ok && r.rows == 1;
	if (v->there) {
		v->state = (struct state){db_int(&r, 0, 0), db_int(&r, 0, 1), db_int(&r, 0, 2),
					  db_int(&r, 0, 3), db_int(&r, 0, 4)};
		v->now = db_int(&r, 0, 5);
	}
	db_rows_release(&r);
	return ok;
}

static bool read_shares(struct db *db, const struct quota_ask *a, struct view *v, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e,
			  "SELECT owner, granted, wants, until_ms FROM quota_share"
			  " WHERE account = $1 AND until_ms > $2 ORDER BY owner",
			  db_s(a->account), db_i(v->now));
	v->sharers = a->wants;
	for (size_t i = 0; ok && i < r.rows; i++) {
		int order = strcmp(db_text(&r, i, 0), a->owner);
		int64_t granted = db_int(&r, i, 1), until = db_int(&r, i, 3);
		bool wants = db_int(&r, i, 2) != 0;
		v->stale = v->stale || until - v->now > a->lease_ms;
		if (order == 0) {
			v->ours = true;
			v->reserved = granted;
			v->wants = wants;
			v->until = until;
			continue;
		}
		v->others += (int)granted;
		v->sharers += wants;
		v->rank += order < 0 && wants;
	}
	db_rows_release(&r);
	return ok;
}

static bool look(struct db *db, const struct quota_ask *a, bool take, struct view *v, struct err *e)
{
	*v = (struct view){0};
	return read_state(db, a, take, v, e) && (!v->there || read_shares(db, a, v, e));
}

/* ---- The lane's rules ---- */

static int64_t at_most(int64_t n, int64_t most)
{
	return n < most ? n : most;
}

/* No time is farther ahead than it can have been set: the server's clock may have been put back,
 * or another server's be behind. */
static void read_lane(const struct quota_ask *a, const struct view *v, struct lane *l)
{
	const struct lane_options *o = &a->options;
	int64_t pause = o->pause_max_ms > LANE_WAIT_MAX_MS ? o->pause_max_ms : LANE_WAIT_MAX_MS;
	lane_init(l, o);
	l->limit = (double)v->state.limit_milli / 1000;
	l->limit = l->limit < o->min ? o->min : l->limit;
	l->limit = l->limit > o->max ? o->max : l->limit;
	l->paused_until = at_most(v->state.paused_until, v->now + pause);
	l->next_list = at_most(v->state.next_list, v->now + LIST_AHEAD_MS + o->pace_ms +
							   QUOTA_WINDOW_MS + QUOTA_TRIP_MAX_MS);
	l->halved_at = at_most(v->state.halved_at, v->now);
	l->holds = (int)v->state.holds;
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
}

/* Whoever has a turn may use it late by the window; the next turn comes after. */
static void take_turn(struct lane *l, const struct quota_ask *a, int64_t now,
		      struct quota_share *out)
{
	int64_t ahead = l->next_list > now ? l->next_list - now : 0;
	out->list_in_ms = -1;
	if (l->o.pace_ms == 0) {
		out->list_in_ms = 0;
	} else if (a->wants_list && ahead > LIST_AHEAD_MS) {
		out->list_again_ms = ahead - LIST_AHEAD_MS;
	} else if (a->wants_list) {
		out->list_in_ms = ahead;
		out->list_for_ms = QUOTA_WINDOW_MS + at_most(a->trip_ms, QUOTA_TRIP_MAX_MS);
		l->next_list = now + ahead + l->o.pace_ms + out->list_for_ms;
	}
}

/* An equal part for everybody; what is left over goes round. */
static int fair_part(int whole, int sharers, int rank, int64_t now)
{
	int turn = (int)((now / ROTATE_MS + rank) % sharers);
	return whole / sharers + (turn < whole % sharers);
}

static void cut_share(const struct quota_ask *a, const struct view *v, int whole,
		      struct quota_share *out)
{
	int part = a->wants ? fair_part(whole, v->sharers, v->rank, v->now) : 0;
	int left = whole - v->others;
	out->whole = whole;
	out->sharers = v->sharers;
	out->granted = part < left ? part : left;
	if (out->granted < 0)
		out->granted = 0;
}

/* ---- What is to be written ---- */

struct plan {
	struct state state;
	int64_t reserved, until;
	bool moves;  /* state is another one */
	bool shares; /* our row is another one, or a third of its time is over */
};

/* Whether our row may stay as it is: no row, or one that ran out, says "nothing". */
static bool may_stay(const struct quota_ask *a, const struct view *v, int64_t reserved)
{
	if (!v->ours)
		return reserved == 0 && !a->wants;
	return v->reserved == reserved && v->wants == a->wants &&
	       ((reserved == 0 && !a->wants) || v->until - v->now > a->lease_ms * 2 / 3);
}

static void decide(const struct quota_ask *a, const struct view *v, struct plan *p,
		   struct quota_share *out)
{
	struct lane l;
	read_lane(a, v, &l);
	apply(&l, a, v->now, out);
	take_turn(&l, a, v->now, out);
	cut_share(a, v, (int)l.limit, out);
	p->state = (struct state){(int64_t)(l.limit * 1000 + 0.5), l.paused_until, l.next_list,
				  l.halved_at, l.holds};
	p->moves = memcmp(&p->state, &v->state, sizeof p->state) != 0;
	/* What is in flight cannot be taken back. */
	p->reserved = out->granted > a->active ? out->granted : a->active;
	p->shares = !may_stay(a, v, p->reserved);
	p->until = v->ours && !p->shares ? v->until : v->now + a->lease_ms;
	out->lease_ms = at_most(p->until - v->now, a->lease_ms);
}

static bool write_down(struct db *db, const struct quota_ask *a, const struct view *v,
		       const struct plan *p, struct err *e)
{
	const struct state *s = &p->state;
	bool ok = true;
	if (p->moves)
		ok = db_exec(db, NULL, e,
			     "UPDATE quota SET limit_milli = $1, paused_until_ms = $2,"
			     " next_list_ms = $3, halved_ms = $4, holds = $5 WHERE account = $6",
			     db_i(s->limit_milli), db_i(s->paused_until), db_i(s->next_list),
			     db_i(s->halved_at), db_i(s->holds), db_s(a->account));
	if (ok && v->stale)
		ok = db_exec(db, NULL, e,
			     "UPDATE quota_share SET until_ms = $1 WHERE account = $2"
			     " AND until_ms > $1",
			     db_i(v->now + a->lease_ms), db_s(a->account));
	if (ok && p->shares)
		ok = db_exec(db, NULL, e,
			     "INSERT INTO quota_share (account, owner, granted, wants, until_ms)"
			     " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, owner) DO UPDATE"
			     " SET granted = excluded.granted, wants = excluded.wants,"
			     " until_ms = excluded.until_ms",
			     db_s(a->account), db_s(a->owner), db_i(p->reserved), db_i(a->wants),
			     db_i(p->until));
	return ok;
}

/* Takes the row of the quota, and makes it the first time. A process that freezes or is cut off
 * with it loses its transaction before the shares of the others end. */
static bool take_row(struct db *db, const struct quota_ask *a, bool there, struct view *v,
		     struct err *e)
{
	char limit[24];
	snprintf(limit, sizeof limit, "%" PRId64, a->lease_ms / 2);
	return (there || db_exec(db, NULL, e,
				 "INSERT INTO quota (account, limit_milli) VALUES ($1, $2)"
				 " ON CONFLICT (account) DO NOTHING",
				 db_s(a->account), db_i(a->options.start * INT64_C(1000)))) &&
	       db_exec(db, NULL, e,
		       "SELECT set_config('idle_in_transaction_session_timeout', $1, true)",
		       db_s(limit)) &&
	       look(db, a, true, v, e);
}

bool quota_sync(struct db *db, const struct quota_ask *a, struct quota_share *out, struct err *e)
{
	struct view v;
	struct plan p;
	*out = (struct quota_share){0};
	if (!look(db, a, false, &v, e))
		return false;
	if (v.there) {
		decide(a, &v, &p, out);
		if (!p.moves && !p.shares && !v.stale)
			return true;
	}
	*out = (struct quota_share){0};
	if (!take_row(db, a, v.there, &v, e))
		return false;
	if (!v.there) {
		out->busy = true;
		return true;
	}
	decide(a, &v, &p, out);
	if (out->paused_anew)
		db_note(db, (struct db_note){.kind = NOTE_QUOTA});
	return write_down(db, a, &v, &p, e);
}
