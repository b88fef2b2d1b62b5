/*
 * link - download links of the folder store: an address that whoever has it may read, until it
 * expires.
 *
 *   <base>/files/<key>?name=<file name>&type=<media type>&expires=<seconds>&signature=<hex>
 *
 * The signature is HMAC-SHA256 over key, name, type and time. Pure.
 */
#ifndef AUTOS_LINK_H
#define AUTOS_LINK_H

#include "err.h"

#include <stdint.h>

struct link {
	const char *key;  /* object key */
	const char *name; /* file name for whoever saves it, UTF-8 */
	const char *mime;
	int64_t expires_s; /* seconds since 1970 */
};

enum { LINK_SECRET = 32 };

/* The whole address; free with xfree. Everything is percent-encoded as it must be. */
char *link_make(const char *base_url, const unsigned char secret[static LINK_SECRET],
		const struct link *l);

/* ERR_DENIED: wrong signature (NULL is; compared in constant time) or the time is over. */
[[nodiscard]] bool link_check(const unsigned char secret[static LINK_SECRET], const struct link *l,
			      const char *signature, int64_t now_s, struct err *e);

#endif
