/*
 * json_value - facts of ours as JSON values; what is not known is null. Pure.
 */
#ifndef AUTOS_JSON_VALUE_H
#define AUTOS_JSON_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

json_t *json_value_text(const char *s); /* null for NULL, "" and what is no UTF-8 */
json_t *json_value_time(int64_t ms);    /* milliseconds since 1970; null for 0 */
json_t *json_value_count(int64_t n);    /* null below 0 */

/* A time as RFC 3339 writes it, with Z or an offset, as milliseconds since 1970. */
bool json_value_parse_time(const char *s, int64_t *ms);

#endif
