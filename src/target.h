/*
 * target - the request target: path and query of a URL as a client sent them (RFC 3986).
 *
 * Strict: bad percent-encoding, a zero byte, a control character, or bytes that are no UTF-8 after
 * decoding make the whole target bad. The path is split before it is decoded, so an encoded slash
 * never makes a new segment; empty segments and the segments "." and ".." are bad. Pure.
 */
#ifndef AUTOS_TARGET_H
#define AUTOS_TARGET_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum { TARGET_SEGMENTS = 24, TARGET_PARAMETERS = 32, TARGET_MAX = 8192 };

struct target {
	const char *segments[TARGET_SEGMENTS]; /* decoded; "/" has none */
	size_t nsegments;
	bool trailing_slash; /* "/a/" - never set for "/" */
	struct {
		const char *name, *value; /* decoded, "+" is a space; value "" without "=" */
	} parameters[TARGET_PARAMETERS];
	size_t nparameters;
	char *text; /* owned; what everything points into */
};

/* ERR_INPUT: what is wrong, as one sentence. Release in any case. */
[[nodiscard]] bool target_parse(const char *raw, struct target *out, struct err *e);
void target_release(struct target *t);

/* Where the path of a raw target begins: behind scheme and authority, if it has them. */
const char *target_path(const char *raw);

/* The value of a parameter, NULL when it is absent; the last one counts. */
const char *target_get(const struct target *t, const char *name);

#endif
