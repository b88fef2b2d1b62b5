/*
 * api_file - stored documents for whoever has a link, and fresh links.
 *
 * What is stored came from strangers: it is sent so that no browser runs it as a page of ours (RFC
 * 9110, 14: ranges; RFC 6266: names).
 */
#include "api_call.h"

#include "sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The key from the path: the segments behind "files", of the characters that keys are made of. */
static bool read_key(const struct target *t, char *out, size_t cap)
{
	size_t len = 0;
	for (size_t i = 1; i < t->nsegments; i++) {
		const char *s = t->segments[i];
		size_t n = strlen(s);
		if (strspn(s,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") !=
			    n ||
		    *s == '.' || len + n + 2 > cap)
			return false;
		if (len)
			out[len++] = '/';
		memcpy(out + len, s, n);
		len += n;
	}
	out[len] = '\0';
	return len > 0;
}

static void file_headers(struct api_call *c, const struct link *l)
{
	char *shown = head_disposition("attachment", l->name);
	api_header(c, "Content-Disposition", "%s", shown);
	xfree(shown);
	api_header(c, "Content-Security-Policy",
		   "sandbox; default-src 'none'; frame-ancestors 'none'");
	api_header(c, "Cross-Origin-Resource-Policy", "cross-origin");
	api_header(c, "Cache-Control", "private, max-age=300");
	api_header(c, "Accept-Ranges", "bytes");
}

/* A media type is sent as it was stored, if it has the form of one. */
static const char *safe_type(const char *mime)
{
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/.+-";
	bool good = *mime && strlen(mime) < 100 && strspn(mime, allowed) == strlen(mime);
	return good ? mime : "application/octet-stream";
}

static enum api_step send_part(struct api_call *c, const struct link *l, const char *etag, int fd,
			       int64_t size)
{
	int64_t from = 0, len = size;
	const char *asked = api_request_header(c->request, "Range");
	enum range r = head_range(asked, size, &from, &len);
	/* RFC 9110, 13.1.5: with another tag, or a date, it is sent whole. */
	const char *part_of = api_request_header(c->request, "If-Range");
	if (part_of && strcmp(part_of, etag) != 0)
		r = RANGE_ALL;
	if (r == RANGE_NONE) {
		close(fd);
		api_header(c, "Content-Range", "bytes */%" PRId64, size);
		return api_problem(c, "range-not-satisfiable", "the file has %" PRId64 " bytes",
				   size);
	}
	if (r == RANGE_ALL) {
		from = 0;
		len = size;
	} else {
		api_header(c, "Content-Range", "bytes %" PRId64 "-%" PRId64 "/%" PRId64, from,
			   from + len - 1, size);
	}
	file_headers(c, l);
	api_header(c, "ETag", "%s", etag);
	api_header(c, "Content-Type", "%s", safe_type(l->mime));
	c->res.status = r == RANGE_PART ? 206 : 200;
	c->res.fd = fd;
	c->res.offset = from;
	c->res.length = len;
	return API_DONE;
}

/* An object never changes, and one that is stored again after its case was erased is most likely of
 * another size or time. */
static void object_tag(const char *key, int64_t size, char out[static 80])
{
	char hash[65];
	sha256_hex(key, strlen(key), hash);
	head_etag(out, "%.32s-%" PRId64, hash, size);
}

/* The parts of a link. False: the answer is made. */
static bool read_link(struct api_call *c, char *key, size_t cap, struct link *l)
{
	const char *expires = target_get(&c->target, "expires");
	*l = (struct link){.key = key,
			   .name = target_get(&c->target, "name"),
			   .mime = target_get(&c->target, "type")};
	if (!c->api->o.store->ops->open_object || !read_key(&c->target, key, cap)) {
		api_problem(c, "not-found", "there is nothing at this address");
		return false;
	}
	if (!expires || !*expires || strlen(expires) > 15 ||
	    strspn(expires, "0123456789") != strlen(expires) || !l->name || !l->mime ||
	    !target_get(&c->target, "signature")) {
		api_problem(c, "invalid-parameter",
			    "a link has the parameters name, type, expires and signature");
		return false;
	}
	l->expires_s = strtoll(expires, NULL, 10);
	return true;
}

enum api_step route_get_file(struct api_call *c)
{
	struct err e;
	char key[512];
	int fd = -1;
	int64_t size = 0;
	char etag[80];
	struct link l;
	if (!read_link(c, key, sizeof key, &l))
		return API_DONE;
	if (!link_check(c->api->link_secret, &l, target_get(&c->target, "signature"),
			sys_wall_ms() / 1000, &e))
		return api_problem(c, "invalid-link", "%s", e.text);
	if (!store_open_object(c->api->o.store, key, &fd, &size, &e))
		return api_store_error(c, &e, "not-found");
	object_tag(key, size, etag);
	const char *known = api_request_header(c->request, "If-None-Match");
	if (known && head_none_match(known, etag)) {
		close(fd);
		api_header(c, "ETag", "%s", etag);
		c->res.status = 304;
		return API_DONE;
	}
	return send_part(c, &l, etag, fd, size);
}

/* ---- GET /processes/{n}/documents/{id}/content ---- */

enum api_step route_get_content(struct api_call *c)
{
	struct err e;
	if (!api_case_number(c))
		return API_DONE;
	struct db *db = api_reader(c->api, &e);
	bool ok = db && query_case(db, c->number.digits, &c->view, &e);
	api_reader_back(c->api, db);
	if (!ok)
		return api_error(c, &e);
	const struct doc_view *d = view_find_document(&c->view, c->args[1]);
	if (!d)
		return api_problem(c, "document-not-found", "the case holds no such document");
	if (strcmp(d->state, "available") != 0)
		return api_problem(c, "document-not-stored", "this document is %s%s%s", d->state,
				   *d->error ? ": " : "", d->error);
	char *url = view_link(c->api, d, sys_wall_ms());
	api_header(c, "Location", "%s", url);
	xfree(url);
	c->res.status = 302;
	return API_DONE;
}
