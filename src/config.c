/*
 * config - how values get into the settings: parsing, range checks, and the order of sources.
 *
 * Never looks at what a value means for another room; values that are fine alone and wrong together
 * are refused at the end of config_load.
 */
#include "config_table.h"

#include "log.h"
#include "sys.h"
#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 8192, MAX_SECRET = 8000, MAX_FILE = 1 << 20 };

static const struct config_row *row_find(const char *key)
{
	for (size_t i = 0; i < CONFIG_ROWS; i++)
		if (strcmp(config_table[i].key, key) == 0)
			return &config_table[i];
	return NULL;
}

/* ---- Values ---- */

/* Digits only, no sign, no overflow. Gives the place after them. */
static bool parse_digits(const char *s, int64_t *n, const char **end)
{
	int64_t v = 0;
	if (!isdigit((unsigned char)*s))
		return false;
	for (; isdigit((unsigned char)*s); s++) {
		if (v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (*s - '0');
	}
	*n = v;
	*end = s;
	return true;
}

static bool parse_unit(const char *text, const struct config_unit *units, int64_t *out)
{
	int64_t n;
	const char *end;
	if (!parse_digits(text, &n, &end))
		return false;
	for (; units->name; units++) {
		if (strcmp(end, units->name) != 0)
			continue;
		if (n > INT64_MAX / units->factor)
			return false;
		*out = n * units->factor;
		return true;
	}
	return false;
}

bool config_duration(const char *text, int64_t *ms)
{
	return parse_unit(text, config_time_units, ms);
}

static bool check_url(const char *value)
{
	const char *rest = strncmp(value, "https://", 8) == 0  ? value + 8
			   : strncmp(value, "http://", 7) == 0 ? value + 7
							       : NULL;
	if (!rest || !*rest || *rest == '/' || *rest == ':')
		return false;
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '@' ||
		    *p == '?' || *p == '#' || *p == '\\')
			return false;
	return true;
}

static bool is_environment(const char *s)
{
	return strcmp(s, "development") == 0 || strcmp(s, "staging") == 0 ||
	       strcmp(s, "production") == 0;
}

static bool check_text(const struct config_row *r, const char *value, struct err *e)
{
	enum log_level level;
	size_t n = strlen(value);
	if (n > (r->kind == SECRET ? MAX_SECRET : MAX_TEXT))
		return fail(e, ERR_INPUT, "%s: value is longer than %d bytes", r->key,
			    r->kind == SECRET ? MAX_SECRET : MAX_TEXT);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return fail(e, ERR_INPUT, "%s: value holds a control character", r->key);
	if (r->kind == URL && !check_url(value) && (*value || *r->preset))
		return fail(e, ERR_INPUT,
			    "%s = %.200s: must be http://host/path or https://host/path", r->key,
			    value);
	if (r->kind == LEVEL && !log_level_parse(value, &level))
		return fail(e, ERR_INPUT, "%s = %.60s: must be error, warn, info or debug", r->key,
			    value);
	if (r->kind == ENVIRONMENT && !is_environment(value))
		return fail(e, ERR_INPUT, "%s = %.60s: must be development, staging or production",
			    r->key, value);
	return true;
}

static bool parse_flag(const char *value, int64_t *out)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(value, words[i]) == 0) {
			*out = (int64_t)(i % 2);
			return true;
		}
	return false;
}

static void store_text(struct config *c, const struct config_row *r, const char *value)
{
	char **at = config_text(c, r);
	xfree(*at);
	*at = xstrdup(value);
	size_t n = strlen(*at);
	while (r->kind == URL && n && (*at)[n - 1] == '/')
		(*at)[--n] = '\0';
}

bool config_set(struct config *c, const char *key, const char *value, enum config_source source,
		struct err *e)
{
	const struct config_row *r = row_find(key);
	if (!r)
		return fail(e, ERR_INPUT, "unknown setting '%.60s'; `autos config` lists all", key);
	if (config_is_text(r)) {
		if (!check_text(r, value, e))
			return false;
		store_text(c, r, value);
	} else {
		int64_t v;
		char range[80];
		const char *end;
		bool ok = r->kind == FLAG       ? parse_flag(value, &v)
			  : r->kind == SIZE     ? parse_unit(value, config_size_units, &v)
			  : r->kind == DURATION ? parse_unit(value, config_time_units, &v)
						: parse_digits(value, &v, &end) && !*end;
		config_range((size_t)(r - config_table), range, sizeof range);
		if (!ok || v < r->min || v > r->max)
			return fail(e, ERR_INPUT, "%s = %.60s: must be %s", key, value, range);
		*config_number(c, r) = v;
	}
	c->source[r - config_table] = (unsigned char)source;
	return true;
}

bool config_is_production(const struct config *c)
{
	return strcmp(c->environment, "production") == 0;
}

