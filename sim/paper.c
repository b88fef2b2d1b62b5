/*
 * paper - generators of every kind of document but PDF, and the table of kinds.
 *
 * Each generator writes a small head and tail by hand and leaves the rest to the filler of `body`
 * in a place where its format allows any bytes: a comment, an unused box, the text itself.
 */
#include "paper.h"

#include "mix.h"
#include "paper_pdf.h"
#include "text.h"

#include <assert.h>
#include <string.h>

enum { SMALL_MAX = 256 * 1024, IMAGE_MAX = 60 * 1024, TEXT_HEAD_MAX = 12000 };

static const struct {
	const char *name, *sent, *declared, *mime, *ext;
} kinds[KIND_COUNT] = {
	[KIND_PDF] = {"pdf", "application/pdf", "application/pdf", "application/pdf", "pdf"},
	[KIND_HTML] = {"html", "text/html", "text/html", "text/html", "html"},
	[KIND_HTML_FRAGMENT] = {"html-fragment", "text/html", "TEXT_HTML", "text/html", "html"},
	[KIND_HTML_21] = {"html-21", "text/html", "text/html", "text/html", "html"},
	[KIND_HTML_127] = {"html-127", "text/html;charset=UTF-8", "text/html", "text/html", "html"},
	[KIND_RTF] = {"rtf", "text/richtext", "text/richtext", "text/rtf", "rtf"},
	[KIND_JPEG] = {"jpeg", "image/jpeg", "image/jpeg", "image/jpeg", "jpg"},
	[KIND_PNG] = {"png", "image/png", "image/png", "image/png", "png"},
	[KIND_MP4] = {"mp4", "video/mp4", "video/mp4", "video/mp4", "mp4"},
	[KIND_TEXT] = {"text", "text/plain", "text/plain", "text/plain", "txt"},
	[KIND_BYTES] = {"bytes", "application/octet-stream", "application/octet-stream",
			"application/octet-stream", "bin"},
	[KIND_JUNK] = {"junk", "application/pdf", "application/pdf", "application/octet-stream",
		       "bin"},
};

const char *paper_sent_type(enum kind kind)
{
	return kinds[kind].sent;
}

const char *paper_declared_type(enum kind kind)
{
	return kinds[kind].declared;
}

const char *paper_mime(enum kind kind)
{
	return kinds[kind].mime;
}

const char *paper_ext(enum kind kind)
{
	return kinds[kind].ext;
}

const char *paper_kind_name(enum kind kind)
{
	return kinds[kind].name;
}

static uint64_t room(uint64_t size, const struct buf *head, const struct buf *tail)
{
	uint64_t used = head->len + tail->len;
	return size > used ? size - used : 0;
}

/* Sentences until about `until` bytes are written, never more than TEXT_HEAD_MAX. */
static void sentences(struct buf *out, uint64_t stamp, uint64_t until, enum text_as as,
		      const char *between)
{
	struct mix m = {.state = stamp};
	if (until > TEXT_HEAD_MAX)
		until = TEXT_HEAD_MAX;
	do {
		text_sentence(out, &m, as);
		buf_adds(out, between);
	} while (out->len < until);
}

static void make_html(uint64_t stamp, uint64_t size, bool fragment, struct body *out)
{
	struct buf head, tail;
	buf_init(&head, SMALL_MAX);
	buf_init(&tail, SMALL_MAX);
	if (fragment)
		buf_adds(&head, "<div class=\"documento\" style=\"text-align:justify\">\n");
	else
		buf_adds(&head,
			 "<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\">\n"
			 "<html><head><meta http-equiv=\"Content-Type\" "
			 "content=\"text/html; charset=ISO-8859-1\">\n<title>Decisão</title>\n"
			 "<script type=\"text/javascript\">var sintetico = true;</script></head>\n"
			 "<body><img src=\"img/brasao.png\" alt=\"Bras&atilde;o\">\n");
	buf_addf(&head, "<p>Documento sintético %016llx</p>\n<p>", (unsigned long long)stamp);
	sentences(&head, stamp, size / 2, TEXT_HTML, "</p>\n<p>");
	buf_adds(&head, "Certid&atilde;o &mdash; ju&iacute;zo simulado</p>\n<!-- ");
	buf_adds(&tail, fragment ? " -->\n</div>\n" : " -->\n</body></html>\n");
	body_init(out, &head, room(size, &head, &tail), BODY_FILL_TEXT, stamp, &tail);
}

