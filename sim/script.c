/*
 * script - holds rules against calls and counts. Reading them from text is in script_read.c.
 *
 * Chance is a function of (seed, rule, key, count), so a rule that counts per document decides the
 * same for the n-th call of a document in every run, however the calls interleave.
 */
#include "script_rule.h"

#include "mix.h"
#include "sys.h"

#include <string.h>

void script_free(struct script *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nstrings; i++)
		xfree(s->strings[i]);
	xfree(s->strings);
	xfree(s->rules);
	xfree(s->counts);
	pthread_mutex_destroy(&s->lock);
	xfree(s);
}

void script_reset(struct script *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->counts)
		memset(s->counts, 0, s->counts_cap * sizeof *s->counts);
	s->ncounts = 0;
	pthread_mutex_unlock(&s->lock);
}

static struct count *slot(struct count *table, size_t cap, uint64_t key)
{
	size_t i = (size_t)(mix64(key) & (cap - 1));
	while (table[i].n && table[i].key != key)
		i = (i + 1) & (cap - 1);
	return &table[i];
}

/* How many calls the key has seen, this one included. Open addressing; cap is a power of two. */
static uint64_t count_call(struct script *s, uint64_t key)
{
	pthread_mutex_lock(&s->lock);
	if (s->ncounts * 2 >= s->counts_cap) {
		size_t cap = s->counts_cap ? s->counts_cap * 2 : 64;
		struct count *table = xcalloc(cap, sizeof *table);
		for (size_t i = 0; i < s->counts_cap; i++)
			if (s->counts[i].n)
				*slot(table, cap, s->counts[i].key) = s->counts[i];
		xfree(s->counts);
		s->counts = table;
		s->counts_cap = cap;
	}
	struct count *c = slot(s->counts, s->counts_cap, key);
	if (c->n == 0)
		s->ncounts++;
	c->key = key;
	uint64_t n = ++c->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static uint64_t key_of(const struct rule *r, size_t number, const struct script_call *call)
{
	uint64_t key = (uint64_t)(number + 1) << 48;
	if (r->per != PER_RULE && call->dossier)
		key |= (uint64_t)call->dossier->id << 24;
	if (r->per == PER_DOCUMENT && call->entry)
		key |= call->entry->index + 1;
	return key;
}

static bool filters_match(const struct rule *r, const struct script_call *call)
{
	if (r->any_route ? call->route >= ROUTE_OTHER : r->route != call->route)
		return false;
	if (r->digits[0] &&
	    (!call->dossier || strcmp(r->digits, call->dossier->number.digits) != 0))
		return false;
	if (r->uuid[0] && (!call->entry || strcasecmp(r->uuid, call->entry->uuid) != 0))
		return false;
	return r->index == 0 || (call->entry && call->entry->index + 1 == r->index);
}

bool script_match(struct script *s, const struct script_call *call, struct recipe *recipe,
		  const char **name)
{
	for (size_t i = 0; s && i < s->nrules; i++) {
		const struct rule *r = &s->rules[i];
		if (!filters_match(r, call))
			continue;
		uint64_t key = key_of(r, i, call);
		uint64_t n = count_call(s, key);
		if (n < r->first || (r->last && n > r->last) || (r->every && n % r->every != 0))
			continue;
		if (r->probability < 1.0) {
			double chance =
				(double)(mix_of(s->seed, key, n, 7) >> 11) / 9007199254740992.0;
			if (chance >= r->probability)
				continue;
		}
		*recipe = r->recipe;
		*name = r->name;
		return true;
	}
	return false;
}
