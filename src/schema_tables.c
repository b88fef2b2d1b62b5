/*
 * schema_tables - the tables. Text states are spelt as the API spells them; times are milliseconds
 * UTC; what the portal sent as local time stays text.
 *
 * process      a case: facts of the portal
 * answer       the portal's last list and detail answers, whole
 * job          one piece of work on a case; the leased unit (owner, epoch, lease_until_ms)
 * job_webhook  who wants to be told of a job's end
 *
 * delivery     one message about one end of a job to one address; the other leased unit
 *
 * delivery_attempt  every time it was sent, and what came of it
 *
 * webhook_target    hosts that messages go to; webhook_secret: what they are signed with
 *
 * document     the manifest: every paper the portal ever listed for a case (document_ref: its
 * links, result: what became of it)
 *
 * event        what happened to a job, numbered 1, 2, 3 ... without a gap
 *
 * batch        many numbers asked for at once (batch_item: each of them)
 *
 * erasure      cases whose rows are gone and whose objects are still to go
 *
 * app_user     who may ask (api_key: with what; secret: secrets of the installation)
 *
 * idempotency  answers given to an Idempotency-Key
 *
 * node         the processes on this database; leader, change, quota, quota_share: what they share
 * (commit_mark: what was committed)
 */
#include "schema_tables.h"

#include <stddef.h>

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

/* Lists walk an index: the sort key, then the id, then what the walk filters by. `created` is
 * sorted by id. Indexes with a court hold listed cases only. */
