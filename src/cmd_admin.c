/*
 * cmd_admin - `autos config`, `autos migrate`, `autos version`: the installation itself.
 */
#include "cmd.h"

#include "db.h"
#include "http.h"
#include "schema.h"
#include "server.h"
#include "store.h"
#include "sys.h"
#include "term.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>

enum { VALUE_MAX = 8300 };

/* ---- config ---- */

static void print_settings(const struct config *c)
{
	char value[VALUE_MAX];
	for (size_t i = 0; i < config_count(); i++) {
		config_show(c, i, value, sizeof value);
		term_clean(value);
		term_out("%s = %s  # %s\n", config_key(i), value,
			 config_source_name((enum config_source)c->source[i]));
	}
}

/* What the last probe of a store that is asked over a network found out; asks nothing now. */
static void print_store(const struct config *c)
{
	struct err ignored;
	struct store *s = store_open(c, c->store_url, STORE_READ, &ignored);
	struct buf text;
	if (s && s->ops->facts) {
		buf_init(&text, 8192);
		store_describe(s, &text);
		for (const char *line = buf_str(&text); *line;) {
			size_t n = strcspn(line, "\n");
			term_out("# store %.*s\n", (int)n, line);
			line += n + (line[n] != '\0');
		}
		buf_release(&text);
	}
	store_close(s);
}

/* docs/configuration.md holds this text; a test compares the two. */
static void print_markdown(void)
{
	const char *section = "";
	char preset[VALUE_MAX], range[80];
	for (size_t i = 0; i < config_count(); i++) {
		if (strcmp(section, config_section(i)) != 0) {
			section = config_section(i);
			term_out("\n## %s\n\n| key | default | allowed | meaning "
				 "|\n|---|---|---|---|\n",
				 section);
		}
		config_default(i, preset, sizeof preset);
		config_range(i, range, sizeof range);
		term_out("| `%s`%s%s%s | %s%s%s | %s | %s |\n", config_key(i),
			 config_alias(i) ? " (also `" : "", config_alias(i) ? config_alias(i) : "",
			 config_alias(i) ? "`)" : "", *preset ? "`" : "", preset,
			 *preset ? "`" : "", range, config_help(i));
	}
}

static int run_config(const struct cmd_line *l, struct config *c)
{
	if (l->nwords) {
		term_error("config takes no argument");
		return EXIT_USAGE;
	}
	if (l->markdown)
		print_markdown();
	else {
		print_settings(c);
		print_store(c);
	}
	return EXIT_COMPLETE;
}

/* ---- migrate ---- */

static int run_migrate(const struct cmd_line *l, struct config *c)
{
	struct err e;
	int from = 0, status = EXIT_COMPLETE;
	struct db *db = NULL;
	if (l->nwords) {
		term_error("migrate takes no argument");
		return EXIT_USAGE;
	}
	if (!sys_mkdirs(c->data_dir, 0700, &e) || !(db = db_open(c->database_url, DB_WRITE, &e)) ||
	    !schema_migrate(db, &from, &e))
		status = cmd_fail(&e, EXIT_TROUBLE);
	else if (from == schema_version())
		term_out("database is up to date: version %d\n", from);
	else
		term_out("database migrated from version %d to %d\n", from, schema_version());
	db_close(db);
	return status;
}

/* ---- version ---- */

static int run_version(const struct cmd_line *l, struct config *c)
{
	(void)c;
	if (l->nwords) {
		term_error("version takes no argument");
		return EXIT_USAGE;
	}
	term_out("autos %s\n%s\n%s\nSQLite/%s\nlibpq/%s\njansson/%s\n%s\nschema/%d\n",
		 AUTOS_VERSION, http_library(), server_library(), db_sqlite.library(),
		 db_pg.library(), jansson_version_str(), OpenSSL_version(OPENSSL_VERSION),
		 schema_version());
	return EXIT_COMPLETE;
}

const struct cmd cmd_config = {
	.name = "config",
	.usage = "[--markdown]",
	.summary = "the effective settings and where each comes from; secrets as ***",
	.help = "      --markdown       the table of all settings, as in docs/configuration.md\n",
	.options = "d",
	.run = run_config,
};

const struct cmd cmd_migrate = {
	.name = "migrate",
	.usage = "",
	.summary = "brings the database to this program's version",
	.help = "Other commands that write do it themselves; this one is for doing it at a chosen "
		"time.\n",
	.options = "",
	.run = run_migrate,
};

const struct cmd cmd_version = {
	.name = "version",
	.usage = "",
	.summary = "versions of the program and its libraries",
	.help = "",
	.options = "",
	.run = run_version,
};
