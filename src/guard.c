/*
 * guard - see guard.h. Our own addresses are asked of the machine each time: they come and go.
 */
#include "guard.h"

#include "config_service.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

bool guard_init(struct guard *g, const struct config *c, struct err *e)
{
	char host[256];
	int port = 0;
	memset(g, 0, sizeof *g);
	if (!config_address(c->listen, host, &port))
		port = 0;
	atomic_store(&g->own_port, port);
	if (!webhook_rules_init(&g->rules, c, e))
		return false;
	g->may_call_ourselves = g->rules.loopback;
	return true;
}

void guard_listens(struct guard *g, int port)
{
	atomic_store(&g->own_port, port);
}

struct place {
	int port;
	int family;
	unsigned char ip[16];
};

/* False for what is neither IPv4 nor IPv6. A mapped address is the IPv4 address that it is. */
static bool place_of(const struct sockaddr *a, struct place *p)
{
	static const unsigned char mapped[12] = {[10] = 0xff, 0xff};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	*p = (struct place){.family = a->sa_family};
	if (a->sa_family == AF_INET) {
		memcpy(&in, a, sizeof in);
		memcpy(p->ip, &in.sin_addr, 4);
		p->port = ntohs(in.sin_port);
		return true;
	}
	if (a->sa_family != AF_INET6)
		return false;
	memcpy(&in6, a, sizeof in6);
	memcpy(p->ip, &in6.sin6_addr, 16);
	p->port = ntohs(in6.sin6_port);
	if (memcmp(p->ip, mapped, sizeof mapped) == 0) {
		p->family = AF_INET;
		memmove(p->ip, p->ip + sizeof mapped, 4);
		memset(p->ip + 4, 0, 12);
	}
	return true;
}

/*
 * Whether an address is one of this machine's: only then may a socket be bound to it. The list of
 * interfaces would ask for a kind of socket that a sandbox forbids.
 */
static bool is_ours(const struct place *p)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {.any.sa_family = (sa_family_t)p->family};
	bool four = p->family == AF_INET;
	if (four && p->ip[0] == 127)
		return true;
	if (four)
		memcpy(&a.in.sin_addr, p->ip, 4);
	else
		memcpy(&a.in6.sin6_addr, p->ip, 16);
	int fd = socket(p->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false; /* no connection can be made either */
	bool foreign =
		bind(fd, &a.any, four ? sizeof a.in : sizeof a.in6) != 0 && errno == EADDRNOTAVAIL;
	close(fd);
	return !foreign; /* what cannot be told apart is not called */
}

bool guard_may_connect(void *arg, const struct sockaddr *a, const char **why)
{
	struct guard *g = arg;
	struct place p;
	if (!webhook_may_call(&g->rules, a, why))
		return false;
	if (g->may_call_ourselves || !place_of(a, &p) || p.port != atomic_load(&g->own_port) ||
	    !is_ours(&p))
		return true;
	*why = "an address of this service";
	return false;
}
