/*
 * err - formatting of errors. Owns nothing, logs nothing; die() is for start-up only.
 */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Peers' words may end up in an error line: control characters must not break the line. */
static void one_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

bool fail(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	if (!e)
		return false;
	char line[sizeof e->text];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	one_line(line);
	*e = (struct err){.kind = kind};
	memcpy(e->text, line, sizeof line);
	return false;
}

bool fail_errno(struct err *e, const char *fmt, ...)
{
	int code = errno;
	char line[320];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	return fail(e, ERR_FAIL, "%s: %s", line, strerror(code));
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
	if (!e)
		return false;
	char line[sizeof e->text], old[sizeof e->text];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	memcpy(old, e->text, sizeof old);
	if (n < 0 || (size_t)n >= sizeof line)
		n = sizeof line - 1;
	snprintf(line + n, sizeof line - (size_t)n, "%s", old);
	one_line(line);
	memcpy(e->text, line, sizeof line);
	return false;
}

const char *err_kind_name(enum err_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return "none";
	case ERR_INPUT:
		return "input";
	case ERR_ABSENT:
		return "absent";
	case ERR_DENIED:
		return "denied";
	case ERR_BUSY:
		return "busy";
	case ERR_FAIL:
		return "fail";
	}
	return "?";
}

void die(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	one_line(line);
	fprintf(stderr, "autos: %s\n", line);
	exit(1);
}
