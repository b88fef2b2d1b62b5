/*
 * progress - documents, bytes, rate and time left.
 */
#include "progress.h"

#include "sys.h"
#include "term.h"

#include <stdio.h>
#include <string.h>

enum { PLAIN_EVERY_MS = 5000, DRAW_EVERY_MS = 100, RATE_EVERY_MS = 500, BAR_MAX = 30 };

void progress_init(struct progress *p, bool quiet)
{
	int64_t now = sys_mono_ms();
	*p = (struct progress){
		.quiet = quiet, .started_at = now, .seen_at = now, .printed_at = now};
}

static void measure(struct progress *p, const struct worker_progress *w, int64_t now)
{
	int64_t span = now - p->seen_at;
	size_t over = w->available + w->failed;
	if (span >= RATE_EVERY_MS) {
		double r = (double)(w->bytes - p->seen_bytes) * 1000 / (double)span;
		p->rate = p->seen_at > p->started_at ? p->rate * 0.7 + r * 0.3 : r;
		p->seen_at = now;
		p->seen_bytes = w->bytes;
	}
	if (now > p->started_at) {
		p->pace = (double)over * 1000 / (double)(now - p->started_at);
		if (p->seen_at == p->started_at) /* nothing to smooth yet */
			p->rate = (double)w->bytes * 1000 / (double)(now - p->started_at);
	}
}

/* "12/40 documents  3.1 MB  850.0 kB/s  4 s left" and why nothing moves, if so. */
static void describe(const struct progress *p, const struct worker_progress *w, char *out,
		     size_t cap)
{
	char bytes[16], rate[16], left[48];
	size_t over = w->available + w->failed, n = 0;
	term_bytes(w->bytes, bytes);
	term_bytes((int64_t)p->rate, rate);
	n += (size_t)snprintf(out, cap, "%zu/%zu documents  %s  %s/s", over, w->total, bytes, rate);
	if (w->failed && n < cap)
		n += (size_t)snprintf(out + n, cap - n, "  %zu failed", w->failed);
	if (w->jobs > 1 && n < cap)
		n += (size_t)snprintf(out + n, cap - n, "  case %zu/%zu", w->jobs_over, w->jobs);
	if (n >= cap)
		return;
	if (w->waiting_for_token) {
		snprintf(out + n, cap - n, "  waiting for a new token");
	} else if (w->pause_ms > 0) {
		term_time(w->pause_ms + 498, left); /* rounded up; a millisecond is ours */
		snprintf(out + n, cap - n, "  waiting %s: %s", left,
			 w->pause_text ? w->pause_text : "the portal asks us to");
	} else if (w->listed == w->jobs && p->pace > 0 && over < w->total) {
		term_time((int64_t)((double)(w->total - over) / p->pace * 1000), left);
		snprintf(out + n, cap - n, "  %s left", left);
	}
}

static void draw(struct progress *p, const struct worker_progress *w, const char *text)
{
	char bar[BAR_MAX + 1];
	int room = term_width() - (int)strlen(text) - 5;
	int width = room > BAR_MAX ? BAR_MAX : room;
	if (width < 5) {
		term_progress("%.*s", term_width() - 1, text);
		return;
	}
	size_t over = w->available + w->failed;
	int full = w->total ? (int)(over * (size_t)width / w->total) : 0;
	for (int i = 0; i < width; i++)
		bar[i] = i < full ? '#' : '-';
	bar[width] = '\0';
	term_progress("[%s] %s", bar, text);
	p->shown = over;
}

void progress_show(void *arg, const struct worker_progress *w)
{
	struct progress *p = arg;
	char text[400];
	int64_t now = sys_mono_ms();
	if (p->quiet)
		return;
	measure(p, w, now);
	bool paused = w->pause_ms > 0 || w->waiting_for_token;
	if (term_has_progress()) {
		if (now - p->printed_at < DRAW_EVERY_MS)
			return;
		p->printed_at = now;
		describe(p, w, text, sizeof text);
		draw(p, w, text);
		return;
	}
	/* Elsewhere: a line every few seconds, and at once when everything stands still. */
	if (now - p->printed_at < PLAIN_EVERY_MS && !(paused && !p->paused))
		return;
	p->printed_at = now;
	p->paused = paused;
	describe(p, w, text, sizeof text);
	term_note("%s", text);
}

void progress_end(struct progress *p)
{
	if (!p->quiet)
		term_progress_end();
}
