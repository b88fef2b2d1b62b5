/*
 * Names for people: whatever the portal calls a document, the file name is harmless.
 */
#include "filename.h"

#include "scratch.h"

#include <stdbool.h>

/* Whether s is UTF-8 in its shortest form, by its own reading of RFC 3629. */
static bool is_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	while (*p) {
		size_t more = 0;
		unsigned char low = 0x80, high = 0xbf;
		if (*p <= 0x7f)
			more = 0;
		else if (*p >= 0xc2 && *p <= 0xdf)
			more = 1;
		else if (*p >= 0xe0 && *p <= 0xef)
			more = 2;
		else if (*p >= 0xf0 && *p <= 0xf4)
			more = 3;
		else
			return false;
		if (*p == 0xe0)
			low = 0xa0;
		if (*p == 0xed)
			high = 0x9f;
		if (*p == 0xf0)
			low = 0x90;
		if (*p == 0xf4)
			high = 0x8f;
		for (p++; more; more--, p++) {
			if (*p < low || *p > high)
				return false;
			low = 0x80;
			high = 0xbf;
		}
	}
	return true;
}

/* What holds for every name. */
static void check(const char *out, const char *rank, const char *ext)
{
	size_t n = strlen(out), tail = strlen(ext) + 1;
	assert_true(is_utf8(out));
	assert_true(n <= 240);
	assert_null(strchr(out, '/'));
	assert_null(strchr(out, '\\'));
	for (const char *s = out; *s; s++) {
		assert_true((unsigned char)*s >= 0x20 && *s != 0x7f);
		/* C1 controls, direction marks, zero width: U+0080-9F, U+200B-F, U+202A-E, U+2066-9
		 */
		assert_false((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0);
		assert_false(strncmp(s, "\xe2\x80\x8b", 3) >= 0 &&
			     strncmp(s, "\xe2\x80\x8f", 3) <= 0);
		assert_false(strncmp(s, "\xe2\x80\xaa", 3) >= 0 &&
			     strncmp(s, "\xe2\x80\xae", 3) <= 0);
		assert_false(strncmp(s, "\xe2\x81\xa6", 3) >= 0 &&
			     strncmp(s, "\xe2\x81\xa9", 3) <= 0);
	}
	assert_int_equal(strncmp(out, rank, strlen(rank)), 0);
	assert_int_equal(out[strlen(rank)], '-');
	assert_true(n > strlen(rank) + 1 + tail);
	assert_int_equal(out[n - tail], '.');
	assert_string_equal(out + n - tail + 1, ext);
	assert_true(filename_is_plain(out));
}

static void gives(const char *name, const char *fallback, const char *ext, const char *want)
{
	char *out = filename_make(7, 4, name, fallback, ext);
	assert_string_equal(out, want);
	check(out, "0007", ext);
	xfree(out);
}

static void test_usual(void **state)
{
	(void)state;
	gives("Peticao inicial", "x", "pdf", "0007-Peticao inicial.pdf");
	gives("Peti\xc3\xa7\xc3\xa3o n\xc2\xba 1", "x", "pdf",
	      "0007-Peti\xc3\xa7\xc3\xa3o n\xc2\xba 1.pdf");
	gives("a.b.c", "x", "pdf", "0007-a.b.c.pdf");
	gives("\xf0\x9f\x93\x84 doc \xf0\x9f\x98\x80", "x", "txt",
	      "0007-\xf0\x9f\x93\x84 doc \xf0\x9f\x98\x80.txt");
	gives("-rf", "x", "pdf", "0007--rf.pdf");
	gives("~root $HOME `id` ;& !", "x", "pdf", "0007-~root $HOME `id` ;& !.pdf");
}

static void test_paths(void **state)
{
	(void)state;
	gives("a/b\\c", "x", "pdf", "0007-a_b_c.pdf");
	gives("/", "x", "pdf", "0007-_.pdf");
	gives("..", "x", "pdf", "0007-x.pdf");
	gives("../../etc/passwd", "x", "pdf", "0007-_.._etc_passwd.pdf");
	gives("/etc/passwd", "x", "pdf", "0007-_etc_passwd.pdf");
	gives(".bashrc", "x", "pdf", "0007-bashrc.pdf");
	gives("...a...", "x", "pdf", "0007-a.pdf");
	gives("C:\\CON", "x", "pdf", "0007-C__CON.pdf");
	gives("a*b?c\"d<e>f|g", "x", "pdf", "0007-a_b_c_d_e_f_g.pdf");
}

static void test_control_characters(void **state)
{
	(void)state;
	gives("a\x01"
	      "b\x1b[31mc\x7f"
	      "d",
	      "x", "pdf", "0007-a_b_[31mc_d.pdf");
	gives("a\nb\tc\r\nd", "x", "pdf", "0007-a b c d.pdf");
	/* C1: NEL and CSI. */
	gives("a\xc2\x85"
	      "b\xc2\x9b"
	      "c",
	      "x", "pdf", "0007-a_b_c.pdf");
}

/* "cod" + right-to-left override + "fdp.exe" would be shown as "codexe.pdf". */
static void test_direction_marks(void **state)
{
	(void)state;
	gives("cod\xe2\x80\xae"
	      "fdp.exe",
	      "x", "bin", "0007-codfdp.exe.bin");
	gives("\xe2\x80\x8f\xe2\x80\x8e\xef\xbb\xbf", "x", "pdf", "0007-x.pdf");
	gives("a\xe2\x81\xa6"
	      "b\xe2\x81\xa9"
	      "c\xe2\x80\x8b"
	      "d\xc2\xad"
	      "e\xd8\x9c"
	      "f",
	      "x", "pdf", "0007-abcdef.pdf");
	/* A mark that hides in the ending does not keep it. */
	gives("a.p\xe2\x80\x8b"
	      "df",
	      "x", "html", "0007-a.html");
}

static void test_not_utf8(void **state)
{
	(void)state;
	gives("peti\xe7\xe3o", "x", "pdf", "0007-peti__o.pdf"); /* Latin-1 */
	gives("a\xc0\xaf"
	      "b",
	      "x", "pdf", "0007-a__b.pdf"); /* overlong '/' */
	gives("a\xe0\x80\xaf"
	      "b",
	      "x", "pdf", "0007-a___b.pdf");
	gives("a\xed\xa0\x80"
	      "b",
	      "x", "pdf", "0007-a___b.pdf"); /* half of a surrogate pair */
	gives("a\xf4\x90\x80\x80"
	      "b",
	      "x", "pdf", "0007-a____b.pdf"); /* beyond U+10FFFF */
	gives("a\xff\xfe"
	      "b",
	      "x", "pdf", "0007-a__b.pdf");
	gives("cut\xe2\x82", "x", "pdf", "0007-cut__.pdf");
	gives("cut\xf0", "x", "pdf", "0007-cut_.pdf");
	gives("\x80", "x", "pdf", "0007-_.pdf");
}

static void test_blanks(void **state)
{
	(void)state;
	gives("  a   b  ", "x", "pdf", "0007-a b.pdf");
	gives("a\xc2\xa0\xe3\x80\x80"
	      "b\xe2\x80\xa8",
	      "x", "pdf", "0007-a b.pdf");
	gives("a . . ", "x", "pdf", "0007-a.pdf");
	gives("   ", "Tipo", "pdf", "0007-Tipo.pdf");
	gives(". . .", "Tipo", "pdf", "0007-Tipo.pdf");
}

static void test_nothing_left(void **state)
{
	(void)state;
	gives("", "Outros", "pdf", "0007-Outros.pdf");
	gives("", "", "pdf", "0007-documento.pdf");
	gives("...", " . ", "pdf", "0007-documento.pdf");
	gives("", "../x", "pdf", "0007-_x.pdf");
	gives("", "Anexo.pdf", "html", "0007-Anexo.html");
}

static void test_endings(void **state)
{
	(void)state;
	gives("peticao.pdf", "x", "html", "0007-peticao.html");
	gives("peticao.PDF", "x", "pdf", "0007-peticao.pdf");
	gives("peticao .pdf", "x", "pdf", "0007-peticao.pdf");
	gives("peticao..pdf", "x", "pdf", "0007-peticao.pdf");
	gives("peticao.pdf.", "x", "pdf", "0007-peticao.pdf");
	gives("peticao.pdf.p7s", "x", "p7s", "0007-peticao.pdf.p7s");
	gives("peticao.html.pdf", "x", "html", "0007-peticao.html.html");
	gives("v1.2", "x", "pdf", "0007-v1.2.pdf");
	gives("virus.exe", "x", "bin", "0007-virus.exe.bin");
	gives(".pdf", "x", "pdf", "0007-pdf.pdf");
	gives("pdf", "x", "pdf", "0007-pdf.pdf");
}

static void test_long(void **state)
{
	(void)state;
	char name[1300] = "";
	memset(name, 'a', 300);
	char *out = filename_make(7, 4, name, "x", "pdf");
	check(out, "0007", "pdf");
	assert_int_equal(strlen(out), 5 + 200 + 4);
	xfree(out);
	/* 300 characters of four bytes, moved by 0 to 3 bytes: never cut in the middle of one. */
	for (size_t shift = 0; shift < 4; shift++) {
		memset(name, 'b', shift);
		for (size_t i = 0; i < 300; i++)
			memcpy(name + shift + 4 * i, "\xf0\x9f\x98\x80", 5);
		out = filename_make(7, 4, name, "x", "pdf");
		check(out, "0007", "pdf");
		assert_true(strlen(out) > 5 + 196 && strlen(out) <= 5 + 200 + 4);
		xfree(out);
	}
	/* Cut behind a blank or a dot: none is left at the end. */
	memset(name, 'c', 300);
	name[300] = '\0';
	memcpy(name + 195, " . . .", 6);
	out = filename_make(7, 4, name, "x", "pdf");
	check(out, "0007", "pdf");
	assert_string_equal(out + 5 + 194, "c.pdf");
	xfree(out);
}

static void test_rank(void **state)
{
	(void)state;
	static const struct {
		size_t rank;
		int width;
		const char *want;
	} t[] = {{1, 4, "0001-a.pdf"},
		 {9999, 4, "9999-a.pdf"},
		 {10000, 4, "10000-a.pdf"},
		 {1, 1, "1-a.pdf"},
		 {12, 6, "000012-a.pdf"}};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char *out = filename_make(t[i].rank, t[i].width, "a", "x", "pdf");
		assert_string_equal(out, t[i].want);
		xfree(out);
	}
	char name[400];
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	char *out = filename_make(SIZE_MAX, 4, name, "x", "html");
	check(out, "18446744073709551615", "html");
	xfree(out);
}

