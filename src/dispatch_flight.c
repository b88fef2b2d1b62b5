/*
 * dispatch_flight - flights and their targets: a lease that is held, in the queue of its target, in
 * the air, over. Touches neither the database nor the network.
 */
#include "dispatch_flight.h"

#include "log.h"
#include "sys.h"

/* ---- From queue to end ---- */

static struct target *target_of(struct dispatch *d, int64_t id)
{
	struct target **bucket = &d->targets[(uint64_t)id % TARGET_BUCKETS];
	for (struct target *t = *bucket; t; t = t->next)
		if (t->id == id)
			return t;
	struct target *t = xcalloc(1, sizeof *t);
	*t = (struct target){.id = id, .next = *bucket, .place = bucket};
	t->tail = &t->head;
	if (t->next)
		t->next->place = &t->next;
	*bucket = t;
	return t;
}

static void let_target_go(struct target *t)
{
	if (t->held)
		return;
	*t->place = t->next;
	if (t->next)
		t->next->place = t->place;
	xfree(t);
}

void dispatch_hold(struct dispatch *d, struct delivery_lease *l, int64_t ends_ms,
		   int64_t ends_mono_ms)
{
	struct flight *f = xcalloc(1, sizeof *f);
	f->lease = *l;
	f->ends_ms = ends_ms;
	f->ends_mono_ms = ends_mono_ms;
	*l = (struct delivery_lease){0};
	f->target = target_of(d, f->lease.target_id);
	f->target->held++;
	*f->target->tail = f;
	f->target->tail = &f->next;
	f->all_next = d->all;
	f->link = &d->all;
	if (f->all_next)
		f->all_next->link = &f->all_next;
	d->all = f;
	d->nall++;
	d->nqueued++;
	d->nproven += f->lease.proven;
}

struct flight *dispatch_unqueue(struct dispatch *d, struct target *t)
{
	struct flight *f = t->head;
	if (!f)
		return NULL;
	t->head = f->next;
	if (!t->head)
		t->tail = &t->head;
	f->next = NULL;
	d->nqueued--;
	return f;
}

void dispatch_over(struct dispatch *d, struct flight *f)
{
	if (!d->nover)
		d->over_since = sys_mono_ms();
	f->over = true;
	f->next = NULL;
	*d->over_tail = f;
	d->over_tail = &f->next;
	d->nover++;
}

void dispatch_hand_back(struct dispatch *d, struct flight *f)
{
	f->unsent = true;
	if (f->in_air) {
		f->in_air = false;
		f->target->flying--;
		d->nflying--;
		d->bytes -= f->body_len;
		http_exchange_release(&f->x);
	}
	dispatch_over(d, f);
}

void dispatch_drop(struct dispatch *d, struct flight *f)
{
	if (f->in_air)
		http_exchange_release(&f->x);
	*f->link = f->all_next;
	if (f->all_next)
		f->all_next->link = f->link;
	d->nall--;
	d->nproven -= f->lease.proven;
	f->target->held--;
	let_target_go(f->target);
	delivery_lease_release(&f->lease);
	xfree(f->body);
	xfree(f);
}

void dispatch_hand_back_queue(struct dispatch *d, struct target *t)
{
	for (struct flight *f; (f = dispatch_unqueue(d, t));)
		dispatch_hand_back(d, f);
}

/* ---- Leases that are renewed ---- */

bool dispatch_may_send(const struct flight *f)
{
	return sys_mono_ms() < f->ends_mono_ms && sys_wall_ms() < f->ends_ms;
}

/* The next one whose lease is to be renewed, from f on. */
static struct flight *renewable(struct flight *f)
{
	while (f && (f->over || f->lost))
		f = f->all_next;
	return f;
}

struct delivery_held *dispatch_held(const struct dispatch *d, size_t *n)
{
	struct delivery_held *out = xcalloc(d->nall + 1, sizeof *out);
	*n = 0;
	for (struct flight *f = renewable(d->all); f; f = renewable(f->all_next))
		out[(*n)++] = (struct delivery_held){.lease = &f->lease};
	return out;
}

/* Those of a target's queue that are lost, before others that are. */
static struct flight *take_lost(struct dispatch *d, struct target *t, struct flight *lost)
{
	struct flight **link = &t->head;
	for (struct flight *f; (f = *link);)
		if (f->lost) {
			*link = f->next;
			f->next = lost;
			lost = f;
			d->nqueued--;
		} else {
			link = &f->next;
		}
	t->tail = link;
	return lost;
}

static size_t drop_lost(struct dispatch *d)
{
	size_t n = 0;
	struct flight *lost = NULL;
	for (size_t i = 0; i < TARGET_BUCKETS; i++)
		for (struct target *t = d->targets[i]; t; t = t->next)
			lost = take_lost(d, t, lost);
	for (struct flight *next; lost; lost = next, n++) {
		next = lost->next;
		dispatch_drop(d, lost);
	}
	return n;
}

void dispatch_renewed(struct dispatch *d, const struct delivery_held *held, size_t n,
		      int64_t ends_ms, int64_t ends_mono_ms)
{
	struct flight *f = d->all;
	size_t lost = 0, dropped;
	for (size_t i = 0; i < n; i++, f = f->all_next) {
		f = renewable(f);
		f->lost = held[i].lost;
		lost += f->lost;
		if (!f->lost) {
			f->ends_ms = ends_ms;
			f->ends_mono_ms = ends_mono_ms;
		}
	}
	if (!lost)
		return;
	dropped = drop_lost(d);
	log_warn("webhook leases lost", "dropped=%zu under_way=%zu", dropped, lost - dropped);
}
