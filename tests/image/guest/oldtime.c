// SPDX-License-Identifier: GPL-2.0
/*
 * oldtime: asks for the time as EL6's C library does, through a page at an
 * address that never changes. A kernel without that page ends the program.
 */
#include <stdio.h>
#include <time.h>

int main(void)
{
	time_t (*vsyscall_time)(time_t *) = (void *)0xffffffffff600400UL;

	printf("%ld\n", (long)vsyscall_time(NULL));
	return 0;
}
