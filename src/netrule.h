/*
 * netrule - which addresses and ports may be called on a client's behalf. Pure.
 *
 * Decided on the numeric address at the moment of connecting, so that no name, redirect or spelling
 * gets around it. Sources: the IANA special-purpose address registries (IPv4, IPv6), RFC 6890, RFC
 * 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo); ports: the bad ports of the Fetch standard.
 */
#ifndef AUTOS_NETRULE_H
#define AUTOS_NETRULE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Whether a public peer: *why (static, may be NULL) names the refused range. A mapped IPv4 address
 * is judged as what it is; translated and tunnelled ones (NAT64, 6to4, Teredo) are refused, because
 * who gets such a packet is decided elsewhere. Anything but IPv4 and IPv6 is refused. */
bool netrule_public(const struct sockaddr *a, const char **why);

/* 127.0.0.0/8 and ::1. */
bool netrule_loopback(const struct sockaddr *a);

/* Whether a port may be called: 1 to 65535, without the bad ports of the Fetch standard and those
 * of databases, caches, remote desktops and cluster managers (listed in netrule.c). */
bool netrule_port(int port);

/* ---- Ranges that an operator allows all the same ---- */

enum { NETRULE_RANGES_MAX = 64 };

struct netrule_range {
	unsigned char net[16];
	int bits;
	int family; /* AF_INET or AF_INET6 */
};

struct netrule_list {
	struct netrule_range ranges[NETRULE_RANGES_MAX];
	size_t n;
};

/* "10.1.0.0/16, fd00::/8"; "" is an empty list. ERR_INPUT names the range that is none: an address
 * with bits behind its prefix, or a prefix so short that it would be no exception any more. */
[[nodiscard]] bool netrule_list_parse(const char *text, struct netrule_list *out, struct err *e);

/* A mapped IPv4 address is looked for among the IPv4 ranges. */
bool netrule_list_has(const struct netrule_list *l, const struct sockaddr *a);

#endif
