/*
 * log - writes log lines with one write(2) each, so that lines of several threads never mix.
 * Owns the level. Opens no file, rotates nothing: systemd or the container keeps stderr.
 */
#include "log.h"

#include "sys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum log_level threshold = LOG_ERROR;
static const char *const names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

/* Copies text into the line with control characters as \xNN; returns the new end. */
static size_t escape(char *line, size_t at, size_t cap, const char *text)
{
	for (; *text && at + 5 < cap; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == 0x7f)
			at += (size_t)snprintf(line + at, cap - at, "\\x%02x", c);
		else
			line[at++] = (char)c;
	}
	return at;
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	if (level > threshold)
		return;
	char text[1024], line[1400], when[25];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	sys_format_utc(sys_wall_ms(), when);
	size_t n = (size_t)snprintf(line, sizeof line, "%s %s %s%s", when, names[level], event,
				    text[0] ? " " : "");
	n = escape(line, n, sizeof line - 1, text);
	line[n++] = '\n';
	ssize_t r = write(STDERR_FILENO, line, n);
	(void)r; /* nobody is left to tell */
}
