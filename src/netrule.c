/*
 * netrule - see netrule.h. Two tables of ranges and one of ports; resolves nothing. What it cannot
 * know is a network's own NAT64 prefix (RFC 6052, 2.2): an operator who has one routes it away.
 */
#include "netrule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct range4 {
	uint8_t net[4];
	int bits;
	const char *why;
};

/* IANA IPv4 Special-Purpose Address Registry, multicast (RFC 5771) and the deprecated relay
 * address of 6to4 (RFC 7526); also those that are globally reachable: nobody's service lives there.
 */
static const struct range4 ranges4[] = {
	{{0}, 8, "this network (0.0.0.0/8)"},
	{{10}, 8, "private use (10.0.0.0/8)"},
	{{100, 64}, 10, "shared address space (100.64.0.0/10)"},
	{{127}, 8, "loopback (127.0.0.0/8)"},
	{{169, 254}, 16, "link-local (169.254.0.0/16)"},
	{{172, 16}, 12, "private use (172.16.0.0/12)"},
	{{192, 0, 0}, 24, "protocol assignments (192.0.0.0/24)"},
	{{192, 0, 2}, 24, "documentation (192.0.2.0/24)"},
	{{192, 31, 196}, 24, "AS112 (192.31.196.0/24)"},
	{{192, 52, 193}, 24, "multicast tunnels (192.52.193.0/24)"},
	{{192, 88, 99}, 24, "6to4 relays (192.88.99.0/24)"},
	{{192, 168}, 16, "private use (192.168.0.0/16)"},
	{{192, 175, 48}, 24, "AS112 (192.175.48.0/24)"},
	{{198, 18}, 15, "benchmarks (198.18.0.0/15)"},
	{{198, 51, 100}, 24, "documentation (198.51.100.0/24)"},
	{{203, 0, 113}, 24, "documentation (203.0.113.0/24)"},
	{{224}, 4, "multicast (224.0.0.0/4)"},
	{{255, 255, 255, 255}, 32, "broadcast (255.255.255.255)"},
	{{240}, 4, "reserved (240.0.0.0/4)"},
};

struct range6 {
	uint8_t net[16];
	int bits;
	const char *why; /* NULL: the IPv4 address in the last four bytes decides */
};

/* IANA IPv6 Special-Purpose Address Registry; the first that holds the address decides. */
static const struct range6 ranges6[] = {
	{{0}, 128, "unspecified (::)"},
	{{[15] = 1}, 128, "loopback (::1)"},
	{{[10] = 0xff, 0xff}, 96, NULL},                     /* mapped (RFC 4291) */
	{{0}, 96, "IPv4-compatible (::/96)"},                /* deprecated (RFC 4291) */
	{{0, 0x64, 0xff, 0x9b}, 96, "NAT64 (64:ff9b::/96)"}, /* RFC 6052 */
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, "local translation (64:ff9b:1::/48)"}, /* RFC 8215 */
	{{1}, 64, "discard only (100::/64)"},
	/* Teredo (2001::/32) hides a client's address and names a server's: all of it is refused */
	{{0x20, 0x01}, 32, "Teredo (2001::/32)"},
	{{0x20, 0x01}, 23, "protocol assignments (2001::/23)"},
	{{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation (2001:db8::/32)"},
	{{0x20, 0x02}, 16, "6to4 (2002::/16)"}, /* RFC 3056 */
	{{0x26, 0x20, 0, 0x4f, 0x80}, 48, "AS112 (2620:4f:8000::/48)"},
	{{0x3f, 0xff}, 20, "documentation (3fff::/20)"},
	{{0x5f}, 16, "segment routing (5f00::/16)"},
	{{0xfc}, 7, "unique local (fc00::/7)"},
	{{0xfe, 0x80}, 10, "link-local (fe80::/10)"},
	{{0xfe, 0xc0}, 10, "site-local (fec0::/10)"},
	{{0xff}, 8, "multicast (ff00::/8)"},
};

static bool is_in(const uint8_t *a, const uint8_t *net, int bits)
{
	size_t whole = (size_t)bits / 8;
	int rest = bits % 8;
	return memcmp(a, net, whole) == 0 && (!rest || (a[whole] ^ net[whole]) >> (8 - rest) == 0);
}

/* The range that refuses an address, NULL when it is public. */
static const char *refuse4(const uint8_t a[4])
{
	for (size_t i = 0; i < sizeof ranges4 / sizeof *ranges4; i++)
		if (is_in(a, ranges4[i].net, ranges4[i].bits))
			return ranges4[i].why;
	return NULL;
}

static const char *refuse6(const uint8_t a[16])
{
	for (size_t i = 0; i < sizeof ranges6 / sizeof *ranges6; i++) {
		const struct range6 *r = &ranges6[i];
		if (is_in(a, r->net, r->bits))
			return r->why ? r->why : refuse4(a + 12);
	}
	return a[0] >> 5 == 1 ? NULL : "not global unicast (outside of 2000::/3)";
}

static bool read4(const struct sockaddr *a, uint8_t out[4])
{
	struct sockaddr_in in;
	if (a->sa_family != AF_INET)
		return false;
	memcpy(&in, a, sizeof in);
	memcpy(out, &in.sin_addr, 4);
	return true;
}

static bool read6(const struct sockaddr *a, uint8_t out[16])
{
	struct sockaddr_in6 in;
	if (a->sa_family != AF_INET6)
		return false;
	memcpy(&in, a, sizeof in);
	memcpy(out, &in.sin6_addr, 16);
	return true;
}

bool netrule_public(const struct sockaddr *a, const char **why)
{
	uint8_t raw[16];
	const char *range = read4(a, raw)   ? refuse4(raw)
			    : read6(a, raw) ? refuse6(raw)
					    : "neither IPv4 nor IPv6";
	if (why)
		*why = range;
	return !range;
}

bool netrule_loopback(const struct sockaddr *a)
{
	static const uint8_t one[16] = {[15] = 1};
	uint8_t raw[16];
	return read4(a, raw) ? raw[0] == 127 : read6(a, raw) && memcmp(raw, one, 16) == 0;
}

/* The bad ports of the Fetch standard, 2.9, then those of databases, caches, directories, remote
 * desktops and cluster managers: services that were never meant to be called by strangers and some
 * of which read commands out of an HTTP request. Ascending. */
static const uint16_t fetch_ports[] = {
	1,    7,    9,    11,   13,   15,   17,   19,   20,   21,   22,   23,    25,   37,
	42,   43,   53,   69,   77,   79,   87,   95,   101,  102,  103,  104,   109,  110,
	111,  113,  115,  117,  119,  123,  135,  137,  139,  143,  161,  179,   389,  427,
	465,  512,  513,  514,  515,  526,  530,  531,  532,  540,  548,  554,   556,  563,
	587,  601,  636,  989,  990,  993,  995,  1719, 1720, 1723, 2049, 3659,  4045, 4190,
	5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
};
static const uint16_t service_ports[] = {
	445,  1433, 1521, 2375, 2376, 2379,  2380,  3306,  3389,
	5432, 5900, 6379, 9200, 9300, 10250, 11211, 27017, 27018,
};

static bool is_listed(int port, const uint16_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == port)
			return true;
	return false;
}

