/*
 * err - the one error type of the program.
 *
 * An error is a kind, which the program acts upon, and one line, which a human reads.
 * It travels upwards unchanged; a caller may put words in front of the line, never change
 * the kind. Whoever decides what to do about an error is the one who logs it.
 */
#ifndef AUTOS_ERR_H
#define AUTOS_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err_kind {
	ERR_NONE,
	ERR_INPUT,  /* the request can never work */
	ERR_ABSENT, /* what was asked for does not exist */
	ERR_DENIED, /* credentials were refused */
	ERR_BUSY,   /* not now: time-out, overload, lock */
	ERR_FAIL,   /* disk, database, our own fault */
};

struct err {
	enum err_kind kind;
	int64_t wait_ms; /* ERR_BUSY: how long the peer asked us to wait; 0 = not said */
	char text[400];  /* one line, no secret, no personal data, no line break */
};

/* Fills *e (which may be NULL) and returns false, so that failing is one statement. */
bool fail(struct err *e, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As fail(ERR_FAIL, ...), with ": " and the text of errno as it was at the call. */
bool fail_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts words in front of the line of an error that is already there; returns false. */
bool err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A stable lower-case name for logs. */
const char *err_kind_name(enum err_kind kind);

/* A start-up problem: prints "autos: <line>" on stderr and exits with status 1. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
