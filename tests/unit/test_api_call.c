/*
 * The life of a call: keys of idempotency (the same again, while it runs, for something else),
 * writes that fail, waiting that ends by news or by draining, streams that are given up, cursors,
 * and the headers that every answer has.
 */
#include "api_rig.h"
#include "hub.h"
#include "scratch.h"

#include <stdatomic.h>

#define CASE "99000015520248260100"
#define KEYS "/api/v1/users/1/keys"
#define LABEL "{\"label\":\"x\"}"

static struct rig rig;
static char admin[ACCESS_KEY_SIZE], other[ACCESS_KEY_SIZE], reader[ACCESS_KEY_SIZE];

/* ---- A database that fails when it is told to ---- */

static struct {
	_Atomic(const char *) text; /* statements that begin so fail */
	struct db_ops ops;
} fault;

static bool faulty_run(struct db *db, const char *sql, const struct db_value *args, size_t nargs,
		       struct db_rows *out, struct err *e)
{
	const char *text = atomic_load(&fault.text);
	if (text && strncmp(sql, text, strlen(text)) == 0)
		return fail(e, ERR_FAIL, "the disk says hunter2");
	return db_sqlite.run(db, sql, args, nargs, out, e);
}

static int open_with(const char *const *settings)
{
	rig_open(&rig, settings);
	rig_user(&rig, "root", ROLE_ADMIN, admin);
	rig_user(&rig, "second", ROLE_ADMIN, other);
	rig_user(&rig, "reader", ROLE_READONLY, reader);
	fault.ops = db_sqlite;
	fault.ops.run = faulty_run;
	atomic_store(&fault.text, NULL);
	ledger_db(rig.ledger)->ops = &fault.ops;
	return 0;
}

static int begin(void **state)
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

static int end(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static void is_problem(struct rig_answer *a, int status, const char *name)
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

static int64_t count(const char *sql)
{
	struct db_rows r;
	struct err e;
	struct db *db = db_open(rig.config.database_url, DB_READ, &e);
	assert_non_null(db);
	assert_true(db_run(db, sql, NULL, 0, &r, &e));
	int64_t n = db_int(&r, 0, 0);
	db_rows_release(&r);
	db_close(db);
	return n;
}

/* ---- A call that is stopped on its way ---- */

struct slow {
	struct rig_bell bell;
	struct api_call *call;
	struct api_request request;
	struct api_pair headers[4];
	char bearer[80];
};

static enum api_step slow_begin(struct slow *s, const char *method, const char *target,
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

static enum api_step slow_step(struct slow *s)
{
	api_launch(s->call);
	rig_await(&s->bell);
	return api_resume(s->call);
}

static int slow_end(struct slow *s)
{
	int status = api_response(s->call)->status;
	api_end(s->call);
	return status;
}

/* ---- Idempotency-Key ---- */

static struct rig_answer with_key(const char *target, const char *key, const char *body,
				  const char *idem)
{
	return rig_ask_with(&rig, "POST", target, key, body, "Idempotency-Key", idem);
}

static void test_the_same_again(void **state)
{
	(void)state;
	int64_t keys = count("SELECT COUNT(*) FROM api_key");
	struct rig_answer a = with_key(KEYS, admin, LABEL, "one");
	struct rig_answer b = with_key(KEYS, admin, LABEL, "\"one\"");
	assert_int_equal(a.status, 200);
	assert_int_equal(b.status, 200);
	assert_null(rig_header(&a, "Idempotency-Replayed"));
	assert_string_equal(rig_header(&b, "Idempotency-Replayed"), "true");
	assert_int_equal(rig_int(&b, "key/id"), rig_int(&a, "key/id"));
	assert_true(rig_int(&a, "key/id") > 0);
	/* What is shown once is not kept. */
	assert_true(*rig_text(&a, "api_key"));
	assert_true(json_is_null(rig_get(&b, "api_key")));
	assert_null(strstr(b.text, rig_text(&a, "api_key")));
	char *kept = xasprintf("SELECT COUNT(*) FROM idempotency WHERE instr(body, '%s')",
			       rig_text(&a, "api_key"));
	assert_int_equal(count(kept), 0);
	xfree(kept);
	assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys + 1);
	rig_drop(&a);
	rig_drop(&b);
}

static void test_for_something_else(void **state)
{
	(void)state;
	struct rig_answer a = with_key(KEYS, admin, LABEL, "two");
	int64_t keys = count("SELECT COUNT(*) FROM api_key");
	struct rig_answer b = with_key(KEYS, admin, "{\"label\":\"y\"}", "two");
	struct rig_answer c = with_key("/api/v1/users/2/keys", admin, LABEL, "two");
	struct rig_answer d = with_key(KEYS "?x=1", admin, LABEL, "two");
	assert_int_equal(a.status, 200);
	is_problem(&b, 422, "key-reused");
	is_problem(&c, 422, "key-reused");
	is_problem(&d, 422, "key-reused");
	assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys);
	/* Another user's keys are that user's. */
	struct rig_answer e = with_key(KEYS, other, LABEL, "two");
	assert_int_equal(e.status, 200);
	assert_null(rig_header(&e, "Idempotency-Replayed"));
	rig_drop(&a);
	rig_drop(&b);
	rig_drop(&c);
	rig_drop(&d);
	rig_drop(&e);
}

