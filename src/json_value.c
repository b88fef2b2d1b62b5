/*
 * json_value - three kinds of values. Knows no member's name.
 */
#include "json_value.h"

#include "sys.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* Digits in place of each 0, the character itself elsewhere. */
static bool has_form(const char *s, const char *form)
{
	for (; *form; s++, form++)
		if (*form == '0' ? *s < '0' || *s > '9' : *s != *form)
			return false;
	return true;
}

/* "Z", "+03:00": minutes east of UTC. */
static bool parse_offset(const char *s, int *minutes)
{
	*minutes = 0;
	if ((*s == 'Z' || *s == 'z') && s[1] == '\0')
		return true;
	if ((*s != '+' && *s != '-') || strlen(s) != 6 || !has_form(s + 1, "00:00"))
		return false;
	int h = (s[1] - '0') * 10 + s[2] - '0', m = (s[4] - '0') * 10 + s[5] - '0';
	*minutes = (h * 60 + m) * (*s == '-' ? -1 : 1);
	return h < 24 && m < 60;
}

bool json_value_parse_time(const char *s, int64_t *ms)
{
	struct tm tm = {0};
	int offset, fraction = 0;
	if (!has_form(s, "0000-00-00T00:00:00") ||
	    sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec) != 6)
		return false;
	s += strlen("0000-00-00T00:00:00");
	if (*s == '.') {
		size_t digits = strspn(++s, "0123456789");
		if (digits == 0 || digits > 9)
			return false;
		for (size_t i = 0; i < 3; i++)
			fraction = fraction * 10 + (i < digits ? s[i] - '0' : 0);
		s += digits;
	}
	struct tm given = tm;
	given.tm_year -= 1900;
	given.tm_mon -= 1;
	struct tm same = given;
	int64_t at = timegm(&same); /* and mends what is no date */
	if (same.tm_mday != given.tm_mday || same.tm_mon != given.tm_mon || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 59 || !parse_offset(s, &offset))
		return false;
	*ms = (at - offset * 60) * 1000 + fraction;
	return true;
}
