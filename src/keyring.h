/*
 * keyring - the live API keys in memory, so that knowing a key again costs no query.
 *
 * It is loaded from the database and loaded again when users or keys change (NOTE_ACCESS). Keys are
 * held as SHA-256 only. Any thread.
 */
#ifndef AUTOS_KEYRING_H
#define AUTOS_KEYRING_H

#include "access.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyring;

/* Reads through connections of its own to this database. NULL on failure. */
struct keyring *keyring_new(const char *database_url, struct err *e);
void keyring_free(struct keyring *k); /* accepts NULL */

/* A ledger_watcher; arg is the keyring: marks it as out of date. */
void keyring_notes(void *arg, const struct db_note *notes, size_t n);

/* Who has this key. ERR_DENIED: unknown, revoked, or its user is not active; ERR_INPUT: it expired;
 * ERR_FAIL: the database. `use` becomes true at most once a minute for each key: then the use is to
 * be written down. */
[[nodiscard]] bool keyring_find(struct keyring *k, const char *key, struct grant *out, bool *use,
				struct err *e);

/* Number of keys that may be used. */
size_t keyring_count(struct keyring *k);

#endif
