/*
 * Signatures of webhook messages: published vectors, what is refused, and how messages are read.
 */
#include "webhook_sign.h"

#include "scratch.h"
#include "text.h"

static struct webhook_key key_of(const char *text)
{
	struct webhook_key k;
	struct err e = {0};
	if (!webhook_key_parse(text, &k, &e))
		fail_msg("%s: %s", text, e.text);
	return k;
}

static struct webhook_message message(const char *id, const char *timestamp, const char *signature,
				      const char *body)
{
	struct webhook_message m = {.body = body, .body_len = strlen(body)};
	snprintf(m.id, sizeof m.id, "%s", id);
	snprintf(m.timestamp, sizeof m.timestamp, "%s", timestamp);
	snprintf(m.signature, sizeof m.signature, "%s", signature);
	return m;
}

/* Of the reference libraries of Standard Webhooks, and of the specification's examples. */
static const struct {
	const char *secret, *id;
	int64_t timestamp;
	const char *body, *signature;
} vectors[] = {
	{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
	 "{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	{"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
	 "{\"email\":\"test@example.com\",\"username\":\"test_user\"}",
	 "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct webhook_key k = key_of(vectors[i].secret);
		struct err e = {0};
		char timestamp[24];
		char *s = webhook_sign(&k, 1, vectors[i].id, vectors[i].timestamp, vectors[i].body,
				       strlen(vectors[i].body));
		assert_string_equal(s, vectors[i].signature);
		xfree(s);
		snprintf(timestamp, sizeof timestamp, "%lld", (long long)vectors[i].timestamp);
		struct webhook_message m =
			message(vectors[i].id, timestamp, vectors[i].signature, vectors[i].body);
		size_t which = 9;
		assert_true(webhook_verify(&m, &k, 1, vectors[i].timestamp, 300, &which, &e));
		assert_int_equal(which, 0);
	}
}

static void unhex(const char *s, unsigned char *out)
{
	for (; *s; s += 2)
		*out++ = (unsigned char)(hex_value(s[0]) << 4 | hex_value(s[1]));
}

