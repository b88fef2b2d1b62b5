/*
 * cmd_move - `autos move`: an installation's database into another one.
 */
#include "cmd.h"

#include "copy.h"
#include "db.h"
#include "schema.h"
#include "sys.h"
#include "term.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static bool show(void *arg, const struct copy_progress *p)
{
	const struct cmd_line *l = arg;
	if (!l->quiet)
		term_progress("%s %s: %" PRId64 " rows", p->comparing ? "comparing" : "copying",
			      p->table, p->rows);
	return !caught;
}

/* SQLite is taken for us alone: nothing may be written meanwhile that would not be copied. */
static struct db *open_source(const char *url, struct err *e)
{
	const struct db_ops *ops = db_driver(url);
	struct db *db = db_open(url, ops && ops->exclusive ? DB_WRITE : DB_READ, e);
	if (db && !schema_check(db, e)) {
		db_close(db);
		db = NULL;
	}
	if (!db)
		err_prefix(e, "--from: ");
	return db;
}

static struct db *open_target(const char *url, struct err *e)
{
	struct db *db = db_open(url, DB_WRITE, e);
	if (db && !schema_migrate(db, NULL, e)) {
		db_close(db);
		db = NULL;
	}
	if (!db)
		err_prefix(e, "--to: ");
	return db;
}

static int run(const struct cmd_line *l, struct config *c)
{
	struct err e;
	int64_t rows = 0;
	(void)c;
	if (l->nwords || !l->from || !l->to || strcmp(l->from, l->to) == 0) {
		term_error("move takes --from URL and --to URL, two different databases");
		return EXIT_USAGE;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	struct db *from = open_source(l->from, &e), *to = from ? open_target(l->to, &e) : NULL;
	bool ok = to && copy_run(&(struct copy_options){.from = from,
							.to = to,
							.on_progress = show,
							.arg = (void *)(uintptr_t)l},
				 &rows, &e);
	term_progress_end();
	db_close(to);
	db_close(from);
	if (!ok)
		return caught ? (cmd_fail(&e, 0), 128 + caught) : cmd_fail(&e, EXIT_TROUBLE);
	term_out("%" PRId64 " rows copied, each read back and compared\n", rows);
	return EXIT_COMPLETE;
}

const struct cmd cmd_move = {
	.name = "move",
	.usage = "--from URL --to URL",
	.summary = "copies the database into another one, and compares it row by row",
	.help = "      --from URL       sqlite:PATH or postgres://...: the installation as it is\n"
		"      --to URL         the same: a new, empty database\n"
		"  -q, --quiet          no progress\n\n"
		"All in one transaction: a move that is stopped, or finds a difference, leaves the "
		"target empty.\n"
		"The source is not changed. Stop the service first, all its processes (a database in "
		"use is refused),\n"
		"then set database_url. Documents stay where they are: see `autos store move`.\n"
		"Exit status: 0 everything is there, 1 trouble, 2 usage.\n",
	.options = "qft",
	.run = run,
};
