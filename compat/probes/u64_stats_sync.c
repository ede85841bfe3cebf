// SPDX-License-Identifier: GPL-2.0
/* 2.6.36 (16b8a4761cbe): counters that are not torn on 32 bits. EL6: 6.3, not 6.0. */
#include <linux/u64_stats_sync.h>

unsigned int probe(struct u64_stats_sync *sync)
{
	return u64_stats_fetch_begin(sync);
}
