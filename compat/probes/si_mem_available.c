// SPDX-License-Identifier: GPL-2.0
/* 4.6 (d02bd27bd33d): how much memory is available. */
#include <linux/mm.h>

long probe(void);
long probe(void)
{
	return si_mem_available();
}
