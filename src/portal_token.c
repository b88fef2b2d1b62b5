/*
 * portal_token - looks into a bearer token: when it ends and who made it.
 *
 * The signature is not checked; the portal does that. Tokens hold personal data, so no error line
 * quotes anything of one.
 */
#include "portal.h"

#include "sys.h"

#include <jansson.h>
#include <string.h>

enum { PAYLOAD_MAX = 16384 };

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_base64url(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		      (s[i] >= '0' && s[i] <= '9') || s[i] == '-' || s[i] == '_'))
			return false;
	return len > 0;
}

/* Finds the middle one of exactly three parts. */
static bool find_payload(const char *s, size_t len, const char **payload, size_t *n)
{
	const char *one = memchr(s, '.', len);
	if (!one)
		return false;
	*payload = one + 1;
	const char *two = memchr(*payload, '.', (size_t)(s + len - *payload));
	if (!two)
		return false;
	*n = (size_t)(two - *payload);
	return is_base64url(s, (size_t)(one - s)) && is_base64url(*payload, *n) &&
	       is_base64url(two + 1, (size_t)(s + len - two) - 1);
}

/* Seconds since 1970, whole or not, as milliseconds; -1 when it is no such thing. */
static int64_t expiry_ms(const json_t *exp)
{
	double s = -1;
	if (json_is_integer(exp))
		s = (double)json_integer_value(exp);
	else if (json_is_real(exp))
		s = json_real_value(exp);
	return s > 0 && s < 1e11 ? (int64_t)(s * 1000) : -1;
}

static bool is_of_the_realm(const json_t *iss)
{
	static const char realm[] = "/auth/realms/pje";
	const char *s = json_string_value(iss);
	size_t n = s ? strlen(s) : 0, k = sizeof realm - 1;
	return n > k && strcmp(s + n - k, realm) == 0;
}

bool portal_token_read(const char *token, size_t len, struct portal_token *out, struct err *e)
{
	*out = (struct portal_token){.expires_ms = -1, .foreign = true};
	const char *part;
	size_t n;
	while (len && is_space(token[len - 1]))
		len--;
	for (; len && is_space(*token); token++)
		len--;
	if (!len)
		return fail(e, ERR_INPUT, "the portal token is empty");
	if (!find_payload(token, len, &part, &n))
		return fail(
			e, ERR_INPUT,
			"the portal token is not a JWT (three parts of base64url joined by dots; "
			"without \"Bearer\" in front)");

	char payload[PAYLOAD_MAX];
	ssize_t size = base64url_decode(part, n, payload, sizeof payload);
	if (size < 0)
		return fail(e, ERR_INPUT,
			    "the portal token is not a JWT: its middle part is not base64url of at "
			    "most %d bytes",
			    PAYLOAD_MAX);
	json_t *claims = json_loadb(payload, (size_t)size, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(claims)) {
		json_decref(claims);
		return fail(e, ERR_INPUT,
			    "the portal token is not a JWT: its middle part is not a JSON object");
	}
	out->expires_ms = expiry_ms(json_object_get(claims, "exp"));
	out->foreign = !is_of_the_realm(json_object_get(claims, "iss"));
	json_decref(claims);
	return true;
}
