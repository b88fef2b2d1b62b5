/*
 * s3_facts - what a probe found out about an S3 server, as a value that is remembered as JSON.
 * Pure.
 */
#ifndef AUTOS_S3_FACTS_H
#define AUTOS_S3_FACTS_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3_facts {
	int64_t probed_ms;  /* wall clock; 0 = never */
	int64_t skew_ms;    /* the server's clock minus ours */
	bool checks_md5;    /* refuses bytes that do not fit Content-MD5 */
	bool checks_sha256; /* refuses bytes that do not fit the signed hash */
	bool etag_is_md5;   /* so that it can be compared */
	bool only_new;      /* If-None-Match: * is obeyed when objects are put */
	bool may_delete;
	bool may_list;
	bool may_list_uploads; /* unfinished ones can be found again */
};

/* `place` is where, and who asks, in words: facts of another place are not taken. */
char *s3_facts_write(const struct s3_facts *f, const char *place); /* free with xfree */
bool s3_facts_read(const char *json, size_t len, const char *place, struct s3_facts *out);

/* One line for people: "conditional writes yes, MD5 checked, ...". */
void s3_facts_show(const struct s3_facts *f, struct buf *out);

#endif
