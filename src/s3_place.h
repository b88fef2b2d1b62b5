/*
 * s3_place - where a bucket is: what an `s3://` address and the settings say, and how keys become
 * addresses there.
 *
 *   s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME&path_style=1]
 *
 * Pure.
 */
#ifndef AUTOS_S3_PLACE_H
#define AUTOS_S3_PLACE_H

#include "buf.h"
#include "config.h"
#include "err.h"

#include <stdbool.h>

enum { S3_KEY_MAX = 1024 }; /* bytes of a key; S3's own limit */

/* All strings are owned. */
struct s3_place {
	char *bucket;
	char *prefix; /* "" or "a/b/" */
	char *scheme; /* "https" or "http" */
	char *host;   /* as in the Host header of the bucket's requests, with the port if it is not
		       * the scheme's own */
	char *region;
	bool path_style; /* the bucket stands in the path, not in the host name */
};

/*
 * Takes a store address apart, after "s3:". What it does not say comes from the settings. Release
 * *p even on failure. ERR_INPUT says what is wrong.
 */
[[nodiscard]] bool s3_place_parse(struct s3_place *p, const struct config *c, const char *address,
				  struct err *e);
void s3_place_release(struct s3_place *p);

/* The raw path of an object of ours, "" for the bucket itself: "/[bucket/]prefix/key". */
void s3_place_path(const struct s3_place *p, const char *key, struct buf *out);

/* "s3://bucket/prefix at https://host (region)": for people. */
void s3_place_show(const struct s3_place *p, struct buf *out);

#endif
