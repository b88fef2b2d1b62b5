/*
 * s3_class - see s3_class.h. Decides nothing about what is done with a verdict.
 */
#include "s3_class.h"

#include "s3_xml.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What an error code says, as a sentence. */
enum saying {
	SAY_CODE,    /* the code and the server's words */
	SAY_BUCKET,  /* there is no such bucket */
	SAY_KEY_ID,  /* the access key is unknown */
	SAY_SECRET,  /* the secret does not belong to the access key */
	SAY_REGION,  /* the bucket is elsewhere */
	SAY_CLOCK,   /* clocks differ */
	SAY_MAY_NOT, /* no permission */
	SAY_TOKEN,   /* session token expired or wrong */
	SAY_SPACE,   /* no room on the server */
	SAY_SLOW,
	SAY_PROXY, /* a proxy wants to know who asks */
};

struct code {
	const char *name;
	enum s3_meaning meaning;
	enum err_kind kind;
	enum saying saying;
};

#define NOT_IMPLEMENTED "NotImplemented"

/* A refusal with ERR_INPUT is about what is put: something smaller may go. The others are about the
 * server, and meet whatever is put; but see is_about_parts. */
static const struct code codes[] = {
	{"NoSuchKey", S3_ABSENT, ERR_ABSENT, SAY_CODE},
	{"NoSuchUpload", S3_ABSENT, ERR_ABSENT, SAY_CODE},
	{"PreconditionFailed", S3_TAKEN, ERR_BUSY, SAY_CODE},

	{"SlowDown", S3_SLOW, ERR_BUSY, SAY_SLOW},
	{"ServiceUnavailable", S3_SLOW, ERR_BUSY, SAY_SLOW},
	{"TooManyRequests", S3_SLOW, ERR_BUSY, SAY_SLOW},
	{"RequestLimitExceeded", S3_SLOW, ERR_BUSY, SAY_SLOW},
	{"BandwidthLimitExceeded", S3_SLOW, ERR_BUSY, SAY_SLOW},
	{"Throttling", S3_SLOW, ERR_BUSY, SAY_SLOW},
	{"ThrottlingException", S3_SLOW, ERR_BUSY, SAY_SLOW},
	{"RequestThrottled", S3_SLOW, ERR_BUSY, SAY_SLOW},

	{"InternalError", S3_RETRY, ERR_BUSY, SAY_CODE},
	{"RequestTimeout", S3_RETRY, ERR_BUSY, SAY_CODE},
	{"RequestTimeoutException", S3_RETRY, ERR_BUSY, SAY_CODE},
	{"OperationAborted", S3_RETRY, ERR_BUSY, SAY_CODE},
	{"ConditionalRequestConflict", S3_RETRY, ERR_BUSY, SAY_CODE},
	{"IncompleteBody", S3_RETRY, ERR_BUSY, SAY_CODE},
	{"BadDigest", S3_RETRY, ERR_BUSY, SAY_CODE}, /* bytes changed on the way */
	{"XAmzContentSHA256Mismatch", S3_RETRY, ERR_BUSY, SAY_CODE},
	{"XAmzContentChecksumMismatch", S3_RETRY, ERR_BUSY, SAY_CODE},

	{"NoSuchBucket", S3_REFUSED, ERR_DENIED, SAY_BUCKET},
	{"InvalidBucketName", S3_REFUSED, ERR_DENIED, SAY_BUCKET},
	{"InvalidAccessKeyId", S3_REFUSED, ERR_DENIED, SAY_KEY_ID},
	{"SignatureDoesNotMatch", S3_REFUSED, ERR_DENIED, SAY_SECRET},
	{"AuthorizationHeaderMalformed", S3_REFUSED, ERR_DENIED, SAY_REGION},
	{"IllegalLocationConstraintException", S3_REFUSED, ERR_DENIED, SAY_REGION},
	{"PermanentRedirect", S3_REFUSED, ERR_DENIED, SAY_REGION},
	{"TemporaryRedirect", S3_REFUSED, ERR_DENIED, SAY_REGION},
	{"RequestTimeTooSkewed", S3_REFUSED, ERR_DENIED, SAY_CLOCK},
	{"RequestExpired", S3_REFUSED, ERR_DENIED, SAY_CLOCK},
	{"AccessDenied", S3_REFUSED, ERR_DENIED, SAY_MAY_NOT},
	{"AllAccessDisabled", S3_REFUSED, ERR_DENIED, SAY_MAY_NOT},
	{"AccountProblem", S3_REFUSED, ERR_DENIED, SAY_CODE},
	{"ExpiredToken", S3_REFUSED, ERR_DENIED, SAY_TOKEN},
	{"InvalidToken", S3_REFUSED, ERR_DENIED, SAY_TOKEN},
	{"TokenRefreshRequired", S3_REFUSED, ERR_DENIED, SAY_TOKEN},
	{"QuotaExceeded", S3_REFUSED, ERR_FAIL, SAY_SPACE},
	{"InsufficientStorage", S3_REFUSED, ERR_FAIL, SAY_SPACE},
	{"XMinioStorageFull", S3_REFUSED, ERR_FAIL, SAY_SPACE},
	{"EntityTooLarge", S3_REFUSED, ERR_INPUT, SAY_CODE},
	{NOT_IMPLEMENTED, S3_REFUSED, ERR_FAIL, SAY_CODE},
};

