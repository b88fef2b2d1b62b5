/*
 * portal - the protocol of the national portal (PDPJ / Jus.br), as questions and answers.
 *
 * The portal publishes no description: what is written here was observed, and docs/portal.md says
 * what and how surely. This room does no I/O. It builds requests, reads the two JSON answers into
 * one list of documents, and names every answer, good or bad, by one table. What it cannot name it
 * refuses.
 */
#ifndef AUTOS_PORTAL_H
#define AUTOS_PORTAL_H

#include "cnj.h"
#include "err.h"
#include "http_msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Where the portal is and how to speak to it. Values are borrowed from the settings. ---- */

struct portal_site {
	const char *base_url; /* https://host/api/v2, no slash at the end */
	const char *hosts; /* more hosts that may see the bearer, separated by commas; may be "" */
	const char *user_agent;
	/*
	 * More header lines, separated by '|'; may be "". A line that names a usual header takes
	 * its place; there is room for 7 others, what is beyond is left out.
	 */
	const char *headers;
	int64_t json_timeout_ms; /* whole list or detail call */
	int64_t json_max_bytes;
	int64_t document_max_bytes;
};

/* ---- Questions ---- */

enum portal_call { PORTAL_LIST, PORTAL_DETAIL, PORTAL_DOCUMENT };

/* The list of what is known under a number; `cursor` is NULL or what the page before gave. */
void portal_ask_list(const struct portal_site *site, const char *token, const struct cnj *number,
		     const char *cursor, struct http_req *out);

/* The case file itself: both proceedings and all documents. */
void portal_ask_detail(const struct portal_site *site, const char *token, const struct cnj *number,
		       struct http_req *out);

/*
 * One document's bytes. `href` is as the portal sent it: relative ones are joined to the base with
 * the /api/v2 prefix exactly once; absolute ones only when their scheme and host (and port) are the
 * base's or their host is on the list of site->hosts with https (an entry without port means 443).
 * ERR_INPUT otherwise: the bearer never goes anywhere else. Refused too: control characters,
 * backslashes, fragments, dot segments, encoded separators, and paths that are not a document's.
 */
[[nodiscard]] bool portal_ask_document(const struct portal_site *site, const char *token,
				       const struct cnj *number, const char *href,
				       struct http_req *out, struct err *e);

/* ---- Answers: what a case holds ---- */

/* One way to one document's bytes. The first is the preferred one. */
struct portal_ref {
	char *id; /* UUID from the href, or the data lake's id, without control characters; owned */
	char *href; /* owned, never NULL; as the portal sent it or derived from its twin hrefTexto
		     */
};

struct portal_doc {
	struct portal_ref
		*refs; /* at least one unless the portal lists the paper without any link */
	size_t nrefs;
	/*
	 * Unique in the case and fit for a storage key: 1 to 100 of A-Za-z0-9._-, no dot in front.
	 * refs[0].id where that is such a name, else made from its hash, idOrigem or position;
	 * owned.
	 */
	char *id;
	char *origin_id;     /* idOrigem, NULL when absent */
	char *name;          /* as sent, any bytes that JSON can carry; "" when absent */
	char *type;          /* tipo.nome; "" when absent */
	char *type_code;     /* tipo.codigo as text; NULL when absent */
	char *filed_at;      /* dataHoraJuntada as sent: local time without zone; "" when absent */
	int64_t sequence;    /* sequencia; -1 when absent */
	int secrecy;         /* 0..5: highest of document, proceeding and case */
	char *declared_type; /* arquivo.tipo, a hint; NULL when absent */
	int64_t declared_size; /* arquivo.tamanho, a hint; -1 when absent */
	char *court;           /* sigla of the proceeding's tribunal; "" when absent */
	char *degree;          /* grau.sigla, else instancia; "" when absent */
	int proceeding;        /* 0 = tramitacaoAtual, 1.. = tramitacoes[] in order */
};

struct portal_case {
	char *court;      /* siglaTribunal; "" when absent */
	char *subject;    /* first assunto's descricao, tramitacaoAtual first; "" when absent */
	char *class_name; /* first classe's descricao; "" when absent */
	int secrecy;      /* 0..5 of the case */
	int proceedings;
	size_t listed;           /* document entries before twins were joined */
	struct portal_doc *docs; /* filing order, oldest first */
	size_t ndocs;
};

void portal_case_release(struct portal_case *c);

/* The order of documents by filing: <0, 0 or >0. What has no date comes last. */
int portal_filing_order(const char *date_a, int64_t sequence_a, const char *date_b,
			int64_t sequence_b);

struct portal_page {
	bool found;   /* the number asked for is among the answers */
	int secrecy;  /* 0..5; 0 when not found */
	char *cursor; /* for the next page, NULL at the end; owned */
};

void portal_page_release(struct portal_page *p);

/*
 * Reads a list answer (array, object or {content}/{data}). An answer for another number is not
 * found: the portal is known to ignore filters it does not understand. `previous` is the cursor
 * that was asked with (NULL for the first page): the same one again ends the paging.
 * ERR_FAIL when it is not such an answer.
 */
[[nodiscard]] bool portal_read_list(const struct cnj *number, const char *previous,
				    const char *json, size_t len, struct portal_page *out,
				    struct err *e);

/*
 * Reads a detail answer into the union of tramitacaoAtual and tramitacoes[]. The same paper listed
 * by two sources becomes one document with several refs: same UUID anywhere, or in different
 * proceedings the same court, degree, idOrigem, name and filing second where that is unambiguous.
 * ERR_ABSENT for an empty answer (no such case, or no access to it: the portal does not say which),
 * ERR_FAIL when it is not such an answer.
 */
