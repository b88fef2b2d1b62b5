/*
 * dispatch - the turn: move bytes, settle answers, one transaction (results, leases), send, sleep.
 * No transaction is open while bytes move; nothing calls back into it.
 */
#include "dispatch_flight.h"

#include "access.h"
#include "log.h"
#include "metrics.h"
#include "sys.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	LOOK_EVERY_MS = 1000, /* for due targets, when nobody said that there are any */
	LOOK_AGAIN_MS = 20,   /* ... when some were left, as another process was at them */
	GATHER_MS = 10,       /* results wait so long for company */
	GATHER_MAX = 128,
	SWEEP_EVERY_MS = 60000,
	TROUBLE_MS = 1000, /* rest after the database failed */
	CONNECT_MS = 5000,
	AHEAD = 32, /* leases of a target that answers, for each that may be in the air */
	BYTES_MAX = 64 << 20,
	RECEIVE_BUFFER = 16 << 10,
};

/* ---- The transaction ---- */

static struct delivery_result *results_of(const struct dispatch *d)
{
	struct delivery_result *out = xcalloc(d->nover + 1, sizeof *out);
	size_t i = 0;
	for (const struct flight *f = d->over; f; f = f->next)
		out[i++] = (struct delivery_result){.lease = &f->lease,
						    .unsent = f->unsent,
						    .verdict = f->verdict,
						    .at_ms = f->sent_ms,
						    .duration_ms = f->duration_ms,
						    .status = f->status,
						    .address = f->address,
						    .answer = f->answer};
	return out;
}

static bool write_turn(struct db *db, void *arg, struct err *e)
{
	struct delivery_turn *t = arg;
	return delivery_turn(db, t, e);
}

/* Each kind of target leaves a quarter to the other; messages that are at hand before they can be
 * sent leave half of what is left to other targets. */
static void find_room(const struct dispatch *d, struct delivery_turn *t)
{
	size_t most = (size_t)d->o.config->webhook_parallel, quarter = most / 4;
	size_t staying = d->nall - d->nover, proven = d->nproven;
	for (const struct flight *f = d->over; f; f = f->next)
		proven -= f->lease.proven;
	size_t others = staying - proven;
	t->room = staying < most ? most - staying : 0;
	t->room_proven = proven < most - quarter ? most - quarter - proven : 0;
	t->room_kept = (most - quarter) / 2;
	t->room_unproven = others < most - quarter ? most - quarter - others : 0;
	if (d->drain_until)
		t->room = 0;
}

/* Those that are over are written: told, and forgotten. */
static void settle_over(struct dispatch *d, const struct delivery_turn *t)
{
	struct flight *f = d->over;
	d->over = NULL;
	d->over_tail = &d->over;
	d->nover = 0;
	for (size_t i = 0; f; i++) {
		struct flight *next = f->next;
		const struct delivery_result *r = &t->results[i];
		if (r->stale)
			metric_add(METRIC_stale_writes, 1);
		else if (!r->unsent)
			dispatch_tell(f, r, t->now_ms);
		if (r->paused)
			dispatch_hand_back_queue(d, f->target);
		dispatch_drop(d, f);
		f = next;
	}
}

/* When to look again. */
static int64_t due_after(const struct delivery_turn *t, int64_t now)
{
	if (t->due_ms == DELIVERY_NEVER)
		return INT64_MAX;
	return now + (t->due_ms > t->now_ms ? t->due_ms - t->now_ms : LOOK_AGAIN_MS);
}

/* In time; at once when there is one that may not be sent before. */
static bool must_renew(const struct dispatch *d, int64_t now)
{
	int64_t age = now - d->renewed_at;
	return d->renew || age > d->o.config->lease_time / 3 || (d->doubt && age >= LOOK_EVERY_MS);
}

