/*
 * metrics - the program's counters: one list, one line for each.
 *
 * Counters only grow; gauges are set. Any thread may touch them.
 */
#ifndef AUTOS_METRICS_H
#define AUTOS_METRICS_H

#include <stdint.h>

/* M(name, TYPE, "what it counts") */
#define METRICS(M)                                                                                 \
	M(portal_calls, COUNTER, "Requests sent to the portal")                                    \
	M(portal_retries, COUNTER, "Requests to the portal sent again after a transient fault")    \
	M(portal_rate_limited, COUNTER, "Answers of the portal that asked us to wait")             \
	M(portal_parallel, GAUGE, "Requests to the portal that may run at once now")               \
	M(docs_stored, COUNTER, "Documents stored and proven")                                     \
	M(docs_failed, COUNTER, "Documents given up")                                              \
	M(docs_deduplicated, COUNTER, "Documents whose bytes the case already had")                \
	M(bytes_stored, COUNTER, "Bytes of documents stored")                                      \
	M(jobs_finished, COUNTER, "Jobs that reached a final state")                               \
	M(ledger_groups, COUNTER, "Database transactions committed")                               \
	M(ledger_writes, COUNTER, "Writes committed in those transactions")                        \
	M(stale_writes, COUNTER, "Results dropped because another owner holds the lease")

enum metric {
#define M(name, type, help) METRIC_##name,
	METRICS(M)
#undef M
		METRIC_COUNT
};

void metric_add(enum metric m, int64_t n);
void metric_set(enum metric m, int64_t value);
int64_t metric_get(enum metric m);

#endif