/* Tiny pages are legitimate on the portal: exactly `want` bytes, told apart by their stamp. */
static void make_tiny_html(uint64_t stamp, size_t want, struct body *out)
{
	struct buf head;
	buf_init(&head, SMALL_MAX);
	buf_addf(&head, want < 100 ? "<p>%06llx" : "<p>Ato sintético %06llx ",
		 (unsigned long long)(stamp & 0xffffff));
	while (head.len < want - 4)
		buf_adds(&head, ".");
	buf_adds(&head, "</p>");
	assert(head.len == want);
	body_init(out, &head, 0, BODY_FILL_TEXT, stamp, NULL);
}

static void make_rtf(uint64_t stamp, uint64_t size, struct body *out)
{
	struct buf head, tail;
	buf_init(&head, SMALL_MAX);
	buf_init(&tail, SMALL_MAX);
	buf_adds(
		&head,
		"{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0 Times New Roman;}}\n\\f0\\fs24 ");
	buf_addf(&head, "Documento %016llx\\par\n", (unsigned long long)stamp);
	sentences(&head, stamp, size / 2, TEXT_RTF, "\\par\n");
	buf_adds(&tail, "\\par\n}\n");
	body_init(out, &head, room(size, &head, &tail), BODY_FILL_TEXT, stamp, &tail);
}

static void make_text(uint64_t stamp, uint64_t size, struct body *out)
{
	struct buf head, tail;
	buf_init(&head, SMALL_MAX);
	buf_init(&tail, SMALL_MAX);
	buf_addf(&head, "Termo sintético %016llx\n", (unsigned long long)stamp);
	sentences(&head, stamp, size / 2, TEXT_PLAIN, "\n");
	buf_adds(&tail, "\n");
	body_init(out, &head, room(size, &head, &tail), BODY_FILL_TEXT, stamp, &tail);
}

static void add_be(struct buf *out, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--) {
		char c = (char)((v >> (8 * i)) & 0xff);
		buf_add(out, &c, 1);
	}
}

/* A baseline JPEG of one grey pixel block; padding sits in a comment segment. */
static void make_jpeg(uint64_t stamp, uint64_t size, struct body *out)
{
	static const char before[] = "\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
	static const char after[] = "\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0"
				    "\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				    "\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				    "\xff\xda\0\x08\x01\x01\0\0\x3f\0\x3f\xff\xd9";
	struct buf head, tail;
	buf_init(&head, SMALL_MAX);
	buf_init(&tail, SMALL_MAX);
	buf_add(&head, before, sizeof before - 1);
	buf_adds(&head, "\xff\xdb");
	add_be(&head, 67, 2);
	buf_add(&head, "\0", 1);
	for (int i = 0; i < 64; i++)
		buf_add(&head, "\x10", 1);
	buf_add(&tail, after, sizeof after - 1);
	if (size > IMAGE_MAX)
		size = IMAGE_MAX;
	uint64_t mass = room(size, &head, &tail);
	if (mass < BODY_STAMP_LEN)
		mass = BODY_STAMP_LEN;
	buf_adds(&head, "\xff\xfe");
	add_be(&head, mass + 2, 2);
	body_init(out, &head, mass, BODY_FILL_TEXT, stamp, &tail);
}

