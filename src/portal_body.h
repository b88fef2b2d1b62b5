/*
 * portal_body - what an answer looks like, before the table says what it means; private to
 * portal_*.c.
 */
#ifndef AUTOS_PORTAL_BODY_H
#define AUTOS_PORTAL_BODY_H

#include "http_msg.h"
#include "portal.h"

/* Bits, so that a row of the table can name several. */
enum body_kind {
	BODY_NONE = 1,        /* no bytes */
	BODY_ERROR = 2,       /* a JSON object that reports a fault */
	BODY_JSON = 4,        /* other JSON */
	BODY_SHELL = 8,       /* the portal's web application */
	BODY_LOGIN = 16,      /* a log-in page */
	BODY_BLOCK = 32,      /* a firewall's page */
	BODY_NOTICE = 64,     /* the page of a proxy, or of maintenance, by its title */
	BODY_HTML = 128,      /* any other HTML, native documents among it */
	BODY_WHOLE = 256,     /* a kind of document we know; its end mark is there, if it has one */
	BODY_CUT = 512,       /* the same without its end, or damaged JSON */
	BODY_TEXT = 1024,     /* text that was announced as such */
	BODY_BYTES = 2048,    /* unknown bytes under a type that we cannot check */
	BODY_MISMATCH = 4096, /* bytes that are not what their type says, nor anything we know */
	BODY_NAMELESS = 8192, /* text or unknown bytes without a type */
	BODY_ENCODED = 16384, /* compressed, which we did not ask for */
	BODY_PART = 32768,    /* another number of bytes than announced */
	BODY_SPILLED = 65536, /* JSON that did not fit in memory */
};

struct portal_facts {
	enum body_kind kind;
	/*
	 * Lower case, no accents: the messages of a JSON error, or all text of an answer that is
	 * not 2xx. For a redirect "login" when it leads to a log-in page. Never the text of a
	 * document.
	 */
	char *said;
};

/* Release with portal_facts_release. */
void portal_facts_read(struct portal_facts *f, enum portal_call call, const struct http_res *res);
void portal_facts_release(struct portal_facts *f);

/*
 * Is one of the patterns, separated by '|', in the text? '*' stands for up to 8 bytes without
 * space: accents arrive in many shapes.
 */
bool portal_says(const char *text, const char *patterns);

#endif
