/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_CONFIG_H
#define _LINUX_VIRTIO_CONFIG_H

#include <linux/types.h>
#include <linux/err.h>
#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/virtio.h>

/* Device status bits, virtio 1.2 section 2.1. */
#define VIRTIO_CONFIG_S_ACKNOWLEDGE	1
#define VIRTIO_CONFIG_S_DRIVER		2
#define VIRTIO_CONFIG_S_DRIVER_OK	4
#define VIRTIO_CONFIG_S_FEATURES_OK	8
#define VIRTIO_CONFIG_S_NEEDS_RESET	0x40
#define VIRTIO_CONFIG_S_FAILED		0x80

/*
 * Bits that belong to the transport and the ring rather than to a device
 * type, section 2.2 and 6.
 */
#define VIRTIO_TRANSPORT_F_START	28
#define VIRTIO_TRANSPORT_F_END		42

#define VIRTIO_F_ANY_LAYOUT		27	/* legacy devices only */
#define VIRTIO_F_VERSION_1		32
#define VIRTIO_F_ACCESS_PLATFORM	33
#define VIRTIO_F_RING_PACKED		34
#define VIRTIO_F_ORDER_PLATFORM		36

/**
 * struct virtio_config_ops - what a transport does for the stack
 * @get:	read @len bytes of config space at @offset into @buf, in the
 *		device's byte order. 1, 2, 4 and 8 bytes are read in accesses
 *		of the width that section 4.1.3 asks for, anything else byte by
 *		byte; with no @generation, until it is the same twice
 * @set:	write, likewise
 * @generation:	counter that changes when the config does; NULL: has none
 * @get_status:	read the status byte
 * @set_status:	write it; never 0, that is @reset
 * @reset:	reset the device and wait until it says that it is. 0, -ENODEV
 *		when the device is gone, -ETIMEDOUT when it never finishes
 * @find_vqs:	set up the queues; all of them or, with an error, none
 * @restart_vqs: the device was reset, and features were negotiated again: let
 *		it have the queues that it had, with their interrupts. They are
 *		empty, and nothing is allocated. On an error the device is in no
 *		use before the next reset
 * @del_vqs:	undo @find_vqs
 * @synchronize_cbs: wait until no interrupt handler of the device runs
 * @get_features: all 64 bits that the device offers
 * @finalize_features: write vdev->features to the device; may clear bits that
 *		the transport does not know
 * @bus_name:	name of what the device sits on, for messages
 * @set_vq_affinity: hint on which CPUs a queue's interrupt belongs; NULL mask
 *		takes it back (may be NULL)
 *
 * All but @get_status, @get, @generation and @bus_name need process context.
 */
struct virtio_config_ops {
	void (*get)(struct virtio_device *vdev, unsigned int offset,
		    void *buf, unsigned int len);
	void (*set)(struct virtio_device *vdev, unsigned int offset,
		    const void *buf, unsigned int len);
	u32 (*generation)(struct virtio_device *vdev);
	u8 (*get_status)(struct virtio_device *vdev);
	void (*set_status)(struct virtio_device *vdev, u8 status);
	int (*reset)(struct virtio_device *vdev);
	int (*find_vqs)(struct virtio_device *vdev, unsigned int nvqs,
			struct virtqueue *vqs[],
			const struct virtqueue_info info[]);
	int (*restart_vqs)(struct virtio_device *vdev);
	void (*del_vqs)(struct virtio_device *vdev);
	void (*synchronize_cbs)(struct virtio_device *vdev);
	u64 (*get_features)(struct virtio_device *vdev);
	int (*finalize_features)(struct virtio_device *vdev);
	const char *(*bus_name)(struct virtio_device *vdev);
	int (*set_vq_affinity)(struct virtqueue *vq,
			       const struct cpumask *cpu_mask);
};

void virtio_cread_bytes(struct virtio_device *vdev, unsigned int offset,
			void *buf, unsigned int len);
void virtio_device_ready(struct virtio_device *vdev);

static inline bool virtio_has_feature(const struct virtio_device *vdev,
				      unsigned int bit)
{
	return vdev->features & (1ULL << bit);
}

/* The other interface, virtio 0.9.5. */
static inline bool virtio_is_legacy(const struct virtio_device *vdev)
{
	return !virtio_has_feature(vdev, VIRTIO_F_VERSION_1);
}

/*
 * Whether the device takes a message however it is cut into descriptors. A
 * legacy device that does not wants headers in descriptors of their own,
 * section 2.7.4.3.
 */
static inline bool virtio_any_layout(const struct virtio_device *vdev)
{
	return virtio_has_feature(vdev, VIRTIO_F_VERSION_1) ||
	       virtio_has_feature(vdev, VIRTIO_F_ANY_LAYOUT);
}

static inline void virtio_clear_feature(struct virtio_device *vdev,
					unsigned int bit)
{
	vdev->features &= ~(1ULL << bit);
}

/*
 * Single fields of the config space, in CPU byte order. A legacy device has
 * them in the guest's, which is little-endian where this pack runs. Offsets are
 * offsetof() in the device type's config structure. Any context, as long as
 * the device is not being removed.
 */
static inline u8 virtio_cread8(struct virtio_device *vdev, unsigned int offset)
{
	u8 v;

	vdev->config->get(vdev, offset, &v, sizeof(v));
	return v;
}

static inline u16 virtio_cread16(struct virtio_device *vdev,
				 unsigned int offset)
{
	__le16 v;

	vdev->config->get(vdev, offset, &v, sizeof(v));
	return le16_to_cpu(v);
}

static inline u32 virtio_cread32(struct virtio_device *vdev,
				 unsigned int offset)
{
	__le32 v;

	vdev->config->get(vdev, offset, &v, sizeof(v));
	return le32_to_cpu(v);
}

/* Two accesses on the bus, so the generation counter is looked at. */
static inline u64 virtio_cread64(struct virtio_device *vdev,
				 unsigned int offset)
{
	__le64 v;

	virtio_cread_bytes(vdev, offset, &v, sizeof(v));
	return le64_to_cpu(v);
}

static inline void virtio_cwrite8(struct virtio_device *vdev,
				  unsigned int offset, u8 v)
{
	vdev->config->set(vdev, offset, &v, sizeof(v));
}

static inline void virtio_cwrite32(struct virtio_device *vdev,
				   unsigned int offset, u32 v)
{
	__le32 le = cpu_to_le32(v);

	vdev->config->set(vdev, offset, &le, sizeof(le));
}

static inline int virtio_find_vqs(struct virtio_device *vdev,
				  unsigned int nvqs, struct virtqueue *vqs[],
				  const struct virtqueue_info info[])
{
	return vdev->config->find_vqs(vdev, nvqs, vqs, info);
}

static inline void virtio_del_vqs(struct virtio_device *vdev)
{
	vdev->config->del_vqs(vdev);
}

#endif /* _LINUX_VIRTIO_CONFIG_H */
