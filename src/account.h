/*
 * account - one user of the portal: its token and its quota.
 *
 * There is one account, "default", made from the settings; it is passed, never global, so that
 * there can be more. Reads the token file, and reads it again when it changes. One thread.
 */
#ifndef AUTOS_ACCOUNT_H
#define AUTOS_ACCOUNT_H

#include "config.h"
#include "err.h"
#include "lane.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* What a worker that shares the account's quota with other processes knows of it. Whoever talks to
 * the database fills the first part and empties the second. */
struct account_share {
	bool on;
	int64_t until;                 /* monotonic; the share is ours so long */
	int64_t list_from, list_until; /* monotonic; a list call may start between; 0 = never */

	bool wants_list; /* a list call waits for its turn */
	int good;        /* good answers since the database was told */
	bool overload, held;
	bool untimed;       /* a hold named no time */
	int64_t held_until; /* monotonic; the latest end that holds named, 0 = none did */
};

struct account {
	const char *name;
	const struct config *config; /* borrowed */
	struct lane
		lane; /* with a share its limit is the share, and its rules are the database's */
	struct account_share share;
	char *token;        /* owned; NULL when there is none */
	int64_t expires_ms; /* wall clock, -1 when the token does not say */
	bool foreign;       /* issued by somebody else than the portal's realm */
	int generation;     /* grows when the token changes */
	int64_t refused_at; /* monotonic; 0 while the token is not refused */
	int64_t checked_at; /* when the token file was last looked at */
	struct stat seen;   /* of the token file */
	bool look_failed;   /* the file was unusable when it was last looked at */
	int troubles;       /* pauses in a row for other reasons than 429, no good answer between */
	int64_t held_since; /* monotonic; first hold since the last good answer, 0 = none */
	int64_t held_at;    /* monotonic; the last hold */
};

/* Reads the token. A missing or unreadable one is an error: ERR_DENIED, with what to set; the
 * account is then one without a token, which account_ready goes on looking for. */
[[nodiscard]] bool account_init(struct account *a, const char *name, const struct config *c,
				struct err *e);
void account_release(struct account *a);

/*
 * Whether the token may be used now. Looks at the token file (at most once a second, or at once
 * with `force`). ERR_DENIED says why not: expired, or refused by the portal.
 */
[[nodiscard]] bool account_ready(struct account *a, bool force, struct err *e);

/* How many more requests may start now, and whether a list call may. */
int account_room(const struct account *a, int64_t now);
bool account_may_list(struct account *a, int64_t now);

/*
 * The turn for a list call that was granted: it begins in_ms after a moment and lasts for_ms, and
 * all that is known of the moment is that it lies between `asked` and `told` (monotonic). It is
 * used only while it lasts whenever the moment was; a turn of which nothing is left then is none.
 */
void account_list_turn(struct account *a, int64_t asked, int64_t told, int64_t in_ms,
		       int64_t for_ms);

/* The next moment after now at which time alone opens the lane, INT64_MAX if none. */
int64_t account_opens_at(const struct account *a, int64_t now);

void account_start(struct account *a, int64_t now, bool list);
void account_end(struct account *a); /* a request ended, with whatever answer */
void account_overload(struct account *a, int64_t now);

/* The portal refused the token of this generation. */
void account_refused(struct account *a, int generation);

/*
 * A good answer came to a question of this moment (monotonic): whatever was counted against the
 * portal is forgotten, unless the question is older than the last hold. Such an answer says nothing
 * about the portal as it is now.
 */
void account_good(struct account *a, int64_t asked_ms);

/*
 * The portal as a whole asked or made us wait (wait_ms, or -1 when it named no time). `rate` tells
 * a 429 from trouble. Pauses the lane and logs it once a pause.
 */
void account_hold(struct account *a, int64_t wait_ms, bool rate, const char *rule);

/* One line about a token that will not live long, or is from elsewhere; false when all is well. */
bool account_warning(const struct account *a, char *out, size_t cap);

#endif
