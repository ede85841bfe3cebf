/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_BLK_H
#define _LINUX_VIRTIO_BLK_H

#include <linux/types.h>

/* Feature bits, virtio 1.2 section 5.2.3. */
#define VIRTIO_BLK_F_SIZE_MAX	1	/* size_max is valid */
#define VIRTIO_BLK_F_SEG_MAX	2	/* seg_max is valid */
#define VIRTIO_BLK_F_GEOMETRY	4	/* geometry is valid */
#define VIRTIO_BLK_F_RO		5	/* the disk is read-only */
#define VIRTIO_BLK_F_BLK_SIZE	6	/* blk_size is valid */
#define VIRTIO_BLK_F_FLUSH	9	/* VIRTIO_BLK_T_FLUSH works */
#define VIRTIO_BLK_F_TOPOLOGY	10	/* the topology fields are valid */
#define VIRTIO_BLK_F_CONFIG_WCE	11	/* wce can be written */
#define VIRTIO_BLK_F_MQ		12	/* num_queues is valid */

/* Device configuration layout, section 5.2.4. Packed by its own offsets. */
struct virtio_blk_config {
	__le64 capacity;		/* in 512-byte sectors, always */
	__le32 size_max;		/* bytes in a segment */
	__le32 seg_max;			/* data segments in a request */
	struct virtio_blk_geometry {
		__le16 cylinders;
		__u8 heads;
		__u8 sectors;
	} geometry;
	__le32 blk_size;		/* bytes */
	struct virtio_blk_topology {
		__u8 physical_block_exp;	/* log2 of logical blocks */
		__u8 alignment_offset;		/* logical blocks */
		__le16 min_io_size;		/* logical blocks */
		__le32 opt_io_size;		/* logical blocks */
	} topology;
	__u8 wce;			/* 1: write-back */
	__u8 unused0;
	__le16 num_queues;
} __attribute__((packed));

/* Request types and status, section 5.2.6. */
#define VIRTIO_BLK_T_IN		0
#define VIRTIO_BLK_T_OUT	1
#define VIRTIO_BLK_T_FLUSH	4
#define VIRTIO_BLK_T_GET_ID	8

#define VIRTIO_BLK_S_OK		0
#define VIRTIO_BLK_S_IOERR	1
#define VIRTIO_BLK_S_UNSUPP	2

/* Length of the answer to GET_ID; not NUL-terminated when it is full. */
#define VIRTIO_BLK_ID_BYTES	20

struct virtio_blk_outhdr {
	__le32 type;
	__le32 ioprio;
	__le64 sector;			/* in 512-byte units */
};

#endif /* _LINUX_VIRTIO_BLK_H */
