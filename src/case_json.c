/*
 * case_json - see case_json.h. Names of members are those of the API; nothing is decided here.
 */
#include "case_json.h"

#include "filename.h"
#include "json_value.h"
#include "sys.h"

#include <string.h>

double case_progress(int64_t total, int64_t over, bool final)
{
	if (over >= total)
		return final || total > 0 ? 100.0 : 0.0;
	return (double)(over * 1000 / total) / 10.0;
}

/* Links are renewed in steps of a twelfth of their life, so that an answer stays the same in
 * between and If-None-Match can work. */
static int64_t step_ms(const struct doc_links *l)
{
	return l->ttl_ms / 12;
}

int64_t doc_links_expire_s(const struct doc_links *l, int64_t now_ms)
{
	return (now_ms / step_ms(l) * step_ms(l) + l->ttl_ms) / 1000;
}

int64_t doc_links_fresh_ms(const struct doc_links *l, int64_t now_ms)
{
	return (now_ms / step_ms(l) + 1) * step_ms(l);
}

char *doc_link(const struct doc_links *l, const struct doc_view *d, int64_t now_ms)
{
	char *name = filename_make((size_t)d->position, FILE_DIGITS, d->name, d->type, d->ext);
	int64_t expires = doc_links_expire_s(l, now_ms), ttl = l->ttl_ms / 1000;
	char *url = l->store->ops->link ? l->store->ops->link(l->store, d->object_key, name,
							      d->mime, expires - ttl, ttl)
					: link_make(l->base, l->secret,
						    &(struct link){.key = d->object_key,
								   .name = name,
								   .mime = d->mime,
								   .expires_s = expires});
	xfree(name);
	return url;
}

const char *doc_name(const struct doc_view *d)
{
	return *d->name ? d->name : "Documento sem nome";
}

const char *doc_id(const struct doc_view *d)
{
	return *d->origin_id ? d->origin_id : d->doc_id;
}

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

json_t *doc_json_thin(const struct doc_view *d)
{
	json_t *o = json_object();
	set(o, "id", json_value_text(doc_id(d)));
	set(o, "uuid", json_value_text(d->doc_id));
	set(o, "status", json_value_text(d->state));
	return o;
}

json_t *doc_json(const struct doc_links *l, const struct doc_view *d, int64_t now_ms)
{
	bool got = strcmp(d->state, "available") == 0;
	char *url = got ? doc_link(l, d, now_ms) : NULL;
	json_t *o = json_object();
	set(o, "id", json_value_text(doc_id(d)));
	set(o, "uuid", json_value_text(d->doc_id));
	set(o, "name", json_value_text(doc_name(d)));
	set(o, "type", json_value_text(d->type));
	set(o, "status", json_value_text(d->state));
	set(o, "reason", json_value_text(d->reason));
	set(o, "size", json_value_count(d->size));
	set(o, "mime_type", json_value_text(d->mime));
	set(o, "sha256", json_value_text(d->sha256));
	set(o, "download_url", json_value_text(url));
	set(o, "expires_at",
	    got ? json_value_time(doc_links_expire_s(l, now_ms) * 1000) : json_null());
	xfree(url);
	return o;
}
