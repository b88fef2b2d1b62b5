/*
 * replay - what a fuzz target offers, to libFuzzer and to replay.c. Targets assert with CHECK,
 * which is no assert() and so cannot be compiled away.
 */
#ifndef AUTOS_FUZZ_REPLAY_H
#define AUTOS_FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
