/*
 * manifest - the chain of custody of a case as one JSON object.
 *
 * Canonical form (RFC 8785 for the values that occur here): keys sorted, no blanks, UTF-8. The
 * member manifest_sha256 is the SHA-256 of that form of the object without this member, so anybody
 * can check it: see docs/manifest.md.
 */
#ifndef AUTOS_MANIFEST_H
#define AUTOS_MANIFEST_H

#include "query.h"

#include <stddef.h>
#include <stdint.h>

struct manifest_options {
	const char *portal_url;
	char *const *files; /* one for each document of the view, NULL where no file was written; or
			       NULL */
	int64_t now_ms;
};

/* One line without line break; free with xfree. */
char *manifest_make(const struct case_view *v, const struct manifest_options *o);

/*
 * For each document the index of the earlier one that is the same paper under another identity
 * (equal bytes, name, type, number and filing time: a case that moved between courts), or its own
 * index. Free with xfree.
 */
size_t *manifest_duplicates(const struct case_view *v);

/* Files that an earlier manifest names, for whoever replaces them. Other JSON gives none. */
struct manifest_file {
	char *name, *sha256; /* owned */
};
struct manifest_file *manifest_files(const char *json, size_t len, size_t *n);
void manifest_files_free(struct manifest_file *files, size_t n);

#endif
