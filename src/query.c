/*
 * query - reading. Changes nothing, decides nothing.
 */
#include "query.h"

#include "sys.h"

#include <stdio.h>
#include <string.h>

static bool read_head(struct db *db, const char *number, struct case_view *v, struct err *e)
{
	struct db_rows *r = &v->rows[0];
	if (!db_exec(db, r, e,
		     "SELECT p.id, p.court, p.subject, p.class_name, p.secrecy, p.proceedings, "
		     "p.created_ms,"
		     " p.updated_ms, p.consulted_ms, j.id, j.state, j.outcome, j.error, "
		     "j.lease_until_ms,"
		     " j.epoch, j.last_event, j.created_ms, j.started_ms, j.finished_ms,"
		     " (SELECT COUNT(*) FROM document d WHERE d.process_id = p.id AND d.state = "
		     "'available'),"
		     " (SELECT COUNT(*) FROM document d WHERE d.process_id = p.id AND d.state = "
		     "'failed'),"
		     " (SELECT COUNT(*) FROM document d WHERE d.process_id = p.id"
		     "   AND d.state IN ('pending', 'processing')),"
		     " j.scope, (SELECT url FROM job_webhook w WHERE w.job_id = j.id"
		     "   ORDER BY created_ms, url, user_id LIMIT 1),"
		     " (SELECT delivered_ms FROM job_webhook w WHERE w.job_id = j.id"
		     "   ORDER BY created_ms, url, user_id LIMIT 1)"
		     " FROM process p LEFT JOIN job j ON j.id ="
		     " (SELECT MAX(id) FROM job WHERE process_id = p.id) WHERE p.number = $1",
		     db_s(number)))
		return false;
	if (r->rows == 0)
		return fail(e, ERR_ABSENT, "this case is not known here");
	snprintf(v->number, sizeof v->number, "%s", number);
	v->process_id = db_int(r, 0, 0);
	v->court = db_text(r, 0, 1);
	v->subject = db_text(r, 0, 2);
	v->class_name = db_text(r, 0, 3);
	v->secrecy = (int)db_int(r, 0, 4);
	v->proceedings = db_int(r, 0, 5);
	v->created_ms = db_int(r, 0, 6);
	v->updated_ms = db_int(r, 0, 7);
	v->consulted_ms = db_int(r, 0, 8);
	v->job_id = db_int(r, 0, 9);
	v->job_state = db_text(r, 0, 10);
	v->outcome = db_text(r, 0, 11);
	v->error = db_text(r, 0, 12);
	v->lease_until_ms = db_int(r, 0, 13);
	v->epoch = db_int(r, 0, 14);
	v->last_event = db_int(r, 0, 15);
	v->job_created_ms = db_int(r, 0, 16);
	v->job_started_ms = db_int(r, 0, 17);
	v->job_finished_ms = db_int(r, 0, 18);
	v->available = (size_t)db_int(r, 0, 19);
	v->failed = (size_t)db_int(r, 0, 20);
	v->pending = (size_t)db_int(r, 0, 21);
	v->job_scope = db_text(r, 0, 22);
	v->webhook_url = db_text(r, 0, 23);
	v->webhook_sent_ms = db_int(r, 0, 24);
	return true;
}

