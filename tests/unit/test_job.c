/*
 * The life of a job: one active job a case, leases with an epoch, listings, results, ends, retries;
 * and after every step the events of each job are numbered 1 to n.
 */
#include "job.h"

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

static int setup(void **state)
{
	struct room *r = xcalloc(1, sizeof *r);
	struct err e;
	r->dir = scratch_make();
	r->url = xasprintf("sqlite:%s/autos.db", r->dir);
	r->db = db_open(r->url, DB_WRITE, &e);
	assert_non_null(r->db);
	assert_true(schema_migrate(r->db, NULL, &e));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;
	db_close(r->db);
	scratch_remove(r->dir);
	xfree(r->url);
	xfree(r);
	return 0;
}

/* ---- Looking ---- */

/* I8: the events of each job have no gap and no repeat, and the job knows the last. */
static void check_events(struct db *db)
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
static void check_counters(struct db *db, int64_t job_id)
{
	struct db_rows r;
	struct err e;
	assert_true(db_exec(
		db, &r, &e,
		"SELECT j.total, j.available, j.failed, COUNT(d.id),"
		" COUNT(CASE WHEN d.state = 'available' THEN 1 END),"
		" COUNT(CASE WHEN d.state = 'failed' THEN 1 END)"
		" FROM job j LEFT JOIN document d ON d.process_id = j.process_id WHERE j.id = $1",
		db_i(job_id)));
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(db_int(&r, 0, i), db_int(&r, 0, i + 3));
	db_rows_release(&r);
}

/* Everything that is in the database, as one hash. */
static void fingerprint(struct db *db, char hex[static 65])
{
	static const char *const all[] = {"SELECT * FROM process ORDER BY id",
					  "SELECT * FROM answer ORDER BY 1, 2",
					  "SELECT * FROM job ORDER BY id",
					  "SELECT * FROM document ORDER BY id",
					  "SELECT * FROM document_ref ORDER BY 1, 2",
					  "SELECT * FROM event ORDER BY 1, 2",
					  "SELECT * FROM result ORDER BY 1"};
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

static char *text_of(struct db *db, const char *sql, const char *arg)
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

static void job_is(struct db *db, const char *want)
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

static void document_is(struct db *db, const char *doc_id, const char *want)
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

static bool end(struct db *db, bool ok)
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

static struct job_ticket request(struct db *db, const char *number)
{
	struct job_ticket t;
	struct err e;
	assert_true(STEP(
		db,
		job_request(db, &(struct job_ask){.number = number, .relist = true, .now_ms = 1000},
			    &t, &e)));
	return t;
}

static struct job_lease claim(struct db *db, int64_t job_id, int64_t now)
{
	struct job_lease l;
	struct err e = {0};
	if (!STEP(db, job_claim(db, job_id, "me", now, LEASE, &l, &e)))
		print_error("claim: %s\n", e.text);
	assert_int_equal(l.job_id, job_id);
	return l;
}

/* A document with up to three links, named by their ids. */
static struct portal_doc doc(struct portal_ref *refs, const char *id, const char *a, const char *b,
			     const char *c)
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

static bool list(struct db *db, const struct job_lease *l, struct portal_doc *docs, size_t n,
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

static int64_t row_of(struct db *db, const char *doc_id)
{
	struct db_rows r;
	struct err e;
	assert_true(db_exec(db, &r, &e, "SELECT id FROM document WHERE doc_id = $1", db_s(doc_id)));
	assert_int_equal(r.rows, 1);
	int64_t row = db_int(&r, 0, 0);
	db_rows_release(&r);
	return row;
}

static struct doc_result got(struct db *db, const char *doc_id)
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

static struct doc_result lost(struct db *db, const char *doc_id, enum doc_reason reason)
{
	struct doc_result d = got(db, doc_id);
	d.available = false;
	d.reason = reason;
	d.error = "a sentence";
	d.tries = 4;
	return d;
}

static bool record(struct db *db, const struct job_lease *l, const struct doc_result *results,
		   size_t n)
{
	struct err e = {0};
	bool ok = STEP(db, job_record_results(db, l, results, n, 90000, &e));
	if (!ok)
		print_error("results: %s\n", e.text);
	check_counters(db, l->job_id);
	return ok;
}

/* Three documents: a with one link, b with two, c with one. */
static struct job_lease listed(struct db *db)
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

/* ---- Asking ---- */

static void test_request_and_adopt(void **state)
{
	struct room *r = *state;
	struct job_ticket a = request(r->db, NUMBER), b = request(r->db, NUMBER),
			  c = request(r->db, OTHER);
	assert_false(a.adopted);
	assert_true(b.adopted);
	assert_int_equal(a.job_id, b.job_id);
	assert_false(c.adopted);
	assert_int_not_equal(a.job_id, c.job_id);
	claim(r->db, a.job_id, 1000);
	b = request(r->db, NUMBER); /* also while somebody works on it */
	assert_true(b.adopted);
	assert_int_equal(a.job_id, b.job_id);
	/* The database itself allows no second active job. */
	struct err e = {0};
	assert_false(db_exec(r->db, NULL, &e,
			     "INSERT INTO job (process_id, state, run_at_ms, created_ms) SELECT "
			     "process_id, 'pending', 0, 0 FROM job WHERE id = $1",
			     db_i(a.job_id)));
	assert_says(&e, "UNIQUE");
	job_is(r->db, "processing  0/0/0");
}

static void test_request_after_the_end(void **state)
{
	struct room *r = *state;
	struct err e;
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), got(r->db, "b"),
				   lost(r->db, "c", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 3));
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_PARTIAL, "", 4000, &e)));
	struct job_ticket t = request(r->db, NUMBER);
	assert_false(t.adopted);
	assert_int_not_equal(t.job_id, l.job_id);
	check_counters(r->db, t.job_id);
	job_is(r->db, "pending  3/2/0");
	document_is(r->db, "a", "available  1 1");
	document_is(r->db, "c", "processing  1 3");
}

