// SPDX-License-Identifier: GPL-2.0
/* A probe that must succeed, or the probes tell nothing. */
#include <linux/kernel.h>
#include <linux/slab.h>

void *probe(void)
{
	return kmalloc(1, GFP_KERNEL);
}
