/*
 * store_s3 - objects in a bucket: the members of struct store_ops over an engine.
 *
 * What the server can do is found out by a probe when the store is opened for writing, and
 * remembered for a day in data_dir/store-probe-<place>.json, or until an upload that failed makes
 * us doubt it: then the next check probes anew, and nothing is put before. A server that cannot be
 * reached then is no reason not to open: uploads wait for it. One that refuses is: nothing would
 * ever be stored.
 */
#include "store.h"

#include "log.h"
#include "s3_engine.h"
#include "s3_probe.h"
#include "s3_sweep.h"
#include "s3_upload.h"
#include "s3_xml.h"
#include "sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	REMEMBER_MS = 24 * 3600 * 1000,
	FACTS_MAX = 64 << 10,
	XML_MAX = 4 << 20,
};

struct store_s3 {
	struct store base;
	const struct config *config;
	struct s3_place place;
	struct s3_account account;
	struct s3_engine *engine;
	struct s3_target target;    /* its facts: guarded by facts_lock */
	pthread_mutex_t facts_lock; /* held for moments only */
	char *probe_file, *probe_place;
	char probe_name[17];     /* of this machine and data_dir */
	pthread_mutex_t lock;    /* held while the server is probed */
	_Atomic bool probed;     /* target.facts are known */
	_Atomic bool doubted;    /* an upload says that they are not true any more */
	_Atomic int64_t trouble; /* puts that failed since the last one that did not */
	struct s3_sweeper *sweeper;
};

/* ---- Facts ---- */

static void learn(struct store_s3 *s, const struct s3_facts *f)
{
	pthread_mutex_lock(&s->facts_lock);
	s->target.facts = *f;
	pthread_mutex_unlock(&s->facts_lock);
}

static struct s3_target target_of(struct store_s3 *s)
{
	pthread_mutex_lock(&s->facts_lock);
	struct s3_target t = s->target;
	pthread_mutex_unlock(&s->facts_lock);
	return t;
}

/* What is remembered, however long ago it was found out. */
static bool read_facts(const struct store_s3 *s, struct s3_facts *f)
{
	char *json = NULL;
	size_t len = 0;
	struct err ignored;
	bool ok = sys_read_file(s->probe_file, FACTS_MAX, &json, &len, &ignored) &&
		  s3_facts_read(json, len, s->probe_place, f);
	xfree(json);
	return ok;
}

static bool recall(struct store_s3 *s)
{
	struct s3_facts f;
	if (!read_facts(s, &f))
		return false;
	int64_t age = sys_wall_ms() - f.probed_ms;
	if (age < 0 || age > REMEMBER_MS)
		return false;
	learn(s, &f);
	return true;
}

/* Losing it costs another probe, so it is neither synced nor is failing an error. */
static void remember(const struct store_s3 *s, const struct s3_facts *f)
{
	char *text = s3_facts_write(f, s->probe_place);
	char *draft = xasprintf("%s.part", s->probe_file);
	struct err ignored;
	int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && sys_write_all(fd, text, strlen(text), draft, &ignored);
	if (fd >= 0)
		close(fd);
	if (!ok || rename(draft, s->probe_file) != 0)
		unlink(draft);
	xfree(draft);
	xfree(text);
}

/* `quick`: an answer that does not come is not waited for again. */
static bool ask_facts(struct store_s3 *s, bool anew, bool quick, struct err *e)
{
	struct s3_facts f;
	struct buf line;
	char name[32];
	snprintf(name, sizeof name, "%s%s", s->probe_name, anew ? "-check" : "");
	if (!s3_probe(s->engine, &s->place, name, quick, &f, e))
		return false;
	learn(s, &f);
	remember(s, &f);
	buf_init(&line, 1024);
	s3_facts_show(&f, &line);
	log_info("store probed", "facts=\"%s\"", buf_str(&line));
	buf_release(&line);
	return true;
}

/* From the engine's thread. */
static void forget(struct store_s3 *s)
{
	unlink(s->probe_file);
	atomic_store(&s->probed, false);
}