static void test_while_it_runs(void **state)
{
	(void)state;
	struct slow s;
	assert_int_equal(slow_begin(&s, "POST", KEYS, LABEL, "Idempotency-Key", "three"),
			 API_SLEEP);
	api_launch(s.call); /* the key is made; the answer is not */
	rig_await(&s.bell);
	struct rig_answer b = with_key(KEYS, admin, LABEL, "three");
	is_problem(&b, 409, "request-running");
	assert_non_null(rig_header(&b, "Retry-After"));
	struct rig_answer o = with_key(KEYS, admin, "{}", "three");
	is_problem(&o, 422, "key-reused");
	assert_int_equal(api_resume(s.call), API_SLEEP); /* now the answer is written down */
	assert_int_equal(slow_step(&s), API_DONE);
	assert_int_equal(slow_end(&s), 200);
	struct rig_answer c = with_key(KEYS, admin, LABEL, "three");
	assert_int_equal(c.status, 200);
	assert_string_equal(rig_header(&c, "Idempotency-Replayed"), "true");
	rig_drop(&b);
	rig_drop(&o);
	rig_drop(&c);
}

/* Many at once: one does it, the others hear so. */
struct racer {
	pthread_t thread;
	int status;
	bool replayed;
};

static void *race(void *arg)
{
	struct racer *me = arg;
	struct rig_answer a = with_key(KEYS, admin, LABEL, "race");
	me->status = a.status;
	me->replayed = rig_header(&a, "Idempotency-Replayed");
	rig_drop(&a);
	return NULL;
}

static void test_many_at_once(void **state)
{
	(void)state;
	struct racer r[8];
	int first = 0;
	int64_t keys = count("SELECT COUNT(*) FROM api_key");
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(r[i].thread, NULL), 0);
		assert_true(r[i].status == 200 || r[i].status == 409);
		first += r[i].status == 200 && !r[i].replayed;
	}
	assert_int_equal(first, 1);
	assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys + 1);
}

static void test_what_is_no_key(void **state)
{
	static const char *const bad[] = {"", "a b", "\"\"", "\"open", "\xc3\xa7"};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct rig_answer a = with_key(KEYS, admin, LABEL, bad[i]);
		is_problem(&a, 400, "malformed-request");
		rig_drop(&a);
	}
	/* Where nothing is made it is not looked at. */
	struct rig_answer a = rig_ask_with(&rig, "GET", "/api/v1/users/me", admin, NULL,
					   "Idempotency-Key", "a b");
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

/* ---- Writes that fail ---- */

