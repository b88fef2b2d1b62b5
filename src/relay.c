/*
 * relay - one loop: send a hint that is due, read what others changed, wait.
 */
#include "relay.h"

#include "change.h"
#include "log.h"
#include "metrics.h"
#include "sys.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	HINT_EVERY_MS = 50,
	READ_EVERY_MS = 20, /* at most, however many hints come */
	LOOK_MIN_MS = 250,  /* without any hint */
	LOOK_SPREAD_MS = 500,
	AGAIN_MS = 250, /* after a failure */
};

struct relay {
	struct ledger *ledger;
	struct db *db;
	struct change_place place;
	int wake; /* eventfd: something was committed here, or the end is near */
	_Atomic bool committed, stop;
	int64_t hinted_at, read_at; /* monotonic */
	bool missed;                /* not everything was seen: the connection was lost */
	pthread_t thread;
};

static void poke(struct relay *r)
{
	uint64_t one = 1;
	while (write(r->wake, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void note_commit(void *arg, const struct db_note *notes, size_t n)
{
	struct relay *r = arg;
	(void)notes;
	if (pthread_equal(pthread_self(), r->thread))
		return; /* others' news are no news to others */
	if (n && !atomic_exchange(&r->committed, true))
		poke(r);
}

static bool read_changes(struct relay *r, struct err *e)
{
	struct db_note *notes;
	size_t n;
	if (!change_read(r->db, &r->place, ledger_owner(r->ledger), &notes, &n, e))
		return false;
	r->read_at = sys_mono_ms();
	if (r->missed) {
		const struct db_note any = {.kind = NOTE_ANY};
		ledger_tell(r->ledger, &any, 1);
		r->missed = false;
	}
	if (n)
		ledger_tell(r->ledger, notes, n);
	metric_add(METRIC_changes_heard, (int64_t)n);
	xfree(notes);
	return true;
}

static bool turn(struct relay *r, struct err *e)
{
	int64_t now = sys_mono_ms(), wait = LOOK_MIN_MS + (int64_t)sys_random_below(LOOK_SPREAD_MS);
	bool told;
	if (atomic_load(&r->committed) && now - r->hinted_at >= HINT_EVERY_MS) {
		atomic_store(&r->committed, false);
		r->hinted_at = now;
		if (!change_hint(r->db, e))
			return false;
	}
	if (!read_changes(r, e))
		return false;
	if (atomic_load(&r->committed) && r->hinted_at + HINT_EVERY_MS - now < wait)
		wait = r->hinted_at + HINT_EVERY_MS - now;
	if (!r->db->ops->await(r->db, r->wake, wait > 0 ? wait : 0, &told, e))
		return false;
	uint64_t ignored;
	if (read(r->wake, &ignored, sizeof ignored) < 0 && errno != EAGAIN && errno != EINTR)
		return fail_errno(e, "relay");
	int64_t soon = r->read_at + READ_EVERY_MS - sys_mono_ms();
	if (soon > 0)
		poll(NULL, 0, (int)soon);
	return true;
}

static void *relay_main(void *arg)
{
	struct relay *r = arg;
	while (!atomic_load(&r->stop)) {
		struct err e = {0};
		if (turn(r, &e))
			continue;
		if (!r->missed)
			log_warn("news lost", "why=\"%s\"", e.text);
		r->missed = true;
		change_place_release(&r->place);
		poll(&(struct pollfd){.fd = r->wake, .events = POLLIN}, 1, AGAIN_MS);
	}
	return NULL;
}

bool relay_new(const char *url, struct ledger *l, struct relay **out, struct err *e)
{
	*out = NULL;
	if (ledger_db(l)->ops->exclusive)
		return true;
	struct relay *r = xcalloc(1, sizeof *r);
	r->ledger = l;
	r->missed = true; /* whatever was committed before we listened */
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake < 0)
		die("no eventfd");
	r->db = db_open(url, DB_WRITE, e);
	if (!r->db || !change_listen(r->db, e)) {
		db_close(r->db);
		close(r->wake);
		xfree(r);
		return false;
	}
	if (pthread_create(&r->thread, NULL, relay_main, r) != 0)
		die("cannot start a thread");
	ledger_watch(l, note_commit, r); /* which asks who the thread is */
	*out = r;
	return true;
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	atomic_store(&r->stop, true);
	poke(r);
	pthread_join(r->thread, NULL);
	change_place_release(&r->place);
	db_close(r->db);
	close(r->wake);
	xfree(r);
}
