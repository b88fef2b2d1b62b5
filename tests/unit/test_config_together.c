/*
 * Settings as a whole: values that contradict each other, addresses with passwords in them, and
 * what follows from where the data is.
 */
#include "settings.h"

static void test_contradictions(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says[3];
	} t[] = {
		{"portal_parallel_min = 9\nportal_parallel_max = 8\n",
		 {"portal_parallel_min = 9", "portal_parallel_max = 8", "exceed"}},
		{"portal_parallel = 11\n",
		 {"portal_parallel = 11", "portal_parallel_min = 1", "portal_parallel_max = 10"}},
		{"portal_parallel_min = 4\n",
		 {"portal_parallel = 3", "portal_parallel_min = 4", "between"}},
		{"portal_token = secret\nportal_token_file = /x\n",
		 {"portal_token", "portal_token_file", "one is enough"}},
		{"database_url = /x/y.db\n", {"database_url", "sqlite:PATH", "must be"}},
		{"database_url = sqlite:\n", {"database_url", "sqlite:PATH", "must be"}},
		{"store_url = s3:bucket\n", {"store_url", "s3", "dir:PATH"}},
		{"store_url = dir:\n", {"store_url", "dir:PATH", "must be"}},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct config c;
		struct err e = {0};
		assert_false(load_with(t[i].text, ENV(NULL), NULL, 0, &c, &e));
		assert_error(&e, ERR_INPUT);
		assert_null(strstr(e.text, "secret"));
		for (size_t k = 0; k < 3; k++)
			assert_says(&e, t[i].says[k]);
		config_release(&c);
	}
	struct config c;
	struct err e = {0};
	assert_true(load_with("portal_parallel_min=7\nportal_parallel=7\nportal_parallel_max=7\n",
			      ENV(NULL), NULL, 0, &c, &e));
	config_release(&c);
}

/* DATABASE_URL is a name that other programs use, with a password in it. */
static void test_refused_address_keeps_its_password(void **state)
{
	(void)state;
	struct config c;
	struct err e = {0};
	assert_false(
		load_with("", ENV(var("DATABASE_URL=mysql://u:hunter2@db/x")), NULL, 0, &c, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "database_url");
	assert_says(&e, "mysql:");
	assert_null(strstr(e.text, "hunter2"));
	config_release(&c);
	/* libpq takes these too; we do not, and they name no scheme. */
	static const char *const keywords[] = {
		"DATABASE_URL=host=db password=hunter2", "DATABASE_URL=password=hunter2",
		"DATABASE_URL=password=hunter2 options=a://b", "DATABASE_URL=hunter2:x"};
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
		assert_false(load_with("", ENV(var(keywords[i])), NULL, 0, &c, &e));
		assert_error(&e, ERR_INPUT);
		assert_string_equal(e.text, "database_url: must be sqlite:PATH or "
					    "postgres://USER@HOST:PORT/DATABASE");
		config_release(&c);
	}
	assert_false(load_with("store_url = key hunter2\n", ENV(NULL), NULL, 0, &c, &e));
	assert_string_equal(e.text, "store_url: must be dir:PATH or s3://BUCKET/PREFIX");
	config_release(&c);
	assert_false(load_with("store_url = s3://k:hunter2@h/b\n", ENV(NULL), NULL, 0, &c, &e));
	assert_says(&e, "store_url");
	assert_null(strstr(e.text, "hunter2"));
	config_release(&c);
}

/* An address is shown without its passwords. */
static void test_shown_address(void **state)
{
	(void)state;
	static const struct {
		const char *env, *shown;
	} t[] = {
		{"DATABASE_URL=postgres://u:hunter2@db:5432/x", "postgres://u:***@db:5432/x"},
		{"DATABASE_URL=postgresql://u@db/x?a=b", "postgresql://u@db/x?a=b"},
		{"DATABASE_URL=postgres:///x?password=hunter2&sslpassword=hunter2&a=b",
		 "postgres:///x?password=***&sslpassword=***&a=b"},
		{"DATABASE_URL=postgres://u:hunter2@a,b:1/x?password=hunter2",
		 "postgres://u:***@a,b:1/x?password=***"},
		{"DATABASE_URL=sqlite:/x/a:b@c", "sqlite:/x/a:b@c"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct config c;
		struct err e = {0};
		char out[200] = "";
		assert_true(load_with("", ENV(var(t[i].env)), NULL, 0, &c, &e));
		for (size_t k = 0; k < config_count(); k++)
			if (strcmp(config_key(k), "database_url") == 0)
				config_show(&c, k, out, sizeof out);
		assert_string_equal(out, t[i].shown);
		config_release(&c);
	}
}

static void test_data_dir(void **state)
{
	(void)state;
	static const struct {
		const char *env[3], *dir;
	} t[] = {
		{{"STATE_DIRECTORY=/var/lib/autos", "XDG_DATA_HOME=/x", "HOME=/h"},
		 "/var/lib/autos"},
		{{"STATE_DIRECTORY=", "XDG_DATA_HOME=/x", "HOME=/h"}, "/x/autos"},
		{{"XDG_DATA_HOME=", "HOME=/h", "PATH=/bin"}, "/h/.local/share/autos"},
		{{"HOME=/h", "HOMER=/y", "XHOME=/z"}, "/h/.local/share/autos"},
	};
	struct config c;
	struct err e = {0};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char *env[] = {var(t[i].env[0]), var(t[i].env[1]), var(t[i].env[2]), NULL};
		char want[100];
		assert_true(load_with("", env, NULL, 0, &c, &e));
		assert_string_equal(c.data_dir, t[i].dir);
		snprintf(want, sizeof want, "sqlite:%s/autos.db", t[i].dir);
		assert_string_equal(c.database_url, want);
		snprintf(want, sizeof want, "dir:%s/objects", t[i].dir);
		assert_string_equal(c.store_url, want);
		config_release(&c);
	}
	assert_true(load_with("data_dir = /d\nstore_url = dir:/s\n", ENV(NULL), NULL, 0, &c, &e));
	assert_string_equal(c.data_dir, "/d");
	assert_string_equal(c.database_url, "sqlite:/d/autos.db");
	assert_string_equal(c.store_url, "dir:/s");
	config_release(&c);
	char *none[] = {var("HOME="), NULL};
	assert_false(load_with("", none, NULL, 0, &c, &e));
	assert_error(&e, ERR_INPUT);
	assert_says(&e, "data_dir");
	assert_says(&e, "HOME");
	config_release(&c);
	assert_false(load_with("", NULL, NULL, 0, &c, &e));
	assert_says(&e, "data_dir");
	config_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_refused_address_keeps_its_password),
		cmocka_unit_test(test_shown_address),
		cmocka_unit_test(test_data_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
