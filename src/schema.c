/*
 * schema - the tables. Text states are spelt as the API spells them; times are milliseconds UTC;
 * what the portal sent as local time stays text.
 *
 * process   a case: facts of the portal
 * answer    the portal's last list and detail answers, whole
 * job       one piece of work on a case; the leased unit (owner, epoch, lease_until_ms)
 * document  the manifest: every paper the portal ever listed for a case (document_ref: its links,
 *           result: what became of it)
 * event     what happened to a job, numbered 1, 2, 3 ... without a gap
 */
#include "schema.h"

#include "sys.h"

#include <stdio.h>
#include <string.h>

/* %SERIAL% stands for the driver's own row number. */
static const char *const version_1[] = {
	"CREATE TABLE process ("
	" id %SERIAL%,"
	" number TEXT NOT NULL UNIQUE," /* 20 digits */
	" court TEXT NOT NULL DEFAULT '',"
	" subject TEXT NOT NULL DEFAULT '',"
	" class_name TEXT NOT NULL DEFAULT '',"
	" secrecy BIGINT NOT NULL DEFAULT 0,"
	" proceedings BIGINT NOT NULL DEFAULT 0,"
	" created_ms BIGINT NOT NULL,"
	" updated_ms BIGINT NOT NULL,"
	" consulted_ms BIGINT)", /* when the portal last gave the list; NULL = never */

	"CREATE TABLE answer ("
	" process_id BIGINT NOT NULL REFERENCES process(id) ON DELETE CASCADE,"
	" call TEXT NOT NULL," /* list, detail */
	" body TEXT NOT NULL,"
	" received_ms BIGINT NOT NULL,"
	" PRIMARY KEY (process_id, call))",

	"CREATE TABLE job ("
	" id %SERIAL%,"
	" process_id BIGINT NOT NULL REFERENCES process(id) ON DELETE CASCADE,"
	" state TEXT NOT NULL,"              /* pending, processing, completed, failed, cancelled */
	" outcome TEXT NOT NULL DEFAULT ''," /* set with a final state */
	" error TEXT NOT NULL DEFAULT '',"
	" relist BIGINT NOT NULL DEFAULT 1," /* the portal is to be asked for the list */
	" priority BIGINT NOT NULL DEFAULT 0,"
	" run_at_ms BIGINT NOT NULL,"
	" owner TEXT NOT NULL DEFAULT '',"
	" epoch BIGINT NOT NULL DEFAULT 0," /* grows with each lease: the fence */
	" lease_until_ms BIGINT NOT NULL DEFAULT 0,"
	" total BIGINT NOT NULL DEFAULT 0,"
	" available BIGINT NOT NULL DEFAULT 0,"
	" failed BIGINT NOT NULL DEFAULT 0,"
	" last_event BIGINT NOT NULL DEFAULT 0,"
	" created_ms BIGINT NOT NULL,"
	" started_ms BIGINT,"
	" finished_ms BIGINT)",

	/* At most one active job a case, whoever asks and however often. */
	"CREATE UNIQUE INDEX job_active ON job (process_id) WHERE state IN ('pending', "
	"'processing')",
	"CREATE INDEX job_ready ON job (priority, run_at_ms, id) WHERE state = 'pending'",
	"CREATE INDEX job_leased ON job (lease_until_ms) WHERE state = 'processing'",
	"CREATE INDEX job_process ON job (process_id, id)",

	"CREATE TABLE document ("
	" id %SERIAL%,"
	" process_id BIGINT NOT NULL REFERENCES process(id) ON DELETE CASCADE,"
	" doc_id TEXT NOT NULL,"     /* the portal's UUID; unique in the case */
	" position BIGINT NOT NULL," /* filing order, oldest first, from 1 */
	" origin_id TEXT,"
	" name TEXT NOT NULL,"
	" type TEXT NOT NULL,"
	" type_code TEXT,"
	" filed_at TEXT NOT NULL," /* the portal's local time as it came */
	" sequence BIGINT NOT NULL,"
	" secrecy BIGINT NOT NULL,"
	" court TEXT NOT NULL,"
	" degree TEXT NOT NULL,"
	" declared_type TEXT,"
	" declared_size BIGINT NOT NULL,"
	" listed BIGINT NOT NULL DEFAULT 1," /* in the portal's last answer */
	" state TEXT NOT NULL,"              /* pending, processing, available, failed */
	" UNIQUE (process_id, doc_id))",

	/* What became of a document. Apart from it, so that the rows of a long list, once written,
	 * do not grow: growing rows split pages, and each split is written. */
	"CREATE TABLE result ("
	" document_id BIGINT PRIMARY KEY REFERENCES document(id) ON DELETE CASCADE,"
	" reason TEXT NOT NULL DEFAULT '',"
	" error TEXT NOT NULL DEFAULT '',"
	" tries BIGINT NOT NULL DEFAULT 0,"
	" source_id TEXT NOT NULL DEFAULT ''," /* id of the link that gave the bytes */
	" size BIGINT,"
	" sha256 TEXT,"
	" mime TEXT,"
	" ext TEXT,"
	" object_key TEXT,"
	" note TEXT NOT NULL DEFAULT ''," /* differences between declared and received */
	" started_ms BIGINT NOT NULL,"
	" finished_ms BIGINT NOT NULL)",

	"CREATE INDEX document_order ON document (process_id, position)",

	/* The ways to one paper's bytes: rank 0 is preferred, the others are its aliases. */
	"CREATE TABLE document_ref ("
	" process_id BIGINT NOT NULL,"
	" ref_id TEXT NOT NULL,"
	" document_id BIGINT NOT NULL REFERENCES document(id) ON DELETE CASCADE,"
	" rank BIGINT NOT NULL,"
	" href TEXT NOT NULL,"
	" PRIMARY KEY (process_id, ref_id))",

	"CREATE INDEX document_ref_document ON document_ref (document_id, rank)",

	"CREATE TABLE event ("
	" job_id BIGINT NOT NULL REFERENCES job(id) ON DELETE CASCADE,"
	" seq BIGINT NOT NULL,"
	" kind TEXT NOT NULL,"               /* listed, document, done */
	" subject TEXT NOT NULL DEFAULT ''," /* document: its doc_id */
	" state TEXT NOT NULL,"              /* of the document or the job after the change */
	" at_ms BIGINT NOT NULL,"
	" PRIMARY KEY (job_id, seq))",
	NULL,
};

