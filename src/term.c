/*
 * term - printing, and the one progress line. Knows nothing of cases.
 */
#include "term.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool drawn; /* a progress line stands at the bottom */

static void erase(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
}

void term_out(const char *fmt, ...)
{
	va_list ap;
	if (drawn && isatty(STDOUT_FILENO))
		erase();
	va_start(ap, fmt);
	vfprintf(stdout, fmt, ap);
	va_end(ap);
}

void term_error(const char *fmt, ...)
{
	va_list ap;
	erase();
	fflush(stdout);
	fputs("autos: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void term_note(const char *fmt, ...)
{
	va_list ap;
	erase();
	fflush(stdout);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool term_flush(void)
{
	return fflush(stdout) == 0 && !ferror(stdout);
}

bool term_has_progress(void)
{
	return isatty(STDERR_FILENO);
}

int term_width(void)
{
	struct winsize w;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
		return w.ws_col;
	return 80;
}

void term_progress(const char *fmt, ...)
{
	if (!term_has_progress())
		return;
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	drawn = true;
}

void term_progress_end(void)
{
	erase();
	fflush(stderr);
}

void term_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

void term_bytes(int64_t bytes, char out[static 16])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double v = (double)bytes;
	size_t u = 0;
	while (v >= 999.95 && u + 1 < sizeof units / sizeof *units) {
		v /= 1000;
		u++;
	}
	snprintf(out, 16, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void term_time(int64_t ms, char out[static 48])
{
	int64_t s = (ms + 500) / 1000;
	if (s < 60)
		snprintf(out, 48, "%" PRId64 " s", s);
	else if (s < 3600)
		snprintf(out, 48, "%" PRId64 " min %02" PRId64 " s", s / 60, s % 60);
	else if (s < 360000000)
		snprintf(out, 48, "%" PRId64 " h %02" PRId64 " min", s / 3600, s % 3600 / 60);
	else
		snprintf(out, 48, "very long");
}
