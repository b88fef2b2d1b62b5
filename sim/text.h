/*
 * text - synthetic words: sentences that look like a court's Portuguese, and names of nobody.
 *
 * Every name says that it is synthetic and every CPF has wrong check digits: nothing made here can
 * belong to a person. Pure.
 */
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include "buf.h"
#include "mix.h"

/* How the words are written into a file format. */
enum text_as {
	TEXT_PLAIN, /* UTF-8 */
	TEXT_HTML,  /* UTF-8, with an entity here and there */
	TEXT_PDF,   /* inside ( ) of a content stream, octal escapes */
	TEXT_RTF,   /* \'xx escapes */
};

/* Appends one sentence without a line break; about 60 to 120 characters. */
void text_sentence(struct buf *out, struct mix *m, enum text_as as);

/* Appends UTF-8 `s`, whose characters are all in Latin-1, escaped for the format. */
void text_escape(struct buf *out, const char *s, enum text_as as);

/* "00012300491": 11 digits with wrong check digits, made from two small numbers. */
void text_cpf(unsigned a, unsigned b, char out[static 12]);

/* Reads such a number back: false when it is not one that text_cpf made. */
bool text_cpf_read(const char *s, unsigned *a, unsigned *b);

#endif