/* RFC 8032, section 7.1, tests 1 to 3. */
static void test_ed25519(void **state)
{
	(void)state;
	static const struct {
		const char *seed, *public, *data, *signature;
	} rfc[] = {
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
		 "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
		 "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		 "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
		 "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	};
	for (size_t i = 0; i < sizeof rfc / sizeof *rfc; i++) {
		unsigned char seed[32], public[32], want[32], data[4], made[64], signature[64];
		unhex(rfc[i].seed, seed);
		unhex(rfc[i].public, want);
		unhex(rfc[i].data, data);
		unhex(rfc[i].signature, signature);
		size_t len = strlen(rfc[i].data) / 2;
		sys_ed25519_public(seed, public);
		assert_memory_equal(public, want, 32);
		sys_ed25519_sign(seed, data, len, made);
		assert_memory_equal(made, signature, 64);
		assert_true(sys_ed25519_verify(public, data, len, signature));
		made[5] ^= 1;
		assert_false(sys_ed25519_verify(public, data, len, made));
	}
}

static void test_key_pairs(void **state)
{
	(void)state;
	char secret[WEBHOOK_KEY_TEXT], public[WEBHOOK_KEY_TEXT], shared[WEBHOOK_KEY_TEXT];
	struct err e = {0};
	webhook_key_make(WEBHOOK_ED25519, secret);
	webhook_key_make(WEBHOOK_HMAC, shared);
	assert_memory_equal(secret, "whsk_", 5);
	assert_memory_equal(shared, "whsec_", 6);
	struct webhook_key keys[] = {key_of(shared), key_of(secret)};
	assert_int_equal(keys[0].len, 32);
	webhook_key_public(&keys[0], public);
	assert_string_equal(public, "");
	webhook_key_public(&keys[1], public);
	assert_memory_equal(public, "whpk_", 5);
	char *s = webhook_sign(keys, 2, "msg_a", 1000, "{}", 2);
	assert_memory_equal(s, "v1,", 3);
	assert_non_null(strstr(s, " v1a,"));
	struct webhook_message m = message("msg_a", "1000", s, "{}");
	xfree(s);
	struct webhook_key one = key_of(public), any[] = {key_of(public), keys[0]};
	char again[WEBHOOK_KEY_TEXT];
	size_t which = 9;
	webhook_key_public(&one, again);
	assert_string_equal(public, again);
	assert_true(webhook_verify(&m, &one, 1, 1000, 300, NULL, &e));
	assert_true(webhook_verify(&m, &keys[0], 1, 1000, 300, NULL, &e));
	assert_true(webhook_verify(&m, &keys[1], 1, 1000, 300, NULL, &e));
	assert_true(webhook_verify(&m, any, 2, 1000, 300, &which, &e));
	assert_int_equal(which, 1); /* the first signature is the shared secret's */
	s = webhook_sign(&one, 1, "msg_a", 1000, "{}", 2);
	assert_string_equal(s, ""); /* a public key signs nothing */
	xfree(s);
}

/* Two live secrets: whoever holds either of them is content. */
static void test_rotation(void **state)
{
	(void)state;
	char text[2][WEBHOOK_KEY_TEXT];
	struct err e = {0};
	for (size_t i = 0; i < 2; i++)
		webhook_key_make(WEBHOOK_HMAC, text[i]);
	struct webhook_key keys[] = {key_of(text[0]), key_of(text[1])};
	char *s = webhook_sign(keys, 2, "msg_a", 1000, "body", 4);
	struct webhook_message m = message("msg_a", "1000", s, "body");
	xfree(s);
	for (size_t i = 0; i < 2; i++)
		assert_true(webhook_verify(&m, &keys[i], 1, 1000, 300, NULL, &e));
}

static void refused(struct webhook_message m, int64_t now, enum err_kind kind, const char *says)
{
	struct webhook_key k = key_of(vectors[0].secret);
	struct err e = {0};
	if (webhook_verify(&m, &k, 1, now, 300, NULL, &e))
		fail_msg("taken: %s", says);
	assert_error(&e, kind);
	assert_says(&e, says);
}

static void test_refused(void **state)
{
	(void)state;
	const char *id = vectors[0].id, *t = "1614265330", *s = vectors[0].signature;
	const char *b = vectors[0].body;
	const int64_t now = 1614265330;
	struct webhook_message m = message(id, t, s, b);
	struct webhook_key k = key_of(vectors[0].secret);
	struct err e = {0};
	assert_true(webhook_verify(&m, &k, 1, now + 300, 300, NULL, &e));
	assert_true(webhook_verify(&m, &k, 1, now - 300, 300, NULL, &e));
	assert_true(webhook_verify(&m, &k, 1, now + 86400, -1, NULL, &e));
	refused(m, now + 301, ERR_DENIED, "301 s old");
	refused(m, now - 301, ERR_DENIED, "from the future");
	refused(message("msg_other", t, s, b), now, ERR_DENIED, "no signature");
	refused(message(id, "1614265331", s, b), now, ERR_DENIED, "no signature");
	refused(message(id, t, s, "{\"test\": 2432232315}"), now, ERR_DENIED, "no signature");
	refused(message(id, t, "v1,AAAA", b), now, ERR_DENIED, "no signature");
	refused(message(id, t, "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", b), now,
		ERR_DENIED, "no signature");
	refused(message(id, t, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", b), now, ERR_DENIED,
		"no signature");
	refused(message(id, t, "v1,", b), now, ERR_DENIED, "no signature");
	refused(message("", t, s, b), now, ERR_INPUT, "webhook-id");
	refused(message(id, "", s, b), now, ERR_INPUT, "webhook-timestamp");
	refused(message(id, t, "", b), now, ERR_INPUT, "webhook-signature");
	refused(message(id, "1614265330x", s, b), now, ERR_INPUT, "no number");
	refused(message(id, "-1614265330", s, b), now, ERR_INPUT, "no number");
	refused(message(id, "9999999999999999", s, b), now, ERR_INPUT, "no number");
	char many[300];
	snprintf(many, sizeof many, "v2,AAAA v1,AAAA v1a,BBBB  %s", s);
	m = message(id, t, many, b);
	assert_true(webhook_verify(&m, &k, 1, now, 300, NULL, &e));
}

static void test_keys_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"whsec_",
		"whsec_AAAA",
		"whsec_!!!!",
		"whsk_AAAA",
		"whpk_AAAA",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS\xc3\xa7",
		"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAA"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct webhook_key k;
		struct err e = {0};
		if (webhook_key_parse(bad[i], &k, &e))
			fail_msg("%s was taken", bad[i]);
		assert_error(&e, ERR_INPUT);
	}
	struct webhook_key bare = key_of("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
	assert_int_equal(bare.len, 24);
}

static void test_messages(void **state)
{
	(void)state;
	static const char text[] = "POST /hook HTTP/1.1\r\nHost: x\r\nWebhook-Id:  msg_1 \r\n"
				   "WEBHOOK-TIMESTAMP: 12\r\nwebhook-signature:v1,AA v1,BB\r\n"
				   "webhook-idle: no\r\n\r\n{\"a\":\"\r\n\r\n\"}\n";
	struct webhook_message m;
	struct err e = {0};
	assert_true(webhook_message_read(&m, text, sizeof text - 1, &e));
	assert_string_equal(m.id, "msg_1");
	assert_string_equal(m.timestamp, "12");
	assert_string_equal(m.signature, "v1,AA v1,BB");
	assert_int_equal(m.body_len, 13);
	assert_memory_equal(m.body, "{\"a\":\"\r\n\r\n\"}\n", 13);
	static const char lines[] = "webhook-id: a\n\n";
	assert_true(webhook_message_read(&m, lines, sizeof lines - 1, &e));
	assert_int_equal(m.body_len, 0);
	static const char twice[] = "webhook-id: a\nwebhook-id: b\n\n";
	assert_false(webhook_message_read(&m, twice, sizeof twice - 1, &e));
	assert_says(&e, "twice");
	static const char open[] = "webhook-id: a\nwebhook-timestamp: 1\n";
	assert_false(webhook_message_read(&m, open, sizeof open - 1, &e));
	assert_error(&e, ERR_INPUT);
	char *huge = xasprintf("webhook-timestamp: %0100d\n\n", 1);
	assert_false(webhook_message_read(&m, huge, strlen(huge), &e));
	assert_says(&e, "too long");
	xfree(huge);
}

/* RFC 4648, section 10. */
static void test_base64(void **state)
{
	(void)state;
	static const struct {
		const char *plain, *text;
	} rfc[] = {{"", ""},
		   {"f", "Zg=="},
		   {"fo", "Zm8="},
		   {"foo", "Zm9v"},
		   {"foob", "Zm9vYg=="},
		   {"fooba", "Zm9vYmE="},
		   {"foobar", "Zm9vYmFy"}};
	for (size_t i = 0; i < sizeof rfc / sizeof *rfc; i++) {
		char text[16], plain[16];
		base64_encode(rfc[i].plain, strlen(rfc[i].plain), text);
		assert_string_equal(text, rfc[i].text);
		ssize_t n = base64_decode(text, strlen(text), plain, sizeof plain);
		assert_int_equal(n, strlen(rfc[i].plain));
		assert_memory_equal(plain, rfc[i].plain, (size_t)n);
		size_t bare = strcspn(text, "=");
		assert_int_equal(base64_decode(text, bare, plain, sizeof plain), n);
	}
	static const char *const bad[] = {
		"Z", "Zg=", "Zh==", "Zm9=", "Z===", "Zg==Zg==", "Zm 8", "Zm8-", "=", "===="};
	char out[16];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (base64_decode(bad[i], strlen(bad[i]), out, sizeof out) >= 0)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(base64_decode("Zm9v", 4, out, 2), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),   cmocka_unit_test(test_ed25519),
		cmocka_unit_test(test_key_pairs), cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_keys_refused),
		cmocka_unit_test(test_messages),  cmocka_unit_test(test_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
