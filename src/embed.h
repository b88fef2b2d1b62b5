/*
 * embed - files of the source tree that are part of the program: the description of the API and the
 * page that shows it.
 */
#ifndef AUTOS_EMBED_H
#define AUTOS_EMBED_H

#include <stddef.h>

enum embed { EMBED_OPENAPI, EMBED_DOCS_HTML, EMBED_DOCS_CSS, EMBED_DOCS_JS, EMBED_COUNT };

/* The bytes of a file; they live as long as the program. */
const char *embed_data(enum embed file);
size_t embed_size(enum embed file);

#endif
