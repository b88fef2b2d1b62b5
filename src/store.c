/*
 * store - the choice of a driver.
 */
#include "store.h"

#include <string.h>

static const struct store_ops *const drivers[] = {&store_dir};

struct store *store_open(const char *url, bool write, struct err *e)
{
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
		size_t n = strlen(drivers[i]->scheme);
		if (strncmp(url, drivers[i]->scheme, n) == 0 && url[n] == ':')
			return drivers[i]->open(url + n + 1, write, e);
	}
	fail(e, ERR_INPUT, "store_url: no driver for '%.*s'", (int)strcspn(url, ":"), url);
	return NULL;
}

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

void store_put(struct store *s, struct put **puts, size_t n)
{
	s->ops->put(s, puts, n);
}

bool store_read(struct store *s, const char *key, store_sink *sink, void *arg, struct err *e)
{
	return s->ops->read(s, key, sink, arg, e);
}

bool store_copy_out(struct store *s, const char *key, const char *path, struct err *e)
{
	return s->ops->copy_out(s, key, path, e);
}

bool store_open_object(struct store *s, const char *key, int *fd, int64_t *size, struct err *e)
{
	return s->ops->open_object(s, key, fd, size, e);
}

bool store_erase(struct store *s, const char *folder, struct err *e)
{
	return s->ops->erase(s, folder, e);
}

bool store_check(struct store *s, struct err *e)
{
	return s->ops->check(s, e);
}
