/*
 * recipe - how to answer one request: the plain way, or one of many wrong ones.
 *
 * A recipe is a value. The table of named faults and the rules of a script are both made of
 * recipes; `reply` is the only one who carries them out. All zero means: answer as the portal
 * should.
 */
#ifndef SIM_RECIPE_H
#define SIM_RECIPE_H

#include "body.h"

#include <stdbool.h>
#include <stdint.h>

enum { RECIPE_HEADERS = 6 };

enum content {
	CONTENT_OWN,        /* what the route gives */
	CONTENT_NONE,       /* no bytes */
	CONTENT_TEXT,       /* `text` as it is */
	CONTENT_ERROR,      /* the portal's JSON error, `text` is its message, timestamp a number */
	CONTENT_ERROR_ISO,  /* the same with an ISO timestamp */
	CONTENT_ERROR_LAKE, /* the same as the data lake words it, with externalUrlService */
	CONTENT_SHELL,      /* the portal's web application, 2422 bytes */
	CONTENT_LOGIN,      /* the log-in form of the single sign-on */
	CONTENT_MAINTENANCE, /* an HTML page without any mark of its own */
	CONTENT_WAF,         /* the firewall's 403 page */
	CONTENT_GATEWAY,     /* a proxy's page for 502, 503, 504 */
	CONTENT_JUNK,        /* bytes of no known format */
};

enum ending {
	ENDING_WHOLE,
	ENDING_SHORT, /* a complete answer of fewer bytes */
	ENDING_CUT,   /* the connection is closed early */
	ENDING_RESET, /* the connection is reset early */
	ENDING_STALL, /* nothing more comes, the connection stays */
};

enum place {
	PLACE_BYTE,    /* `at` bytes of the body */
	PLACE_PERCENT, /* `at` percent of the body */
	PLACE_RANDOM,  /* a function of seed, document and call */
};

enum retry_form { RETRY_NONE, RETRY_SECONDS, RETRY_DATE };

struct recipe {
	int status; /* 0: the route's own */
	enum content content;
	const char *type; /* Content-Type; NULL: what fits the content */
	const char *text; /* a message that ends with a space gets the case number */
	size_t text_len;  /* of `text`; 0: up to its NUL */
	const char *headers[RECIPE_HEADERS]; /* "Name: value" */
	const char *location;
	enum retry_form retry_form;
	int retry_s;
	int64_t delay_ms;
	int64_t delay_more_ms; /* plus up to so much, a function of seed and call */
	int64_t drip_bytes;    /* so many at once, then a pause of drip_ms; 0 = no pauses */
	int64_t drip_ms;
	enum ending ending;
	enum place place;
	int64_t at;
	int64_t length;     /* announced instead of the true length; 0 = the truth */
	int length_percent; /* the same as a part of the true length; 0 = not used */
	bool chunked;
	bool gzip;         /* Content-Encoding: gzip although nobody asked for it */
	bool slow_headers; /* the header comes in pieces */
	bool mute;         /* no byte ever comes */
	bool drop;         /* a reset instead of an answer */
};

/* A way to misbehave that has a name; see the table in fault.c. */
struct fault {
	const char *name;
	unsigned first,
		last; /* the calls (from 1) of one document or case it concerns; last 0 = all */
	const char *reason; /* why the document fails in the end; NULL: it can be had */
	struct recipe recipe;
};

/* NULL when there is none of that name. */
const struct fault *fault_find(const char *name);
size_t fault_count(void);
const struct fault *fault_at(size_t i);

/* Whether the n-th call is one that the fault concerns. */
bool fault_concerns(const struct fault *f, uint64_t n);

/*
 * Makes the body that stands in for the route's own and names its Content-Type (NULL: none).
 * Not for CONTENT_OWN.
 */
void content_make(const struct recipe *r, const char *path, const char *number, struct body *out,
		  const char **type);

/* The JSON error of the portal for the routes' own refusals. */
void content_error(int status, const char *message, const char *path, struct body *out);

#endif
