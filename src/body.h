/*
 * body - the bytes of an answer: made once, shared by whoever sends or keeps them, gone with the
 * last of them.
 */
#ifndef AUTOS_BODY_H
#define AUTOS_BODY_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

struct body;

struct body *body_from(const void *data, size_t len);   /* copies */
struct body *body_take(struct buf *b);                  /* takes the bytes over, empties *b */
struct body *body_static(const void *data, size_t len); /* bytes that live forever */
struct body *body_hold(struct body *b);                 /* one owner more; gives b */
void body_drop(struct body *b);                         /* one owner less; accepts NULL */
const char *body_data(const struct body *b);
size_t body_len(const struct body *b);

/* The same bytes as gzip (RFC 1952), made at the first call and kept with the body; NULL when that
 * is no smaller. Belongs to the body. Any thread. */
struct body *body_gzip(struct body *b);

/* Bytes that the body takes in memory, its gzip included. */
size_t body_weight(const struct body *b);

#endif
