/*
 * s3_probe - finds out what an S3 server can do and whether it lets us: with a few small objects
 * below "<prefix>autos-probe/", which it removes again. Remembers nothing itself.
 */
#ifndef AUTOS_S3_PROBE_H
#define AUTOS_S3_PROBE_H

#include "s3_engine.h"
#include "s3_facts.h"

/*
 * Asks some ten small requests and waits for them. `name` is the probe's object: whoever may probe
 * at the same time takes another, and the same each time, so that a kill leaves one at most. False
 * when objects could not be stored there: *e is one line that says what is wrong (ERR_BUSY: the
 * server cannot be reached now, or has too much to do to say what it can; `quick`: the first
 * request is not tried again).
 */
[[nodiscard]] bool s3_probe(struct s3_engine *x, const struct s3_place *p, const char *name,
			    bool quick, struct s3_facts *out, struct err *e);

/* Whether one small object can be stored now. */
[[nodiscard]] bool s3_probe_write(struct s3_engine *x, const char *name, struct err *e);

#endif
