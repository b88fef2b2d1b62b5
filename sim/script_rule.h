/*
 * script_rule - what a script is made of; shared by its reader and its matcher only.
 */
#ifndef SIM_SCRIPT_RULE_H
#define SIM_SCRIPT_RULE_H

#include "script.h"

#include <pthread.h>

enum per { PER_RULE, PER_CASE, PER_DOCUMENT };

struct rule {
	bool any_route; /* list, detail, binario and texto */
	enum route route;
	char digits[21];      /* case number, "" = any */
	char uuid[37];        /* document, "" = any */
	unsigned index;       /* document by position from 1, 0 = any */
	uint64_t first, last; /* calls from 1; last 0 = no end */
	uint64_t every;       /* 0 = not used */
	double probability;
	enum per per;         /* what the calls are counted by */
	struct recipe recipe; /* its texts are in the script's strings, or static */
	char name[48];
};

struct count {
	uint64_t key, n; /* n 0: free */
};

struct script {
	struct rule *rules; /* owned */
	size_t nrules, rules_cap;
	char **strings; /* owned, what recipes point to */
	size_t nstrings, strings_cap;
	uint64_t seed;
	pthread_mutex_t lock; /* guards what follows */
	struct count *counts; /* owned */
	size_t ncounts, counts_cap;
};

#endif
