// SPDX-License-Identifier: GPL-2.0
/* 5.0 (ca79b0c211af): totalram_pages is a function. */
#include <linux/mm.h>

unsigned long probe(void);
unsigned long probe(void)
{
	return totalram_pages();
}
