/*
 * s3_engine - a thread that asks S3: signs, sends, tries again, and keeps within what the server
 * bears.
 *
 * An operation (op) is one call with its answer. Operations are started from any thread; `done` is
 * called on the engine's thread when an op is over, after all its tries, and may start others.
 * Retries follow the AWS SDKs: classified (s3_class), with jitter, paid from a budget (s3_budget),
 * on a fresh connection; SlowDown lowers how many run at once (lane).
 */
#ifndef AUTOS_S3_ENGINE_H
#define AUTOS_S3_ENGINE_H

#include "config.h"
#include "http.h"
#include "s3_ask.h"
#include "s3_class.h"
#include "s3_place.h"
#include "spool.h"

#include <stdbool.h>
#include <stdint.h>

struct s3_engine;

/* Takes bytes of an object in order, on the engine's thread; false ends the op (S3_LOCAL). */
typedef bool s3_sink(void *arg, const void *data, size_t len, struct err *e);

/* Zero it, fill the first part, start it. It belongs to the engine until `done` is called. */
struct s3_op {
	struct s3_call call; /* owned: released by s3_op_release; no method = call `done` only */
	const struct spool *body; /* borrowed; NULL = none, or in the call */
	int64_t from, len;        /* which bytes of it */
	s3_sink *sink;            /* NULL = the answer stays in memory */
	void *sink_arg;
	bool once;        /* not tried again */
	int64_t until_ms; /* monotonic: given up then, with ERR_BUSY; 0 = after its tries */
	void (*done)(struct s3_op *);
	void *owner;

	/* when done; the answer's bytes live until the op is released or started again */
	struct s3_verdict verdict;
	const struct http_res *res;

	/* private to the engine */
	struct s3_engine *engine;
	struct http_exchange exchange;
	struct s3_op *next, *before, *after; /* in a queue; among those that are asked */
	struct err sink_error;
	char etag[HTTP_WANT_SIZE]; /* of the object that is being read */
	int64_t taken, skip;       /* bytes the sink has; bytes of this answer it has already */
	int64_t not_before;        /* monotonic */
	int64_t started_us;
	int tries, cost;
};

void s3_op_release(struct s3_op *op); /* may be called twice; not while the engine has it */

/* Borrows all; they must outlive the engine. NULL on failure. */
struct s3_engine *s3_engine_new(const struct s3_place *p, const struct s3_account *a,
				const struct config *c, struct err *e);

/* Nothing may be under way. Accepts NULL. */
void s3_engine_free(struct s3_engine *x);

/* From any thread. */
void s3_engine_start(struct s3_engine *x, struct s3_op *op);

/* Everything under way ends soon, with ERR_BUSY. From any thread. */
void s3_engine_cut(struct s3_engine *x);

/* Starts and waits; `done` is not called. Never from the engine's thread. GOOD = true, else *e. */
[[nodiscard]] bool s3_engine_ask(struct s3_engine *x, struct s3_op *op, struct err *e);

#endif
