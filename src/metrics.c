/*
 * metrics - storage of the counters. Knows nothing of how they are shown.
 */
#include "metrics.h"

#include <stdatomic.h>

static _Atomic int64_t values[METRIC_COUNT];

void metric_add(enum metric m, int64_t n)
{
	atomic_fetch_add_explicit(&values[m], n, memory_order_relaxed);
}

void metric_set(enum metric m, int64_t value)
{
	atomic_store_explicit(&values[m], value, memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
	return atomic_load_explicit(&values[m], memory_order_relaxed);
}
