/*
 * webhook_sign - signatures of webhook messages (Standard Webhooks 1.0.0): secrets and keys as
 * text, signing, verifying. Pure.
 *
 * Signed is `id + "." + timestamp + "." + body`, the very bytes that are sent. v1 is HMAC-SHA256
 * with a shared secret (whsec_), v1a is Ed25519 (whsk_ signs, whpk_ verifies).
 */
#ifndef AUTOS_WEBHOOK_SIGN_H
#define AUTOS_WEBHOOK_SIGN_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WEBHOOK_SECRET_MIN = 24, /* bytes of a shared secret */
	WEBHOOK_SECRET_MAX = 64,
	WEBHOOK_KEY_TEXT = 100, /* any key as text, NUL included */
	WEBHOOK_ID_MAX = 255,
	WEBHOOK_TOLERANCE_S = 300, /* how far a timestamp may be from now */
};

enum webhook_key_kind {
	WEBHOOK_HMAC,
	WEBHOOK_ED25519,
	WEBHOOK_ED25519_PUBLIC, /* verifies only */
};

struct webhook_key {
	enum webhook_key_kind kind;
	unsigned char bytes[WEBHOOK_SECRET_MAX]; /* the secret, the seed, or the public key */
	size_t len;
};

/* ERR_INPUT. A secret without its prefix is taken for a shared one. */
[[nodiscard]] bool webhook_key_parse(const char *text, struct webhook_key *out, struct err *e);

/* A new secret of 32 random bytes, or a new key pair's secret half. */
void webhook_key_make(enum webhook_key_kind kind, char out[static WEBHOOK_KEY_TEXT]);

/* The public half as text; "" for a shared secret. */
void webhook_key_public(const struct webhook_key *k, char out[static WEBHOOK_KEY_TEXT]);

/* The value of the header webhook-signature: one signature for each key, none by public ones. Free
 * with xfree. */
char *webhook_sign(const struct webhook_key *keys, size_t n, const char *id, int64_t timestamp_s,
		   const void *body, size_t len);

/* A message as it was received. */
struct webhook_message {
	char id[WEBHOOK_ID_MAX + 1];
	char timestamp[24];
	char signature[4096];
	const char *body; /* borrowed */
	size_t body_len;
};

/* Takes one header line "Name: value" if it is one of the three. ERR_INPUT: it is one, and too long
 * or there twice. */
[[nodiscard]] bool webhook_message_header(struct webhook_message *m, const char *line, size_t len,
					  struct err *e);

/* Reads header lines, an empty line and the body; a request line before them is passed over. The
 * body points into the text. ERR_INPUT. */
[[nodiscard]] bool webhook_message_read(struct webhook_message *m, const char *text, size_t len,
					struct err *e);

/*
 * Whether one of the keys made one of the message's signatures, and its time is within tolerance_s
 * of now_s (below 0: its age does not matter). `which` (may be NULL) becomes the key's index.
 * ERR_INPUT: no message of this kind; ERR_DENIED: forged, altered, or too old.
 */
[[nodiscard]] bool webhook_verify(const struct webhook_message *m, const struct webhook_key *keys,
				  size_t n, int64_t now_s, int64_t tolerance_s, size_t *which,
				  struct err *e);

#endif
