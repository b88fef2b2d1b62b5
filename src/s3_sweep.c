/*
 * s3_sweep - see s3_sweep.h. Knows an upload by its key, its id and its age alone.
 */
#include "s3_sweep.h"

#include "log.h"
#include "metrics.h"
#include "s3_xml.h"
#include "sys.h"
#include "sys_wait.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

/* All that a store has in parts; a bucket may be shared with others. */
#define DOCUMENTS "processos/"

enum {
	EVERY_MS = 24 * 3600 * 1000,
	NOT_YET_MS = 1000,
	CUT_EVERY_MS = 100, /* what must end and may have begun just now */
};

/* One whose age is not known is not old; of a folder that goes altogether it goes, too. */
static bool is_due(const struct s3_item *u, int64_t before_ms)
{
	return before_ms == INT64_MAX || (u->initiated_ms && u->initiated_ms < before_ms);
}

/* Aborts what is old enough on one page. An upload that is gone meanwhile is fine. */
static bool sweep_page(struct s3_engine *x, const struct s3_place *p, const struct s3_list *l,
		       int64_t before_ms, const struct store_guard *guard, struct s3_swept *out,
		       struct err *e)
{
	size_t n = strlen(p->prefix);
	for (size_t i = 0; i < l->n; i++) {
		const struct s3_item *u = &l->items[i];
		if (!is_due(u, before_ms))
			continue;
		if (!*u->upload_id) /* aborting that may delete the object */
			return fail(e, ERR_FAIL, "the S3 server lists an upload without its id");
		struct s3_op op = {0};
		s3_call_abort(&op.call, u->key + n, u->upload_id);
		bool ok = (!guard || guard->may(guard->arg, &op.until_ms, e)) &&
			  (s3_engine_ask(x, &op, e) || op.verdict.meaning == S3_ABSENT);
		s3_op_release(&op);
		if (!ok)
			return false;
		metric_add(METRIC_store_orphans, 1);
		out->uploads++;
	}
	return true;
}

bool s3_sweep(struct s3_engine *x, const struct s3_place *p, const char *folder, int64_t before_ms,
	      const struct store_guard *guard, struct s3_swept *out, struct err *e)
{
	char *key = xstrdup(""), *upload = xstrdup("");
	bool ok = true, more = true;
	*out = (struct s3_swept){0};
	while (ok && more) {
		struct s3_op op = {0};
		struct s3_list l = {0};
		s3_call_uploads(&op.call, p, folder, key, upload);
		ok = s3_engine_ask(x, &op, e) &&
		     s3_read_list(op.res->body, op.res->body_len, &l, e) &&
		     s3_list_is_below(&l, p->prefix, folder, e) &&
		     sweep_page(x, p, &l, before_ms, guard, out, e);
		out->unlisted = !ok && op.verdict.unknown;
		more = ok && l.truncated && *l.next;
		xfree(key);
		xfree(upload);
		key = xstrdup(more ? l.next : "");
		upload = xstrdup(more ? l.next_upload : "");
		s3_list_release(&l);
		s3_op_release(&op);
	}
	xfree(key);
	xfree(upload);
	if (out->uploads)
		log_info("uploads aborted", "count=%zu", out->uploads);
	return ok;
}

/* ---- The thread ---- */

struct s3_sweeper {
	struct s3_engine *engine;
	const struct s3_place *place;
	int64_t age_ms;
	_Atomic bool *ready;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t end, ended;
	bool ending, over;
};

static bool is_ending(struct s3_sweeper *s)
{
	pthread_mutex_lock(&s->lock);
	bool ending = s->ending;
	pthread_mutex_unlock(&s->lock);
	return ending;
}

static bool goes_on(void *arg, int64_t *until_ms, struct err *e)
{
	*until_ms = INT64_MAX;
	return !is_ending(arg) || fail(e, ERR_BUSY, "stopped");
}

/* Rests; false when it is to end. */
static bool rest(struct s3_sweeper *s, int64_t ms)
{
	int64_t until = sys_mono_ms() + ms;
	pthread_mutex_lock(&s->lock);
	while (!s->ending && sys_cond_wait(&s->end, &s->lock, until))
		;
	bool ending = s->ending;
	pthread_mutex_unlock(&s->lock);
	return !ending;
}

static void sweep_all(struct s3_sweeper *s)
{
	const struct store_guard guard = {.may = goes_on, .arg = s};
	struct s3_swept swept;
	struct err e;
	bool ok = s3_sweep(s->engine, s->place, DOCUMENTS, sys_wall_ms() - s->age_ms, &guard,
			   &swept, &e);
	if (!ok && !swept.unlisted && !is_ending(s))
		log_warn("uploads not swept", "why=\"%s\"", e.text);
}

static void *run(void *arg)
{
	struct s3_sweeper *s = arg;
	bool ready;
	do {
		ready = atomic_load(s->ready);
		if (ready && !is_ending(s))
			sweep_all(s);
	} while (rest(s, ready ? EVERY_MS : NOT_YET_MS));
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct s3_sweeper *s3_sweeper_start(struct s3_engine *x, const struct s3_place *p, int64_t age_ms,
				    _Atomic bool *ready)
{
	struct s3_sweeper *s = xcalloc(1, sizeof *s);
	*s = (struct s3_sweeper){.engine = x, .place = p, .age_ms = age_ms, .ready = ready};
	pthread_mutex_init(&s->lock, NULL);
	sys_cond_init(&s->end);
	sys_cond_init(&s->ended);
	if (pthread_create(&s->thread, NULL, run, s) != 0)
		die("cannot start a thread");
	return s;
}

void s3_sweeper_stop(struct s3_sweeper *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->end);
	while (!s->over) {
		pthread_mutex_unlock(&s->lock);
		s3_engine_cut(s->engine);
		pthread_mutex_lock(&s->lock);
		if (!s->over)
			sys_cond_wait(&s->ended, &s->lock, sys_mono_ms() + CUT_EVERY_MS);
	}
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->end);
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	xfree(s);
}