static void test_outcome_names(void **state)
{
	(void)state;
	for (int o = OUTCOME_NONE; o <= OUTCOME_STORAGE_ERROR; o++)
		assert_int_equal(outcome_parse(outcome_name((enum outcome)o)), o);
	assert_string_equal(outcome_name(OUTCOME_NONE), "");
	assert_string_equal(outcome_name(OUTCOME_NOT_FOUND), "not_found");
	assert_int_equal(outcome_parse("nonsense"), OUTCOME_NONE);
}

/* ---- Leases ---- */

static void test_claim(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l, other;
	struct job_ticket t = request(r->db, NUMBER);
	l = claim(r->db, t.job_id, 1000);
	assert_int_equal(l.epoch, 1);
	assert_true(l.relist);
	assert_string_equal(l.number, NUMBER);
	assert_true(l.process_id > 0);
	assert_false(STEP(r->db,
			  job_claim(r->db, t.job_id, "you", 1000 + LEASE - 1, LEASE, &other, &e)));
	assert_error(&e, ERR_BUSY);
	assert_false(STEP(r->db, job_claim(r->db, 4711, "you", 1000, LEASE, &other, &e)));
	assert_error(&e, ERR_BUSY);
	assert_true(STEP(r->db, job_renew(r->db, &l, 50000, &e)));
	assert_false(STEP(r->db, job_claim(r->db, t.job_id, "you", 49999, LEASE, &other, &e)));
	other = claim(r->db, t.job_id, 50000);
	assert_int_equal(other.epoch, 2);
}

static void test_hand_back(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l = listed(r->db), other;
	assert_true(STEP(r->db, job_hand_back(r->db, &l, 1, &e)));
	job_is(r->db, "pending  3/0/0");
	STALE(r->db, job_hand_back(r->db, &l, 1, &e));
	other = claim(r->db, l.job_id, 1001); /* at once, and nothing is asked again */
	assert_int_equal(other.epoch, 2);
	assert_false(other.relist);
}

