/*
 * jobs - what the unit tests about jobs share: a database of their own, steps as transactions that
 * leave the events in order, listings and results in few words.
 */
#ifndef AUTOS_JOBS_H
#define AUTOS_JOBS_H

#include "job.h"

#include "database.h"
#include "query.h"
#include "schema.h"
#include "scratch.h"

#define NUMBER "99000019720248260100"
#define OTHER "99000027920248260100"
#define T(s) ((char *)(uintptr_t)(s))

enum { LEASE = 12000 };

struct room {
	char *dir, *url;
	struct db *db;
};

static inline int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = database_make(r->dir);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
	assert_true(schema_migrate(r->db, NULL, &e));
	*state = r;
	return 0;
}

static inline int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	scratch_remove(r->dir);
	database_drop(r->url);
	xfree(r);
	return 0;
}

/* ---- Looking ---- */

/* I8: the events of each job have no gap and no repeat, and the job knows the last. */
static inline void check_events(struct db *db)
{
	struct db_rows r;
	struct err e;
	int64_t job = 0, last = 0, known = 0;
	assert_true(db_exec(db, &r, &e,
			    "SELECT j.id, j.last_event, e.seq FROM job j LEFT JOIN event e"
			    " ON e.job_id = j.id ORDER BY j.id, e.seq"));
	for (size_t i = 0; i < r.rows; i++) {
		if (db_int(&r, i, 0) != job) {
			assert_int_equal(last, known);
			job = db_int(&r, i, 0);
			last = 0;
			known = db_int(&r, i, 1);
		}
		assert_int_equal(db_int(&r, i, 2), ++last);
	}
	assert_int_equal(last, known);
	db_rows_release(&r);
}

/* A job's counters are those of its documents. */
static inline void check_counters(struct db *db, int64_t job_id)
{
	struct db_rows r;
	struct err e;
	assert_true(db_exec(
		db, &r, &e,
		"SELECT j.total, j.available, j.failed, COUNT(d.id),"
		" COUNT(CASE WHEN d.state = 'available' THEN 1 END),"
		" COUNT(CASE WHEN d.state = 'failed' THEN 1 END)"
		" FROM job j LEFT JOIN document d ON d.process_id = j.process_id WHERE j.id = $1"
		" GROUP BY j.id",
		db_i(job_id)));
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(db_int(&r, 0, i), db_int(&r, 0, i + 3));
	db_rows_release(&r);
}

/* Everything that is in the database, as one hash. */
static inline void fingerprint(struct db *db, char hex[static 65])
{
	static const char *const all[] = {"SELECT * FROM process ORDER BY id",
					  "SELECT * FROM answer ORDER BY 1, 2",
					  "SELECT * FROM job ORDER BY id",
					  "SELECT * FROM document ORDER BY id",
					  "SELECT * FROM document_ref ORDER BY 1, 2",
					  "SELECT * FROM event ORDER BY 1, 2",
					  "SELECT * FROM result ORDER BY 1",
					  "SELECT * FROM job_webhook ORDER BY 1, 2",
					  "SELECT * FROM batch_item ORDER BY 1, 2",
					  "SELECT * FROM erasure ORDER BY 1"};
	struct sha256 *h = sha256_new();
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct db_rows r;
		struct err e;
		assert_true(db_exec(db, &r, &e, all[i]));
		for (size_t k = 0; k < r.rows * r.cols; k++) {
			char cell[40];
			int n = snprintf(cell, sizeof cell, "|%d:%lld:", (int)r.cells[k].kind,
					 (long long)r.cells[k].i);
			sha256_add(h, cell, (size_t)n);
			if (r.cells[k].kind == DB_TEXT)
				sha256_add(h, r.cells[k].s, r.cells[k].len);
		}
		db_rows_release(&r);
	}
	sha256_end(h, hex);
	sha256_free(h);
}

static inline char *text_of(struct db *db, const char *sql, const char *arg)
{
	struct db_rows r;
	struct err e;
	struct db_value v = db_s(arg);
	if (!db_run(db, sql, &v, 1, &r, &e)) {
		print_error("%s: %s\n", sql, e.text);
		assert_true(false);
	}
	assert_int_equal(r.rows, 1);
	char *s = xstrdup(db_text(&r, 0, 0));
	db_rows_release(&r);
	return s;
}

static inline void job_is(struct db *db, const char *want)
{
	char *s =
		text_of(db,
			"SELECT state || ' ' || outcome || ' ' || total || '/' || available || '/'"
			" || failed FROM job j WHERE id = (SELECT MAX(j2.id) FROM job j2 JOIN"
			" process p ON p.id = j2.process_id WHERE p.number = $1)",
			NUMBER);
	assert_string_equal(s, want);
	xfree(s);
}

static inline void document_is(struct db *db, const char *doc_id, const char *want)
{
	struct case_view v;
	struct err e;
	char is[100] = "";
	assert_true(query_case(db, NUMBER, &v, &e));
	for (size_t i = 0; i < v.ndocs; i++)
		if (strcmp(v.docs[i].doc_id, doc_id) == 0)
			snprintf(is, sizeof is, "%s %s %d %d", v.docs[i].state, v.docs[i].reason,
				 v.docs[i].listed, (int)v.docs[i].position);
	case_view_release(&v);
	assert_string_equal(is, want);
}

/* ---- Doing: each step is a transaction, and leaves the events in order ---- */

static inline bool end(struct db *db, bool ok)
{
	struct err e;
	if (ok)
		assert_true(db_commit(db, &e));
	else
		db_rollback(db);
	check_events(db);
	return ok;
}

