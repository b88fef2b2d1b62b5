/*
 * config_table - the table of settings: keys, kinds, defaults, ranges and help, and how they are
 * shown. Parses nothing and knows nothing of where values come from.
 */
#include "config_table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct config, field)
#define SECONDS(n) ((n)*INT64_C(1000))
#define MIB(n) ((n)*INT64_C(1048576))

const struct config_row config_table[] = {
	{"data_dir", TEXT, AT(data_dir), "", 0, 0, NULL, "Storage",
	 "Where the database, the folder store and the spool live. Default: $STATE_DIRECTORY, "
	 "else $XDG_DATA_HOME/autos, else ~/.local/share/autos."},
	{"database_url", TEXT, AT(database_url), "", 0, 0, "DATABASE_URL", "Storage",
	 "The database: sqlite:PATH, or postgres://USER@HOST:PORT/DATABASE as PostgreSQL's library "
	 "reads it (several hosts, TLS). Default: sqlite:<data_dir>/autos.db."},
	{"store_url", TEXT, AT(store_url), "", 0, 0, NULL, "Storage",
	 "Where documents are stored: dir:PATH, or "
	 "s3://BUCKET/PREFIX?endpoint=URL&region=NAME&path_style=1. Default: "
	 "dir:<data_dir>/objects."},

	{"s3_endpoint", URL, AT(s3_endpoint), "", 0, 0, "AWS_ENDPOINT_URL_S3", "S3",
	 "The S3 server, as https://HOST[:PORT], unless store_url names one. Default: Amazon's of the "
	 "region."},
	{"s3_region", TEXT, AT(s3_region), "us-east-1", 0, 0, "AWS_REGION", "S3",
	 "The bucket's region, unless store_url names one."},
	{"s3_access_key", SECRET, AT(s3_access_key), "", 0, 0, "AWS_ACCESS_KEY_ID", "S3",
	 "The access key's id."},
	{"s3_access_key_file", SECRET_FILE, AT(s3_access_key_file), "", 0, 0, NULL, "S3",
	 "File that holds s3_access_key."},
	{"s3_secret_key", SECRET, AT(s3_secret_key), "", 0, 0, "AWS_SECRET_ACCESS_KEY", "S3",
	 "The access key's secret."},
	{"s3_secret_key_file", SECRET_FILE, AT(s3_secret_key_file), "", 0, 0, NULL, "S3",
	 "File that holds s3_secret_key."},
	{"s3_session_token", SECRET, AT(s3_session_token), "", 0, 0, "AWS_SESSION_TOKEN", "S3",
	 "The session token of a temporary access key."},
	{"s3_session_token_file", SECRET_FILE, AT(s3_session_token_file), "", 0, 0, NULL, "S3",
	 "File that holds s3_session_token."},
	{"s3_ca_file", TEXT, AT(s3_ca_file), "", 0, 0, "AWS_CA_BUNDLE", "S3",
	 "Certificate authorities to trust for the S3 server in place of the system's (PEM)."},
	{"s3_proxy", TEXT, AT(s3_proxy), "", 0, 0, NULL, "S3",
	 "Proxy for requests to the S3 server, as http://host:port or socks5h://host:port. Proxies "
	 "named in the environment are not used."},
	{"s3_parallel", NUMBER, AT(s3_parallel), "32", 1, 256, NULL, "S3",
	 "Requests to the S3 server at once. Overload halves it, success raises it again."},
	{"s3_multipart_from", SIZE, AT(s3_multipart_from), "16M", MIB(5), MIB(5120), NULL, "S3",
	 "A larger document is uploaded in parts."},
	{"s3_part_size", SIZE, AT(s3_part_size), "8M", MIB(5), MIB(1024), NULL, "S3",
	 "Size of a part; larger ones are used where a document would have more than 10,000."},
	{"s3_part_parallel", NUMBER, AT(s3_part_parallel), "4", 1, 16, NULL, "S3",
	 "Parts of one document that are uploaded at once."},
	{"s3_connect_timeout", DURATION, AT(s3_connect_timeout), "5s", 1, SECONDS(600), NULL, "S3",
	 "Time to connect to the S3 server, TLS included."},
	{"s3_low_speed_time", DURATION, AT(s3_low_speed_time), "30s", SECONDS(1), SECONDS(3600),
	 NULL, "S3",
	 "A transfer without a byte for so long is cut and tried again. Whole seconds."},
	{"s3_retry_max", NUMBER, AT(s3_retry_max), "4", 0, 100, NULL, "S3",
	 "How often a request to the S3 server is sent again after a transient fault."},
	{"s3_retry_delay", DURATION, AT(s3_retry_delay), "100ms", 0, SECONDS(20), NULL, "S3",
	 "The wait before retry n is a random part of this times 2^n, at most 20s."},
	{"s3_orphan_age", DURATION, AT(s3_orphan_age), "1d", 0, SECONDS(INT64_C(3650) * 86400),
	 NULL, "S3",
	 "Unfinished uploads of documents in parts that are older are aborted by autos serve, at "
	 "start and once a day; 0 = never."},

	{"portal_url", URL, AT(portal_url), "https://portaldeservicos.pdpj.jus.br/api/v2", 0, 0,
	 "PDPJ_API_BASE_URL", "Portal", "Base address of the portal's API."},
	{"portal_hosts", TEXT, AT(portal_hosts), "", 0, 0, NULL, "Portal",
	 "More hosts, separated by commas, to which document links may lead. The token is "
	 "sent to the portal's own host and to these, over https, and nowhere else."},
	{"portal_token", SECRET, AT(portal_token), "", 0, 0, "PDPJ_API_TOKEN", "Portal",
	 "The bearer token of a portal user."},
	{"portal_token_file", SECRET_FILE, AT(portal_token_file), "", 0, 0, NULL, "Portal",
	 "File that holds the token. It is read again when it changes, so a token can be "
	 "renewed while work goes on."},
	{"portal_token_wait", DURATION, AT(portal_token_wait), "0", 0, SECONDS(86400), NULL,
	 "Portal",
	 "How long `autos get` waits for portal_token_file to change once the token is refused."},
	{"portal_token_margin", DURATION, AT(portal_token_margin), "10m", 0, SECONDS(86400), NULL,
	 "Portal", "A token with less life than this is said before work starts."},
	{"portal_user_agent", TEXT, AT(portal_user_agent),
	 "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	 "Chrome/130.0.0.0 Safari/537.36",
	 0, 0, NULL, "Portal",
	 "User-Agent of requests to the portal; its firewall is known to refuse unusual ones."},
	{"portal_headers", SECRET, AT(portal_headers), "", 0, 0, NULL, "Portal",
	 "More request headers for the portal, as `Name: value`, separated by |."},
	{"portal_headers_file", SECRET_FILE, AT(portal_headers_file), "", 0, 0, NULL, "Portal",
	 "File that holds portal_headers."},
	{"portal_proxy", SECRET, AT(portal_proxy), "", 0, 0, NULL, "Portal",
	 "Proxy for requests to the portal, as http://user:password@host:port or "
	 "socks5h://host:port. Proxies named in the environment are not used."},
	{"portal_proxy_file", SECRET_FILE, AT(portal_proxy_file), "", 0, 0, NULL, "Portal",
	 "File that holds portal_proxy."},
	{"portal_ca_file", TEXT, AT(portal_ca_file), "", 0, 0, NULL, "Portal",
	 "Certificate authorities to trust for the portal in place of the system's (PEM)."},

	{"portal_parallel", NUMBER, AT(portal_parallel), "3", 1, 64, NULL, "Lane to the portal",
	 "Requests that may run at once when work starts. It moves from there: halved by "
	 "overload, raised by success."},
	{"portal_parallel_min", NUMBER, AT(portal_parallel_min), "1", 1, 64, NULL,
	 "Lane to the portal", "Never fewer requests at once than this."},
	{"portal_parallel_max", NUMBER, AT(portal_parallel_max), "10", 1, 64, NULL,
	 "Lane to the portal", "Never more requests at once than this."},
	{"portal_pace", DURATION, AT(portal_pace), "1s", 0, SECONDS(3600), NULL,
	 "Lane to the portal", "Least time between the starts of two list calls."},
	{"portal_pause", DURATION, AT(portal_pause), "5s", 1, SECONDS(3600), NULL,
	 "Lane to the portal",
	 "First pause of all requests after a 429 without Retry-After; doubled while it goes on."},
	{"portal_pause_max", DURATION, AT(portal_pause_max), "30s", 1, SECONDS(86400), NULL,
	 "Lane to the portal", "Longest pause that we choose ourselves."},
	{"portal_patience", DURATION, AT(portal_patience), "30m", 1, SECONDS(7 * 86400), NULL,
	 "Lane to the portal",
	 "How long `autos get` bears a portal that asks everybody to wait before it gives up, "
	 "with everything kept for the next start."},
	{"portal_connect_timeout", DURATION, AT(portal_connect_timeout), "10s", 1, SECONDS(600),
	 NULL, "Lane to the portal", "Time to connect, TLS included."},
	{"portal_timeout", DURATION, AT(portal_timeout), "30s", 1, SECONDS(3600), NULL,
	 "Lane to the portal", "Whole time of a list or detail call."},
	{"portal_low_speed", SIZE, AT(portal_low_speed), "1", 1, MIB(1024), NULL,
	 "Lane to the portal",
	 "A transfer slower than this many bytes a second, for portal_low_speed_time, is cut. "
	 "Documents have no other time limit."},
	{"portal_low_speed_time", DURATION, AT(portal_low_speed_time), "60s", SECONDS(1),
	 SECONDS(3600), NULL, "Lane to the portal",
	 "See portal_low_speed. Whole seconds; the speed is an average over some seconds, so a stall after a burst is cut a little later."},
	{"retry_max", NUMBER, AT(retry_max), "3", 0, 100, NULL, "Lane to the portal",
	 "How often a request is sent again after a transient fault."},
	{"retry_delay", DURATION, AT(retry_delay), "2s", 0, SECONDS(3600), NULL,
	 "Lane to the portal",
	 "Wait before the first retry; doubled for each further one, with jitter."},

	{"document_max_size", SIZE, AT(document_max_size), "4G", 1, MIB(1 << 20), NULL, "Limits",
	 "A larger document is given up as too_large."},
	{"answer_max_size", SIZE, AT(answer_max_size), "64M", 1024, MIB(1024), NULL, "Limits",
	 "Largest list or detail answer that is read."},
	{"spool_memory", SIZE, AT(spool_memory), "256K", 4096, MIB(64), NULL, "Limits",
	 "Bytes of one document that stay in memory before it goes to an unlinked file."},

	{"cases_parallel", NUMBER, AT(cases_parallel), "4", 1, 64, NULL, "Work",
	 "Cases worked on at once."},
	{"lease_time", DURATION, AT(lease_time), "12s", SECONDS(2), SECONDS(600), NULL, "Work",
	 "How long a case stays with a worker that stops renewing its lease."},
	{"max_age", DURATION, AT(max_age), "0", 0, SECONDS(INT64_C(3650) * 86400), NULL, "Work",
	 "`autos get` takes a stored list of documents that is at most this old without "
	 "asking the portal again."},
	{"drain_time", DURATION, AT(drain_time), "20s", 0, SECONDS(600), NULL, "Work",
	 "How long an orderly stop of the service lets documents in flight finish before it hands "
	 "their cases back."},
	{"log_level", LEVEL, AT(log_level), "error", 0, 0, NULL, "Work",
	 "What is logged on stderr: error, warn, info or debug. `autos serve` logs info unless "
	 "this is set."},

	{"environment", ENVIRONMENT, AT(environment), "development", 0, 0, NULL, "Service",
	 "production demands https for webhooks and a public_url, and switches off the test "
	 "receiver."},
	{"listen", TEXT, AT(listen), "127.0.0.1:8000", 0, 0, NULL, "Service",
	 "Address and port of the HTTP API; port 0 takes a free one."},
	{"public_url", URL, AT(public_url), "", 0, 0, NULL, "Service",
	 "Base of the links that are handed out. Default: http(s)://<listen>."},
	{"tls_cert_file", TEXT, AT(tls_cert_file), "", 0, 0, NULL, "Service",
	 "Certificate chain (PEM). With it and tls_key_file the API speaks https only."},
	{"tls_key_file", TEXT, AT(tls_key_file), "", 0, 0, NULL, "Service",
	 "Private key of the certificate (PEM)."},
	{"api_threads", NUMBER, AT(api_threads), "2", 1, 64, NULL, "Service",
	 "Threads that answer requests. A request that waits holds none."},
	{"connections_max", NUMBER, AT(connections_max), "4096", 16, 100000, NULL, "Service",
	 "Connections of clients at once."},
	{"connections_per_address", NUMBER, AT(connections_per_address), "1000", 0, 100000, NULL,
	 "Service", "Connections from one address at once; 0 = no limit. Raise it behind a proxy."},
	{"request_head_max", SIZE, AT(request_head_max), "16K", 4096, MIB(1), NULL, "Service",
	 "Largest request line and headers."},
	{"request_body_max", SIZE, AT(request_body_max), "1M", 1024, MIB(64), NULL, "Service",
	 "Largest request body; above it the answer is 413."},
	{"request_timeout", DURATION, AT(request_timeout), "15s", SECONDS(1), SECONDS(600), NULL,
	 "Service",
	 "A client that needs longer to send its request, or stops reading its answer for so "
	 "long, is cut off."},
	{"wait_default", DURATION, AT(wait_default), "10s", 0, SECONDS(300), NULL, "Service",
	 "How long a request waits for the portal when it does not say so itself (Prefer: "
	 "wait=N)."},
	{"wait_max", DURATION, AT(wait_max), "60s", 0, SECONDS(300), NULL, "Service",
	 "Longest wait that a request may ask for."},
	{"partial_retry_after", DURATION, AT(partial_retry_after), "60s", 0, SECONDS(7 * 86400),
	 NULL, "Service",
	 "A GET of a case of which documents are missing asks the portal for them again only when "
	 "the last try ended so long ago; 0 = every time."},
	{"link_ttl", DURATION, AT(link_ttl), "3600", SECONDS(60), SECONDS(7 * 86400), NULL,
	 "Service",
	 "Life of a download link. One in an answer has at least eleven twelfths of it left."},
	{"rate_limit", NUMBER, AT(rate_limit), "1000", 0, 100000000, NULL, "Service",
	 "Requests of one API key in rate_limit_window; 0 = no limit. A user's own limit goes "
	 "before it."},
	{"rate_limit_window", DURATION, AT(rate_limit_window), "60s", SECONDS(1), SECONDS(86400),
	 NULL, "Service", "See rate_limit."},
	{"rate_limit_routes", TEXT, AT(rate_limit_routes), "", 0, 0, NULL, "Service",
	 "Further limits by route, of one key each: ROUTE=REQUESTS/WINDOW, separated by commas, "
	 "such as search=10/60s,get_process=30/1m. Routes are named by the operationId of the API's "
	 "description."},
	{"rate_limit_anonymous", NUMBER, AT(rate_limit_anonymous), "120", 0, 100000000, NULL,
	 "Service",
	 "Requests without a valid key from one address in rate_limit_window; 0 = no limit. "
	 "/livez, /readyz and download links do not count."},
	{"cors_origins", TEXT, AT(cors_origins), "", 0, 0, NULL, "Service",
	 "Origins whose pages may call the API, separated by commas; * for all. Empty: none."},
	{"metrics_public", FLAG, AT(metrics_public), "no", 0, 1, NULL, "Service",
	 "Whether /metrics answers without an admin's key."},
	{"trusted_proxies", TEXT, AT(trusted_proxies), "", 0, 0, NULL, "Service",
	 "Addresses of proxies, separated by commas, whose X-Forwarded-For is believed."},
	{"cache_memory", SIZE, AT(cache_memory), "16M", 0, MIB(4096), NULL, "Service",
	 "Memory for answers that can be given again until something changes."},

	{"webhook_allow", TEXT, AT(webhook_allow), "", 0, 0, NULL, "Webhooks",
	 "Ranges of addresses that webhooks may lead to although they are not public, such as "
	 "10.1.0.0/16,fd00::/8. Whoever has a key can then make the service call them."},
	{"webhook_ca_file", TEXT, AT(webhook_ca_file), "", 0, 0, NULL, "Webhooks",
	 "Certificate authorities to trust for webhooks in place of the system's (PEM)."},
	{"webhook_schedule", TEXT, AT(webhook_schedule), "2s,4s,1m,5m,30m,2h,5h,10h", 0, 0, NULL,
	 "Webhooks",
	 "Waits between the tries of one delivery, 1 to 20 of them, each at most 7d; after the "
	 "last one it is given up. Waits of a minute and more vary by a fifth."},
	{"webhook_timeout", DURATION, AT(webhook_timeout), "15s", 100, SECONDS(60), NULL,
	 "Webhooks", "Whole time of one try, from the name's look-up to the answer's end."},
	{"webhook_parallel", NUMBER, AT(webhook_parallel), "2048", 4, 10000, NULL, "Webhooks",
	 "Deliveries under way at once. A quarter is for targets that answered last time."},
	{"webhook_target_parallel", NUMBER, AT(webhook_target_parallel), "8", 1, 256, NULL,
	 "Webhooks", "Deliveries to one target (host and port) at once."},
	{"webhook_pause_after", NUMBER, AT(webhook_pause_after), "10", 1, 1000, NULL, "Webhooks",
	 "A target that failed so often in a row is paused; then one delivery tries whether it is "
	 "back."},
	{"webhook_pause", DURATION, AT(webhook_pause), "30s", 1, SECONDS(86400), NULL, "Webhooks",
	 "First pause of a target; doubled with each further one."},
	{"webhook_pause_max", DURATION, AT(webhook_pause_max), "15m", 1, SECONDS(86400), NULL,
	 "Webhooks", "Longest pause of a target."},
	{"webhook_thin", FLAG, AT(webhook_thin), "no", 0, 1, NULL, "Webhooks",
	 "Whether all messages are thin: ids and counts, without names, texts and links."},
	{"webhook_ed25519", FLAG, AT(webhook_ed25519), "no", 0, 1, NULL, "Webhooks",
	 "Whether messages are signed with the user's ed25519 key too (v1a)."},
	{"webhook_keep", DURATION, AT(webhook_keep), "30d", SECONDS(3600),
	 SECONDS(INT64_C(3650) * 86400), NULL, "Webhooks",
	 "How long deliveries that are over can be looked at and sent again."},
};

