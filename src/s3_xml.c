/*
 * s3_xml - see s3_xml.h. One reader for all answers: it hands each element's text to the fact that
 * bears its name, inside the list element that is open.
 */
#include "s3_xml.h"

#include "sys.h"

#include <expat.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_MAX = 4096, DEPTH_MAX = 16, ITEMS_MAX = 10000 };

struct reader {
	XML_Parser parser;
	struct s3_list list;
	struct s3_error error; /* the first */
	int errors;
	char *upload_id, *etag; /* outside list elements */
	char root[64];
	int depth;
	int item_depth;  /* of the open list element, 0 = none */
	struct buf text; /* of the element that ends next */
	bool cut;        /* it is longer */
	bool bad;
};

static bool is_item(const char *name)
{
	return strcmp(name, "Contents") == 0 || strcmp(name, "Upload") == 0 ||
	       strcmp(name, "Part") == 0;
}

static void set(char **at, const char *value)
{
	xfree(*at);
	*at = xstrdup(value);
}

char *s3_plain_etag(const char *said)
{
	size_t n = strlen(said);
	bool quoted = n >= 2 && said[0] == '"' && said[n - 1] == '"';
	return quoted ? xstrndup(said + 1, n - 2) : xstrdup(said);
}

static void set_etag(char **at, const char *value)
{
	xfree(*at);
	*at = s3_plain_etag(value);
}

/* "2009-10-12T17:50:30.000Z" as milliseconds since 1970, 0 when it is not that. */
static int64_t read_time(const char *s)
{
	struct tm tm = {0};
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	return rest ? (int64_t)timegm(&tm) * 1000 : 0;
}

static struct s3_item *add_item(struct s3_list *l)
{
	l->items = xgrow(l->items, l->n, &l->cap, sizeof *l->items);
	l->items[l->n] = (struct s3_item){
		.key = xstrdup(""), .upload_id = xstrdup(""), .etag = xstrdup(""), .size = -1};
	return &l->items[l->n++];
}

/* ---- What expat calls ---- */

static void XMLCALL on_start(void *arg, const char *name, const char **attributes)
{
	struct reader *r = arg;
	(void)attributes;
	buf_clear(&r->text);
	r->cut = false;
	bool item = r->depth == 1 && is_item(name);
	if (++r->depth > DEPTH_MAX || (item && r->list.n == ITEMS_MAX)) {
		r->bad = true;
		XML_StopParser(r->parser, XML_FALSE);
		return;
	}
	if (r->depth == 1)
		snprintf(r->root, sizeof r->root, "%.63s", name);
	if (strcmp(name, "Error") == 0)
		r->errors++;
	if (item) {
		add_item(&r->list);
		r->item_depth = r->depth;
	}
}

static void XMLCALL on_text(void *arg, const char *s, int len)
{
	struct reader *r = arg;
	size_t room = TEXT_MAX - r->text.len, n = (size_t)len;
	r->cut = r->cut || n > room;
	buf_add(&r->text, s, n < room ? n : room);
}

/* No answer of S3 has a document type; entities are the way to make a small text a large one. */
static void XMLCALL on_doctype(void *arg, const char *name, const char *system_id,
			       const char *public_id, int internal)
{
	struct reader *r = arg;
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)internal;
	r->bad = true;
	XML_StopParser(r->parser, XML_FALSE);
}

static void item_text(struct s3_item *i, const char *name, const char *text)
{
	if (strcmp(name, "Key") == 0)
		set(&i->key, text);
	else if (strcmp(name, "UploadId") == 0)
		set(&i->upload_id, text);
	else if (strcmp(name, "ETag") == 0)
		set_etag(&i->etag, text);
	else if (strcmp(name, "Size") == 0)
		i->size = strtoll(text, NULL, 10);
	else if (strcmp(name, "PartNumber") == 0)
		i->number = (int)strtol(text, NULL, 10);
	else if (strcmp(name, "Initiated") == 0)
		i->initiated_ms = read_time(text);
}

static void error_text(struct reader *r, const char *name, const char *text)
{
	struct s3_error *e = &r->error;
	if (r->errors != 1)
		return;
	if (strcmp(name, "Code") == 0)
		snprintf(e->code, sizeof e->code, "%s", text);
	else if (strcmp(name, "Message") == 0)
		snprintf(e->message, sizeof e->message, "%s", text);
	else if (strcmp(name, "Region") == 0)
		snprintf(e->region, sizeof e->region, "%s", text);
	else if (strcmp(name, "ServerTime") == 0)
		e->server_ms = read_time(text);
}

static void page_text(struct reader *r, const char *name, const char *text)
{
	if (strcmp(name, "IsTruncated") == 0)
		r->list.truncated = strcmp(text, "true") == 0;
	else if (strcmp(name, "NextContinuationToken") == 0 || strcmp(name, "NextKeyMarker") == 0 ||
		 strcmp(name, "NextPartNumberMarker") == 0)
		set(&r->list.next, text);
	else if (strcmp(name, "NextUploadIdMarker") == 0)
		set(&r->list.next_upload, text);
	else if (strcmp(name, "UploadId") == 0)
		set(&r->upload_id, text);
	else if (strcmp(name, "ETag") == 0)
		set_etag(&r->etag, text);
}