static void test_refused_write_spends_no_key(void **state)
{
	(void)state;
	const char *body = "{\"username\":\"third\"}";
	struct rig_answer a = rig_ask(&rig, "POST", "/api/v1/users", admin, body);
	assert_int_equal(a.status, 200);
	char *target = xasprintf("/api/v1/users/%lld", (long long)rig_int(&a, "user/id"));
	struct rig_answer b = with_key("/api/v1/users", admin, body, "four");
	assert_true(b.status >= 400 && b.status < 500);
	assert_string_equal(strrchr(rig_text(&b, "type"), '/'), "/username-taken");
	struct rig_answer d = rig_ask(&rig, "DELETE", target, admin, NULL);
	assert_int_equal(d.status, 200);
	struct rig_answer c = with_key("/api/v1/users", admin, body, "four");
	assert_int_equal(c.status, 200);
	assert_null(rig_header(&c, "Idempotency-Replayed"));
	xfree(target);
	rig_drop(&a);
	rig_drop(&b);
	rig_drop(&c);
	rig_drop(&d);
}

static void is_unavailable(struct rig_answer *a)
{
	is_problem(a, 503, "database-unavailable");
	assert_non_null(rig_header(a, "Retry-After"));
	assert_null(strstr(a->text, "hunter2")); /* what broke is ours to know */
	rig_drop(a);
}

static void test_database_fails(void **state)
{
	static const char *const texts[] = {"INSERT INTO api_key", "BEGIN", "COMMIT", "SAVEPOINT",
					    "INSERT INTO idempotency"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		int64_t keys = count("SELECT COUNT(*) FROM api_key");
		char idem[20];
		snprintf(idem, sizeof idem, "fails-%zu", i);
		atomic_store(&fault.text, texts[i]);
		struct rig_answer a = with_key(KEYS, admin, LABEL, idem);
		is_unavailable(&a);
		atomic_store(&fault.text, NULL);
		assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys);
		struct rig_answer b = with_key(KEYS, admin, LABEL, idem);
		assert_int_equal(b.status, 200);
		assert_null(rig_header(&b, "Idempotency-Replayed"));
		rig_drop(&b);
		assert_int_equal(count("SELECT COUNT(*) FROM api_key"), keys + 1);
	}
}

/* What was done is answered, though the answer could not be kept. Until the next start nobody can
 * say what the key stands for. */
static void test_answer_is_not_kept(void **state)
{
	(void)state;
	atomic_store(&fault.text, "UPDATE idempotency");
	struct rig_answer a = with_key(KEYS, admin, LABEL, "lost");
	assert_int_equal(a.status, 200);
	atomic_store(&fault.text, NULL);
	struct rig_answer b = with_key(KEYS, admin, LABEL, "lost");
	is_problem(&b, 409, "request-running");
	rig_drop(&a);
	rig_drop(&b);
}

/* ---- Waiting ---- */

static bool write_unknown(struct db *db, void *arg, struct err *e)
{
	struct job_lease l;
	size_t n = 1;
	bool over;
	(void)arg;
	return job_claim_ready(db, "worker", sys_wall_ms(), 60000, NULL, &l, &n, e) && n == 1 &&
	       job_finish(db, &l, OUTCOME_NOT_FOUND, "no such case", sys_wall_ms(), &over, e);
}

static void test_waiting_ends_with_news(void **state)
{
	(void)state;
	struct slow s;
	struct err e;
	assert_int_equal(slow_begin(&s, "GET", "/api/v1/processes/" CASE, "", "Prefer", "wait=50"),
			 API_SLEEP);
	assert_int_equal(slow_step(&s), API_SLEEP); /* the job is asked for */
	api_launch(s.call);
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e));
	for (;;) {
		rig_await(&s.bell);
		if (api_resume(s.call) == API_DONE)
			break;
		api_launch(s.call);
	}
	struct api_response *r = api_response(s.call);
	assert_int_equal(r->status, 404);
	bool applied = false;
	for (size_t i = 0; i < r->nheaders; i++)
		applied = applied || (strcmp(r->headers[i].name, "Preference-Applied") == 0 &&
				      strcmp(api_header_value(r, i), "wait=50") == 0);
	assert_true(applied);
	slow_end(&s);
}

