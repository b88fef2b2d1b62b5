/*
 * job_record - what a worker found, written down: the list of documents, and what became of each.
 */
#include "job.h"

#include "job_event.h"
#include "sys.h"

#include <string.h>

/* ---- The list ---- */

/* How new documents begin: see the job's scope and who waits for it. */
struct beginning {
	bool wanted;
	const char *state, *open; /* of new ones; of those that are wanted */
};

/* A statement that gives one row number; 0 when it gives none. */
static bool find_one(struct db *db, const char *sql, int64_t process_id, const char *id,
		     int64_t *row, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, sql, db_i(process_id), db_s(id));
	*row = ok && r.rows ? db_int(&r, 0, 0) : 0;
	db_rows_release(&r);
	return ok;
}

/* A row that was found is taken: no other entry of this list may have it too. */
static bool take_row(struct db *db, int64_t row, struct err *e)
{
	return !row ||
	       db_exec(db, NULL, e, "UPDATE document SET listed = 1 WHERE id = $1", db_i(row));
}

static bool find_by_alias(struct db *db, int64_t process_id, const struct portal_doc *d,
			  int64_t *row, struct err *e)
{
	for (size_t i = 0; !*row && i < d->nrefs; i++)
		if (!find_one(
			    db,
			    "SELECT d.id FROM document_ref f JOIN document d ON d.id = f.document_id"
			    " WHERE f.process_id = $1 AND f.ref_id = $2 AND d.listed = 0",
			    process_id, d->refs[i].id, row, e))
			return false;
	return true;
}

/*
 * The rows of documents that the case already has; 0 for new ones. Own ids go before aliases, over
 * the whole list, so that papers that were joined once and are listed apart now stay two.
 */
static bool find_rows(struct db *db, int64_t process_id, const struct portal_case *c, int64_t *rows,
		      struct err *e)
{
	struct db_rows any;
	bool ok = db_exec(db, &any, e, "SELECT id FROM document WHERE process_id = $1 LIMIT 1",
			  db_i(process_id));
	bool first_list = any.rows == 0;
	db_rows_release(&any);
	if (!ok || first_list)
		return ok;
	for (size_t i = 0; i < c->ndocs; i++)
		if (!find_one(db, "SELECT id FROM document WHERE process_id = $1 AND doc_id = $2",
			      process_id, c->docs[i].id, &rows[i], e) ||
		    !take_row(db, rows[i], e))
			return false;
	for (size_t i = 0; i < c->ndocs; i++)
		if (!rows[i] && (!find_by_alias(db, process_id, &c->docs[i], &rows[i], e) ||
				 !take_row(db, rows[i], e)))
			return false;
	return true;
}

static bool insert_document(struct db *db, int64_t process_id, const struct portal_doc *d,
			    int64_t position, const struct beginning *b, int64_t *row,
			    struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"INSERT INTO document (process_id, doc_id, position, origin_id, name, type, "
		"type_code,"
		" filed_at, sequence, secrecy, court, degree, declared_type, declared_size, state,"
		" wanted)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
		" RETURNING id",
		db_i(process_id), db_s(d->id), db_i(position), db_s(d->origin_id), db_s(d->name),
		db_s(d->type), db_s(d->type_code), db_s(d->filed_at), db_i(d->sequence),
		db_i(d->secrecy), db_s(d->court), db_s(d->degree), db_s(d->declared_type),
		db_i(d->declared_size), db_s(b->state), db_i(b->wanted));
	if (ok)
		*row = db_int(&r, 0, 0);
	db_rows_release(&r);
	return ok;
}

static bool update_document(struct db *db, int64_t row, const struct portal_doc *d,
			    int64_t position, const struct beginning *b, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE document SET position = $1, origin_id = $2, name = $3, type = $4, "
		       "type_code = $5,"
		       " filed_at = $6, sequence = $7, secrecy = $8, court = $9, degree = $10,"
		       " declared_type = $11, declared_size = $12, listed = 1 WHERE id = $13",
		       db_i(position), db_s(d->origin_id), db_s(d->name), db_s(d->type),
		       db_s(d->type_code), db_s(d->filed_at), db_i(d->sequence), db_i(d->secrecy),
		       db_s(d->court), db_s(d->degree), db_s(d->declared_type),
		       db_i(d->declared_size), db_i(row)) &&
	       db_exec(db, NULL, e,
		       "DELETE FROM result WHERE document_id = (SELECT id FROM document"
		       " WHERE id = $1 AND state = 'failed' AND wanted = 1)",
		       db_i(row)) &&
	       db_exec(db, NULL, e,
		       "UPDATE document SET state = $1 WHERE id = $2 AND state = 'failed'"
		       " AND wanted = 1",
		       db_s(b->open), db_i(row)) &&
	       /* Links that are no longer listed stay, as aliases, behind those that are. */
	       db_exec(db, NULL, e,
		       "UPDATE document_ref SET rank = rank + $1 WHERE document_id = $2",
		       db_i((int64_t)d->nrefs), db_i(row));
}

