/*
 * sigv4 - signs what it is told, so that other programs can compare.
 *
 * Reads requests from stdin, a JSON object a line, and answers each with a line:
 *
 *   {"access_key", "secret_key", "session_token", "region", "service", "method", "path",
 *    "query": [[name, value]...], "headers": [[name, value]...], "payload", "time", "normalize",
 *    "expires"}                        null where there is none
 *   {"path", "query", "authorization"} as they are sent; the query is presigned, without
 *                                      "authorization", when there is "expires"
 *
 * The whole input is read before the first answer, so a peer may write all and then read.
 */
#include "sigv4.h"

#include "sys.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_MAX = 4 << 20 };

_Noreturn static void refuse(size_t line, const char *what)
{
	fprintf(stderr, "request %zu: %s\n", line, what);
	exit(1);
}

/* The pairs of a list, borrowed from it; free with xfree. */
static struct sigv4_field *fields(const json_t *list, size_t line)
{
	size_t i;
	json_t *pair;
	struct sigv4_field *out = xcalloc(json_array_size(list), sizeof *out);
	json_array_foreach(list, i, pair)
	{
		out[i].name = json_string_value(json_array_get(pair, 0));
		out[i].value = json_string_value(json_array_get(pair, 1));
		if (!out[i].name || !out[i].value)
			refuse(line, "query and headers are lists of pairs of texts");
	}
	return out;
}

static const char *text(const json_t *in, const char *name, size_t line)
{
	const char *s = json_string_value(json_object_get(in, name));
	if (!s)
		refuse(line, name);
	return s;
}

static void put(json_t *out, const char *name, struct buf *b, size_t line)
{
	if (b->overflow || json_object_set_new(out, name, json_string(buf_str(b))) != 0)
		refuse(line, "the answer is too long or no UTF-8");
	buf_clear(b);
}

static json_t *answer(const json_t *in, size_t line)
{
	struct sigv4_key k = {
		.access_key = text(in, "access_key", line),
		.secret_key = text(in, "secret_key", line),
		.session_token = json_string_value(json_object_get(in, "session_token")),
		.region = text(in, "region", line),
		.service = text(in, "service", line),
	};
	const json_t *query = json_object_get(in, "query"),
		     *headers = json_object_get(in, "headers");
	struct sigv4_field *query_fields = fields(query, line);
	struct sigv4_field *header_fields = fields(headers, line);
	struct sigv4_request q = {
		.method = text(in, "method", line),
		.path = text(in, "path", line),
		.query = query_fields,
		.nquery = json_array_size(query),
		.headers = header_fields,
		.nheaders = json_array_size(headers),
		.payload = text(in, "payload", line),
		.time_s = json_integer_value(json_object_get(in, "time")),
		.normalize = json_is_true(json_object_get(in, "normalize")),
	};
	const json_t *expires = json_object_get(in, "expires");
	json_t *out = json_object();
	struct buf b;
	buf_init(&b, OUT_MAX);
	sigv4_path(&b, q.path);
	put(out, "path", &b, line);
	if (json_is_integer(expires)) {
		sigv4_presign(&b, &k, &q, json_integer_value(expires));
		put(out, "query", &b, line);
	} else {
		sigv4_query(&b, q.query, q.nquery);
		put(out, "query", &b, line);
		sigv4_authorization(&b, &k, &q);
		put(out, "authorization", &b, line);
	}
	buf_release(&b);
	xfree(query_fields);
	xfree(header_fields);
	return out;
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0, n = 0;
	json_t *all = json_array(), *in;
	while (getline(&line, &cap, stdin) > 0) {
		json_error_t error;
		in = json_loads(line, 0, &error);
		if (!in || json_array_append_new(all, in) != 0)
			refuse(n + 1, in ? "out of memory" : error.text);
		n++;
	}
	free(line);
	json_array_foreach(all, n, in)
	{
		json_t *out = answer(in, n + 1);
		if (json_dumpf(out, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
			refuse(n + 1, "the answer cannot be written");
		json_decref(out);
	}
	json_decref(all);
	return fflush(stdout) == 0 ? 0 : 1;
}