bool config_is_default(const struct config *c, const char *key)
{
	const struct config_row *r = row_find(key);
	return r && c->source[r - config_table] == CONFIG_DEFAULT;
}

void config_init(struct config *c)
{
	*c = (struct config){0};
	for (size_t i = 0; i < CONFIG_ROWS; i++) {
		struct err e;
		if (config_is_text(&config_table[i]))
			store_text(c, &config_table[i], config_table[i].preset);
		else if (!config_set(c, config_table[i].key, config_table[i].preset, CONFIG_DEFAULT,
				     &e))
			die("built-in default: %s", e.text);
	}
}

void config_release(struct config *c)
{
	for (size_t i = 0; i < CONFIG_ROWS; i++)
		if (config_is_text(&config_table[i]))
			xfree(*config_text(c, &config_table[i]));
	*c = (struct config){0};
}

/* ---- Where values come from ---- */

static void trim(const char **start, const char **end)
{
	while (*start < *end && isspace((unsigned char)**start))
		++*start;
	while (*end > *start && isspace((unsigned char)(*end)[-1]))
		--*end;
}

static bool parse_line(struct config *c, const char *start, const char *end,
		       enum config_source from, struct err *e)
{
	const char *eq = memchr(start, '=', (size_t)(end - start));
	if (!eq) { /* only what looks like a key is repeated: the rest may be a secret */
		int n = 0;
		while (n < 30 && start + n < end &&
		       (islower((unsigned char)start[n]) || start[n] == '_'))
			n++;
		return fail(e, ERR_INPUT, "'%.*s...' is not key = value", n, start);
	}
	const char *key_end = eq, *value = eq + 1;
	trim(&start, &key_end);
	trim(&value, &end);
	char *k = xstrndup(start, (size_t)(key_end - start));
	char *v = xstrndup(value, (size_t)(end - value));
	bool whole = strlen(k) == (size_t)(key_end - start) && strlen(v) == (size_t)(end - value);
	bool ok = whole ? config_set(c, k, v, from, e)
			: fail(e, ERR_INPUT, "%.60s: the line holds a zero byte", k);
	xfree(k);
	xfree(v);
	return ok;
}

bool config_parse(struct config *c, const char *text, size_t len, const char *name, struct err *e)
{
	const char *p = text, *stop = text + len;
	for (int line = 1; p < stop; line++) {
		const char *nl = memchr(p, '\n', (size_t)(stop - p));
		const char *start = p, *end = nl ? nl : stop;
		p = nl ? nl + 1 : stop;
		trim(&start, &end);
		if (start == end || *start == '#')
			continue;
		if (!parse_line(c, start, end, CONFIG_FILE, e))
			return err_prefix(e, "%s line %d: ", name, line);
	}
	return true;
}

static bool load_file(struct config *c, const char *path, struct err *e)
{
	static const char standard[] = "/etc/autos/autos.conf";
	struct err why = {0};
	char *text = NULL;
	size_t len = 0;
	const char *name = path ? path : standard;
	if (!sys_read_file(name, MAX_FILE, &text, &len, &why)) {
		if (!path && why.kind == ERR_ABSENT)
			return true;
		return fail(e, ERR_INPUT, "settings file %s", why.text);
	}
	bool ok = config_parse(c, text, len, name, e);
	xfree(text);
	return ok;
}

