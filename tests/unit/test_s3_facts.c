/*
 * What is known of a server: there and back as JSON, nothing of another place, one line for people.
 */
#include "s3_facts.h"

#include "scratch.h"

#define PLACE "s3://autos/p/ at http://127.0.0.1:9000, region \"x\", access key \xc3\xa9"

enum { FLAGS = 7 };

static bool *flag_of(struct s3_facts *f, int i)
{
	bool *all[FLAGS] = {&f->checks_md5, &f->checks_sha256, &f->etag_is_md5,     &f->only_new,
			    &f->may_delete, &f->may_list,      &f->may_list_uploads};
	return all[i];
}

static void test_there_and_back(void **state)
{
	(void)state;
	for (int set = 0; set < 1 << FLAGS; set++) {
		struct s3_facts f = {.probed_ms = 1767323045678, .skew_ms = -1234}, back;
		for (int i = 0; i < FLAGS; i++)
			*flag_of(&f, i) = set >> i & 1;
		char *text = s3_facts_write(&f, PLACE);
		size_t len = strlen(text);
		assert_int_equal(text[len - 1], '\n');
		assert_true(s3_facts_read(text, len, PLACE, &back));
		assert_int_equal(back.probed_ms, f.probed_ms);
		assert_int_equal(back.skew_ms, f.skew_ms);
		for (int i = 0; i < FLAGS; i++)
			assert_int_equal(*flag_of(&back, i), *flag_of(&f, i));
		assert_false(s3_facts_read(text, len, "s3://other", &back));
		assert_false(s3_facts_read(text, len, "", &back));
		assert_int_equal(back.probed_ms, 0);
		/* a file that was not written whole; all but its last line break */
		for (size_t cut = 0; cut + 1 < len; cut++)
			assert_false(s3_facts_read(text, cut, PLACE, &back));
		xfree(text);
	}
}

static const char *const refused[] = {
	"",
	"[]",
	"null",
	"7",
	"{}",
	"{\"place\": \"p\"}",
	"{\"place\": \"p\", \"probed_ms\": 0}",
	"{\"place\": \"p\", \"probed_ms\": -1}",
	"{\"place\": \"p\", \"probed_ms\": \"1\"}",
	"{\"place\": 1, \"probed_ms\": 1}",
	"{\"place\": \"q\", \"probed_ms\": 1}",
	"{\"place\": \"p\", \"probed_ms\": 1",
};

static void test_refused(void **state)
{
	(void)state;
	struct s3_facts f;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (s3_facts_read(refused[i], strlen(refused[i]), "p", &f))
			fail_msg("taken: %s", refused[i]);
	/* what is not said is not so; what is no boolean neither */
	static const char some[] = "{\"place\": \"p\", \"probed_ms\": 1, \"only_new\": true,"
				   " \"may_list\": 1, \"more\": true}";
	assert_true(s3_facts_read(some, strlen(some), "p", &f));
	assert_true(f.only_new);
	assert_false(f.may_list || f.may_delete);
}

static void shows(const struct s3_facts *f, const char *words)
{
	struct buf b;
	buf_init(&b, 1024);
	s3_facts_show(f, &b);
	assert_string_equal(buf_str(&b), words);
	buf_release(&b);
}

static void test_show(void **state)
{
	(void)state;
	struct s3_facts f = {.probed_ms = 1, .skew_ms = 1999, .only_new = true, .may_list = true};
	shows(&f, "conditional writes yes, MD5 checked no, SHA-256 checked no, ETag comparable no,"
		  " listing yes, listing of uploads no, deleting no, clocks agree");
	f = (struct s3_facts){.skew_ms = -1999,
			      .checks_md5 = true,
			      .checks_sha256 = true,
			      .etag_is_md5 = true,
			      .may_list_uploads = true,
			      .may_delete = true};
	shows(&f, "conditional writes no, MD5 checked yes, SHA-256 checked yes, ETag comparable"
		  " yes, listing no, listing of uploads yes, deleting yes, clocks agree");
	f = (struct s3_facts){.skew_ms = 2000};
	shows(&f, "conditional writes no, MD5 checked no, SHA-256 checked no, ETag comparable no,"
		  " listing no, listing of uploads no, deleting no, our clock 2 s behind the"
		  " server's");
	f.skew_ms = -61500;
	shows(&f, "conditional writes no, MD5 checked no, SHA-256 checked no, ETag comparable no,"
		  " listing no, listing of uploads no, deleting no, our clock 61 s ahead of the"
		  " server's");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_show),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