static void test_news_before_the_sleep(void **state)
{
	(void)state;
	struct slow s;
	struct err e;
	assert_int_equal(slow_begin(&s, "GET", "/api/v1/processes/" CASE, "", "Prefer", "wait=50"),
			 API_SLEEP);
	assert_int_equal(slow_step(&s), API_SLEEP);
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e)); /* it does not sleep yet */
	assert_int_equal(slow_step(&s), API_DONE);
	assert_int_equal(slow_end(&s), 404);
}

static void test_nobody_waits_while_draining(void **state)
{
	(void)state;
	struct slow s;
	assert_int_equal(slow_begin(&s, "GET", "/api/v1/processes/" CASE, "", "Prefer", "wait=50"),
			 API_SLEEP);
	assert_int_equal(slow_step(&s), API_SLEEP);
	api_launch(s.call);
	api_drain(rig.api);
	rig_await(&s.bell);
	assert_int_equal(api_resume(s.call), API_DONE);
	assert_int_equal(slow_end(&s), 202);
	struct rig_answer a = rig_ask_with(&rig, "GET", "/api/v1/processes/" CASE, admin, NULL,
					   "Prefer", "wait=50");
	assert_int_equal(a.status, 202);
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/readyz", NULL, NULL);
	assert_int_equal(a.status, 503);
	rig_drop(&a);
}

/* ---- Streams ---- */

static bool ask_for_case(struct db *db, void *arg, struct err *e)
{
	struct job_ticket *t = arg;
	struct job_ask ask = {.number = CASE, .relist = true, .now_ms = sys_wall_ms()};
	return job_request(db, &ask, t, e);
}

static void never(void *owner)
{
	*(atomic_int *)owner += 1;
}

static void test_stream_is_given_up(void **state)
{
	(void)state;
	struct job_ticket t;
	struct err e;
	char part[4096];
	atomic_int woken = 0;
	assert_true(ledger_write(rig.ledger, ask_for_case, &t, &e));
	struct rig_answer a =
		rig_ask(&rig, "GET", "/api/v1/processes/" CASE "/events", admin, NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(a.stream);
	while (api_stream_read(a.stream, part, sizeof part) > 0)
		;
	api_stream_sleep(a.stream, never, &woken);
	rig_drop(&a); /* the client is gone: its stream is freed while it sleeps */
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e));
	api_drain(rig.api);
	assert_int_equal(atomic_load(&woken), 0);
}

static void test_stream_sleeps_and_goes_on(void **state)
{
	(void)state;
	struct job_ticket t;
	struct err e;
	char part[4096];
	struct rig_bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
	assert_true(ledger_write(rig.ledger, ask_for_case, &t, &e));
	struct rig_answer a =
		rig_ask(&rig, "GET", "/api/v1/processes/" CASE "/events", admin, NULL);
	while (api_stream_read(a.stream, part, sizeof part) > 0)
		;
	assert_true(ledger_write(rig.ledger, write_unknown, NULL, &e));
	api_stream_sleep(a.stream, rig_ring, &bell); /* the news came before */
	rig_await(&bell);
	ssize_t n = api_stream_read(a.stream, part, sizeof part - 1);
	assert_true(n > 0);
	part[n] = '\0';
	assert_non_null(strstr(part, "event: done\n"));
	assert_int_equal(api_stream_read(a.stream, part, sizeof part), -1);
	rig_drop(&a);
}

/* ---- Cursors ---- */

static bool ask_for_many(struct db *db, void *arg, struct err *e)
{
	const int n = *(const int *)arg;
	for (int i = 0; i < n; i++) {
		char number[21];
		struct job_ticket t;
		snprintf(number, sizeof number, "%020d", i);
		struct job_ask ask = {.number = number, .relist = true, .now_ms = 1000 + i / 3};
		if (!job_request(db, &ask, &t, e))
			return false;
	}
	return true;
}

