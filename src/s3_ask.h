/*
 * s3_ask - the questions that are put to S3, as signed HTTP requests.
 *
 * A call is what is to be asked, and may be signed again for each try: a signature holds for some
 * minutes only. Pure: the caller brings the clock. Source: Amazon S3 API Reference, one function
 * for each action; keys here are without the place's prefix.
 */
#ifndef AUTOS_S3_ASK_H
#define AUTOS_S3_ASK_H

#include "http_msg.h"
#include "s3_place.h"
#include "sigv4.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	S3_QUERY_MAX = 5,
	S3_HEADERS_MAX = 6,
	S3_LINK_MAX_S = 7 * 86400,
	S3_PAGE_MAX = 1000, /* keys of a list, and of one DeleteObjects */
};

/* What the answers' headers are kept for; indexes of http_res.want. */
enum { S3_WANT_ETAG, S3_WANT_DATE, S3_WANT_SHA256, S3_WANT_REGION, S3_WANT_REQUEST };

/* Who asks. Strings are borrowed. */
struct s3_account {
	const char *access_key, *secret_key, *session_token;
};

/* What is asked. Release it; values are owned, names static. */
struct s3_call {
	const char *action; /* static: for metrics, logs and sentences */
	const char *method;
	char *key; /* "" = the bucket */
	struct sigv4_field query[S3_QUERY_MAX];
	size_t nquery;
	struct sigv4_field headers[S3_HEADERS_MAX];
	size_t nheaders;
	char *body; /* NULL = none, or it is sent from elsewhere */
	size_t body_len;
	char payload[65]; /* SHA-256 of the body, wherever it comes from */
	int64_t total_ms; /* limit of the whole exchange, 0 = none */
	bool patient;     /* the server may think for long */
	bool alone;       /* on a connection of its own: libcurl sends a request again by itself
			   * when a kept connection turns out to be dead */
};

/* An object on its way in. Strings are borrowed. */
struct s3_object {
	const char *key, *mime;
	const char *name; /* for people: what it is saved as */
	const char *sha256;
	const char *md5; /* base64, NULL = do not send it */
	bool only_new;   /* refuse if the key is taken (If-None-Match: *) */
};

void s3_call_put(struct s3_call *c, const struct s3_object *o);
void s3_call_create(struct s3_call *c, const struct s3_object *o);
void s3_call_part(struct s3_call *c, const char *key, const char *upload, int number,
		  const char *sha256, const char *md5);
/* Takes the XML (s3_write_complete) over. */
void s3_call_complete(struct s3_call *c, const char *key, const char *upload, char *xml,
		      bool only_new);
void s3_call_abort(struct s3_call *c, const char *key, const char *upload);
void s3_call_parts(struct s3_call *c, const char *key, const char *upload, const char *marker);

/* Lists below the place's prefix + folder; markers are "" at first. A page of objects has at most
 * S3_PAGE_MAX keys, if the server heeds that. */
void s3_call_uploads(struct s3_call *c, const struct s3_place *p, const char *folder,
		     const char *key_marker, const char *upload_marker);
void s3_call_list(struct s3_call *c, const struct s3_place *p, const char *folder,
		  const char *token);

/* From byte `from` on; with an ETag, only if the object still has it. */
void s3_call_get(struct s3_call *c, const char *key, int64_t from, const char *etag);
void s3_call_head(struct s3_call *c, const char *key);
void s3_call_bucket(struct s3_call *c); /* is it there, and may we see it? */
void s3_call_delete(struct s3_call *c, const char *key);
void s3_call_delete_many(struct s3_call *c, char *xml); /* takes the XML over */

void s3_call_release(struct s3_call *c);

/* The request, signed for this moment; borrows the call's body. */
void s3_request(const struct s3_place *p, const struct s3_account *a, const struct s3_call *c,
		int64_t now_s, struct http_req *q);

/* A link that whoever has it may open from now_s on for ttl_s (at most S3_LINK_MAX_S); saved as
 * `name`. Free with xfree. */
char *s3_link(const struct s3_place *p, const struct s3_account *a, const char *key,
	      const char *name, const char *mime, int64_t now_s, int64_t ttl_s);

#endif
