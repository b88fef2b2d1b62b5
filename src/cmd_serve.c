/*
 * cmd_serve - `autos serve`: puts ledger, store, worker, api and server together, and takes them
 * apart in order.
 *
 * The order of an end: readyz says no and nobody waits any more, the worker drains, the doors are
 * shut, the last commits are awaited, whoever tells news ends before whoever hears them, the
 * database is closed. A second signal ends the program at once; what was accepted is in the
 * database either way.
 */
#include "cmd.h"

#include "api.h"
#include "config_service.h"
#include "dispatch.h"
#include "job.h"
#include "ledger.h"
#include "log.h"
#include "notify.h"
#include "relay.h"
#include "server.h"
#include "store.h"
#include "sys.h"
#include "term.h"
#include "upkeep.h"
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICK_S = 1 };

struct service {
	const struct config *config;
	struct ledger *ledger;
	struct store *store;
	struct worker *worker;
	struct api *api;
	struct server *server;
	_Atomic(struct dispatch *) dispatch;
	struct relay *relay;
	struct upkeep *upkeep;
	bool works, serves; /* by its role */
	pthread_t thread;   /* the worker's */
	bool working, started;
	_Atomic bool worker_ended;
};

/* ---- What the parts ask of each other ---- */

static void wake_senders(void *arg, const struct db_note *notes, size_t n)
{
	struct service *s = arg;
	struct dispatch *d = atomic_load(&s->dispatch);
	bool work = false, quota = false, delivery = false, access = false;
	for (size_t i = 0; i < n; i++) {
		enum db_note_kind k = notes[i].kind;
		quota = quota || k == NOTE_QUOTA || k == NOTE_ANY;
		delivery = delivery || k == NOTE_DELIVERY || k == NOTE_ANY;
		access = access || k == NOTE_ACCESS || k == NOTE_ANY;
		work = work || k == NOTE_READY || k == NOTE_CHANGED || k == NOTE_ANY;
	}
	if (s->worker && work)
		worker_wake(s->worker);
	if (s->worker && quota)
		worker_quota_news(s->worker);
	if (delivery && d)
		dispatch_wake(d);
	if (access && d)
		dispatch_doubt(d);
}

static void tell_work(void *arg, struct api_work *out)
{
	struct service *s = arg;
	struct worker_health h;
	if (!s->worker) {
		*out = (struct api_work){.elsewhere = true, .token_expires_ms = -1};
		return;
	}
	worker_health(s->worker, &h);
	*out = (struct api_work){.cases = h.cases,
				 .parallel = h.parallel,
				 .limit = h.limit,
				 .token_expires_ms = h.token_expires_ms,
				 .token_missing = h.token_missing,
				 .token_refused = h.token_refused,
				 .paused_until_ms = h.paused_until_ms,
				 .pause_why = h.pause_why,
				 .trouble_since_ms = h.trouble_since_ms,
				 .turned_ms = h.turned_ms};
	snprintf(out->trouble, sizeof out->trouble, "%s", h.trouble);
}

static void *worker_main(void *arg)
{
	struct service *s = arg;
	struct err e = {0};
	worker_serve(s->worker, &e);
	log_info("worker ended", "why=\"%s\"", e.text);
	atomic_store(&s->worker_ended, true);
	return NULL;
}

/* ---- Starting ---- */

static bool release_all(struct db *db, void *arg, struct err *e)
{
	(void)arg;
	return job_release_all(db, sys_wall_ms(), e);
}

static bool open_parts(struct service *s, struct err *e)
{
	const struct config *c = s->config;
	if (!sys_mkdirs(c->data_dir, 0700, e))
		return err_prefix(e, "data_dir: ");
	if (!(s->ledger = ledger_open(c->database_url, e)) ||
	    !(s->store = store_open(c, c->store_url, STORE_SERVE, e)))
		return false;
	/* We hold the only lock on this database: whoever held a lease in it is gone. */
	if (ledger_db(s->ledger)->ops->exclusive && !ledger_write(s->ledger, release_all, NULL, e))
		return false;
	if (s->works &&
	    !(s->worker = worker_new(
		      &(struct worker_options){
			      .config = c, .ledger = s->ledger, .store = s->store, .service = true},
		      e)))
		return false;
	ledger_watch(s->ledger, wake_senders, s);
	s->api = api_new(&(struct api_options){.config = c,
					       .ledger = s->ledger,
					       .store = s->store,
					       .work = tell_work,
					       .arg = s,
					       .closed = !s->serves},
			 e);
	return s->api != NULL;
}

/* What carries news to and from other processes, and the care of what all have in common. */
static bool join_fleet(struct service *s, const char *role, struct err *e)
{
	return relay_new(s->config->database_url, s->ledger, &s->relay, e) &&
	       upkeep_new(&(struct upkeep_options){.database_url = s->config->database_url,
						   .ledger = s->ledger,
						   .store = s->store,
						   .role = role},
			  &s->upkeep, e);
}

/* Messages are sent by whoever works. */
static bool send_messages(struct service *s, struct err *e)
{
	const char *url = server_url(s->server), *public = s->config->public_url;
	int port = (int)strtol(strrchr(url, ':') + 1, NULL, 10);
	api_listens(s->api, port);
	if (!s->works)
		return true;
	struct dispatch *d =
		dispatch_start(&(struct dispatch_options){.config = s->config,
							  .ledger = s->ledger,
							  .store = s->store,
							  .base_url = *public ? public : url,
							  .port = port},
			       e);
	atomic_store(&s->dispatch, d);
	if (d && !s->serves && !*public)
		log_warn("links lead nowhere", "role=worker url=%s", url);
	return d != NULL;
}

