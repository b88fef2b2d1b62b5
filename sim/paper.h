/*
 * paper - the true bytes of a synthetic document: PDF, HTML, RTF, images, video, text.
 *
 * Real files that ordinary tools open, padded to the size asked for. The bytes are a function of
 * (kind, stamp, size) alone. Pure.
 */
#ifndef SIM_PAPER_H
#define SIM_PAPER_H

#include "body.h"

#include <stdint.h>

enum kind {
	KIND_PDF,
	KIND_HTML,          /* a whole page: UTF-8 bytes, the meta says ISO-8859-1 */
	KIND_HTML_FRAGMENT, /* starts with <div, no doctype */
	KIND_HTML_21,       /* 21 bytes, legitimate */
	KIND_HTML_127,      /* 127 bytes, legitimate */
	KIND_RTF,
	KIND_JPEG,
	KIND_PNG,
	KIND_MP4,
	KIND_TEXT,
	KIND_BYTES, /* application/octet-stream */
	KIND_JUNK,  /* the same, sent as application/pdf */
	KIND_COUNT,
};

/* Makes the file; its size is close to `size` and never below what the format needs. */
void paper_make(enum kind kind, uint64_t stamp, uint64_t size, struct body *out);

const char *paper_sent_type(enum kind kind);     /* Content-Type as the portal sends it */
const char *paper_declared_type(enum kind kind); /* arquivo.tipo */
const char *paper_mime(enum kind kind);          /* what the bytes are */
const char *paper_ext(enum kind kind);           /* without dot */
const char *paper_kind_name(enum kind kind);

#endif
