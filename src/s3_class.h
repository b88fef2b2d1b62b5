/*
 * s3_class - what an answer of S3 means, and what it says to a human.
 *
 * The one table of error codes. Pure. Sources: Amazon S3 API Reference, "Error responses"; the
 * standard retry mode of the AWS SDKs for what is worth another try; Ceph's and MinIO's own codes.
 */
#ifndef AUTOS_S3_CLASS_H
#define AUTOS_S3_CLASS_H

#include "err.h"
#include "http_msg.h"
#include "s3_ask.h"

enum s3_meaning {
	S3_GOOD,
	S3_ABSENT,  /* no such object, or no such upload */
	S3_TAKEN,   /* If-None-Match or If-Match says no */
	S3_RETRY,   /* transient: asking again may help */
	S3_SLOW,    /* too fast for the server: ask again, later, and less at once */
	S3_REFUSED, /* the server will not, until somebody changes something */
	S3_LOCAL,   /* our own side failed */
};

struct s3_verdict {
	enum s3_meaning meaning;
	bool timeout;   /* S3_RETRY after silence: costs more of the budget */
	bool unknown;   /* S3_REFUSED because the server does not know how */
	char code[64];  /* the server's, "" when it gave none */
	struct err err; /* when not GOOD */
};

/* Names the answer. now_ms is the wall clock of the answer's arrival. */
void s3_classify(const struct s3_place *p, const struct s3_account *a, const struct s3_call *c,
		 const struct http_res *res, int64_t now_ms, struct s3_verdict *out);

/* The server's clock minus ours in ms by the answer's Date; false when it has none. */
bool s3_clock_skew(const struct http_res *res, int64_t now_ms, int64_t *skew_ms);

const char *s3_meaning_name(enum s3_meaning m);

#endif
