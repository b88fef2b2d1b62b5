/*
 * cmd_work - `autos get` and `autos retry`: make jobs, run a worker until they are over, write the
 * folders, say how it went.
 */
#include "cmd.h"

#include "cmd_remote.h"
#include "control.h"
#include "export.h"
#include "job.h"
#include "ledger.h"
#include "log.h"
#include "manifest.h"
#include "progress.h"
#include "query.h"
#include "store.h"
#include "sys.h"
#include "term.h"
#include "upkeep.h"
#include "worker.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct work {
	const struct cmd_line *line;
	const struct config *config;
	const char *out;
	struct cnj *numbers;
	size_t n;
	bool retry;
	struct control *control; /* a service runs: it does the work */
	struct ledger *ledger;   /* else we do, and the database is ours */
	struct db *db;           /* for reading: the ledger's, or one of our own */
	struct store *store;
	struct worker *worker;
	bool shared; /* other processes may write to the database too */
	struct upkeep *upkeep;
	int64_t *jobs; /* those that must run */
	size_t njobs;
	const struct cnj **watched; /* their cases */
	bool *asked;                /* by number: a job runs for it */
	bool trouble;               /* our own storage failed; said once, at the end */
	int status;
};

/* ---- Signals: the first asks the worker to stop in order, the second ends the program ---- */

static struct worker *volatile running;
static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	if (caught)
		_exit(128 + sig);
	caught = sig;
	if (running)
		worker_stop(running);
}

static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

/* ---- Preparing ---- */

static bool prepare_folder(const char *out, struct err *e)
{
	if (!sys_mkdirs(out, 0755, e))
		return err_prefix(e, "output folder: ");
	if (access(out, W_OK | X_OK) != 0)
		return fail_errno(e, "output folder: cannot write to %s", out);
	return true;
}

static bool release_all(struct db *db, void *arg, struct err *e)
{
	(void)arg;
	return job_release_all(db, sys_wall_ms(), e);
}

/* The database is the running service's, or ours. */
static bool open_database(struct work *w, struct err *e)
{
	struct err why;
	w->control = control_open(w->config, &why);
	if (w->control) {
		w->db = db_open(w->config->database_url, DB_READ, e);
		return w->db != NULL;
	}
	if (why.kind != ERR_ABSENT) {
		*e = why;
		return false;
	}
	w->ledger = ledger_open(w->config->database_url, e);
	if (!w->ledger)
		return false;
	w->db = ledger_db(w->ledger);
	/* We hold the only lock on this database: whoever held a lease in it is gone. */
	if (w->db->ops->exclusive)
		return ledger_write(w->ledger, release_all, NULL, e);
	w->shared = true;
	w->db = db_open(w->config->database_url, DB_READ, e);
	return w->db != NULL;
}

static bool open_storage(struct work *w, struct err *e)
{
	if (!w->line->no_folder && !prepare_folder(w->out, e))
		return false;
	if (!sys_mkdirs(w->config->data_dir, 0700, e))
		return err_prefix(e, "data_dir: ");
	if (!open_database(w, e))
		return false;
	w->store = store_open(w->config, w->config->store_url, w->ledger ? STORE_WRITE : STORE_READ,
			      e);
	return w->store && (!w->shared || upkeep_new(
						  &(struct upkeep_options){
							  .database_url = w->config->database_url,
							  .ledger = w->ledger,
							  .store = w->store,
							  .role = "command",
						  },
						  &w->upkeep, e));
}

static void close_storage(struct work *w)
{
	upkeep_free(w->upkeep);
	store_close(w->store);
	if (w->control || w->shared)
		db_close(w->db);
	control_close(w->control);
	ledger_close(w->ledger);
}

/* ---- Jobs ---- */

/* Whether what is stored is young and whole enough to be taken as it is. */
static bool is_fresh(const struct work *w, const struct case_view *v)
{
	return v->consulted_ms && sys_wall_ms() - v->consulted_ms <= w->config->max_age;
}

