/*
 * fuzz_s3_xml - bytes as each answer of an S3 server. One body is at most one kind of answer; what
 * is read keeps its bounds, is the same when read again, and goes through our own writer and reader
 * unchanged.
 */
#include "s3_xml.h"

#include "replay.h"
#include "sys.h"

#include <string.h>

enum { OUT_MAX = 64 << 20 };

static void check_error(const char *body, size_t len, bool *is)
{
	struct s3_error e, again;
	*is = s3_read_error(body, len, &e);
	CHECK(s3_read_error(body, len, &again) == *is);
	CHECK(memcmp(&e, &again, sizeof e) == 0);
	CHECK(memchr(e.code, 0, sizeof e.code) && memchr(e.message, 0, sizeof e.message));
	CHECK(memchr(e.region, 0, sizeof e.region));
	CHECK((*e.code != '\0') == *is);
}

/* Keys as they are written and read again as the keys of a list. */
static void check_written(const struct s3_list *l)
{
	struct buf xml, list;
	struct s3_list back;
	struct err err;
	char **keys = xcalloc(l->n, sizeof *keys);
	for (size_t i = 0; i < l->n; i++)
		keys[i] = l->items[i].key;
	buf_init(&xml, OUT_MAX);
	buf_init(&list, OUT_MAX);
	s3_write_delete(&xml, "", keys, l->n);
	CHECK(!xml.overflow);
	buf_adds(&list, "<ListBucketResult>");
	for (const char *s = buf_str(&xml), *end; (s = strstr(s, "<Object>")); s = end) {
		s += 8;
		end = strstr(s, "</Object>");
		CHECK(end);
		buf_adds(&list, "<Contents>");
		buf_add(&list, s, (size_t)(end - s));
		buf_adds(&list, "</Contents>");
	}
	buf_adds(&list, "</ListBucketResult>");
	/* a carriage return is a line feed to any reader of XML: no key of ours holds one */
	bool ok = s3_read_list(buf_str(&list), list.len, &back, &err);
	CHECK(ok && back.n == l->n);
	for (size_t i = 0; i < l->n; i++)
		CHECK(strchr(keys[i], '\r') || strcmp(back.items[i].key, keys[i]) == 0);
	s3_list_release(&back);
	buf_release(&xml);
	buf_release(&list);
	xfree(keys);
}

static void check_list(const char *body, size_t len, bool *is)
{
	struct s3_list l;
	struct err e = {0};
	*is = s3_read_list(body, len, &l, &e);
	CHECK((e.kind == ERR_NONE) == *is);
	CHECK(*is || (!l.items && l.n == 0 && !l.next));
	if (!*is)
		return;
	CHECK(l.n <= 10000 && l.n <= len && strlen(l.next) <= 4096);
	CHECK(strlen(l.next_upload) <= 4096);
	for (size_t i = 0; i < l.n; i++) {
		CHECK(strlen(l.items[i].key) <= 4096 && strlen(l.items[i].upload_id) <= 4096);
		CHECK(strlen(l.items[i].etag) <= 4096);
	}
	check_written(&l);
	s3_list_release(&l);
	s3_list_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *body = (const char *)data;
	bool error, list;
	struct s3_error first;
	check_error(body, size, &error);
	check_list(body, size, &list);
	char *id = s3_read_upload_id(body, size), *etag = s3_read_completed(body, size);
	int deleted = s3_read_deleted(body, size, &first);
	CHECK((int)error + (int)list + (id != NULL) + (etag != NULL) + (deleted >= 0) <= 1);
	CHECK(!id || (*id && strlen(id) <= 4096));
	CHECK(!etag || strlen(etag) <= 4096);
	CHECK(deleted >= -1 && deleted <= (int)size);
	xfree(id);
	xfree(etag);
	return 0;
}
