/*
 * The worker as a service, from outside: what it leases and hands back, what it says of itself,
 * and how it ends. Nobody listens where its portal should be.
 */
#include "worker.h"

#include "job.h"
#include "query.h"
#include "scratch.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define NUMBER "00000013920248260100"

enum { PATIENCE_MS = 20000 };

struct room {
	char *dir, *token;
	int port; /* a socket that does not listen */
	struct config config;
	struct ledger *ledger;
	struct store *store;
	struct db *reader;
	struct worker *worker;
	pthread_t thread;
	bool running;
	enum worker_end end;
};

/* ---- The ledger's database, which fails while it is told to ---- */

static atomic_bool broken;

static bool run_or_fail(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
			struct db_rows *out, struct err *e)
{
	if (atomic_load(&broken))
		return fail(e, ERR_FAIL, "injected");
	return db_sqlite.run(db, sql, args, nargs, out, e);
}

/* ---- Setting up ---- */

static void configure(struct room *r, const char *key, const char *fmt, ...)
{
	char value[300];
	struct err e = {0};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(value, sizeof value, fmt, ap);
	va_end(ap);
	if (!config_set(&r->config, key, value, CONFIG_FILE, &e))
		print_error("%s\n", e.text);
	assert_int_equal(e.kind, ERR_NONE);
}

