/*
 * Case numbers: what is accepted is valid and reads the same again in each of its forms; a refusal
 * is one clean line.
 */
#include "replay.h"

#include "cnj.h"

#include <string.h>

static void check_good(const struct cnj *n)
{
	int r = 0;
	CHECK(strlen(n->digits) == 20 && strspn(n->digits, "0123456789") == 20);
	/* sequence, year, branch, court, origin, then the check digits: remainder 1 */
	for (int i = 0; i < 20; i++)
		r = i == 7 || i == 8 ? r : (r * 10 + n->digits[i] - '0') % 97;
	for (int i = 7; i < 9; i++)
		r = (r * 10 + n->digits[i] - '0') % 97;
	CHECK(r == 1);
	CHECK(strlen(n->masked) == 25 && strlen(n->court) < sizeof n->court);

	const char *const forms[] = {n->digits, n->masked};
	for (int i = 0; i < 2; i++) {
		struct cnj again;
		CHECK(cnj_parse(forms[i], strlen(forms[i]), &again, NULL));
		CHECK(memcmp(&again, n, sizeof again) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cnj n;
	struct err e = {0};
	if (cnj_parse((const char *)data, size, &n, &e)) {
		check_good(&n);
		return 0;
	}
	CHECK(e.kind == ERR_INPUT && *e.text);
	for (const char *s = e.text; *s; s++)
		CHECK(*s >= 0x20 && *s < 0x7f);
	return 0;
}
