/*
 * sys - memory, clocks, randomness, hashes and small file helpers. The only room that includes
 * OpenSSL for hashing. It keeps no state.
 */
#include "sys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Memory ---- */

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);
	if (!p)
		die("out of memory (%zu bytes)", size);
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);
	if (!p)
		die("out of memory (%zu * %zu bytes)", n, size);
	return p;
}

void *xrealloc(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);
	if (!p)
		die("out of memory (%zu bytes)", size);
	return p;
}

char *xstrndup(const char *s, size_t n)
{
	char *p = xmalloc(n + 1);
	if (n)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *xstrdup(const char *s)
{
	return s ? xstrndup(s, strlen(s)) : NULL;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	char *p = xmalloc((size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void xfree(void *p)
{
	free(p);
}

void *xgrow(void *array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return array;
	size_t want = *cap ? *cap * 2 : 8;
	assert(want < SIZE_MAX / size);
	*cap = want;
	return xrealloc(array, want * size);
}

/* ---- Clocks ---- */

static int64_t clock_ms(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t sys_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t sys_mono_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t sys_mono_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void sys_format_utc(int64_t wall_ms, char out[static 25])
{
	int64_t ms = wall_ms % 1000;
	time_t s = (time_t)(wall_ms / 1000);
	if (ms < 0) {
		ms += 1000;
		s--;
	}
	struct tm tm;
	gmtime_r(&s, &tm);
	char day[20];
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 25, "%s.%03dZ", day, (int)ms);
}

/* ---- Randomness ---- */

void sys_random(void *out, size_t len)
{
	unsigned char *p = out;
	while (len) {
		ssize_t n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("getrandom: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

uint64_t sys_random_below(uint64_t bound)
{
	assert(bound > 0);
	uint64_t skip =
		-bound % bound; /* 2^64 mod bound: values below it would favour small results */
	for (;;) {
		uint64_t x;
		sys_random(&x, sizeof x);
		if (x >= skip)
			return x % bound;
	}
}

void sys_hex(const void *data, size_t len, char *out)
{
	static const char digit[] = "0123456789abcdef";
	const unsigned char *in = data;
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digit[in[i] >> 4];
		out[2 * i + 1] = digit[in[i] & 15];
	}
	out[2 * len] = '\0';
}

/* Ids are made for every request: the kernel is asked for many bytes at once. */
static void random_few(unsigned char *out, size_t len)
{
	static _Thread_local unsigned char pool[512];
	static _Thread_local size_t left;
	assert(len <= sizeof pool);
	if (left < len) {
		sys_random(pool, sizeof pool);
		left = sizeof pool;
	}
	left -= len;
	memcpy(out, pool + left, len);
	memset(pool + left, 0, len); /* given once */
}

void sys_random_hex(char *out, size_t digits)
{
	unsigned char raw[64];
	assert(digits % 2 == 0 && digits / 2 <= sizeof raw);
	random_few(raw, digits / 2);
	sys_hex(raw, digits / 2, out);
}

/* ---- SHA-256 ---- */

struct sha256 {
	EVP_MD_CTX *ctx;
};

static EVP_MD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void fetch_method(void)
{
	method = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!method)
		die("SHA-256 is not available in this OpenSSL");
}

/* Looking the method up takes longer than hashing a key, so it is done once; it lives as long as
 * the program. */
static const EVP_MD *sha256_method(void)
{
	pthread_once(&method_once, fetch_method);
	return method;
}

struct sha256 *sha256_new(void)
{
	struct sha256 *h = xmalloc(sizeof *h);
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, sha256_method(), NULL) != 1)
		die("SHA-256 is not available in this OpenSSL");
	return h;
}

void sha256_add(struct sha256 *h, const void *data, size_t len)
{
	if (EVP_DigestUpdate(h->ctx, data, len) != 1)
		die("SHA-256 update failed");
}

void sha256_end(struct sha256 *h, char hex[static 65])
{
	unsigned char raw[32];
	unsigned int n = 0;
	if (EVP_DigestFinal_ex(h->ctx, raw, &n) != 1 || n != sizeof raw)
		die("SHA-256 end failed");
	sys_hex(raw, sizeof raw, hex);
}

void sha256_free(struct sha256 *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	xfree(h);
}

void sha256_hex(const void *data, size_t len, char hex[static 65])
{
	unsigned char raw[32];
	unsigned int n = 0;
	if (EVP_Digest(data, len, raw, &n, sha256_method(), NULL) != 1 || n != sizeof raw)
		die("SHA-256 failed");
	sys_hex(raw, sizeof raw, hex);
}

struct md5 {
	EVP_MD_CTX *ctx;
};

struct md5 *md5_new(void)
{
	struct md5 *h = xmalloc(sizeof *h);
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_md5(), NULL) != 1)
		die("MD5 is not available in this OpenSSL");
	return h;
}

void md5_add(struct md5 *h, const void *data, size_t len)
{
	if (EVP_DigestUpdate(h->ctx, data, len) != 1)
		die("MD5 update failed");
}

void md5_end(struct md5 *h, unsigned char out[static 16])
{
	unsigned int n = 0;
	if (EVP_DigestFinal_ex(h->ctx, out, &n) != 1 || n != 16)
		die("MD5 end failed");
}

void md5_free(struct md5 *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	xfree(h);
}

void sys_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
		     unsigned char out[static 32])
{
	unsigned int n = 0;
	assert(key_len <= INT_MAX);
	if (!HMAC(sha256_method(), key, (int)key_len, data, len, out, &n) || n != 32)
		die("HMAC-SHA256 is not available in this OpenSSL");
}