static const char *const *const migrations[] = {version_1};

enum { VERSION = sizeof migrations / sizeof *migrations };

int schema_version(void)
{
	return VERSION;
}

/* 0 for an empty database. */
static bool read_version(struct db *db, int *version, struct err *e)
{
	struct db_rows r;
	bool ok = db_exec(db, &r, e, "SELECT MAX(version) FROM schema_version");
	if (ok)
		*version = (int)db_int(&r, 0, 0);
	db_rows_release(&r);
	return ok;
}

static bool run_one(struct db *db, const char *sql, struct err *e)
{
	static const char mark[] = "%SERIAL%";
	const char *at = strstr(sql, mark);
	if (!at)
		return db_exec(db, NULL, e, sql);
	char *text = xasprintf("%.*s%s%s", (int)(at - sql), sql, db->ops->serial_key,
			       at + sizeof mark - 1);
	bool ok = db_run_once(db, text, e);
	xfree(text);
	return ok;
}

static bool apply(struct db *db, int version, struct err *e)
{
	if (!db_begin(db, e))
		return false;
	for (const char *const *sql = migrations[version - 1]; *sql; sql++)
		if (!run_one(db, *sql, e))
			goto undo;
	if (!db_exec(db, NULL, e,
		     "INSERT INTO schema_version (version, applied_ms) VALUES ($1, $2)",
		     db_i(version), db_i(sys_wall_ms())))
		goto undo;
	return db_commit(db, e);
undo:
	db_rollback(db);
	return err_prefix(e, "migration %d: ", version);
}

static bool too_new(int found, struct err *e)
{
	return fail(e, ERR_INPUT,
		    "the database is of version %d, this program knows versions up to %d: use the "
		    "newer "
		    "program that wrote it",
		    found, VERSION);
}

bool schema_migrate(struct db *db, int *from, struct err *e)
{
	int found = 0;
	if (!db_exec(db, NULL, e,
		     "CREATE TABLE IF NOT EXISTS schema_version ("
		     "version BIGINT PRIMARY KEY, applied_ms BIGINT NOT NULL)") ||
	    !read_version(db, &found, e))
		return false;
	if (from)
		*from = found;
	if (found > VERSION)
		return too_new(found, e);
	for (int v = found + 1; v <= VERSION; v++)
		if (!apply(db, v, e))
			return false;
	return true;
}

bool schema_check(struct db *db, struct err *e)
{
	int found = 0;
	if (!read_version(db, &found, e))
		return false;
	if (found > VERSION)
		return too_new(found, e);
	if (found < VERSION)
		return fail(e, ERR_INPUT,
			    "the database is of version %d, this program needs %d: run "
			    "`autos migrate`",
			    found, VERSION);
	return true;
}
