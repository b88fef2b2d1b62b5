/*
 * oddity_build - the odd shapes: of answers, of proceedings, of identities and of links.
 * What is odd about single documents' listings is in oddity_papers.c.
 */
#include "oddity_build.h"

#include "build.h"

#include <stdio.h>
#include <string.h>

enum { SMALL_CASE = 6 };

static void plain(const struct catalog *c, struct dossier *d)
{
	build_plain(c, d, SMALL_CASE, true);
}

#define SHAPED(function, member, value)                                                            \
	void function(const struct catalog *c, struct dossier *d)                                  \
	{                                                                                          \
		plain(c, d);                                                                       \
		d->member = value;                                                                 \
	}

SHAPED(odd_detail_object, detail_shape, DETAIL_OBJECT)
SHAPED(odd_detail_content, detail_shape, DETAIL_CONTENT)
SHAPED(odd_detail_hidden, detail_shape, DETAIL_EMPTY_ARRAY)
SHAPED(odd_detail_other_number, detail_shape, DETAIL_OTHER_NUMBER)
SHAPED(odd_list_bare, list_shape, LIST_BARE)
SHAPED(odd_list_content, list_shape, LIST_CONTENT)
SHAPED(odd_list_data, list_shape, LIST_DATA)
SHAPED(odd_list_total_object, list_shape, LIST_TOTAL_OBJECT)
SHAPED(odd_list_cursor_underscore, list_shape, LIST_CURSOR_UNDERSCORE)
SHAPED(odd_list_cursor_next, list_shape, LIST_CURSOR_NEXT)
SHAPED(odd_list_paged, list_shape, LIST_PAGED)
SHAPED(odd_list_paged_late, list_shape, LIST_PAGED_LATE)
SHAPED(odd_list_cursor_loop, list_shape, LIST_CURSOR_LOOP)
SHAPED(odd_list_ignores_filter, list_shape, LIST_IGNORES_FILTER)
SHAPED(odd_list_empty, list_shape, LIST_EMPTY)
SHAPED(odd_ids_strings, ids, IDS_STRINGS)
SHAPED(odd_ids_numbers, ids, IDS_NUMBERS)
SHAPED(odd_numeric_parties, numeric_parties, true)
SHAPED(odd_sealed, level, 1)

void odd_detail_empty_array(const struct catalog *c, struct dossier *d)
{
	odd_detail_hidden(c, d);
	d->list_shape = LIST_EMPTY;
}

static void add_papers(const struct catalog *c, struct dossier *d, unsigned proceeding, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		build_entry(c, d, proceeding, KIND_PDF, 0);
}

void odd_only_current(const struct catalog *c, struct dossier *d)
{
	add_papers(c, d, build_proceeding(d, court_at(0), 1, 1), SMALL_CASE);
}

void odd_only_others(const struct catalog *c, struct dossier *d)
{
	d->without_current = true;
	add_papers(c, d, build_proceeding(d, court_at(0), 1, 1), SMALL_CASE);
	add_papers(c, d, build_proceeding(d, court_at(0), 2, 1), SMALL_CASE / 2);
}

/* Two sources list the first degree; some papers can be had from one of them only. */
void odd_two_sources(const struct catalog *c, struct dossier *d)
{
	enum { PAPERS = 10 };
	unsigned first = build_proceeding(d, court_at(0), 1, 1);
	unsigned twin = build_proceeding(d, court_at(0), 1, 77);
	unsigned second = build_proceeding(d, court_at(0), 2, 1);
	add_papers(c, d, first, PAPERS);
	for (unsigned i = 0; i < PAPERS; i++)
		build_twin(c, d, i, twin);
	add_papers(c, d, second, 4);
	build_fault(&d->entries[2], "codex-500");
	build_fault(&d->entries[5], "codex-500");
	build_fault(&d->entries[PAPERS + 3], "codex-500");
	build_fault(&d->entries[PAPERS + 7], "codex-500");
}

