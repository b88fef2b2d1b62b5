/*
 * settings - what the unit tests of settings share: loading them without a file of the machine, and
 * how one of them is shown.
 */
#ifndef AUTOS_SETTINGS_H
#define AUTOS_SETTINGS_H

#include "config_table.h"

#include "scratch.h"

enum { LONG = 9000 };

/* config_load with a file of this text, so that no file of the machine is read. */
static inline bool load_with(const char *text, char **env, const char *const *set, size_t nset,
			     struct config *c, struct err *e)
{
	char *dir = scratch_make(), *file = xasprintf("%s/autos.conf", dir);
	scratch_write(file, text, strlen(text));
	bool ok = config_load(
		c,
		&(struct config_input){.file = file, .environment = env, .set = set, .nset = nset},
		e);
	xfree(file);
	scratch_remove(dir);
	return ok;
}

static inline char *var(const char *s)
{
	return (char *)(uintptr_t)s;
}

#define ENV(...) ((char *[]){var("HOME=/home/ana"), __VA_ARGS__, NULL})

static inline size_t row_of(const char *key)
{
	for (size_t i = 0; i < config_count(); i++)
		if (strcmp(config_key(i), key) == 0)
			return i;
	print_error("no row %s\n", key);
	abort();
}

static inline const char *shown(const struct config *c, const char *key)
{
	static char out[LONG];
	config_show(c, row_of(key), out, sizeof out);
	return out;
}

#endif
