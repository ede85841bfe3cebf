// SPDX-License-Identifier: GPL-2.0
/* 4.16 (7a163b2195cd): poll() returns a type of its own. */
#include <linux/poll.h>

__poll_t probe(void);
__poll_t probe(void)
{
	return EPOLLIN;
}