bool sys_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

/* ---- Base64url ---- */

static int base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	return -1;
}

void base64_encode(const void *data, size_t len, char *out)
{
	EVP_EncodeBlock((unsigned char *)out, data, (int)len);
}

ssize_t base64url_decode(const char *s, size_t len, void *out, size_t cap)
{
	unsigned char *p = out;
	size_t n = 0;
	uint32_t acc = 0;
	int bits = 0;
	for (size_t i = 0; i < len; i++) {
		int v = base64url_value(s[i]);
		if (v < 0)
			return -1;
		acc = (acc << 6 | (uint32_t)v) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (n == cap)
				return -1;
			p[n++] = (unsigned char)(acc >> bits);
		}
	}
	return len % 4 == 1 ? -1 : (ssize_t)n;
}

void base64url_encode(const void *data, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *p = data;
	uint32_t acc = 0;
	int bits = 0;
	for (size_t i = 0; i < len; i++) {
		acc = (acc << 8 | p[i]) & 0xffff;
		for (bits += 8; bits >= 6; bits -= 6)
			*out++ = digits[acc >> (bits - 6) & 63];
	}
	if (bits)
		*out++ = digits[acc << (6 - bits) & 63];
	*out = '\0';
}

/* ---- Files ---- */

bool sys_read_file(const char *path, size_t max, char **out, size_t *len, struct err *e)
{
	*out = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		if (errno == ENOENT)
			return fail(e, ERR_ABSENT, "%s: no such file", path);
		return fail_errno(e, "%s", path);
	}
	char *data = xmalloc(max + 2);
	size_t n = 0;
	bool ok = false;
	while (n <= max) {
		ssize_t r = read(fd, data + n, max + 1 - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			fail_errno(e, "%s", path);
			goto out;
		}
		if (r == 0)
			break;
		n += (size_t)r;
	}
	if (n > max) {
		fail(e, ERR_INPUT, "%s: larger than %zu bytes", path, max);
		goto out;
	}
	data[n] = '\0';
	*out = data;
	data = NULL;
	if (len)
		*len = n;
	ok = true;
out:
	xfree(data);
	close(fd);
	return ok;
}

bool sys_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof part)
		return fail(e, ERR_INPUT, "directory name is empty or too long");
	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		char keep = part[i];
		part[i] = '\0';
		if (mkdir(part, mode) != 0 && errno != EEXIST)
			return fail_errno(e, "cannot create directory %s", part);
		part[i] = keep;
	}
	struct stat st;
	if (stat(path, &st) != 0)
		return fail_errno(e, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return fail(e, ERR_INPUT, "%s is not a directory", path);
	return true;
}

bool sys_write_all(int fd, const void *data, size_t len, const char *what, struct err *e)
{
	const char *p = data;
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(e, "cannot write %s", what);
		p += n;
		len -= (size_t)n;
	}
	return true;
}

bool sys_fsync_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(e, "%s", path);
	bool ok = fsync(fd) == 0 || fail_errno(e, "cannot sync directory %s", path);
	close(fd);
	return ok;
}