struct asking {
	const char *number;
	bool relist, retry;
	struct job_ticket ticket;
};

static bool ask_one(struct db *db, void *arg, struct err *e)
{
	struct asking *a = arg;
	int64_t now = sys_wall_ms();
	if (a->retry)
		return job_retry(db, a->number, now, &a->ticket, e);
	return job_request(
		db, &(struct job_ask){.number = a->number, .relist = a->relist, .now_ms = now},
		&a->ticket, e);
}

/* Makes or adopts the job of one number, unless nothing is to be done for it. */
static bool ask(struct work *w, size_t i, struct err *e)
{
	struct asking a = {.number = w->numbers[i].digits, .relist = true, .retry = w->retry};
	struct case_view v = {0};
	struct err why;
	bool known = query_case_head(w->db, a.number, &v, &why);
	if (!known && why.kind != ERR_ABSENT) {
		*e = why;
		return false;
	}
	bool done = known && strcmp(v.job_state, "completed") == 0 && v.failed + v.pending == 0;
	a.relist = !known || !is_fresh(w, &v);
	case_view_release(&v);
	if (!w->retry && done && !a.relist)
		return true;
	struct remote r = {.control = w->control, .db = w->db, .config = w->config};
	if (w->control ? !remote_ask(&r, &w->numbers[i], w->retry, &why)
		       : !ledger_write(w->ledger, ask_one, &a, &why)) {
		if (why.kind != ERR_ABSENT) {
			*e = why;
			return false;
		}
		if (known) {
			term_note("%s: %s", w->numbers[i].masked, why.text);
		} else {
			term_error("%s: %s", w->numbers[i].masked, why.text);
			w->status = cmd_worse(w->status, EXIT_NOT_FOUND);
		}
		return true;
	}
	w->asked[i] = true;
	w->watched[w->njobs] = &w->numbers[i];
	w->jobs[w->njobs++] = a.ticket.job_id;
	return true;
}

static bool any_work(struct work *w, bool *needed, struct err *e)
{
	*needed = false;
	for (size_t i = 0; i < w->n && !*needed; i++) {
		struct case_view v = {0};
		struct err why;
		bool known = query_case_head(w->db, w->numbers[i].digits, &v, &why);
		if (!known && why.kind != ERR_ABSENT) {
			*e = why;
			return false;
		}
		*needed = !known || w->retry || v.failed + v.pending > 0 || !is_fresh(w, &v) ||
			  strcmp(v.job_state, "completed") != 0;
		case_view_release(&v);
	}
	return true;
}

/* The token is looked at before anything is asked for, so that nothing is begun in vain. */
static bool make_worker(struct work *w, struct progress *p, struct err *e)
{
	char warning[200];
	w->worker = worker_new(&(struct worker_options){.config = w->config,
							.ledger = w->ledger,
							.store = w->store,
							.on_turn = progress_show,
							.arg = p},
			       e);
	if (!w->worker)
		return false;
	if (worker_token_warning(w->worker, warning, sizeof warning))
		term_error("warning: %s", warning);
	running = w->worker;
	return true;
}

static int status_of_end(enum worker_end end)
{
	switch (end) {
	case WORKER_DONE:
		return EXIT_COMPLETE;
	case WORKER_STOPPED:
		return 128 + caught;
	case WORKER_TOKEN:
	case WORKER_PORTAL_DOWN:
		return EXIT_PORTAL;
	case WORKER_TROUBLE:
		return EXIT_TROUBLE;
	}
	return EXIT_TROUBLE;
}

/* The service does it; we watch. */
static int watch_jobs(struct work *w, struct progress *p, struct err *e)
{
	struct remote r = {.control = w->control,
			   .db = w->db,
			   .config = w->config,
			   .progress = p,
			   .caught = &caught};
	for (size_t i = 0; i < w->n; i++)
		if (!ask(w, i, e))
			return EXIT_TROUBLE;
	bool ok = remote_watch(&r, w->watched, w->njobs, e);
	progress_end(p);
	return ok                      ? EXIT_COMPLETE
	       : e->kind == ERR_DENIED ? EXIT_PORTAL
	       : caught                ? 128 + caught
				       : EXIT_TROUBLE;
}

