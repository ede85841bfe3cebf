// SPDX-License-Identifier: GPL-2.0
/* 4.19 (5ade60dda43c): ida_alloc() and ida_free() lock for themselves. */
#include <linux/idr.h>

DEFINE_IDA(probe_ida);

int probe(void)
{
	int id = ida_alloc(&probe_ida, GFP_KERNEL);

	ida_free(&probe_ida, id);
	return ida_alloc_max(&probe_ida, 7, GFP_KERNEL);
}
