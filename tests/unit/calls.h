/*
 * calls - what the unit tests of the API's calls share: a rig with three users, problems, a call
 * that is stopped on its way, and the links between pages.
 */
#ifndef AUTOS_CALLS_H
#define AUTOS_CALLS_H

#include "api_rig.h"
#include "scratch.h"

static struct rig rig;
static char admin[ACCESS_KEY_SIZE], other[ACCESS_KEY_SIZE], reader[ACCESS_KEY_SIZE];

static inline int open_with(const char *const *settings)
{
	rig_open(&rig, settings);
	rig_user(&rig, "root", ROLE_ADMIN, admin);
	rig_user(&rig, "second", ROLE_ADMIN, other);
	rig_user(&rig, "reader", ROLE_READONLY, reader);
	return 0;
}

static inline int begin(void **state)
{
	static const char *const settings[] = {"cors_origins",
					       "https://a.example, https://b.example",
					       "rate_limit",
					       "1000",
					       "rate_limit_anonymous",
					       "500",
					       NULL};
	(void)state;
	return open_with(settings);
}

static inline int end(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static inline void is_problem(struct rig_answer *a, int status, const char *name)
{
	const char *slash = strrchr(rig_text(a, "type"), '/');
	if (a->status != status)
		print_error("%d: %s\n", a->status, a->text);
	assert_int_equal(a->status, status);
	assert_non_null(slash);
	assert_string_equal(slash + 1, name);
	assert_int_equal(rig_int(a, "status"), status);
	assert_string_equal(rig_header(a, "Content-Type"), "application/problem+json");
}

/* ---- A call that is stopped on its way ---- */

struct slow {
	struct rig_bell bell;
	struct api_call *call;
	struct api_request request;
	struct api_pair headers[4];
	char bearer[80];
};

static inline enum api_step slow_begin(struct slow *s, const char *method, const char *target,
				       const char *body, const char *name, const char *value)
{
	*s = (struct slow){.bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false}};
	snprintf(s->bearer, sizeof s->bearer, "Bearer %s", admin);
	s->headers[0] = (struct api_pair){"Authorization", s->bearer};
	s->headers[1] = (struct api_pair){name, value};
	s->request = (struct api_request){.method = method,
					  .target = target,
					  .headers = s->headers,
					  .nheaders = 2,
					  .body = body,
					  .body_len = strlen(body),
					  .peer = "192.0.2.1"};
	s->call = api_begin(rig.api, &s->request, rig_ring, &s->bell);
	return api_run(s->call);
}

static inline enum api_step slow_step(struct slow *s)
{
	api_launch(s->call);
	rig_await(&s->bell);
	return api_resume(s->call);
}

static inline int slow_end(struct slow *s)
{
	int status = api_response(s->call)->status;
	api_end(s->call);
	return status;
}

/* ---- Pages ---- */

/* The path and query of the next page, NULL at the end; xfree. */
static inline char *next_page(const struct rig_answer *a)
{
	const char *link = rig_header(a, "Link"), *base = rig.config.public_url;
	if (!link)
		return NULL;
	size_t n = strlen(base);
	assert_int_equal(*link, '<');
	assert_memory_equal(link + 1, base, n);
	const char *stop = strchr(link, '>');
	assert_string_equal(stop, ">; rel=\"next\"");
	return xstrndup(link + 1 + n, (size_t)(stop - link) - 1 - n);
}

#endif
