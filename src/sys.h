/*
 * sys - what the program takes from the machine: memory, clocks, randomness, hashes, file calls.
 *
 * Running out of memory ends the program: the queue is durable, and half-handled shortage is
 * worse than a restart. Everything here may be called from any thread.
 */
#ifndef AUTOS_SYS_H
#define AUTOS_SYS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Memory: never NULL; released with xfree, which accepts NULL. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void xfree(void *p);

/* Appends room for one element to a growing array: doubles `*cap` when `n` has reached it. */
void *xgrow(void *array, size_t n, size_t *cap, size_t size);

/* Milliseconds since 1970 (may jump) and since some fixed moment (never jumps back). */
int64_t sys_wall_ms(void);
int64_t sys_mono_ms(void);
int64_t sys_mono_us(void); /* microseconds */

/* "2026-01-02T03:04:05.678Z"; out holds at least 25 bytes. */
void sys_format_utc(int64_t wall_ms, char out[static 25]);

/* Cryptographic randomness; ends the program if the machine has none. */
void sys_random(void *out, size_t len);
uint64_t sys_random_below(uint64_t bound);     /* 0 <= result < bound, uniform */
void sys_random_hex(char *out, size_t digits); /* digits must be even; writes a NUL after them */

/* SHA-256, streaming. */
struct sha256;
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *h, const void *data, size_t len);
void sha256_end(struct sha256 *h, char hex[static 65]); /* may be called once */
void sha256_free(struct sha256 *h);                     /* accepts NULL */
void sha256_hex(const void *data, size_t len, char hex[static 65]);

/* MD5, streaming: no protection against anybody, but what storage servers compare bytes by. */
struct md5;
struct md5 *md5_new(void);
void md5_add(struct md5 *h, const void *data, size_t len);
void md5_end(struct md5 *h, unsigned char out[static 16]); /* may be called once */
void md5_free(struct md5 *h);                              /* accepts NULL */

/* HMAC-SHA256 (RFC 2104). */
void sys_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
		     unsigned char out[static 32]);

/* Whether n bytes are equal, in a time that does not tell where they differ. */
bool sys_equal(const void *a, const void *b, size_t n);

/* Lower-case hexadecimal digits; out holds at least 2 * len + 1 bytes. */
void sys_hex(const void *data, size_t len, char *out);

/* Base64url without padding (RFC 4648, section 5). Decodes into out; -1 when it is not that.
 * Encodes len bytes and a NUL into out, which holds BASE64URL_SIZE(len). */
#define BASE64URL_SIZE(len) (((len)*4 + 2) / 3 + 1)
/* Base64 with padding (RFC 4648, section 4): len bytes and a NUL, BASE64_SIZE(len) together. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void base64_encode(const void *data, size_t len, char *out);

ssize_t base64url_decode(const char *s, size_t len, void *out, size_t cap);
void base64url_encode(const void *data, size_t len, char *out);

/*
 * Reads a whole small file into a NUL-terminated string (free with xfree).
 * ERR_ABSENT when there is none, ERR_INPUT when it is larger than max.
 */
[[nodiscard]] bool sys_read_file(const char *path, size_t max, char **out, size_t *len,
				 struct err *e);

/* Creates a directory and its missing parents. An existing directory is fine. */
[[nodiscard]] bool sys_mkdirs(const char *path, mode_t mode, struct err *e);

/* Writes all bytes, or says why not. `what` names the file in the error line. */
[[nodiscard]] bool sys_write_all(int fd, const void *data, size_t len, const char *what,
				 struct err *e);

/* Makes a directory's entries durable. */
[[nodiscard]] bool sys_fsync_dir(const char *path, struct err *e);

/* ---- This process (sys_proc.c); 0 when the machine does not tell ---- */

/* Bytes in memory now, and those that may be used: the machine's, or the control group's if fewer.
 */
void sys_memory(int64_t *used, int64_t *limit);
int64_t sys_open_files(void);
int64_t sys_cpu_us(void);                 /* spent by all threads since the start */
int64_t sys_cpus(void);                   /* that it may run on; at least 1 */
int64_t sys_free_space(const char *path); /* bytes for whoever is not root; -1 when unknown */

#endif
