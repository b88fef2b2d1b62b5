/*
 * term - what commands say to the person in front of them: results on stdout, all else on stderr.
 *
 * The only room besides main that prints. Text of the portal goes through term_clean, so that it
 * cannot move the cursor. One thread.
 */
#ifndef AUTOS_TERM_H
#define AUTOS_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void term_out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line "autos: ..." on stderr; the line break is added. */
void term_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line on stderr without the prefix. */
void term_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* False when stdout could not be written (a full disk, a closed pipe): the command failed. */
bool term_flush(void);

/* A line at the bottom of the terminal that is drawn again and again. Nothing without a terminal.
 */
bool term_has_progress(void);
void term_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void term_progress_end(void);
int term_width(void);

/* Control characters as '?'. */
void term_clean(char *s);

/* "1.2 MB", "950 B"; decimal units. */
void term_bytes(int64_t bytes, char out[static 16]);

/* "4 s", "2 min 10 s", "1 h 05 min". */
void term_time(int64_t ms, char out[static 48]);

#endif
