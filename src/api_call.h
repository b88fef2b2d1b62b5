/*
 * api_call - what the files of `api` share: the call, answers, waiting. Nobody else includes this.
 */
#ifndef AUTOS_API_CALL_H
#define AUTOS_API_CALL_H

#include "access.h"
#include "api.h"
#include "api_store.h"
#include "cache.h"
#include "cnj.h"
#include "http_head.h"
#include "idem.h"
#include "job.h"
#include "json_value.h"
#include "keyring.h"
#include "link.h"
#include "query.h"
#include "query_list.h"
#include "rate.h"
#include "target.h"
#include "webhook.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

struct probe;

struct api {
	struct api_options o;
	const struct config *config;
	struct hub *hub;
	struct cache *cache;
	struct keyring *keyring;
	struct rate_table *rates;
	struct webhook_rules hooks;
	struct probe *probe; /* asks webhooks' addresses */
	struct api_watch *watch;
	struct api_store *store;
	struct {
		struct body *body;
		char tag[CACHE_TAG];
	} pages[4]; /* the description and its page; see api_docs */
	char *base; /* public URL, without slash at the end */
	unsigned char link_secret[LINK_SECRET];
	int64_t started_ms; /* wall */
	_Atomic bool draining;
	_Atomic int64_t swept_ms; /* monotonic; last housekeeping */

	pthread_mutex_t readers_lock;
	struct db *readers[64]; /* idle connections for reading */
	size_t nreaders;
};

typedef enum api_step api_fn(struct api_call *c);
typedef bool api_write_fn(struct db *db, struct api_call *c, struct err *e);

enum {
	ROUTE_BODY = 1,     /* takes a JSON object */
	ROUTE_CREATES = 2,  /* honours Idempotency-Key */
	ROUTE_UNLIMITED = 4 /* no rate limit: probes, links */
};

struct api_route {
	const char *name; /* operationId of the description */
	const char *method;
	const char *path; /* "{}" stands for one segment, "{*}" at the end for all that follow */
	enum role role;   /* NONE: no key is asked for */
	unsigned flags;
	api_fn *run;
};

/* Who asks. */
struct api_who {
	enum role role;
	int64_t user_id, key_id;
	int64_t rate_limit, rate_window_s;
	char username[101];
};

enum api_sleep { SLEEP_NOT, SLEEP_WRITE, SLEEP_NEWS, SLEEP_PROBE, SLEEP_ERASE };

struct api_call {
	struct api *api;
	const struct api_request *request;
	struct api_response res;
	struct target target;
	const struct api_route *route;
	const char *args[2]; /* values of the path's {} */
	json_t *json;        /* the body, NULL when the route takes none */
	struct cnj number;   /* of a case route, once read */
	struct api_who who;
	bool key_used;   /* its use is to be written down */
	char client[64]; /* address of the client, behind trusted proxies */
	char request_id[129];
	char trace[56];     /* traceparent; "" until a job is asked for */
	int64_t started_us; /* monotonic */
	struct rate_state rate;
	int64_t rate_window_s;
	bool rated;
	bool gzip;

	/* sleeping */
	enum api_sleep sleep;
	api_fn *next;
	api_write_fn *write_fn;
	struct write write;
	struct hub_wait news;
	struct api_erasure erasure;
	void (*wake)(void *owner);
	void *owner;

	/* a job that is asked for, and waiting for it */
	struct job_ask ask;
	struct job_ticket ticket;
	int64_t max_age_ms;
	const char *doc_id;
	uint64_t since;      /* hub_now from before the last reading */
	int64_t deadline_ms; /* monotonic; until then it waits */
	bool may_wait;
	api_fn *ready; /* goes on then */
	bool (*is_ready)(const struct api_call *c);
	struct case_view view; /* what was read last */
	int64_t asked_ms;      /* wall clock of the asking */
	int64_t before;        /* documents known before */

	/* Idempotency-Key */
	char idem_key[256];
	char idem_print[65];
	bool idem_on, idem_begun, idem_ended;
	enum idem_found idem;
	struct idem_answer idem_answer;
	bool secret_answer; /* what is kept of the answer leaves out "api_key" */

	/* the handler's own, freed with the call */
	void *state;
	void (*state_free)(void *state);
};

/* ---- api.c: steps ---- */

/* Runs fn in the ledger and goes on with `next`, which looks at c->write.ok. */
enum api_step api_write(struct api_call *c, api_write_fn *fn, api_fn *next);

