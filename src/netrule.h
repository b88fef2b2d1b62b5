/*
 * netrule - which addresses and ports may be called on a client's behalf. Pure.
 *
 * Decided on the numeric address at the moment of connecting, so that no name, redirect or spelling
 * gets around it. Sources: the IANA special-purpose address registries (IPv4, IPv6), RFC 6890, RFC
 * 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo); ports: the bad ports of the Fetch standard.
 */
#ifndef AUTOS_NETRULE_H
#define AUTOS_NETRULE_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether a public peer: *why (static, may be NULL) names the refused range. Mapped, translated and
 * tunnelled IPv4 is judged by the IPv4 address inside. Anything but IPv4 and IPv6 is refused. */
bool netrule_public(const struct sockaddr *a, const char **why);

/* 127.0.0.0/8 and ::1. */
bool netrule_loopback(const struct sockaddr *a);

/* Whether a port may be called: 1 to 65535, without the bad ports of the Fetch standard and those
 * of databases, caches, remote desktops and cluster managers (listed in netrule.c). */
bool netrule_port(int port);

#endif
