/*
 * webhook_sign - see webhook_sign.h. Keeps no secret; compares in constant time.
 */
#include "webhook_sign.h"

#include "buf.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MADE_SECRET = 32, PAIR = ED25519_SEED + ED25519_PUBLIC, SIGNATURE_TEXT = 96 };

static const char *const prefixes[] = {
	[WEBHOOK_HMAC] = "whsec_",
	[WEBHOOK_ED25519] = "whsk_",
	[WEBHOOK_ED25519_PUBLIC] = "whpk_",
};

/* ---- Keys ---- */

static const char *take_prefix(const char *text, enum webhook_key_kind *kind)
{
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
			*kind = (enum webhook_key_kind)i;
			return text + strlen(prefixes[i]);
		}
	*kind = WEBHOOK_HMAC;
	return text;
}

bool webhook_key_parse(const char *text, struct webhook_key *out, struct err *e)
{
	*out = (struct webhook_key){0};
	const char *rest = take_prefix(text, &out->kind);
	ssize_t n = base64_decode(rest, strlen(rest), out->bytes, sizeof out->bytes);
	if (n < 0)
		return fail(e, ERR_INPUT, "this is no webhook secret: behind %s stands base64",
			    prefixes[out->kind]);
	out->len = (size_t)n;
	switch (out->kind) {
	case WEBHOOK_HMAC:
		return n >= WEBHOOK_SECRET_MIN ||
		       fail(e, ERR_INPUT, "a webhook secret has %d to %d bytes, this has %zd",
			    WEBHOOK_SECRET_MIN, WEBHOOK_SECRET_MAX, n);
	case WEBHOOK_ED25519:
		out->len = ED25519_SEED; /* the public half may stand behind it */
		return n == ED25519_SEED || n == PAIR ||
		       fail(e, ERR_INPUT, "an ed25519 secret key has %d or %d bytes, this has %zd",
			    ED25519_SEED, PAIR, n);
	case WEBHOOK_ED25519_PUBLIC:
		return n == ED25519_PUBLIC ||
		       fail(e, ERR_INPUT, "an ed25519 public key has %d bytes, this has %zd",
			    ED25519_PUBLIC, n);
	}
	return false;
}

static void show(enum webhook_key_kind kind, const unsigned char *bytes, size_t len,
		 char out[static WEBHOOK_KEY_TEXT])
{
	static_assert(sizeof "whsec_" - 1 + BASE64_SIZE(WEBHOOK_SECRET_MAX) <= WEBHOOK_KEY_TEXT,
		      "a key fits");
	size_t n = strlen(prefixes[kind]);
	memcpy(out, prefixes[kind], n);
	base64_encode(bytes, len, out + n);
}

void webhook_key_make(enum webhook_key_kind kind, char out[static WEBHOOK_KEY_TEXT])
{
	unsigned char bytes[PAIR];
	sys_random(bytes, MADE_SECRET);
	if (kind == WEBHOOK_ED25519)
		sys_ed25519_public(bytes, bytes + ED25519_SEED);
	show(kind, bytes, kind == WEBHOOK_ED25519 ? PAIR : MADE_SECRET, out);
}

void webhook_key_public(const struct webhook_key *k, char out[static WEBHOOK_KEY_TEXT])
{
	unsigned char bytes[ED25519_PUBLIC];
	out[0] = '\0';
	if (k->kind == WEBHOOK_HMAC)
		return;
	if (k->kind == WEBHOOK_ED25519)
		sys_ed25519_public(k->bytes, bytes);
	else
		memcpy(bytes, k->bytes, sizeof bytes);
	show(WEBHOOK_ED25519_PUBLIC, bytes, sizeof bytes, out);
}

/* ---- Signing ---- */

/* The bytes that are signed. */
static void signed_bytes(struct buf *b, const char *id, const char *timestamp, const void *body,
			 size_t len)
{
	buf_init(b, strlen(id) + strlen(timestamp) + len + 3);
	buf_addf(b, "%s.%s.", id, timestamp);
	buf_add(b, body, len);
	assert(!b->overflow);
}

char *webhook_sign(const struct webhook_key *keys, size_t n, const char *id, int64_t timestamp_s,
		   const void *body, size_t len)
{
	char timestamp[24], text[SIGNATURE_TEXT];
	unsigned char raw[ED25519_SIGNATURE];
	struct buf data, out;
	snprintf(timestamp, sizeof timestamp, "%" PRId64, timestamp_s);
	signed_bytes(&data, id, timestamp, body, len);
	buf_init(&out, n * SIGNATURE_TEXT + 1);
	for (size_t i = 0; i < n; i++) {
		const struct webhook_key *k = &keys[i];
		if (k->kind == WEBHOOK_ED25519_PUBLIC)
			continue;
		if (k->kind == WEBHOOK_HMAC)
			sys_hmac_sha256(k->bytes, k->len, data.data, data.len, raw);
		else
			sys_ed25519_sign(k->bytes, data.data, data.len, raw);
		base64_encode(raw, k->kind == WEBHOOK_HMAC ? 32 : sizeof raw, text);
		buf_addf(&out, "%s%s,%s", out.len ? " " : "",
			 k->kind == WEBHOOK_HMAC ? "v1" : "v1a", text);
	}
	buf_release(&data);
	return buf_detach(&out);
}

