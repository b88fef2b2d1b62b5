/*
 * metrics - storage of the counters and their text. Takes no lock: a label gets its place by one
 * compare-and-swap, and what is counted is added to that place.
 */
#include "metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LABELS = 64, OTHER = LABELS - 1, BOUNDS = 17, BUCKETS = BOUNDS + 1 };

static const double bounds[BOUNDS] = {.001, .0025, .005, .01, .025, .05, .1,  .25, .5,
				      1,    2.5,   5,    10,  30,   60,  300, 600};
static const char *const bound_names[BUCKETS] = {
	"0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
	"1",     "2.5",    "5",     "10",   "30",    "60",   "300", "600",  "+Inf"};

/* A sum is kept in units of 100 ns: small enough for an answer out of memory, and full only after
 * 29,000 years of waiting. */
#define UNITS_PER_SECOND 1e7
#define SECONDS_MAX 1e9

/* Values of a label in the order of their first use, then NULL; the last place is everybody else's.
 * A place that has a value keeps it. */
struct labels {
	_Atomic(const char *) names[LABELS];
};

struct family {
	struct labels labels;
	_Atomic int64_t counts[LABELS];
};

struct series {
	_Atomic int64_t buckets[BUCKETS];
	_Atomic int64_t sum;
};

struct histogram {
	struct labels labels;
	struct series series[LABELS];
};

struct facts {
	const char *name, *label, *type, *help;
};

static _Atomic int64_t values[METRIC_COUNT];
static struct family families[FAMILY_COUNT], dials[DIAL_COUNT];
static struct histogram histograms[HISTOGRAM_COUNT];

static const struct facts metric_facts[] = {
#define COUNTER "counter"
#define GAUGE "gauge"
#define M(name, type, help) {#name, NULL, type, help},
	METRICS(M)
#undef M
#undef GAUGE
#undef COUNTER
};

static const struct facts family_facts[] = {
#define F(name, label, help) {#name, label, "counter", help},
	METRIC_FAMILIES(F)
#undef F
};

static const struct facts dial_facts[] = {
#define G(name, label, help) {#name, label, "gauge", help},
	METRIC_DIALS(G)
#undef G
};

static const struct facts histogram_facts[] = {
#define H(name, label, help) {#name, label, "histogram", help},
	METRIC_HISTOGRAMS(H)
#undef H
};

static void count(_Atomic int64_t *c, int64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static int64_t read_count(const _Atomic int64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void metric_add(enum metric m, int64_t n)
{
	count(&values[m], n);
}

void metric_set(enum metric m, int64_t value)
{
	atomic_store_explicit(&values[m], value, memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
	return read_count(&values[m]);
}

/* ---- Labels ---- */

static const char *label_name(const struct labels *l, size_t i)
{
	return i == OTHER ? "other" : atomic_load_explicit(&l->names[i], memory_order_acquire);
}

/* Finds the place of a value by its content. False: it has none, and *place is the first free one,
 * or OTHER. */
static bool label_find(const struct labels *l, const char *value, size_t *place)
{
	const char *name;
	for (*place = 0; *place < OTHER && (name = label_name(l, *place)); (*place)++)
		if (strcmp(name, value) == 0)
			return true;
	if (strcmp(value, "other") != 0)
		return false;
	*place = OTHER;
	return true;
}

/* The place of a value, which gets one when it has none. Nearly always its address is known. */
static size_t label_place(struct labels *l, const char *value)
{
	const char *name = "";
	if (!value)
		return OTHER;
	for (size_t i = 0; name && i < OTHER; i++) {
		name = atomic_load_explicit(&l->names[i], memory_order_relaxed);
		if (name == value)
			return i;
	}
	size_t place;
	while (!label_find(l, value, &place) && place < OTHER) {
		const char *none = NULL;
		if (atomic_compare_exchange_strong(&l->names[place], &none, value))
			break;
	}
	return place;
}

/* ---- Families ---- */

void metric_count(enum metric_family f, const char *value)
{
	count(&families[f].counts[label_place(&families[f].labels, value)], 1);
}

int64_t metric_counted(enum metric_family f, const char *value)
{
	const struct family *of = &families[f];
	size_t place;
	if (value)
		return label_find(&of->labels, value, &place) ? read_count(&of->counts[place]) : 0;
	int64_t all = 0;
	for (size_t i = 0; i < LABELS; i++)
		all += read_count(&of->counts[i]);
	return all;
}

void metric_turn(enum metric_dial d, const char *value, int64_t to)
{
	atomic_store_explicit(&dials[d].counts[label_place(&dials[d].labels, value)], to,
			      memory_order_relaxed);
}

int64_t metric_turned(enum metric_dial d, const char *value)
{
	size_t place;
	return label_find(&dials[d].labels, value, &place) ? read_count(&dials[d].counts[place])
							   : 0;
}

/* ---- Histograms ---- */

void metric_observe(enum metric_histogram h, const char *label, double seconds)
{
	struct histogram *of = &histograms[h];
	size_t place = histogram_facts[h].label ? label_place(&of->labels, label) : 0, bucket = 0;
	if (!(seconds > 0)) /* nor a NaN */
		seconds = 0;
	while (bucket < BOUNDS && seconds > bounds[bucket])
		bucket++;
	count(&of->series[place].buckets[bucket], 1);
	count(&of->series[place].sum,
	      (int64_t)((seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * UNITS_PER_SECOND + .5));
}

struct reading {
	int64_t buckets[BUCKETS];
	int64_t count, sum;
};

static void series_read(const struct series *s, struct reading *r)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		int64_t n = read_count(&s->buckets[i]);
		r->buckets[i] += n;
		r->count += n;
	}
	r->sum += read_count(&s->sum);
}

/* What was observed under a label, or under all of them. */
static struct reading histogram_read(enum metric_histogram h, const char *label)
{
	const struct histogram *of = &histograms[h];
	struct reading r = {0};
	size_t place;
	if (!label || !histogram_facts[h].label)
		for (size_t i = 0; i < LABELS; i++)
			series_read(&of->series[i], &r);
	else if (label_find(&of->labels, label, &place))
		series_read(&of->series[place], &r);
	return r;
}

int64_t metric_observations(enum metric_histogram h, const char *label)
{
	return histogram_read(h, label).count;
}

double metric_sum(enum metric_histogram h, const char *label)
{
	return (double)histogram_read(h, label).sum / UNITS_PER_SECOND;
}

double metric_quantile(enum metric_histogram h, const char *label, double q)
{
	struct reading r = histogram_read(h, label);
	double rank = (q > 1 ? 1 : q > 0 ? q : 0) * (double)r.count, below = 0;
	for (size_t i = 0; i < BOUNDS; i++) {
		double n = (double)r.buckets[i], low = i ? bounds[i - 1] : 0;
		if (n > 0 && below + n >= rank)
			return low + (bounds[i] - low) * (rank - below) / n;
		below += n;
	}
	return r.count ? bounds[BOUNDS - 1] : 0; /* beyond the last bound nothing more is known */
}

/* ---- Text (Prometheus, exposition format 0.0.4) ---- */

static void add_escaped(struct buf *out, const char *s, bool is_label)
{
	for (; *s; s++) {
		if (*s == '\n')
			buf_adds(out, "\\n");
		else if (*s == '\\' || (is_label && *s == '"'))
			buf_addf(out, "\\%c", *s);
		else
			buf_add(out, s, 1);
	}
}

static void add_head(struct buf *out, const struct facts *f, const char *ending)
{
	buf_addf(out, "# HELP autos_%s%s ", f->name, ending);
	add_escaped(out, f->help, false);
	buf_addf(out, "\n# TYPE autos_%s%s %s\n", f->name, ending, f->type);
}

/* name="value" */
static void add_label(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "%s=\"", name);
	add_escaped(out, value, true);
	buf_adds(out, "\"");
}

static void add_metrics(struct buf *out)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct facts *f = &metric_facts[i];
		const char *ending = strcmp(f->type, "counter") == 0 ? "_total" : "";
		add_head(out, f, ending);
		buf_addf(out, "autos_%s%s %lld\n", f->name, ending,
			 (long long)metric_get((enum metric)i));
	}
}

