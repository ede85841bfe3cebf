// SPDX-License-Identifier: GPL-2.0
/* 5.17 (65c7cdedeb30): says that it sets the affinity, and does. */
#include <linux/interrupt.h>

int probe(void)
{
	return irq_set_affinity_and_hint(0, NULL);
}
