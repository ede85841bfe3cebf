/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_BALLOON_H
#define _LINUX_VIRTIO_BALLOON_H

#include <linux/types.h>

/* Feature bits, virtio 1.2 section 5.5.3. */
#define VIRTIO_BALLOON_F_MUST_TELL_HOST	0	/* before using a page */
#define VIRTIO_BALLOON_F_STATS_VQ	1	/* there is a stats queue */
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM	2	/* pages come back on OOM */

/* Virtqueues, section 5.5.2. */
#define VIRTIO_BALLOON_VQ_INFLATE	0
#define VIRTIO_BALLOON_VQ_DEFLATE	1
#define VIRTIO_BALLOON_VQ_STATS		2
#define VIRTIO_BALLOON_NUM_VQS		3

/* What the device calls a page, whatever the kernel does: 4096 bytes. */
#define VIRTIO_BALLOON_PFN_SHIFT	12

/*
 * Device configuration layout, section 5.5.4; little-endian in the legacy
 * interface, too.
 */
struct virtio_balloon_config {
	__le32 num_pages;		/* that the host wants */
	__le32 actual;			/* that it has; written by the driver */
};

/* Section 5.5.6.3. */
#define VIRTIO_BALLOON_S_SWAP_IN	0	/* bytes */
#define VIRTIO_BALLOON_S_SWAP_OUT	1	/* bytes */
#define VIRTIO_BALLOON_S_MAJFLT		2
#define VIRTIO_BALLOON_S_MINFLT		3
#define VIRTIO_BALLOON_S_MEMFREE	4	/* bytes, as all that follow */
#define VIRTIO_BALLOON_S_MEMTOT		5
#define VIRTIO_BALLOON_S_AVAIL		6
#define VIRTIO_BALLOON_S_CACHES		7
#define VIRTIO_BALLOON_S_NR		8

struct virtio_balloon_stat {
	__le16 tag;
	__le64 val;
} __attribute__((packed));

#endif /* _LINUX_VIRTIO_BALLOON_H */
