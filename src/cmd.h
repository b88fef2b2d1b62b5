/*
 * cmd - the commands of the program: one constant struct each, and what they share.
 */
#ifndef AUTOS_CMD_H
#define AUTOS_CMD_H

#include "cnj.h"
#include "config.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses of all commands. */
enum {
	EXIT_COMPLETE = 0,
	EXIT_TROUBLE = 1, /* our fault, or bad settings */
	EXIT_USAGE = 2,
	EXIT_PARTIAL = 3,
	EXIT_NOT_FOUND = 4,
	EXIT_DENIED = 5,
	EXIT_PORTAL = 6, /* portal unavailable or token refused */
};

enum { CMD_HEADERS_MAX = 32 };

/* Options that commands share; a command takes those named in its `options`. */
struct cmd_line {
	const char *out;                      /* -o, --output */
	const char *max_age;                  /* --max-age */
	const char *listen;                   /* --listen */
	const char *role;                     /* --role */
	const char *email;                    /* --email */
	const char *expires;                  /* --expires */
	const char *label;                    /* --label */
	const char *from;                     /* --from */
	const char *to;                       /* --to */
	const char *secret_file;              /* --secret-file */
	const char *headers[CMD_HEADERS_MAX]; /* --header */
	size_t nheaders;
	bool any_age;   /* --any-age */
	bool json;      /* --json */
	bool quiet;     /* -q, --quiet */
	bool watch;     /* -w, --watch */
	bool all;       /* --all */
	bool markdown;  /* --markdown */
	bool no_folder; /* --no-folder */
	char **words;   /* what is no option */
	size_t nwords;
};

struct cmd {
	const char *name;
	const char *usage;   /* behind the name */
	const char *summary; /* one line */
	const char *help;    /* options and behaviour */
	const char *options; /* letters: o q w j(son) m(ax-age) a(ll) d(markdown) l(isten) r(ole)
			      * e(mail) e(x)pires la(b)el f(rom) t(o) n(o-folder)
			      * H(eader) secret-F(ile) A(ny-age) */
	int (*run)(const struct cmd_line *l, struct config *c);
};

extern const struct cmd cmd_get, cmd_retry, cmd_serve, cmd_status, cmd_verify, cmd_user, cmd_key,
	cmd_cancel, cmd_webhook, cmd_config, cmd_migrate, cmd_move, cmd_store, cmd_version;

/* Reads all words as case numbers, each once; a line on stderr for each bad one. False: exit 2. */
[[nodiscard]] bool cmd_numbers(const struct cmd_line *l, struct cnj **out, size_t *n);

/* The exit status for an outcome by name ("" = not final), and the worse of two statuses. */
int cmd_exit_for(const char *outcome);
int cmd_worse(int a, int b);

/* Prints the error as one line and gives the status. */
int cmd_fail(const struct err *e, int status);

#endif
