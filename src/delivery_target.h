/*
 * delivery_target - what the files of `delivery` share: targets that a turn deals with, when each
 * is due, and leases that are there. Nobody else includes this.
 */
#ifndef AUTOS_DELIVERY_TARGET_H
#define AUTOS_DELIVERY_TARGET_H

#include "delivery.h"

/* Targets whose due time is to be found anew before the transaction ends. */
struct touched {
	int64_t *ids; /* owned */
	size_t n, cap;
};

void touch(struct touched *t, int64_t id);

/* Before anything is written of a target: in order of their ids, so that no two processes wait for
 * each other. Whoever counts after us sees what we did. */
[[nodiscard]] bool touched_lock(struct db *db, struct touched *t, struct err *e);

/* Finds when they are due, and forgets them. Their rows are ours. */
[[nodiscard]] bool touched_refresh(struct db *db, const struct delivery_limits *l,
				   struct touched *t, struct err *e);

/* ---- Leases that are there ---- */

/* Renews what is held; fills which of them are lost. */
[[nodiscard]] bool leases_renew(struct db *db, struct delivery_turn *t, struct err *e);

/* What somebody left behind who is gone, as id and target; it may be one of ours, come late. */
[[nodiscard]] bool leases_find_lost(struct db *db, const struct delivery_turn *t,
				    struct touched *touched, struct db_rows *r, struct err *e);

/* It may have been sent, and is sent again. */
[[nodiscard]] bool leases_rescue(struct db *db, const struct delivery_turn *t,
				 const struct db_rows *lost, struct err *e);

/* ---- A target ---- */

struct target {
	int64_t id, failures, paused_until_ms;
	bool proven;
};

/* Leases that it may have at once. */
int64_t target_parallel_of(const struct target *g, const struct delivery_limits *l);

#endif