/* Answers without a body that we know: HEAD has none, and proxies write their own. */
static struct code by_status(int status, const struct s3_call *c)
{
	bool bucket = !*c->key;
	switch (status) {
	case 301:
	case 307:
	case 308:
		return (struct code){"", S3_REFUSED, ERR_DENIED, SAY_REGION};
	case 401:
	case 403:
		return (struct code){"", S3_REFUSED, ERR_DENIED, SAY_MAY_NOT};
	case 404:
		if (bucket)
			return (struct code){"", S3_REFUSED, ERR_DENIED, SAY_BUCKET};
		return (struct code){"", S3_ABSENT, ERR_ABSENT, SAY_CODE};
	case 407:
		return (struct code){"", S3_REFUSED, ERR_DENIED, SAY_PROXY};
	case 412:
		return (struct code){"", S3_TAKEN, ERR_BUSY, SAY_CODE};
	case 413: /* said by a proxy, where S3 says EntityTooLarge */
		return (struct code){"", S3_REFUSED, ERR_INPUT, SAY_CODE};
	case 429:
	case 503:
		return (struct code){"", S3_SLOW, ERR_BUSY, SAY_SLOW};
	case 507:
		return (struct code){"", S3_REFUSED, ERR_FAIL, SAY_SPACE};
	case 501:
		return (struct code){NOT_IMPLEMENTED, S3_REFUSED, ERR_FAIL, SAY_CODE};
	case 408:
	case 409:
		return (struct code){"", S3_RETRY, ERR_BUSY, SAY_CODE};
	default:
		if (status >= 500)
			return (struct code){"", S3_RETRY, ERR_BUSY, SAY_CODE};
		return (struct code){"", S3_REFUSED, ERR_FAIL, SAY_CODE};
	}
}

static struct code find_code(const char *name, int status, const struct s3_call *c)
{
	for (size_t i = 0; *name && i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i].name, name) == 0)
			return codes[i];
	struct code found = by_status(status, c);
	if (*name) /* the server says more than we would guess from the status */
		found.saying = SAY_CODE;
	return found;
}

bool s3_clock_skew(const struct http_res *res, int64_t now_ms, int64_t *skew_ms)
{
	const char *date = res->want[S3_WANT_DATE];
	/* A date as an amount of waiting from 1970 on: one parser of HTTP dates is enough. */
	int64_t at = *date && (*date < '0' || *date > '9') ? http_retry_after_ms(date, 0) : -1;
	if (at < 0)
		return false;
	*skew_ms = at - now_ms;
	return true;
}

static void say_clock(const struct s3_error *error, const struct http_res *res, int64_t now_ms,
		      struct err *e)
{
	int64_t skew = error->server_ms ? error->server_ms - now_ms : 0;
	if (!error->server_ms && !s3_clock_skew(res, now_ms, &skew)) {
		fail(e, ERR_DENIED,
		     "the clock of this machine differs too much from the S3 server's");
		return;
	}
	int64_t s = (skew < 0 ? -skew : skew) / 1000;
	fail(e, ERR_DENIED,
	     "the clock of this machine is %" PRId64 " %s %s the S3 server's: set it",
	     s < 120 ? s : s / 60, s < 120 ? "s" : "min", skew < 0 ? "ahead of" : "behind");
}

static const char *verb(const struct s3_call *c)
{
	static const struct {
		const char *action, *words;
	} verbs[] = {
		{"put", "put objects (s3:PutObject)"},
		{"create", "put objects (s3:PutObject)"},
		{"part", "put objects (s3:PutObject)"},
		{"complete", "put objects (s3:PutObject)"},
		{"get", "read objects (s3:GetObject)"},
		{"head", "read objects (s3:GetObject)"},
		{"list", "list objects (s3:ListBucket)"},
		{"bucket", "see the bucket (s3:ListBucket)"},
		{"delete", "delete objects (s3:DeleteObject)"},
		{"abort", "abort uploads (s3:AbortMultipartUpload)"},
		{"uploads", "list uploads (s3:ListBucketMultipartUploads)"},
		{"parts", "list parts (s3:ListMultipartUploadParts)"},
	};
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].action, c->action) == 0)
			return verbs[i].words;
	return c->action;
}

static void say_region(const struct s3_place *p, const struct s3_error *error,
		       const struct http_res *res, struct err *e)
{
	const char *right = *error->region ? error->region : res->want[S3_WANT_REGION];
	if (*right && strcmp(right, p->region) != 0)
		fail(e, ERR_DENIED, "region = %s is wrong: bucket '%s' is in region %s", p->region,
		     p->bucket, right);
	else
		fail(e, ERR_DENIED,
		     "the region (%s) or endpoint (%s) is not that of bucket '%s'%s%s", p->region,
		     p->host, p->bucket, *error->message ? ": " : "", error->message);
}

