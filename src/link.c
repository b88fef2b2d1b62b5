/*
 * link - see link.h. Keeps no secret: whoever calls passes it.
 */
#include "link.h"

#include "buf.h"
#include "sys.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { SIGNATURE = 64 };

static size_t length(const struct link *l)
{
	return strlen(l->key) + strlen(l->name) + strlen(l->mime);
}

/* The facts with a zero byte behind each, which none of them can hold: no two links sign alike. */
static void sign(const unsigned char secret[static LINK_SECRET], const struct link *l,
		 char hex[static SIGNATURE + 1])
{
	unsigned char mac[32];
	struct buf text;
	buf_init(&text, length(l) + 32);
	buf_addf(&text, "%s%c%s%c%s%c%" PRId64, l->key, 0, l->name, 0, l->mime, 0, l->expires_s);
	assert(!text.overflow);
	sys_hmac_sha256(secret, LINK_SECRET, text.data, text.len, mac);
	sys_hex(mac, sizeof mac, hex);
	buf_release(&text);
}

char *link_make(const char *base_url, const unsigned char secret[static LINK_SECRET],
		const struct link *l)
{
	char hex[SIGNATURE + 1];
	sign(secret, l, hex);
	size_t base = strlen(base_url);
	while (base && base_url[base - 1] == '/')
		base--;
	struct buf out;
	buf_init(&out, base + 3 * length(l) + 160);
	buf_add(&out, base_url, base);
	buf_adds(&out, "/files/");
	percent_add(&out, l->key, strlen(l->key), "/");
	buf_adds(&out, "?name=");
	percent_add(&out, l->name, strlen(l->name), "");
	buf_adds(&out, "&type=");
	percent_add(&out, l->mime, strlen(l->mime), "/");
	buf_addf(&out, "&expires=%" PRId64 "&signature=%s", l->expires_s, hex);
	assert(!out.overflow);
	return buf_detach(&out);
}

bool link_check(const unsigned char secret[static LINK_SECRET], const struct link *l,
		const char *signature, int64_t now_s, struct err *e)
{
	char hex[SIGNATURE + 1];
	sign(secret, l, hex);
	if (!signature || strlen(signature) != SIGNATURE || !sys_equal(signature, hex, SIGNATURE))
		return fail(e, ERR_DENIED, "the signature of the link is wrong");
	if (now_s >= l->expires_s)
		return fail(e, ERR_DENIED, "the link has expired");
	return true;
}
