/*
 * Bodies of any form, by an admin, to every route that is asked with POST or PUT: the first line
 * names the route (the operationId of the description), the rest is the body.
 */
#include "api_fuzz.h"

static const struct api_route *route_of(const char *name, size_t len)
{
	const struct api_route *fitting[64];
	size_t n = 0;
	for (size_t i = 0; i < api_nroutes; i++) {
		const struct api_route *r = &api_routes[i];
		if (strcmp(r->method, "POST") != 0 && strcmp(r->method, "PUT") != 0)
			continue;
		if (strlen(r->name) == len && memcmp(r->name, name, len) == 0)
			return r;
		fitting[n++] = r;
	}
	return fitting[(len ? (unsigned char)*name : 0) % n];
}

/* The path with something that is there in each place. */
static char *path_of(const struct api_route *r)
{
	struct buf b;
	buf_init(&b, 512);
	bool users = strstr(r->path, "/users/"), jobs = strstr(r->path, "/jobs/{}");
	const char *values[] = {users ? "2" : jobs ? "1" : FUZZ_ACTIVE, "d"};
	size_t n = 0;
	for (const char *p = r->path; *p; p++)
		if (strncmp(p, "{}", 2) == 0) {
			buf_adds(&b, values[n++]);
			p++;
		} else {
			buf_add(&b, p, 1);
		}
	char *path = xstrdup(buf_str(&b));
	buf_release(&b);
	return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_world *w = fuzz_open();
	const char *end = size ? memchr(data, '\n', size) : NULL;
	size_t name = end ? (size_t)(end - (const char *)data) : 0;
	const struct api_route *route = route_of((const char *)data, name);
	char *path = path_of(route);
	const struct api_pair headers[] = {{"Authorization", "Bearer " FUZZ_KEY_ADMIN},
					   {"Content-Type", "application/json"}};
	struct api_request q = {.method = route->method,
				.target = path,
				.headers = headers,
				.nheaders = 2,
				.body = end ? end + 1 : "",
				.body_len = end ? size - name - 1 : 0,
				.peer = "192.0.2.1"};
	struct rig_answer a = rig_run(&w->rig, &q);
	fuzz_check(w, &q, &a);
	fuzz_check_keys(&a, (const char *)data, size);
	CHECK(a.status != 401 && a.status != 403 && a.status != 405);
	rig_drop(&a);
	fuzz_settle(w);
	xfree(path);
	return 0;
}
