/*
 * cmd_store - `autos store`: looks at a store, and moves documents from one to another.
 */
#include "cmd.h"

#include "mover.h"
#include "store.h"
#include "sys.h"
#include "term.h"

#include <inttypes.h>
#include <string.h>

/* ---- store check ---- */

static int check(struct config *c, const char *url)
{
	struct err e;
	struct buf text;
	struct store *s = NULL;
	bool ok = false;
	if (!sys_mkdirs(c->data_dir, 0700, &e))
		return cmd_fail(&e, EXIT_TROUBLE);
	buf_init(&text, 8192);
	s = store_open(c, url, STORE_WRITE, &e);
	ok = s && (!s->ops->probe || s->ops->probe(s, &e)) && store_check(s, &e);
	if (ok) {
		store_describe(s, &text);
		term_out("%s", buf_str(&text));
		term_out("write  ok\n");
	}
	buf_release(&text);
	store_close(s);
	return ok ? EXIT_COMPLETE : cmd_fail(&e, EXIT_TROUBLE);
}

/* ---- store move ---- */

static void show(void *arg, const struct mover_progress *p)
{
	(void)arg;
	term_progress("%" PRId64 " copied, %" PRId64 " already there, %" PRId64 " failed",
		      p->copied, p->there, p->failed);
}

static void complain(void *arg, const char *key, const struct err *e)
{
	(void)arg;
	term_error("%s: %s", key, e->text);
}

static int move(struct config *c, const struct cmd_line *l)
{
	struct mover_progress p = {0};
	struct err e;
	bool ok = mover_run(&(struct mover_options){.config = c,
						    .from = l->from,
						    .to = l->to,
						    .on_progress = l->quiet ? NULL : show,
						    .on_failure = complain},
			    &p, &e);
	term_progress_end();
	if (!ok)
		return cmd_fail(&e, EXIT_TROUBLE);
	term_out("%" PRId64 " copied, %" PRId64 " already there, %" PRId64 " failed\n", p.copied,
		 p.there, p.failed);
	return p.failed ? EXIT_PARTIAL : EXIT_COMPLETE;
}

static int run(const struct cmd_line *l, struct config *c)
{
	const char *what = l->nwords ? l->words[0] : "";
	bool moves = l->from || l->to;
	if (strcmp(what, "check") == 0 && l->nwords <= 2 && !moves)
		return check(c, l->nwords == 2 ? l->words[1] : c->store_url);
	if (strcmp(what, "move") == 0 && l->nwords == 1 && l->from && l->to)
		return move(c, l);
	term_error("store takes 'check [URL]' or 'move --from URL --to URL'");
	return EXIT_USAGE;
}

const struct cmd cmd_store = {
	.name = "store",
	.usage = "check [URL] | move --from URL --to URL",
	.summary = "looks at a store, or copies all documents from one to another",
	.help = "check asks the store of the settings, or another, whether documents can be put "
		"there, and\n"
		"says what it can do or exactly what is wrong.\n\n"
		"move copies every stored document that the database knows, checks its SHA-256 on "
		"the way, and\n"
		"leaves the source as it is. What is there already is not copied again, so it may "
		"be stopped and\n"
		"started. It may run beside the service: run it, stop the service, run it again for "
		"what came\n"
		"meanwhile, then set store_url. Both stores use the access key of the settings.\n\n"
		"      --from URL       dir:PATH or s3://BUCKET/PREFIX?endpoint=...\n"
		"      --to URL         the same\n"
		"  -q, --quiet          no progress\n\n"
		"Exit status: 0 all is there, 1 trouble, 3 some documents could not be copied.\n",
	.options = "qft",
	.run = run,
};