static void say_code(const struct s3_call *c, const struct code *found,
		     const struct s3_error *error, const struct http_res *res, struct err *e)
{
	char status[24];
	snprintf(status, sizeof status, "HTTP %d", res->status);
	fail(e, found->kind, "the S3 server answers %s to %s%s%s",
	     *error->code ? error->code : status, c->action, *error->message ? ": " : "",
	     error->message);
}

static void say(const struct s3_place *p, const struct s3_account *a, const struct s3_call *c,
		const struct code *found, const struct s3_error *error, const struct http_res *res,
		int64_t now_ms, struct err *e)
{
	switch (found->saying) {
	case SAY_BUCKET:
		fail(e, found->kind, "bucket '%s' does not exist at %s", p->bucket, p->host);
		return;
	case SAY_KEY_ID:
		fail(e, found->kind, "access key %s is not known to the S3 server at %s",
		     a->access_key, p->host);
		return;
	case SAY_SECRET:
		fail(e, found->kind,
		     "the secret key is wrong: it does not belong to access key %s at %s",
		     a->access_key, p->host);
		return;
	case SAY_REGION:
		say_region(p, error, res, e);
		return;
	case SAY_CLOCK:
		say_clock(error, res, now_ms, e);
		return;
	case SAY_MAY_NOT:
		fail(e, found->kind, "access key %s may not %s in bucket '%s'", a->access_key,
		     verb(c), p->bucket);
		return;
	case SAY_TOKEN:
		fail(e, found->kind, "the session token is wrong or has expired");
		return;
	case SAY_PROXY:
		fail(e, found->kind, "the proxy on the way to %s asks for credentials (HTTP 407)",
		     p->host);
		return;
	case SAY_SPACE:
		fail(e, found->kind, "the S3 server has no space left for bucket '%s'", p->bucket);
		return;
	case SAY_SLOW:
		fail(e, found->kind, "the S3 server at %s is overloaded", p->host);
		return;
	case SAY_CODE:
		say_code(c, found, error, res, e);
		return;
	}
}

static void faulty(const struct s3_place *p, const struct http_res *res, struct s3_verdict *v)
{
	if (res->fault == HTTP_FAULT_LOCAL) {
		v->meaning = S3_LOCAL;
		fail(&v->err, ERR_FAIL, "%s", res->fault_text);
		return;
	}
	v->meaning = S3_RETRY;
	v->timeout = res->fault == HTTP_FAULT_TIMEOUT || res->fault == HTTP_FAULT_CONNECT;
	fail(&v->err, ERR_BUSY, "%s %s: %s",
	     res->fault == HTTP_FAULT_CONNECT ? "cannot reach the S3 server at"
					      : "the connection broke to the S3 server at",
	     p->host, res->fault_text);
}

/* Completing an upload, and deleting, may say 200 and hold an error all the same. */
static bool is_good(const struct http_res *res, struct s3_error *error)
{
	return res->status / 100 == 2 &&
	       !(res->body_len && s3_read_error(res->body, res->body_len, error));
}

/* A server that knows no uploads in parts takes small documents all the same. */
static bool is_about_parts(const struct s3_call *c)
{
	static const char *const actions[] = {"create", "part", "complete"};
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (strcmp(c->action, actions[i]) == 0)
			return true;
	return false;
}

void s3_classify(const struct s3_place *p, const struct s3_account *a, const struct s3_call *c,
		 const struct http_res *res, int64_t now_ms, struct s3_verdict *out)
{
	struct s3_error error = {0};
	*out = (struct s3_verdict){0};
	if (res->fault != HTTP_FAULT_NONE) {
		faulty(p, res, out);
		return;
	}
	if (is_good(res, &error))
		return;
	if (res->status / 100 != 2 && res->body_len)
		s3_read_error(res->body, res->body_len, &error);
	struct code found = find_code(error.code, res->status / 100 == 2 ? 500 : res->status, c);
	out->meaning = found.meaning;
	out->unknown = strcmp(found.name, NOT_IMPLEMENTED) == 0;
	if (out->unknown && is_about_parts(c))
		found.kind = ERR_INPUT;
	memcpy(out->code, error.code, sizeof out->code);
	say(p, a, c, &found, &error, res, now_ms, &out->err);
}

const char *s3_meaning_name(enum s3_meaning m)
{
	switch (m) {
	case S3_GOOD:
		return "good";
	case S3_ABSENT:
		return "absent";
	case S3_TAKEN:
		return "taken";
	case S3_RETRY:
		return "retry";
	case S3_SLOW:
		return "slow";
	case S3_REFUSED:
		return "refused";
	case S3_LOCAL:
		return "local";
	}
	return "?";
}
