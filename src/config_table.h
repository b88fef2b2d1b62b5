/*
 * config_table - what the two files of `config` share: the rows. Nobody else includes this.
 */
#ifndef AUTOS_CONFIG_TABLE_H
#define AUTOS_CONFIG_TABLE_H

#include "config.h"

enum config_kind {
	TEXT,
	SECRET,      /* text that is never shown */
	SECRET_FILE, /* path of a file that holds the secret named by the row before it */
	URL,         /* http or https, no slash at the end; empty only where that is the default */
	NUMBER,
	SIZE,     /* bytes, with K, M, G */
	DURATION, /* milliseconds, with ms, s, m, h, d; a bare number is seconds */
	FLAG,     /* yes or no, kept as 1 or 0 */
	LEVEL,
	ENVIRONMENT,
};

struct config_row {
	const char *key;
	enum config_kind kind;
	size_t offset;
	const char *preset; /* default, as it would be written in a file */
	int64_t min, max;   /* for numbers, sizes and durations */
	const char *alias;  /* a well-known environment name, NULL for none */
	const char *section;
	const char *help;
};

extern const struct config_row config_table[CONFIG_ROWS];

struct config_unit {
	const char *name;
	int64_t factor;
};

extern const struct config_unit config_size_units[]; /* end with a NULL name */
extern const struct config_unit config_time_units[];

static inline char **config_text(const struct config *c, const struct config_row *r)
{
	return (char **)((char *)(uintptr_t)c + r->offset);
}

static inline int64_t *config_number(const struct config *c, const struct config_row *r)
{
	return (int64_t *)((char *)(uintptr_t)c + r->offset);
}

static inline bool config_is_text(const struct config_row *r)
{
	return r->kind == TEXT || r->kind == SECRET || r->kind == SECRET_FILE || r->kind == URL ||
	       r->kind == LEVEL || r->kind == ENVIRONMENT;
}

#endif
