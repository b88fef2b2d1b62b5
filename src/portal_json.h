/*
 * portal_json - reading members of the portal's JSON; private to the portal_*.c files.
 *
 * Numbers come as numbers or as text, single things where lists are meant, and members of the wrong
 * type. What a reader can do without counts as absent; what carries papers is an error.
 */
#ifndef AUTOS_PORTAL_JSON_H
#define AUTOS_PORTAL_JSON_H

#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Parses an object or an array. Numbers that jansson could not keep exactly become strings of the
 * same characters. NULL with ERR_FAIL, naming the position and never the content.
 */
json_t *portal_json_load(const char *json, size_t len, struct err *e);

/* A string or number as text (owned; a NUL becomes a space), else NULL. */
char *portal_json_text(const json_t *value);

/* The member as text; "" (never NULL) when it is absent or of another type. */
char *portal_json_member(const json_t *object, const char *key);

/* A whole number, given as number or as text; `absent` when it is neither or negative. */
int64_t portal_json_int(const json_t *value, int64_t absent);

/* nivelSigilo of an object: 0 when absent, 5 when it is nothing we know. */
int portal_json_secrecy(const json_t *object);

/* One thing or a list of things: how many, and the i-th. null and absence are 0 things. */
size_t portal_json_count(const json_t *value);
const json_t *portal_json_at(const json_t *value, size_t i);

/* Is it an object that reports a fault, where cases or a document belong? */
bool portal_json_is_error(const json_t *value);

#endif