/* Makes the facts known, by memory or by asking. */
static bool find_facts(struct store_s3 *s, bool anew, bool quick, struct err *e)
{
	bool ok = true;
	pthread_mutex_lock(&s->lock);
	if (anew || !atomic_load(&s->probed)) {
		ok = (!anew && recall(s)) || ask_facts(s, anew, quick, e);
		atomic_store(&s->probed, ok);
	}
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* ---- Opening ---- */

static bool have_keys(const struct config *c, struct err *e)
{
	if (*c->s3_access_key && *c->s3_secret_key)
		return true;
	return fail(e, ERR_INPUT,
		    "store_url: S3 needs an access key: set %s (or AWS_ACCESS_KEY_ID and "
		    "AWS_SECRET_ACCESS_KEY)",
		    *c->s3_access_key   ? "s3_secret_key"
		    : *c->s3_secret_key ? "s3_access_key"
					: "s3_access_key and s3_secret_key");
}

static void close_s3(struct store *base)
{
	struct store_s3 *s = (struct store_s3 *)base;
	s3_sweeper_stop(s->sweeper);
	s3_engine_free(s->engine);
	s3_place_release(&s->place);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->facts_lock);
	xfree(s->probe_file);
	xfree(s->probe_place);
	xfree(s);
}

/* Everything by which another answer could be given, the secret left out. */
static char *place_words(const struct store_s3 *s)
{
	struct buf b;
	buf_init(&b, 4096);
	s3_place_show(&s->place, &b);
	buf_addf(&b, ", access key %s", s->account.access_key);
	return buf_detach(&b);
}

static void name_probe(struct store_s3 *s)
{
	char host[256] = "", hash[65];
	gethostname(host, sizeof host - 1);
	char *here = xasprintf("%s:%s", host, s->config->data_dir);
	sha256_hex(here, strlen(here), hash);
	snprintf(s->probe_name, sizeof s->probe_name, "%.16s", hash);
	xfree(here);
}

static struct store *open_s3(const struct config *c, const char *where, enum store_mode mode,
			     struct err *e)
{
	struct store_s3 *s = xcalloc(1, sizeof *s);
	s->base.ops = &store_s3;
	s->config = c;
	s->account = (struct s3_account){c->s3_access_key, c->s3_secret_key, c->s3_session_token};
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->facts_lock, NULL);
	if (!s3_place_parse(&s->place, c, where, e) || !have_keys(c, e) ||
	    !(s->engine = s3_engine_new(&s->place, &s->account, c, e))) {
		close_s3(&s->base);
		return NULL;
	}
	char name[65];
	s->probe_place = place_words(s);
	sha256_hex(s->probe_place, strlen(s->probe_place), name);
	s->probe_file = xasprintf("%s/store-probe-%.8s.json", c->data_dir, name);
	name_probe(s);
	s->target = (struct s3_target){
		.engine = s->engine, .place = &s->place, .config = c, .doubted = &s->doubted};
	struct err why = {0};
	if (mode != STORE_READ && !find_facts(s, false, mode == STORE_SERVE, &why)) {
		if (why.kind != ERR_BUSY || mode == STORE_WRITE) {
			*e = why;
			close_s3(&s->base);
			return NULL;
		}
		log_warn("store not reached", "why=\"%s\"", why.text);
	}
	if (mode == STORE_SERVE && c->s3_orphan_age)
		s->sweeper = s3_sweeper_start(s->engine, &s->place, c->s3_orphan_age, &s->probed);
	return &s->base;
}

/* ---- Putting ---- */

/* The upload tells how it went before the caller hears of it. */
struct watched {
	struct put put;
	struct put *caller;
	struct store_s3 *store;
};

static void watched_over(struct put *p)
{
	struct watched *w = p->finished_arg;
	struct put *put = w->caller;
	put->key = w->put.key;
	put->ok = w->put.ok;
	put->err = w->put.err;
	if (put->ok)
		atomic_store(&w->store->trouble, 0);
	else
		atomic_fetch_add(&w->store->trouble, 1);
	if (atomic_exchange(&w->store->doubted, false))
		forget(w->store);
	xfree(w);
	put->finished(put);
}

static void start_s3(struct store *base, struct put *put)
{
	struct store_s3 *s = (struct store_s3 *)base;
	struct watched *w = xcalloc(1, sizeof *w);
	if (!atomic_load(&s->probed)) {
		fail(&put->err, ERR_BUSY, "the S3 server at %s was not reached yet", s->place.host);
		put->ok = false;
		atomic_fetch_add(&s->trouble, 1);
		xfree(w);
		put->finished(put);
		return;
	}
	*w = (struct watched){.put = *put, .caller = put, .store = s};
	w->put.finished = watched_over;
	w->put.finished_arg = w;
	const struct s3_target target = target_of(s);
	s3_upload_start(&target, &w->put);
}