/* False: nothing was written, and all is kept for the next time. */
static bool commit(struct dispatch *d, int64_t now)
{
	struct err e;
	bool had_trouble = d->trouble_until != 0;
	struct delivery_turn t = {.limits = &d->limits,
				  .owner = d->owner,
				  .now_ms = sys_wall_ms(),
				  .lease_ms = d->o.config->lease_time,
				  .results = results_of(d),
				  .nresults = d->nover,
				  .rescue = now - d->rescued_at >= LOOK_EVERY_MS};
	int64_t ends_ms = t.now_ms + t.lease_ms, ends_mono_ms = now + t.lease_ms;
	bool renew = must_renew(d, now);
	if (renew)
		t.held = dispatch_held(d, &t.nheld);
	find_room(d, &t);
	t.leases = d->leases;
	d->look = false;
	d->looked_at = now;
	bool ok = ledger_write(d->o.ledger, write_turn, &t, &e);
	if (ok) {
		if (renew) {
			dispatch_renewed(d, t.held, t.nheld, ends_ms, ends_mono_ms);
			d->renewed_at = now;
			d->renew = d->doubt = false;
		}
		if (t.rescue)
			d->rescued_at = now;
		d->trouble_until = 0;
		d->due_at = due_after(&t, now);
		settle_over(d, &t);
		for (size_t i = 0; i < t.nleases; i++)
			dispatch_hold(d, &t.leases[i], ends_ms, ends_mono_ms);
	} else {
		for (size_t i = 0; i < t.nleases; i++)
			delivery_lease_release(&t.leases[i]);
		d->trouble_until = now + TROUBLE_MS;
		if (!had_trouble)
			log_error("deliveries not written", "why=\"%s\"", e.text);
	}
	xfree(t.held);
	xfree(t.results);
	return ok;
}

static bool is_due(const struct dispatch *d, int64_t now)
{
	if (d->trouble_until > now)
		return false;
	bool gathered = d->nover && (d->nover >= GATHER_MAX || now - d->over_since >= GATHER_MS ||
				     d->nflying == 0);
	return gathered || (!d->drain_until && (d->look || now >= d->due_at)) ||
	       now - d->looked_at >= LOOK_EVERY_MS;
}

/* ---- Housekeeping ---- */

struct sweep {
	int64_t given_up_ms, kept_ms, now_ms;
	size_t n;
};

static bool write_sweep(struct db *db, void *arg, struct err *e)
{
	struct sweep *s = arg;
	return delivery_sweep(db, s->given_up_ms, s->kept_ms, s->now_ms, &s->n, e);
}

static void sweep(struct dispatch *d, int64_t now)
{
	struct err e;
	if (d->drain_until || now - d->swept_at < SWEEP_EVERY_MS)
		return;
	struct sweep s = {.now_ms = sys_wall_ms()};
	s.given_up_ms = s.now_ms - webhook_schedule_length(&d->schedule);
	s.kept_ms = s.now_ms - d->o.config->webhook_keep;
	if (!ledger_write(d->o.ledger, write_sweep, &s, &e))
		log_warn("sweep failed", "why=\"%s\"", e.text);
	else if (s.n)
		log_info("deliveries swept", "rows=%zu", s.n);
	d->swept_at = s.n ? now - SWEEP_EVERY_MS + LOOK_EVERY_MS : now;
}

/* ---- The turn ---- */

/* Sends what may be sent: a few for each target, not more bytes than there is room for, and nothing
 * that may be somebody else's by now: that is renewed before. */
static void send_queued(struct dispatch *d)
{
	size_t most = (size_t)d->limits.target_parallel;
	for (size_t i = 0; i < TARGET_BUCKETS && d->nqueued; i++)
		for (struct target *t = d->targets[i]; t; t = t->next)
			while (t->head && t->flying < most &&
			       (d->bytes < BYTES_MAX || !d->nflying)) {
				if (!dispatch_may_send(t->head)) {
					d->renew = d->look = true;
					break;
				}
				dispatch_send(d, dispatch_unqueue(d, t));
			}
}

static void drain(struct dispatch *d, int64_t now)
{
	if (!d->drain_until)
		d->drain_until = now + d->o.config->drain_time;
	for (size_t i = 0; i < TARGET_BUCKETS && d->nqueued; i++)
		for (struct target *t = d->targets[i]; t; t = t->next)
			dispatch_hand_back_queue(d, t);
	if (now < d->drain_until)
		return;
	for (struct flight *f = d->all; f && d->nflying; f = f->all_next)
		if (f->in_air)
			dispatch_hand_back(d, f);
}

static int64_t sleep_time(const struct dispatch *d, int64_t now)
{
	int64_t at = d->looked_at + LOOK_EVERY_MS;
	if (!d->drain_until && d->due_at < at)
		at = d->due_at;
	if (d->nover && d->over_since + GATHER_MS < at)
		at = d->over_since + GATHER_MS;
	if (d->look || (d->nover && d->nflying == 0) || d->nover >= GATHER_MAX)
		at = now;
	if (at < d->trouble_until)
		at = d->trouble_until;
	return at > now ? at - now : 0;
}

