/*
 * export - a case file as a folder for people: DIR/<masked number>/0001-<name>.<ext> and
 * manifest.json.
 *
 * Files appear whole or not at all; manifest.json is written last. Files that an earlier manifest
 * of ours names and this one does not are removed; nothing else in the folder is touched.
 */
#ifndef AUTOS_EXPORT_H
#define AUTOS_EXPORT_H

#include "err.h"
#include "query.h"
#include "store.h"

#include <stdbool.h>

struct export_result {
	char *folder;   /* owned */
	char *manifest; /* owned: the JSON line that was written */
};

[[nodiscard]] bool export_case(const struct case_view *v, struct store *s, const char *dir,
			       const char *portal_url, struct export_result *out, struct err *e);
void export_result_release(struct export_result *r);

#endif