/* Runs all jobs; the status is COMPLETE when each became final, whatever the outcome. */
static int run_jobs(struct work *w, struct err *e)
{
	bool needed;
	struct progress p;
	if (!any_work(w, &needed, e))
		return EXIT_TROUBLE;
	if (!needed)
		return EXIT_COMPLETE;
	progress_init(&p, w->line->quiet);
	if (w->control)
		return watch_jobs(w, &p, e);
	if (!make_worker(w, &p, e))
		return e->kind == ERR_DENIED ? EXIT_PORTAL : EXIT_TROUBLE;
	for (size_t i = 0; i < w->n; i++)
		if (!ask(w, i, e))
			return EXIT_TROUBLE;
	enum worker_end end = worker_run(w->worker, w->jobs, w->njobs, e);
	progress_end(&p);
	return status_of_end(end);
}

/* ---- Telling ---- */

static void tell_failures(const struct case_view *v)
{
	for (size_t i = 0; i < v->ndocs; i++)
		if (strcmp(v->docs[i].state, "failed") == 0)
			term_note("  missing %04zu %s: %s: %s", i + 1, v->docs[i].doc_id,
				  v->docs[i].reason, v->docs[i].error);
}

static void tell(const struct work *w, const struct cnj *n, const struct case_view *v,
		 const struct export_result *x)
{
	char bytes[16];
	int64_t sum = 0;
	size_t again = 0, *same = manifest_duplicates(v);
	for (size_t i = 0; i < v->ndocs; i++) {
		sum += v->docs[i].size > 0 ? v->docs[i].size : 0;
		again += same[i] != i;
	}
	xfree(same);
	term_bytes(sum, bytes);
	if (w->line->json)
		term_out("%s\n", x->manifest);
	if (!w->line->json && !w->line->quiet) {
		const char *word = *v->outcome ? v->outcome : "unfinished";
		if (v->available == v->ndocs)
			term_out("%s  %s  %zu documents, %s", n->masked, word, v->ndocs, bytes);
		else
			term_out("%s  %s  %zu of %zu documents, %s", n->masked, word, v->available,
				 v->ndocs, bytes);
		if (again)
			term_out(" (%zu listed twice)", again);
		term_out(x->folder ? "  %s\n" : "\n", x->folder);
	}
	if (*v->error)
		term_note("%s: %s", n->masked, v->error);
	tell_failures(v);
}

/* The folder of one case, or only its manifest. */
static bool deliver(const struct work *w, const struct case_view *v, struct export_result *x,
		    struct err *e)
{
	if (!w->line->no_folder)
		return export_case(v, w->store, w->out, w->config->portal_url, x, e);
	if (w->line->json)
		x->manifest = manifest_make(
			v, &(struct manifest_options){.portal_url = w->config->portal_url,
						      .now_ms = sys_wall_ms()});
	return true;
}

/* Writes the folder of one case and says how it stands. Gives the case's exit status. */
static int conclude(struct work *w, const struct cnj *n)
{
	struct case_view v = {0};
	struct export_result x = {0};
	struct err e;
	int status = EXIT_TROUBLE;
	if (!query_case(w->db, n->digits, &v, &e)) {
		if (!w->trouble)
			cmd_fail(&e, EXIT_TROUBLE);
	} else if ((v.ndocs || w->line->json || cmd_exit_for(v.outcome) == EXIT_COMPLETE) &&
		   !deliver(w, &v, &x, &e)) {
		err_prefix(&e, "%s: ", n->masked);
		if (!w->trouble)
			cmd_fail(&e, EXIT_TROUBLE);
	} else {
		status = cmd_exit_for(v.outcome);
		tell(w, n, &v, &x);
	}
	export_result_release(&x);
	case_view_release(&v);
	return status;
}

