/*
 * webhook_body - the message about the end of a job, as JSON.
 *
 * What it says of the end is kept with the delivery; what it says of documents, links above all, is
 * read and made when it is sent.
 */
#ifndef AUTOS_WEBHOOK_BODY_H
#define AUTOS_WEBHOOK_BODY_H

#include "case_json.h"
#include "delivery.h"

/* The text, and its length; free with xfree. `links` is not looked at when the message is thin, and
 * neither is anything of a document but its ids and state. */
char *webhook_body(const struct delivery_lease *l, const struct case_view *v,
		   const struct doc_links *links, bool thin, int64_t now_ms, size_t *len);

#endif