static bool record_document(struct db *db, int64_t process_id, const struct portal_doc *d,
			    int64_t row, int64_t position, const struct beginning *b, struct err *e)
{
	if (!(row ? update_document(db, row, d, position, b, e)
		  : insert_document(db, process_id, d, position, b, &row, e)))
		return false;
	for (size_t i = 0; i < d->nrefs; i++)
		if (!db_exec(
			    db, NULL, e,
			    "INSERT INTO document_ref (process_id, ref_id, document_id, rank, href)"
			    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (process_id, ref_id) DO "
			    "UPDATE SET"
			    " document_id = excluded.document_id, rank = excluded.rank, href = "
			    "excluded.href",
			    db_i(process_id), db_s(d->refs[i].id), db_i(row), db_i((int64_t)i),
			    db_s(d->refs[i].href)))
			return false;
	return true;
}

static bool record_answer(struct db *db, int64_t process_id, const char *call, const char *body,
			  int64_t now_ms, struct err *e)
{
	return !body ||
	       db_exec(db, NULL, e,
		       "INSERT INTO answer (process_id, call, body, received_ms)"
		       " VALUES ($1, $2, $3, $4) ON CONFLICT (process_id, call) DO UPDATE SET"
		       " body = excluded.body, received_ms = excluded.received_ms",
		       db_i(process_id), db_s(call), db_s(body), db_i(now_ms));
}

static bool record_process(struct db *db, int64_t process_id, const struct job_listing *ls,
			   struct err *e)
{
	const struct portal_case *c = ls->found;
	return db_exec(db, NULL, e,
		       "UPDATE process SET court = $1, subject = $2, class_name = $3, secrecy = $4,"
		       " proceedings = $5, updated_ms = $6, consulted_ms = $7 WHERE id = $8",
		       db_s(c->court), db_s(c->subject), db_s(c->class_name), db_i(c->secrecy),
		       db_i(c->proceedings), db_i(ls->now_ms), db_i(ls->now_ms),
		       db_i(process_id)) &&
	       record_answer(db, process_id, "list", ls->list_json, ls->now_ms, e) &&
	       record_answer(db, process_id, "detail", ls->detail_json, ls->now_ms, e);
}

/* What was never fetched and is listed no more cannot be had. */
static bool record_unlisted(struct db *db, int64_t process_id, int64_t now_ms, struct err *e)
{
	return db_exec(db, NULL, e,
		       "INSERT INTO result (document_id, reason, error, started_ms, finished_ms)"
		       " SELECT id, 'unavailable_upstream', 'the portal no longer lists this document',"
		       " $1, $2 FROM document WHERE process_id = $3 AND listed = 0"
		       " AND state IN ('pending', 'processing')",
		       db_i(now_ms), db_i(now_ms), db_i(process_id)) &&
	       db_exec(db, NULL, e,
		       "UPDATE document SET state = 'failed' WHERE process_id = $1 AND listed = 0"
		       " AND state IN ('pending', 'processing')",
		       db_i(process_id));
}

static bool documents_in_order(struct db *db, int64_t process_id, int listed, struct db_rows *r,
			       struct err *e)
{
	return db_exec(db, r, e,
		       "SELECT id, position, filed_at, sequence FROM document"
		       " WHERE process_id = $1 AND listed = $2 ORDER BY position, id",
		       db_i(process_id), db_i(listed));
}

/* What is not listed any more keeps its place by filing among what is. */
static bool place_unlisted(struct db *db, int64_t process_id, struct err *e)
{
	struct db_rows yes = {0}, no = {0};
	bool ok = documents_in_order(db, process_id, 0, &no, e) &&
		  (no.rows == 0 || documents_in_order(db, process_id, 1, &yes, e));
	int64_t position = 0;
	for (size_t i = 0, k = 0; ok && no.rows && i + k < yes.rows + no.rows;) {
		bool old = i == yes.rows ||
			   (k < no.rows &&
			    portal_filing_order(db_text(&no, k, 2), db_int(&no, k, 3),
						db_text(&yes, i, 2), db_int(&yes, i, 3)) < 0);
		struct db_rows *r = old ? &no : &yes;
		size_t at = old ? k++ : i++;
		if (db_int(r, at, 1) != ++position)
			ok = db_exec(db, NULL, e, "UPDATE document SET position = $1 WHERE id = $2",
				     db_i(position), db_i(db_int(r, at, 0)));
	}
	db_rows_release(&no);
	db_rows_release(&yes);
	return ok;
}

/*
 * The fence, and how the documents begin. The scope is read here, not taken from the lease: it may
 * have been widened since.
 */
