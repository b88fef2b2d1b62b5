/*
 * Received webhook messages and keys as text: nothing forged is taken, what we sign verifies.
 */
#include "replay.h"

#include "sys.h"
#include "text.h"
#include "webhook_sign.h"

#include <string.h>

static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/* A secret that nobody else has: no bytes can be signed with it. */
static struct webhook_key unknown(void)
{
	struct webhook_key k = {.kind = WEBHOOK_HMAC, .len = 32};
	sys_random(k.bytes, k.len);
	return k;
}

static void check_key(const char *text)
{
	struct webhook_key k, again;
	struct err e = {0};
	char out[WEBHOOK_KEY_TEXT];
	if (!webhook_key_parse(text, &k, &e)) {
		CHECK(e.kind == ERR_INPUT && e.text[0]);
		return;
	}
	CHECK(k.len >= WEBHOOK_SECRET_MIN && k.len <= WEBHOOK_SECRET_MAX);
	webhook_key_public(&k, out);
	CHECK((k.kind == WEBHOOK_HMAC) == !*out);
	CHECK(!*out || webhook_key_parse(out, &again, &e));
	char *s = webhook_sign(&k, 1, "msg_1", 1, text, strlen(text));
	struct webhook_message m = {
		.id = "msg_1", .timestamp = "1", .body = text, .body_len = strlen(text)};
	CHECK((k.kind == WEBHOOK_ED25519_PUBLIC) == !*s);
	if (*s) {
		snprintf(m.signature, sizeof m.signature, "%s", s);
		CHECK(webhook_verify(&m, &k, 1, 1, 300, NULL, &e));
		CHECK(k.kind == WEBHOOK_HMAC || webhook_verify(&m, &again, 1, 1, 300, NULL, &e));
	}
	xfree(s);
}

static void check_message(const char *text, size_t size)
{
	struct webhook_message m;
	struct webhook_key mine, other = unknown();
	struct err e = {0};
	if (!webhook_message_read(&m, text, size, &e)) {
		CHECK(e.kind == ERR_INPUT && e.text[0]);
		return;
	}
	CHECK(m.body >= text && m.body + m.body_len == text + size);
	CHECK(!webhook_verify(&m, &other, 1, 0, -1, NULL, &e));
	CHECK(e.kind == ERR_INPUT || e.kind == ERR_DENIED);
	CHECK(webhook_key_parse(secret, &mine, &e));
	if (!webhook_verify(&m, &mine, 1, 0, -1, NULL, &e))
		return;
	/* One bit of a good message, and it is good no more. */
	char *body = xstrndup(m.body, m.body_len);
	m.body = body;
	if (m.body_len) {
		body[m.body_len / 2] ^= 1;
		CHECK(!webhook_verify(&m, &mine, 1, 0, -1, NULL, &e));
	}
	xfree(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	unsigned char *raw = xmalloc(size + 1);
	char *back = xmalloc(BASE64_SIZE(size));
	check_key(text);
	check_message(text, size);
	ssize_t n = base64_decode(text, strlen(text), raw, size);
	if (n >= 0) {
		base64_encode(raw, (size_t)n, back);
		CHECK(strncmp(back, text, strcspn(text, "=")) == 0);
	}
	xfree(back);
	xfree(raw);
	xfree(text);
	return 0;
}
