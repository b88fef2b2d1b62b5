/*
 * config_service - settings that only the service needs to understand: addresses, limits by route,
 * and what must be there before it listens. Pure.
 */
#ifndef AUTOS_CONFIG_SERVICE_H
#define AUTOS_CONFIG_SERVICE_H

#include "buf.h"
#include "config.h"

#include <stdbool.h>
#include <stdint.h>

/* "HOST:PORT", "[IPV6]:PORT", ":PORT". The host comes without brackets, "" for all addresses. */
[[nodiscard]] bool config_address(const char *text, char host[static 256], int *port);

/* The limit of one route in rate_limit_routes; false when it has none. The text was checked. */
bool config_route_limit(const char *text, const char *route, int64_t *limit, int64_t *window_s);

/* Names the routes of rate_limit_routes one after the other: *at moves on; false at the end. */
bool config_route_limit_name(const char **at, char name[static 64]);

/* Everything that is missing or contradictory for `autos serve`, one line each; empty = fine. */
void config_check_service(const struct config *c, struct buf *lines);

#endif
