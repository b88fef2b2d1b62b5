/*
 * text - characters as bytes: UTF-8 (RFC 3629), hexadecimal digits, base64 (RFC 4648) and
 * percent-encoding (RFC 3986, section 2.1). Pure.
 */
#ifndef AUTOS_TEXT_H
#define AUTOS_TEXT_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The code point at *s; 0 for the final NUL and for a byte that is not UTF-8. Advances *s behind
 * it, by one byte when it is 0. */
uint32_t utf8_next(const unsigned char **s);

/* Whether all of a string is UTF-8, shortest forms only, without surrogates. */
bool utf8_valid(const char *s);

/* The value of a digit in either case, -1 for anything else. */
int hex_value(char c);

/* The byte that "%XX" at s stands for, -1 when two digits do not follow. */
int percent_value(const char *s);

/* Appends len bytes of s; everything but A-Z a-z 0-9 - . _ ~ and the characters of `keep` is
 * encoded. With keep "" the result may stand in a path segment, a query and an RFC 8187 value. */
void percent_add(struct buf *b, const char *s, size_t len, const char *keep);

/* Base64 with padding (RFC 4648, section 4). Encodes len bytes and a NUL into out, which holds
 * BASE64_SIZE(len). Decodes into out, with or without padding; -1 when it is not that. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void base64_encode(const void *data, size_t len, char *out);
ssize_t base64_decode(const char *s, size_t len, void *out, size_t cap);

/* Length of the scheme that a URL begins with, 0 when it does not begin with "SCHEME://" (RFC 3986,
 * section 3.1). Whoever refuses an address repeats nothing else of it: it may hold a password. */
size_t text_scheme(const char *url);

/* Whether a word of n bytes is one of a list separated by commas and blanks. */
bool text_in_list(const char *list, const char *word, size_t n);

#endif