static const char *const version_2[] = {
	/* How much is asked for: documents (all), list (none), chosen (those with wanted = 1). */
	"ALTER TABLE job ADD COLUMN scope TEXT NOT NULL DEFAULT 'documents'",
	"ALTER TABLE job ADD COLUMN request_id TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE job ADD COLUMN trace TEXT NOT NULL DEFAULT ''",
	/* When it last became ready: by a request or a retry. */
	"ALTER TABLE job ADD COLUMN ready_ms BIGINT NOT NULL DEFAULT 0",
	/* More was asked for while it was worked on: it goes another round. */
	"ALTER TABLE job ADD COLUMN again BIGINT NOT NULL DEFAULT 0",
	"UPDATE job SET ready_ms = run_at_ms",
	"DROP INDEX job_ready",
	"DROP INDEX job_leased",
	/* The state leads, though it is always the same: an index of an equality and an order wins
	 * against job_state, which has the equality alone. */
	"CREATE INDEX job_ready ON job (state, priority DESC, run_at_ms, id)"
	" WHERE state = 'pending'",
	"CREATE INDEX job_leased ON job (state, lease_until_ms) WHERE state = 'processing'",
	"CREATE INDEX job_state ON job (state, id)",
	/* Whose worker may still have bytes in flight: a handful at most. */
	"CREATE INDEX job_owned ON job (owner) WHERE owner <> '' AND state <> 'processing'",

	"CREATE TABLE job_webhook ("
	" job_id BIGINT NOT NULL REFERENCES job(id) ON DELETE CASCADE,"
	" url TEXT NOT NULL,"
	" created_ms BIGINT NOT NULL,"
	" PRIMARY KEY (job_id, url))",

	"ALTER TABLE document ADD COLUMN wanted BIGINT NOT NULL DEFAULT 1",

	"ALTER TABLE process ADD COLUMN documents BIGINT NOT NULL DEFAULT 0", /* ever listed */
	"UPDATE process SET documents ="
	" (SELECT COUNT(*) FROM document d WHERE d.process_id = process.id)",
	"CREATE INDEX process_updated ON process (updated_ms, id, documents)",
	"CREATE INDEX process_consulted ON process ((COALESCE(consulted_ms, 0)), id, documents)",
	"CREATE INDEX process_court ON process ((LOWER(court)), id, documents)",
	"CREATE INDEX process_court_updated ON process"
	" ((LOWER(court)), updated_ms, id, documents) WHERE court <> ''",
	"CREATE INDEX process_court_consulted ON process"
	" ((LOWER(court)), (COALESCE(consulted_ms, 0)), id, documents) WHERE court <> ''",
	"CREATE INDEX process_court_number ON process"
	" ((LOWER(court)), number, id, documents) WHERE court <> ''",

	"CREATE TABLE batch ("
	" id %SERIAL%,"
	" user_id BIGINT NOT NULL," /* 0 = nobody; users may be gone */
	" created_ms BIGINT NOT NULL)",

	"CREATE TABLE batch_item ("
	" batch_id BIGINT NOT NULL REFERENCES batch(id) ON DELETE CASCADE,"
	" position BIGINT NOT NULL," /* from 1 */
	" number TEXT NOT NULL,"
	" job_id BIGINT NOT NULL," /* 0 = none was needed; the job may be gone */
	" PRIMARY KEY (batch_id, position))",

	"CREATE TABLE erasure ("
	" number TEXT PRIMARY KEY,"
	" at_ms BIGINT NOT NULL)",

	"CREATE TABLE app_user ("
	" id %SERIAL%,"
	" username TEXT NOT NULL UNIQUE,"
	" email TEXT NOT NULL DEFAULT '',"
	" role TEXT NOT NULL," /* readonly, user, admin */
	" rate_limit BIGINT NOT NULL DEFAULT 0,"
	" rate_window_s BIGINT NOT NULL DEFAULT 0,"
	" active BIGINT NOT NULL DEFAULT 1,"
	" created_ms BIGINT NOT NULL,"
	" updated_ms BIGINT NOT NULL,"
	" last_access_ms BIGINT NOT NULL DEFAULT 0)",

	"CREATE INDEX app_user_admin ON app_user (id) WHERE role = 'admin' AND active = 1",

	"CREATE TABLE api_key ("
	" id %SERIAL%,"
	" user_id BIGINT NOT NULL REFERENCES app_user(id) ON DELETE CASCADE,"
	" label TEXT NOT NULL DEFAULT '',"
	" hash TEXT NOT NULL UNIQUE," /* SHA-256 of the key */
	" hint TEXT NOT NULL,"        /* its first characters */
	" created_ms BIGINT NOT NULL,"
	" expires_ms BIGINT NOT NULL DEFAULT 0,"
	" revoked_ms BIGINT NOT NULL DEFAULT 0,"
	" last_used_ms BIGINT NOT NULL DEFAULT 0)",

	"CREATE INDEX api_key_user ON api_key (user_id, id)",

	"CREATE TABLE secret ("
	" name TEXT PRIMARY KEY,"
	" value TEXT NOT NULL)",

	"CREATE TABLE idempotency ("
	" user_id BIGINT NOT NULL,"
	" idem_key TEXT NOT NULL,"
	" fingerprint TEXT NOT NULL,"
	" status BIGINT NOT NULL DEFAULT 0," /* 0 = still being answered */
	" location TEXT,"
	" body TEXT NOT NULL DEFAULT '',"
	" created_ms BIGINT NOT NULL,"
	" PRIMARY KEY (user_id, idem_key))",

	"CREATE INDEX idempotency_created ON idempotency (created_ms)",
	"CREATE INDEX idempotency_running ON idempotency (user_id) WHERE status = 0",
	NULL,
};

