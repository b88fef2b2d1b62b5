/*
 * paper_pdf - writes PDF 1.4 by hand: a catalog, pages of text, one stream of filler, a true xref.
 *
 * The filler stream is the last object, so all offsets but the xref's own are known while the head
 * is written, and the tail has a fixed length because the last number is written with ten digits.
 */
#include "paper_pdf.h"

#include "mix.h"
#include "paper.h"
#include "text.h"

#include <assert.h>

enum {
	PAGES_MAX = 12,
	LINES = 40,             /* lines of text on a page */
	BYTES_PER_PAGE = 25000, /* of the whole file: how many pages a size gets */
	FIRST_PAGE = 5,         /* objects 1 to 4: catalog, pages, font, info */
	OBJECTS_MAX = FIRST_PAGE + 2 * PAGES_MAX + 1,
	HEAD_MAX = 1024 * 1024,
};

struct pdf {
	struct buf out;
	uint64_t offset[OBJECTS_MAX]; /* by object number */
	unsigned objects;             /* highest object number so far */
};

static void begin(struct pdf *p, unsigned number)
{
	assert(number < OBJECTS_MAX);
	p->offset[number] = p->out.len;
	if (number > p->objects)
		p->objects = number;
	buf_addf(&p->out, "%u 0 obj\n", number);
}

static void add_page_text(struct buf *text, struct mix *m, uint64_t stamp, unsigned page, int lines)
{
	buf_adds(text, "BT /F1 9 Tf 15 TL 40 800 Td\n(");
	text_escape(text, "Tribunal Sintético - página ", TEXT_PDF);
	buf_addf(text, "%u - documento %016llx) Tj T*\n", page, (unsigned long long)stamp);
	for (int i = 0; i < lines; i++) {
		buf_adds(text, "(");
		text_sentence(text, m, TEXT_PDF);
		buf_adds(text, ") Tj T*\n");
	}
	buf_adds(text, "ET\n");
}

static void add_page(struct pdf *p, struct mix *m, uint64_t stamp, unsigned page, int lines)
{
	unsigned number = FIRST_PAGE + 2 * (page - 1);
	struct buf text;
	buf_init(&text, HEAD_MAX);
	begin(p, number);
	buf_addf(&p->out,
		 "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
		 "/Resources << /Font << /F1 3 0 R >> >> /Contents %u 0 R >>\nendobj\n",
		 number + 1);
	add_page_text(&text, m, stamp, page, lines);
	begin(p, number + 1);
	buf_addf(&p->out, "<< /Length %zu >>\nstream\n", text.len);
	buf_add(&p->out, text.data, text.len);
	buf_adds(&p->out, "endstream\nendobj\n");
	buf_release(&text);
}

static void add_front(struct pdf *p, uint64_t stamp, unsigned pages)
{
	buf_adds(&p->out, "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n");
	begin(p, 1);
	buf_adds(&p->out, "<< /Type /Catalog /Pages 2 0 R >>\nendobj\n");
	begin(p, 2);
	buf_adds(&p->out, "<< /Type /Pages /Kids [");
	for (unsigned i = 0; i < pages; i++)
		buf_addf(&p->out, " %u 0 R", FIRST_PAGE + 2 * i);
	buf_addf(&p->out, " ] /Count %u >>\nendobj\n", pages);
	begin(p, 3);
	buf_adds(&p->out, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica "
			  "/Encoding /WinAnsiEncoding >>\nendobj\n");
	begin(p, 4);
	buf_addf(&p->out,
		 "<< /Title (Documento sintetico %016llx) /Producer (autos-sim) "
		 "/CreationDate (D:20250102030405) >>\nendobj\n",
		 (unsigned long long)stamp);
}

/* The xref entry of the filler stream closes the list of offsets; its own bytes come before it. */
static void add_tail(struct pdf *p, struct buf *tail, bool filler, uint64_t mass)
{
	if (filler)
		buf_adds(tail, "\nendstream\nendobj\n");
	uint64_t xref = p->out.len + mass + tail->len;
	buf_addf(tail, "xref\n0 %u\n0000000000 65535 f \n", p->objects + 1);
	for (unsigned i = 1; i <= p->objects; i++)
		buf_addf(tail, "%010llu 00000 n \n", (unsigned long long)p->offset[i]);
	buf_addf(tail,
		 "trailer\n<< /Size %u /Root 1 0 R /Info 4 0 R >>\nstartxref\n%010llu\n%%%%EOF\n",
		 p->objects + 1, (unsigned long long)xref);
}

/* What the end of a file with a filler stream takes: its dictionary, its end, xref and trailer. */
static uint64_t end_size(const struct pdf *p)
{
	static const char dict[] = "00 0 obj\n<< /Length 0000000000 >>\nstream\n";
	return sizeof dict + 18 + 20 * (p->objects + 2ULL) + 100;
}

void paper_make_pdf(uint64_t stamp, uint64_t size, struct body *out)
{
	struct pdf p = {0};
	struct buf tail;
	struct mix m = {.state = stamp};
	buf_init(&p.out, HEAD_MAX);
	buf_init(&tail, HEAD_MAX);
	unsigned pages = (unsigned)(size / BYTES_PER_PAGE < PAGES_MAX ? 1 + size / BYTES_PER_PAGE
								      : PAGES_MAX);
	int lines = size < 3000 ? 1 : size < 10000 ? 8 : LINES;
	add_front(&p, stamp, pages);
	for (unsigned i = 1; i <= pages; i++)
		add_page(&p, &m, stamp, i, lines);
	uint64_t used = p.out.len + end_size(&p);
	uint64_t mass = size > used ? size - used : 0;
	if (mass) {
		begin(&p, p.objects + 1);
		buf_addf(&p.out, "<< /Length %010llu >>\nstream\n", (unsigned long long)mass);
	}
	add_tail(&p, &tail, mass > 0, mass);
	body_init(out, &p.out, mass, BODY_FILL_TEXT, stamp, &tail);
}
