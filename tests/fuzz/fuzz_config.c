/*
 * Settings files from any bytes. An error is one line that names a line of the file; what is taken
 * lies within its range and is shown in a way that can be written again.
 */
#include "replay.h"

#include "config.h"

#include <string.h>

static void check_error(const struct err *e)
{
	CHECK(e->kind == ERR_INPUT && e->text[0]);
	CHECK(strncmp(e->text, "fuzz.conf line ", 15) == 0);
	CHECK(strtol(e->text + 15, NULL, 10) > 0);
	for (const char *s = e->text; *s; s++)
		CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void check_values(const struct config *c)
{
	struct config fresh;
	struct err e;
	config_init(&fresh);
	for (size_t i = 0; i < config_count(); i++) {
		char range[100], shown[64], again[64];
		config_range(i, range, sizeof range);
		if (!strstr(range, " to ")) /* text, a path, an address, a level */
			continue;
		config_show(c, i, shown, sizeof shown);
		CHECK(config_set(&fresh, config_key(i), shown, CONFIG_FILE, &e));
		config_show(&fresh, i, again, sizeof again);
		CHECK(strcmp(shown, again) == 0);
	}
	config_release(&fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	struct err e = {0};
	config_init(&c);
	if (!config_parse(&c, (const char *)data, size, "fuzz.conf", &e))
		check_error(&e);
	check_values(&c);
	config_release(&c);
	return 0;
}
