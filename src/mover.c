/*
 * mover - see mover.h. Reads an object into a spool, compares it with the database, and puts it.
 */
#include "mover.h"

#include "db.h"
#include "filename.h"
#include "schema.h"
#include "spool.h"
#include "store.h"
#include "sys.h"
#include "walk.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 16 };

struct mover {
	const struct mover_options *o;
	struct store *from, *to;
	char *spool_dir;
	_Atomic int64_t copied, there;
	_Atomic bool away; /* a store does not do anything more: no use in going on */
	pthread_mutex_t lock;
	struct err why; /* it is away; guarded by the lock */
	struct mover_progress *progress;
};

static bool add_to_spool(void *arg, const void *data, size_t len, struct err *e)
{
	return spool_add(arg, data, len, e);
}

static bool is_what_it_should(const struct doc_view *d, int64_t size, const char *sha256)
{
	return size == d->size && strcmp(sha256, d->sha256) == 0;
}

/* A store of files does not remember hashes: the bytes are asked. */
static bool hash_object(struct mover *m, const char *key, char sha256[static 65], struct err *e)
{
	struct spool s;
	spool_init(&s, m->spool_dir, (size_t)m->o->config->spool_memory);
	bool ok = store_read(m->to, key, add_to_spool, &s, e) && spool_end(&s, e);
	if (ok)
		memcpy(sha256, s.sha256, sizeof s.sha256);
	spool_release(&s);
	return ok;
}

/* Whether the object is in the new store already; false with *e when something else is, or when
 * the store does not say. */
static bool find(struct mover *m, const struct doc_view *d, bool *there, struct err *e)
{
	int64_t size = 0;
	char sha256[65] = "";
	struct err why;
	*there = false;
	if (!store_find(m->to, d->object_key, &size, sha256, &why)) {
		if (why.kind == ERR_ABSENT)
			return true;
		*e = why;
		return false;
	}
	if (!*sha256 && size == d->size && !hash_object(m, d->object_key, sha256, e))
		return false;
	*there = is_what_it_should(d, size, sha256);
	return *there || fail(e, ERR_FAIL, "the new store holds other bytes under this key");
}

static bool put(struct mover *m, const struct doc_view *d, struct spool *s, struct err *e)
{
	char *name = filename_make((size_t)d->position, FILE_DIGITS, d->name, d->type, d->ext);
	struct put p = {.key = xstrdup(d->object_key), .body = s, .mime = d->mime, .name = name};
	struct put *one = &p;
	store_put(m->to, &one, 1);
	bool ok = p.ok;
	if (!ok)
		*e = p.err;
	else if (strcmp(p.key, d->object_key) != 0)
		ok = fail(e, ERR_FAIL, "the new store holds other bytes under this key");
	xfree(p.key);
	xfree(name);
	return ok;
}

static bool copy(struct mover *m, const struct doc_view *d, struct err *e)
{
	struct spool s;
	spool_init(&s, m->spool_dir, (size_t)m->o->config->spool_memory);
	bool ok = store_read(m->from, d->object_key, add_to_spool, &s, e) && spool_end(&s, e);
	if (ok && !is_what_it_should(d, s.size, s.sha256))
		ok = fail(e, ERR_FAIL,
			  "the old store's object is damaged: size %" PRId64 ", SHA-256 %s", s.size,
			  s.sha256);
	ok = ok && put(m, d, &s, e);
	spool_release(&s);
	return ok;
}

static void go_away(struct mover *m, const struct err *why)
{
	pthread_mutex_lock(&m->lock);
	if (m->why.kind == ERR_NONE)
		m->why = *why;
	pthread_mutex_unlock(&m->lock);
	atomic_store(&m->away, true);
}

static enum walk_result move_object(void *arg, const struct case_view *v, const struct doc_view *d,
				    struct err *e)
{
	struct mover *m = arg;
	bool there = false;
	(void)v;
	if (atomic_load(&m->away)) {
		fail(e, ERR_BUSY, "not tried");
		return WALK_UNREAD;
	}
	bool ok = find(m, d, &there, e) && (there || copy(m, d, e) ||
					    /* damaged on the way only? */
					    (e->kind == ERR_FAIL && copy(m, d, e)));
	if (ok)
		atomic_fetch_add(there ? &m->there : &m->copied, 1);
	else if (e->kind == ERR_BUSY || e->kind == ERR_DENIED)
		go_away(m, e);
	return ok ? WALK_GOOD : WALK_BAD;
}

static bool over(void *arg, const struct case_view *v, const struct walk_found *found)
{
	struct mover *m = arg;
	struct mover_progress *p = m->progress;
	for (size_t i = 0; i < v->ndocs; i++) {
		if (found[i].result != WALK_BAD)
			continue;
		if (atomic_load(&m->away))
			continue;
		p->failed++;
		if (m->o->on_failure)
			m->o->on_failure(m->o->arg, v->docs[i].object_key, &found[i].err);
	}
	p->copied = atomic_load(&m->copied);
	p->there = atomic_load(&m->there);
	if (m->o->on_progress)
		m->o->on_progress(m->o->arg, p);
	return !atomic_load(&m->away);
}

bool mover_run(const struct mover_options *o, struct mover_progress *out, struct err *e)
{
	struct mover m = {.o = o, .progress = out};
	struct db *db = NULL;
	*out = (struct mover_progress){0};
	pthread_mutex_init(&m.lock, NULL);
	m.spool_dir = xasprintf("%s/spool", o->config->data_dir);
	bool ok = strcmp(o->from, o->to) != 0 ||
		  fail(e, ERR_INPUT, "--from and --to are the same store");
	ok = ok && sys_mkdirs(m.spool_dir, 0700, e) &&
	     (db = db_open(o->config->database_url, DB_READ, e)) && schema_check(db, e) &&
	     (m.from = store_open(o->config, o->from, STORE_READ, e)) &&
	     (m.to = store_open(o->config, o->to, STORE_WRITE, e)) && store_check(m.to, e);
	ok = ok && walk_all(&(struct walk){.db = db,
					   .threads = THREADS,
					   .object = move_object,
					   .over = over,
					   .arg = &m},
			    e);
	if (ok && atomic_load(&m.away)) {
		*e = m.why;
		ok = err_prefix(e, "%" PRId64 " copied, %" PRId64 " already there, then: ",
				out->copied, out->there);
	}
	store_close(m.to);
	store_close(m.from);
	db_close(db);
	pthread_mutex_destroy(&m.lock);
	xfree(m.spool_dir);
	return ok;
}
