/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_CONSOLE_H
#define _LINUX_VIRTIO_CONSOLE_H

#include <linux/types.h>

/* Feature bits, virtio 1.2 section 5.3.3. */
#define VIRTIO_CONSOLE_F_SIZE		0	/* cols and rows are valid */
#define VIRTIO_CONSOLE_F_MULTIPORT	1	/* max_nr_ports is, too */
#define VIRTIO_CONSOLE_F_EMERG_WRITE	2	/* emerg_wr can be written */

/* Virtqueues, section 5.3.2; the others are those of ports 1 and up. */
#define VIRTIO_CONSOLE_VQ_IN0		0
#define VIRTIO_CONSOLE_VQ_OUT0		1
#define VIRTIO_CONSOLE_VQ_CTRL_IN	2
#define VIRTIO_CONSOLE_VQ_CTRL_OUT	3

/* Device configuration layout, section 5.3.4. */
struct virtio_console_config {
	__le16 cols;
	__le16 rows;
	__le32 max_nr_ports;
	__le32 emerg_wr;
};

/* A message on a control queue, section 5.3.6.2. */
struct virtio_console_control {
	__le32 id;			/* of the port */
	__le16 event;
	__le16 value;
};

#define VIRTIO_CONSOLE_DEVICE_READY	0
#define VIRTIO_CONSOLE_PORT_ADD		1
#define VIRTIO_CONSOLE_PORT_REMOVE	2
#define VIRTIO_CONSOLE_PORT_READY	3
#define VIRTIO_CONSOLE_CONSOLE_PORT	4
#define VIRTIO_CONSOLE_RESIZE		5
#define VIRTIO_CONSOLE_PORT_OPEN	6
#define VIRTIO_CONSOLE_PORT_NAME	7

/* For messages that are about no port. */
#define VIRTIO_CONSOLE_BAD_ID		0xffffffff

/* Behind the message, for RESIZE. */
struct virtio_console_resize {
	__le16 cols;
	__le16 rows;
};

#endif /* _LINUX_VIRTIO_CONSOLE_H */
