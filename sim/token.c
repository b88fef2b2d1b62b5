/*
 * token - reads and writes the three parts of a JWT. The last good token is remembered, because a
 * busy client sends the same two kilobytes thousands of times a second.
 */
#include "token.h"

#include "buf.h"
#include "sys.h"

#include <assert.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>

enum { TOKEN_MAX = 8192 };

#define REALM "https://sso.cloud.pje.jus.br/auth/realms/pje"

static void add_base64url(struct buf *out, const char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)(unsigned char)data[i] << 16;
		if (i + 1 < len)
			v |= (unsigned)(unsigned char)data[i + 1] << 8;
		if (i + 2 < len)
			v |= (unsigned char)data[i + 2];
		size_t n = len - i < 3 ? len - i + 1 : 4;
		for (size_t k = 0; k < n; k++)
			buf_add(out, &digits[v >> (18 - 6 * k) & 63], 1);
	}
}

static void add_json(struct buf *out, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	assert(text);
	add_base64url(out, text, strlen(text));
	xfree(text);
	json_decref(value);
}

char *token_make(int64_t seconds)
{
	struct buf b;
	json_int_t now = sys_wall_ms() / 1000;
	buf_init(&b, TOKEN_MAX);
	add_json(&b, json_pack("{s:s,s:s,s:s}", "alg", "RS256", "typ", "JWT", "kid", "sintetico"));
	buf_adds(&b, ".");
	add_json(&b,
		 json_pack("{s:I,s:I,s:I,s:s,s:s,s:[s,s],s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:s,s:s,"
			   "s:[{s:i,s:s,s:s,s:s,s:b}]}",
			   "exp", now + (json_int_t)seconds, "iat", now, "auth_time", now, "jti",
			   "00000000-0000-5000-8000-000000000001", "iss", REALM, "aud", "broker",
			   "account", "sub", "00000000-0000-5000-8000-000000000002", "typ",
			   "Bearer", "azp", "portalexterno-frontend", "scope",
			   "openid profile email", "email_verified", 0, "AcessaRepositorio", "Ok",
			   "name", "ADVOGADA SINTETICA 999", "preferred_username", "00099999999",
			   "email", "advogada.sintetica@example.invalid", "corporativo",
			   "seq_usuario", 999, "nom_usuario", "ADVOGADA SINTETICA 999", "num_cpf",
			   "00099999999", "oab", "SP999999", "flg_ativo", 1));
	buf_adds(&b, ".");
	add_base64url(&b, "assinatura sintetica, nunca conferida", 37);
	return buf_detach(&b);
}

static bool jwt_expiry(const char *token, int64_t *expires)
{
	char payload[TOKEN_MAX];
	const char *dot = strchr(token, '.');
	const char *end = dot ? strchr(dot + 1, '.') : NULL;
	if (!end || strchr(end + 1, '.'))
		return false;
	ssize_t n = base64url_decode(dot + 1, (size_t)(end - dot - 1), payload, sizeof payload);
	if (n <= 0)
		return false;
	json_t *j = json_loadb(payload, (size_t)n, 0, NULL);
	const char *issuer = json_string_value(json_object_get(j, "iss"));
	json_t *exp = json_object_get(j, "exp");
	bool ok = issuer && strcmp(issuer, REALM) == 0 && json_is_number(exp);
	*expires = ok ? (int64_t)json_number_value(exp) : 0;
	json_decref(j);
	return ok;
}

bool token_good(const char *authorization, const char *fixed)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char last[TOKEN_MAX];
	static int64_t last_expires;

	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return false;
	const char *token = authorization + 7;
	if (fixed && strcmp(token, fixed) == 0)
		return true;
	size_t len = strlen(token);
	if (len == 0 || len >= sizeof last)
		return false;
	int64_t now = sys_wall_ms() / 1000, expires = 0;
	pthread_mutex_lock(&lock);
	bool known = strcmp(last, token) == 0;
	if (known)
		expires = last_expires;
	pthread_mutex_unlock(&lock);
	if (!known && !jwt_expiry(token, &expires))
		return false;
	if (!known) {
		pthread_mutex_lock(&lock);
		memcpy(last, token, len + 1);
		last_expires = expires;
		pthread_mutex_unlock(&lock);
	}
	return expires > now;
}