static void add_chunk(struct buf *out, const char *type, const char *data, size_t len)
{
	add_be(out, len, 4);
	size_t from = out->len;
	buf_adds(out, type);
	buf_add(out, data, len);
	add_be(out, crc32_add(0, out->data + from, out->len - from), 4);
}

/* A PNG of one grey pixel; padding sits in a text chunk. */
static void make_png(uint64_t stamp, uint64_t size, struct body *out)
{
	static const char ihdr[] = "\0\0\0\x01\0\0\0\x01\x08\0\0\0\0";
	/* zlib header, one stored block of two bytes (filter 0, grey 0x80), Adler-32 */
	static const char idat[] = "\x78\x01\x01\x02\0\xfd\xff\0\x80\0\x82\0\x81";
	struct body pad;
	struct buf none, head;
	buf_init(&none, 1);
	buf_init(&head, SMALL_MAX);
	if (size > IMAGE_MAX)
		size = IMAGE_MAX;
	body_init(&pad, &none, size > 200 ? size - 100 : 100, BODY_FILL_TEXT, stamp, NULL);
	char text[IMAGE_MAX + 8] = "Comment";
	size_t n = body_read(&pad, 0, text + 8, IMAGE_MAX);
	body_release(&pad);
	buf_add(&head, "\x89PNG\r\n\x1a\n", 8);
	add_chunk(&head, "IHDR", ihdr, sizeof ihdr - 1);
	add_chunk(&head, "tEXt", text, n + 8);
	add_chunk(&head, "IDAT", idat, sizeof idat - 1);
	add_chunk(&head, "IEND", "", 0);
	body_init(out, &head, 0, BODY_FILL_TEXT, stamp, NULL);
}

/* An ISO media file: type box, a media box with the mass, an empty free box at the end. */
static void make_mp4(uint64_t stamp, uint64_t size, struct body *out)
{
	struct buf head, tail;
	buf_init(&head, SMALL_MAX);
	buf_init(&tail, SMALL_MAX);
	add_be(&head, 24, 4);
	buf_add(&head, "ftypmp42\0\0\0\0mp42isom", 20);
	add_be(&tail, 8, 4);
	buf_adds(&tail, "free");
	uint64_t mass = size > 128 ? size - 48 : 80;
	add_be(&head, 1, 4); /* 1: the size follows in 64 bits */
	buf_adds(&head, "mdat");
	add_be(&head, mass + 16, 8);
	body_init(out, &head, mass, BODY_FILL_BYTES, stamp, &tail);
}

static void make_bytes(uint64_t stamp, uint64_t size, struct body *out)
{
	struct buf head;
	buf_init(&head, 64);
	buf_add(&head, "\x02\x8f\x01\xfe\x13\x00", 6); /* the start of no known format */
	body_init(out, &head, size > 64 ? size - 6 : 58, BODY_FILL_BYTES, stamp, NULL);
}

void paper_make(enum kind kind, uint64_t stamp, uint64_t size, struct body *out)
{
	switch (kind) {
	case KIND_PDF:
		paper_make_pdf(stamp, size, out);
		return;
	case KIND_HTML:
	case KIND_HTML_FRAGMENT:
		make_html(stamp, size, kind == KIND_HTML_FRAGMENT, out);
		return;
	case KIND_HTML_21:
		make_tiny_html(stamp, 21, out);
		return;
	case KIND_HTML_127:
		make_tiny_html(stamp, 127, out);
		return;
	case KIND_RTF:
		make_rtf(stamp, size, out);
		return;
	case KIND_JPEG:
		make_jpeg(stamp, size, out);
		return;
	case KIND_PNG:
		make_png(stamp, size, out);
		return;
	case KIND_MP4:
		make_mp4(stamp, size, out);
		return;
	case KIND_TEXT:
		make_text(stamp, size, out);
		return;
	case KIND_BYTES:
	case KIND_JUNK:
		make_bytes(stamp, size, out);
		return;
	case KIND_COUNT:
		break;
	}
	assert(!"a kind of paper");
}
