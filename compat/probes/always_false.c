// SPDX-License-Identifier: GPL-2.0
/* A probe that must fail, or the probes tell nothing. */
#include <linux/kernel.h>

void probe(void)
{
	no_kernel_has_this_function();
}