bool netrule_port(int port)
{
	return port >= 1 && port <= 65535 &&
	       !is_listed(port, fetch_ports, sizeof fetch_ports / sizeof *fetch_ports) &&
	       !is_listed(port, service_ports, sizeof service_ports / sizeof *service_ports);
}

/* ---- Allowed ranges ---- */

enum { SHORTEST4 = 8, SHORTEST6 = 7 }; /* 10.0.0.0/8 and fc00::/7 */

/* The rest of an address behind its prefix is zero. */
static bool is_prefix(const uint8_t *net, int bits, int all)
{
	for (int i = bits; i < all; i++)
		if (net[i / 8] >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool read_range(const char *text, size_t len, struct netrule_range *r)
{
	char buf[64];
	if (len >= sizeof buf)
		return false;
	memcpy(buf, text, len);
	buf[len] = '\0';
	char *slash = strchr(buf, '/');
	if (!slash || strlen(slash + 1) > 3 || !slash[1] ||
	    strspn(slash + 1, "0123456789") != strlen(slash + 1))
		return false;
	*slash = '\0';
	*r = (struct netrule_range){.bits = (int)strtol(slash + 1, NULL, 10)};
	r->family = inet_pton(AF_INET, buf, r->net) == 1    ? AF_INET
		    : inet_pton(AF_INET6, buf, r->net) == 1 ? AF_INET6
							    : AF_UNSPEC;
	bool four = r->family == AF_INET;
	return r->family != AF_UNSPEC && r->bits >= (four ? SHORTEST4 : SHORTEST6) &&
	       r->bits <= (four ? 32 : 128) && is_prefix(r->net, r->bits, four ? 32 : 128);
}

bool netrule_list_parse(const char *text, struct netrule_list *out, struct err *e)
{
	*out = (struct netrule_list){0};
	for (const char *p = text + strspn(text, ", "); *p;) {
		size_t len = strcspn(p, ", ");
		if (out->n == NETRULE_RANGES_MAX)
			return fail(e, ERR_INPUT, "more than %d ranges", NETRULE_RANGES_MAX);
		if (!read_range(p, len, &out->ranges[out->n]))
			return fail(e, ERR_INPUT,
				    "'%.*s' is no range of addresses: it must look like "
				    "10.1.0.0/16 or fd00::/8, with nothing behind the prefix and "
				    "at least /%d or /%d",
				    (int)(len < 60 ? len : 60), p, SHORTEST4, SHORTEST6);
		out->n++;
		p += len;
		p += strspn(p, ", ");
	}
	return true;
}

bool netrule_list_has(const struct netrule_list *l, const struct sockaddr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	uint8_t raw[16], *at = raw;
	int family = a->sa_family;
	if (!read4(a, raw) && !read6(a, raw))
		return false;
	if (family == AF_INET6 && memcmp(raw, mapped, sizeof mapped) == 0) {
		family = AF_INET;
		at += sizeof mapped;
	}
	for (size_t i = 0; i < l->n; i++)
		if (l->ranges[i].family == family && is_in(at, l->ranges[i].net, l->ranges[i].bits))
			return true;
	return false;
}