/* I4: whoever lost the lease changes nothing any more. */
static void test_stale_owner(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease old = listed(r->db), now = claim(r->db, old.job_id, 1000 + LEASE);
	struct portal_ref refs[3];
	struct portal_doc docs[] = {doc(refs, "z", "z", NULL, NULL)};
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_EMPTY)};
	assert_int_equal(now.epoch, old.epoch + 1);
	STALE(r->db, job_renew(r->db, &old, 99999, &e));
	STALE(r->db, list(r->db, &old, docs, 1, &e));
	STALE(r->db, job_record_results(r->db, &old, res, 2, 99999, &e));
	STALE(r->db, job_finish(r->db, &old, OUTCOME_COMPLETE, "", 5000, &e));
	STALE(r->db, job_hand_back(r->db, &old, 1, &e));
	/* The new owner is not disturbed. */
	assert_true(record(r->db, &now, res, 2));
	assert_true(STEP(r->db, job_finish(r->db, &now, OUTCOME_PARTIAL, "x", 5000, &e)));
	/* After the end even the last owner changes nothing. */
	STALE(r->db, job_renew(r->db, &now, 99999, &e));
	STALE(r->db, list(r->db, &now, docs, 1, &e));
	STALE(r->db, job_record_results(r->db, &now, res, 2, 99999, &e));
	STALE(r->db, job_finish(r->db, &now, OUTCOME_COMPLETE, "", 5000, &e));
	STALE(r->db, job_hand_back(r->db, &now, 1, &e));
}

static void test_release_all(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_lease l = listed(r->db), again;
	struct job_ticket t = request(r->db, OTHER);
	assert_true(STEP(r->db, job_release_all(r->db, 1, &e)));
	job_is(r->db, "pending  3/0/0");
	STALE(r->db, job_renew(r->db, &l, 99999, &e));
	again = claim(r->db, l.job_id, 1001);
	assert_int_equal(again.epoch, l.epoch + 1);
	claim(r->db, t.job_id, 1001);
	assert_true(STEP(r->db, job_finish(r->db, &again, OUTCOME_EMPTY, "", 5000, &e)));
	assert_true(STEP(r->db, job_release_all(r->db, 1, &e)));
	job_is(r->db, "completed empty 3/0/0"); /* what is final stays */
}

/* ---- Listings ---- */

static void test_first_listing(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct job_lease l = listed(r->db);
	assert_true(query_case(r->db, NUMBER, &v, &e));
	assert_string_equal(v.court, "TJSP");
	assert_string_equal(v.class_name, "Class");
	assert_int_equal(v.secrecy, 1);
	assert_int_equal(v.proceedings, 2);
	assert_int_equal(v.consulted_ms, 2000);
	assert_int_equal(v.job_id, l.job_id);
	assert_string_equal(v.job_state, "processing");
	assert_int_equal(v.ndocs, 3);
	assert_int_equal(v.pending, 3);
	assert_int_equal(v.available + v.failed, 0);
	static const char *const ids[] = {"a", "b", "c"};
	for (size_t i = 0; i < 3; i++) {
		const struct doc_view *d = &v.docs[i];
		assert_string_equal(d->doc_id, ids[i]);
		assert_int_equal(d->position, i + 1);
		assert_true(d->listed);
		assert_string_equal(d->state, "processing");
		assert_string_equal(d->origin_id, "");
		assert_string_equal(d->sha256, "");
		assert_int_equal(d->size, -1);
		assert_int_equal(d->sequence, -1);
		assert_int_equal(d->finished_ms, 0);
		assert_int_equal(d->nrefs, i == 1 ? 2 : 1);
		assert_string_equal(d->refs[0].id, ids[i]);
	}
	assert_string_equal(v.docs[1].refs[1].id, "b2");
	case_view_release(&v);
	case_view_release(&v);
	char *body = text_of(r->db, "SELECT body FROM answer WHERE call = $1", "detail");
	assert_string_equal(body, "{\"d\":1}");
	xfree(body);
	assert_false(query_case(r->db, OTHER, &v, &e));
	assert_error(&e, ERR_ABSENT);
	case_view_release(&v);
}

