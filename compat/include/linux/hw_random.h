/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_HW_RANDOM_H
#define _COMPAT_LINUX_HW_RANDOM_H

#include_next <linux/hw_random.h>

#ifndef COMPAT_HAVE_HWRNG_READ
/*
 * 2.6.33: a generator has one function, which reads any number of bytes. This
 * core asks for a word in two steps, whether there is one and which: both
 * under its mutex, one after the other.
 */
#include <linux/kernel.h>
#include <linux/sched.h>

/**
 * struct compat_hwrng - a generator as 2.6.33 has it
 * @core:	what the kernel knows of it
 * @name:	unique name
 * @read:	up to @max bytes; 0: none, even if it was to wait
 * @quality:	entropy in 1024 bits, which this core does not want to know
 * @word:	what was read, and not fetched yet
 * @got:	how many bytes that is, or what went wrong
 */
struct compat_hwrng {
	struct hwrng core;
	const char *name;
	int (*read)(struct compat_hwrng *rng, void *buf, size_t max, bool wait);
	unsigned short quality;
	u32 word;
	int got;
};

/*
 * 6.0 to 6.3 fetch the word unless this is 0, so an error is for the fetch to
 * tell; later ones fetch it unless this is an error, so that has to bear a 0.
 */
static inline int compat_hwrng_present(struct hwrng *core, int wait)
{
	struct compat_hwrng *rng = container_of(core, struct compat_hwrng,
						core);

	if (rng->got <= 0)
		rng->got = rng->read(rng, &rng->word, sizeof(rng->word), wait);
	/*
	 * The core tries again at once, and takes its mutex back before
	 * anybody who waits for it has woken up, unless its time is over.
	 */
	if (wait && !rng->got)
		set_tsk_need_resched(current);
	return rng->got;
}

static inline int compat_hwrng_fetch(struct hwrng *core, u32 *data)
{
	struct compat_hwrng *rng = container_of(core, struct compat_hwrng,
						core);
	int got = rng->got;

	*data = rng->word;
	rng->word = 0;
	rng->got = 0;
	return got;
}

static inline int compat_hwrng_register(struct compat_hwrng *rng)
{
	rng->core.name = rng->name;
	rng->core.data_present = compat_hwrng_present;
	rng->core.data_read = compat_hwrng_fetch;
	return hwrng_register(&rng->core);
}

static inline void compat_hwrng_unregister(struct compat_hwrng *rng)
{
	hwrng_unregister(&rng->core);
}

#define hwrng			compat_hwrng
#define hwrng_register		compat_hwrng_register
#define hwrng_unregister	compat_hwrng_unregister
#endif

#endif /* _COMPAT_LINUX_HW_RANDOM_H */
