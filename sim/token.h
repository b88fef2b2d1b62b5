/*
 * token - synthetic bearer tokens: makes them and decides whether one is accepted.
 *
 * Shaped like the realm's JWTs, with names of nobody and without a real signature: the simulator
 * never checks one.
 */
#ifndef SIM_TOKEN_H
#define SIM_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

/* A token that expires `seconds` from now (may be negative); free with xfree. */
char *token_make(int64_t seconds);

/*
 * Whether `authorization`, the header's value (may be NULL), carries a token that is good now:
 * `fixed` itself when not NULL, or a JWT of the realm that has not expired.
 */
bool token_good(const char *authorization, const char *fixed);

#endif
