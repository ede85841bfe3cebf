/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_PCI_H
#define _LINUX_VIRTIO_PCI_H

#include <linux/types.h>

/* PCI identity, virtio 1.2 section 4.1.2. */
#define VIRTIO_PCI_VENDOR		0x1af4
#define VIRTIO_PCI_LEGACY_ID_MIN	0x1000
#define VIRTIO_PCI_LEGACY_ID_MAX	0x103f
#define VIRTIO_PCI_MODERN_ID_MIN	0x1040
#define VIRTIO_PCI_MODERN_ID_MAX	0x107f

/*
 * Vendor-specific capabilities that say where the structures of the device
 * are, section 4.1.4.
 */
#define VIRTIO_PCI_CAP_COMMON_CFG	1
#define VIRTIO_PCI_CAP_NOTIFY_CFG	2
#define VIRTIO_PCI_CAP_ISR_CFG		3
#define VIRTIO_PCI_CAP_DEVICE_CFG	4
#define VIRTIO_PCI_CAP_PCI_CFG		5

struct virtio_pci_cap {
	__u8 cap_vndr;		/* PCI_CAP_ID_VNDR */
	__u8 cap_next;
	__u8 cap_len;
	__u8 cfg_type;		/* VIRTIO_PCI_CAP_* */
	__u8 bar;
	__u8 id;
	__u8 padding[2];
	__le32 offset;		/* bytes into the BAR */
	__le32 length;		/* bytes */
};

struct virtio_pci_notify_cap {
	struct virtio_pci_cap cap;
	__le32 notify_off_multiplier;
};

struct virtio_pci_cfg_cap {
	struct virtio_pci_cap cap;
	__u8 pci_cfg_data[4];
};

/* Common configuration structure, section 4.1.4.3. */
struct virtio_pci_common_cfg {
	/* About the whole device. */
	__le32 device_feature_select;
	__le32 device_feature;
	__le32 guest_feature_select;
	__le32 guest_feature;
	__le16 msix_config;
	__le16 num_queues;
	__u8 device_status;
	__u8 config_generation;

	/* About a specific virtqueue. */
	__le16 queue_select;
	__le16 queue_size;
	__le16 queue_msix_vector;
	__le16 queue_enable;
	__le16 queue_notify_off;
	__le32 queue_desc_lo;
	__le32 queue_desc_hi;
	__le32 queue_avail_lo;
	__le32 queue_avail_hi;
	__le32 queue_used_lo;
	__le32 queue_used_hi;
};

/*
 * The legacy interface: the ports of BAR 0, section 4.1.4.10. All fields are in
 * the guest's byte order.
 */
#define VIRTIO_PCI_LEGACY_DEVICE_FEATURES	0	/* 32 bits */
#define VIRTIO_PCI_LEGACY_DRIVER_FEATURES	4	/* 32 bits */
#define VIRTIO_PCI_LEGACY_QUEUE_PFN		8	/* 32 bits */
#define VIRTIO_PCI_LEGACY_QUEUE_SIZE		12	/* 16 bits */
#define VIRTIO_PCI_LEGACY_QUEUE_SELECT		14	/* 16 bits */
#define VIRTIO_PCI_LEGACY_QUEUE_NOTIFY		16	/* 16 bits */
#define VIRTIO_PCI_LEGACY_STATUS		18	/* 8 bits */
#define VIRTIO_PCI_LEGACY_ISR			19	/* 8 bits */
/* These two are only there while MSI-X is enabled; then the device's config. */
#define VIRTIO_PCI_LEGACY_CONFIG_VECTOR		20	/* 16 bits */
#define VIRTIO_PCI_LEGACY_QUEUE_VECTOR		22	/* 16 bits */
#define VIRTIO_PCI_LEGACY_CONFIG(_msix)		((_msix) ? 24 : 20)

#define VIRTIO_PCI_LEGACY_BAR			0
/* Of the only legacy interface there is. */
#define VIRTIO_PCI_LEGACY_REVISION		0
/* A queue is found by the number of its first page, and aligned to that. */
#define VIRTIO_PCI_LEGACY_PAGE_SHIFT		12
#define VIRTIO_PCI_LEGACY_ALIGN			4096

/* ISR status bits, section 4.1.4.5; reading the byte clears it. */
#define VIRTIO_PCI_ISR_QUEUE		1
#define VIRTIO_PCI_ISR_CONFIG		2

/* "No vector", for msix_config and queue_msix_vector. */
#define VIRTIO_MSI_NO_VECTOR		0xffff

#endif /* _LINUX_VIRTIO_PCI_H */
