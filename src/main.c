/*
 * main - the command line: which command, which options, which settings. Does none of the work.
 */
#include "cmd.h"
#include "log.h"
#include "sys.h"
#include "term.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cmd *const commands[] = {
	&cmd_get, &cmd_serve,   &cmd_status, &cmd_retry,   &cmd_cancel, &cmd_verify, &cmd_user,
	&cmd_key, &cmd_webhook, &cmd_config, &cmd_migrate, &cmd_move,   &cmd_store,  &cmd_version,
};

enum { NCOMMANDS = sizeof commands / sizeof *commands, SETS_MAX = 64 };

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'},  {"quiet", no_argument, NULL, 'q'},
	{"watch", no_argument, NULL, 'w'},         {"json", no_argument, NULL, 'j'},
	{"max-age", required_argument, NULL, 'm'}, {"all", no_argument, NULL, 'a'},
	{"markdown", no_argument, NULL, 'd'},      {"listen", required_argument, NULL, 'l'},
	{"role", required_argument, NULL, 'r'},    {"email", required_argument, NULL, 'e'},
	{"expires", required_argument, NULL, 'x'}, {"label", required_argument, NULL, 'b'},
	{"header", required_argument, NULL, 'H'},  {"secret-file", required_argument, NULL, 'F'},
	{"any-age", no_argument, NULL, 'A'},       {"from", required_argument, NULL, 'f'},
	{"to", required_argument, NULL, 't'},      {"no-folder", no_argument, NULL, 'n'},
	{"config", required_argument, NULL, 'C'},  {"set", required_argument, NULL, 'S'},
	{"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
};

static void print_help(void)
{
	printf("autos - whole case files from the national portal, stored and proven\n\n"
	       "usage: autos COMMAND [OPTION]... [NUMBER]...\n\n");
	for (size_t i = 0; i < NCOMMANDS; i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf("\nOptions of every command:\n"
	       "  --config FILE     settings file (default /etc/autos/autos.conf if it is there)\n"
	       "  --set KEY=VALUE   one setting, above file and environment; may be repeated\n"
	       "  --help            this text, or that of a command\n\n"
	       "`autos COMMAND --help` says more; `autos config` lists all settings.\n");
}

static void print_command_help(const struct cmd *c)
{
	printf("usage: autos %s %s\n\n%s.\n\n%s", c->name, c->usage, c->summary, c->help);
}

static int usage(const struct cmd *c, const char *what, const char *word)
{
	fprintf(stderr, "autos%s%s: %s '%s'; see `autos%s%s --help`\n", c ? " " : "",
		c ? c->name : "", what, word, c ? " " : "", c ? c->name : "");
	return EXIT_USAGE;
}

/* What was read from the command line. */
struct parsed {
	struct cmd_line line;
	const char *file;
	const char *set[SETS_MAX];
	size_t nset;
	bool help;
};

/* Options that fill one member of the line: with a value, or alone. */
static const struct {
	int letter;
	size_t offset;
} texts[] =
	{
		{'o', offsetof(struct cmd_line, out)},
		{'m', offsetof(struct cmd_line, max_age)},
		{'l', offsetof(struct cmd_line, listen)},
		{'r', offsetof(struct cmd_line, role)},
		{'e', offsetof(struct cmd_line, email)},
		{'x', offsetof(struct cmd_line, expires)},
		{'b', offsetof(struct cmd_line, label)},
		{'f', offsetof(struct cmd_line, from)},
		{'t', offsetof(struct cmd_line, to)},
		{'F', offsetof(struct cmd_line, secret_file)},
},
  flags[] = {
	  {'q', offsetof(struct cmd_line, quiet)},    {'w', offsetof(struct cmd_line, watch)},
	  {'j', offsetof(struct cmd_line, json)},     {'a', offsetof(struct cmd_line, all)},
	  {'d', offsetof(struct cmd_line, markdown)}, {'n', offsetof(struct cmd_line, no_folder)},
	  {'A', offsetof(struct cmd_line, any_age)},
};

static bool take(struct parsed *p, int letter)
{
	char *line = (char *)&p->line;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].letter == letter) {
			*(const char **)(line + texts[i].offset) = optarg;
			return true;
		}
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (flags[i].letter == letter) {
			*(bool *)(line + flags[i].offset) = true;
			return true;
		}
	if (letter == 'C')
		p->file = optarg;
	else if (letter == 'h')
		p->help = true;
	else if (letter == 'S' && p->nset < SETS_MAX)
		p->set[p->nset++] = optarg;
	else if (letter == 'H' && p->line.nheaders < CMD_HEADERS_MAX)
		p->line.headers[p->line.nheaders++] = optarg;
	else
		return false;
	return true;
}

static int parse(const struct cmd *c, int argc, char **argv, struct parsed *p)
{
	int letter;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, ":o:qwh", long_options, NULL)) != -1) {
		if (letter == ':')
			return usage(c, "a value is missing after", argv[optind - 1]);
		if (letter == '?')
			return usage(c, "unknown option", argv[optind - 1]);
		bool shared = strchr("CSh", letter) != NULL;
		if ((!shared && !strchr(c->options, letter)) || !take(p, letter))
			return usage(c, "this command does not take", argv[optind - 1]);
	}
	p->line.words = argv + optind;
	p->line.nwords = (size_t)(argc - optind);
	return 0;
}

static int run(const struct cmd *c, int argc, char **argv)
{
	struct parsed p = {0};
	struct config config = {0};
	struct err e;
	enum log_level level;
	int status = parse(c, argc, argv, &p);
	if (status)
		return status;
	if (p.help) {
		print_command_help(c);
		return term_flush() ? 0 : EXIT_TROUBLE;
	}
	if (!config_load(
		    &config,
		    &(struct config_input){
			    .file = p.file, .environment = environ, .set = p.set, .nset = p.nset},
		    &e)) {
		status = cmd_fail(&e, EXIT_TROUBLE);
	} else {
		if (log_level_parse(config.log_level, &level))
			log_set_level(level);
		status = c->run(&p.line, &config);
		if (!term_flush() && status == 0) {
			term_error("cannot write to standard output");
			status = EXIT_TROUBLE;
		}
	}
	config_release(&config);
	return status;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write() */
	umask(umask(0) | 022);
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help();
		return argc < 2 ? EXIT_USAGE : 0;
	}
	const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return run(commands[i], argc - 1, argv + 1);
	return usage(NULL, "unknown command", argv[1]);
}
