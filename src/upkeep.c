/*
 * upkeep - one loop with a clock. A failure costs nothing but the time until the next turn.
 */
#include "upkeep.h"

#include "change.h"
#include "fleet.h"
#include "job.h"
#include "log.h"
#include "metrics.h"
#include "sys.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	TURN_MS = 2000,
	ALIVE_MS = 15000, /* a process that says nothing for so long is dead */
	SWEEP_EVERY_MS = 5000,
	CHANGES_KEPT_MS = 300000, /* longer than any process needs to read them */
	ERASING_MS = 120000,      /* so long whoever erases may take himself */
	VACUUM_EVERY_MS = 20000,
	HEALTH_EVERY_MS = 15000,
	OLD_S = 60, /* a snapshot so old is worth a line */
	SAY_EVERY_MS = 300000,
};

struct upkeep {
	struct upkeep_options o;
	struct db *db;
	pthread_mutex_t lock;
	pthread_cond_t ending;
	bool stop, leads;
	int64_t swept_at, vacuumed_at, looked_at, said_at; /* monotonic; 0 = never */
	pthread_t thread;
};

static bool is_due(int64_t *at, int64_t every_ms)
{
	int64_t now = sys_mono_ms();
	if (*at && now - *at < every_ms)
		return false;
	*at = now;
	return true;
}

/* ---- For all ---- */

static bool write_erased(struct db *db, void *arg, struct err *e)
{
	return job_erased(db, arg, e);
}

/* Whoever was to erase the objects of these is gone. */
static bool finish_erasures(struct upkeep *u, int64_t now, struct err *e)
{
	struct db_rows r = {0};
	bool ok = fleet_erasures(u->db, now - ERASING_MS, &r, e);
	for (size_t i = 0; ok && i < r.rows; i++) {
		char number[21], folder[80];
		struct err why;
		snprintf(number, sizeof number, "%s", db_text(&r, i, 0));
		snprintf(folder, sizeof folder, "processos/%s/", number);
		if (!store_erase(u->o.store, folder, &why))
			log_error("case not erased", "case=%s why=\"%s\"", number, why.text);
		else
			ok = ledger_write(u->o.ledger, write_erased, number, e);
	}
	db_rows_release(&r);
	return ok;
}

static bool vacuum(struct upkeep *u, struct err *e)
{
	struct db_rows r = {0};
	bool ok = fleet_stale_tables(u->db, &r, e);
	for (size_t i = 0; ok && i < r.rows; i++) {
		ok = fleet_vacuum(u->db, db_text(&r, i, 0), e);
		metric_add(METRIC_database_vacuums, ok);
	}
	db_rows_release(&r);
	return ok;
}

static bool care(struct upkeep *u, int64_t now, struct err *e)
{
	if (is_due(&u->swept_at, SWEEP_EVERY_MS) &&
	    !(fleet_sweep(u->db, now, e) && change_trim(u->db, now - CHANGES_KEPT_MS, e) &&
	      finish_erasures(u, now, e)))
		return false;
	return !is_due(&u->vacuumed_at, VACUUM_EVERY_MS) || vacuum(u, e);
}

/* ---- For oneself ---- */

static bool look(struct upkeep *u, struct err *e)
{
	struct fleet_health h;
	if (!is_due(&u->looked_at, HEALTH_EVERY_MS))
		return true;
	if (!fleet_health(u->db, &h, e))
		return false;
	metric_set(METRIC_database_dead_rows, h.dead_rows);
	metric_set(METRIC_database_oldest_xmin, h.oldest_xmin);
	metric_set(METRIC_database_oldest_snapshot_seconds, h.oldest_s);
	if (u->leads && h.oldest_s >= OLD_S && is_due(&u->said_at, SAY_EVERY_MS))
		log_warn("old snapshot", "holder=\"%s\" seconds=%" PRId64 " dead_rows=%" PRId64,
			 h.holder, h.oldest_s, h.dead_rows);
	return true;
}

static bool turn(struct upkeep *u, struct err *e)
{
	int64_t now = sys_wall_ms();
	const char *owner = ledger_owner(u->o.ledger);
	bool led = false, command = strcmp(u->o.role, "command") == 0;
	if (!fleet_beat(u->db, owner, u->o.role, now, now + ALIVE_MS, e))
		return false;
	if (command)
		return true;
	if (!fleet_lead(u->db, "upkeep", owner, now, now + ALIVE_MS, &led, e))
		return false;
	if (led != u->leads)
		log_info(led ? "upkeep begins" : "upkeep ends", "owner=%.8s", owner);
	u->leads = led;
	metric_set(METRIC_upkeep_leader, led);
	return look(u, e) && (!led || care(u, now, e));
}

static void rest(struct upkeep *u)
{
	struct timespec at;
	int64_t ms = TURN_MS / 2 + (int64_t)sys_random_below(TURN_MS);
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	pthread_mutex_lock(&u->lock);
	while (!u->stop)
		if (pthread_cond_timedwait(&u->ending, &u->lock, &at) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&u->lock);
}

static bool must_stop(struct upkeep *u)
{
	pthread_mutex_lock(&u->lock);
	bool stop = u->stop;
	pthread_mutex_unlock(&u->lock);
	return stop;
}

static void *upkeep_main(void *arg)
{
	struct upkeep *u = arg;
	struct err e = {0};
	for (bool ok = true, was = true; !must_stop(u); was = ok) {
		ok = turn(u, &e);
		if (!ok && was)
			log_warn("upkeep failed", "why=\"%s\"", e.text);
		rest(u);
	}
	if (!fleet_leave(u->db, ledger_owner(u->o.ledger), &e))
		log_warn("upkeep failed", "why=\"%s\"", e.text);
	return NULL;
}

bool upkeep_new(const struct upkeep_options *o, struct upkeep **out, struct err *e)
{
	*out = NULL;
	if (ledger_db(o->ledger)->ops->exclusive)
		return true;
	struct upkeep *u = xcalloc(1, sizeof *u);
	u->o = *o;
	u->db = db_open(o->database_url, DB_WRITE, e);
	int64_t now = sys_wall_ms();
	if (!u->db ||
	    !fleet_beat(u->db, ledger_owner(o->ledger), o->role, now, now + ALIVE_MS, e)) {
		db_close(u->db);
		xfree(u);
		return false;
	}
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->ending, NULL);
	if (pthread_create(&u->thread, NULL, upkeep_main, u) != 0)
		die("cannot start a thread");
	*out = u;
	return true;
}

void upkeep_free(struct upkeep *u)
{
	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_cond_signal(&u->ending);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->thread, NULL);
	db_close(u->db);
	pthread_cond_destroy(&u->ending);
	pthread_mutex_destroy(&u->lock);
	xfree(u);
}