#define STEP(db, call)                                                                             \
	({                                                                                         \
		struct err begin_;                                                                 \
		assert_true(db_begin((db), &begin_));                                              \
		end((db), (call));                                                                 \
	})

/* Refused, and committed nevertheless: nothing has changed. */
#define STALE(db, call)                                                                            \
	do {                                                                                       \
		char before_[65], after_[65];                                                      \
		struct err e_ = {0};                                                               \
		fingerprint((db), before_);                                                        \
		assert_true(db_begin((db), &e_));                                                  \
		assert_false(call);                                                                \
		assert_error(&e, ERR_ABSENT);                                                      \
		assert_says(&e, "lease");                                                          \
		assert_true(db_commit((db), &e_));                                                 \
		fingerprint((db), after_);                                                         \
		assert_string_equal(before_, after_);                                              \
	} while (0)

static inline struct job_ticket request(struct db *db, const char *number)
{
	struct job_ticket t;
	struct err e;
	assert_true(STEP(
		db,
		job_request(db, &(struct job_ask){.number = number, .relist = true, .now_ms = 1000},
			    &t, &e)));
	return t;
}

static inline struct job_lease claim(struct db *db, int64_t job_id, int64_t now)
{
	struct job_lease l;
	struct err e = {0};
	if (!STEP(db, job_claim(db, job_id, "me", now, LEASE, &l, &e)))
		print_error("claim: %s\n", e.text);
	assert_int_equal(l.job_id, job_id);
	return l;
}

/* A document with up to three links, named by their ids. */
static inline struct portal_doc doc(struct portal_ref *refs, const char *id, const char *a,
				    const char *b, const char *c)
{
	const char *ids[] = {a, b, c};
	struct portal_doc d = {.refs = refs,
			       .id = T(id),
			       .name = T("Peti\xc3\xa7\xc3\xa3o"),
			       .type = T("Peti\xc3\xa7\xc3\xa3o"),
			       .filed_at = T("2024-05-06T07:08:09"),
			       .sequence = -1,
			       .declared_size = -1,
			       .court = T("TJSP"),
			       .degree = T("G1")};
	while (d.nrefs < 3 && ids[d.nrefs]) {
		refs[d.nrefs] = (struct portal_ref){.id = T(ids[d.nrefs]), .href = T(ids[d.nrefs])};
		d.nrefs++;
	}
	return d;
}

static inline bool list(struct db *db, const struct job_lease *l, struct portal_doc *docs, size_t n,
			struct err *e)
{
	struct portal_case c = {.court = T("TJSP"),
				.subject = T("Subject"),
				.class_name = T("Class"),
				.secrecy = 1,
				.proceedings = 2,
				.listed = n,
				.docs = docs,
				.ndocs = n};
	return job_record_listing(db, l,
				  &(struct job_listing){.found = &c,
							.list_json = "[1]",
							.detail_json = "{\"d\":1}",
							.now_ms = 2000},
				  e);
}

static inline int64_t row_of(struct db *db, const char *doc_id)
{
	struct db_rows r;
	struct err e;
	assert_true(db_exec(db, &r, &e, "SELECT id FROM document WHERE doc_id = $1", db_s(doc_id)));
	assert_int_equal(r.rows, 1);
	int64_t row = db_int(&r, 0, 0);
	db_rows_release(&r);
	return row;
}

static inline struct doc_result got(struct db *db, const char *doc_id)
{
	return (struct doc_result){.row = row_of(db, doc_id),
				   .doc_id = doc_id,
				   .available = true,
				   .error = "",
				   .tries = 1,
				   .source_id = doc_id,
				   .size = 5,
				   .sha256 = "abc",
				   .mime = "application/pdf",
				   .ext = "pdf",
				   .object_key = "k/1.pdf",
				   .note = "",
				   .started_ms = 3000,
				   .finished_ms = 3100};
}

static inline struct doc_result lost(struct db *db, const char *doc_id, enum doc_reason reason)
{
	struct doc_result d = got(db, doc_id);
	d.available = false;
	d.reason = reason;
	d.error = "a sentence";
	d.tries = 4;
	return d;
}

static inline bool record(struct db *db, const struct job_lease *l,
			  const struct doc_result *results, size_t n)
{
	struct err e = {0};
	bool ok = STEP(db, job_record_results(db, l, results, n, 90000, &e));
	if (!ok)
		print_error("results: %s\n", e.text);
	check_counters(db, l->job_id);
	return ok;
}

/* The end, when nothing more was asked for. */
static inline bool finish(struct db *db, const struct job_lease *l, enum outcome outcome,
			  const char *error, int64_t now_ms, struct err *e)
{
	bool over = false;
	bool ok = job_finish(db, l, outcome, error, now_ms, &over, e);
	assert_int_equal(ok, over);
	return ok;
}

/* Three documents: a with one link, b with two, c with one. */
static inline struct job_lease listed(struct db *db)
{
	struct portal_ref refs[3][3];
	struct portal_doc docs[] = {doc(refs[0], "a", "a", NULL, NULL),
				    doc(refs[1], "b", "b", "b2", NULL),
				    doc(refs[2], "c", "c", NULL, NULL)};
	struct err e;
	struct job_lease l = claim(db, request(db, NUMBER).job_id, 1000);
	assert_true(STEP(db, list(db, &l, docs, 3, &e)));
	check_counters(db, l.job_id);
	return l;
}

#endif