static int work(const struct cmd_line *l, struct config *c, bool retry)
{
	struct work w = {.line = l, .config = c, .retry = retry, .out = l->out ? l->out : "."};
	struct err e = {0};
	if (l->max_age && !config_set(c, "max_age", l->max_age, CONFIG_COMMAND_LINE, &e))
		return cmd_fail(&e, EXIT_USAGE);
	if (!cmd_numbers(l, &w.numbers, &w.n) || w.n == 0) {
		if (w.n == 0 && l->nwords == 0)
			term_error("which case? Give one or more case numbers, such as "
				   "0000001-39.2024.8.26.0100");
		xfree(w.numbers);
		return EXIT_USAGE;
	}
	w.jobs = xcalloc(w.n, sizeof *w.jobs);
	w.asked = xcalloc(w.n, sizeof *w.asked);
	w.watched = xcalloc(w.n, sizeof *w.watched);
	catch_signals();
	if (!open_storage(&w, &e)) {
		w.status = cmd_fail(&e, EXIT_TROUBLE);
	} else {
		int status = run_jobs(&w, &e);
		w.trouble = status == EXIT_TROUBLE;
		for (size_t i = 0; i < w.n; i++)
			if (w.asked[i] || (!retry && status == EXIT_COMPLETE))
				w.status = cmd_worse(w.status, conclude(&w, &w.numbers[i]));
		if (status != EXIT_COMPLETE) {
			term_error("%s", e.text);
			if (w.njobs)
				term_note("Everything stored so far is kept; the same command goes "
					  "on from there.");
			w.status = status > 100 ? status : cmd_worse(w.status, status);
		}
	}
	running = NULL;
	worker_free(w.worker);
	close_storage(&w);
	xfree(w.asked);
	xfree(w.watched);
	xfree(w.jobs);
	xfree(w.numbers);
	return w.status;
}

static int run_get(const struct cmd_line *l, struct config *c)
{
	return work(l, c, false);
}

static int run_retry(const struct cmd_line *l, struct config *c)
{
	return work(l, c, true);
}

#define EXIT_HELP                                                                                  \
	"Exit status: 0 complete, 1 our fault or bad settings, 2 usage, 3 documents are "          \
	"missing,\n"                                                                               \
	"4 not found, 5 access denied, 6 portal unavailable or token refused; with several "       \
	"numbers\n"                                                                                \
	"the worst. A signal stops in order (130, 143): run the same command to go on.\n"

const struct cmd cmd_get = {
	.name = "get",
	.usage = "NUMBER... [-o DIR | --no-folder] [--json] [--max-age DURATION] [--quiet]",
	.summary = "fetches case files into DIR/<number>/, with a manifest that proves them",
	.help = "  -o, --output DIR     where the folders go (default: here)\n"
		"      --json           prints each manifest on stdout, one line a case\n"
		"      --max-age TIME   takes a stored list of documents that is at most so old "
		"(90s, 10m,\n"
		"                       2h, 7d) without asking the portal; default: always ask\n"
		"      --no-folder      stores the documents and writes no folder\n"
		"  -q, --quiet          no progress, no summary\n\n"
		"Numbers are masked (0000001-39.2024.8.26.0100), 20 digits, or quoted with "
		"spaces.\n"
		"What is stored is never fetched again; a run that was stopped goes on where it "
		"was.\n\n" EXIT_HELP,
	.options = "ojmqn",
	.run = run_get,
};

const struct cmd cmd_retry = {
	.name = "retry",
	.usage = "NUMBER... [-o DIR | --no-folder] [--json] [--quiet]",
	.summary = "tries again what failed of a case, and nothing else",
	.help = "  -o, --output DIR     where the folders go (default: here)\n"
		"      --json           prints each manifest on stdout, one line a case\n"
		"      --no-folder      stores the documents and writes no folder\n"
		"  -q, --quiet          no progress, no summary\n\n" EXIT_HELP,
	.options = "ojqn",
	.run = run_retry,
};