static bool begin_listing(struct db *db, const struct job_lease *l, struct beginning *b,
			  struct err *e)
{
	struct db_rows r = {0};
	/* The case before the job, as whoever asks does. */
	bool ok = db_exec(db, NULL, e, "SELECT 1 FROM process WHERE id = $1 %LOCK%",
			  db_i(l->process_id));
	ok = ok &&
	     db_exec(db, &r, e,
		     "UPDATE job SET relist = 0 WHERE id = $1 AND epoch = $2 AND lease_until_ms <> 0"
		     " RETURNING scope, (SELECT COUNT(*) FROM job_webhook w WHERE w.job_id = job.id)",
		     db_i(l->job_id), db_i(l->epoch));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_ABSENT, "the lease on job %lld is lost", (long long)l->job_id);
	if (ok) {
		b->wanted = job_scope_parse(db_text(&r, 0, 0)) == SCOPE_DOCUMENTS;
		b->open = db_int(&r, 0, 1) ? "pending" : "processing";
		b->state = b->wanted ? b->open : "pending";
	}
	db_rows_release(&r);
	return ok;
}

static bool count_documents(struct db *db, int64_t process_id, struct err *e)
{
	return db_exec(db, NULL, e,
		       "UPDATE process SET documents = (SELECT COUNT(*) FROM document d"
		       " WHERE d.process_id = process.id) WHERE id = $1",
		       db_i(process_id));
}

bool job_record_listing(struct db *db, const struct job_lease *l, const struct job_listing *ls,
			struct err *e)
{
	struct beginning b;
	bool ok = begin_listing(db, l, &b, e) && record_process(db, l->process_id, ls, e) &&
		  db_exec(db, NULL, e, "UPDATE document SET listed = 0 WHERE process_id = $1",
			  db_i(l->process_id)) &&
		  (!b.wanted ||
		   db_exec(db, NULL, e,
			   "UPDATE document SET wanted = 1 WHERE process_id = $1 AND wanted = 0",
			   db_i(l->process_id)));
	int64_t *rows = xcalloc(ls->found->ndocs, sizeof *rows);
	ok = ok && find_rows(db, l->process_id, ls->found, rows, e);
	for (size_t i = 0; ok && i < ls->found->ndocs; i++)
		ok = record_document(db, l->process_id, &ls->found->docs[i], rows[i],
				     (int64_t)i + 1, &b, e);
	xfree(rows);
	return ok && count_documents(db, l->process_id, e) &&
	       place_unlisted(db, l->process_id, e) &&
	       record_unlisted(db, l->process_id, ls->now_ms, e) && job_count(db, l->job_id, e) &&
	       job_event(db, l->job_id, "listed", "", "processing", ls->now_ms, e);
}

/* ---- What became of documents ---- */

static bool record_result(struct db *db, const struct doc_result *d, struct err *e)
{
	bool got = d->available;
	return db_exec(db, NULL, e,
		       "UPDATE document SET state = $1 WHERE id = $2 AND state IN ('pending', 'processing')",
		       db_s(got ? "available" : "failed"), db_i(d->row)) &&
	       db_exec(db, NULL, e,
		       "INSERT INTO result (document_id, reason, error, tries, source_id, size, sha256, mime,"
		       " ext, object_key, note, started_ms, finished_ms)"
		       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		       db_i(d->row), db_s(got ? "" : doc_reason_name(d->reason)),
		       db_s(got ? "" : d->error), db_i(d->tries), db_s(got ? d->source_id : ""),
		       got ? db_i(d->size) : db_s(NULL), db_s(got ? d->sha256 : NULL),
		       db_s(got ? d->mime : NULL), db_s(got ? d->ext : NULL),
		       db_s(got ? d->object_key : NULL), db_s(got && d->note ? d->note : ""),
		       db_i(d->started_ms), db_i(d->finished_ms));
}

bool job_record_results(struct db *db, const struct job_lease *l, const struct doc_result *results,
			size_t n, int64_t lease_until_ms, struct err *e)
{
	int64_t available = 0, last = 0, process_id = 0;
	for (size_t i = 0; i < n; i++)
		available += results[i].available;
	struct db_rows r;
	bool ok = db_exec(
		db, &r, e,
		"UPDATE job SET available = available + $1, failed = failed + $2,"
		" last_event = last_event + $3, lease_until_ms = $4"
		" WHERE id = $5 AND epoch = $6 AND lease_until_ms <> 0 RETURNING last_event,"
		" process_id",
		db_i(available), db_i((int64_t)n - available), db_i((int64_t)n),
		db_i(lease_until_ms), db_i(l->job_id), db_i(l->epoch));
	if (ok && r.rows != 1)
		ok = fail(e, ERR_ABSENT, "the lease on job %lld is lost", (long long)l->job_id);
	if (ok) {
		last = db_int(&r, 0, 0);
		process_id = db_int(&r, 0, 1);
	}
	db_rows_release(&r);
	for (size_t i = 0; ok && i < n; i++) {
		const struct doc_result *d = &results[i];
		ok = record_result(db, d, e) &&
		     job_event_at(db, process_id, l->job_id, last - (int64_t)n + (int64_t)i + 1,
				  "document", d->doc_id, d->available ? "available" : "failed",
				  d->finished_ms, e);
	}
	return ok;
}
