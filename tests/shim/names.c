/*
 * names - a name service of the test's own, and a guard around the machine: preloaded into the real
 * program.
 *
 * NAMES is a file with a line for each name: the name, then addresses; `|` begins what the next
 * look-up gives. Other names are unknown. ROUTE is a list "FROM=TO" of addresses: a connection to
 * FROM goes to TO, so that a public address can be a receiver of the test. Whatever is neither
 * loopback nor routed is unreachable: nothing ever leaves the machine. Each connect is a line of
 * CONNECTS.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOKED_UP_MAX = 4096, NAME_MAX_LEN = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char name[NAME_MAX_LEN];
	int times;
} looked_up[LOOKED_UP_MAX];

/* How often this name was looked up before. */
static int times_of(const char *name)
{
	int n = 0;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < LOOKED_UP_MAX; i++) {
		if (looked_up[i].name[0] && strcmp(looked_up[i].name, name) != 0)
			continue;
		snprintf(looked_up[i].name, sizeof looked_up[i].name, "%s", name);
		n = looked_up[i].times++;
		break;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

/* The addresses behind a name in its line of the file; false when it has none. */
static bool line_of(const char *name, char *out, size_t cap)
{
	const char *path = getenv("NAMES");
	FILE *f = path ? fopen(path, "re") : NULL;
	bool found = false;
	char line[4096];
	while (f && !found && fgets(line, sizeof line, f)) {
		size_t n = strcspn(line, " ");
		found = strlen(name) == n && strncmp(line, name, n) == 0;
		if (found)
			snprintf(out, cap, "%.*s", (int)strcspn(line + n, "\n"), line + n);
	}
	if (f)
		fclose(f);
	return found;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **res)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	unsigned char raw[16];
	char line[4096];
	if (!node || inet_pton(AF_INET, node, raw) == 1 || inet_pton(AF_INET6, node, raw) == 1)
		return real(node, service, hints, res);
	if (!line_of(node, line, sizeof line))
		return EAI_NONAME;
	char *rest = line, *turn = line;
	for (int i = times_of(node); i >= 0 && rest; i--)
		turn = strsep(&rest, "|");
	struct addrinfo **end = res;
	*res = NULL;
	for (char *word, *at = turn; (word = strsep(&at, " "));) {
		struct addrinfo numeric = hints ? *hints : (struct addrinfo){0};
		if (!*word)
			continue;
		numeric.ai_family = AF_UNSPEC;
		numeric.ai_flags = AI_NUMERICHOST;
		if (real(word, service, &numeric, end) != 0)
			continue;
		while (*end)
			end = &(*end)->ai_next;
	}
	return *res ? 0 : EAI_NONAME;
}

static void ip_of(const struct sockaddr *a, char out[static INET6_ADDRSTRLEN], int *port)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	if (a->sa_family == AF_INET) {
		memcpy(&in, a, sizeof in);
		inet_ntop(AF_INET, &in.sin_addr, out, INET6_ADDRSTRLEN);
		*port = ntohs(in.sin_port);
	} else {
		memcpy(&in6, a, sizeof in6);
		inet_ntop(AF_INET6, &in6.sin6_addr, out, INET6_ADDRSTRLEN);
		*port = ntohs(in6.sin6_port);
	}
}

static void tell(const char *ip, int port)
{
	const char *path = getenv("CONNECTS");
	char line[128];
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	int n = snprintf(line, sizeof line, "%s %d\n", ip, port);
	if (fd >= 0 && write(fd, line, (size_t)n) != n)
		abort();
	if (fd >= 0)
		close(fd);
}

/* Where a connection to this address goes instead; false: nowhere. */
static bool route(const char *ip, char to[static INET6_ADDRSTRLEN])
{
	const char *all = getenv("ROUTE");
	size_t n = strlen(ip);
	for (const char *p = all ? all : ""; *p; p += strcspn(p, ","), p += *p == ',')
		if (strncmp(p, ip, n) == 0 && p[n] == '=') {
			size_t len = strcspn(p + n + 1, ",");
			snprintf(to, INET6_ADDRSTRLEN, "%.*s", (int)len, p + n + 1);
			return true;
		}
	return false;
}

int connect(int fd, const struct sockaddr *a, socklen_t len)
{
	static int (*real)(int, const struct sockaddr *, socklen_t);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "connect");
	char ip[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	int port;
	if (a->sa_family != AF_INET && a->sa_family != AF_INET6)
		return real(fd, a, len);
	ip_of(a, ip, &port);
	tell(ip, port);
	if (route(ip, to)) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
		if (a->sa_family == AF_INET && inet_pton(AF_INET, to, &in.sin_addr) == 1)
			return real(fd, (const struct sockaddr *)&in, sizeof in);
	} else if (strncmp(ip, "127.", 4) == 0 || strcmp(ip, "::1") == 0) {
		return real(fd, a, len);
	}
	errno = ENETUNREACH;
	return -1;
}
