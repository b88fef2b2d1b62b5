/*
 * s3_xml - the XML that S3 answers with, as facts, and the little XML that it is asked with.
 *
 * Only what the program uses is read: names of elements count, their namespace does not (servers
 * differ), and what is unknown is passed over. Pure; the only room that sees expat.
 * Source: Amazon S3 API Reference, the pages of the actions named below.
 */
#ifndef AUTOS_S3_XML_H
#define AUTOS_S3_XML_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An ETag without its quotes, which some servers leave out; free with xfree. */
char *s3_plain_etag(const char *said);

/* <Error>, "" for what is not said. */
struct s3_error {
	char code[64];
	char message[200]; /* the server's words */
	char region[64];   /* the one that would be right */
	int64_t server_ms; /* ServerTime, 0 = not said */
};

/* Whether the body is an <Error>. */
bool s3_read_error(const char *body, size_t len, struct s3_error *out);

/* One element of a list. Strings are owned, "" when absent. */
struct s3_item {
	char *key;            /* of an object or an upload */
	char *upload_id;      /* of an upload */
	char *etag;           /* without quotes, of an object or a part */
	int64_t size;         /* of an object or a part, -1 when absent */
	int64_t initiated_ms; /* of an upload, 0 when absent or unreadable */
	int number;           /* of a part, 0 when absent */
};

/* ListObjectsV2, ListMultipartUploads or ListParts; one page. */
struct s3_list {
	struct s3_item *items; /* owned */
	size_t n, cap;
	bool truncated;
	char *next;        /* owned: continuation token, key marker or part marker; "" */
	char *next_upload; /* owned: upload id marker; "" */
};

/* ERR_FAIL when it is not such a list, or more than the buffers of a page allow. */
[[nodiscard]] bool s3_read_list(const char *body, size_t len, struct s3_list *out, struct err *e);
void s3_list_release(struct s3_list *l);

/* ERR_FAIL when a key does not begin with prefix + folder, as was asked for: who removes what such
 * a list names removes what is others'. */
[[nodiscard]] bool s3_list_is_below(const struct s3_list *l, const char *prefix, const char *folder,
				    struct err *e);

/* CreateMultipartUpload: the id (owned), NULL when there is none. */
char *s3_read_upload_id(const char *body, size_t len);

/* CompleteMultipartUpload: the new object's ETag without quotes (owned), "" when the server does
 * not say it (radosgw 16), NULL when this is no such answer: a 200 may hold an <Error> instead. */
char *s3_read_completed(const char *body, size_t len);

/* DeleteObjects: how many of the keys could not be deleted, and the first reason. -1: unreadable.
 */
int s3_read_deleted(const char *body, size_t len, struct s3_error *first);

/* The bodies of CompleteMultipartUpload (etags[i] belongs to part i + 1) and DeleteObjects. Keys
 * and ETags are escaped. */
void s3_write_complete(struct buf *out, char *const *etags, size_t n);
void s3_write_delete(struct buf *out, const char *prefix, char *const *keys, size_t n);

#endif
