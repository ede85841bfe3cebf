/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_IDS_H
#define _LINUX_VIRTIO_IDS_H

/*
 * Device types, virtio 1.2 section 5. A modern PCI device has the id
 * 0x1040 + type; a transitional one has it in its PCI subsystem id.
 */
#define VIRTIO_ID_NET		1
#define VIRTIO_ID_BLOCK		2
#define VIRTIO_ID_CONSOLE	3
#define VIRTIO_ID_RNG		4
#define VIRTIO_ID_BALLOON	5
#define VIRTIO_ID_SCSI		8
#define VIRTIO_ID_9P		9

#endif /* _LINUX_VIRTIO_IDS_H */