static_assert(sizeof config_table / sizeof *config_table == CONFIG_ROWS,
	      "config.h counts the rows");

const struct config_unit config_size_units[] = {
	{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
const struct config_unit config_time_units[] = {{"", 1000},   {"ms", 1},      {"s", 1000},
						{"m", 60000}, {"h", 3600000}, {"d", 86400000},
						{NULL, 0}};

/* Written with the largest unit that leaves a whole number. */
static void show_number(const struct config_row *r, int64_t v, char *out, size_t cap)
{
	static const struct config_unit none[] = {{"", 1}, {NULL, 0}};
	const struct config_unit *best = none;
	const struct config_unit *units = r->kind == SIZE       ? config_size_units
					  : r->kind == DURATION ? config_time_units
								: none;
	for (const struct config_unit *u = units; u->name; u++)
		if (v && *u->name && v % u->factor == 0 && u->factor >= best->factor)
			best = u;
	snprintf(out, cap, "%" PRId64 "%s", v / best->factor, best->name);
}

static const char *const flag_names[] = {"no", "yes"};

size_t config_count(void)
{
	return CONFIG_ROWS;
}

const char *config_key(size_t i)
{
	return config_table[i].key;
}

const char *config_help(size_t i)
{
	return config_table[i].help;
}

const char *config_section(size_t i)
{
	return config_table[i].section;
}

const char *config_alias(size_t i)
{
	return config_table[i].alias;
}

void config_default(size_t i, char *out, size_t cap)
{
	snprintf(out, cap, "%s", config_table[i].preset);
}

void config_range(size_t i, char *out, size_t cap)
{
	const struct config_row *r = &config_table[i];
	char low[32], high[32];
	switch (r->kind) {
	case TEXT:
	case SECRET:
		snprintf(out, cap, "text");
		return;
	case SECRET_FILE:
		snprintf(out, cap, "path of a file");
		return;
	case URL:
		snprintf(out, cap, "http:// or https:// address");
		return;
	case LEVEL:
		snprintf(out, cap, "error, warn, info, debug");
		return;
	case ENVIRONMENT:
		snprintf(out, cap, "development, staging, production");
		return;
	case FLAG:
		snprintf(out, cap, "yes, no");
		return;
	case NUMBER:
	case SIZE:
	case DURATION:
		break;
	}
	show_number(r, r->min, low, sizeof low);
	show_number(r, r->max, high, sizeof high);
	snprintf(out, cap, "%s to %s", low, high);
}

const char *config_source_name(enum config_source source)
{
	switch (source) {
	case CONFIG_DEFAULT:
		return "default";
	case CONFIG_FILE:
		return "file";
	case CONFIG_ENVIRONMENT:
		return "environment";
	case CONFIG_COMMAND_LINE:
		return "command line";
	}
	return "?";
}

/* Appends to a text of limited room. */
static void put(char *out, size_t cap, const char *from, size_t n)
{
	size_t len = strlen(out);
	snprintf(out + len, cap - len, "%.*s", (int)n, from);
}

/* Without the passwords of an address: postgres://USER:***@HOST/...?password=***. */
static void show_text(const char *text, char *out, size_t cap)
{
	static const char option[] = "password=";
	const char *host = strstr(text, "://"), *at = host ? strchr(host + 3, '@') : NULL;
	const char *colon = at ? memchr(host + 3, ':', (size_t)(at - host - 3)) : NULL;
	out[0] = '\0';
	if (colon) {
		put(out, cap, text, (size_t)(colon + 1 - text));
		put(out, cap, "***", 3);
		text = at;
	}
	for (const char *next; host && (next = strstr(text, option));) {
		next += strlen(option);
		put(out, cap, text, (size_t)(next - text));
		put(out, cap, "***", 3);
		text = next + strcspn(next, "&");
	}
	put(out, cap, text, strlen(text));
}

void config_show(const struct config *c, size_t i, char *out, size_t cap)
{
	const struct config_row *r = &config_table[i];
	if (r->kind == FLAG)
		snprintf(out, cap, "%s", flag_names[*config_number(c, r) != 0]);
	else if (!config_is_text(r))
		show_number(r, *config_number(c, r), out, cap);
	else if (r->kind == SECRET)
		snprintf(out, cap, "%s", **config_text(c, r) ? "***" : "");
	else
		show_text(*config_text(c, r), out, cap);
}
