/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_RING_H
#define _LINUX_VIRTIO_RING_H

#include <linux/types.h>
#include <linux/virtio.h>

/*
 * The split virtqueue as it lies in memory, virtio 1.2 section 2.7. All
 * fields are little-endian; on x86, which is all that this pack is for, the
 * guest-endian fields of a legacy device are little-endian as well.
 */

#define VRING_DESC_F_NEXT		1
#define VRING_DESC_F_WRITE		2
#define VRING_DESC_F_INDIRECT		4

#define VRING_USED_F_NO_NOTIFY		1
#define VRING_AVAIL_F_NO_INTERRUPT	1

/* Feature bits that belong to the ring, section 6. */
#define VIRTIO_RING_F_INDIRECT_DESC	28
#define VIRTIO_RING_F_EVENT_IDX		29

/* The largest queue that section 2.7 allows. */
#define VRING_MAX_NUM			32768

struct vring_desc {
	__le64 addr;
	__le32 len;
	__le16 flags;
	__le16 next;
};

struct vring_avail {
	__le16 flags;
	__le16 idx;
	__le16 ring[];
};

struct vring_used_elem {
	__le32 id;
	__le32 len;
};

struct vring_used {
	__le16 flags;
	__le16 idx;
	struct vring_used_elem ring[];
};

struct virtio_device;
struct virtqueue;

/**
 * struct vring_layout - what a transport says about the queue it wants
 * @index:	number of the queue on its device
 * @max_num:	the largest size that the device takes, in descriptors
 * @align:	alignment of the used ring in bytes (PAGE_SIZE on a legacy
 *		device, which computes the addresses itself; 4 otherwise)
 * @fixed:	the device cannot be given a size smaller than @max_num
 * @weak_barriers: ordering against another CPU is enough, section 6.3
 */
struct vring_layout {
	unsigned int index;
	unsigned int max_num;
	unsigned int align;
	bool fixed;
	bool weak_barriers;
};

struct virtqueue *vring_create_virtqueue(struct virtio_device *vdev,
					 const struct vring_layout *layout,
					 const struct virtqueue_info *info,
					 bool (*notify)(struct virtqueue *vq));
void vring_reinit_virtqueue(struct virtqueue *vq);
void vring_del_virtqueue(struct virtqueue *vq);
bool vring_interrupt(struct virtqueue *vq);
void vring_transport_features(struct virtio_device *vdev);

dma_addr_t virtqueue_desc_addr(const struct virtqueue *vq);
dma_addr_t virtqueue_avail_addr(const struct virtqueue *vq);
dma_addr_t virtqueue_used_addr(const struct virtqueue *vq);

#endif /* _LINUX_VIRTIO_RING_H */
