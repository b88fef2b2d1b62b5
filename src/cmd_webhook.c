/*
 * cmd_webhook - `autos webhook`: verifies a received message offline, and changes secrets, through
 * the running service when there is one.
 */
#include "cmd.h"

#include "cmd_place.h"
#include "sys.h"
#include "term.h"
#include "webhook_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 8, MESSAGE_MAX = 16 << 20, SECRET_FILE_MAX = 16 << 10 };

/* Secrets separated by blanks or line breaks; changes the text. */
static bool read_keys(char *text, struct webhook_key keys[static KEYS_MAX], size_t *n,
		      struct err *e)
{
	char *rest = text, *word;
	*n = 0;
	while ((word = strsep(&rest, " \t\r\n"))) {
		if (!*word)
			continue;
		if (*n == KEYS_MAX)
			return fail(e, ERR_INPUT, "more than %d secrets", KEYS_MAX);
		if (!webhook_key_parse(word, &keys[(*n)++], e))
			return false;
	}
	return *n > 0 || fail(e, ERR_INPUT, "there is no secret in it");
}

/* Never from the command line, where every user of the machine could read it. */
static bool find_keys(const struct cmd_line *l, struct webhook_key keys[static KEYS_MAX], size_t *n,
		      struct err *e)
{
	char *text = NULL;
	size_t len;
	const char *given = getenv("WEBHOOK_SECRET");
	if (l->secret_file) {
		if (!sys_read_file(l->secret_file, SECRET_FILE_MAX, &text, &len, e))
			return false;
	} else if (given) {
		text = xstrdup(given);
	} else {
		return fail(e, ERR_INPUT,
			    "which secret? Give --secret-file FILE, or set WEBHOOK_SECRET");
	}
	bool ok = read_keys(text, keys, n, e);
	xfree(text);
	return ok || err_prefix(e, "%s: ", l->secret_file ? l->secret_file : "WEBHOOK_SECRET");
}

/* With headers given by option the file is the body alone. */
static bool read_message(const struct cmd_line *l, const char *text, size_t len,
			 struct webhook_message *m, struct err *e)
{
	if (!l->nheaders)
		return webhook_message_read(m, text, len, e);
	*m = (struct webhook_message){.body = text, .body_len = len};
	for (size_t i = 0; i < l->nheaders; i++)
		if (!webhook_message_header(m, l->headers[i], strlen(l->headers[i]), e))
			return false;
	return true;
}

static int verify(const struct cmd_line *l)
{
	struct webhook_key keys[KEYS_MAX];
	struct webhook_message m;
	struct err e = {0};
	char *text = NULL;
	size_t n = 0, len = 0, which = 0;
	const char *file = strcmp(l->words[1], "-") == 0 ? "/dev/stdin" : l->words[1];
	bool ok = find_keys(l, keys, &n, &e) && sys_read_file(file, MESSAGE_MAX, &text, &len, &e) &&
		  read_message(l, text, len, &m, &e);
	ok = ok && webhook_verify(&m, keys, n, sys_wall_ms() / 1000,
				  l->any_age ? -1 : WEBHOOK_TOLERANCE_S, &which, &e);
	if (ok)
		term_out("good: %s, signed at %s with secret %zu of %zu\n", m.id, m.timestamp,
			 which + 1, n);
	xfree(text);
	return ok ? EXIT_COMPLETE : cmd_fail(&e, e.kind == ERR_DENIED ? EXIT_TROUBLE : EXIT_USAGE);
}

/* ---- Secrets ---- */

struct rotation {
	int64_t user_id, overlap_ms, until_ms, id;
	char text[WEBHOOK_KEY_TEXT];
};

static bool write_rotation(struct db *db, void *arg, struct err *e)
{
	struct rotation *r = arg;
	return webhook_secret_rotate(db, r->user_id, WEBHOOK_HMAC, sys_wall_ms(), r->overlap_ms,
				     &r->id, r->text, &r->until_ms, e);
}

static bool rotate_remote(struct control *control, struct rotation *r, struct err *e)
{
	json_t *answer, *body = json_pack("{s:I, s:I}", "user_id", (json_int_t)r->user_id,
					  "overlap", (json_int_t)(r->overlap_ms / 1000));
	if (!control_ask(control, "POST", "/api/v1/webhooks/secrets", body, &answer, e))
		return false;
	const char *text = json_string_value(json_object_get(answer, "secret"));
	bool ok = text && strlen(text) < sizeof r->text;
	if (ok)
		snprintf(r->text, sizeof r->text, "%s", text);
	json_decref(answer);
	return ok || fail(e, ERR_FAIL, "the service gave no secret");
}

static int rotate(const struct cmd_line *l, const struct config *c)
{
	struct rotation r = {.overlap_ms = INT64_C(86400000)};
	struct place p = {0};
	struct err e = {0};
	int status = EXIT_COMPLETE;
	if (l->expires && !config_duration(l->expires, &r.overlap_ms)) {
		term_error("--expires %s: must be a time such as 1d", l->expires);
		return EXIT_USAGE;
	}
	if (!place_open(&p, c, &e) || !place_find_user(&p, l->words[1], &r.user_id, &e) ||
	    !(p.ledger ? ledger_write(p.ledger, write_rotation, &r, &e)
		       : rotate_remote(p.control, &r, &e)))
		status = cmd_fail(&e, place_status(&e));
	else
		term_out("%s\n", r.text);
	place_close(&p);
	return status;
}

static int run(const struct cmd_line *l, struct config *c)
{
	if (l->nwords == 2 && strcmp(l->words[0], "verify") == 0)
		return verify(l);
	if (l->nwords == 2 && strcmp(l->words[0], "rotate") == 0)
		return rotate(l, c);
	term_error("webhook takes: verify FILE, or rotate NAME");
	return EXIT_USAGE;
}

const struct cmd cmd_webhook = {
	.name = "webhook",
	.usage = "verify [--secret-file FILE] [--header LINE]... [--any-age] FILE | rotate NAME "
		 "[--expires TIME]",
	.summary = "checks a received webhook message; rotate makes a user's secret, once",
	.help = "verify: FILE (- is standard input) holds the message: header lines, an empty line, and "
		"the body\n"
		"byte for byte. Nothing is asked of anybody.\n\n"
		"      --secret-file FILE   the secret (whsec_) or public key (whpk_); several are "
		"tried in\n"
		"                           turn. Without it: the environment's "
		"WEBHOOK_SECRET\n"
		"      --header LINE        a header, as 'webhook-id: msg_...'; FILE is the body "
		"alone then\n"
		"      --any-age            do not mind that it is more than five minutes old\n\n"
		"rotate makes a new secret and prints it. The one before it stays live for a day, or "
		"for\n"
		"TIME (--expires): messages carry the signatures of both.\n\n"
		"Exit status: 0 good, 1 forged, altered or too old, 2 not such a message.\n",
	.options = "HFAx",
	.run = run,
};