/* ---- A message as it came ---- */

bool webhook_message_header(struct webhook_message *m, const char *line, size_t len, struct err *e)
{
	const struct {
		const char *name;
		char *out;
		size_t cap;
	} wanted[] = {
		{"webhook-id", m->id, sizeof m->id},
		{"webhook-timestamp", m->timestamp, sizeof m->timestamp},
		{"webhook-signature", m->signature, sizeof m->signature},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		size_t n = strlen(wanted[i].name);
		if (len <= n || line[n] != ':' || strncasecmp(line, wanted[i].name, n) != 0)
			continue;
		const char *v = line + n + 1, *end = line + len;
		while (v < end && (*v == ' ' || *v == '\t'))
			v++;
		while (end > v && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
			end--;
		size_t value = (size_t)(end - v);
		if (*wanted[i].out)
			return fail(e, ERR_INPUT, "the header %s is there twice", wanted[i].name);
		if (value >= wanted[i].cap || memchr(v, '\0', value))
			return fail(e, ERR_INPUT, "the header %s is too long", wanted[i].name);
		memcpy(wanted[i].out, v, value);
		wanted[i].out[value] = '\0';
	}
	return true;
}

bool webhook_message_read(struct webhook_message *m, const char *text, size_t len, struct err *e)
{
	const char *p = text, *end = text + len;
	*m = (struct webhook_message){0};
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			break;
		size_t n = (size_t)(nl - p);
		n -= n && p[n - 1] == '\r';
		if (n == 0) {
			m->body = nl + 1;
			m->body_len = (size_t)(end - m->body);
			return true;
		}
		if (!webhook_message_header(m, p, n, e))
			return false;
		p = nl + 1;
	}
	return fail(e, ERR_INPUT,
		    "this is no message: header lines, an empty line and the body are expected");
}

/* ---- Verifying ---- */

static bool is_made_by(const struct webhook_key *k, const char *scheme, size_t scheme_len,
		       const unsigned char *raw, size_t len, const struct buf *data)
{
	unsigned char own[32], public[ED25519_PUBLIC];
	bool shared = k->kind == WEBHOOK_HMAC;
	const char *name = shared ? "v1" : "v1a";
	if (scheme_len != strlen(name) || memcmp(scheme, name, scheme_len) != 0 ||
	    len != (shared ? sizeof own : ED25519_SIGNATURE))
		return false;
	if (shared) {
		sys_hmac_sha256(k->bytes, k->len, data->data, data->len, own);
		return sys_equal(own, raw, sizeof own);
	}
	if (k->kind == WEBHOOK_ED25519)
		sys_ed25519_public(k->bytes, public);
	else
		memcpy(public, k->bytes, sizeof public);
	return sys_ed25519_verify(public, data->data, data->len, raw);
}

/* Any one signature by any one key is enough: that is how secrets are rotated. */
static bool find_match(const struct webhook_message *m, const struct webhook_key *keys, size_t n,
		       size_t *which)
{
	struct buf data;
	bool found = false;
	signed_bytes(&data, m->id, m->timestamp, m->body, m->body_len);
	for (const char *p = m->signature; *p && !found;) {
		unsigned char raw[ED25519_SIGNATURE];
		size_t word = strcspn(p, " "), scheme = strcspn(p, ", ");
		ssize_t len = scheme < word ? base64_decode(p + scheme + 1, word - scheme - 1, raw,
							    sizeof raw)
					    : -1;
		for (size_t i = 0; i < n && len > 0 && !found; i++) {
			found = is_made_by(&keys[i], p, scheme, raw, (size_t)len, &data);
			if (found && which)
				*which = i;
		}
		p += word;
		p += strspn(p, " ");
	}
	buf_release(&data);
	return found;
}

bool webhook_verify(const struct webhook_message *m, const struct webhook_key *keys, size_t n,
		    int64_t now_s, int64_t tolerance_s, size_t *which, struct err *e)
{
	size_t digits = strspn(m->timestamp, "0123456789");
	if (!*m->id || !*m->timestamp || !*m->signature)
		return fail(e, ERR_INPUT, "the message has no header %s",
			    !*m->id          ? "webhook-id"
			    : !*m->timestamp ? "webhook-timestamp"
					     : "webhook-signature");
	if (m->timestamp[digits] || digits > 15)
		return fail(e, ERR_INPUT, "webhook-timestamp is no number of seconds since 1970");
	if (!find_match(m, keys, n, which))
		return fail(e, ERR_DENIED,
			    "no signature of the message was made over these bytes with this "
			    "secret");
	int64_t age = now_s - strtoll(m->timestamp, NULL, 10);
	if (tolerance_s >= 0 && (age > tolerance_s || age < -tolerance_s))
		return fail(e, ERR_DENIED,
			    "the signature is good, but the message is %" PRId64 " s %s",
			    age < 0 ? -age : age, age < 0 ? "from the future" : "old");
	return true;
}