/* The path and query of the next page, NULL at the end; xfree. */
static char *next_page(const struct rig_answer *a)
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

/* Walks a list to its end; gives the values of a member in the order in which they came. */
static char *walk(const char *target, const char *member)
{
	struct buf all;
	buf_init(&all, 1 << 20);
	char *at = xstrdup(target);
	for (int pages = 0; at && pages < 100; pages++) {
		struct rig_answer a = rig_ask(&rig, "GET", at, admin, NULL);
		json_t *list = json_is_array(a.json) ? a.json : rig_get(&a, "jobs"), *one;
		size_t i;
		assert_int_equal(a.status, 200);
		assert_non_null(list);
		assert_true(json_array_size(list) <= 7);
		json_array_foreach(list, i, one)
		{
			json_t *v = json_object_get(one, member);
			if (json_is_string(v))
				buf_addf(&all, "%s\n", json_string_value(v));
			else
				buf_addf(&all, "%lld\n", (long long)json_integer_value(v));
		}
		xfree(at);
		at = next_page(&a);
		rig_drop(&a);
	}
	assert_null(at);
	char *text = xstrdup(buf_str(&all));
	buf_release(&all);
	return text;
}

static size_t lines_of(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* Every case once, in both directions, by every order. */
static void test_cursors_of_cases(void **state)
{
	enum { N = 45 };
	static const char *const sorts[] = {"updated_at", "created_at", "last_consultation",
					    "process_number", "court"};
	(void)state;
	struct err e;
	int n = N;
	assert_true(ledger_write(rig.ledger, ask_for_many, &n, &e));
	for (size_t i = 0; i < 10; i++) {
		char target[120], number[22];
		snprintf(target, sizeof target,
			 "/api/v1/processes?limit=7&sort_by=%s&sort_order=%s", sorts[i / 2],
			 i % 2 ? "asc" : "desc");
		char *all = walk(target, "process_number");
		assert_int_equal(lines_of(all), N);
		for (int k = 0; k < N; k++) {
			snprintf(number, sizeof number, "%020d\n", k);
			assert_non_null(strstr(all, number));
		}
		xfree(all);
	}
}

static void test_cursors_of_jobs_and_users(void **state)
{
	enum { N = 21 };
	(void)state;
	struct err e;
	int n = N;
	assert_true(ledger_write(rig.ledger, ask_for_many, &n, &e));
	for (int i = 0; i < N - 3; i++) {
		char name[20], key[ACCESS_KEY_SIZE];
		snprintf(name, sizeof name, "u%d", i);
		rig_user(&rig, name, ROLE_USER, key);
	}
	char *jobs = walk("/api/v1/jobs?limit=7", "job_id");
	char *users = walk("/api/v1/users?limit=7", "username");
	assert_int_equal(lines_of(jobs), N);
	assert_int_equal(lines_of(users), N);
	assert_non_null(strstr(users, "root\n"));
	xfree(jobs);
	xfree(users);
}

static void test_what_is_no_cursor(void **state)
{
	static const char *const lists[] = {"/api/v1/processes", "/api/v1/users"};
	static const char *const bad[] = {"*", "!!!!", "a%20b", "AAAA", "%C3%A7"};
	(void)state;
	for (size_t i = 0; i < 10; i++) {
		char target[80];
		snprintf(target, sizeof target, "%s?cursor=%s", lists[i / 5], bad[i % 5]);
		struct rig_answer a = rig_ask(&rig, "GET", target, admin, NULL);
		is_problem(&a, 400, "invalid-parameter");
		rig_drop(&a);
	}
	struct rig_answer a = rig_ask(&rig, "GET", "/api/v1/users?cursor=", admin, NULL);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

/* ---- Headers of every answer ---- */

static void has(const struct rig_answer *a, const char *name, const char *value)
{
	const char *is = rig_header(a, name);
	if (!is || strcmp(is, value) != 0)
		print_error("%s is %s\n", name, is ? is : "absent");
	assert_non_null(is);
	assert_string_equal(is, value);
}

static void test_common_headers(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask_with(&rig, "GET", "/api/v1/users/me", admin, NULL,
					   "X-Request-ID", "mine-1.2:3/4+5=_");
	has(&a, "X-Request-ID", "mine-1.2:3/4+5=_");
	has(&a, "X-Content-Type-Options", "nosniff");
	has(&a, "Referrer-Policy", "no-referrer");
	has(&a, "Cache-Control", "private, no-cache");
	has(&a, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
	has(&a, "X-RateLimit-Limit", "1000");
	assert_null(rig_header(&a, "Strict-Transport-Security"));
	rig_drop(&a);
	a = rig_ask_with(&rig, "GET", "/nothing", NULL, NULL, "X-Request-ID", "not mine\r\nX: y");
	assert_int_equal(strlen(rig_header(&a, "X-Request-ID")), 32);
	is_problem(&a, 404, "not-found");
	assert_string_equal(rig_text(&a, "instance"), "/nothing");
	rig_drop(&a);
	struct api_request q = {
		.method = "GET", .target = "/livez", .secure = true, .peer = "", .body = ""};
	a = rig_run(&rig, &q);
	has(&a, "Strict-Transport-Security", "max-age=31536000");
	assert_null(rig_header(&a, "X-RateLimit-Limit"));
	rig_drop(&a);
}

/* Whatever the address is, `instance` is a path, and a link leads to this service. */
static void test_addresses_of_other_forms(void **state)
{
	static const char *const targets[] = {"nothing", "*", "", "ftp://elsewhere.example/x"};
	static const char *const list = "http://elsewhere.example/api/v1/users?limit=1";
	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		struct rig_answer a = rig_ask(&rig, "GET", targets[i], NULL, NULL);
		is_problem(&a, 400, "malformed-request");
		assert_string_equal(rig_text(&a, "instance"), "/");
		rig_drop(&a);
	}
	struct rig_answer a = rig_ask(&rig, "GET", "http://elsewhere.example/x?y", NULL, NULL);
	is_problem(&a, 404, "not-found");
	assert_string_equal(rig_text(&a, "instance"), "/x");
	rig_drop(&a);
	a = rig_ask(&rig, "GET", list, admin, NULL);
	char *next = next_page(&a);
	assert_non_null(next);
	assert_int_equal(strncmp(next, "/api/v1/users?cursor=", 21), 0);
	xfree(next);
	rig_drop(&a);
}

static void test_who_asks(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "GET", "/api/v1/users/me", NULL, NULL);
	is_problem(&a, 401, "authentication-required");
	assert_non_null(rig_header(&a, "WWW-Authenticate"));
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/api/v1/users/me", "autos_unknown", NULL);
	is_problem(&a, 401, "invalid-key");
	assert_non_null(rig_header(&a, "WWW-Authenticate"));
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/api/v1/users", reader, NULL);
	is_problem(&a, 403, "role-required");
	rig_drop(&a);
	a = rig_ask_with(&rig, "GET", "/api/v1/users/me", NULL, NULL, "X-API-Key", reader);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
	a = rig_ask(&rig, "GET", "/api/v1/users", "control", NULL);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

static void test_methods(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "PATCH", "/api/v1/users/me", admin, NULL);
	is_problem(&a, 405, "method-not-allowed");
	has(&a, "Allow", "GET, HEAD, PUT");
	rig_drop(&a);
	a = rig_ask(&rig, "OPTIONS", "/api/v1/users/me", NULL, NULL);
	assert_int_equal(a.status, 204);
	has(&a, "Allow", "GET, HEAD, PUT");
	assert_null(rig_header(&a, "Access-Control-Allow-Methods"));
	rig_drop(&a);
	a = rig_ask_with(&rig, "OPTIONS", "/api/v1/users/me", NULL, NULL,
			 "Access-Control-Request-Method", "PUT");
	assert_non_null(rig_header(&a, "Access-Control-Allow-Methods"));
	rig_drop(&a);
	a = rig_ask(&rig, "HEAD", "/api/v1/users/me", admin, NULL);
	assert_int_equal(a.status, 200);
	rig_drop(&a);
}

static void test_origins(void **state)
{
	static const char *const good[] = {"https://a.example", "https://b.example"};
	static const char *const bad[] = {"https://a.exampl", "https://a.example.evil", "null",
					  "https://a.example, https://b.example", ""};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig_answer a =
			rig_ask_with(&rig, "GET", "/livez", NULL, NULL, "Origin", good[i]);
		has(&a, "Access-Control-Allow-Origin", good[i]);
		has(&a, "Vary", "Origin");
		rig_drop(&a);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct rig_answer a =
			rig_ask_with(&rig, "GET", "/livez", NULL, NULL, "Origin", bad[i]);
		assert_null(rig_header(&a, "Access-Control-Allow-Origin"));
		has(&a, "Vary", "Origin");
		rig_drop(&a);
	}
}

