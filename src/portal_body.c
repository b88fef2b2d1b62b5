/*
 * portal_body - finds out what an answer looks like: its kind and its message.
 *
 * Pages are told by their own marks. A document may say anything, so only marks that no court's
 * document carries are looked for in one: the title of a page, the tags of the portal's
 * application, the form of its log-in.
 */
#include "portal_body.h"

#include "buf.h"
#include "portal_json.h"
#include "sys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { WINDOW = 65536, SAID_MAX = 2 * WINDOW, NOTICE_MAX = 4096 };

struct text {
	const char *at;
	size_t len;
};

static struct text start_of(const struct http_res *res)
{
	if (!res->body)
		return (struct text){res->head, res->head_len};
	return (struct text){res->body, res->body_len < WINDOW ? res->body_len : WINDOW};
}

/* ---- Lower case without accents ---- */

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The letter under U+00C0 to U+00FF. */
static char base_letter(unsigned char low)
{
	return "aaaaaaaceeeeiiiidnooooo*ouuuuypsaaaaaaaceeeeiiiidnooooo/ouuuuypy"[low & 63];
}

/* UTF-8, composed or not, and Latin-1 give the same; other bytes stay. No NUL is in the result. */
static void add_folded(struct buf *b, struct text t)
{
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.at[i];
		unsigned char next = i + 1 < t.len ? (unsigned char)t.at[i + 1] : 0;
		char out = (char)c;
		if (c < 0x80) {
			out = c ? (char)tolower(c) : ' ';
		} else if (is_continuation(next) && (c == 0xcc || c == 0xcd)) {
			i++; /* an accent of its own */
			continue;
		} else if (is_continuation(next) && c == 0xc3) {
			i++;
			out = base_letter(next);
		} else if (c >= 0xc0 && !is_continuation(next)) {
			out = base_letter(c);
		}
		buf_add(b, &out, 1);
	}
}

/* Does `pattern`, up to its end or '|', match at s? */
static bool matches_at(const char *s, const char *pattern)
{
	for (; *pattern && *pattern != '|'; pattern++, s++) {
		if (*pattern == '*') {
			for (int n = 0; n <= 8; n++) {
				if (matches_at(s + n, pattern + 1))
					return true;
				if (!s[n] || s[n] == ' ')
					return false;
			}
			return false;
		}
		if (*s != *pattern)
			return false;
	}
	return true;
}

bool portal_says(const char *text, const char *patterns)
{
	for (const char *p = patterns; *p; p += strcspn(p, "|"), p += *p == '|')
		for (const char *s = text; *s; s++)
			if (matches_at(s, p))
				return true;
	return false;
}

/* ---- Pages ---- */

static const char block_titles[] =
	"403 forbidden|access denied|acesso negado|request rejected|request blocked|attention required|"
	"just a moment|request could not be satisfied|web application firewall";
static const char block_words[] = "the requested url was rejected|_incapsula_resource";
static const char notice_titles[] =
	"em manuten|>manuten*<|>maintenance<|manutencao programada|sistema indisponivel|servico indisponivel|"
	"temporariamente indisponivel|under maintenance|down for maintenance|service unavailable|"
	"temporarily unavailable|bad gateway|gateway time|internal server error";

/* The first text in `tag` of a folded page with its brackets, as ">x<"; owned, "" without one. */
static char *text_in(const char *page, const char *tag)
{
	const char *at = strstr(page, tag);
	at = at ? strchr(at, '>') : NULL;
	if (!at)
		return xstrdup("");
	size_t len = strcspn(at, "<");
	return xstrndup(at, len + (at[len] == '<'));
}

/* A notice is short, and its title or its heading says what it is. */
static bool is_notice(const struct http_res *res, const char *title, const char *heading)
{
	return portal_says(title, notice_titles) ||
	       (res->received <= NOTICE_MAX && portal_says(heading, notice_titles));
}

static enum body_kind page_kind(const struct http_res *res)
{
	struct buf page;
	buf_init(&page, SAID_MAX);
	add_folded(&page, start_of(res));
	buf_adds(&page, "\n");
	add_folded(&page, (struct text){res->tail, res->tail_len});
	const char *text = buf_str(&page);
	char *title = text_in(text, "<title"), *heading = text_in(text, "<h1");
	enum body_kind kind = BODY_HTML;
	if (portal_says(text, "<app-root|ng-version="))
		kind = BODY_SHELL;
	else if (portal_says(text, "kc-form-login|/login-actions/|openid-connect/auth"))
		kind = BODY_LOGIN;
	else if (portal_says(title, block_titles) || portal_says(text, block_words))
		kind = BODY_BLOCK;
	else if (is_notice(res, title, heading))
		kind = BODY_NOTICE;
	xfree(title);
	xfree(heading);
	buf_release(&page);
	return kind;
}

/* ---- JSON ---- */

static struct text skip_space(struct text t)
{
	if (t.len >= 3 && memcmp(t.at, "\xef\xbb\xbf", 3) == 0)
		t = (struct text){t.at + 3, t.len - 3};
	while (t.len && isspace((unsigned char)*t.at))
		t = (struct text){t.at + 1, t.len - 1};
	return t;
}

/*
 * The body as JSON, NULL when it is not that. Of documents only small ones are tried: an error is
 * small. Data is parsed whatever its size, so that what is damaged can be asked for again.
 */
static json_t *parse_body(enum portal_call call, const struct http_res *res)
{
	struct text t = {res->body, res->body_len};
	if (!res->body && res->received <= (int64_t)res->head_len)
		t = (struct text){res->head, res->head_len};
	if (!t.at || (call == PORTAL_DOCUMENT && t.len > WINDOW))
		return NULL;
	t = skip_space(t);
	if (!t.len || (*t.at != '{' && *t.at != '['))
		return NULL;
	return portal_json_load(t.at, t.len, NULL);
}

