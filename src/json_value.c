/*
 * json_value - three kinds of values. Knows no member's name.
 */
#include "json_value.h"

#include "sys.h"

json_t *json_value_text(const char *s)
{
	json_t *j = s && *s ? json_string(s) : NULL;
	return j ? j : json_null();
}

json_t *json_value_time(int64_t ms)
{
	char out[25];
	if (!ms)
		return json_null();
	sys_format_utc(ms, out);
	return json_string(out);
}

json_t *json_value_count(int64_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}
