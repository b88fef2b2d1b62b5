/*
 * paper_pdf - PDF files of any size that pdfinfo and pdftotext open without a complaint. Pure.
 */
#ifndef SIM_PAPER_PDF_H
#define SIM_PAPER_PDF_H

#include "body.h"

/* As paper_make for KIND_PDF. */
void paper_make_pdf(uint64_t stamp, uint64_t size, struct body *out);

#endif
