/*
 * sigv4 - AWS Signature Version 4: proves to S3 and its kin who asks, without sending the secret.
 *
 * Facts in, text out: either the value of the Authorization header, or the query of a presigned
 * URL. Paths, parameters and header values come in raw and are encoded here, once, so that what is
 * signed and what is sent cannot differ: send what sigv4_path and sigv4_query (or sigv4_presign)
 * give. Source: "Signature Version 4 signing process" (AWS IAM User Guide), and "Authenticating
 * requests" (Amazon S3 API Reference) where S3 differs. Pure: no I/O, no clock, nothing kept
 * between calls; any thread. Keeps no secret and writes none.
 *
 * Everything is appended to a buffer of the caller. When it does not fit, or when the request is
 * longer than SIGV4_MAX bytes in canonical form, the buffer's `overflow` is set and what it holds
 * is no signature.
 */
#ifndef AUTOS_SIGV4_H
#define AUTOS_SIGV4_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIGV4_MAX = 1 << 20 };

struct sigv4_field {
	const char *name, *value; /* borrowed; raw: nothing percent-encoded */
};

struct sigv4_key {
	const char *access_key, *secret_key;
	/* "" or NULL: none. sigv4_presign adds it; for sigv4_authorization it must stand among the
	 * headers, as X-Amz-Security-Token, because it is sent there. */
	const char *session_token;
	const char *region, *service;
};

struct sigv4_request {
	const char *method;              /* as sent */
	const char *path;                /* raw bytes, begins with '/' */
	const struct sigv4_field *query; /* raw; in any order; names may repeat */
	size_t nquery;
	/* Every one is signed, and so must reach the server unchanged; in any order, only values of
	 * one name are joined in the order given. Host must be among them, and for
	 * sigv4_authorization X-Amz-Date (sigv4_date of time_s) and what else S3 wants signed:
	 * every X-Amz-*, Content-MD5, Content-Type. */
	const struct sigv4_field *headers;
	size_t nheaders;
	const char *payload; /* hex SHA-256 of the body, or "UNSIGNED-PAYLOAD" */
	int64_t time_s;      /* seconds since 1970, up to the end of the year 9999 */
	/* Sign the path without dot segments and double slashes. Not for S3, whose keys may hold
	 * them; other services want it, and the path encoded twice: give theirs as it is sent. */
	bool normalize;
};

enum { SIGV4_DATE = sizeof "20150830T123600Z" };

/* "20150830T123600Z": the X-Amz-Date of a moment. */
void sigv4_date(int64_t time_s, char out[static SIGV4_DATE]);

/* The percent-encoded forms that are signed and must be sent: all but RFC 3986's unreserved
 * characters is encoded, with '/' kept in paths; the query is sorted by encoded name, then value,
 * and every name is followed by '='. */
void sigv4_path(struct buf *out, const char *path);
void sigv4_query(struct buf *out, const struct sigv4_field *query, size_t n);

/* The value of the Authorization header. */
void sigv4_authorization(struct buf *out, const struct sigv4_key *k, const struct sigv4_request *q);

/*
 * The whole query of a presigned URL, without '?': the request's own parameters (none may be called
 * X-Amz-*), the signature's X-Amz-*, X-Amz-Security-Token if there is one, X-Amz-Signature last.
 * Whoever uses the URL must send the headers given here, so give Host alone where that is enough;
 * the payload is "UNSIGNED-PAYLOAD" for S3. expires_s: seconds from time_s, 1 to 604,800.
 */
void sigv4_presign(struct buf *out, const struct sigv4_key *k, const struct sigv4_request *q,
		   int64_t expires_s);

/* The two texts in between, which a server that refuses a signature shows beside its own. */
void sigv4_canonical(struct buf *out, const struct sigv4_request *q);
void sigv4_string_to_sign(struct buf *out, const struct sigv4_key *k,
			  const struct sigv4_request *q);

#endif