static void cut_s3(struct store *base)
{
	s3_engine_cut(((struct store_s3 *)base)->engine);
}

/* ---- Reading ---- */

/* Without the permission to list, Amazon says 403 of an object that is missing. Facts are of a
 * server that let this key read, so it says nothing else. */
static bool is_hidden(struct store_s3 *s, const struct s3_op *op)
{
	struct s3_facts f;
	const char *code = op->verdict.code;
	if (op->res->status != 403 || (*code && strcmp(code, "AccessDenied") != 0))
		return false;
	if (atomic_load(&s->probed))
		return !target_of(s).facts.may_list;
	return read_facts(s, &f) && !f.may_list;
}

static bool is_missing(struct store_s3 *s, const struct s3_op *op)
{
	return op->verdict.meaning == S3_ABSENT || is_hidden(s, op);
}

static bool read_s3(struct store *base, const char *key, store_sink *sink, void *arg, struct err *e)
{
	struct store_s3 *s = (struct store_s3 *)base;
	struct s3_op op = {.sink = sink, .sink_arg = arg};
	s3_call_get(&op.call, key, 0, "");
	bool ok = s3_engine_ask(s->engine, &op, e);
	if (!ok && is_missing(s, &op))
		fail(e, ERR_ABSENT, "object %s is missing", key);
	s3_op_release(&op);
	return ok;
}

static bool find_s3(struct store *base, const char *key, int64_t *size, char sha256[static 65],
		    struct err *e)
{
	struct store_s3 *s = (struct store_s3 *)base;
	struct s3_op op = {0};
	s3_call_head(&op.call, key);
	bool ok = s3_engine_ask(s->engine, &op, e);
	sha256[0] = '\0';
	if (ok) {
		const char *said = op.res->want[S3_WANT_SHA256];
		*size = op.res->content_length;
		if (strlen(said) == 64)
			memcpy(sha256, said, 65);
	} else if (is_missing(s, &op)) {
		fail(e, ERR_ABSENT, "object %s is missing", key);
	}
	s3_op_release(&op);
	return ok;
}

static char *link_s3(struct store *base, const char *key, const char *name, const char *mime,
		     int64_t start_s, int64_t ttl_s)
{
	struct store_s3 *s = (struct store_s3 *)base;
	return s3_link(&s->place, &s->account, key, name, mime, start_s, ttl_s);
}

/* ---- Erasing ---- */

/* Deletes what a page lists, or as much of it as may be deleted at once. */
static bool delete_page(struct store_s3 *s, const struct s3_list *l,
			const struct store_guard *guard, struct err *e)
{
	size_t n = l->n < S3_PAGE_MAX ? l->n : S3_PAGE_MAX;
	char **keys = xcalloc(n, sizeof *keys);
	struct buf xml;
	struct s3_error first;
	for (size_t i = 0; i < n; i++)
		keys[i] = l->items[i].key;
	buf_init(&xml, XML_MAX);
	s3_write_delete(&xml, "", keys, n);
	xfree(keys);
	if (xml.overflow) {
		buf_release(&xml);
		return fail(e, ERR_FAIL,
			    "the S3 server lists keys that are too long to be deleted");
	}
	struct s3_op op = {0};
	s3_call_delete_many(&op.call, buf_detach(&xml));
	bool ok = guard->may(guard->arg, &op.until_ms, e) && s3_engine_ask(s->engine, &op, e);
	int left = ok ? s3_read_deleted(op.res->body, op.res->body_len, &first) : 0;
	/* An answer without a body is one without errors: quiet was asked for. */
	if (ok && left != 0 && op.res->body_len)
		ok = fail(e, ERR_FAIL, "%d objects could not be deleted: %s %s", left, first.code,
			  first.message);
	s3_op_release(&op);
	return ok;
}