static void XMLCALL on_end(void *arg, const char *name)
{
	struct reader *r = arg;
	const char *text = buf_str(&r->text);
	/* An error may be long: a refused signature comes with all that was signed. What is read of
	 * it is cut anyway; what is read of a list must be whole. */
	if (r->errors) {
		error_text(r, name, text);
	} else if (r->cut) {
		r->bad = true;
	} else if (r->item_depth && r->depth == r->item_depth + 1) {
		item_text(&r->list.items[r->list.n - 1], name, text);
	} else if (r->depth == 2 && r->depth != r->item_depth) {
		page_text(r, name, text);
	}
	if (r->depth == r->item_depth)
		r->item_depth = 0;
	r->depth--;
	buf_clear(&r->text);
	r->cut = false;
}

/* ---- Reading ---- */

/* False when it is not well-formed XML; *r holds what was found and must be released. */
static bool read_xml(const char *body, size_t len, struct reader *r)
{
	*r = (struct reader){.list = {.next = xstrdup(""), .next_upload = xstrdup("")}};
	buf_init(&r->text, TEXT_MAX);
	/* Blanks keep a connection alive while the server works; XML allows none at the begin. */
	while (len && strchr(" \t\r\n", *body) && *body) {
		body++;
		len--;
	}
	r->parser = XML_ParserCreate(NULL);
	if (!r->parser)
		die("expat: out of memory");
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	bool ok = len <= INT32_MAX && XML_Parse(r->parser, body, (int)len, 1) == XML_STATUS_OK;
	XML_ParserFree(r->parser);
	buf_release(&r->text);
	return ok && !r->bad;
}

static void reader_release(struct reader *r)
{
	s3_list_release(&r->list);
	xfree(r->upload_id);
	xfree(r->etag);
}

bool s3_read_error(const char *body, size_t len, struct s3_error *out)
{
	struct reader r;
	bool ok = read_xml(body, len, &r) && strcmp(r.root, "Error") == 0 && *r.error.code;
	*out = ok ? r.error : (struct s3_error){0};
	reader_release(&r);
	return ok;
}

bool s3_read_list(const char *body, size_t len, struct s3_list *out, struct err *e)
{
	static const char *const roots[] = {"ListBucketResult", "ListMultipartUploadsResult",
					    "ListPartsResult"};
	struct reader r;
	bool ok = read_xml(body, len, &r), known = false;
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
		known = known || strcmp(r.root, roots[i]) == 0;
	*out = (struct s3_list){0};
	if (ok && known) {
		*out = r.list;
		r.list = (struct s3_list){0};
	}
	reader_release(&r);
	return (ok && known) || fail(e, ERR_FAIL, "the S3 server's list cannot be read");
}

void s3_list_release(struct s3_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		xfree(l->items[i].key);
		xfree(l->items[i].upload_id);
		xfree(l->items[i].etag);
	}
	xfree(l->items);
	xfree(l->next);
	xfree(l->next_upload);
	*l = (struct s3_list){0};
}

bool s3_list_is_below(const struct s3_list *l, const char *prefix, const char *folder,
		      struct err *e)
{
	size_t n = strlen(prefix), m = strlen(folder);
	for (size_t i = 0; i < l->n; i++) {
		const char *key = l->items[i].key;
		/* Other people's names for what they store belong in no log. */
		if (strncmp(key, prefix, n) != 0 || strncmp(key + n, folder, m) != 0)
			return fail(e, ERR_FAIL,
				    "the S3 server's list of %s%s names a key that is not below it",
				    prefix, folder);
	}
	return true;
}

/* One fact of an answer with this root: "" when it is not said, NULL when it is no such answer. */
static char *read_one(const char *body, size_t len, const char *root, bool etag)
{
	struct reader r;
	char *value = NULL;
	if (read_xml(body, len, &r) && strcmp(r.root, root) == 0 && !r.errors) {
		const char *said = etag ? r.etag : r.upload_id;
		value = xstrdup(said ? said : "");
	}
	reader_release(&r);
	return value;
}

char *s3_read_upload_id(const char *body, size_t len)
{
	char *id = read_one(body, len, "InitiateMultipartUploadResult", false);
	if (id && *id)
		return id;
	xfree(id);
	return NULL;
}

char *s3_read_completed(const char *body, size_t len)
{
	return read_one(body, len, "CompleteMultipartUploadResult", true);
}

int s3_read_deleted(const char *body, size_t len, struct s3_error *first)
{
	struct reader r;
	bool ok = read_xml(body, len, &r) && strcmp(r.root, "DeleteResult") == 0;
	int errors = ok ? r.errors : -1;
	*first = r.error;
	reader_release(&r);
	return errors;
}

/* ---- Writing ---- */

static void add_escaped(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '&')
			buf_adds(out, "&amp;");
		else if (*s == '<')
			buf_adds(out, "&lt;");
		else if (*s == '>')
			buf_adds(out, "&gt;");
		else if (*s == '"')
			buf_adds(out, "&quot;");
		else
			buf_add(out, s, 1);
	}
}

void s3_write_complete(struct buf *out, char *const *etags, size_t n)
{
	buf_adds(out, "<CompleteMultipartUpload>");
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "<Part><PartNumber>%zu</PartNumber><ETag>&quot;", i + 1);
		add_escaped(out, etags[i]);
		buf_adds(out, "&quot;</ETag></Part>");
	}
	buf_adds(out, "</CompleteMultipartUpload>");
}

void s3_write_delete(struct buf *out, const char *prefix, char *const *keys, size_t n)
{
	buf_adds(out, "<Delete><Quiet>true</Quiet>");
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, "<Object><Key>");
		add_escaped(out, prefix);
		add_escaped(out, keys[i]);
		buf_adds(out, "</Key></Object>");
	}
	buf_adds(out, "</Delete>");
}
