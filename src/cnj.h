/*
 * cnj - the number of a Brazilian court case, NNNNNNN-DD.AAAA.J.TR.OOOO.
 *
 * Source: Resolução CNJ 65/2008. Check digits are ISO/IEC 7064 MOD 97-10. Pure.
 */
#ifndef AUTOS_CNJ_H
#define AUTOS_CNJ_H

#include "err.h"

#include <stddef.h>

struct cnj {
	char digits[21]; /* 20 digits, the form of keys, paths and the portal's answers */
	char masked[26]; /* 0000001-39.2024.8.26.0100, the form people read */
	char court[12];  /* TJSP, TRF3, TRE-SP, STJ ...; "" when J and TR name no court we know */
};

/*
 * Reads a case number: masked, 20 bare digits, or with spaces; up to two dozen characters around it
 * are not tolerated. A number shorter than 20 digits that lost its leading zeros is accepted only
 * when its check digits then hold. ERR_INPUT names what is wrong and, for wrong check digits, which
 * digits would be right.
 */
[[nodiscard]] bool cnj_parse(const char *text, size_t len, struct cnj *out, struct err *e);

/* The check digits (2 to 98) that the 18 other digits ask for. `digits` are 20; DD is not looked
 * at. */
int cnj_check_digits(const char digits[static 20]);

#endif
