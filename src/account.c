/*
 * account - token and quota of one portal user. The token itself never leaves this room but as the
 * value of a request header, and no part of it is ever logged.
 */
#include "account.h"

#include "log.h"
#include "metrics.h"
#include "portal.h"
#include "sys.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TOKEN_MAX = 8000, LOOK_EVERY_MS = 1000 };

static void skip_space(const char **text, size_t *len)
{
	while (*len && isspace((unsigned char)**text)) {
		++*text;
		--*len;
	}
}

/* Takes over a new token text; false when it cannot be a token at all. */
static bool take_token(struct account *a, const char *text, size_t len, struct err *e)
{
	skip_space(&text, &len);
	if (len > 7 && strncasecmp(text, "Bearer ", 7) == 0) {
		text += 7;
		len -= 7;
		skip_space(&text, &len);
	}
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (len == 0)
		return fail(e, ERR_DENIED, "the portal token is empty");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
			return fail(e, ERR_DENIED,
				    "the portal token holds a blank or a control character: only "
				    "the token itself belongs there");
	if (a->token && strlen(a->token) == len && memcmp(a->token, text, len) == 0)
		return true;
	struct portal_token facts = {.expires_ms = -1};
	struct err why;
	if (!portal_token_read(text, len, &facts, &why))
		log_warn("token unreadable", "account=%s why=\"%s\"", a->name, why.text);
	xfree(a->token);
	a->token = xstrndup(text, len);
	a->expires_ms = facts.expires_ms;
	a->foreign = facts.foreign;
	a->generation++;
	a->refused_at = 0;
	return true;
}

static bool same_file(const struct stat *x, const struct stat *y)
{
	return x->st_ino == y->st_ino && x->st_dev == y->st_dev && x->st_size == y->st_size &&
	       x->st_mtim.tv_sec == y->st_mtim.tv_sec && x->st_mtim.tv_nsec == y->st_mtim.tv_nsec;
}

/* Reads the token file if it changed since it was read last. */
static bool look(struct account *a, struct err *e)
{
	const char *path = a->config->portal_token_file;
	struct stat now;
	char *text = NULL;
	size_t len = 0;
	if (stat(path, &now) == 0 && a->token && same_file(&now, &a->seen))
		return true;
	if (!sys_read_file(path, TOKEN_MAX, &text, &len, e)) {
		e->kind = ERR_DENIED;
		return err_prefix(e, "portal_token_file: ");
	}
	bool ok = take_token(a, text, len, e) || err_prefix(e, "portal_token_file %s: ", path);
	a->seen = now;
	xfree(text);
	return ok;
}

bool account_init(struct account *a, const char *name, const struct config *c, struct err *e)
{
	*a = (struct account){.name = name, .config = c, .expires_ms = -1};
	lane_init(&a->lane, &(struct lane_options){.min = (int)c->portal_parallel_min,
						   .start = (int)c->portal_parallel,
						   .max = (int)c->portal_parallel_max,
						   .pace_ms = c->portal_pace,
						   .pause_ms = c->portal_pause,
						   .pause_max_ms = c->portal_pause_max});
	metric_set(METRIC_portal_parallel, c->portal_parallel);
	if (*c->portal_token_file)
		return look(a, e);
	if (*c->portal_token)
		return take_token(a, c->portal_token, strlen(c->portal_token), e);
	return fail(
		e, ERR_DENIED,
		"no portal token: set portal_token_file to the path of a file that holds one (see "
		"README, \"How to get a token\")");
}

void account_release(struct account *a)
{
	xfree(a->token);
	a->token = NULL;
}

/* Says what is wrong with the token, and where a new one belongs. */
static bool unusable(const struct account *a, const char *what, struct err *e)
{
	const char *file = a->config->portal_token_file;
	return fail(e, ERR_DENIED, "%s; %s%s", what,
		    *file ? "put a new one into " : "set a new portal_token", file);
}