/* The old court's listing repeats some papers under identities of its own. */
void odd_moved_court(const struct catalog *c, struct dossier *d)
{
	enum { PAPERS = 43, REPEATED = 17 };
	unsigned now = build_proceeding(d, court_at(0), 1, 1);
	unsigned before = build_proceeding(d, court_at(1), 1, 2);
	add_papers(c, d, now, PAPERS);
	for (unsigned i = 0; i < REPEATED; i++) {
		struct entry *e = build_twin(c, d, i, before);
		snprintf(e->origin, sizeof e->origin, "4%08u", 100 + i);
	}
}

void odd_same_content(const struct catalog *c, struct dossier *d)
{
	plain(c, d);
	for (unsigned i = 0; i < 4; i++) { /* four papers of their own, the same bytes */
		d->entries[i].stamp = d->entries[0].stamp;
		d->entries[i].target = d->entries[0].target;
	}
}

void odd_no_documents(const struct catalog *c, struct dossier *d)
{
	build_plain(c, d, 0, true);
}

static void href_all(const struct catalog *c, struct dossier *d, enum href href)
{
	plain(c, d);
	for (unsigned i = 0; i < d->nentries; i++)
		d->entries[i].href = href;
}

void odd_href_missing(const struct catalog *c, struct dossier *d)
{
	plain(c, d);
	for (unsigned i = 0; i < d->nentries; i += 2)
		d->entries[i].href = HREF_TEXT_ONLY;
}

void odd_href_prefixed(const struct catalog *c, struct dossier *d)
{
	href_all(c, d, HREF_PREFIXED);
}

void odd_href_absolute(const struct catalog *c, struct dossier *d)
{
	href_all(c, d, HREF_ABSOLUTE);
}

static struct entry *add_href(const struct catalog *c, struct dossier *d, enum href href,
			      const char *reason)
{
	struct entry *e = build_entry(c, d, 0, KIND_PDF, 0);
	e->href = href;
	e->reason = reason;
	return e;
}

void odd_href_none(const struct catalog *c, struct dossier *d)
{
	plain(c, d);
	add_href(c, d, HREF_NONE, "unavailable_upstream");
}

void odd_href_foreign(const struct catalog *c, struct dossier *d)
{
	plain(c, d);
	add_href(c, d, HREF_FOREIGN, "unavailable_upstream");
}

/* Faults that make a client pause everything or ask for another token have a case of their own. */
static bool holds(const struct fault *f)
{
	static const char *const names[] = {"token-401-empty", "token-401-json", "waf-403-html",
					    "redirect-302-sso"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(f->name, names[i]) == 0)
			return true;
	return false;
}

/* Faults that no document of the two big cases has: they wait long, or belong to case calls. */
static bool left_out(const struct fault *f)
{
	static const char *const names[] = {"maintenance-200-then-ok", "shell-200-then-ok",
					    "login-200-then-ok"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(f->name, names[i]) == 0)
			return true;
	return f->recipe.mute || f->recipe.ending == ENDING_STALL;
}

static void add_faulty(const struct catalog *c, struct dossier *d, bool holding)
{
	for (size_t i = 0; i < fault_count(); i++) {
		const struct fault *f = fault_at(i);
		if (left_out(f) || holds(f) != holding)
			continue;
		struct entry *e = build_entry(c, d, i % 3 == 2 ? 1 : 0, KIND_PDF, 40000);
		build_fault(e, f->name);
		build_name(e, f->name);
	}
}

void odd_everything(const struct catalog *c, struct dossier *d)
{
	plain(c, d);
	add_faulty(c, d, false);
	build_name(add_href(c, d, HREF_NONE, "unavailable_upstream"), "href-none");
	build_name(add_href(c, d, HREF_FOREIGN, "unavailable_upstream"), "href-foreign");
	build_name(add_href(c, d, HREF_TEXT_ONLY, NULL), "href-missing");
	build_name(add_href(c, d, HREF_ABSOLUTE, NULL), "href-absolute");
	struct entry *e = add_href(c, d, HREF_PREFIXED, NULL);
	build_name(e, "href-prefixed");
	e->declared = DECLARED_WRONG;
	odd_too_large(c, d);
}

void odd_everything_holds(const struct catalog *c, struct dossier *d)
{
	plain(c, d);
	add_faulty(c, d, true);
}
