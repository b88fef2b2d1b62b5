/*
 * cmd_status - `autos status`: what is known of a case. Reads only, beside whoever writes.
 */
#include "cmd.h"

#include "manifest.h"
#include "query.h"
#include "schema.h"
#include "sys.h"
#include "term.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { WATCH_MS = 1000 };

static bool is_final(const struct case_view *v)
{
	return !v->job_id || *v->outcome || strcmp(v->job_state, "cancelled") == 0;
}

static void print_line(const char *name, const char *value)
{
	if (!*value)
		return;
	char *clean = xstrdup(value);
	term_clean(clean);
	term_out("%-12s %s\n", name, clean);
	xfree(clean);
}

static void print_time(const char *name, int64_t ms)
{
	char out[25];
	if (!ms)
		return;
	sys_format_utc(ms, out);
	term_out("%-12s %s\n", name, out);
}

static void print_documents(const struct case_view *v)
{
	for (size_t i = 0; i < v->ndocs; i++) {
		const struct doc_view *d = &v->docs[i];
		char bytes[16] = "-";
		if (d->size >= 0)
			term_bytes(d->size, bytes);
		char *type = xstrdup(d->type);
		term_clean(type);
		term_out("%04zu  %-10s  %9s  %-16s  %s", i + 1, d->state, bytes, d->mime, type);
		if (*d->reason)
			term_out("  %s: %s", d->reason, d->error);
		term_out("\n");
		xfree(type);
	}
}

static void print_text(const struct cnj *n, const struct case_view *v)
{
	size_t over = v->available + v->failed;
	term_out("%-12s %s\n", "case", n->masked);
	print_line("court", v->court);
	print_line("class", v->class_name);
	print_line("subject", v->subject);
	print_time("consulted", v->consulted_ms);
	print_line("job", v->job_state);
	if (strcmp(v->job_state, "processing") == 0 && v->lease_until_ms < sys_wall_ms())
		print_line("", "nobody works on it now; `autos get` goes on with it");
	print_line("outcome", v->outcome);
	print_line("error", v->error);
	term_out("%-12s %zu: %zu available, %zu failed, %zu pending (%zu %%)\n", "documents",
		 v->ndocs, v->available, v->failed, v->pending,
		 v->ndocs ? over * 100 / v->ndocs : is_final(v) * 100);
	print_documents(v);
}

static int show(struct db *db, const struct cmd_line *l, const struct config *c,
		const struct cnj *n, bool *final)
{
	struct case_view v = {0};
	struct err e;
	int status = EXIT_COMPLETE;
	if (!query_case(db, n->digits, &v, &e)) {
		err_prefix(&e, "%s: ", n->masked);
		status = cmd_fail(&e, e.kind == ERR_ABSENT ? EXIT_NOT_FOUND : EXIT_TROUBLE);
		*final = true;
	} else if (l->json) {
		char *json =
			manifest_make(&v, &(struct manifest_options){.portal_url = c->portal_url,
								     .now_ms = sys_wall_ms()});
		term_out("%s\n", json);
		xfree(json);
		*final = is_final(&v);
	} else {
		print_text(n, &v);
		*final = is_final(&v);
	}
	case_view_release(&v);
	return status;
}

static int run(const struct cmd_line *l, struct config *c)
{
	struct cnj *numbers = NULL;
	size_t n = 0;
	struct db *db = NULL;
	struct err e;
	int status = EXIT_USAGE;
	if (!cmd_numbers(l, &numbers, &n))
		goto out;
	if (n != 1) {
		term_error("status takes one case number");
		goto out;
	}
	db = db_open(c->database_url, DB_READ, &e);
	if (!db || !schema_check(db, &e)) {
		status = cmd_fail(&e, e.kind == ERR_ABSENT ? EXIT_NOT_FOUND : EXIT_TROUBLE);
		goto out;
	}
	for (bool final = false; !final;) {
		status = show(db, l, c, &numbers[0], &final);
		if (!l->watch)
			break;
		term_flush();
		if (!final)
			nanosleep(&(struct timespec){.tv_sec = WATCH_MS / 1000}, NULL);
	}
out:
	db_close(db);
	xfree(numbers);
	return status;
}

const struct cmd cmd_status = {
	.name = "status",
	.usage = "NUMBER [--json] [--watch]",
	.summary = "what is known of a case",
	.help = "      --json           the manifest as it stands, one line\n"
		"  -w, --watch          again every second until the job is final\n\n"
		"Asks the portal nothing. Exit status: 0 known, 4 not known here, 1 and 2 as "
		"everywhere.\n",
	.options = "jw",
	.run = run,
};
