/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hwrng core in two shapes: as Linux 6.1 has it, which reads into a buffer,
 * and as 2.6.32 has it, which reads words. They differ in what a driver
 * implements, and in which locks are held while it reads.
 *
 * A second thread, the reader, is what sleeps in a read while the test does
 * something else. Only one of the two runs at a time: the reader until it
 * sleeps or ends, the test until it gives the reader its turn, or waits for a
 * lock that the reader has.
 */
#ifndef _SHIM_RNG_H
#define _SHIM_RNG_H

#include <shim/wait.h>

/* hw_random.h */

struct hwrng {
	const char *name;
	int (*init)(struct hwrng *rng);
	void (*cleanup)(struct hwrng *rng);
	int (*data_present)(struct hwrng *rng, int wait);
	int (*data_read)(struct hwrng *rng, u32 *data);
#ifdef COMPAT_HAVE_HWRNG_READ
	int (*read)(struct hwrng *rng, void *data, size_t max, bool wait);
#endif
	unsigned long priv;
#ifdef COMPAT_HAVE_HWRNG_READ
	unsigned short quality;
#endif

	struct list_head list;
	unsigned int users;
};

int hwrng_register(struct hwrng *rng);
void hwrng_unregister(struct hwrng *rng);

/* What a person does with /dev/hwrng, and with the files in sysfs. */

ssize_t shim_rng_read(void *buf, size_t size, bool nonblock);
const char *shim_rng_current(void);	/* NULL: none */
const char *shim_rng_available(void);	/* each with a space behind it */
int shim_rng_select(const char *name);

/* The other thread reads, up to where it sleeps for the first time. */
void shim_reader_start(void *buf, size_t size);
/* It has its turn, after each of @ms milliseconds; true: it has ended. */
bool shim_reader_run(unsigned int ms);
/* It has ended: with what? */
ssize_t shim_reader_end(void);

/* For how many milliseconds the last one to want a lock has waited for it. */
extern unsigned int shim_rng_waited;

#endif /* _SHIM_RNG_H */