/* Joined as one paper once, listed as two now: neither may swallow the other. */
static void test_listed_apart(void **state)
{
	struct room *r = *state;
	struct err e;
	struct portal_ref refs[3][3];
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "b")};
	int64_t row_b = row_of(r->db, "b");
	assert_true(record(r->db, &l, res, 1));
	struct portal_doc apart[] = {doc(refs[0], "b2", "b2", NULL, NULL),
				     doc(refs[1], "b", "b", NULL, NULL)};
	assert_true(STEP(r->db, list(r->db, &l, apart, 2, &e)));
	check_counters(r->db, l.job_id);
	document_is(r->db, "b2", "processing  1 1");
	document_is(r->db, "b", "available  1 2");
	assert_int_equal(row_of(r->db, "b"), row_b);
}

static void test_second_listing(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct portal_ref refs[3][3];
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_TIMEOUT)};
	int64_t row_b = row_of(r->db, "b");
	assert_true(record(r->db, &l, res, 2));
	/* b is known by its alias and now preferred by another link, d is new, a and c are gone. */
	struct portal_doc docs[] = {doc(refs[0], "d", "d", NULL, NULL),
				    doc(refs[1], "b2", "b2", "b3", NULL)};
	docs[1].name = T("New name");
	assert_true(STEP(r->db, list(r->db, &l, docs, 2, &e)));
	check_counters(r->db, l.job_id);
	job_is(r->db, "processing  4/1/1");
	document_is(r->db, "a", "available  0 3"); /* equal dates: behind what is listed */
	document_is(r->db, "b", "processing  1 2");
	document_is(r->db, "c", "failed unavailable_upstream 0 4");
	document_is(r->db, "d", "processing  1 1");
	assert_true(query_case(r->db, NUMBER, &v, &e));
	assert_int_equal(v.ndocs, 4);
	for (size_t i = 0; i < v.ndocs; i++) {
		const struct doc_view *d = &v.docs[i];
		if (d->row != row_b)
			continue;
		assert_string_equal(d->name, "New name");
		assert_int_equal(d->tries, 0);
		assert_string_equal(d->error, "");
		/* The preferred link of today comes first; b stays known as an alias. */
		assert_int_equal(d->nrefs, 3);
		assert_string_equal(d->refs[0].id, "b2");
		assert_string_equal(d->refs[1].id, "b3");
		assert_string_equal(d->refs[2].id, "b");
	}
	case_view_release(&v);
	/* Listed again: what failed only for not being listed is tried. */
	struct portal_doc all[] = {doc(refs[0], "a", "a", NULL, NULL),
				   doc(refs[1], "b", "b", "b2", NULL),
				   doc(refs[2], "c", "c", NULL, NULL)};
	assert_true(STEP(r->db, list(r->db, &l, all, 3, &e)));
	check_counters(r->db, l.job_id);
	document_is(r->db, "a", "available  1 1");
	document_is(r->db, "c", "processing  1 3");
	document_is(r->db, "d", "failed unavailable_upstream 0 4");
	assert_int_equal(row_of(r->db, "b"), row_b);
}

/* A paper without any link is a document too. */
static void test_listing_without_links(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct job_lease l = claim(r->db, request(r->db, NUMBER).job_id, 1000);
	struct portal_ref refs[3];
	struct portal_doc docs[] = {doc(NULL, "sem-id-0-1", NULL, NULL, NULL),
				    doc(refs, "a", "a", NULL, NULL)};
	for (int i = 0; i < 2; i++) {
		assert_true(STEP(r->db, list(r->db, &l, docs, 2, &e)));
		check_counters(r->db, l.job_id);
		assert_true(query_case(r->db, NUMBER, &v, &e));
		assert_int_equal(v.ndocs, 2);
		assert_int_equal(v.docs[0].nrefs, 0);
		assert_int_equal(v.docs[1].nrefs, 1);
		assert_string_equal(v.docs[1].refs[0].id, "a");
		case_view_release(&v);
	}
	assert_true(STEP(r->db, list(r->db, &l, NULL, 0, &e)));
	document_is(r->db, "a", "failed unavailable_upstream 0 2");
}

