/*
 * s3_upload - one document on its way into S3: a single request when it is small, parts when it is
 * large.
 *
 * Runs as steps on the engine's thread. An object becomes visible whole or not at all; a key that
 * is taken by other bytes is never written over; an ETag that is not that of our bytes is an error.
 * A large upload that a crash left goes on with the parts that are there.
 */
#ifndef AUTOS_S3_UPLOAD_H
#define AUTOS_S3_UPLOAD_H

#include "s3_engine.h"
#include "s3_facts.h"
#include "store.h"

/* What uploads need of their store; borrowed by each upload. */
struct s3_target {
	struct s3_engine *engine;
	const struct s3_place *place;
	const struct config *config;
	struct s3_facts facts;
};

/* Begins; `put->finished` is called on the engine's thread when it is over. put->key may change.
 * From any thread. */
void s3_upload_start(struct s3_target *t, struct put *put);

#endif
