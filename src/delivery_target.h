/*
 * delivery_target - what the files of `delivery` share. Nobody else includes this.
 */
#ifndef AUTOS_DELIVERY_TARGET_H
#define AUTOS_DELIVERY_TARGET_H

#include "delivery.h"

/* Something is to be sent to this target: whoever leases looks at it. */
[[nodiscard]] bool delivery_target_due(struct db *db, int64_t target_id, int64_t at_ms,
				       struct err *e);

#endif
