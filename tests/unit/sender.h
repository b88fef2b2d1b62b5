/*
 * sender - the thread that sends, on the database of a room of jobs.h, which has no connection of
 * its own that writes meanwhile.
 */
#ifndef AUTOS_SENDER_H
#define AUTOS_SENDER_H

#include "dispatch.h"

#include "jobs.h"

#include <poll.h>

struct sender {
	struct config config;
	struct ledger *ledger;
	struct store *store;
	struct dispatch *dispatch;
	struct db *look; /* for reading */
};

/* `settings`: key, value, key, value, NULL. */
static inline void sender_start(struct sender *s, struct room *r, const char *const *settings)
{
	struct err e = {0};
	char *objects = xasprintf("dir:%s/objects", r->dir);
	db_close(r->db);
	r->db = NULL;
	config_init(&s->config);
	assert_true(config_set(&s->config, "database_url", r->url, CONFIG_COMMAND_LINE, &e));
	for (; *settings; settings += 2)
		assert_true(
			config_set(&s->config, settings[0], settings[1], CONFIG_COMMAND_LINE, &e));
	s->ledger = ledger_open(r->url, &e);
	s->store = store_open(&s->config, objects, STORE_WRITE, &e);
	s->look = db_open(r->url, DB_READ, &e);
	assert_true(s->ledger && s->store && s->look);
	s->dispatch = dispatch_start(&(struct dispatch_options){.config = &s->config,
								.ledger = s->ledger,
								.store = s->store,
								.base_url = "http://127.0.0.1"},
				     &e);
	if (!s->dispatch)
		fail_msg("%s", e.text);
	xfree(objects);
}

/* Until nothing is counted any more. */
static inline void sender_until_none(struct sender *s, const char *sql)
{
	while (database_int(s->look, sql) > 0)
		poll(NULL, 0, 5);
}

static inline void sender_stop(struct sender *s, struct room *r)
{
	struct err e;
	dispatch_free(s->dispatch);
	db_close(s->look);
	store_close(s->store);
	ledger_close(s->ledger);
	config_release(&s->config);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
}

#endif
