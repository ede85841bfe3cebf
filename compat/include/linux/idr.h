/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_IDR_H
#define _COMPAT_LINUX_IDR_H

#include_next <linux/idr.h>

#ifndef COMPAT_HAVE_IDA_ALLOC
/*
 * 4.19: ida_alloc() takes care of its own locking. EL6's ida needs a lock, a
 * preload and ida_destroy(), which is on no kABI list; a bitmap needs none of
 * them, and more numbers than there are PCI functions behind 32 buses are not
 * wanted here.
 */
#include <linux/bitops.h>
#include <linux/types.h>
#include <linux/errno.h>

#define COMPAT_IDA_MAX	8192

struct compat_ida {
	unsigned long used[BITS_TO_LONGS(COMPAT_IDA_MAX)];
};

#define ida		compat_ida
#undef DEFINE_IDA
#define DEFINE_IDA(name)	struct compat_ida name
#define ida_alloc	compat_ida_alloc
#define ida_alloc_max	compat_ida_alloc_max
#define ida_free	compat_ida_free

static inline int compat_ida_alloc_max(struct compat_ida *ida,
				       unsigned int max, gfp_t gfp)
{
	unsigned long id;

	if (max >= COMPAT_IDA_MAX)
		max = COMPAT_IDA_MAX - 1;
	do {
		id = find_first_zero_bit(ida->used, max + 1);
		if (id > max)
			return -ENOSPC;
	} while (test_and_set_bit(id, ida->used));
	return id;
}

static inline int compat_ida_alloc(struct compat_ida *ida, gfp_t gfp)
{
	return compat_ida_alloc_max(ida, COMPAT_IDA_MAX - 1, gfp);
}

static inline void compat_ida_free(struct compat_ida *ida, unsigned int id)
{
	clear_bit(id, ida->used);
}
#endif

#endif /* _COMPAT_LINUX_IDR_H */
