/*
 * keyring - an open hash table by the hash of the key, replaced as a whole when it is out of date.
 */
#include "keyring.h"

#include "sys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { USED_EVERY_MS = 60000, KEY_MAX = 200 };

struct table {
	struct grant *grants;
	size_t n;
	uint32_t *slots; /* index + 1 into grants; 0 = free; a power of two, at least twice n */
	size_t nslots;
	_Atomic int64_t *used_ms; /* by grant: when its use was last reported */
};

struct keyring {
	struct db *db; /* under the lock for writing */
	pthread_rwlock_t lock;
	struct table table;
	_Atomic bool stale;
};

/* The hash is uniform, so its first digits are as good as another hash of it. */
static size_t slot_of(const char *hex, size_t nslots)
{
	uint64_t v = 0;
	for (int i = 0; i < 15; i++)
		v = v << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
	return v & (nslots - 1);
}

static void clear(struct table *t)
{
	xfree(t->grants);
	xfree(t->slots);
	xfree(t->used_ms);
	*t = (struct table){0};
}

/* Index of the grant with this hash, -1 when there is none. */
static ssize_t lookup(const struct table *t, const char *hash)
{
	if (!t->nslots)
		return -1;
	for (size_t at = slot_of(hash, t->nslots); t->slots[at]; at = (at + 1) & (t->nslots - 1))
		if (memcmp(t->grants[t->slots[at] - 1].hash, hash, 64) == 0)
			return (ssize_t)t->slots[at] - 1;
	return -1;
}

/* Takes over the grants. A use that was reported may not be written down yet: what the old table
 * knows of it goes on. */
static struct table index_of(struct grant *grants, size_t n, const struct table *old)
{
	struct table t = {.grants = grants, .n = n};
	for (t.nslots = 16; t.nslots < 2 * n; t.nslots *= 2)
		;
	t.slots = xcalloc(t.nslots, sizeof *t.slots);
	t.used_ms = xcalloc(n, sizeof *t.used_ms);
	for (size_t i = 0; i < n; i++) {
		size_t at = slot_of(grants[i].hash, t.nslots);
		while (t.slots[at])
			at = (at + 1) & (t.nslots - 1);
		t.slots[at] = (uint32_t)i + 1;
		ssize_t before = lookup(old, grants[i].hash);
		int64_t used = before < 0 ? 0 : atomic_load(&old->used_ms[before]);
		atomic_store(&t.used_ms[i],
			     used > grants[i].last_used_ms ? used : grants[i].last_used_ms);
	}
	return t;
}

/* Under the lock for writing. The old table stays when the database cannot be read. */
static bool load(struct keyring *k, struct err *e)
{
	struct grant *grants = NULL;
	size_t n = 0;
	atomic_store(&k->stale, false);
	if (!access_grants(k->db, &grants, &n, e)) {
		atomic_store(&k->stale, true);
		return false;
	}
	struct table t = index_of(grants, n, &k->table);
	clear(&k->table);
	k->table = t;
	return true;
}

struct keyring *keyring_new(const char *database_url, struct err *e)
{
	struct keyring *k = xcalloc(1, sizeof *k);
	pthread_rwlock_init(&k->lock, NULL);
	k->db = db_open(database_url, DB_READ, e);
	if (!k->db || !load(k, e)) {
		keyring_free(k);
		return NULL;
	}
	return k;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	clear(&k->table);
	db_close(k->db);
	pthread_rwlock_destroy(&k->lock);
	xfree(k);
}

void keyring_notes(void *arg, const struct db_note *notes, size_t n)
{
	struct keyring *k = arg;
	for (size_t i = 0; i < n; i++)
		if (notes[i].kind == NOTE_ACCESS || notes[i].kind == NOTE_ANY)
			atomic_store(&k->stale, true);
}

static bool refresh(struct keyring *k, struct err *e)
{
	if (!atomic_load(&k->stale))
		return true;
	pthread_rwlock_wrlock(&k->lock);
	bool ok = !atomic_load(&k->stale) || load(k, e);
	pthread_rwlock_unlock(&k->lock);
	return ok;
}

bool keyring_find(struct keyring *k, const char *key, struct grant *out, bool *use, struct err *e)
{
	char hash[65];
	size_t len = strnlen(key, KEY_MAX + 1);
	*use = false;
	if (!refresh(k, e))
		return false;
	if (len > KEY_MAX)
		return fail(e, ERR_DENIED, "this API key is not known");
	sha256_hex(key, len, hash);
	int64_t now = sys_wall_ms();
	pthread_rwlock_rdlock(&k->lock);
	ssize_t at = lookup(&k->table, hash);
	if (at >= 0) {
		*out = k->table.grants[at];
		_Atomic int64_t *used = &k->table.used_ms[at];
		int64_t last = atomic_load(used);
		if (now - last >= USED_EVERY_MS || last - now >= USED_EVERY_MS)
			*use = atomic_compare_exchange_strong(used, &last, now);
	}
	pthread_rwlock_unlock(&k->lock);
	if (at < 0)
		return fail(e, ERR_DENIED, "this API key is not known");
	if (out->expires_ms && out->expires_ms <= now)
		return fail(e, ERR_INPUT, "this API key has expired");
	return true;
}

size_t keyring_count(struct keyring *k)
{
	struct err ignored;
	size_t n = 0;
	if (!refresh(k, &ignored))
		return 0;
	int64_t now = sys_wall_ms();
	pthread_rwlock_rdlock(&k->lock);
	for (size_t i = 0; i < k->table.n; i++) {
		const struct grant *g = &k->table.grants[i];
		n += !g->expires_ms || g->expires_ms > now;
	}
	pthread_rwlock_unlock(&k->lock);
	return n;
}
