/*
 * log - one event, one line, on stderr.
 *
 *   log_info("job leased", "job=%" PRId64 " epoch=%" PRId64, id, epoch);
 *   2026-01-02T03:04:05.678Z info job leased job=7 epoch=2
 *
 * Event names are stable. Values never hold a token, a secret, a party's or document's name or a
 * personal number: only ids, case numbers, counts, times and our own sentences. Control characters
 * are escaped, so a peer's words cannot forge a line. Any thread may log.
 */
#ifndef AUTOS_LOG_H
#define AUTOS_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Default LOG_ERROR. Set once at start, before threads. */
void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *out);

void log_line(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_line(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_line(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_line(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_line(LOG_DEBUG, event, __VA_ARGS__)

#endif