/* Deliveries. A due time of INT64_MAX is never. */
static const char *const version_3[] = {
	/* Two users may name the same address: each message is signed with its user's secret. */
	"CREATE TABLE job_webhook_new ("
	" job_id BIGINT NOT NULL REFERENCES job(id) ON DELETE CASCADE,"
	" url TEXT NOT NULL,"
	" user_id BIGINT NOT NULL," /* 0 = nobody; users may be gone */
	" thin BIGINT NOT NULL,"    /* ids and counts only */
	" created_ms BIGINT NOT NULL,"
	" delivered_ms BIGINT NOT NULL," /* of the job's last end; 0 = not yet */
	" PRIMARY KEY (job_id, url, user_id))",
	"INSERT INTO job_webhook_new (job_id, url, user_id, thin, created_ms, delivered_ms)"
	" SELECT job_id, url, 0, 0, created_ms, 0 FROM job_webhook",
	"DROP TABLE job_webhook",
	"ALTER TABLE job_webhook_new RENAME TO job_webhook",
	"CREATE INDEX job_webhook_user ON job_webhook (user_id)",

	/* Who is called: scheme, host and port. */
	"CREATE TABLE webhook_target ("
	" id %SERIAL%,"
	" origin TEXT NOT NULL UNIQUE,"
	" proven BIGINT NOT NULL DEFAULT 0,"   /* it answered last time */
	" failures BIGINT NOT NULL DEFAULT 0," /* in a row */
	" paused_until_ms BIGINT NOT NULL DEFAULT 0,"
	/* When its next delivery is due; never while it has as many under way as it may have. */
	" due_ms BIGINT NOT NULL,"
	" created_ms BIGINT NOT NULL)",
	"CREATE INDEX webhook_target_due ON webhook_target (proven, due_ms)"
	" WHERE due_ms < 9223372036854775807",
	"CREATE INDEX webhook_target_failing ON webhook_target (paused_until_ms)"
	" WHERE paused_until_ms > 0",

	/* One message about the end of a job, to one address. What it tells of that end is kept
	 * with it, because the job may be tried again meanwhile. */
	"CREATE TABLE delivery ("
	" id %SERIAL%,"
	" event_id TEXT NOT NULL UNIQUE,"
	" job_id BIGINT NOT NULL REFERENCES job(id) ON DELETE CASCADE,"
	" process_id BIGINT NOT NULL,"
	" target_id BIGINT NOT NULL REFERENCES webhook_target(id),"
	" user_id BIGINT NOT NULL,"
	" url TEXT NOT NULL,"
	" thin BIGINT NOT NULL,"
	" seq BIGINT NOT NULL," /* of the job's event */
	" job_state TEXT NOT NULL,"
	" outcome TEXT NOT NULL,"
	" job_error TEXT NOT NULL,"
	" total BIGINT NOT NULL,"
	" available BIGINT NOT NULL,"
	" failed BIGINT NOT NULL,"
	" finished_ms BIGINT NOT NULL,"
	" state TEXT NOT NULL,"              /* pending, delivering, delivered, failed, cancelled */
	" manual BIGINT NOT NULL DEFAULT 0," /* somebody asked for the next attempt */
	" attempts BIGINT NOT NULL DEFAULT 0," /* all of them */
	" tries BIGINT NOT NULL DEFAULT 0,"    /* those that count, since round_ms */
	" round_ms BIGINT NOT NULL,"           /* when it was made, or set going again */
	" next_ms BIGINT NOT NULL,"
	" class TEXT NOT NULL DEFAULT ''," /* of the last attempt */
	" error TEXT NOT NULL DEFAULT '',"
	" owner TEXT NOT NULL DEFAULT '',"
	" epoch BIGINT NOT NULL DEFAULT 0,"
	" lease_until_ms BIGINT NOT NULL DEFAULT 0,"
	" created_ms BIGINT NOT NULL,"
	" ended_ms BIGINT NOT NULL DEFAULT 0)",
	"CREATE INDEX delivery_ready ON delivery (target_id, next_ms, id) WHERE state = 'pending'",
	"CREATE INDEX delivery_waiting ON delivery (state, round_ms) WHERE state = 'pending'",
	"CREATE INDEX delivery_flying ON delivery (target_id) WHERE state = 'delivering'",
	"CREATE INDEX delivery_leased ON delivery (state, lease_until_ms)"
	" WHERE state = 'delivering'",
	"CREATE INDEX delivery_ended ON delivery (ended_ms) WHERE ended_ms > 0",
	"CREATE INDEX delivery_failed ON delivery (state, ended_ms, id) WHERE state = 'failed'",
	"CREATE INDEX delivery_job ON delivery (job_id, id)",
	"CREATE INDEX delivery_state ON delivery (state, id)",
	"CREATE INDEX delivery_user ON delivery (user_id, id)",

	"CREATE TABLE delivery_attempt ("
	" delivery_id BIGINT NOT NULL REFERENCES delivery(id) ON DELETE CASCADE,"
	" n BIGINT NOT NULL," /* from 1 */
	" manual BIGINT NOT NULL,"
	" at_ms BIGINT NOT NULL,"
	" duration_ms BIGINT NOT NULL,"
	" address TEXT NOT NULL,"  /* IP and port; '' = none was reached for */
	" status BIGINT NOT NULL," /* 0 = none came */
	" class TEXT NOT NULL,"
	" error TEXT NOT NULL,"
	" answer TEXT NOT NULL,"    /* its beginning */
	" why TEXT NOT NULL,"       /* the reason for the next attempt, or for none */
	" next_ms BIGINT NOT NULL," /* 0 = none */
	" PRIMARY KEY (delivery_id, n))",

	"CREATE TABLE webhook_secret ("
	" id %SERIAL%,"
	" user_id BIGINT NOT NULL," /* 0 = the installation's own */
	" kind TEXT NOT NULL,"      /* hmac, ed25519 */
	" value TEXT NOT NULL,"     /* whsec_, whsk_: needed to sign */
	" created_ms BIGINT NOT NULL,"
	" expires_ms BIGINT NOT NULL DEFAULT 0)", /* 0 = the newest one */
	"CREATE INDEX webhook_secret_user ON webhook_secret (user_id, kind, id)",
	NULL,
};