static char last_byte(const struct http_res *res)
{
	size_t n = res->tail_len;
	while (n && isspace((unsigned char)res->tail[n - 1]))
		n--;
	return n ? res->tail[n - 1] : '\0';
}

/* Does a body that is too large to be parsed here look like JSON? RTF begins with '{' too. */
static bool looks_like_json(struct text t)
{
	t = skip_space(t);
	if (!t.len || (*t.at != '{' && *t.at != '['))
		return false;
	t = skip_space((struct text){t.at + 1, t.len - 1});
	return t.len && strchr("\"{[]}", *t.at);
}

static enum body_kind json_kind(enum portal_call call, const struct http_res *res,
				const json_t *parsed)
{
	if (parsed && portal_json_is_error(parsed))
		return BODY_ERROR;
	if (call != PORTAL_DOCUMENT && !res->body)
		return BODY_SPILLED;
	if (parsed)
		return BODY_JSON;
	if (call != PORTAL_DOCUMENT)
		return BODY_CUT;
	char end = last_byte(res);
	return end == '}' || end == ']' ? BODY_JSON : BODY_CUT;
}

/* ---- Documents ---- */

static bool declared(const struct http_res *res, const char *word)
{
	return strcasestr(res->content_type, word) != NULL;
}

static bool any_declared(const struct http_res *res, const char *const *words)
{
	for (; *words; words++)
		if (declared(res, *words))
			return true;
	return false;
}

/* Has a document of this kind its end mark among its last bytes? */
static bool has_end(const struct http_res *res, const char *ext)
{
	static const struct {
		const char *ext, *mark;
		size_t len;
	} ends[] = {{"pdf", "%%EOF", 5}, {"jpg", "\xff\xd9", 2}, {"png", "IEND", 4}};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (strcmp(ends[i].ext, ext) == 0)
			return res->tail_len &&
			       memmem(res->tail, res->tail_len, ends[i].mark, ends[i].len);
	return true;
}

static bool is_text_kind(struct doc_kind k)
{
	return strncmp(k.mime, "text/plain", 10) == 0 || strcmp(k.ext, "csv") == 0 ||
	       strcmp(k.ext, "json") == 0;
}

static enum body_kind document_kind(const struct http_res *res)
{
	static const char *const texts[] = {"text/", "json", "xml", "rtf", "octet-stream", NULL};
	static const char *const checked[] = {"pdf", "text/", "json", "xml", "rtf", "jpeg",
					      "jpg", "png",   "gif",  "tif", "zip", NULL};
	struct doc_kind k = portal_sniff(res->head, res->head_len, res->content_type);
	if (k.known && !is_text_kind(k))
		return has_end(res, k.ext) ? BODY_WHOLE : BODY_CUT;
	if (!*res->content_type)
		return BODY_NAMELESS;
	if (k.known)
		return any_declared(res, texts) ? BODY_TEXT : BODY_MISMATCH;
	return any_declared(res, checked) ? BODY_MISMATCH : BODY_BYTES;
}

/* ---- The facts ---- */

static bool is_encoded(const struct http_res *res)
{
	return *res->content_encoding && strcasecmp(res->content_encoding, "identity") != 0;
}

static enum body_kind kind_of(enum portal_call call, const struct http_res *res,
			      const json_t *parsed)
{
	if (!res->head_len || !res->received)
		return BODY_NONE;
	if (res->status == 200 && is_encoded(res))
		return BODY_ENCODED;
	if (res->status == 200 && res->content_length >= 0 && res->content_length != res->received)
		return BODY_PART;
	struct doc_kind k = portal_sniff(res->head, res->head_len, res->content_type);
	if (strcmp(k.ext, "html") == 0)
		return page_kind(res);
	if (strcmp(k.ext, "rtf") == 0)
		return BODY_WHOLE;
	if (parsed || looks_like_json(start_of(res)))
		return json_kind(call, res, parsed);
	return document_kind(res);
}

/* A redirect to the log-in: the single sign-on's host, or a path that says so. */
static bool leads_to_login(const char *location)
{
	const char *authority = strstr(location, "//");
	const char *host = authority ? authority + 2 : "";
	size_t path = strcspn(location, "?#");
	char *bare = xstrndup(location, path);
	bool login = strncasecmp(host, "sso.", 4) == 0 || strcasestr(bare, "openid-connect") ||
		     strcasestr(bare, "/auth/realms/") || strcasestr(bare, "login");
	xfree(bare);
	return login;
}

/* The members in which errors are told. */
static void add_messages(struct buf *b, const json_t *object)
{
	static const char *const keys[] = {"message", "mensagem", "error",     "erro",
					   "detail",  "title",    "exception", "trace"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		char *s = portal_json_member(object, keys[i]);
		add_folded(b, (struct text){s, strlen(s)});
		buf_adds(b, "\n");
		xfree(s);
	}
}

void portal_facts_read(struct portal_facts *f, enum portal_call call, const struct http_res *res)
{
	struct buf said;
	buf_init(&said, SAID_MAX);
	json_t *parsed = parse_body(call, res);
	f->kind = kind_of(call, res, parsed);
	bool good = res->status >= 200 && res->status < 300;
	if (res->status >= 300 && res->status < 400)
		buf_adds(&said, leads_to_login(res->location) ? "login" : "");
	else if (json_is_object(parsed) && (!good || f->kind == BODY_ERROR))
		add_messages(&said, parsed);
	else if (!good)
		add_folded(&said, start_of(res));
	f->said = buf_detach(&said);
	json_decref(parsed);
}

void portal_facts_release(struct portal_facts *f)
{
	xfree(f->said);
	*f = (struct portal_facts){0};
}
