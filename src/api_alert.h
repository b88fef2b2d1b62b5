/*
 * api_alert - what needs somebody: the service's condition against fixed bounds.
 */
#ifndef AUTOS_API_ALERT_H
#define AUTOS_API_ALERT_H

#include "api_watch.h"

/* Everything that is judged, read once. */
struct api_condition {
	int64_t now_ms, window_ms;
	struct api_counts in; /* of the last minutes */
	struct api_work work;
	struct queue_sums sums;
	bool sums_known;
	struct api_check checks[CHECKS];
	double memory;   /* share that is used, 0 to 1 */
	double cpu;      /* share of all processors over the last minutes */
	int64_t queue_s; /* age of the oldest job that waits */
};

void api_condition(struct api *a, struct api_condition *out);

enum api_severity { SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_CRITICAL, SEVERITIES };

const char *api_severity_name(enum api_severity s);

struct api_alert {
	const char *type;
	enum api_severity severity;
	double value, threshold;
	char message[320];
};

enum { ALERTS_MAX = 16 };

/* Gives their number. */
size_t api_alerts(const struct api_condition *k, struct api_alert out[static ALERTS_MAX]);

/* The bounds by name, as JSON; and the types that alerts can have, NULL at the end. */
json_t *api_thresholds(void);
extern const char *const api_alert_types[];

#endif
