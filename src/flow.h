/*
 * flow - the stages of a case: LIST, DETAIL, FETCH, PUT.
 *
 * A stage is a question and the reading of its answer. The flow keeps what is known of each case
 * that is held (a run), says which question may be asked next, and turns answers into results that
 * wait for the worker's next transaction. It starts no request and opens no transaction itself. One
 * thread.
 */
#ifndef AUTOS_FLOW_H
#define AUTOS_FLOW_H

#include "account.h"
#include "cnj.h"
#include "config.h"
#include "http.h"
#include "job.h"
#include "portal.h"
#include "putter.h"
#include "query.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How often one question was asked, and when it may be asked again. */
struct question {
	int asked;          /* requests sent */
	int retries;        /* after transient faults */
	int renewals;       /* times its token was refused */
	int holds;          /* times the portal as a whole did not answer it, 429 left out */
	int64_t held_since; /* monotonic; first 429 without an answer since, 0 = none */
	int64_t not_before; /* monotonic */
};

enum doc_place {
	DOC_WAITING, /* for its turn, or for its back-off */
	DOC_FLYING,  /* being fetched */
	DOC_STORING, /* with the putter */
	DOC_TWIN,    /* its bytes are those of a document that is with the putter */
	DOC_SETTLED, /* result waits for the next transaction */
	DOC_DONE,    /* written down */
};

struct run_doc {
	const struct doc_view *view;
	enum doc_place place;
	struct question question;
	size_t ref;                      /* which link is asked now */
	bool *dead;                      /* links that will not get better; nrefs long */
	size_t twin;                     /* DOC_TWIN: index of the other */
	int64_t started_ms, finished_ms; /* wall */

	bool unwanted; /* not asked for: stays as it is */
	bool available;
	enum doc_reason reason;
	char *error; /* owned */
	int64_t size;
	char sha256[65];
	struct doc_kind kind;
	char *key;  /* owned */
	char *note; /* owned */
};

enum run_stage {
	RUN_LIST,
	RUN_DETAIL,
	RUN_LISTED, /* the list waits for the next transaction */
	RUN_LOAD,   /* the documents are to be read from the database */
	RUN_DOCUMENTS,
	RUN_OVER, /* outcome is set; waits for the next transaction */
};

/* A case that this worker holds. */
struct run {
	struct job_lease lease;
	struct cnj number;
	enum run_stage stage;
	struct question question; /* of LIST and DETAIL */
	bool flying;              /* LIST or DETAIL is on its way */
	char *cursor;             /* of the next list page */
	char *list_json, *detail_json;
	bool listed; /* the list call knew the number */
	struct portal_case found;
	struct case_view view;
	struct run_doc *docs;
	size_t ndocs, next; /* where the search for work goes on */
	size_t open;        /* not settled or done */
	size_t settled;     /* waiting for the transaction */
	size_t tasks;       /* in flight or with the putter */
	enum outcome outcome;
	char error[400];
	int64_t until_ms; /* wall; when the lease runs out, unless it is renewed */
	int64_t renew_at; /* monotonic */
	bool lost;        /* somebody else holds the lease */
	bool stores;      /* an object of it was given to the putter */
	struct {
		int64_t until_ms;
		bool lost;
	} written;       /* of the running transaction: true once it is committed */
	bool lost_said;  /* ... and it was logged, its transfers cut */
	bool reopened;   /* more was asked for: the job went back to the queue */
	int64_t held_at; /* monotonic; since when we hold it */
	struct run *next_run;
};

/* One question on its way, and everything it owns. */
struct task {
	struct run *run;
	size_t doc; /* FETCH and PUT */
	const struct stage *stage;
	int generation;     /* of the token it was asked with */
	int64_t started_us; /* monotonic */
	struct http_exchange exchange;
	bool storing; /* with the putter, which alone touches `put` then */
	struct put put;
	char *put_name; /* owned */
	struct task *next, **link;
};

struct flow {
	const struct config *config;
	struct portal_site site;
	struct account *account;
	struct putter *putter;
	struct task *tasks;
	size_t flying, storing; /* tasks */
	struct err trouble;     /* our own storage failed: work must stop; kind NONE = no */
	const char *hold_text;  /* why the portal last paused us; static */
	int64_t bytes;          /* of documents settled as available */
};

struct stage {
	const char *name;
	enum portal_call call;
	/* Fills the request. False: this question cannot be asked, and was settled. */
	bool (*ask)(struct flow *, struct task *);
	/* Reads an answer that is good to use. */
	void (*got)(struct flow *, struct task *);
};

void flow_init(struct flow *f, const struct config *c, struct account *a, struct putter *p);

/* Drops every task. The putter must be idle. */
void flow_release(struct flow *f);

struct run *run_new(const struct job_lease *l);
void run_free(struct run *r); /* no task may point to it */

/* Reads the documents of the case (stage RUN_LOAD). */
[[nodiscard]] bool run_load(struct run *r, struct db *db, struct err *e);

/* Cuts all transfers and leaves to the putter what it has. */
void flow_cut_transfers(struct flow *f);

/* Cuts the run's transfers; what is with the putter comes back. */
void flow_cut_run(struct flow *f, struct run *r);

/*
 * The next request of this run that may start now, ready to be started, or NULL. *wake is lowered
 * to the moment (monotonic) at which time alone makes one ready.
 */
struct task *flow_next(struct flow *f, struct run *r, int64_t now, int64_t *wake);

/* The exchange of this task ended. The task is over, or with the putter, afterwards. */
void flow_answer(struct flow *f, struct task *t);

/* A put came back. */
void flow_stored(struct flow *f, struct put *p);

/* Whether something of this run waits for a transaction; and writes it. */
bool run_has_news(const struct run *r);
[[nodiscard]] bool run_write(struct run *r, struct db *db, int64_t lease_ms, struct err *e);

/* After the commit: what was written moves on. True when the run is over. */
bool run_written(struct run *r);

#endif