static const char *env_find(char **env, const char *name)
{
	size_t n = strlen(name);
	for (; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

static bool load_environment(struct config *c, char **env, struct err *e)
{
	for (char **p = env; p && *p; p++) {
		if (strncmp(*p, "AUTOS_", 6) != 0)
			continue;
		char key[64];
		size_t n = 0;
		for (const char *s = *p + 6; *s && *s != '=' && n + 1 < sizeof key; s++)
			key[n++] = (char)tolower((unsigned char)*s);
		key[n] = '\0';
		const char *value = strchr(*p, '=');
		if (value && !config_set(c, key, value + 1, CONFIG_ENVIRONMENT, e))
			return err_prefix(e, "environment %.*s: ", (int)(value - *p), *p);
	}
	for (size_t i = 0; i < CONFIG_ROWS; i++) {
		char own[80];
		snprintf(own, sizeof own, "AUTOS_%s", config_table[i].key);
		for (char *s = own; *s; s++)
			*s = (char)toupper((unsigned char)*s);
		const char *value =
			config_table[i].alias ? env_find(env, config_table[i].alias) : NULL;
		if (value && *value && !env_find(env, own) &&
		    !config_set(c, config_table[i].key, value, CONFIG_ENVIRONMENT, e))
			return err_prefix(e, "environment %s: ", config_table[i].alias);
	}
	return true;
}

/* Secrets kept in files, but for the token: that file is read again whenever it changes. */
static bool load_secrets(struct config *c, struct err *e)
{
	for (size_t i = 1; i < CONFIG_ROWS; i++) {
		const char *path =
			config_is_text(&config_table[i]) ? *config_text(c, &config_table[i]) : "";
		if (config_table[i].kind != SECRET_FILE || !*path ||
		    config_table[i].offset == offsetof(struct config, portal_token_file) ||
		    c->source[i - 1] > c->source[i]) /* given directly by a higher source */
			continue;
		char *text = NULL;
		size_t len = 0;
		if (!sys_read_file(path, MAX_SECRET, &text, &len, e)) {
			e->kind = ERR_INPUT;
			return err_prefix(e, "%s: ", config_table[i].key);
		}
		const char *start = text, *end = text + len;
		trim(&start, &end);
		char *value = xstrndup(start, (size_t)(end - start));
		bool ok = strlen(value) == (size_t)(end - start)
				  ? config_set(c, config_table[i - 1].key, value, c->source[i], e)
				  : fail(e, ERR_INPUT, "%s: %s holds a zero byte",
					 config_table[i].key, path);
		xfree(value);
		xfree(text);
		if (!ok)
			return false;
	}
	return true;
}

static void replace(char **at, char *value)
{
	xfree(*at);
	*at = value;
}

/* Defaults that depend on other values or on the environment. */
static bool derive(struct config *c, char **env, struct err *e)
{
	if (!*c->data_dir) {
		const char *state = env_find(env, "STATE_DIRECTORY");
		const char *xdg = env_find(env, "XDG_DATA_HOME");
		const char *home = env_find(env, "HOME");
		if (state && *state)
			replace(&c->data_dir, xstrdup(state));
		else if (xdg && *xdg)
			replace(&c->data_dir, xasprintf("%s/autos", xdg));
		else if (home && *home)
			replace(&c->data_dir, xasprintf("%s/.local/share/autos", home));
		else
			return fail(e, ERR_INPUT, "data_dir: not set, and neither is HOME");
	}
	if (!*c->database_url)
		replace(&c->database_url, xasprintf("sqlite:%s/autos.db", c->data_dir));
	if (!*c->store_url)
		replace(&c->store_url, xasprintf("dir:%s/objects", c->data_dir));
	return true;
}

static bool is_database(const char *url)
{
	static const char *const starts[] = {"sqlite:", "postgres://", "postgresql://"};
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
		if (strncmp(url, starts[i], strlen(starts[i])) == 0)
			return url[strlen(starts[i])] != '\0';
	return false;
}

/* Only the scheme is repeated: addresses hold passwords. */
static bool refuse_address(const char *key, const char *url, const char *right, struct err *e)
{
	int scheme = (int)text_scheme(url);
	return fail(e, ERR_INPUT, "%s%s%.*s%s: must be %s", key, scheme ? " = " : "", scheme, url,
		    scheme ? "://..." : "", right);
}

/* Values that are fine alone and wrong together. */
static bool check(const struct config *c, struct err *e)
{
	if (c->portal_parallel_min > c->portal_parallel_max)
		return fail(e, ERR_INPUT,
			    "portal_parallel_min = %" PRId64
			    ": must not exceed portal_parallel_max = %" PRId64,
			    c->portal_parallel_min, c->portal_parallel_max);
	if (c->portal_parallel < c->portal_parallel_min ||
	    c->portal_parallel > c->portal_parallel_max)
		return fail(e, ERR_INPUT,
			    "portal_parallel = %" PRId64
			    ": must lie between portal_parallel_min = %" PRId64
			    " and portal_parallel_max = %" PRId64,
			    c->portal_parallel, c->portal_parallel_min, c->portal_parallel_max);
	if (*c->portal_token && *c->portal_token_file)
		return fail(e, ERR_INPUT,
			    "portal_token and portal_token_file are both set: one is enough");
	if (!is_database(c->database_url))
		return refuse_address("database_url", c->database_url,
				      "sqlite:PATH or postgres://USER@HOST:PORT/DATABASE", e);
	bool dir = strncmp(c->store_url, "dir:", 4) == 0 && c->store_url[4];
	bool s3 = strncmp(c->store_url, "s3://", 5) == 0 && c->store_url[5];
	if (s3 && memchr(c->store_url, '@', strcspn(c->store_url, "?")))
		return fail(e, ERR_INPUT,
			    "store_url = s3:...: an access key belongs into s3_access_key and "
			    "s3_secret_key");
	if (!dir && !s3)
		return refuse_address("store_url", c->store_url, "dir:PATH or s3://BUCKET/PREFIX",
				      e);
	return true;
}

bool config_load(struct config *c, const struct config_input *in, struct err *e)
{
	config_init(c);
	if (!load_file(c, in->file, e) || !load_environment(c, in->environment, e))
		return false;
	for (size_t i = 0; i < in->nset; i++) {
		const char *s = in->set[i];
		if (!parse_line(c, s, s + strlen(s), CONFIG_COMMAND_LINE, e))
			return err_prefix(e, "--set: ");
	}
	return load_secrets(c, e) && derive(c, in->environment, e) && check(c, e);
}