/* ---- Results and ends ---- */

static void test_results(void **state)
{
	struct room *r = *state;
	struct err e;
	struct case_view v;
	struct job_lease l = listed(r->db);
	struct doc_result first[] = {got(r->db, "b")};
	struct doc_result rest[] = {lost(r->db, "a", DOC_REASON_DENIED), got(r->db, "c")};
	first[0].source_id = "b2";
	first[0].note = "declared 7 bytes";
	assert_true(record(r->db, &l, first, 1));
	job_is(r->db, "processing  3/1/0");
	assert_true(record(r->db, &l, rest, 2));
	job_is(r->db, "processing  3/2/1");
	assert_true(record(r->db, &l, NULL, 0));
	assert_true(query_case(r->db, NUMBER, &v, &e));
	assert_int_equal(v.available, 2);
	assert_int_equal(v.failed, 1);
	assert_int_equal(v.pending, 0);
	assert_int_equal(v.lease_until_ms, 90000);
	assert_string_equal(v.docs[0].state, "failed");
	assert_string_equal(v.docs[0].reason, "denied");
	assert_string_equal(v.docs[0].error, "a sentence");
	assert_int_equal(v.docs[0].tries, 4);
	assert_string_equal(v.docs[1].source_id, "b2");
	assert_string_equal(v.docs[1].note, "declared 7 bytes");
	assert_string_equal(v.docs[1].sha256, "abc");
	assert_string_equal(v.docs[1].object_key, "k/1.pdf");
	assert_int_equal(v.docs[1].size, 5);
	assert_int_equal(v.docs[1].started_ms, 3000);
	assert_int_equal(v.docs[1].finished_ms, 3100);
	case_view_release(&v);
	/* Each result is an event of its own, in order. */
	char *s = text_of(r->db,
			  "SELECT GROUP_CONCAT(subject || ':' || state, ' ') FROM (SELECT * FROM "
			  "event WHERE kind = $1 ORDER BY seq)",
			  "document");
	assert_string_equal(s, "b:available a:failed c:available");
	xfree(s);
}

static void test_finish(void **state)
{
	static const struct {
		enum outcome outcome;
		const char *want;
	} t[] = {{OUTCOME_COMPLETE, "completed complete 0/0/0"},
		 {OUTCOME_EMPTY, "completed empty 0/0/0"},
		 {OUTCOME_PARTIAL, "failed partial 0/0/0"},
		 {OUTCOME_NOT_FOUND, "failed not_found 0/0/0"},
		 {OUTCOME_ACCESS_DENIED, "failed access_denied 0/0/0"},
		 {OUTCOME_UPSTREAM_ERROR, "failed upstream_error 0/0/0"},
		 {OUTCOME_STORAGE_ERROR, "failed storage_error 0/0/0"}};
	struct room *r = *state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct err e;
		struct case_view v;
		struct job_lease l = claim(r->db, request(r->db, NUMBER).job_id, 1000);
		assert_true(STEP(r->db, job_finish(r->db, &l, t[i].outcome, "why", 4000, &e)));
		job_is(r->db, t[i].want);
		assert_true(query_case_head(r->db, NUMBER, &v, &e));
		assert_string_equal(v.error, "why");
		assert_string_equal(v.outcome, outcome_name(t[i].outcome));
		assert_int_equal(v.job_finished_ms, 4000);
		assert_int_equal(v.lease_until_ms, 0);
		assert_int_equal(v.last_event, 3); /* pending, processing, done */
		assert_int_equal(v.ndocs, 0);
		case_view_release(&v);
	}
}

/* ---- Trying again ---- */

