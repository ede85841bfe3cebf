// SPDX-License-Identifier: GPL-2.0
/* 3.10 (db2a144bedd5): block_device_operations::release returns nothing. */
#include <linux/blkdev.h>

struct block_device_operations probe;

int same[__builtin_types_compatible_p(__typeof__(probe.release),
				      void (*)(struct gendisk *, fmode_t)) ?
	 1 : -1];
