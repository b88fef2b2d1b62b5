/*
 * metrics - the program's counters, gauges and histograms: one list, one line for each, and their
 * text for Prometheus.
 *
 * Counters only grow; gauges are set. Families and dials have one label, whose values are static
 * strings of the program (never ids or a client's words); from the 64th different value on they
 * count as "other". Any thread may touch them.
 */
#ifndef AUTOS_METRICS_H
#define AUTOS_METRICS_H

#include "buf.h"

#include <stdint.h>

/* M(name, TYPE, "what it counts") */
#define METRICS(M)                                                                                 \
	M(portal_calls, COUNTER, "Requests sent to the portal")                                    \
	M(portal_retries, COUNTER, "Requests to the portal sent again after a transient fault")    \
	M(portal_rate_limited, COUNTER, "Answers of the portal that asked us to wait")             \
	M(portal_parallel, GAUGE, "Requests to the portal that may run at once now")               \
	M(portal_parallel_fleet, GAUGE, "The same for all processes together (PostgreSQL)")        \
	M(docs_stored, COUNTER, "Documents stored and proven")                                     \
	M(docs_failed, COUNTER, "Documents given up")                                              \
	M(docs_deduplicated, COUNTER, "Documents whose bytes the case already had")                \
	M(bytes_stored, COUNTER, "Bytes of documents stored")                                      \
	M(store_retries, COUNTER, "Requests to the S3 server sent again after a transient fault")  \
	M(store_slowdowns, COUNTER, "Answers of the S3 server that asked for fewer requests")      \
	M(store_parallel, GAUGE, "Requests to the S3 server that may run at once now")             \
	M(store_orphans, COUNTER, "Unfinished uploads that were aborted")                          \
	M(store_parts_kept, COUNTER, "Parts of uploads that were there already after a crash")     \
	M(jobs_requested, COUNTER, "Jobs made by requests")                                        \
	M(jobs_adopted, COUNTER, "Requests that joined a job that was there")                      \
	M(jobs_finished, COUNTER, "Jobs that reached a final state")                               \
	M(ledger_groups, COUNTER, "Database transactions committed")                               \
	M(ledger_writes, COUNTER, "Writes committed in those transactions")                        \
	M(changes_heard, COUNTER, "Changes heard of that other processes committed")               \
	M(database_dead_rows, GAUGE, "Dead rows in the tables (PostgreSQL)")                       \
	M(database_oldest_xmin, GAUGE, "Transactions since the oldest snapshot (PostgreSQL)")      \
	M(database_vacuums, COUNTER, "Tables vacuumed by this process")                            \
	M(upkeep_leader, GAUGE, "Whether this process does the upkeep of the fleet")               \
	M(stale_writes, COUNTER, "Results dropped because another owner holds the lease")          \
	M(http_connections, GAUGE, "Connections of clients now")                                   \
	M(http_waiting, GAUGE, "Requests that wait for news now")                                  \
	M(http_streams, GAUGE, "Event streams open now")                                           \
	M(rate_limited, COUNTER, "Requests refused by a rate limit")                               \
	M(cache_hits, COUNTER, "Answers that were at hand in memory")                              \
	M(cache_misses, COUNTER, "Answers that were made from the database")

/* F(name, "label", "what it counts"): counters with one label */
#define METRIC_FAMILIES(F)                                                                         \
	F(http_requests, "class", "Requests of clients by class of the answer's status")           \
	F(http_route_requests, "route", "Requests of clients by route")                            \
	F(portal_answers, "rule", "Answers of the portal by the rule that named them")             \
	F(portal_status, "class", "Answers of the portal by class of their status")                \
	F(store_answers, "meaning", "Answers of the S3 server by what they mean")                  \
	F(documents, "result", "Documents by what became of them")                                 \
	F(jobs_ended, "outcome", "Jobs by how they ended")                                         \
	F(webhook_attempts, "class", "Messages sent to webhooks by what came of it")               \
	F(webhook_deliveries, "state", "Deliveries by how they ended")

/* G(name, "label", "what it says"): gauges with one label */
#define METRIC_DIALS(G)                                                                            \
	G(database_oldest_snapshot_seconds, "holder",                                              \
	  "Age of the oldest snapshot, under the kind of its holder (PostgreSQL)")

/* H(name, "label or NULL", "what it measures"): seconds, in buckets from 1 ms to 10 min */
#define METRIC_HISTOGRAMS(H)                                                                       \
	H(http_request, "route", "Time from a request's first byte to its answer")                 \
	H(portal_request, "call", "Time of one exchange with the portal")                          \
	H(job_wait, NULL, "Time a job waited to be leased")                                        \
	H(job_run, NULL, "Time from the lease of a job to its end")                                \
	H(storage_put, NULL, "Time to store one document")                                         \
	H(store_request, "call", "Time of one exchange with the S3 server")                        \
	H(ledger_commit, NULL, "Time of one database transaction")                                 \
	H(webhook_request, NULL, "Time of one exchange with a webhook")                            \
	H(webhook_lag, NULL, "Time from the end of a job to its delivery")

enum metric {
#define M(name, type, help) METRIC_##name,
	METRICS(M)
#undef M
		METRIC_COUNT
};

enum metric_family {
#define F(name, label, help) FAMILY_##name,
	METRIC_FAMILIES(F)
#undef F
		FAMILY_COUNT
};

enum metric_dial {
#define G(name, label, help) DIAL_##name,
	METRIC_DIALS(G)
#undef G
		DIAL_COUNT
};

enum metric_histogram {
#define H(name, label, help) HISTOGRAM_##name,
	METRIC_HISTOGRAMS(H)
#undef H
		HISTOGRAM_COUNT
};

void metric_add(enum metric m, int64_t n);
void metric_set(enum metric m, int64_t value);
int64_t metric_get(enum metric m);

void metric_count(enum metric_family f, const char *value);
int64_t metric_counted(enum metric_family f, const char *value); /* NULL = all together */

void metric_turn(enum metric_dial d, const char *value, int64_t to);
int64_t metric_turned(enum metric_dial d, const char *value); /* 0 = not yet */

/* label NULL for histograms without one. */
void metric_observe(enum metric_histogram h, const char *label, double seconds);

/* What was observed under a label, or under all (NULL). quantile() is linear inside its bucket, 0
 * when nothing was observed. */
int64_t metric_observations(enum metric_histogram h, const char *label);
double metric_sum(enum metric_histogram h, const char *label);
double metric_quantile(enum metric_histogram h, const char *label, double q);

/*
 * Everything as Prometheus text (version 0.0.4): autos_<name>_total for counters, autos_<name> for
 * gauges, autos_<name>_seconds for histograms, autos_build_info. Help, type, label escaping.
 */
void metrics_text(struct buf *out);

#endif