static void test_compression(void **state)
{
	(void)state;
	struct rig_answer a = rig_ask(&rig, "GET", "/openapi.json", NULL, NULL);
	assert_null(rig_header(&a, "Content-Encoding"));
	struct rig_answer b =
		rig_ask_with(&rig, "GET", "/openapi.json", NULL, NULL, "Accept-Encoding", "gzip");
	has(&b, "Content-Encoding", "gzip");
	assert_memory_equal(b.text, "\x1f\x8b", 2);
	assert_true(b.len < a.len);
	rig_drop(&a);
	rig_drop(&b);
	a = rig_ask_with(&rig, "GET", "/livez", NULL, NULL, "Accept-Encoding", "gzip");
	assert_null(rig_header(&a, "Content-Encoding")); /* too small to be worth it */
	rig_drop(&a);
}

static void test_too_large(void **state)
{
	(void)state;
	struct api_request q = {.method = "GET",
				.target = "/livez",
				.head_too_large = true,
				.peer = "192.0.2.1",
				.body = ""};
	struct rig_answer a = rig_run(&rig, &q);
	is_problem(&a, 431, "headers-too-large");
	rig_drop(&a);
	q.head_too_large = false;
	q.body_too_large = true;
	a = rig_run(&rig, &q);
	is_problem(&a, 413, "body-too-large");
	rig_drop(&a);
}

