/*
 * cases - a database of its own with cases whose documents are there, for tests of what goes over
 * them.
 */
#ifndef AUTOS_CASES_H
#define AUTOS_CASES_H

#include "schema.h"
#include "scratch.h"

/* One document of a case: its bytes are its key, but for what a test says. */
static inline void case_document(struct db *db, const char *number, int position, const char *state,
				 const char *key, const char *sha256, int64_t size)
{
	struct err e;
	char id[24];
	snprintf(id, sizeof id, "d%d", position);
	bool ok = db_exec(db, NULL, &e,
			  "INSERT INTO document (doc_id, position, state, process_id, name, type,"
			  " filed_at, sequence, secrecy, court, degree, declared_size)"
			  " SELECT $1, $2, $3, id, 'Name', 'Type', '2024-05-06', 0, 0, 'TJSP',"
			  " 'G1', -1 FROM process WHERE number = $4",
			  db_s(id), db_i(position), db_s(state), db_s(number)) &&
		  db_exec(db, NULL, &e,
			  "INSERT INTO result (document_id, source_id, size, sha256, object_key,"
			  " mime, ext, started_ms, finished_ms)"
			  " SELECT d.id, $1, $2, $3, $4, 'application/pdf', 'pdf', 1, 2"
			  " FROM document d JOIN process p ON p.id = d.process_id"
			  " WHERE p.number = $5 AND d.doc_id = $6",
			  db_s(id), db_i(size), db_s(sha256), db_s(key), db_s(number), db_s(id));
	if (!ok)
		fail_msg("%s", e.text);
}

static inline void case_add(struct db *db, const char *number)
{
	struct err e;
	if (!db_exec(db, NULL, &e,
		     "INSERT INTO process (number, created_ms, updated_ms) VALUES ($1, 1, 1)",
		     db_s(number)))
		fail_msg("%s", e.text);
}

/* The key of a document, and 20 digits that are no case of anybody. */
static inline char *case_key(const char *number, int position)
{
	return xasprintf("processos/%s/documentos/d%d.pdf", number, position);
}

static inline char *case_number(int i)
{
	return xasprintf("99%07d2024826%04d", i, i % 10000);
}

static inline struct db *case_open(const char *dir)
{
	struct err e;
	char *url = xasprintf("sqlite:%s/autos.db", dir);
	struct db *db = db_open(url, DB_WRITE, &e);
	xfree(url);
	assert_non_null(db);
	assert_true(schema_migrate(db, NULL, &e));
	return db;
}

#endif
