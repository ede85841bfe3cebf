/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_U64_STATS_SYNC_H
#define _COMPAT_LINUX_U64_STATS_SYNC_H

#ifdef COMPAT_HAVE_U64_STATS_SYNC
#include_next <linux/u64_stats_sync.h>
#else
/*
 * 2.6.36. A sequence count where a counter takes two accesses; writers are not
 * preempted. (No kernel that lacks this is built for one 32-bit processor.)
 */
#include <linux/seqlock.h>

struct u64_stats_sync {
#if BITS_PER_LONG == 32
	seqcount_t seq;
#endif
};

static inline void u64_stats_update_begin(struct u64_stats_sync *sync)
{
#if BITS_PER_LONG == 32
	write_seqcount_begin(&sync->seq);
#endif
}

static inline void u64_stats_update_end(struct u64_stats_sync *sync)
{
#if BITS_PER_LONG == 32
	write_seqcount_end(&sync->seq);
#endif
}

static inline unsigned int
u64_stats_fetch_begin(const struct u64_stats_sync *sync)
{
#if BITS_PER_LONG == 32
	return read_seqcount_begin(&sync->seq);
#else
	return 0;
#endif
}

static inline bool u64_stats_fetch_retry(const struct u64_stats_sync *sync,
					 unsigned int start)
{
#if BITS_PER_LONG == 32
	return read_seqcount_retry(&sync->seq, start);
#else
	return false;
#endif
}
#endif

/* 3.13. Before, zeroes will do. */
#ifndef COMPAT_HAVE_U64_STATS_INIT
#define u64_stats_init(sync)	do { } while (0)
#endif

#endif /* _COMPAT_LINUX_U64_STATS_SYNC_H */
