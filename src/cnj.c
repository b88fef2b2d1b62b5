/*
 * cnj - reads, checks and names case numbers. Pure: no I/O, no state.
 *
 * Separators are looked at from the right, because what gets lost on the way through spreadsheets
 * and forms are zeros on the left.
 */
#include "cnj.h"

#include <stdio.h>
#include <string.h>

enum { DIGITS = 20, SHORTEST = 14 }; /* 14: one digit of the sequence is left */

/* Courts that have a name of their own, by branch (J) and court (TR). */
struct court {
	char branch;
	int number;
	const char *name;
};

static const struct court apex[] = {
	{'1', 0, "STF"},    {'2', 0, "CNJ"},    {'3', 0, "STJ"},    {'4', 90, "CJF"},
	{'5', 0, "TST"},    {'5', 90, "CSJT"},  {'6', 0, "TSE"},    {'7', 0, "STM"},
	{'9', 13, "TJMMG"}, {'9', 21, "TJMRS"}, {'9', 26, "TJMSP"},
};

/* The states in the order of the resolution, 01 to 27. */
static const char states[27][3] = {"AC", "AL", "AP", "AM", "BA", "CE", "DF", "ES", "GO",
				   "MA", "MT", "MS", "MG", "PA", "PB", "PR", "PE", "PI",
				   "RJ", "RN", "RS", "RO", "RR", "SC", "SE", "SP", "TO"};

/* Courts that are numbered, from 1 to `last`. */
static const struct {
	char branch;
	int last;
	const char *before, *behind;
} numbered[] = {{'4', 6, "TRF", ""}, {'5', 24, "TRT", ""}, {'7', 12, "", "CJM"}};

static void name_court(char branch, int number, char *out, size_t cap)
{
	out[0] = '\0';
	for (size_t i = 0; i < sizeof apex / sizeof *apex; i++)
		if (apex[i].branch == branch && apex[i].number == number)
			snprintf(out, cap, "%s", apex[i].name);
	if (*out || number < 1)
		return;
	for (size_t i = 0; i < sizeof numbered / sizeof *numbered; i++)
		if (numbered[i].branch == branch && number <= numbered[i].last)
			snprintf(out, cap, "%s%d%s", numbered[i].before, number,
				 numbered[i].behind);
	if (number > 27)
		return;
	if (branch == '6')
		snprintf(out, cap, "TRE-%s", states[number - 1]);
	if (branch == '8')
		snprintf(out, cap, "TJ%s%s", states[number - 1], number == 7 ? "T" : "");
}

int cnj_check_digits(const char digits[static 20])
{
	int r = 0;
	for (int i = 0; i < DIGITS; i++)
		if (i != 7 && i != 8)
			r = (r * 10 + (digits[i] - '0')) % 97;
	return 98 - r * 100 % 97;
}

/* What was typed, fit for an error line: printable ASCII only, and cut. */
static void quote(const char *text, size_t len, char out[static 44])
{
	size_t n = len < 40 ? len : 40;
	for (size_t i = 0; i < n; i++)
		out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	memcpy(out + n, len > n ? "..." : "", len > n ? 4 : 1);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_separator(char c)
{
	return c == '-' || c == '.';
}

/* Position as a reader counts: characters from 1, where the text is UTF-8. */
static size_t position(const char *text, size_t at)
{
	size_t n = 1;
	for (size_t i = 0; i < at; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* Counts the digits; names the first character that has no business in a case number. */
static bool count_digits(const char *text, size_t len, size_t *count, struct err *e)
{
	*count = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c >= '0' && c <= '9') {
			(*count)++;
			continue;
		}
		if (is_space(c) || is_separator(c))
			continue;
		char shown[44];
		quote(text, len, shown);
		if (c > 0x20 && c < 0x7f)
			return fail(e, ERR_INPUT,
				    "unexpected '%c' at position %zu of case number \"%s\"", c,
				    position(text, i), shown);
		return fail(
			e, ERR_INPUT,
			"unexpected character (byte 0x%02x) at position %zu of case number \"%s\"",
			(unsigned)(unsigned char)c, position(text, i), shown);
	}
	return true;
}

/* A separator belongs only where 13, 11, 7, 6 or 4 digits follow, and once. */
static bool check_separators(const char *text, size_t len, size_t count, struct err *e)
{
	size_t left = count,
	       last = 0; /* last: digits that followed the separator before this one */
	for (size_t i = 0; i < len; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			left--;
			continue;
		}
		if (!is_separator(text[i]))
			continue;
		bool here = left == 13 || left == 11 || left == 7 || left == 6 || left == 4;
		if (here && left != last) {
			last = left;
			continue;
		}
		char shown[44];
		quote(text, len, shown);
		return fail(e, ERR_INPUT,
			    "misplaced '%c' at position %zu of case number \"%s\": the form is "
			    "NNNNNNN-DD.AAAA.J.TR.OOOO",
			    text[i], position(text, i), shown);
	}
	return true;
}

static void fill(struct cnj *out)
{
	const char *d = out->digits;
	snprintf(out->masked, sizeof out->masked, "%.7s-%.2s.%.4s.%.1s.%.2s.%.4s", d, d + 7, d + 9,
		 d + 13, d + 14, d + 16);
	name_court(d[13], (d[14] - '0') * 10 + (d[15] - '0'), out->court, sizeof out->court);
}

/* `typed` digits were given, the rest are zeros put in front; `shown` is what was typed. */
static bool check_digits(const struct cnj *n, size_t typed, const char *shown, struct err *e)
{
	int found = (n->digits[7] - '0') * 10 + (n->digits[8] - '0');
	int right = cnj_check_digits(n->digits);
	if (found == right)
		return true;
	if (typed < DIGITS)
		return fail(
			e, ERR_INPUT,
			"%zu digits found in case number \"%s\": 20 are needed (with zeros put in "
			"front the check digits do not hold)",
			typed, shown);
	return fail(e, ERR_INPUT, "wrong check digits %02d in %s: %02d would be right%s%s%s", found,
		    n->masked, right, *n->court ? " (" : "", n->court, *n->court ? ")" : "");
}

bool cnj_parse(const char *text, size_t len, struct cnj *out, struct err *e)
{
	*out = (struct cnj){0};
	size_t count;
	char shown[44];
	while (len && is_space(text[len - 1]))
		len--;
	for (; len && is_space(*text); text++)
		len--;
	if (!len)
		return fail(e, ERR_INPUT, "the case number is empty: 20 digits are needed");
	if (!count_digits(text, len, &count, e))
		return false;
	quote(text, len, shown);
	if (count > DIGITS || count < SHORTEST)
		return fail(e, ERR_INPUT, "%zu digits found in case number \"%s\": 20 are needed",
			    count, shown);
	if (!check_separators(text, len, count, e))
		return false;

	struct cnj n = {0};
	memset(n.digits, '0', DIGITS);
	size_t k = DIGITS - count;
	for (size_t i = 0; i < len; i++)
		if (text[i] >= '0' && text[i] <= '9')
			n.digits[k++] = text[i];
	fill(&n);
	if (!check_digits(&n, count, shown, e))
		return false;
	*out = n;
	return true;
}
