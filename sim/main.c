/*
 * autos-sim - a simulated court portal: options, start and end. The only file that prints.
 */
#include "serve.h"

#include "sys.h"
#include "token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef AUTOS_VERSION
#define AUTOS_VERSION "unreleased"
#endif

enum { SCRIPT_MAX = 4 * 1024 * 1024, DOCUMENTS_MAX = 20000, EXIT_USAGE = 2 };

static const int64_t SIZE_LIMIT = 9000000000; /* a PDF's offsets have ten digits */

struct options {
	struct sockaddr_in listen;
	uint64_t seed;
	int64_t cases, documents, size, latency_ms, token_s;
	const char *script, *token;
	bool list, make_token, help, version;
};

static const char help[] =
	"usage: autos-sim [options]\n"
	"A simulated PDPJ/Jus.br portal with synthetic case files and every known oddity.\n"
	"\n"
	"  --listen ADDR:PORT   where to listen (127.0.0.1:0; port 0 picks a free one)\n"
	"  --seed N             contents of all documents (1)\n"
	"  --cases N            plain cases beside the odd ones (10)\n"
	"  --documents N        documents of each plain case (40)\n"
	"  --size BYTES         size of their documents, give or take a tenth (as on the portal)\n"
	"  --script FILE        rules that make calls go wrong, see docs/simulator.md\n"
	"  --token TOKEN        a bearer that is always accepted, beside unexpired synthetic ones\n"
	"  --latency MS         wait before every answer of the portal (0)\n"
	"  --list               print the case numbers and what is odd about them, and exit\n"
	"  --make-token SECONDS print a synthetic token that expires after SECONDS, and exit\n"
	"  --version, --help\n";

_Noreturn static void bad_option(const char *what)
{
	fprintf(stderr, "autos-sim: unknown option or missing value: %s\n", what);
	exit(EXIT_USAGE);
}

_Noreturn static void bad_value(const char *name, const char *value)
{
	fprintf(stderr, "autos-sim: %s cannot be \"%s\"\n", name, value);
	exit(EXIT_USAGE);
}

static int64_t number(const char *name, const char *text, int64_t min, int64_t max)
{
	char *end;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max)
		bad_value(name, text);
	return n;
}

static void read_listen(const char *text, struct sockaddr_in *out)
{
	char host[64];
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : sizeof host;
	if (n >= sizeof host)
		bad_value("--listen", text);
	memcpy(host, text, n);
	host[n] = '\0';
	out->sin_family = AF_INET;
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
		      &out->sin_addr) != 1)
		bad_value("--listen", text);
	out->sin_port = htons((uint16_t)number("--listen", colon + 1, 0, 65535));
}

static void set_option(struct options *o, int opt, const char *value)
{
	switch (opt) {
	case 'l':
		read_listen(value, &o->listen);
		break;
	case 's':
		o->seed = (uint64_t)number("--seed", value, 0, INT64_MAX);
		break;
	case 'c':
		o->cases = number("--cases", value, 0, CASE_IDS - PLAIN_FIRST);
		break;
	case 'd':
		o->documents = number("--documents", value, 0, DOCUMENTS_MAX);
		break;
	case 'b':
		o->size = number("--size", value, 1, SIZE_LIMIT);
		break;
	case 'f':
		o->script = value;
		break;
	case 't':
		o->token = value;
		break;
	case 'm':
		o->latency_ms = number("--latency", value, 0, 3600000);
		break;
	case 'k':
		o->make_token = true;
		o->token_s = number("--make-token", value, INT32_MIN, INT32_MAX);
		break;
	case 'n':
		o->list = true;
		break;
	case 'h':
		o->help = true;
		break;
	case 'v':
		o->version = true;
		break;
	}
}

static void read_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{"listen", required_argument, NULL, 'l'},
		{"seed", required_argument, NULL, 's'},
		{"cases", required_argument, NULL, 'c'},
		{"documents", required_argument, NULL, 'd'},
		{"size", required_argument, NULL, 'b'},
		{"script", required_argument, NULL, 'f'},
		{"token", required_argument, NULL, 't'},
		{"latency", required_argument, NULL, 'm'},
		{"make-token", required_argument, NULL, 'k'},
		{"list", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int opt;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (opt == '?')
			bad_option(argv[optind - 1]);
		set_option(o, opt, optarg);
	}
	if (optind < argc)
		bad_option(argv[optind]);
}

/* Masked number, name, what is odd, what a careful client ends with. */
static void print_list(int64_t cases)
{
	struct cnj n;
	const struct oddity *o;
	for (size_t i = 0; (o = oddity_at(i)); i++) {
		case_number(o->id, &n);
		printf("%s\t%s\t%s\t%s\n", n.masked, o->name, o->about, o->outcome);
	}
	for (int64_t i = 0; i < cases; i++) {
		case_number((unsigned)(PLAIN_FIRST + i), &n);
		printf("%s\tplain\ta plain case\tcomplete\n", n.masked);
	}
}

static bool load_script(struct server *s, const char *path, struct err *e)
{
	char *text;
	size_t len;
	if (!path)
		return true;
	if (!sys_read_file(path, SCRIPT_MAX, &text, &len, e))
		return false;
	struct script *script = script_new(text, s->catalog.seed, true, e);
	xfree(text);
	if (script)
		server_use_script(s, script);
	return script != NULL;
}

static int run(const struct options *o)
{
	struct err e = {0};
	struct server s = {
		.catalog = {.seed = o->seed,
			    .cases = (unsigned)o->cases,
			    .documents = (unsigned)o->documents,
			    .size = (uint64_t)o->size},
		.fixed_token = o->token,
		.latency_ms = o->latency_ms,
	};
	sigset_t ends;
	int got;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before any thread: sigwait takes them */
	signal(SIGPIPE, SIG_IGN);
	catalog_init(&s.catalog);
	server_init(&s);
	bool ok = load_script(&s, o->script, &e) && server_start(&s, &o->listen, &e);
	if (ok) {
		printf("listening on http://%s\n", s.catalog.address);
		fflush(stdout);
		sigwait(&ends, &got);
	} else {
		fprintf(stderr, "autos-sim: %s\n", e.text);
	}
	server_stop(&s);
	catalog_release(&s.catalog);
	return ok ? 0 : e.kind == ERR_INPUT || e.kind == ERR_ABSENT ? EXIT_USAGE : 1;
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .cases = 10, .documents = 40};
	read_listen("127.0.0.1:0", &o.listen);
	read_options(argc, argv, &o);
	if (o.help) {
		fputs(help, stdout);
		return 0;
	}
	if (o.version) {
		printf("autos-sim %s\n", AUTOS_VERSION);
		return 0;
	}
	if (o.list) {
		print_list(o.cases);
		return 0;
	}
	if (o.make_token) {
		char *token = token_make(o.token_s);
		printf("%s\n", token);
		xfree(token);
		return 0;
	}
	return run(&o);
}
