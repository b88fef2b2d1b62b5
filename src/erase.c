/*
 * erase - one case after the other. The times are those of the monotonic clock, so nobody's wall
 * clock matters; a mark counts from before it was asked for.
 */
#include "erase.h"

#include "job.h"
#include "log.h"
#include "sys.h"

#include <stdio.h>

enum { ASK_EVERY_MS = 100 };

struct erasing {
	const struct erase_options *o;
	const char *number;
	int64_t mark, next; /* the last one; what a write that is under way makes of it */
	int64_t held_at;
	bool over; /* somebody else has done it */
};

static bool goes_on(const struct erase_options *o)
{
	return !o->goes_on || o->goes_on(o->arg);
}

static bool write_erasing(struct db *db, void *arg, struct err *e)
{
	struct erasing *x = arg;
	bool ok = job_erasing(db, x->number, x->mark, &x->next, e);
	x->over = !ok && e->kind == ERR_ABSENT;
	return ok;
}

static bool write_erased(struct db *db, void *arg, struct err *e)
{
	struct erasing *x = arg;
	bool ok = job_erased(db, x->number, x->mark, e);
	x->over = !ok && e->kind == ERR_ABSENT;
	return ok;
}

static bool renew(struct erasing *x, struct err *e)
{
	int64_t asked = sys_mono_ms();
	if (!ledger_write(x->o->ledger, write_erasing, x, e))
		return false;
	x->mark = x->next;
	x->held_at = asked;
	return true;
}

static bool may_remove(void *arg, int64_t *until_ms, struct err *e)
{
	struct erasing *x = arg;
	if (!goes_on(x->o))
		return fail(e, ERR_BUSY, "stopped; another process goes on");
	if (sys_mono_ms() - x->held_at >= ASK_EVERY_MS && !renew(x, e))
		return false;
	*until_ms = x->held_at + ERASE_HOLD_MS;
	return sys_mono_ms() < *until_ms ||
	       fail(e, ERR_BUSY, "whether this case is still ours to erase is not known");
}

bool erase_objects(const struct erase_options *o, const char *number, int64_t mark, struct err *e)
{
	struct erasing x = {.o = o, .number = number, .mark = mark};
	char folder[80];
	snprintf(folder, sizeof folder, "processos/%s/", number);
	bool ok = renew(&x, e) &&
		  store_erase(o->store, folder, &(struct store_guard){.may = may_remove, .arg = &x},
			      e) &&
		  ledger_write(o->ledger, write_erased, &x, e);
	return ok || x.over;
}

bool erase_all(const struct erase_options *o, const struct db_rows *marks)
{
	size_t gone = 0;
	for (size_t i = 0; i < marks->rows && goes_on(o); i++) {
		struct err why;
		const char *number = db_text(marks, i, 0);
		if (erase_objects(o, number, db_int(marks, i, 1), &why))
			gone++;
		else if (goes_on(o)) /* else its end is the reason */
			log_error("case not erased", "case=%s why=\"%s\"", number, why.text);
	}
	return gone == marks->rows;
}
