/*
 * cmd - what commands share: reading case numbers and choosing exit statuses.
 */
#include "cmd.h"

#include "job.h"
#include "sys.h"
#include "term.h"

#include <string.h>

static bool is_known(const struct cnj *list, size_t n, const struct cnj *one)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].digits, one->digits) == 0)
			return true;
	return false;
}

bool cmd_numbers(const struct cmd_line *l, struct cnj **out, size_t *n)
{
	bool ok = true;
	*out = xcalloc(l->nwords, sizeof **out);
	*n = 0;
	for (size_t i = 0; i < l->nwords; i++) {
		struct cnj one;
		struct err e;
		if (!cnj_parse(l->words[i], strlen(l->words[i]), &one, &e)) {
			term_error("%s", e.text);
			ok = false;
		} else if (!is_known(*out, *n, &one)) {
			(*out)[(*n)++] = one;
		}
	}
	return ok;
}

int cmd_exit_for(const char *outcome)
{
	switch (outcome_parse(outcome)) {
	case OUTCOME_COMPLETE:
	case OUTCOME_EMPTY:
		return EXIT_COMPLETE;
	case OUTCOME_PARTIAL:
	case OUTCOME_LIMITED:
		return EXIT_PARTIAL;
	case OUTCOME_NOT_FOUND:
		return EXIT_NOT_FOUND;
	case OUTCOME_ACCESS_DENIED:
		return EXIT_DENIED;
	case OUTCOME_UPSTREAM_ERROR:
		return EXIT_PORTAL;
	case OUTCOME_STORAGE_ERROR:
		return EXIT_TROUBLE;
	case OUTCOME_NONE:
		break;
	}
	return EXIT_PARTIAL;
}

/* From bad to worse: partial, not found, denied, portal, our own trouble, usage. */
int cmd_worse(int a, int b)
{
	static const int order[] = {EXIT_COMPLETE, EXIT_PARTIAL, EXIT_NOT_FOUND, EXIT_DENIED,
				    EXIT_PORTAL,   EXIT_TROUBLE, EXIT_USAGE};
	size_t ia = 0, ib = 0;
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		if (order[i] == a)
			ia = i;
		if (order[i] == b)
			ib = i;
	}
	return ia >= ib ? a : b;
}

int cmd_fail(const struct err *e, int status)
{
	term_error("%s", e->text);
	return status;
}