static int closed_port(struct room *r)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof a;
	r->port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(r->port >= 0);
	assert_int_equal(bind(r->port, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(r->port, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

static struct worker *make(struct room *r, bool service, struct err *e)
{
	return worker_new(&(struct worker_options){.config = &r->config,
						   .ledger = r->ledger,
						   .store = r->store,
						   .service = service},
			  e);
}

static int setup(void **state)
{
	static struct db_ops ops;
	struct room *r = xcalloc(1, sizeof *r);
	struct err e = {0};
	r->dir = scratch_make();
	r->token = xasprintf("%s/token", r->dir);
	config_init(&r->config);
	configure(r, "data_dir", "%s", r->dir);
	configure(r, "database_url", "sqlite:%s/autos.db", r->dir);
	configure(r, "store_url", "dir:%s/objects", r->dir);
	configure(r, "portal_url", "http://127.0.0.1:%d/api/v2", closed_port(r));
	configure(r, "portal_token_file", "%s", r->token);
	configure(r, "portal_pace", "0");
	configure(r, "portal_pause_max", "100ms");
	r->ledger = ledger_open(r->config.database_url, &e);
	r->store = store_open(&r->config, r->config.store_url, STORE_WRITE, &e);
	r->reader = db_open(r->config.database_url, DB_READ, &e);
	assert_true(r->ledger && r->store && r->reader);
	atomic_store(&broken, false);
	ops = db_sqlite;
	ops.run = run_or_fail;
	ledger_db(r->ledger)->ops = &ops;
	r->worker = make(r, true, &e);
	assert_non_null(r->worker);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	if (r->running) {
		worker_stop(r->worker);
		pthread_join(r->thread, NULL);
	}
	worker_free(r->worker);
	db_close(r->reader);
	store_close(r->store);
	ledger_close(r->ledger);
	config_release(&r->config);
	close(r->port);
	scratch_remove(r->dir);
	xfree(r->token);
	xfree(r);
	return 0;
}

/* ---- Running ---- */

static void *serve(void *arg)
{
	struct room *r = arg;
	struct err e;
	r->end = worker_serve(r->worker, &e);
	return NULL;
}

static void start(struct room *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
	r->running = true;
}

static void ends(struct room *r)
{
	assert_int_equal(pthread_join(r->thread, NULL), 0);
	r->running = false;
	assert_int_equal(r->end, WORKER_STOPPED);
}

static struct worker_health health(struct room *r)
{
	struct worker_health h;
	worker_health(r->worker, &h);
	return h;
}

/* Waits until it is so; fails after a time in which it should have been. */
#define UNTIL(what)                                                                                \
	do {                                                                                       \
		int64_t end_ = sys_mono_ms() + PATIENCE_MS;                                        \
		while (!(what)) {                                                                  \
			if (sys_mono_ms() > end_)                                                  \
				fail_msg("it never came to %s", #what);                            \
			poll(NULL, 0, 2);                                                          \
		}                                                                                  \
	} while (0)

/* The loop has gone round a few times since. */
static void some_turns(struct room *r)
{
	for (int i = 0; i < 3; i++) {
		int64_t was = health(r).turned_ms;
		worker_wake(r->worker);
		UNTIL(health(r).turned_ms > was);
	}
}

/* ---- Jobs ---- */

static bool request(struct db *db, void *arg, struct err *e)
{
	struct job_ticket t;
	bool ok = job_request(
		db, &(struct job_ask){.number = NUMBER, .relist = true, .now_ms = sys_wall_ms()},
		&t, e);
	*(int64_t *)arg = t.job_id;
	return ok;
}

static bool cancel(struct db *db, void *arg, struct err *e)
{
	return job_cancel(db, *(int64_t *)arg, sys_wall_ms(), e);
}

static void write_down(struct room *r, ledger_fn *fn, int64_t *job_id)
{
	struct err e = {0};
	if (!ledger_write(r->ledger, fn, job_id, &e))
		print_error("%s\n", e.text);
	assert_int_equal(e.kind, ERR_NONE);
	worker_wake(r->worker);
}

/* "state/owner" where owner is "free" or "held". */
static bool job_is(struct room *r, const char *want)
{
	struct db_rows rows;
	struct err e;
	char is[60];
	assert_true(db_exec(r->reader, &rows, &e, "SELECT state, owner FROM job"));
	assert_int_equal(rows.rows, 1);
	snprintf(is, sizeof is, "%s/%s", db_text(&rows, 0, 0),
		 *db_text(&rows, 0, 1) ? "held" : "free");
	db_rows_release(&rows);
	return strcmp(is, want) == 0;
}

static void give_token(struct room *r)
{
	scratch_write(r->token, "secret\n", 7);
}

/* ---- Tests ---- */

static void test_no_token(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	int64_t job;
	assert_null(make(r, false, &e)); /* a command does not start */
	assert_error(&e, ERR_DENIED);
	start(r);
	write_down(r, request, &job);
	UNTIL(health(r).turned_ms);
	some_turns(r);
	struct worker_health h = health(r);
	assert_true(h.token_missing);
	assert_false(h.token_refused);
	assert_int_equal(h.cases, 0);
	assert_int_equal(h.trouble_since_ms, 0);
	assert_true(job_is(r, "pending/free"));
	worker_drain(r->worker);
	ends(r);
	assert_true(job_is(r, "pending/free"));
}

/* The file appears: work begins. The portal is away: the case is held, and nothing is final. */
static void test_token_appears(void **state)
{
	struct room *r = *state;
	int64_t job;
	start(r);
	write_down(r, request, &job);
	UNTIL(health(r).token_missing);
	give_token(r);
	UNTIL(health(r).pause_why);
	struct worker_health h = health(r);
	assert_false(h.token_missing);
	assert_int_equal(h.cases, 1);
	assert_true(h.paused_until_ms > 0);
	assert_int_equal(h.token_expires_ms, -1);
	assert_true(job_is(r, "processing/held"));
	for (int i = 0; i < 20; i++) { /* many more pauses than there are retries */
		int64_t was = health(r).paused_until_ms;
		UNTIL(health(r).paused_until_ms > was);
	}
	assert_true(job_is(r, "processing/held"));
	worker_drain(r->worker);
	ends(r);
	assert_true(job_is(r, "pending/free"));
	assert_int_equal(health(r).cases, 0);
}

static void test_cancel(void **state)
{
	struct room *r = *state;
	int64_t job;
	give_token(r);
	start(r);
	write_down(r, request, &job);
	UNTIL(job_is(r, "processing/held"));
	int64_t asked = sys_mono_ms();
	write_down(r, cancel, &job);
	UNTIL(job_is(r, "cancelled/free"));
	UNTIL(health(r).cases == 0);
	assert_true(sys_mono_ms() - asked < r->config.lease_time / 3); /* not by the renewal */
	worker_stop(r->worker);
	ends(r);
	assert_true(job_is(r, "cancelled/free"));
}

static atomic_bool blocked;

/* The disk hangs for longer than a lease lives. */
static bool hang(struct db *db, void *arg, struct err *e)
{
	struct room *r = arg;
	(void)db;
	(void)e;
	atomic_store(&blocked, true);
	poll(NULL, 0, (int)r->config.lease_time + 200);
	return true;
}

static void hung_up(struct write *w)
{
	(void)w;
	atomic_store(&blocked, false);
}

static int64_t epoch_of(struct room *r)
{
	struct db_rows rows;
	struct err e;
	assert_true(db_exec(r->reader, &rows, &e, "SELECT epoch FROM job"));
	int64_t epoch = db_int(&rows, 0, 0);
	db_rows_release(&rows);
	return epoch;
}

/* A lease that runs out while its own worker waits for the disk is renewed, not taken again. */
static void test_own_lease_runs_out(void **state)
{
	struct room *r = *state;
	struct write w = {.fn = hang, .arg = r, .done = hung_up};
	int64_t job;
	configure(r, "lease_time", "2s");
	give_token(r);
	start(r);
	write_down(r, request, &job);
	UNTIL(job_is(r, "processing/held"));
	UNTIL(health(r).cases == 1);
	ledger_submit(r->ledger, &w);
	UNTIL(atomic_load(&blocked));
	worker_wake(r->worker); /* looks for jobs, behind the hanging write */
	UNTIL(!atomic_load(&blocked));
	some_turns(r);
	assert_int_equal(epoch_of(r), 1);
	assert_int_equal(health(r).cases, 1);
	assert_true(job_is(r, "processing/held"));
	worker_drain(r->worker);
	ends(r);
	assert_true(job_is(r, "pending/free"));
}

/* The ledger fails: said, waited out; the case is leased again afterwards. */
static void test_trouble(void **state)
{
	struct room *r = *state;
	int64_t job;
	struct worker_health h;
	give_token(r);
	write_down(r, request, &job);
	atomic_store(&broken, true);
	start(r);
	UNTIL(health(r).trouble_since_ms);
	h = health(r);
	assert_string_equal(h.trouble, "injected");
	assert_int_equal(h.cases, 0);
	atomic_store(&broken, false);
	assert_true(job_is(r, "pending/free"));
	UNTIL(job_is(r, "processing/held"));
	assert_int_equal(health(r).trouble_since_ms, h.trouble_since_ms); /* until it is calm */
	UNTIL(!health(r).trouble_since_ms);
	assert_string_equal(health(r).trouble, "");
	worker_drain(r->worker);
	ends(r);
	assert_true(job_is(r, "pending/free"));
}

static void test_drain_in_trouble(void **state)
{
	struct room *r = *state;
	int64_t began = sys_mono_ms();
	give_token(r);
	atomic_store(&broken, true);
	start(r);
	UNTIL(health(r).trouble_since_ms);
	worker_drain(r->worker);
	ends(r);
	assert_true(sys_mono_ms() - began < 5000); /* it does not rest first */
}

/* Told before it began. */
static void test_drained_at_once(void **state)
{
	struct room *r = *state;
	int64_t job;
	give_token(r);
	write_down(r, request, &job);
	worker_drain(r->worker);
	start(r);
	ends(r);
	assert_true(job_is(r, "pending/free"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_no_token),        TEST(test_token_appears),
		TEST(test_cancel),          TEST(test_own_lease_runs_out),
		TEST(test_trouble),         TEST(test_drain_in_trouble),
		TEST(test_drained_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
