/*
 * oddity_papers - the odd listings of single documents: names, dates, secrecy, sizes and kinds.
 */
#include "oddity_build.h"

#include "build.h"
#include "sys.h"

#include <stdio.h>
#include <string.h>

enum { SMALL_CASE = 6, LONG_NAME = 300 };

static const uint64_t BIG = 300ULL * 1000 * 1000;
static const uint64_t TOO_LARGE = 5ULL * 1024 * 1024 * 1024;

void odd_no_arquivo(const struct catalog *c, struct dossier *d)
{
	build_plain(c, d, SMALL_CASE, true);
	for (unsigned i = 0; i < d->nentries; i++)
		d->entries[i].declared = DECLARED_NONE;
}

void odd_arquivo_wrong(const struct catalog *c, struct dossier *d)
{
	build_plain(c, d, SMALL_CASE, true);
	for (unsigned i = 0; i < d->nentries; i++)
		d->entries[i].declared = DECLARED_WRONG;
}

void odd_secrecy(const struct catalog *c, struct dossier *d)
{
	static const char *const names[] = {
		"PUBLICO",        "SEGREDO_JUSTICA", "SIGILO_MINIMO", "SIGILO_MEDIO",
		"SIGILO_INTENSO", "SIGILO_ABSOLUTO", "SIGILO_LUNAR",  "3"};
	enum { NAMES = sizeof names / sizeof names[0], LEVELS = 6 };
	build_plain(c, d, NAMES + LEVELS + 2, true);
	for (unsigned i = 0; i < NAMES; i++)
		d->entries[i].level_text = names[i];
	for (unsigned i = 0; i < LEVELS; i++)
		d->entries[NAMES + i].level = (int)i;
	d->entries[NAMES + LEVELS].level = 42;
	d->entries[NAMES + LEVELS + 1].level = LEVEL_ABSENT;
	build_fault(&d->entries[2], "denied-403-json");
	build_fault(&d->entries[5], "denied-403-json");
	build_fault(&d->entries[NAMES + 4], "denied-401-json");
}

void odd_names(const struct catalog *c, struct dossier *d)
{
	static const char *const names[] = {
		"a/b\\c.pdf",
		"../../etc/passwd",
		"..",
		".",
		"",
		" ",
		"-rf.pdf",
		"--help",
		"quebra\nde linha\r\n.pdf",
		"tab\te \x01\x1b[31m controle\x7f.pdf",
		"CON",
		"nul.pdf",
		"LPT1.txt",
		"duplicado.pdf",
		"duplicado.pdf",
		"Duplicado.PDF",
		"fim com espaço ",
		"ponto no fim.",
		"aspas \"duplas\" e 'simples'.pdf",
		"<b>marca</b>&amp;.html",
		"$(id);`id`|&.pdf",
		"100% de desconto %s%n.pdf",
		"📎 anexo 🇧🇷.pdf",
		"e\xcc\x81 combinante e \xc3\xa9 composto.pdf",
		"\xe2\x80\xaegnp.exe.pdf",
		"zero\xe2\x80\x8blargura e \xc2\xa0nbsp.pdf",
		"linha\xe2\x80\xa8separada.pdf",
		".oculto",
		"nome: com * todos ? os < maus >.pdf",
		"/",
		"C:\\Windows\\win.ini",
	};
	enum { NAMES = sizeof names / sizeof names[0] };
	build_plain(c, d, NAMES + 4, true);
	for (unsigned i = 0; i < NAMES; i++)
		build_name(&d->entries[i], names[i]);
	char long_name[LONG_NAME + 1];
	memset(long_name, 'n', LONG_NAME);
	memcpy(long_name + LONG_NAME - 4, ".pdf", 5);
	build_name(&d->entries[NAMES], long_name);
	for (size_t i = 0; i + 2 < LONG_NAME - 4; i += 2) /* 298 bytes of two-byte characters */
		memcpy(long_name + i, "\xc3\xa7", 2);
	build_name(&d->entries[NAMES + 1], long_name);
	build_name(&d->entries[NAMES + 2], NULL);
	build_name(&d->entries[NAMES + 3], NULL);
	d->entries[NAMES + 3].name_null = true;
}

void odd_dates(const struct catalog *c, struct dossier *d)
{
	static const char *const dates[] = {
		"2024-01-02T03:04:05",
		"2024-01-02T03:04:05.1",
		"2024-01-02T03:04:05.12",
		"2024-01-02T03:04:05.123",
		"2024-01-02T03:04:05.1234",
		"2024-01-02T03:04:05.12345",
		"2024-01-02T03:04:05.123456",
		"2024-02-29T23:59:59.999999",
		"2024-12-31T24:00:00",
		"2025-02-30T12:00:00",
		"1899-12-31T00:00:00",
		"0001-01-01T00:00:00",
		"9999-12-31T23:59:59",
		"2024-01-02",
		"2024-01-02T03:04",
		"20240102030405",
		"02/01/2024 03:04:05",
		"2024-01-02T03:04:05Z",
		"2024-01-02T03:04:05-03:00",
		"2018-11-04T00:30:00",
		"ontem",
		"",
	};
	enum { DATES = sizeof dates / sizeof dates[0] };
	build_plain(c, d, DATES, true);
	for (unsigned i = 0; i < DATES; i++)
		snprintf(d->entries[i].date, sizeof d->entries[i].date, "%s", dates[i]);
}

void odd_big_case(const struct catalog *c, struct dossier *d)
{
	enum { BIG_CASE = 1000 };
	build_plain(c, d, BIG_CASE, true);
	for (unsigned i = 0; i < BIG_CASE; i++)
		d->entries[i].target = 2000 + d->entries[i].stamp % 4000;
}

void odd_big_document(const struct catalog *c, struct dossier *d)
{
	build_plain(c, d, SMALL_CASE, true);
	build_entry(c, d, 0, KIND_PDF, BIG);
}

void odd_too_large(const struct catalog *c, struct dossier *d)
{
	if (d->nproceedings == 0)
		build_plain(c, d, SMALL_CASE, true);
	struct entry *e = build_entry(c, d, 0, KIND_PDF, TOO_LARGE);
	e->declared = DECLARED_NONE;
	e->reason = "too_large";
	build_name(e, "too-large");
}

void odd_kinds(const struct catalog *c, struct dossier *d)
{
	build_proceeding(d, court_at(0), 1, 1);
	for (int kind = 0; kind < KIND_JUNK; kind++) {
		struct entry *e = build_entry(c, d, 0, (enum kind)kind, 30000);
		e->declared = kind % 2 ? DECLARED_TRUE : DECLARED_NONE;
	}
}

void odd_tiny_html(const struct catalog *c, struct dossier *d)
{
	build_proceeding(d, court_at(0), 1, 1);
	for (unsigned i = 0; i < SMALL_CASE; i++)
		build_entry(c, d, 0, i % 2 ? KIND_HTML_127 : KIND_HTML_21, 0);
}
