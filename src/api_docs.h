/*
 * api_docs - the description of the API and the page that shows it, as api.c holds them ready.
 */
#ifndef AUTOS_API_DOCS_H
#define AUTOS_API_DOCS_H

struct api;

void api_pages_make(struct api *a);
void api_pages_drop(struct api *a);

#endif