/* Of many processes on one database; on SQLite, which one process has for itself, they stay empty.
 */
static const char *const version_4[] = {
	/* Who runs: a process that does not renew its row is dead. */
	"CREATE TABLE node ("
	" owner TEXT PRIMARY KEY," /* as in job.owner */
	" role TEXT NOT NULL,"     /* all, api, worker */
	" started_ms BIGINT NOT NULL,"
	" until_ms BIGINT NOT NULL)",

	/* Who does what only one may do. */
	"CREATE TABLE leader ("
	" name TEXT PRIMARY KEY,"
	" owner TEXT NOT NULL,"
	" until_ms BIGINT NOT NULL)",

	/* What commits changed, for the other processes. Of no use after a crash: whoever lost his
	 * connection takes everything for changed. */
	"CREATE %UNLOGGED% TABLE change ("
	" xid BIGINT NOT NULL," /* of the transaction */
	" at_ms BIGINT NOT NULL,"
	" owner TEXT NOT NULL,"
	" kind BIGINT NOT NULL," /* enum db_note_kind */
	" process_id BIGINT NOT NULL,"
	" job_id BIGINT NOT NULL)",
	"CREATE INDEX change_xid ON change (xid)",

	/* Each transaction's own row: whether it was committed, when nobody heard the answer. */
	"CREATE TABLE commit_mark ("
	" id BIGINT PRIMARY KEY,"
	" at_ms BIGINT NOT NULL,"
	" asked BIGINT NOT NULL DEFAULT 0)", /* put there by the question */

	/* The quota of a portal account, and who may use how much of it. */
	"CREATE TABLE quota ("
	" account TEXT PRIMARY KEY,"
	" limit_milli BIGINT NOT NULL," /* requests at once, in thousandths */
	" paused_until_ms BIGINT NOT NULL DEFAULT 0,"
	" next_list_ms BIGINT NOT NULL DEFAULT 0,"
	" halved_ms BIGINT NOT NULL DEFAULT 0,"
	" holds BIGINT NOT NULL DEFAULT 0)",

	"CREATE TABLE quota_share ("
	" account TEXT NOT NULL,"
	" owner TEXT NOT NULL,"
	" granted BIGINT NOT NULL,"
	" wants BIGINT NOT NULL," /* whether there is work */
	" until_ms BIGINT NOT NULL,"
	" PRIMARY KEY (account, owner))",

	/* Pending ones that their targets have not heard of: lease_until_ms is -1. */
	"CREATE INDEX delivery_new ON delivery (lease_until_ms, id) WHERE lease_until_ms = -1",
	"CREATE UNIQUE INDEX webhook_secret_newest ON webhook_secret (user_id, kind)"
	" WHERE expires_ms = 0",
	NULL,
};

const char *const *const schema_tables[SCHEMA_VERSION] = {version_1, version_2, version_3,
							  version_4};
