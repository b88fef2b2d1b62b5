/*
 * What bytes are, whatever their name and type say.
 */
#include "portal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define B(bytes) bytes, sizeof bytes - 1
#define ASF "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9"
#define ASF_VIDEO "\xc0\xef\x19\xbc\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b"
#define ASF_AUDIO "\x40\x9e\x69\xf8\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b"
#define ZIP                                                                                        \
	"PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

static const struct {
	const char *bytes;
	size_t len;
	const char *declared, *mime, *ext;
} rows[] = {
	{B("%PDF-1.7\n"), "text/html", "application/pdf", "pdf"},
	{B("\n\njunk\x01\x02 %PDF-1.4"), NULL, "application/pdf", "pdf"},
	{B("{\\rtf1\\ansi"), "application/pdf", "text/rtf", "rtf"},
	{B("\xff\xd8\xff\xe0\0\0"), "", "image/jpeg", "jpg"},
	{B("\x89PNG\r\n\x1a\n"), "", "image/png", "png"},
	{B("GIF89a"), "", "image/gif", "gif"},
	{B("GIF87a"), "", "image/gif", "gif"},
	{B("II*\0zz"), "", "image/tiff", "tif"},
	{B("MM\0*zz"), "", "image/tiff", "tif"},
	{B("Rar!\x1a\x07\x01"), "", "application/vnd.rar", "rar"},
	{B("7z\xbc\xaf\x27\x1c"), "", "application/x-7z-compressed", "7z"},
	{B("\x1f\x8b\x08\0"), "", "application/gzip", "gz"},
	{B("\0\0\0\x20"
	   "ftypisom"),
	 "", "video/mp4", "mp4"},
	{B("\0\0\0\x14"
	   "ftypqt  "),
	 "video/mp4", "video/quicktime", "mov"},
	{B("\0\0\0\x14"
	   "ftypM4A "),
	 "", "audio/mp4", "m4a"},
	{B("ID3\x04"), "", "audio/mpeg", "mp3"},
	{B("\xff\xfb\x90\x44"), "", "audio/mpeg", "mp3"},
	{B("OggS\0"), "", "audio/ogg", "ogg"},
	{B("\x1a\x45\xdf\xa3"), "", "video/x-matroska", "mkv"},
	{B("RIFFzzzzWAVEfmt "), "", "audio/wav", "wav"},
	{B("RIFFzzzzAVI LIST"), "", "video/x-msvideo", "avi"},
	{B("RIFFzzzzWEBPVP8 "), "", "image/webp", "webp"},
	{B(ZIP "x.txt"), "", "application/zip", "zip"},
	{B("PK\x05\x06\0\0"), "", "application/zip", "zip"},
	{B(ZIP "[Content_Types].xml word/document.xml"), "application/zip",
	 "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
	{B(ZIP "_rels/.rels xl/workbook.xml"), "",
	 "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
	{B(ZIP "mimetypeapplication/vnd.oasis.opendocument.text"), "",
	 "application/vnd.oasis.opendocument.text", "odt"},
	{B(ZIP "word/notes.txt"), "", "application/zip", "zip"},
	{B("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), NULL, "application/msword", "doc"},
	{B("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "application/vnd.ms-excel",
	 "application/vnd.ms-excel", "xls"},
	{B(ASF), "", "video/x-ms-wmv", "wmv"},
	{B(ASF), "audio/x-ms-wma", "audio/x-ms-wma", "wma"},
	{B(ASF ASF_AUDIO), "", "audio/x-ms-wma", "wma"},
	{B(ASF ASF_AUDIO ASF_VIDEO), "audio/x-ms-wma", "video/x-ms-wmv", "wmv"},
	{B("\x30\x82\x01\x02\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), "",
	 "application/pkcs7-signature", "p7s"},
	{B("\x30\x80\x01\x02"), "application/pkcs7-mime", "application/pkcs7-signature", "p7s"},
	/* markup */
	{B("<!DOCTYPE html><html>"), "application/pdf", "text/html", "html"},
	{B("\xef\xbb\xbf \r\n<!-- a --><!-- b --> <HTML>"), "", "text/html", "html"},
	{B("<div class=\"x\">"), "", "text/html", "html"},
	{B("<p>x"), "", "text/html", "html"},
	{B("<p"), "", "text/html", "html"},
	{B("<table border=1>"), "", "text/html", "html"},
	{B("<meta charset=\"x\">"), "", "text/html", "html"},
	{B("<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"x\"><html>"), "", "text/html", "html"},
	{B("<?xml version=\"1.0\"?><nota/>"), "text/html", "application/xml", "xml"},
	{B("<pdf>"), "", "text/plain", "txt"},
	{B("<!-- never closed"), "", "text/plain", "txt"},
	/* text */
	{B("Vistos."), NULL, "text/plain", "txt"},
	{B("Certid\xc3\xa3o"), "text/plain", "text/plain", "txt"},
	{B("Certid\xe3o \x93x\x94"), "text/plain", "text/plain", "txt"},
	{B("Certid\xc3"), "", "text/plain", "txt"},
	{B("Certidao"), "text/html; charset=utf-8", "text/html", "html"},
	{B("a;b\n"), "TEXT/CSV", "text/csv", "csv"},
	{B("<nota/>"), "application/xml", "application/xml", "xml"},
	{B("{\"a\":1}"), "application/json", "application/json", "json"},
	{B("\xff\xfe"
	   "a\0"),
	 "", "text/plain", "txt"},
	/* unknown */
	{B(""), "application/pdf", "application/octet-stream", "bin"},
	{B("a\0b"), "text/plain", "application/octet-stream", "bin"},
	{B("\x01\x02\x03"), "image/png", "application/octet-stream", "bin"},
	{B("abc\x88\x89"), "text/plain", "application/octet-stream", "bin"},
	{B("\x30\x80\x01\x02"), "", "application/octet-stream", "bin"},
};

static void test_kinds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct doc_kind k = portal_sniff(rows[i].bytes, rows[i].len, rows[i].declared);
		if (strcmp(k.mime, rows[i].mime) != 0 || strcmp(k.ext, rows[i].ext) != 0)
			fail_msg("row %zu: %s %s, expected %s %s", i, k.mime, k.ext, rows[i].mime,
				 rows[i].ext);
		assert_int_equal(k.known, strcmp(k.ext, "bin") != 0);
	}
	assert_false(portal_sniff(NULL, 0, NULL).known);
}

/* A mark that is cut off by the end of what we see is not looked for behind it. */
static void test_prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t n = 0; n <= rows[i].len; n++) {
			char exact[128];
			char *at = exact + sizeof exact - n; /* the sanitizer watches the end */
			memcpy(at, rows[i].bytes, n);
			struct doc_kind k = portal_sniff(at, n, rows[i].declared);
			assert_true(k.mime && k.ext);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_prefixes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