static void test_plain(void **state)
{
	(void)state;
	char name[300];
	assert_true(filename_is_plain("0001-a.pdf"));
	assert_true(filename_is_plain("manifest.json"));
	assert_false(filename_is_plain(""));
	assert_false(filename_is_plain("."));
	assert_false(filename_is_plain(".."));
	assert_false(filename_is_plain(".hidden"));
	assert_false(filename_is_plain("a/b"));
	assert_false(filename_is_plain("/etc/passwd"));
	assert_false(filename_is_plain("../x"));
	memset(name, 'a', sizeof name);
	name[255] = '\0';
	assert_true(filename_is_plain(name));
	name[255] = 'a';
	name[256] = '\0';
	assert_false(filename_is_plain(name));
}

/* Random names made of the pieces that hurt. */
static void test_storm(void **state)
{
	(void)state;
	static const char *const pieces[] = {"a",
					     "B9",
					     ".",
					     "..",
					     "/",
					     "\\",
					     " ",
					     ".pdf",
					     ".",
					     "\n",
					     "\x7f",
					     "\xc2\x85",
					     "\xff",
					     "\xc3\xa7",
					     "\xc3",
					     "\xe2",
					     "\x80",
					     "\xe2\x80\xae",
					     "\xf0\x9f\x98\x80",
					     "\xed\xa0\x80",
					     "\xc0\xaf",
					     "\xe2\x80\xa8",
					     "\xef\xbb\xbf",
					     ":",
					     "-",
					     "some longer piece of a name"};
	static const char *const exts[] = {"pdf", "html", "bin"};
	uint64_t seed = 77;
	for (int i = 0; i < 20000; i++) {
		char name[1000] = "", fallback[1000] = "", rank[30];
		for (uint64_t k = scratch_random(&seed) % 30; k; k--)
			strcat(name,
			       pieces[scratch_random(&seed) % (sizeof pieces / sizeof *pieces)]);
		for (uint64_t k = scratch_random(&seed) % 4; k; k--)
			strcat(fallback,
			       pieces[scratch_random(&seed) % (sizeof pieces / sizeof *pieces)]);
		size_t number = 1 + scratch_random(&seed) % 20000;
		const char *ext = exts[scratch_random(&seed) % 3];
		char *out = filename_make(number, 4, name, fallback, ext);
		snprintf(rank, sizeof rank, "%04zu", number);
		check(out, rank, ext);
		xfree(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_direction_marks),
		cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_rank),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