/* Sleeps until something of the case changes after c->since, or until_ms (monotonic). */
enum api_step api_news(struct api_call *c, int64_t process_id, int64_t until_ms, api_fn *next);

/* Removes the objects of c->number, whose rows are gone, and goes on with `next`, which looks at
 * c->erasure.ok. */
enum api_step api_erase(struct api_call *c, int64_t mark, api_fn *next);

/* A connection for reading; give it back before the step ends. NULL: *e says why. */
struct db *api_reader(struct api *a, struct err *e);
void api_reader_back(struct api *a, struct db *db); /* accepts NULL */

const char *api_request_header(const struct api_request *q, const char *name);

/* ---- api_answer.c: answers; all give API_DONE ---- */

void api_header(struct api_call *c, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes over the object. */
enum api_step api_json(struct api_call *c, int status, json_t *o);
/* Takes over one owner of the body. */
enum api_step api_bytes(struct api_call *c, int status, const char *type, struct body *b);
/* A problem (RFC 9457), by its name in the table of api_answer.c. */
enum api_step api_problem(struct api_call *c, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with further members; takes them over. */
enum api_step api_problem_with(struct api_call *c, const char *name, json_t *more, const char *fmt,
			       ...) __attribute__((format(printf, 4, 5)));
/* The same with `errors`, each {pointer, detail}; takes over the array. */
enum api_step api_invalid(struct api_call *c, const char *name, json_t *errors);
/* The problem that an error is by its kind; ABSENT and BUSY by name, for cases in api_error. */
enum api_step api_error(struct api_call *c, const struct err *e);
enum api_step api_error_as(struct api_call *c, const struct err *e, const char *absent,
			   const char *busy);
/* The same for an error of the store; ABSENT by name. */
enum api_step api_store_error(struct api_call *c, const struct err *e, const char *absent);

bool api_is_problem(const char *name);

/* If-None-Match: answers 304 and gives true when the client has this. Sets ETag either way. */
bool api_unchanged(struct api_call *c, const char *etag);

/* 200 or 304; the tag is made from the text. Takes over the object. */
enum api_step api_json_tagged(struct api_call *c, json_t *o);

/* From the cache: 200 or 304. False when it holds nothing. */
bool api_cached(struct api_call *c, const char *key);
/* Answers with the object (taken over) and keeps it. */
enum api_step api_keep(struct api_call *c, const char *key, const char *etag, int64_t process_id,
		       json_t *o);

/* The last touch: common headers, compression, counting, the log line. */
void api_finish(struct api_call *c);

/* ---- api_input.c: reading what the client said. False: the answer is made ---- */

bool api_case_number(struct api_call *c); /* args[0] into c->number */
bool api_id_argument(struct api_call *c, size_t arg, int64_t *out);
bool api_flag_parameter(struct api_call *c, const char *name, bool preset, bool *out);
bool api_int_parameter(struct api_call *c, const char *name, int64_t preset, int64_t min,
		       int64_t max, int64_t *out);
/* One of a NULL-terminated list; `out` is its index. */
bool api_choice_parameter(struct api_call *c, const char *name, const char *const *words,
			  size_t preset, size_t *out);

/* Members of the body. */
enum member_kind { MEMBER_TEXT, MEMBER_INT, MEMBER_FLAG, MEMBER_NUMBERS, MEMBER_OBJECT };
struct member {
	const char *name;
	enum member_kind kind;
	bool required;
	int64_t min, max; /* of the number, or of the length in bytes or items */
	void *out; /* const char **, int64_t *, bool *, json_t ** (borrowed); unset when absent */
};
/* Checks and reads all members; unknown ones are errors when `strict`. */
bool api_members(struct api_call *c, const struct member *m, size_t n, bool strict);

/* Cursor: opaque text around "a:b" of ours. */
char *api_cursor_make(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool api_cursor_parameter(struct api_call *c, char out[static 256]); /* "" when absent */
/* Of a cursor that is one number from 1. */
bool api_cursor_number(struct api_call *c, const char *cursor, int64_t *out);
bool api_bad_cursor(struct api_call *c); /* gives false */
void api_next_link(struct api_call *c, const char *cursor);
/* The same for a cursor that is one number; gives it as JSON. */
json_t *api_next_number(struct api_call *c, int64_t number);

/* ---- api_view.c: facts as JSON ---- */

json_t *view_id(int64_t id); /* as text; null for 0 */
json_t *view_job(const struct job_row *j);
json_t *view_process(const struct case_row *p); /* full_data and documents are null */
/* The portal's own answer: the detail, else the list; null when there is none. */
json_t *view_full_data(struct db *db, int64_t process_id);
const char *view_name(const struct doc_view *d);
double view_progress(int64_t total, int64_t over, bool final);
bool view_final(const char *job_state);
size_t view_total(const struct case_view *v);
/* The status that clients see for a case. */
const char *view_status(const struct case_view *v);
json_t *view_status_document(struct api *a, const struct doc_view *d, int64_t now_ms);
json_t *view_file_document(struct api *a, const struct doc_view *d, int64_t now_ms);
/* When links that are made now expire, and until when an answer with them may be given again. */
int64_t view_link_expires_s(const struct api *a, int64_t now_ms);
int64_t view_link_fresh_ms(const struct api *a, int64_t now_ms);
/* The id that clients know a document by: its id of origin, or the portal's when it has none. */
const char *view_document_id(const struct doc_view *d);
/* By its own id, its id of origin or an alias; NULL when the case holds none. */
const struct doc_view *view_find_document(const struct case_view *v, const char *id);
char *view_link(struct api *a, const struct doc_view *d, int64_t now_ms); /* xfree */

/* ---- api_ask.c: asking for a job and waiting ---- */

/* How long this request may wait (Prefer, settings); sets Preference-Applied. */
void api_patience(struct api_call *c, int64_t preset_ms);

/* Fills c->ask from the request: number, webhook, ids. */
void api_ask_prepare(struct api_call *c, enum job_scope scope, const char *webhook_url);

/* 202: it goes on without this request. Takes over the object. */
enum api_step api_goes_on(struct api_call *c, int64_t job_id, json_t *o);

/* Ensures a job (c->ask, c->max_age_ms; c->doc_id: job_choose), then goes on with `next`; a failed
 * write is answered here. */
enum api_step api_ask(struct api_call *c, api_fn *next);

/* Reads the case into c->view, again after each change, until `ready` gives true or the time is
 * over; then runs `answer`, which asks `ready` again if it must know. */
typedef bool api_ready_fn(const struct api_call *c);
enum api_step api_await(struct api_call *c, api_ready_fn *ready, api_fn *answer);

/* What the portal's refusal of a whole case is for a client: answers and gives true when the last
 * job failed without ever a list. */
bool api_refused_case(struct api_call *c);

/* ---- Routes; one file each group ---- */

extern const struct api_route api_routes[];
extern const size_t api_nroutes;

/* The route, or NULL with the answer made (404, 405, preflight). Fills c->args. */
const struct api_route *api_find_route(struct api_call *c);

/* api_guard.c: who asks, may they, how often. False: the answer is made. */
bool api_authenticate(struct api_call *c);
bool api_limit(struct api_call *c);
bool api_authorize(struct api_call *c); /* after the limit: guessing at roles is counted too */
bool api_check_limits(const char *text, struct err *e); /* the setting rate_limit_routes */
void api_write_use(struct api_call *c);                 /* last use of the key */

api_fn route_index, route_health, route_api_info, route_livez, route_readyz, route_metrics;
api_fn route_openapi, route_docs, route_docs_file, route_get_problem;
api_fn route_list_processes, route_get_process, route_delete_process, route_post_job;
api_fn route_search, route_get_batch;
api_fn route_get_status, route_get_files, route_get_manifest, route_get_events, route_get_content;
api_fn route_refresh, route_download_documents, route_download_document, route_download_all;
api_fn route_list_jobs, route_get_job, route_cancel_job, route_retry_job;
api_fn route_webhook_validate, route_webhook_connectivity, route_webhook_send_test;
api_fn route_webhook_receiver;
api_fn route_list_deliveries, route_get_delivery, route_redeliver, route_redeliver_failed;
api_fn route_list_secrets, route_rotate_secret, route_retire_secret;
api_fn route_list_users, route_create_user, route_get_me, route_put_me, route_put_user;
api_fn route_regenerate_key, route_delete_user, route_list_keys, route_create_key;
api_fn route_revoke_key;
api_fn route_monitor_status, route_monitor_metrics, route_monitor_performance;
api_fn route_monitor_health, route_monitor_alerts, route_monitor_dashboard;
api_fn route_monitor_history;
api_fn route_get_file;

#endif