static void *dispatch_main(void *arg)
{
	struct dispatch *d = arg;
	struct http_exchange *x;
	struct err e;
	for (int64_t wait = 0;;) {
		if (!http_turn(d->http, wait, &e))
			die("webhooks: %s", e.text);
		while ((x = http_done(d->http)))
			dispatch_settle(d, x->owner);
		int64_t now = sys_mono_ms();
		d->look = atomic_exchange(&d->woken, false) || d->look;
		d->doubt = atomic_exchange(&d->doubted, false) || d->doubt;
		if (atomic_load(&d->draining))
			drain(d, now);
		bool failed = is_due(d, now) && !commit(d, now);
		if (d->drain_until && (d->nall == 0 || (failed && now >= d->drain_until)))
			return NULL;
		if (!d->drain_until)
			send_queued(d);
		sweep(d, now);
		wait = sleep_time(d, sys_mono_ms());
	}
}

/* ---- Life ---- */

struct secret {
	char hex[65];
};

static bool prepare_database(struct db *db, void *arg, struct err *e)
{
	struct secret *s = arg;
	return access_secret(db, "link", s->hex, e) &&
	       (!db->ops->exclusive || delivery_release_all(db, sys_wall_ms(), e));
}

static bool open_parts(struct dispatch *d, struct err *e)
{
	const struct config *c = d->o.config;
	struct secret s;
	if (!webhook_schedule_parse(c->webhook_schedule, &d->schedule, e) ||
	    !guard_init(&d->guard, c, e) || !ledger_write(d->o.ledger, prepare_database, &s, e))
		return false;
	for (size_t i = 0; i < LINK_SECRET; i++)
		d->link_secret[i] =
			(unsigned char)(hex_value(s.hex[2 * i]) << 4 | hex_value(s.hex[2 * i + 1]));
	guard_listens(&d->guard, d->o.port);
	d->db = db_open(c->database_url, DB_READ, e);
	if (!d->db)
		return false;
	int64_t timeout = c->webhook_timeout;
	d->http = http_new(
		&(struct http_options){.proxy = "",
				       .ca_file = c->webhook_ca_file,
				       .connect_timeout_ms =
					       timeout < CONNECT_MS ? timeout : CONNECT_MS,
				       .low_speed = 1,
				       .low_speed_time_s = 3600, /* the whole has a limit */
				       .spool_dir = "",
				       .spool_memory = 64 << 10,
				       .connections = 1,
				       .fresh = true,
				       .receive_buffer = RECEIVE_BUFFER,
				       .may_connect = guard_may_connect,
				       .may_arg = &d->guard},
		e);
	return d->http != NULL;
}

struct dispatch *dispatch_start(const struct dispatch_options *o, struct err *e)
{
	const struct config *c = o->config;
	struct dispatch *d = xcalloc(1, sizeof *d);
	d->o = *o;
	d->limits = (struct delivery_limits){.target_parallel = c->webhook_target_parallel,
					     .target_ahead = c->webhook_target_parallel * AHEAD,
					     .pause_after = c->webhook_pause_after,
					     .pause_ms = c->webhook_pause,
					     .pause_max_ms = c->webhook_pause_max};
	d->leases = xcalloc((size_t)c->webhook_parallel, sizeof *d->leases);
	d->over_tail = &d->over;
	d->look = true;
	sys_random_hex(d->owner, sizeof d->owner - 1);
	if (!open_parts(d, e)) {
		http_free(d->http);
		db_close(d->db);
		xfree(d->leases);
		xfree(d);
		return NULL;
	}
	if (pthread_create(&d->thread, NULL, dispatch_main, d) != 0)
		die("no more threads");
	if (*c->webhook_allow)
		log_warn("webhooks may call private addresses", "webhook_allow=%s",
			 c->webhook_allow);
	return d;
}

void dispatch_wake(struct dispatch *d)
{
	atomic_store(&d->woken, true);
	http_wake(d->http);
}

void dispatch_doubt(struct dispatch *d)
{
	atomic_store(&d->doubted, true);
}

void dispatch_drain(struct dispatch *d)
{
	atomic_store(&d->draining, true);
	http_wake(d->http);
}

void dispatch_stop(struct dispatch *d)
{
	if (d->joined)
		return;
	dispatch_drain(d);
	pthread_join(d->thread, NULL);
	d->joined = true;
}

void dispatch_free(struct dispatch *d)
{
	if (!d)
		return;
	dispatch_stop(d);
	while (d->all)
		dispatch_drop(d, d->all);
	http_free(d->http);
	db_close(d->db);
	xfree(d->leases);
	xfree(d);
}