[[nodiscard]] bool portal_read_detail(const struct cnj *number, const char *json, size_t len,
				      struct portal_case *out, struct err *e);

/* Secrecy as number or enum name; unknown values count as 5. NULL or "" is 0. */
int portal_secrecy(const char *value);

/* ---- Answers: what they mean ---- */

enum portal_meaning {
	PORTAL_GOOD,            /* JSON to read, or a document to check and store */
	PORTAL_TOKEN_DEAD,      /* the token is refused; nothing is wrong with the case */
	PORTAL_SEALED,          /* the token is fine, this case or paper is closed to its holder */
	PORTAL_WAF,             /* a firewall in front of the portal refuses us */
	PORTAL_NOT_FOUND,       /* no such case or paper */
	PORTAL_NOT_INDEXED,     /* no record: not there yet, or hidden; may appear later */
	PORTAL_MISSING_CONTENT, /* listed, but the data lake does not have the bytes */
	PORTAL_OVERLOAD,        /* the data lake is too slow now */
	PORTAL_RATE_LIMITED,    /* 429 */
	PORTAL_GATEWAY,         /* 502, 503, 504 and unnamed 5xx */
	PORTAL_MAINTENANCE,     /* an HTML page where JSON belongs */
	PORTAL_SHELL,           /* the portal's own web application served as the answer */
	PORTAL_LOGIN,           /* a log-in page, or a redirect to one */
	PORTAL_ERROR_BODY,      /* a JSON error object with status 200 in place of a document */
	PORTAL_EMPTY,           /* 200 and no bytes */
	PORTAL_TRUNCATED,       /* cut off: reset, short, or without its end mark */
	PORTAL_TIMEOUT,
	PORTAL_UNREACHABLE, /* no connection at all */
	PORTAL_TOO_LARGE,
	PORTAL_MISMATCH,    /* a body that is not what its type says, and nothing we know */
	PORTAL_REDIRECT,    /* to somewhere that we do not follow */
	PORTAL_BAD_REQUEST, /* 400 and other 4xx: asking again cannot help */
	PORTAL_LOCAL,       /* our own disk could not keep the body */
	PORTAL_UNKNOWN,     /* nothing above: refused */
};

/* What to do about it. */
enum portal_act {
	PORTAL_ACT_USE,     /* read or store it */
	PORTAL_ACT_RETRY,   /* this question again, after the back-off; counts as a try */
	PORTAL_ACT_GIVE_UP, /* this question will not get better: fail the document or the case */
	PORTAL_ACT_RENEW,   /* the token: read it again, else pause everything; not a try */
	PORTAL_ACT_HOLD,    /* the whole portal: pause everything, then ask again; not a try */
};

/* What it tells the lane about its parallelism. */
enum portal_load { PORTAL_LOAD_FINE, PORTAL_LOAD_HALVE, PORTAL_LOAD_NEUTRAL };

/* Reasons of a failed document, as the API names them. */
enum doc_reason {
	DOC_REASON_NONE,
	DOC_REASON_DENIED,
	DOC_REASON_UNAVAILABLE_UPSTREAM,
	DOC_REASON_EMPTY,
	DOC_REASON_INVALID_CONTENT,
	DOC_REASON_TOO_LARGE,
	DOC_REASON_TIMEOUT,
	DOC_REASON_STORAGE,
};

/* "denied", "unavailable_upstream", ...; "" for NONE. */
const char *doc_reason_name(enum doc_reason reason);

struct portal_verdict {
	const char *rule; /* name of the row of the table that matched; static */
	enum portal_meaning meaning;
	enum portal_act act;
	enum portal_load load;
	enum doc_reason reason; /* for a document, when act is GIVE_UP or its tries are used up */
	const char *text;       /* one sentence for a human; static, no data of the case in it */
};

/*
 * Names an answer, looking at (1) transport and first bytes, (2) the JSON message, (3) the status,
 * in this order: the status alone is ambiguous. Never fails: what no row describes is UNKNOWN.
 * A list or detail answer must be in res->body as a whole, else it is TOO_LARGE.
 */
struct portal_verdict portal_classify(enum portal_call call, const struct http_res *res);

const char *portal_meaning_name(enum portal_meaning meaning);

/* The rows, for tests and for docs. */
size_t portal_rule_count(void);
const char *portal_rule_name(size_t i);

/* ---- What a document's bytes are ---- */

struct doc_kind {
	const char *mime; /* static: application/pdf, text/html, text/rtf, ... */
	const char
		*ext; /* static, without dot: pdf, html, rtf, txt, jpg, ...; "bin" when unknown */
	bool known;   /* recognised by its bytes, or text by its content */
};

/*
 * Sniffs the kind by the first bytes; text without a mark of its own is told from `declared`
 * (Content-Type or arquivo.tipo, may be NULL) when its bytes are text at all.
 */
struct doc_kind portal_sniff(const char *head, size_t len, const char *declared);

/* ---- The token ---- */

struct portal_token {
	int64_t expires_ms; /* wall clock; -1 when the token does not say */
	bool foreign;       /* its issuer is not the portal's realm */
};

/* Reads exp and iss of a JWT without checking its signature. ERR_INPUT when it is not a JWT. */
[[nodiscard]] bool portal_token_read(const char *token, size_t len, struct portal_token *out,
				     struct err *e);

#endif
