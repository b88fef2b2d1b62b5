/*
 * upkeep - two loops with a clock. A failure costs nothing but the time until the next turn.
 */
#include "upkeep.h"

#include "change.h"
#include "erase.h"
#include "fleet.h"
#include "log.h"
#include "metrics.h"
#include "sys.h"
#include "sys_wait.h"
#include "vacuum.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
	TURN_MS = 2000,
	ALIVE_MS = 15000, /* a process that says nothing for so long is dead */
	SWEEP_EVERY_MS = 5000,
	VACUUM_EVERY_MS = 20000,
	HEALTH_EVERY_MS = 15000,
	OLD_S = 60, /* a snapshot so old is worth a line */
	SAY_EVERY_MS = 300000,
	CUT_EVERY_MS = 100, /* what must end and may have begun just now */
};

struct upkeep {
	struct upkeep_options o;
	pthread_t beater, worker;
	bool works; /* a command only says that it lives */
	struct db *beats;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t ending, ended;
	bool stop, leads, erasing, worker_ended;
	int64_t leads_until; /* monotonic */
	int64_t vacuuming;   /* the server's number of the session that does; 0 = none */

	/* the worker's own */
	struct db *db;
	struct vacuum *vacuum;
	struct fleet_holder holder;
	int64_t swept_at, vacuumed_at, looked_at, said_at; /* monotonic; 0 = never */
};

static bool is_due(int64_t *at, int64_t every_ms)
{
	int64_t now = sys_mono_ms();
	if (*at && now - *at < every_ms)
		return false;
	*at = now;
	return true;
}

/* Until the next turn; false when there is none. */
static bool rest(struct upkeep *u)
{
	pthread_mutex_lock(&u->lock);
	int64_t end = sys_mono_ms() + TURN_MS / 2 + (int64_t)sys_random_below(TURN_MS);
	while (!u->stop && sys_cond_wait(&u->ending, &u->lock, end))
		;
	bool goes_on = !u->stop;
	pthread_mutex_unlock(&u->lock);
	return goes_on;
}

/* A beat that fails for too long makes another process the leader, whether we hear of it or not. */
static bool still_leads(void *arg)
{
	struct upkeep *u = arg;
	pthread_mutex_lock(&u->lock);
	bool yes = u->leads && !u->stop && sys_mono_ms() < u->leads_until;
	pthread_mutex_unlock(&u->lock);
	return yes;
}

static bool is_stopped(struct upkeep *u)
{
	pthread_mutex_lock(&u->lock);
	bool stop = u->stop;
	pthread_mutex_unlock(&u->lock);
	return stop;
}

/* ---- For all ---- */

static void set_erasing(struct upkeep *u, bool erasing)
{
	pthread_mutex_lock(&u->lock);
	u->erasing = erasing;
	pthread_mutex_unlock(&u->lock);
}

/* Whoever was to erase the objects of these is gone. */
static bool finish_erasures(struct upkeep *u, int64_t now, struct err *e)
{
	struct db_rows r = {0};
	const struct erase_options o = {
		.ledger = u->o.ledger, .store = u->o.store, .goes_on = still_leads, .arg = u};
	bool ok = fleet_erasures(u->db, now - ERASE_IDLE_MS, &r, e);
	set_erasing(u, true);
	if (ok)
		erase_all(&o, &r);
	set_erasing(u, false);
	db_rows_release(&r);
	return ok;
}

static void set_vacuuming(struct upkeep *u, int64_t pid)
{
	pthread_mutex_lock(&u->lock);
	u->vacuuming = pid;
	pthread_mutex_unlock(&u->lock);
}

static bool vacuum(struct upkeep *u, struct err *e)
{
	int64_t pid, done;
	if (!fleet_session(u->db, &pid, e))
		return false;
	set_vacuuming(u, pid);
	bool ok = vacuum_run(u->vacuum, u->db,
			     &(struct vacuum_turn){.now_ms = sys_mono_ms(),
						   .released_ms = u->holder.since_ms,
						   .goes_on = still_leads,
						   .arg = u},
			     &done, e);
	set_vacuuming(u, 0);
	metric_add(METRIC_database_vacuums, done);
	return ok;
}

static bool sweep(struct upkeep *u, struct err *e)
{
	int64_t now;
	return fleet_now(u->db, &now, e) && fleet_sweep(u->db, now, e) &&
	       change_trim(u->db, now - CHANGE_KEPT_MS, e) && finish_erasures(u, now, e);
}

static bool care(struct upkeep *u, struct err *e)
{
	if (is_due(&u->swept_at, SWEEP_EVERY_MS) && !sweep(u, e))
		return false;
	return !still_leads(u) || !is_due(&u->vacuumed_at, VACUUM_EVERY_MS) || vacuum(u, e);
}

/* ---- For oneself ---- */

