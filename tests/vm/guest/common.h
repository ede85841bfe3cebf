/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What blkio, netio and portio have in common: contents that follow from a seed,
 * numbers on the command line, and an end with a line of why. PROGRAM is the
 * name of who includes this.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GOLDEN		0x9e3779b97f4a7c15ull

static const char *subject;		/* what messages are about */
static uint64_t start_ms;

static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, PROGRAM ": %s: ", subject);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t next_random(uint64_t *state)
{
	return mix(*state += GOLDEN);
}

/* Contents are arithmetic progressions, each from a key of its own. */
static inline void fill_words(uint64_t *word, uint64_t key, size_t count)
{
	while (count--)
		*word++ = key += GOLDEN;
}

/* An option NAME=NUMBER. */
struct number {
	const char *name;
	uint64_t *value;
};

/* Whether the argument was one of these, and is set. */
static inline bool set_number(const struct number *known, size_t count, const char *arg)
{
	size_t len = strcspn(arg, "=");
	char *end;

	for (size_t i = 0; arg[len] && i < count; i++)
		if (!strncmp(arg, known[i].name, len) && !known[i].name[len]) {
			*known[i].value = strtoull(arg + len + 1, &end, 0);
			return !*end && end != arg + len + 1;
		}
	return false;
}
