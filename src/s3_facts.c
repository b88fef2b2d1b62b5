/*
 * s3_facts - see s3_facts.h. Knows no file.
 */
#include "s3_facts.h"

#include "sys.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct flag {
	const char *name;
	size_t offset;
	const char *words; /* for people */
};

#define AT(member) offsetof(struct s3_facts, member)

static const struct flag flags[] = {
	{"only_new", AT(only_new), "conditional writes"},
	{"checks_md5", AT(checks_md5), "MD5 checked"},
	{"checks_sha256", AT(checks_sha256), "SHA-256 checked"},
	{"etag_is_md5", AT(etag_is_md5), "ETag comparable"},
	{"may_list", AT(may_list), "listing"},
	{"may_list_uploads", AT(may_list_uploads), "listing of uploads"},
	{"may_delete", AT(may_delete), "deleting"},
};

enum { FLAGS = sizeof flags / sizeof *flags };

static bool *flag_of(struct s3_facts *f, size_t i)
{
	return (bool *)((char *)f + flags[i].offset);
}

char *s3_facts_write(const struct s3_facts *f, const char *place)
{
	struct s3_facts copy = *f;
	json_t *o = json_pack("{s:s, s:I, s:I}", "place", place, "probed_ms",
			      (json_int_t)f->probed_ms, "skew_ms", (json_int_t)f->skew_ms);
	for (size_t i = 0; i < FLAGS; i++)
		json_object_set_new(o, flags[i].name, json_boolean(*flag_of(&copy, i)));
	char *text = json_dumps(o, JSON_INDENT(2));
	char *out = xasprintf("%s\n", text ? text : "{}");
	free(text);
	json_decref(o);
	return out;
}

bool s3_facts_read(const char *json, size_t len, const char *place, struct s3_facts *out)
{
	json_t *o = json_loadb(json, len, 0, NULL);
	const char *where = json_string_value(json_object_get(o, "place"));
	*out = (struct s3_facts){0};
	bool ok = where && strcmp(where, place) == 0;
	if (ok) {
		out->probed_ms = json_integer_value(json_object_get(o, "probed_ms"));
		out->skew_ms = json_integer_value(json_object_get(o, "skew_ms"));
		for (size_t i = 0; i < FLAGS; i++)
			*flag_of(out, i) = json_is_true(json_object_get(o, flags[i].name));
	}
	json_decref(o);
	return ok && out->probed_ms > 0;
}

void s3_facts_show(const struct s3_facts *f, struct buf *out)
{
	struct s3_facts copy = *f;
	for (size_t i = 0; i < FLAGS; i++)
		buf_addf(out, "%s%s %s", i ? ", " : "", flags[i].words,
			 *flag_of(&copy, i) ? "yes" : "no");
	int64_t ms = f->skew_ms < 0 ? -f->skew_ms : f->skew_ms;
	if (ms < 2000)
		buf_adds(out, ", clocks agree");
	else
		buf_addf(out, ", our clock %" PRId64 " s %s the server's", ms / 1000,
			 f->skew_ms < 0 ? "ahead of" : "behind");
}