bool account_ready(struct account *a, bool force, struct err *e)
{
	int64_t now = sys_mono_ms();
	if (*a->config->portal_token_file && (force || now - a->checked_at >= LOOK_EVERY_MS)) {
		struct err why;
		a->checked_at = now;
		bool seen = look(a, &why); /* a file that is being replaced must not end the work */
		if (!seen && !a->look_failed)
			log_warn("token file unusable", "account=%s why=\"%s\"", a->name, why.text);
		a->look_failed = !seen;
	}
	if (!a->token)
		return unusable(a, "there is no portal token", e);
	if (a->refused_at)
		return unusable(a, "the portal refused the token", e);
	if (a->expires_ms >= 0 && a->expires_ms <= sys_wall_ms()) {
		char when[25], what[64];
		sys_format_utc(a->expires_ms, when);
		snprintf(what, sizeof what, "the portal token expired at %s", when);
		return unusable(a, what, e);
	}
	return true;
}

void account_refused(struct account *a, int generation)
{
	if (generation != a->generation || a->refused_at)
		return;
	a->refused_at = sys_mono_ms();
	log_warn("token refused", "account=%s; a new one is needed", a->name);
}

/* ---- The lane, our own or a share of one ---- */

int account_room(const struct account *a, int64_t now)
{
	return a->share.on && now >= a->share.until ? 0 : lane_room(&a->lane, now);
}

bool account_may_list(struct account *a, int64_t now)
{
	struct account_share *s = &a->share;
	if (!s->on)
		return lane_may_list(&a->lane, now);
	if (a->lane.o.pace_ms == 0 || (now >= s->list_from && now <= s->list_until))
		return true;
	s->wants_list = s->list_from <= now; /* not while a turn of ours is still to come */
	return false;
}

void account_list_turn(struct account *a, int64_t asked, int64_t told, int64_t in_ms,
		       int64_t for_ms)
{
	struct account_share *s = &a->share;
	s->list_from = told + in_ms;
	s->list_until = asked + in_ms + for_ms;
	if (s->list_until < s->list_from)
		s->list_from = s->list_until = 0;
}

int64_t account_opens_at(const struct account *a, int64_t now)
{
	int64_t at = lane_opens_at(&a->lane, now);
	if (a->share.on && a->share.list_from > now && a->share.list_from < at)
		at = a->share.list_from;
	return at;
}

void account_start(struct account *a, int64_t now, bool list)
{
	lane_start(&a->lane, now, list && !a->share.on);
	if (list)
		a->share.list_from = a->share.list_until = 0;
}

void account_end(struct account *a)
{
	lane_end(&a->lane);
}

void account_overload(struct account *a, int64_t now)
{
	if (a->share.on)
		a->share.overload = true;
	else
		lane_halve(&a->lane, now);
	metric_set(METRIC_portal_parallel, (int64_t)a->lane.limit);
}

void account_good(struct account *a, int64_t asked_ms)
{
	if (asked_ms >= a->held_at) {
		a->troubles = 0;
		a->held_since = 0;
	}
	if (a->share.on)
		a->share.good++;
	else
		lane_good(&a->lane);
	metric_set(METRIC_portal_parallel, (int64_t)a->lane.limit);
}

void account_hold(struct account *a, int64_t wait_ms, bool rate, const char *rule)
{
	int64_t now = sys_mono_ms(), pause;
	if (wait_ms > LANE_WAIT_MAX_MS)
		wait_ms = LANE_WAIT_MAX_MS;
	if (rate)
		metric_add(METRIC_portal_rate_limited, 1);
	if (!a->held_since)
		a->held_since = now;
	a->held_at = now;
	if (a->share.on) {
		struct account_share *s = &a->share;
		s->held = true;
		if (wait_ms < 0)
			s->untimed = true;
		else if (now + wait_ms > s->held_until)
			s->held_until = now + wait_ms;
	}
	if (!lane_hold(&a->lane, now, wait_ms, &pause))
		return;
	if (!rate)
		a->troubles++;
	log_warn("portal pause", "account=%s why=%s pause_ms=%" PRId64, a->name, rule, pause);
}

bool account_warning(const struct account *a, char *out, size_t cap)
{
	int64_t left = a->expires_ms - sys_wall_ms();
	if (a->expires_ms >= 0 && left < a->config->portal_token_margin) {
		snprintf(out, cap, "the portal token expires in %" PRId64 " min %" PRId64 " s",
			 left / 60000, left / 1000 % 60);
		return true;
	}
	if (a->foreign) {
		snprintf(out, cap,
			 "the portal token was not issued by the portal's own realm; it will "
			 "probably be refused");
		return true;
	}
	return false;
}
