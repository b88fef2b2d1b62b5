/*
 * config - the settings: one table makes parsing, range checks, `autos config` and
 * docs/configuration.md.
 *
 * Lowest to highest: built-in default, file, environment, --set. An unknown key or a value out of
 * range is an error that names key, value and what is allowed. Reads files and the environment only
 * inside config_load and config_load_file; everything else is pure.
 */
#ifndef AUTOS_CONFIG_H
#define AUTOS_CONFIG_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONFIG_ROWS = 78 };

enum config_source {
	CONFIG_DEFAULT,
	CONFIG_FILE,
	CONFIG_ENVIRONMENT,
	CONFIG_COMMAND_LINE,
};

/* The effective settings. Strings are owned and never NULL; durations are milliseconds. */
struct config {
	/* storage */
	char *data_dir;
	char *database_url;
	char *store_url;
	/* S3 */
	char *s3_endpoint;
	char *s3_region;
	char *s3_access_key;
	char *s3_access_key_file;
	char *s3_secret_key;
	char *s3_secret_key_file;
	char *s3_session_token;
	char *s3_session_token_file;
	char *s3_ca_file;
	char *s3_proxy;
	int64_t s3_parallel;
	int64_t s3_multipart_from;
	int64_t s3_part_size;
	int64_t s3_part_parallel;
	int64_t s3_connect_timeout;
	int64_t s3_low_speed_time;
	int64_t s3_retry_max;
	int64_t s3_retry_delay;
	int64_t s3_orphan_age;
	/* portal */
	char *portal_url;
	char *portal_hosts;
	char *portal_token;
	char *portal_token_file;
	int64_t portal_token_wait;
	int64_t portal_token_margin;
	char *portal_user_agent;
	char *portal_headers;
	char *portal_headers_file;
	char *portal_proxy;
	char *portal_proxy_file;
	char *portal_ca_file;
	/* lane to the portal */
	int64_t portal_parallel;
	int64_t portal_parallel_min;
	int64_t portal_parallel_max;
	int64_t portal_pace;
	int64_t portal_pause;
	int64_t portal_pause_max;
	int64_t portal_patience;
	int64_t portal_connect_timeout;
	int64_t portal_timeout;
	int64_t portal_low_speed;
	int64_t portal_low_speed_time;
	int64_t retry_max;
	int64_t retry_delay;
	/* limits */
	int64_t document_max_size;
	int64_t answer_max_size;
	int64_t spool_memory;
	/* work */
	int64_t cases_parallel;
	int64_t lease_time;
	int64_t max_age;
	int64_t drain_time;
	char *log_level;
	/* service */
	char *environment;
	char *listen;
	char *public_url;
	char *tls_cert_file;
	char *tls_key_file;
	int64_t api_threads;
	int64_t connections_max;
	int64_t connections_per_address;
	int64_t request_head_max;
	int64_t request_body_max;
	int64_t request_timeout;
	int64_t wait_default;
	int64_t wait_max;
	int64_t partial_retry_after;
	int64_t link_ttl;
	int64_t rate_limit;
	int64_t rate_limit_window;
	char *rate_limit_routes;
	int64_t rate_limit_anonymous;
	char *cors_origins;
	int64_t metrics_public;
	char *trusted_proxies;
	int64_t cache_memory;

	unsigned char source[CONFIG_ROWS]; /* enum config_source of each row of the table */
};

/* Where values above the defaults come from. All members may be NULL or zero. */
struct config_input {
	const char *file;       /* must exist; NULL: /etc/autos/autos.conf if it is there */
	char **environment;     /* "NAME=value", NULL-terminated */
	const char *const *set; /* "key=value" of --set, in order */
	size_t nset;
};

/* Fills *c (release it even on failure). ERR_INPUT names the key, the value and the range. */
[[nodiscard]] bool config_load(struct config *c, const struct config_input *in, struct err *e);
void config_release(struct config *c);

/* Defaults only, and one value on top of another; for tests and for config_load itself. */
void config_init(struct config *c);
[[nodiscard]] bool config_set(struct config *c, const char *key, const char *value,
			      enum config_source source, struct err *e);

/* The text of a settings file: `key = value` lines, # comments. `name` is for error lines. */
[[nodiscard]] bool config_parse(struct config *c, const char *text, size_t len, const char *name,
				struct err *e);

/* The table, for `autos config` and the documentation. */
size_t config_count(void);
const char *config_key(size_t i);
const char *config_help(size_t i);
const char *config_section(size_t i); /* heading under which the key is documented */
void config_default(size_t i, char *out, size_t cap); /* as written in a file; "" for none */
void config_range(size_t i, char *out, size_t cap);   /* "1 to 64", "text", ... */
const char *config_alias(size_t i);                   /* another environment name, or NULL */
const char *config_source_name(enum config_source source);

bool config_is_production(const struct config *c);

/* Whether nobody set this key. */
bool config_is_default(const struct config *c, const char *key);

/* The value as text; secrets are "***" when set. */
void config_show(const struct config *c, size_t i, char *out, size_t cap);

/* "90", "90s", "500ms", "5m", "2h", "7d" as milliseconds. */
bool config_duration(const char *text, int64_t *ms);

#endif