static bool start(struct service *s, const char *role, struct err *e)
{
	if (!open_parts(s, e))
		return false;
	s->server = server_start(s->config, s->api, e);
	if (!s->server)
		return false;
	if (!join_fleet(s, role, e) || !send_messages(s, e))
		return false;
	if (s->worker && pthread_create(&s->thread, NULL, worker_main, s) != 0)
		return fail(e, ERR_FAIL, "cannot start a thread");
	s->working = s->worker != NULL;
	s->started = true;
	return true;
}

static void stop(struct service *s)
{
	if (s->api)
		api_drain(s->api);
	if (s->dispatch)
		dispatch_drain(s->dispatch);
	if (s->working) {
		worker_drain(s->worker);
		pthread_join(s->thread, NULL);
	}
	if (s->dispatch)
		dispatch_stop(s->dispatch);
	if (s->api)
		api_stop(s->api);
	server_stop(s->server);
	/* Whoever tells ends before whoever is told: who submits writes, the last commits, and who
	 * tells what others committed. After this no watcher is called. */
	if (s->ledger)
		ledger_flush(s->ledger);
	upkeep_free(s->upkeep);
	relay_free(s->relay);
	dispatch_free(s->dispatch);
	api_free(s->api);
	worker_free(s->worker);
	ledger_close(s->ledger);
	store_close(s->store);
}

static void tell_start(const struct service *s)
{
	char warning[200];
	term_out("listening on %s\n", server_url(s->server));
	term_flush();
	notify_manager("READY=1\nSTATUS=listening on %s", server_url(s->server));
	log_info("service started", "version=%s url=%s environment=%s", AUTOS_VERSION,
		 server_url(s->server), s->config->environment);
	if (s->worker && worker_token_warning(s->worker, warning, sizeof warning))
		term_error("warning: %s", warning);
	if (s->serves && !api_has_keys(s->api))
		term_note("There is no API key yet. Make one: autos user create NAME --role admin");
}

/* ---- Signals ---- */

/* Signals come to the thread that waits for them, not to those that work. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* The second one ends the program wherever it is: its default action. */
static void let_second_through(const sigset_t *set)
{
	pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

static int wait_for_signal(struct service *s, const sigset_t *set)
{
	for (;;) {
		struct timespec tick = {.tv_sec = TICK_S};
		int sig = sigtimedwait(set, NULL, &tick);
		if (sig > 0)
			return sig;
		if (atomic_load(&s->worker_ended))
			return 0;
		api_housekeeping(s->api);
	}
}

/* ---- The command ---- */

static bool check_role(const struct config *c, const char *role, struct err *e)
{
	if (strcmp(role, "all") == 0)
		return true;
	if (strcmp(role, "api") != 0 && strcmp(role, "worker") != 0)
		return fail(e, ERR_INPUT, "--role %s: must be all, api or worker", role);
	const struct db_ops *ops = db_driver(c->database_url);
	if (!ops || !ops->exclusive)
		return true;
	return fail(e, ERR_INPUT,
		    "--role %s: the database %.*s serves one process only; use --role all", role,
		    (int)strcspn(c->database_url, ":"), c->database_url);
}

/* Everything that is wrong, before anything listens. */
static bool check(const struct config *c)
{
	struct buf lines;
	buf_init(&lines, 64 << 10);
	config_check_service(c, &lines);
	bool good = lines.len == 0;
	for (char *p = lines.data, *end; !good && *p; p = end + 1) {
		end = strchr(p, '\n');
		*end = '\0';
		term_error("%s", p);
	}
	buf_release(&lines);
	return good;
}

static int run(const struct cmd_line *l, struct config *c)
{
	struct service s = {.config = c};
	struct err e = {0};
	sigset_t signals;
	int status = EXIT_COMPLETE;
	if (l->nwords) {
		term_error("serve takes no argument");
		return EXIT_USAGE;
	}
	if (l->listen && !config_set(c, "listen", l->listen, CONFIG_COMMAND_LINE, &e))
		return cmd_fail(&e, EXIT_USAGE);
	const char *role = l->role ? l->role : "all";
	if (!check_role(c, role, &e))
		return cmd_fail(&e, EXIT_USAGE);
	s.works = strcmp(role, "api") != 0;
	s.serves = strcmp(role, "worker") != 0;
	if (!check(c))
		return EXIT_TROUBLE;
	if (config_is_default(c, "log_level"))
		log_set_level(LOG_INFO);
	block_signals(&signals);
	if (!start(&s, role, &e)) {
		status = cmd_fail(&e, EXIT_TROUBLE);
	} else {
		tell_start(&s);
		int sig = wait_for_signal(&s, &signals);
		notify_manager("STOPPING=1\nSTATUS=draining");
		log_info("draining", "signal=%d", sig);
		status = sig ? EXIT_COMPLETE : EXIT_TROUBLE;
	}
	let_second_through(&signals);
	stop(&s);
	if (s.started)
		log_info("service ended", "status=%d", status);
	return status;
}

const struct cmd cmd_serve = {
	.name = "serve",
	.usage = "[--listen ADDRESS:PORT] [--role all|api|worker]",
	.summary = "the service: HTTP API, queue and worker in one process",
	.help = "      --listen A:P     address and port (setting listen; port 0 takes a free one)\n"
		"      --role ROLE      all (default); api answers clients only, worker works on cases "
		"only\n"
		"                       (its port answers /livez, /readyz and /metrics); both need "
		"PostgreSQL\n\n"
		"Prints `listening on URL` once requests are answered. SIGTERM ends it in order: "
		"/readyz\n"
		"says 503, documents in flight finish or are handed back; a second one ends it at "
		"once.\n"
		"Exit status: 0 after a signal, 1 our fault or bad settings, 2 usage.\n",
	.options = "lr",
	.run = run,
};
