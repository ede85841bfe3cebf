// SPDX-License-Identifier: GPL-2.0
/* 3.13 (827da44c6141): they are to be initialised. */
#include <linux/u64_stats_sync.h>

void probe(struct u64_stats_sync *sync)
{
	u64_stats_init(sync);
}