static void fill_document(struct doc_view *d, const struct db_rows *r, size_t i)
{
	*d = (struct doc_view){
		.row = db_int(r, i, 0),
		.position = db_int(r, i, 1),
		.doc_id = db_text(r, i, 2),
		.origin_id = db_text(r, i, 3),
		.name = db_text(r, i, 4),
		.type = db_text(r, i, 5),
		.type_code = db_text(r, i, 6),
		.filed_at = db_text(r, i, 7),
		.sequence = db_int(r, i, 8),
		.secrecy = (int)db_int(r, i, 9),
		.court = db_text(r, i, 10),
		.degree = db_text(r, i, 11),
		.declared_type = db_text(r, i, 12),
		.declared_size = db_int(r, i, 13),
		.listed = db_int(r, i, 14) != 0,
		.state = db_text(r, i, 15),
		.reason = db_text(r, i, 16),
		.error = db_text(r, i, 17),
		.tries = db_int(r, i, 18),
		.source_id = db_text(r, i, 19),
		.size = db_is_null(r, i, 20) ? -1 : db_int(r, i, 20),
		.sha256 = db_text(r, i, 21),
		.mime = db_text(r, i, 22),
		.ext = db_text(r, i, 23),
		.object_key = db_text(r, i, 24),
		.note = db_text(r, i, 25),
		.started_ms = db_int(r, i, 26),
		.finished_ms = db_int(r, i, 27),
		.wanted = db_int(r, i, 28) != 0,
	};
}

static bool read_documents(struct db *db, struct case_view *v, struct err *e)
{
	struct db_rows *r = &v->rows[1];
	if (!db_exec(
		    db, r, e,
		    "SELECT d.id, d.position, d.doc_id, d.origin_id, d.name, d.type, d.type_code,"
		    " d.filed_at, d.sequence, d.secrecy, d.court, d.degree, d.declared_type,"
		    " d.declared_size, d.listed, d.state, r.reason, r.error, r.tries, r.source_id, r.size,"
		    " r.sha256, r.mime, r.ext, r.object_key, r.note, r.started_ms, r.finished_ms,"
		    " d.wanted"
		    " FROM document d LEFT JOIN result r ON r.document_id = d.id"
		    " WHERE d.process_id = $1 ORDER BY d.position, d.id",
		    db_i(v->process_id)))
		return false;
	v->docs = xcalloc(r->rows, sizeof *v->docs);
	v->ndocs = r->rows;
	for (size_t i = 0; i < r->rows; i++)
		fill_document(&v->docs[i], r, i);
	return true;
}

/* Links come in the order of the documents, so one walk gives each document its own. */
static bool read_refs(struct db *db, struct case_view *v, struct err *e)
{
	struct db_rows *r = &v->rows[2];
	if (!db_exec(db, r, e,
		     "SELECT f.document_id, f.ref_id, f.href FROM document d"
		     " JOIN document_ref f ON f.document_id = d.id WHERE d.process_id = $1"
		     " ORDER BY d.position, d.id, f.rank, f.ref_id",
		     db_i(v->process_id)))
		return false;
	v->refs = xcalloc(r->rows, sizeof *v->refs);
	size_t at = 0;
	for (size_t i = 0; i < v->ndocs; i++) {
		struct doc_view *d = &v->docs[i];
		d->refs = &v->refs[at];
		for (; at < r->rows && db_int(r, at, 0) == d->row; at++, d->nrefs++)
			v->refs[at] = (struct ref_view){.id = db_text(r, at, 1),
							.href = db_text(r, at, 2)};
	}
	return true;
}

bool query_case_head(struct db *db, const char *number, struct case_view *out, struct err *e)
{
	*out = (struct case_view){0};
	return read_head(db, number, out, e);
}

bool query_case(struct db *db, const char *number, struct case_view *out, struct err *e)
{
	/* The three reads must see one moment, also beside a writer. */
	bool own = !db->in_transaction;
	*out = (struct case_view){0};
	if (own && !db_begin(db, e))
		return false;
	bool ok = read_head(db, number, out, e) && read_documents(db, out, e) &&
		  read_refs(db, out, e);
	if (own)
		db_rollback(db);
	return ok;
}

void case_view_release(struct case_view *v)
{
	for (size_t i = 0; i < sizeof v->rows / sizeof *v->rows; i++)
		db_rows_release(&v->rows[i]);
	xfree(v->docs);
	xfree(v->refs);
	*v = (struct case_view){0};
}

bool query_numbers(struct db *db, struct db_rows *out, struct err *e)
{
	return db_exec(db, out, e, "SELECT number FROM process ORDER BY number");
}
