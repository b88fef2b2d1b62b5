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

#include <stdatomic.h>

/* What uploads need of their store; each upload keeps a copy, so the facts of one do not change. */
struct s3_target {
	struct s3_engine *engine;
	const struct s3_place *place;
	const struct config *config;
	_Atomic bool *doubted; /* is set when an upload failed whose bytes had another ETag than the
				* facts let expect: they may be true no more */
	struct s3_facts facts;
};

/* Begins; `put->finished` is called on the engine's thread when it is over. put->key may change.
 * From any thread. */
void s3_upload_start(const struct s3_target *t, struct put *put);

#endif
