/*
 * Request targets: whatever is taken is text without surprises, and written again it gives the
 * same.
 */
#include "replay.h"

#include "sys.h"
#include "target.h"
#include "text.h"

#include <string.h>

static void check_text(const struct target *t, const char *s)
{
	size_t len = strlen(s);
	CHECK(!*s || (s >= t->text && s + len <= t->text + TARGET_MAX));
	CHECK(utf8_valid(s));
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		uint32_t c = utf8_next(&p);
		CHECK(c >= 0x20 && (c < 0x7f || c >= 0xa0));
	}
}

static void check(const struct target *t)
{
	CHECK(t->nsegments <= TARGET_SEGMENTS && t->nparameters <= TARGET_PARAMETERS);
	CHECK(t->nsegments || !t->trailing_slash);
	for (size_t i = 0; i < t->nsegments; i++) {
		check_text(t, t->segments[i]);
		CHECK(*t->segments[i]);
		CHECK(strcmp(t->segments[i], ".") != 0 && strcmp(t->segments[i], "..") != 0);
	}
	for (size_t i = 0; i < t->nparameters; i++) {
		check_text(t, t->parameters[i].name);
		check_text(t, t->parameters[i].value);
		const char *value = target_get(t, t->parameters[i].name);
		CHECK(value);
		size_t last = i;
		for (size_t k = i; k < t->nparameters; k++)
			if (strcmp(t->parameters[k].name, t->parameters[i].name) == 0)
				last = k;
		CHECK(value == t->parameters[last].value);
	}
}

static void write_again(const struct target *t, struct buf *out)
{
	for (size_t i = 0; i < t->nsegments; i++) {
		buf_adds(out, "/");
		percent_add(out, t->segments[i], strlen(t->segments[i]), "");
	}
	if (t->trailing_slash || !t->nsegments)
		buf_adds(out, "/");
	for (size_t i = 0; i < t->nparameters; i++) {
		buf_adds(out, i ? "&" : "?");
		percent_add(out, t->parameters[i].name, strlen(t->parameters[i].name), "");
		buf_adds(out, "=");
		percent_add(out, t->parameters[i].value, strlen(t->parameters[i].value), "");
	}
}

static void check_same(const struct target *a, const struct target *b)
{
	CHECK(a->nsegments == b->nsegments && a->nparameters == b->nparameters);
	CHECK(a->trailing_slash == b->trailing_slash);
	for (size_t i = 0; i < a->nsegments; i++)
		CHECK(strcmp(a->segments[i], b->segments[i]) == 0);
	for (size_t i = 0; i < a->nparameters; i++) {
		CHECK(strcmp(a->parameters[i].name, b->parameters[i].name) == 0);
		CHECK(strcmp(a->parameters[i].value, b->parameters[i].value) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *raw = xstrndup((const char *)data, size);
	struct target t, again;
	struct err e = {0};
	if (target_parse(raw, &t, &e)) {
		struct buf written;
		buf_init(&written, 4 * TARGET_MAX);
		check(&t);
		write_again(&t, &written);
		CHECK(!written.overflow);
		if (written.len <= TARGET_MAX) {
			CHECK(target_parse(buf_str(&written), &again, &e));
			check_same(&t, &again);
			target_release(&again);
		}
		buf_release(&written);
	} else {
		CHECK(e.kind == ERR_INPUT && e.text[0]);
	}
	target_release(&t);
	CHECK(!t.text && !t.nsegments);
	xfree(raw);
	return 0;
}
