/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_NET_H
#define _LINUX_VIRTIO_NET_H

#include <linux/types.h>
#include <linux/if_ether.h>

/* Feature bits, virtio 1.2 section 5.1.3. */
#define VIRTIO_NET_F_CSUM		0	/* device fills in checksums */
#define VIRTIO_NET_F_GUEST_CSUM		1	/* driver takes partial ones */
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2	/* the above can be changed */
#define VIRTIO_NET_F_MTU		3	/* mtu is valid */
#define VIRTIO_NET_F_MAC		5	/* mac is valid */
#define VIRTIO_NET_F_GUEST_TSO4		7	/* driver takes large packets */
#define VIRTIO_NET_F_GUEST_TSO6		8
#define VIRTIO_NET_F_GUEST_ECN		9
#define VIRTIO_NET_F_GUEST_UFO		10
#define VIRTIO_NET_F_HOST_TSO4		11	/* device takes large packets */
#define VIRTIO_NET_F_HOST_TSO6		12
#define VIRTIO_NET_F_HOST_ECN		13
#define VIRTIO_NET_F_HOST_UFO		14
#define VIRTIO_NET_F_MRG_RXBUF		15	/* a packet may fill several buffers */
#define VIRTIO_NET_F_STATUS		16	/* status is valid */
#define VIRTIO_NET_F_CTRL_VQ		17	/* there is a control queue */
#define VIRTIO_NET_F_CTRL_RX		18	/* ... for receive modes */
#define VIRTIO_NET_F_CTRL_VLAN		19	/* ... for VLAN filters */
#define VIRTIO_NET_F_GUEST_ANNOUNCE	21	/* driver tells the network */
#define VIRTIO_NET_F_MQ			22	/* max_virtqueue_pairs is valid */
#define VIRTIO_NET_F_CTRL_MAC_ADDR	23	/* ... for the MAC address */
#define VIRTIO_NET_F_SPEED_DUPLEX	63	/* speed and duplex are valid */

#define VIRTIO_NET_S_LINK_UP		1
#define VIRTIO_NET_S_ANNOUNCE		2

/* Device configuration layout, section 5.1.4. Packed by its own offsets. */
struct virtio_net_config {
	__u8 mac[ETH_ALEN];
	__le16 status;
	__le16 max_virtqueue_pairs;
	__le16 mtu;			/* bytes */
	__le32 speed;			/* Mbit/s; above INT_MAX: unknown */
	__u8 duplex;			/* 0: half, 1: full; else unknown */
} __attribute__((packed));

/* In front of every packet, section 5.1.6. */
struct virtio_net_hdr {
	__u8 flags;
	__u8 gso_type;
	__le16 hdr_len;			/* bytes; a hint */
	__le16 gso_size;		/* payload bytes of a segment */
	__le16 csum_start;		/* bytes from the packet's start */
	__le16 csum_offset;		/* bytes from csum_start */
	__le16 num_buffers;		/* receive only */
};

#define VIRTIO_NET_HDR_F_NEEDS_CSUM	1
#define VIRTIO_NET_HDR_F_DATA_VALID	2

#define VIRTIO_NET_HDR_GSO_NONE		0
#define VIRTIO_NET_HDR_GSO_TCPV4	1
#define VIRTIO_NET_HDR_GSO_UDP		3
#define VIRTIO_NET_HDR_GSO_TCPV6	4
#define VIRTIO_NET_HDR_GSO_ECN		0x80

/* The control queue, section 5.1.6.5. */
struct virtio_net_ctrl_hdr {
	__u8 class;
	__u8 cmd;
};

#define VIRTIO_NET_OK			0
#define VIRTIO_NET_ERR			1

#define VIRTIO_NET_CTRL_RX		0
#define VIRTIO_NET_CTRL_RX_PROMISC	0
#define VIRTIO_NET_CTRL_RX_ALLMULTI	1

#define VIRTIO_NET_CTRL_MAC		1
#define VIRTIO_NET_CTRL_MAC_TABLE_SET	0
#define VIRTIO_NET_CTRL_MAC_ADDR_SET	1

/* Two of these make a table: unicast, multicast. */
struct virtio_net_ctrl_mac {
	__le32 entries;
	__u8 macs[][ETH_ALEN];
};

#define VIRTIO_NET_CTRL_VLAN		2
#define VIRTIO_NET_CTRL_VLAN_ADD	0
#define VIRTIO_NET_CTRL_VLAN_DEL	1

#define VIRTIO_NET_CTRL_ANNOUNCE	3
#define VIRTIO_NET_CTRL_ANNOUNCE_ACK	0

#define VIRTIO_NET_CTRL_MQ		4
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET	0

#define VIRTIO_NET_CTRL_GUEST_OFFLOADS	5
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0

#endif /* _LINUX_VIRTIO_NET_H */
