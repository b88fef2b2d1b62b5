/*
 * control - talks to a running service over the socket in data_dir, as an admin. One thread; each
 * question blocks until it is answered.
 */
#ifndef AUTOS_CONTROL_H
#define AUTOS_CONTROL_H

#include "config.h"
#include "err.h"

#include <jansson.h>
#include <stdbool.h>

struct control;

/* NULL: ERR_ABSENT when no service runs on this data_dir. */
struct control *control_open(const struct config *c, struct err *e);
void control_close(struct control *s); /* accepts NULL */

/*
 * `body` is taken over, NULL for none. True when an answer with a status below 400 came: *answer is
 * its JSON (NULL when it has none) and belongs to the caller. A refusal gives its kind (ERR_INPUT,
 * ERR_ABSENT, ERR_BUSY, ...) and its own sentence.
 */
[[nodiscard]] bool control_ask(struct control *s, const char *method, const char *path,
			       json_t *body, json_t **answer, struct err *e);

#endif
