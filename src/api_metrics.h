/*
 * api_metrics - everything that is counted, as Prometheus reads it.
 */
#ifndef AUTOS_API_METRICS_H
#define AUTOS_API_METRICS_H

#include "buf.h"

struct api;

enum { METRICS_TEXT_MAX = 4 << 20 };

/* Adds the text (format version 0.0.4). */
void api_metrics_text(struct api *a, struct buf *out);

#endif
