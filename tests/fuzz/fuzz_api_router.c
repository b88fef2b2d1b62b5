/*
 * Requests of any form: each is answered, by a status of its own, in the form that the description
 * promises, and nothing is written for who has no key.
 *
 *   METHOD TARGET
 *   Name: value        $admin, $user, $reader and $expired in Authorization and X-API-Key are keys;
 *   !flag              control, secure, body, head: see struct api_request
 *
 *   body
 *
 * The target $link is a good link to a file.
 */
#include "api_fuzz.h"

enum { HEADERS = 40 };

struct asked {
	struct api_request q;
	struct api_pair headers[HEADERS];
	char *text; /* what everything points into */
	char *keys[HEADERS];
	size_t nkeys;
};

/* Cuts the first line off; NULL when there is none. */
static char *line(char **at)
{
	char *start = *at, *end = strchr(start, '\n');
	if (!*start)
		return NULL;
	*at = end ? end + 1 : start + strlen(start);
	if (end)
		*end = '\0';
	return start;
}

static const char *with_key(struct asked *a, const char *value)
{
	static const char *const names[] = {"$admin", "$user", "$reader", "$expired"};
	for (size_t i = 0; i < 4; i++) {
		const char *at = strstr(value, names[i]);
		if (!at)
			continue;
		return a->keys[a->nkeys++] = xasprintf("%.*s%s%s", (int)(at - value), value,
						       fuzz_keys[i], at + strlen(names[i]));
	}
	return value;
}

static void flag(struct api_request *q, const char *name)
{
	q->control = q->control || strcmp(name, "control") == 0;
	q->secure = q->secure || strcmp(name, "secure") == 0;
	q->body_too_large = q->body_too_large || strcmp(name, "body") == 0;
	q->head_too_large = q->head_too_large || strcmp(name, "head") == 0;
}

static void header(struct asked *a, char *text)
{
	char *colon = strchr(text, ':');
	if (*text == '!') {
		flag(&a->q, text + 1);
		return;
	}
	if (!colon || a->q.nheaders == HEADERS)
		return;
	*colon = '\0';
	const char *value = colon + 1 + strspn(colon + 1, " ");
	if (strcasecmp(text, "Authorization") == 0 || strcasecmp(text, "X-API-Key") == 0)
		value = with_key(a, value);
	a->headers[a->q.nheaders++] = (struct api_pair){text, value};
}

static void parse(struct fuzz_world *w, struct asked *a, const uint8_t *data, size_t size)
{
	*a = (struct asked){.text = xstrndup((const char *)data, size)};
	char *at = a->text, *first = line(&at);
	char *space = first ? strchr(first, ' ') : NULL;
	a->q.method = first ? first : "";
	a->q.target = space ? space + 1 : "/";
	if (space)
		*space = '\0';
	if (strcmp(a->q.target, "$link") == 0)
		a->q.target = w->link;
	for (char *l; (l = line(&at)) && *l;)
		header(a, l);
	a->q.headers = a->headers;
	a->q.body = at;
	a->q.body_len = (size_t)(a->text + size - at);
	if (a->q.body_too_large) {
		a->q.body = "";
		a->q.body_len = 0;
	}
	a->q.peer = a->q.control ? "" : "192.0.2.1";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_world *w = fuzz_open();
	struct asked a;
	parse(w, &a, data, size);
	bool somebody = a.nkeys || a.q.control;
	int64_t writes = metric_get(METRIC_ledger_writes);
	struct rig_answer r = rig_run(&w->rig, &a.q);
	CHECK(somebody || metric_get(METRIC_ledger_writes) == writes);
	fuzz_check(w, &a.q, &r);
	fuzz_check_stream(&r);
	fuzz_check_keys(&r, (const char *)data, size);
	rig_drop(&r);
	if (somebody)
		fuzz_settle(w);
	for (size_t i = 0; i < a.nkeys; i++)
		xfree(a.keys[i]);
	xfree(a.text);
	return 0;
}