/* Where uploads cannot be listed, since the server does not know how, none are found again. */
static bool sweep_folder(struct store_s3 *s, const char *folder, const struct store_guard *guard,
			 struct err *e)
{
	struct s3_swept swept;
	struct err ignored;
	if (s3_sweep(s->engine, &s->place, folder, INT64_MAX, guard, &swept, e))
		return true;
	return swept.unlisted && find_facts(s, false, true, &ignored) &&
	       !target_of(s).facts.may_list_uploads;
}

/* A server that goes on listing what it said it deleted would be asked without end. */
static bool is_another_page(char **first, const struct s3_list *l, struct err *e)
{
	if (l->n && *first && strcmp(*first, l->items[0].key) == 0)
		return fail(e, ERR_BUSY, "the S3 server still lists what it said it deleted");
	xfree(*first);
	*first = l->n ? xstrdup(l->items[0].key) : NULL;
	return true;
}

static bool erase_s3(struct store *base, const char *folder, const struct store_guard *guard,
		     struct err *e)
{
	struct store_s3 *s = (struct store_s3 *)base;
	char *first = NULL; /* of the page before */
	bool ok = true;
	for (bool more = true; ok && more;) {
		struct s3_op op = {0};
		struct s3_list l = {0};
		s3_call_list(&op.call, &s->place, folder, "");
		ok = s3_engine_ask(s->engine, &op, e) &&
		     s3_read_list(op.res->body, op.res->body_len, &l, e) &&
		     s3_list_is_below(&l, s->place.prefix, folder, e) &&
		     is_another_page(&first, &l, e) && (l.n == 0 || delete_page(s, &l, guard, e));
		more = l.n > 0; /* what was deleted is gone: the first page is another now */
		s3_list_release(&l);
		s3_op_release(&op);
	}
	xfree(first);
	return ok && sweep_folder(s, folder, guard, e);
}

/* ---- Checking ---- */

/* While puts go well, to see the bucket is enough; afterwards it must take an object. */
static bool check_s3(struct store *base, struct err *e)
{
	struct store_s3 *s = (struct store_s3 *)base;
	if (!atomic_load(&s->probed))
		return find_facts(s, false, true, e);
	if (atomic_load(&s->trouble)) {
		if (!s3_probe_write(s->engine, s->probe_name, e))
			return false;
		atomic_store(&s->trouble, 0);
		return true;
	}
	struct s3_op op = {0};
	s3_call_bucket(&op.call);
	bool ok = s3_engine_ask(s->engine, &op, e) || op.verdict.meaning == S3_REFUSED;
	if (op.verdict.meaning == S3_REFUSED) /* a HEAD does not say why, and may ask too much */
		ok = s3_probe_write(s->engine, s->probe_name, e);
	s3_op_release(&op);
	return ok;
}

static void describe_s3(struct store *base, struct buf *out)
{
	struct store_s3 *s = (struct store_s3 *)base;
	buf_addf(out, "endpoint  %s://%s, region %s\n", s->place.scheme, s->place.host,
		 s->place.region);
	buf_addf(out, "bucket  %s\n", s->place.bucket);
	buf_addf(out, "prefix  %s\n", *s->place.prefix ? s->place.prefix : "-");
	buf_addf(out, "access key  %s\n", s->account.access_key);
	if (!atomic_load(&s->probed) && !recall(s)) {
		buf_adds(out, "probe  never\n");
		return;
	}
	char at[25];
	const struct s3_facts f = target_of(s).facts;
	sys_format_utc(f.probed_ms, at);
	buf_addf(out, "probe  %s: ", at);
	s3_facts_show(&f, out);
	buf_adds(out, "\n");
}

static bool probe_s3(struct store *base, struct err *e)
{
	return find_facts((struct store_s3 *)base, true, false, e);
}

static void facts_s3(struct store *base, struct buf *out)
{
	struct store_s3 *s = (struct store_s3 *)base;
	const struct s3_facts f = target_of(s).facts;
	if (atomic_load(&s->probed))
		s3_facts_show(&f, out);
}

const struct store_ops store_s3 = {
	.scheme = "s3",
	.open = open_s3,
	.start = start_s3,
	.cut = cut_s3,
	.read = read_s3,
	.find = find_s3,
	.link = link_s3,
	.erase = erase_s3,
	.check = check_s3,
	.describe = describe_s3,
	.probe = probe_s3,
	.facts = facts_s3,
	.close = close_s3,
};
