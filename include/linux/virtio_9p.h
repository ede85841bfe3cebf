/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_9P_H
#define _LINUX_VIRTIO_9P_H

#include <linux/types.h>

/* Feature bits, the specification's section on the 9P transport. */
#define VIRTIO_9P_MOUNT_TAG	0	/* tag_len and tag are valid */

/* Device configuration layout. */
struct virtio_9p_config {
	__le16 tag_len;			/* bytes in tag */
	__u8 tag[0];			/* without a NUL at its end */
} __attribute__((packed));

#endif /* _LINUX_VIRTIO_9P_H */