static void test_retry(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	struct job_lease l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), lost(r->db, "b", DOC_REASON_TIMEOUT),
				   lost(r->db, "c", DOC_REASON_EMPTY)};
	assert_true(record(r->db, &l, res, 3));
	/* An active job is adopted. */
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_true(t.adopted);
	assert_int_equal(t.job_id, l.job_id);
	document_is(r->db, "b", "failed timeout 1 2");
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_PARTIAL, "2 missing", 4000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_false(t.adopted);
	assert_int_equal(t.job_id, l.job_id);
	check_counters(r->db, t.job_id);
	job_is(r->db, "pending  3/1/0");
	document_is(r->db, "a", "available  1 1");
	document_is(r->db, "b", "processing  1 2");
	document_is(r->db, "c", "processing  1 3");
	l = claim(r->db, t.job_id, 5000);
	assert_int_equal(l.epoch, 2);
	assert_false(l.relist); /* the list was answered */
}

static void test_retry_of_nothing(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	assert_false(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_says(&e, "not known here");
	struct job_lease l = listed(r->db);
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_COMPLETE, "", 4000, &e)));
	assert_false(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	assert_error(&e, ERR_ABSENT);
	assert_says(&e, "did not fail");
	assert_false(STEP(r->db, job_retry(r->db, OTHER, 5000, &t, &e)));
	assert_says(&e, "not known here");
}

/* What was asked and not answered is asked again: also the list of a case that has documents. */
static void test_retry_asks_for_the_list_again(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	struct job_lease l = claim(r->db, request(r->db, NUMBER).job_id, 1000);
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 4000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	l = claim(r->db, t.job_id, 5000);
	assert_true(l.relist);
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 6000, &e)));

	l = listed(r->db);
	struct doc_result res[] = {got(r->db, "a"), got(r->db, "b"), got(r->db, "c")};
	assert_true(record(r->db, &l, res, 3));
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_COMPLETE, "", 7000, &e)));
	l = claim(r->db, request(r->db, NUMBER).job_id, 8000);
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 9000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 9500, &t, &e)));
	l = claim(r->db, t.job_id, 9500);
	assert_true(l.relist);
}

/* A paper that is not listed any more is not asked for again. */
static void test_retry_leaves_unlisted_alone(void **state)
{
	struct room *r = *state;
	struct err e = {0};
	struct job_ticket t;
	struct portal_ref refs[3];
	struct portal_doc one[] = {doc(refs, "a", "a", NULL, NULL)};
	struct job_lease l = listed(r->db);
	assert_true(STEP(r->db, list(r->db, &l, one, 1, &e)));
	struct doc_result res[] = {lost(r->db, "a", DOC_REASON_TIMEOUT)};
	assert_true(record(r->db, &l, res, 1));
	assert_true(STEP(r->db, job_finish(r->db, &l, OUTCOME_UPSTREAM_ERROR, "", 4000, &e)));
	assert_true(STEP(r->db, job_retry(r->db, NUMBER, 5000, &t, &e)));
	document_is(r->db, "a", "processing  1 1");
	document_is(r->db, "b", "failed unavailable_upstream 0 2");
	check_counters(r->db, t.job_id);
}

static void test_numbers(void **state)
{
	struct room *r = *state;
	struct err e;
	struct db_rows rows;
	request(r->db, OTHER);
	request(r->db, NUMBER);
	assert_true(query_numbers(r->db, &rows, &e));
	assert_int_equal(rows.rows, 2);
	assert_string_equal(db_text(&rows, 0, 0), NUMBER);
	assert_string_equal(db_text(&rows, 1, 0), OTHER);
	db_rows_release(&rows);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_request_and_adopt),
		TEST(test_request_after_the_end),
		cmocka_unit_test(test_outcome_names),
		TEST(test_claim),
		TEST(test_hand_back),
		TEST(test_stale_owner),
		TEST(test_release_all),
		TEST(test_first_listing),
		TEST(test_listed_apart),
		TEST(test_second_listing),
		TEST(test_listing_without_links),
		TEST(test_results),
		TEST(test_finish),
		TEST(test_retry),
		TEST(test_retry_of_nothing),
		TEST(test_retry_asks_for_the_list_again),
		TEST(test_retry_leaves_unlisted_alone),
		TEST(test_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
