/*
 * case_number - as many valid case numbers as a measurement needs.
 */
#ifndef AUTOS_BENCH_CASE_NUMBER_H
#define AUTOS_BENCH_CASE_NUMBER_H

#include "cnj.h"

#include <stdint.h>
#include <stdio.h>

/* The n-th: 20 digits, scattered as those of real cases. */
static inline void case_number(int64_t n, char out[static 24])
{
	int64_t scattered = n % 10000000 * 6700417 % 10000000;
	snprintf(out, 24, "%07lld00%04lld8260100", (long long)scattered,
		 (long long)(2000 + n / 10000000 % 100));
	int check = cnj_check_digits(out);
	out[7] = (char)('0' + check / 10);
	out[8] = (char)('0' + check % 10);
}

#endif