static bool look(struct upkeep *u, struct err *e)
{
	static const char *const kinds[] = {"session", "prepared", "slot", "standby"};
	struct fleet_health h;
	if (!is_due(&u->looked_at, HEALTH_EVERY_MS))
		return true;
	if (!fleet_health(u->db, &h, e))
		return false;
	fleet_watch(&u->holder, &h, sys_mono_ms());
	metric_set(METRIC_database_dead_rows, h.dead_rows);
	metric_set(METRIC_database_oldest_xmin, h.oldest_xmin);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		metric_turn(DIAL_database_oldest_snapshot_seconds, kinds[i],
			    strcmp(h.kind, kinds[i]) == 0 ? h.oldest_s : 0);
	if (h.oldest_s >= OLD_S && still_leads(u) && is_due(&u->said_at, SAY_EVERY_MS))
		log_warn("old snapshot", "holder=\"%s\" seconds=%" PRId64 " dead_rows=%" PRId64,
			 h.holder, h.oldest_s, h.dead_rows);
	return true;
}

static void *work_main(void *arg)
{
	struct upkeep *u = arg;
	struct err e = {0};
	bool was = true;
	do {
		bool ok = look(u, &e) && (!still_leads(u) || care(u, &e));
		if (!ok && was && !is_stopped(u))
			log_warn("upkeep failed", "why=\"%s\"", e.text);
		was = ok;
	} while (rest(u));
	pthread_mutex_lock(&u->lock);
	u->worker_ended = true;
	pthread_cond_signal(&u->ended);
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* ---- The beat ---- */

static void set_leads(struct upkeep *u, bool leads, int64_t until)
{
	pthread_mutex_lock(&u->lock);
	bool was = u->leads;
	u->leads = leads;
	u->leads_until = until;
	pthread_mutex_unlock(&u->lock);
	if (was != leads)
		log_info(leads ? "upkeep begins" : "upkeep ends", "owner=%.8s",
			 ledger_owner(u->o.ledger));
	metric_set(METRIC_upkeep_leader, leads);
}

static bool beat(struct upkeep *u, struct err *e)
{
	const char *owner = ledger_owner(u->o.ledger);
	bool led = false;
	int64_t now, until = sys_mono_ms() + ALIVE_MS;
	if (!fleet_now(u->beats, &now, e) ||
	    !fleet_beat(u->beats, owner, u->o.role, now, now + ALIVE_MS, e))
		return false;
	if (!u->works)
		return true;
	if (!fleet_lead(u->beats, "upkeep", owner, now, now + ALIVE_MS, &led, e))
		return false;
	set_leads(u, led, until);
	return true;
}

static void *beat_main(void *arg)
{
	struct upkeep *u = arg;
	struct err e = {0};
	bool was = true;
	do {
		bool ok = beat(u, &e);
		if (!ok && !still_leads(u))
			set_leads(u, false, 0);
		if (!ok && was)
			log_warn("upkeep failed", "why=\"%s\"", e.text);
		was = ok;
	} while (rest(u));
	return NULL;
}

/* ---- Life ---- */

static void release(struct upkeep *u)
{
	db_close(u->beats);
	db_close(u->db);
	vacuum_free(u->vacuum);
	pthread_cond_destroy(&u->ending);
	pthread_cond_destroy(&u->ended);
	pthread_mutex_destroy(&u->lock);
	xfree(u);
}

static struct upkeep *make(const struct upkeep_options *o)
{
	struct upkeep *u = xcalloc(1, sizeof *u);
	u->o = *o;
	u->works = strcmp(o->role, "command") != 0;
	u->vacuum = vacuum_new();
	pthread_mutex_init(&u->lock, NULL);
	sys_cond_init(&u->ending);
	sys_cond_init(&u->ended);
	return u;
}

bool upkeep_new(const struct upkeep_options *o, struct upkeep **out, struct err *e)
{
	*out = NULL;
	if (ledger_db(o->ledger)->ops->exclusive)
		return true;
	struct upkeep *u = make(o);
	if (!(u->beats = db_open(o->database_url, DB_WRITE, e)) ||
	    (u->works && !(u->db = db_open(o->database_url, DB_WRITE, e))) || !beat(u, e)) {
		release(u);
		return false;
	}
	if (pthread_create(&u->beater, NULL, beat_main, u) != 0 ||
	    (u->works && pthread_create(&u->worker, NULL, work_main, u) != 0))
		die("cannot start a thread");
	*out = u;
	return true;
}

/* Once what it is at is cut off, the worker sees that it must end. */
static void end_worker(struct upkeep *u)
{
	const struct store_ops *store = u->o.store->ops;
	struct err ignored;
	pthread_mutex_lock(&u->lock);
	while (!u->worker_ended) {
		int64_t pid = u->vacuuming;
		bool erasing = u->erasing;
		pthread_mutex_unlock(&u->lock);
		if (pid && !fleet_cancel_vacuum(u->beats, pid, &ignored))
			log_debug("vacuum not ended", "why=\"%s\"", ignored.text);
		if (erasing && store->cut)
			store->cut(u->o.store);
		pthread_mutex_lock(&u->lock);
		if (!u->worker_ended)
			sys_cond_wait(&u->ended, &u->lock, sys_mono_ms() + CUT_EVERY_MS);
	}
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->worker, NULL);
}

void upkeep_free(struct upkeep *u)
{
	struct err e;
	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_cond_broadcast(&u->ending);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->beater, NULL);
	if (u->works)
		end_worker(u);
	if (!fleet_leave(u->beats, ledger_owner(u->o.ledger), &e))
		log_warn("upkeep failed", "why=\"%s\"", e.text);
	release(u);
}