static void add_family(struct buf *out, const struct facts *f, const char *ending,
		       const struct family *of)
{
	add_head(out, f, ending);
	for (size_t k = 0; k < LABELS; k++) {
		const char *name = label_name(&of->labels, k);
		int64_t n = read_count(&of->counts[k]);
		if (!name || (k == OTHER && n == 0))
			continue;
		buf_addf(out, "autos_%s%s{", f->name, ending);
		add_label(out, f->label, name);
		buf_addf(out, "} %lld\n", (long long)n);
	}
}

static void add_families(struct buf *out)
{
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		add_family(out, &family_facts[i], "_total", &families[i]);
	for (size_t i = 0; i < DIAL_COUNT; i++)
		add_family(out, &dial_facts[i], "", &dials[i]);
}

/* The lines of one series; value NULL: it has no label. */
static void add_series(struct buf *out, const struct facts *f, const char *value,
		       const struct series *s)
{
	struct reading r = {0};
	int64_t below = 0;
	char text[24];
	series_read(s, &r);
	for (size_t i = 0; i < BUCKETS; i++) {
		below += r.buckets[i];
		buf_addf(out, "autos_%s_seconds_bucket{", f->name);
		if (value) {
			add_label(out, f->label, value);
			buf_adds(out, ",");
		}
		buf_addf(out, "le=\"%s\"} %lld\n", bound_names[i], (long long)below);
	}
	snprintf(text, sizeof text, "%.7f", (double)r.sum / UNITS_PER_SECOND);
	static const char *const endings[] = {"sum", "count"};
	for (size_t i = 0; i < 2; i++) {
		buf_addf(out, "autos_%s_seconds_%s", f->name, endings[i]);
		if (value) {
			buf_adds(out, "{");
			add_label(out, f->label, value);
			buf_adds(out, "}");
		}
		if (i)
			snprintf(text, sizeof text, "%lld", (long long)r.count);
		buf_addf(out, " %s\n", text);
	}
}

static void add_histograms(struct buf *out)
{
	for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
		const struct facts *f = &histogram_facts[i];
		const struct histogram *h = &histograms[i];
		add_head(out, f, "_seconds");
		if (!f->label)
			add_series(out, f, NULL, &h->series[0]);
		for (size_t k = 0; f->label && k < LABELS; k++) {
			const char *name = label_name(&h->labels, k);
			struct reading r = {0};
			if (!name)
				continue;
			series_read(&h->series[k], &r);
			if (r.count)
				add_series(out, f, name, &h->series[k]);
		}
	}
}

void metrics_text(struct buf *out)
{
	static const struct facts build = {"build_info", "version", "gauge",
					   "The program that runs; always 1"};
	add_head(out, &build, "");
	buf_adds(out, "autos_build_info{");
	add_label(out, build.label, AUTOS_VERSION);
	buf_adds(out, "} 1\n");
	add_metrics(out);
	add_families(out);
	add_histograms(out);
}
