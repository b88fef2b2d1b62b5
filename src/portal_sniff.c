/*
 * portal_sniff - what a document's bytes are. Names and declared types lie; first bytes rarely do.
 *
 * Marks at a fixed place come first, then HTML and XML, then a PDF behind some junk, then text.
 */
#include "portal.h"

#include <string.h>
#include <strings.h>

struct slice {
	const unsigned char *at;
	size_t len;
};

/* Bytes at a fixed offset; the first row that fits decides. */
struct magic {
	size_t offset;
	const char *bytes;
	size_t len;
	const char *mime;
	const char *ext;
};

#define AT(offset, bytes, mime, ext)                                                               \
	{                                                                                          \
		offset, bytes, sizeof bytes - 1, mime, ext                                         \
	}

static const struct magic magics[] = {
	AT(0, "%PDF", "application/pdf", "pdf"),
	AT(0, "{\\rtf", "text/rtf", "rtf"),
	AT(0, "\xff\xd8\xff", "image/jpeg", "jpg"),
	AT(0, "\x89PNG\r\n\x1a\n", "image/png", "png"),
	AT(0, "GIF87a", "image/gif", "gif"),
	AT(0, "GIF89a", "image/gif", "gif"),
	AT(0, "II*\0", "image/tiff", "tif"),
	AT(0, "MM\0*", "image/tiff", "tif"),
	AT(0, "Rar!\x1a\x07", "application/vnd.rar", "rar"),
	AT(0, "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "7z"),
	AT(0, "\x1f\x8b\x08", "application/gzip", "gz"),
	AT(4, "ftypqt  ", "video/quicktime", "mov"),
	AT(4, "ftypM4A", "audio/mp4", "m4a"),
	AT(4, "ftyp", "video/mp4", "mp4"),
	AT(0, "ID3", "audio/mpeg", "mp3"),
	AT(0, "\xff\xfb", "audio/mpeg", "mp3"),
	AT(0, "\xff\xf3", "audio/mpeg", "mp3"),
	AT(0, "\xff\xf2", "audio/mpeg", "mp3"),
	AT(0, "\xff\xfa", "audio/mpeg", "mp3"),
	AT(0, "OggS", "audio/ogg", "ogg"),
	AT(0, "\x1a\x45\xdf\xa3", "video/x-matroska", "mkv"),
	AT(8, "WAVEfmt ", "audio/wav", "wav"),
	AT(8, "AVI LIST", "video/x-msvideo", "avi"),
	AT(8, "WEBPVP8", "image/webp", "webp"),
};

static bool begins(struct slice s, size_t offset, const char *bytes, size_t len)
{
	return s.len >= offset + len && memcmp(s.at + offset, bytes, len) == 0;
}

static bool contains(struct slice s, const char *bytes, size_t len)
{
	return memmem(s.at, s.len, bytes, len) != NULL;
}

static bool declared_has(const char *declared, const char *word)
{
	return strcasestr(declared, word) != NULL;
}

static struct doc_kind kind(const char *mime, const char *ext)
{
	return (struct doc_kind){.mime = mime, .ext = ext, .known = true};
}

/* ---- Containers, told apart by what is in their first bytes ---- */

static struct doc_kind zip_kind(struct slice s)
{
	static const struct magic inside[] = {
		AT(0, "word/",
		   "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		   "docx"),
		AT(0, "xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
		   "xlsx"),
		AT(0, "ppt/",
		   "application/vnd.openxmlformats-officedocument.presentationml.presentation",
		   "pptx"),
		AT(0, "application/vnd.oasis.opendocument.text",
		   "application/vnd.oasis.opendocument.text", "odt"),
		AT(0, "application/vnd.oasis.opendocument.spreadsheet",
		   "application/vnd.oasis.opendocument.spreadsheet", "ods"),
	};
	bool office = contains(s, "[Content_Types].xml", 19) || contains(s, "_rels/.rels", 11) ||
		      begins(s, 30, "mimetype", 8);
	for (size_t i = 0; office && i < sizeof inside / sizeof *inside; i++)
		if (contains(s, inside[i].bytes, inside[i].len))
			return kind(inside[i].mime, inside[i].ext);
	return kind("application/zip", "zip");
}

static struct doc_kind ole_kind(const char *declared)
{
	if (declared_has(declared, "excel"))
		return kind("application/vnd.ms-excel", "xls");
	if (declared_has(declared, "powerpoint"))
		return kind("application/vnd.ms-powerpoint", "ppt");
	if (declared_has(declared, "outlook"))
		return kind("application/vnd.ms-outlook", "msg");
	return kind("application/msword", "doc");
}

/* Windows media: sound alone, unless a video stream is announced. */
static struct doc_kind asf_kind(struct slice s, const char *declared)
{
	static const char video[] =
		"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b";
	static const char audio[] =
		"\x40\x9e\x69\xf8\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b";
	bool sound = contains(s, audio, sizeof audio - 1) || declared_has(declared, "audio") ||
		     declared_has(declared, "wma");
	if (sound && !contains(s, video, sizeof video - 1))
		return kind("audio/x-ms-wma", "wma");
	return kind("video/x-ms-wmv", "wmv");
}

/* A signed envelope: an ASN.1 sequence that says so inside, or of which that is declared. */
static bool is_pkcs7(struct slice s, const char *declared)
{
	static const char signed_data[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
	if (s.len < 4 || s.at[0] != 0x30 || s.at[1] < 0x80 || s.at[1] > 0x84)
		return false;
	struct slice start = {s.at, s.len < 32 ? s.len : 32};
	return contains(start, signed_data, sizeof signed_data - 1) ||
	       declared_has(declared, "pkcs7");
}

static bool sniff_container(struct slice s, const char *declared, struct doc_kind *out)
{
	if (begins(s, 0, "PK\x03\x04", 4) || begins(s, 0, "PK\x05\x06", 4))
		*out = zip_kind(s);
	else if (begins(s, 0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8))
		*out = ole_kind(declared);
	else if (begins(s, 0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", 8))
		*out = asf_kind(s, declared);
	else if (is_pkcs7(s, declared))
		*out = kind("application/pkcs7-signature", "p7s");
	else
		return false;
	return true;
}

/* ---- Markup ---- */

static struct slice skip(struct slice s, size_t n)
{
	return (struct slice){s.at + n, s.len - n};
}

static struct slice skip_space(struct slice s)
{
	while (s.len && (*s.at == ' ' || (*s.at >= '\t' && *s.at <= '\r')))
		s = skip(s, 1);
	return s;
}

/* Skips space and comments; a comment that does not end hides everything. */
static struct slice skip_comments(struct slice s)
{
	for (s = skip_space(s); begins(s, 0, "<!--", 4); s = skip_space(s)) {
		const unsigned char *end = memmem(s.at + 4, s.len - 4, "-->", 3);
		s = skip(s, end ? (size_t)(end - s.at) + 3 : s.len);
	}
	return s;
}

static bool is_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Does a tag that only HTML has, or <!doctype html, open here? */
static bool opens_html(struct slice s)
{
	static const char *const tags[] = {
		"!doctype html",
		"html",
		"head",
		"body",
		"div",
		"p",
		"table",
		"meta",
		"span",
		"style",
		"title",
		"h1",
		"h2",
		"h3",
		"h4",
		"h5",
		"h6",
		"center",
		"font",
		"br",
		"b",
		"i",
		"u",
		"a",
		"img",
		"script",
		"link",
		"ul",
		"ol",
		"pre",
		"form",
		"hr",
		"strong",
		"em",
		"section",
		"article",
		"header",
		"main",
		"base",
		"tbody",
		"tr",
		"td",
	};
	if (!s.len || *s.at != '<')
		return false;
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
		size_t n = strlen(tags[i]);
		if (s.len > n && strncasecmp((const char *)s.at + 1, tags[i], n) == 0 &&
		    (s.len == n + 1 || !is_letter(s.at[n + 1])))
			return true;
	}
	return false;
}

static bool sniff_markup(struct slice s, struct doc_kind *out)
{
	if (begins(s, 0, "\xef\xbb\xbf", 3))
		s = skip(s, 3);
	s = skip_comments(s);
	bool xml = begins(s, 0, "<?xml", 5);
	if (xml) {
		const unsigned char *end = memmem(s.at, s.len, "?>", 2);
		s = skip_comments(skip(s, end ? (size_t)(end - s.at) + 2 : s.len));
	}
	if (opens_html(s))
		*out = kind("text/html", "html");
	else if (xml)
		*out = kind("application/xml", "xml");
	else
		return false;
	return true;
}

/* ---- Text ---- */

/* Length of the UTF-8 character at s: 0 = not UTF-8. A character cut off by the end is fine. */
static size_t utf8_at(struct slice s)
{
	unsigned char c = *s.at;
	size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : 0;
	if (c >= 0xf0 && c < 0xf5)
		n = 4;
	for (size_t i = 1; i < n && i < s.len; i++)
		if ((s.at[i] & 0xc0) != 0x80)
			return 0;
	return n < s.len ? n : n ? s.len : 0;
}

static bool is_control(unsigned char c)
{
	return (c < 0x20 && !(c >= '\t' && c <= '\r')) || c == 0x7f;
}

/* Text of UTF-8, Latin-1 or the Windows code page, without control characters. */
static bool is_text(struct slice s)
{
	bool utf8 = true, latin = true;
	for (size_t i = 0; i < s.len; i++) {
		if (is_control(s.at[i]))
			return false;
		/* of 0x80..0x9f only quotes, dashes, dots and the euro sign are met in real texts
		 */
		if (s.at[i] >= 0x80 && s.at[i] < 0xa0 && s.at[i] != 0x80 && s.at[i] != 0x85 &&
		    (s.at[i] < 0x91 || s.at[i] > 0x97))
			latin = false;
	}
	for (size_t i = 0, n; utf8 && i < s.len; i += n) {
		n = utf8_at(skip(s, i));
		utf8 = n > 0;
	}
	return s.len && (utf8 || latin);
}

static struct doc_kind text_kind(const char *declared)
{
	if (declared_has(declared, "html"))
		return kind("text/html", "html");
	if (declared_has(declared, "csv"))
		return kind("text/csv", "csv");
	if (declared_has(declared, "xml"))
		return kind("application/xml", "xml");
	if (declared_has(declared, "json"))
		return kind("application/json", "json");
	return kind("text/plain", "txt");
}

struct doc_kind portal_sniff(const char *head, size_t len, const char *declared)
{
	struct slice s = {(const unsigned char *)(len ? head : ""), len};
	struct slice start = {s.at, len < 1024 ? len : 1024};
	struct doc_kind found;
	if (!declared)
		declared = "";
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (begins(s, magics[i].offset, magics[i].bytes, magics[i].len))
			return kind(magics[i].mime, magics[i].ext);
	if (sniff_container(s, declared, &found) || sniff_markup(s, &found))
		return found;
	if (contains(start, "%PDF-", 5))
		return kind("application/pdf", "pdf");
	if (begins(s, 0, "\xff\xfe", 2) || begins(s, 0, "\xfe\xff", 2))
		return kind("text/plain", "txt");
	if (is_text(s))
		return text_kind(declared);
	return (struct doc_kind){.mime = "application/octet-stream", .ext = "bin", .known = false};
}
