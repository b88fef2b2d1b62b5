/*
 * filename - names for people: what the portal calls a document, as a safe file name.
 *
 * The portal's names may hold anything: slashes, control characters, direction marks that disguise
 * an extension, 300 bytes, nothing at all. Pure.
 */
#ifndef AUTOS_FILENAME_H
#define AUTOS_FILENAME_H

#include <stddef.h>

enum { FILE_DIGITS = 4 }; /* of the rank, where nothing asks for more */

/*
 * "0007-<name>.<ext>", at most 240 bytes of valid UTF-8, without separators, control characters or
 * characters that other systems forbid. `rank` counts from 1; `width` is the least number of
 * digits. An ending of `name` that only says a kind of file is replaced by ext. When nothing of
 * `name` remains, `fallback` is used, then "documento". The caller frees with xfree.
 */
char *filename_make(size_t rank, int width, const char *name, const char *fallback,
		    const char *ext);

/* Whether a name read from somewhere may be used as a file in a folder of ours: one component. */
int filename_is_plain(const char *name);

#endif
