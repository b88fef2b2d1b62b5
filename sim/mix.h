/*
 * mix - the one source of chance of the simulator: pure functions of a seed.
 *
 * Whatever looks random here is a function of (seed, case, document, purpose), never of time,
 * order of requests or thread, so two runs with the same seed answer the same bytes.
 */
#ifndef SIM_MIX_H
#define SIM_MIX_H

#include <stdint.h>

/* The finalizer of splitmix64: every bit of the result depends on every bit of x. */
static inline uint64_t mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline uint64_t mix_of(uint64_t seed, uint64_t a, uint64_t b, uint64_t purpose)
{
	return mix64(mix64(mix64(seed ^ (purpose << 56)) ^ a) ^ (b << 1));
}

/* A stream of numbers; the struct is the whole state. */
struct mix {
	uint64_t state;
};

static inline uint64_t mix_next(struct mix *m)
{
	m->state += 0x9e3779b97f4a7c15ULL;
	return mix64(m->state);
}

/* 0 <= result < bound; bound must not be 0. */
static inline uint64_t mix_below(struct mix *m, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)mix_next(m) * bound) >> 64);
}

#endif