/* Links begin with the public address, however it was written. */
static void test_slash_of_the_base(void **state)
{
	static const char *const settings[] = {"public_url", "https://autos.example/court//", NULL};
	(void)state;
	rig_close(&rig);
	open_with(settings);
	struct rig_answer a = rig_ask(&rig, "GET", "/nothing", NULL, NULL);
	assert_string_equal(rig_text(&a, "type"), "https://autos.example/court/problems/not-found");
	rig_drop(&a);
	api_set_base(rig.api, "http://127.0.0.1:1/");
	a = rig_ask(&rig, "GET", "/nothing", NULL, NULL);
	assert_string_equal(rig_text(&a, "type"), "http://127.0.0.1:1/problems/not-found");
	rig_drop(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(test_the_same_again),
		TEST(test_for_something_else),
		TEST(test_while_it_runs),
		TEST(test_many_at_once),
		TEST(test_what_is_no_key),
		TEST(test_refused_write_spends_no_key),
		TEST(test_database_fails),
		TEST(test_answer_is_not_kept),
		TEST(test_waiting_ends_with_news),
		TEST(test_news_before_the_sleep),
		TEST(test_nobody_waits_while_draining),
		TEST(test_stream_is_given_up),
		TEST(test_stream_sleeps_and_goes_on),
		TEST(test_cursors_of_cases),
		TEST(test_cursors_of_jobs_and_users),
		TEST(test_what_is_no_cursor),
		TEST(test_common_headers),
		TEST(test_addresses_of_other_forms),
		TEST(test_who_asks),
		TEST(test_methods),
		TEST(test_origins),
		TEST(test_compression),
		TEST(test_too_large),
		TEST(test_slash_of_the_base),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
