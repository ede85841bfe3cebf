// SPDX-License-Identifier: GPL-2.0
/*
 * 3.19 (230fa253df63) has READ_ONCE(); the one that 6.8 and 6.10 have makes
 * the compiler complain about what is const.
 */
#include <linux/compiler.h>
#include <linux/types.h>

#pragma GCC diagnostic error "-Wdiscarded-qualifiers"

int probe(const int *p)
{
	return READ_ONCE(*p);
}
